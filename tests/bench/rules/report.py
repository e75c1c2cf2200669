"""The measured figures as lines, and against what is asked of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.report import Bar

NOOP_CALLS = 4
CREATE_SECONDS = 2.5
OURS = "alb_rules"


@dataclass(frozen=True)
class Figure:
    """One change by one module. `right` says whether the listener then has the rules asked for."""

    way: str
    rules: int
    delay: float
    operation: str
    seconds: float
    api_seconds: float
    calls: int
    sent: int
    lost: int
    misrouted: int
    right: bool
    error: str = ""
    examples: tuple[str, ...] = ()

    def line(self) -> str:
        end = f"failed: {self.error}" if self.error else "" if self.right else "the rules are not those asked for"
        return (
            f"{self.rules:>4} {self.delay * 1000:>5.0f} ms  {self.operation:<11} {self.way:<19} {self.seconds:>6.2f} s "
            f"{self.api_seconds:>7.2f} s API {self.calls:>4} calls  {self.lost:>4} lost {self.misrouted:>5} misrouted "
            f"of {self.sent:>5}  {end[:70]}"
        ).rstrip()


def bars(figures: Sequence[Figure]) -> Iterator[Bar]:
    ours = [each for each in figures if each.way == OURS]
    calls = [each.calls for each in ours if each.operation == "no-op"]
    api = [e.api_seconds for e in ours if (e.operation, e.rules) == ("create", 100) and round(e.delay, 3) == 0.08]
    yield Bar("calls of a no-op at any size", max(calls, default=None), NOOP_CALLS)
    yield Bar("seconds of API time to create 100 rules at 80 ms a call", max(api, default=None), CREATE_SECONDS)
    yield Bar("lost requests in all cases", sum(each.lost for each in ours) if ours else None, 0)
    yield Bar("misrouted requests in all cases", sum(each.misrouted for each in ours) if ours else None, 0)
    yield Bar("changes that failed or led elsewhere", sum(not e.right for e in ours) if ours else None, 0)
