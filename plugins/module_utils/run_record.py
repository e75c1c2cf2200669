# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The record of one run: its context, the world before it, the journal of its writes, the world after it, its result.

run.json        who, when, under which lock; what a task of the play is given (option `run`). No secret is in it
before.json     what there was, read back before the first write
journal.jsonl   the writes, see `journal.py`
after.json      what there was when the run ended
result.json     the verdict, the scores, what changed, and how far the journal went; a run without one was interrupted
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadRecord, Unrecorded
from ansible_collections.hokusai.platform.plugins.module_utils.journal import HEAD, Entry, Journal, Read
from ansible_collections.hokusai.platform.plugins.module_utils.run_envelope import UNUSABLE, Identity, Seal
from ansible_collections.hokusai.platform.plugins.module_utils.run_store import JOURNAL, Store

Body = dict[str, Any]
CLOSED = "closed"
FILES = ("run.json", HEAD, "before.json", "after.json", "result.json")
"""In the order in which they are made; each is there as a whole or not at all."""


def new_run_id(now: datetime) -> str:
    """UTC time and chance, as `20261121T150000Z-1a2b3c`: sorted by name, runs are in the order of their begin.

    `now` is AWS's time, of which there is one, whatever machines the runs are on.
    """
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ") + "-" + secrets.token_hex(3)


@dataclass(frozen=True)
class Contents:
    """A record that was verified as a whole. `after` and `result` are None of a run that was interrupted."""

    identity: Identity
    context: Body
    before: Body
    entries: tuple[Entry, ...]
    after: Body | None
    result: Body | None


class Record:
    """The record of one run in a store, made with `create` and read again with `open`; `seal` has the run's key."""

    def __init__(self, store: Store, seal: Seal, context: Body, root: str) -> None:
        self.store, self.seal, self.context = store, seal, context
        self.journal = Journal(store, seal, root)

    @classmethod
    def create(cls, store: Store, seal: Seal, context: Mapping[str, Any]) -> Record:
        """Begin a record with its context. A run id that is taken is an error, never written over."""
        data = seal.wrap("run", context)
        store.create("run.json", data)
        record = cls.open(store, seal)
        record.journal.begin()
        return record

    @classmethod
    def open(cls, store: Store, seal: Seal) -> Record:
        """The record whose identity is the seal's. Raises `BadRecord`; of its files only `run.json` is looked at."""
        context = read(store, seal, "run")
        return cls(store, seal, context, seal.mac({"run": context}))

    @property
    def identity(self) -> Identity:
        return self.seal.identity

    def write(self, kind: str, body: Mapping[str, Any]) -> None:
        """Write `before`, `after` or `result`, and read it back. Each is written once."""
        self.store.create(f"{kind}.json", self.seal.wrap(kind, body))
        if self.read(kind) != body:
            told = f"{self.store.called(kind)}.json does not hold what was just written to it"
            raise Unrecorded(told, "check the disk or the bucket it is on; nothing was written to the platform")

    def read(self, kind: str) -> Body:
        return read(self.store, self.seal, kind)

    def has(self, kind: str) -> bool:
        return self.store.get(f"{kind}.json") is not None

    def append(self, *entries: Mapping[str, Any]) -> list[int]:
        """Write entries to the journal, on disk when this returns; their numbers."""
        return self.journal.append(entries)

    def entries(self) -> tuple[Entry, ...]:
        """The journal, verified, in the order of the writes."""
        return self.journal.read().entries

    def close(self, result: Mapping[str, Any]) -> None:
        """Write the result, with how far the journal went, and say in the journal that it is there."""
        head = self.journal.read().head(self.journal.root)
        journal = {"count": head.count, "last": head.last}
        self.write("result", {**result, "after": self.has("after"), "journal": journal})
        self.end()

    def end(self) -> None:
        """Say in the journal that the result is there, unless it says so: a run may be cut off between the two."""
        entries = self.entries()
        if not entries or entries[-1]["kind"] != CLOSED:
            self.append({"kind": CLOSED})

    def was_only_opened(self) -> bool:
        """Whether the run was cut off before it had recorded what there was, and so before any task was given it.

        Its journal shows that it wrote nothing: it has not begun, or no write is in it.
        """
        if any(self.has(kind) for kind in ("before", "after", "result")):
            return False
        if self.store.get(HEAD) is None:
            return not self.store.lines()
        return not any(entry["kind"] == "intent" for entry in self.entries())

    def verify(self) -> Contents:
        """All of the record. Raises `BadRecord` where any byte of it is not what was written, or is missing."""
        before = self.read("before")
        journal = self.journal.read()
        closed = bool(journal.entries) and journal.entries[-1]["kind"] == CLOSED
        result = self.read("result") if closed or self.has("result") else None
        after = self.read("after") if (result or {}).get("after") or self.has("after") else None
        if result:
            self._matches(result["journal"], journal)
        return Contents(self.identity, self.context, before, journal.entries, after, result)

    def _matches(self, sealed: Mapping[str, Any], journal: Read) -> None:
        count = sealed["count"]
        last = ([self.journal.root, *journal.macs])[count] if count <= len(journal.macs) else None
        strange = journal.torn and count != len(journal.macs)  # but for the line that says that the run is closed
        if strange or last != sealed["last"]:
            file = self.store.called(JOURNAL)
            raise BadRecord(f"The record's file {file} is not the journal that the run was closed with", UNUSABLE)


def is_empty(store: Store) -> bool:
    """Whether a run was cut off before the first file of its record, and so before any task was given it."""
    return all(store.get(name) is None for name in FILES) and not store.lines()


def read(store: Store, seal: Seal, kind: str) -> Body:
    file = f"{kind}.json"
    data = store.get(file)
    if data is None:
        raise BadRecord(f"The record's file {store.called(file)} is missing", UNUSABLE)
    return seal.unwrap(data, kind, store.called(file))


def changes(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """The writes of a journal with what became of each: done, landed, failed, or unknown when the run ended there."""
    outcomes = {entry["of"]: entry["result"] for entry in entries if entry["kind"] == "outcome"}
    return [
        {
            "module": entry["module"],
            "service": entry["service"],
            "verb": entry["verb"],
            "why": entry["why"],
            "result": outcomes.get(entry["seq"], "unknown"),
        }
        for entry in entries
        if entry["kind"] == "intent"
    ]
