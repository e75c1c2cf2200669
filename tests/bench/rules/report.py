"""The measured figures as a table, as JSON, and against the bars of the issue."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

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


@dataclass(frozen=True)
class Bar:
    what: str
    measured: float | None
    limit: float

    @property
    def met(self) -> bool:
        return self.measured is not None and self.measured <= self.limit

    def line(self) -> str:
        if self.measured is None:
            return f"  not measured  {self.what}"
        return f"  {'met    ' if self.met else 'NOT met'}  {self.what}: {self.measured:.2f} (<= {self.limit:g})"


def bars(figures: Sequence[Figure]) -> Iterator[Bar]:
    """What the issue asks of ours."""
    ours = [each for each in figures if each.way == OURS]
    calls = [each.calls for each in ours if each.operation == "no-op"]
    api = [e.api_seconds for e in ours if (e.operation, e.rules) == ("create", 100) and round(e.delay, 3) == 0.08]
    yield Bar("calls of a no-op at any size", max(calls, default=None), NOOP_CALLS)
    yield Bar("seconds of API time to create 100 rules at 80 ms a call", max(api, default=None), CREATE_SECONDS)
    yield Bar("lost requests in all cases", sum(each.lost for each in ours) if ours else None, 0)
    yield Bar("misrouted requests in all cases", sum(each.misrouted for each in ours) if ours else None, 0)
    yield Bar("changes that failed or led elsewhere", sum(not e.right for e in ours) if ours else None, 0)


def machine() -> dict[str, float]:
    """What else the machine has to do: a load beyond the cores makes every time longer."""
    return {"cores": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 1)}


def as_json(figures: Sequence[Figure], **more: Any) -> dict[str, Any]:
    judged = [{**asdict(bar), "met": bar.met} for bar in bars(figures)]
    return {"figures": [asdict(each) for each in figures], "bars": judged, **more}
