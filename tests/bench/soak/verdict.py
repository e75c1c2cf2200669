"""What the soak must show, and which failures have an excuse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.soak.client import Failure, Ledger
from tests.bench.soak.upstream import Outage, Upstream

MARGIN = 0.1
"""Seconds after the upstream listens again in which a failure is still put down to its absence."""

MEMORY_MB = 10.0
"""How much the gateway may hold more at the end than after the first round: allocators do not give all back."""

SPARE_DESCRIPTORS = 2
UNAVAILABLE = 503
SHOWN = 5


@dataclass(frozen=True)
class Held:
    """What the gateway holds when nobody talks to it."""

    rss_mb: float
    descriptors: int
    tasks: int


def excused(failure: Failure, outages: Sequence[Outage], recovery: float) -> bool:
    """Whether the upstream was away at some moment between sending and answer, or had come back just before.

    The breaker needs failures to open and time to try again, so a 503 is excused for its recovery time longer.
    """
    patience = MARGIN + (recovery if failure.status == UNAVAILABLE else 0)
    return any(failure.ended >= outage.began and failure.sent <= outage.ended + patience for outage in outages)


@dataclass(frozen=True)
class Verdict:
    what: str
    found: str
    good: bool

    def line(self) -> str:
        return f"  {'ok    ' if self.good else 'FAILED'}  {self.what}: {self.found}"


def verdicts(ledger: Ledger, upstream: Upstream, first: Held, last: Held, recovery: float) -> Iterator[Verdict]:
    unexcused = [failure for failure in ledger.failures if not excused(failure, upstream.outages, recovery)]
    shown = "".join(f"\n            {failure}" for failure in unexcused[:SHOWN])
    yield Verdict("failures while the upstream was there", f"{len(unexcused)}{shown}", not unexcused)
    twice = [name for name, count in upstream.created.items() if count > 1]
    yield Verdict(
        "writes that reached the upstream more than once", f"{len(twice)} of {len(upstream.created)}", not twice
    )
    lost = ledger.acknowledged - upstream.created.keys()
    yield Verdict("writes answered 200 that never reached the upstream", str(len(lost)), not lost)
    grown = last.rss_mb - first.rss_mb
    yield Verdict("RSS, MB", f"{first.rss_mb:.1f} -> {last.rss_mb:.1f}", grown <= MEMORY_MB)
    more = last.descriptors - first.descriptors
    yield Verdict("open descriptors", f"{first.descriptors} -> {last.descriptors}", more <= SPARE_DESCRIPTORS)
    yield Verdict("asyncio tasks", f"{first.tasks} -> {last.tasks}", last.tasks <= first.tasks)
