# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A run's journal: what is about to be written, fsynced before the call, and what became of it.

Each line is an entry with a MAC over it and over the MAC of the line before, from that of `run.json` on. A sealed head
says how many lines there are, and is replaced after the lines are on disk and before the call is made: so a journal
that is shorter than its head was cut, and one line more than its head is a run that was ended just there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadRecord
from ansible_collections.hokusai.platform.plugins.module_utils.run_envelope import (
    UNUSABLE,
    Seal,
    canonical,
    parsed,
)
from ansible_collections.hokusai.platform.plugins.module_utils.run_store import JOURNAL, Store

HEAD = "journal.head"
Entry = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """How many lines a journal has, and the MAC of the last (of `run.json` when there is none)."""

    count: int
    last: str


@dataclass(frozen=True)
class Read:
    """A journal as it was found: its entries, and the MAC of each."""

    entries: tuple[Entry, ...]
    macs: tuple[str, ...]
    torn: bool = False

    def head(self, root: str) -> Head:
        return Head(len(self.entries), self.macs[-1] if self.macs else root)


class Journal:
    """The journal of one run; safe for threads, and for processes of one machine that write one after the other."""

    def __init__(self, store: Store, seal: Seal, root: str) -> None:
        self.store, self.seal, self.root = store, seal, root
        self._lock = threading.Lock()
        self._head: Head | None = None

    def begin(self) -> None:
        self.store.create(HEAD, self.sealed(Head(0, self.root)))

    def append(self, entries: Sequence[Mapping[str, Any]]) -> list[int]:
        """Write entries, all of them on disk when this returns, and give their numbers, from 1 on."""
        with self._lock, self.store.exclusively():
            head = self._current()
            lines, last = [], head.last
            for number, entry in enumerate(entries, head.count + 1):
                numbered = {**entry, "seq": number}
                last = self.seal.mac(numbered, last)
                lines.append(canonical({**numbered, "mac": last}) + b"\n")
            self._head = None  # in doubt until both are written
            self.store.append(head.count, lines)
            new = Head(head.count + len(lines), last)
            self.store.put(HEAD, self.sealed(new))
            self._head = new
        return list(range(head.count + 1, new.count + 1))

    def read(self) -> Read:
        """Everything that was written, in order. Raises `BadRecord` where it is not what was written."""
        sealed = self._sealed_head()
        found = self._verified(self.store.lines(), sealed.count)
        at = found.macs[sealed.count - 1] if sealed.count else self.root
        if at != sealed.last:
            raise BadRecord(f"The record's file {self.store.called(HEAD)} is not that of its journal", UNUSABLE)
        return found

    def sealed(self, head: Head) -> bytes:
        return self.seal.wrap("head", {"count": head.count, "last": head.last})

    def _current(self) -> Head:
        """The head to go on from: as remembered, unless another process wrote since."""
        if self._head is None or self._sealed_head() != self._head:
            self._head = self.read().head(self.root)
        return self._head

    def _sealed_head(self) -> Head:
        data = self.store.get(HEAD)
        if data is None:
            raise BadRecord(f"The record's file {self.store.called(HEAD)} is missing", UNUSABLE)
        body = self.seal.unwrap(data, "head", self.store.called(HEAD))
        return Head(int(body["count"]), str(body["last"]))

    def _verified(self, lines: Sequence[bytes], sealed: int) -> Read:
        file = self.store.called(JOURNAL)
        entries: list[Entry] = []
        macs: list[str] = []
        last = self.root
        for number, line in enumerate(lines, 1):
            if number > sealed and number == len(lines) and not line.endswith(b"\n"):
                return Read(tuple(entries), tuple(macs), torn=True)
            entry = parsed(line, f"{file}, line {number}")
            mac = str(entry.pop("mac", ""))
            if entry.get("seq") != number or not self.seal.holds(mac, entry, last):
                raise BadRecord(f"The record's file {file} is not what was written from line {number} on", UNUSABLE)
            entries.append(entry)
            macs.append(mac)
            last = mac
        if len(entries) < sealed:
            raise BadRecord(
                f"The record's file {file} was cut off: {len(entries)} lines of {sealed} are there", UNUSABLE
            )
        return Read(tuple(entries), tuple(macs))
