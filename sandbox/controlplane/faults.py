"""Faults on request: errors, latency, lost responses, stale reads."""

from __future__ import annotations

import random
import re
import threading
import time
from dataclasses import dataclass, field, fields
from typing import Any

from sandbox.controlplane.codes import KINDS, Code, code_of
from sandbox.controlplane.errors import Response
from sandbox.controlplane.request import Call

FOR_EVER = -1


@dataclass
class Fault:
    """What happens to calls whose `service:Action` matches the regular expression `match`.

    `only` is `reads` or `writes` (empty: both); the first `skip` calls that match pass; of the others each is hit with
    `probability`, drawn by a generator that starts at `seed`; `times` is how many are hit (-1: all).

    `kind` (`throttle`, `5xx`, `expired`, `denied`) answers the error of the call's own service; `code` answers that
    one, with `status` and `message`. `delay`: seconds before anything else. `after`: the call takes effect first, then
    its response is lost; with an error the client sees that, without one the connection just closes. `lag`: the call
    succeeds, and reads of its service that were made since the fault was set answer as they last did, for so many
    seconds. `hold`: the call waits, before it takes effect or (`after`) once it has, until it is released; a client
    that goes away meanwhile releases it, unanswered. `page`: answers have pages of so many items.
    `owner` says who set it, for `remove`.
    """

    match: str
    times: int = 1
    code: str = ""
    status: int = 400
    message: str = "injected by the sandbox"
    delay: float = 0.0
    after: bool = False
    lag: float = 0.0
    kind: str = ""
    probability: float = 1.0
    seed: int | None = None
    skip: int = 0
    only: str = ""
    hold: bool = False
    page: int = 0
    owner: str = ""
    _random: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        re.compile(self.match)
        if self.kind and self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, not {self.kind!r}")
        if self.only not in {"", "reads", "writes"}:
            raise ValueError(f"only must be reads or writes, not {self.only!r}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be between 0 and 1, not {self.probability!r}")
        self._random = random.Random(self.seed)  # noqa: S311 - which calls fail, not a secret

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> Fault:
        """Build a fault from JSON; ValueError names what is wrong with it."""
        known = {option.name for option in fields(cls) if option.init}
        unknown = sorted(set(raw) - known)
        if unknown or "match" not in raw:
            raise ValueError(f"a fault needs 'match' and takes {sorted(known)}; got {sorted(raw)}")
        try:
            return cls(**raw)
        except (re.error, TypeError, ValueError) as error:
            raise ValueError(f"fault {raw!r}: {error}") from error

    def as_dict(self) -> dict[str, Any]:
        return {option.name: getattr(self, option.name) for option in fields(self) if option.init}

    def error(self, call: Call) -> Code | None:
        """What it answers instead of the call's own answer."""
        if self.kind:
            return code_of(self.kind, call)
        return Code(self.code, self.status, self.message) if self.code else None

    @property
    def loses(self) -> bool:
        """Whether the call takes effect and its answer is lost."""
        return self.after and not self.hold

    def hits(self, call: Call) -> bool:
        """Whether this call is the fault's; it counts, so ask once per call."""
        if self.times == 0 or not self._concerns(call):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self._random.random() >= self.probability:
            return False
        if self.times != FOR_EVER:
            self.times -= 1
        return True

    def _concerns(self, call: Call) -> bool:
        only = "writes" if self.lag else self.only
        if only and (only == "reads") != call.is_read:
            return False
        return re.fullmatch(self.match, call.name) is not None


class Faults:
    """The faults that are set, and the memory that stale reads are served from. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._remembered: dict[tuple[str, ...], Response] = {}
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

    def remove(self, owner: str) -> int:
        """End the faults of one owner; return how many there were."""
        with self._lock:
            ended = [fault for fault in self._faults if fault.owner == owner]
            self._faults = [fault for fault in self._faults if fault.owner != owner]
            if any(fault.lag for fault in ended):
                self._remembered.clear()
                self._stale_until.clear()
            return len(ended)

    def as_list(self) -> list[dict[str, Any]]:
        """What is left of each fault, in the form that `parse` takes."""
        with self._lock:
            return [fault.as_dict() for fault in self._faults]

    def take(self, call: Call) -> list[Fault]:
        """The faults that hit this call; each is used up by one. Lag hits writes only."""
        with self._lock:
            hit = [fault for fault in self._faults if fault.hits(call)]
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


def _identity(call: Call) -> tuple[str, ...]:
    return call.service, call.region, call.action, call.path, call.body.decode("latin-1")
