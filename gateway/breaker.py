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

UPLOADS_LATER = 5.0
"""Seconds that a probe is kept for requests that are here whole, before one whose body still streams may be it."""

_DOUBLINGS = 12
_NO_PROBE = 0


class Breaker:
    """Opens after ``failures`` in a row; then lets one request through as a probe, after a second at first and after
    twice as long as before when that fails, ``recovery`` seconds at most: a restart is over soon, an outage is not.

    It probes for ever; after ``attempts`` failed probes in a row it only says so, because no later success would
    reach a breaker that has given up.

    A client that drips its body decides how long its request takes, so it is a probe only if no other request came,
    and any other takes its place.
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
        self._probes = 0
        self._probe = 0
        self._probe_streams = False
        self.transitions: Counter[str] = Counter()
        """How often the breaker went to each state."""

    @property
    def state(self) -> str:
        if self._opened is None:
            return CLOSED
        return HALF_OPEN if self._probe or self._wait() <= 0 else OPEN

    @property
    def exhausted(self) -> bool:
        """True when as many probes failed as recovery should take: somebody has to look."""
        return self._failed_probes >= self._attempts

    def _wait(self) -> float:
        if self._opened is None:
            return 0.0
        pause = min(self._recovery, FIRST_PAUSE * 2.0 ** min(self._failed_probes, _DOUBLINGS))
        return self._opened + pause - self._clock()

    def check(self) -> None:
        """Raise the ``refusal`` if nothing could be let through now, whatever it is."""
        if self._opened is not None and self._wait() > 0:
            raise self._no()

    def admit(self, *, streams: bool = False) -> int:
        """Let a request through, or raise the ``refusal``. The ticket goes into exactly one of the three below.

        ``streams`` is true of a request whose body is not here yet.
        """
        if self._opened is None:
            return _NO_PROBE
        taken = self._probe and not (self._probe_streams and not streams)
        if taken or self._wait() > (-UPLOADS_LATER if streams else 0):
            raise self._no()
        self._probes += 1
        self._probe, self._probe_streams = self._probes, streams
        self.transitions[HALF_OPEN] += 1
        return self._probe

    def _no(self) -> GatewayError:
        return self._refusal(
            f"{self._name} did not answer {self._failures} times in a row; it is not asked again yet.",
            max(1.0, self._wait()),
        )

    def succeeded(self) -> None:
        """Whichever request it was: an answer is an answer."""
        self._failures = self._failed_probes = 0
        if self._opened is not None:
            self.transitions[CLOSED] += 1
        self._opened = None
        self._probe = _NO_PROBE

    def failed(self, ticket: int = 0) -> None:
        self._failures += 1
        probed = self._ends_probe(ticket)
        if probed:
            self._failed_probes += 1
        if probed or (self._opened is None and self._failures >= self._threshold):
            self._opened = self._clock()
            self.transitions[OPEN] += 1

    def released(self, ticket: int = 0) -> None:
        """The request ended without telling anything about the upstream (its client left)."""
        self._ends_probe(ticket)

    def _ends_probe(self, ticket: int) -> bool:
        """Only the probe itself does, and not what was let through before the breaker opened."""
        if ticket == _NO_PROBE or ticket != self._probe:
            return False
        self._probe = _NO_PROBE
        return True
