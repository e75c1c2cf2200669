"""Records, seals and stores for the tests of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.run_envelope import Identity, Seal
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import Record
from ansible_collections.hokusai.platform.plugins.module_utils.run_store import Directory, Store

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
