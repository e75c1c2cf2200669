"""A circuit breaker: stop asking an upstream that does not answer, and find out when it does again.

Only the absence of an answer counts (refused, unresolvable, timed out, closed); a 500 of MLflow's is an answer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from gateway.errors import GatewayError

CLOSED = "closed"
OPEN = "open"
HALF_OPEN = "half-open"

FIRST_PAUSE = 1.0
"""Seconds from the opening to the first probe."""

_DOUBLINGS = 12


class Breaker:
    """Opens after ``failures`` in a row; then lets one request through as a probe, after a second at first and after
    twice as long as before when that fails, ``recovery`` seconds at most: a restart is over soon, an outage is not.

    It probes for ever; after ``attempts`` failed probes in a row it only says so, because no later success would
    reach a breaker that has given up.
    """

    def __init__(
        self,
        name: str,
        refusal: type[GatewayError],
        failures: int,
        recovery: float,
        attempts: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._refusal = refusal
        self._threshold = failures
        self._recovery = recovery
        self._attempts = attempts
        self._clock = clock
        self._failures = 0
        self._failed_probes = 0
        self._opened: float | None = None
        self._probing = False
        self.transitions: Counter[str] = Counter()
        """How often the breaker went to each state."""

    @property
    def state(self) -> str:
        if self._opened is None:
            return CLOSED
        return HALF_OPEN if self._probing or self._wait() <= 0 else OPEN

    @property
    def exhausted(self) -> bool:
        """True when as many probes failed as recovery should take: somebody has to look."""
        return self._failed_probes >= self._attempts

    def _wait(self) -> float:
        if self._opened is None:
            return 0.0
        pause = min(self._recovery, FIRST_PAUSE * 2.0 ** min(self._failed_probes, _DOUBLINGS))
        return self._opened + pause - self._clock()

    def admit(self) -> None:
        """Let a request through, or raise the ``refusal``. Follow with exactly one of the three below."""
        if self._opened is None:
            return
        if self._probing or self._wait() > 0:
            raise self._refusal(
                f"{self._name} did not answer {self._failures} times in a row; it is not asked again yet.",
                max(1.0, self._wait()),
            )
        self._probing = True
        self.transitions[HALF_OPEN] += 1

    def succeeded(self) -> None:
        self._failures = self._failed_probes = 0
        if self._opened is not None:
            self.transitions[CLOSED] += 1
        self._opened = None
        self._probing = False

    def failed(self) -> None:
        self._failures += 1
        if self._probing:
            self._failed_probes += 1
        if self._probing or (self._opened is None and self._failures >= self._threshold):
            self._opened = self._clock()
            self.transitions[OPEN] += 1
        self._probing = False

    def released(self) -> None:
        """The request ended without telling anything about the upstream (its client left)."""
        self._probing = False
