# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The form of everything in a run's record: canonical JSON in an envelope that says whose it is, under a MAC.

    {"schema", "account", "region", "environment", "run_id", "kind", "body", "mac"}

A file is exactly the canonical bytes of its envelope and a newline, so no byte of it can differ unseen.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadRecord

SCHEMA = 1
UNUSABLE = "use another run's record, or restore this file from a backup; nothing was written from it"


@dataclass(frozen=True)
class Identity:
    """Whose record it is. All of it is under each MAC."""

    account: str
    region: str
    environment: str
    run_id: str


class Seal:
    """Makes and checks the MACs (HMAC-SHA256) of one run's record with the run's own key."""

    def __init__(self, key: bytes, identity: Identity) -> None:
        self._key = key
        self.identity = identity

    def mac(self, content: Mapping[str, Any], before: str = "") -> str:
        """The MAC of a content and of whose it is, chained to the MAC of what comes `before` it."""
        sealed = canonical({"of": asdict(self.identity), "schema": SCHEMA, "before": before, "content": content})
        return hmac.new(self._key, sealed, hashlib.sha256).hexdigest()

    def holds(self, mac: str, content: Mapping[str, Any], before: str = "") -> bool:
        return hmac.compare_digest(mac.encode(), self.mac(content, before).encode())

    def wrap(self, kind: str, body: Mapping[str, Any]) -> bytes:
        """The bytes of a file of this kind."""
        content = {"schema": SCHEMA, **asdict(self.identity), "kind": kind, "body": body}
        return canonical({**content, "mac": self.mac(content)}) + b"\n"

    def unwrap(self, data: bytes, kind: str, file: str) -> dict[str, Any]:
        """The body of a file's bytes. Raises `BadRecord` naming the file and what is wrong with it."""
        envelope = parsed(data, file)
        wanted = {"schema": SCHEMA, **asdict(self.identity), "kind": kind}
        for name, value in wanted.items():
            if envelope.get(name) != value:
                told = f"The record's file {file} is of {name} {envelope.get(name)!r}, not {value!r}"
                raise BadRecord(told, f"use a record of this {name}; nothing was written from this one")
        content = {name: value for name, value in envelope.items() if name != "mac"}
        body = content.get("body")
        if set(content) != {*wanted, "body"} or not isinstance(body, dict):
            raise BadRecord(f"The record's file {file} has not the parts of an envelope", UNUSABLE)
        if not self.holds(str(envelope.get("mac")), content):
            raise BadRecord(
                f"The record's file {file} is not what was written: its MAC does not match",
                "name the key the record was made with; if that is the right one, the file was altered: " + UNUSABLE,
            )
        return body


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces, in UTF-8: one value has one form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def parsed(data: bytes, file: str) -> dict[str, Any]:
    """The object that a file or a line holds in canonical form, ended by a newline."""
    try:
        value = json.loads(data.decode())
        exact = isinstance(value, dict) and canonical(value) + b"\n" == data
    except (ValueError, RecursionError):
        exact = False
    if not exact:
        raise BadRecord(f"The record's file {file} is cut off or damaged", UNUSABLE)
    return dict(value)
