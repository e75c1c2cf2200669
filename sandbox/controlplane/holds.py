"""Calls that a fault holds: the moment at which a test kills their client, or lets another one go first."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from sandbox.controlplane.request import Call

POLL = 0.02
OUTCOMES = ("proceed", "drop")


@dataclass
class Held:
    """A call that waits; `landed` says whether it has taken effect."""

    number: int
    call: Call
    landed: bool
    since: float = field(default_factory=time.time)
    outcome: str = ""

    def as_dict(self) -> dict[str, Any]:
        call = {"service": self.call.service, "action": self.call.action}
        return {"number": self.number, **call, "landed": self.landed, "since": self.since}


class Holds:
    """The calls that are held now. Thread-safe; each waits in the thread that serves it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._held: list[Held] = []

    def wait(self, call: Call, client: socket.socket | None, *, landed: bool) -> bool:
        """Until the call is released; false when it was dropped or its client is gone: nobody is to get an answer."""
        with self._changed:
            held = Held(next(self._numbers), call, landed)
            self._held.append(held)
            try:
                while not held.outcome:
                    if _is_gone(client):
                        return False
                    self._changed.wait(POLL)
            finally:
                self._held.remove(held)
        return held.outcome == "proceed"

    def as_list(self) -> list[dict[str, Any]]:
        with self._changed:
            return [held.as_dict() for held in self._held]

    def release(self, outcome: str = "proceed") -> int:
        """Let every held call go on, or drop it; return how many there were. ValueError for another outcome."""
        if outcome not in OUTCOMES:
            raise ValueError(f"a held call is released with one of {OUTCOMES}, not {outcome!r}")
        with self._changed:
            for held in self._held:
                held.outcome = outcome
            self._changed.notify_all()
            return len(self._held)


def _is_gone(client: socket.socket | None) -> bool:
    """A client that was killed has closed its end; one that waits for its answer sends nothing."""
    if client is None:
        return False
    with contextlib.suppress(BlockingIOError):
        try:
            return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except ConnectionError:
            return True
    return False
