"""Records, seals and stores for the tests of a run."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.run_envelope import Identity, Seal
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import Record
from ansible_collections.hokusai.platform.plugins.module_utils.run_store import Bucket, Directory, Store

RUN = "20261121T150000Z-1a2b3c"
OURS = Identity("123456789012", "us-east-1", "development", RUN)
BEFORE = {"resources": [{"kind": "listener", "id": "registry:443", "fields": {"Port": 443, "Name": "ä"}}]}


def seal(key: bytes = b"k" * 32, **other: str) -> Seal:
    """The seal of our run, or of one that differs in a part of its identity."""
    return Seal(key, replace(OURS, **other))


def intent(name: str = "a") -> dict[str, Any]:
    return {
        "kind": "intent",
        "module": "alb_rules",
        "service": "elbv2",
        "verb": "modify_rule",
        "args": {"RuleArn": name},
        "why": f"rule {name}",
        "resource": "registry:443",
    }


def write(store: Store, writes: int = 3, *, closed: bool = True) -> Record:
    """A run with so many writes, from its beginning to its end."""
    record = Record.create(store, seal(), {"owner": "ada", "host": "desk"})
    record.write("before", BEFORE)
    for number in range(writes):
        [seq] = record.append(intent(f"r{number}"))
        record.append({"kind": "outcome", "of": seq, "result": "done", "response": {}})
    if closed:
        record.write("after", BEFORE)
        record.close({"verdict": "succeeded"})
    return record


def record_in(path: Path, writes: int = 3, *, closed: bool = True) -> Directory:
    store = Directory(path / RUN)
    write(store, writes, closed=closed)
    return store


def held(store: Store) -> dict[str, bytes]:
    """What is in the files, or the objects, of a record, by their names."""
    if isinstance(store, Directory):
        return {file.name: file.read_bytes() for file in store.path.iterdir() if file.name != "journal.lock"}
    assert isinstance(store, Bucket)
    keys = [each["Key"] for each in store.s3.list_objects_v2(Bucket=store.bucket, Prefix=store.prefix)["Contents"]]
    names = [key.removeprefix(store.prefix) for key in keys]
    return {name: store.get(name) or b"" for name in names}


def overwrite(store: Store, name: str, data: bytes) -> None:
    """Put this in the place of one of them, as somebody would who is no run."""
    if isinstance(store, Directory):
        (store.path / name).write_bytes(data)
    else:
        assert isinstance(store, Bucket)
        store.s3.put_object(Bucket=store.bucket, Key=store.key(name), Body=data)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The data with one bit of it flipped, or cut off somewhere."""
    if chance.random() < 0.5:
        flipped = bytearray(data)
        flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return bytes(flipped)
    return data[: chance.randrange(len(data))]
