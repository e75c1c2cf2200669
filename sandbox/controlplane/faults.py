"""Faults on request: errors, latency, lost responses, stale reads."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import asdict, dataclass, fields
from typing import Any

from sandbox.controlplane.errors import Response
from sandbox.controlplane.request import Call

FOR_EVER = -1


@dataclass
class Fault:
    """What happens to calls whose `service:Action` matches the regular expression `match`.

    `times`: how many calls it hits (-1: all). `code`: answer this AWS error with `status` and `message`.
    `delay`: seconds before anything else. `after`: the call takes effect first, then its response is lost; with
    `code` the client sees that error, without one the connection just closes. `lag`: the call succeeds, and reads
    of its service that were made since the fault was set answer as they last did, for so many seconds.
    """

    match: str
    times: int = 1
    code: str = ""
    status: int = 400
    message: str = "injected by the sandbox"
    delay: float = 0.0
    after: bool = False
    lag: float = 0.0

    def __post_init__(self) -> None:
        re.compile(self.match)

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> Fault:
        """Build a fault from JSON; ValueError names what is wrong with it."""
        known = {option.name for option in fields(cls)}
        unknown = sorted(set(raw) - known)
        if unknown or "match" not in raw:
            raise ValueError(f"a fault needs 'match' and takes {sorted(known)}; got {sorted(raw)}")
        try:
            return cls(**raw)
        except (re.error, TypeError) as error:
            raise ValueError(f"fault {raw!r}: {error}") from error


class Faults:
    """The faults that are set, and the memory that stale reads are served from. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._remembered: dict[tuple[str, str, str, bytes], Response] = {}
        self._stale_until: dict[str, float] = {}

    def replace(self, faults: list[Fault]) -> None:
        """Set these faults and no others; an empty list ends all, stale reads included."""
        with self._lock:
            self._faults = list(faults)
            self._remembered.clear()
            self._stale_until.clear()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def as_list(self) -> list[dict[str, Any]]:
        """What is left of each fault, in the form that `parse` takes."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def take(self, call: Call) -> list[Fault]:
        """The faults that hit this call; each is used up by one. Lag hits writes only."""
        with self._lock:
            hit = [fault for fault in self._faults if _hits(fault, call)]
            for fault in hit:
                if fault.times != FOR_EVER:
                    fault.times -= 1
            self._faults = [fault for fault in self._faults if fault.times != 0 or fault.lag]
            return hit

    def begin_lag(self, call: Call, seconds: float) -> None:
        with self._lock:
            self._stale_until[call.service] = time.monotonic() + seconds

    def stale_answer(self, call: Call) -> Response | None:
        """The answer this read had before the write, while its service lags."""
        with self._lock:
            if time.monotonic() >= self._stale_until.get(call.service, 0.0):
                return None
            return self._remembered.get(_identity(call))

    def remember(self, call: Call, response: Response) -> None:
        """Keep a read's answer for later, if a fault could make it stale."""
        with self._lock:
            if any(fault.lag for fault in self._faults):
                self._remembered[_identity(call)] = response


def _hits(fault: Fault, call: Call) -> bool:
    if fault.times == 0 or (fault.lag and call.is_read):
        return False
    return re.fullmatch(fault.match, call.name) is not None


def _identity(call: Call) -> tuple[str, str, str, bytes]:
    return call.service, call.region, call.action, call.body
