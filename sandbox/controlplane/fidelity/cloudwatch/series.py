"""Metrics as CloudWatch keeps them: data points by namespace, name and dimensions, and statistics over periods."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

Dimensions = tuple[tuple[str, str], ...]
Points = dict[float, float]
"""Values by the beginning of their period, in seconds of Unix time."""

KEPT_SECONDS = 3 * 3600.0
SAMPLES_KEPT = 2400
"""Of one metric: at the sandbox's usual pace a host count's last half hour."""
VALUES_KEPT = 256
"""Of one data point, for percentiles; more are thinned out evenly."""


@dataclass(frozen=True)
class Metric:
    """`dimensions` are sorted by name: a metric is known by all of them, and by no fewer."""

    namespace: str
    name: str
    dimensions: Dimensions = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One published data point. `values` are empty where only a statistic set was published."""

    time: float
    count: float
    total: float
    minimum: float
    maximum: float
    values: tuple[float, ...] = ()


def sample(time: float, values: Sequence[float]) -> Sample:
    step = max(1, math.ceil(len(values) / VALUES_KEPT))
    return Sample(
        time, len(values), math.fsum(values), min(values), max(values), tuple(sorted(values)[step // 2 :: step])
    )


def from_statistics(time: float, given: Mapping[str, Any]) -> Sample:
    count, total, least, most = (float(given[key]) for key in ("SampleCount", "Sum", "Minimum", "Maximum"))
    return Sample(time, count, total, least, most, (least,) if least == most else ())


class MetricStore:
    """Every metric's samples, the oldest first; those older than `KEPT_SECONDS`, or one too many, are forgotten."""

    def __init__(self) -> None:
        self._samples: dict[Metric, deque[Sample]] = {}

    def add(self, metric: Metric, added: Sample) -> None:
        held = self._samples.setdefault(metric, deque(maxlen=SAMPLES_KEPT))
        held.append(added)
        while held and held[0].time < added.time - KEPT_SECONDS:
            held.popleft()

    def metrics(self) -> Iterator[Metric]:
        return iter(tuple(self._samples))

    def between(self, metric: Metric, start: float, end: float) -> list[Sample]:
        """Those of `start` and later, before `end`; samples are thought to have come in the order of their times."""
        newest_first = reversed(self._samples.get(metric, ()))
        recent = takewhile(lambda each: each.time >= start, newest_first)
        return [each for each in recent if each.time < end]

    def statistic(
        self, metric: Metric, statistic: str, period: float, start: float, end: float, anchor: float = 0.0
    ) -> Points:
        """The statistic of each period that has a sample; one of the periods begins at `anchor`."""
        compute = statistic_of(statistic)
        periods: dict[float, list[Sample]] = {}
        for each in self.between(metric, start, end):
            number = math.floor(round((each.time - anchor) / period, 9))
            periods.setdefault(anchor + number * period, []).append(each)
        found = {begin: compute(samples) for begin, samples in sorted(periods.items())}
        return {begin: value for begin, value in found.items() if value is not None}


STATISTICS: Mapping[str, Callable[[Sequence[Sample]], float]] = {
    "Sum": lambda found: math.fsum(each.total for each in found),
    "SampleCount": lambda found: math.fsum(each.count for each in found),
    "Average": lambda found: math.fsum(each.total for each in found) / math.fsum(each.count for each in found),
    "Minimum": lambda found: min(each.minimum for each in found),
    "Maximum": lambda found: max(each.maximum for each in found),
}


def statistic_of(name: str) -> Callable[[Sequence[Sample]], float | None]:
    """`Sum`, ..., or a percentile from `p0.0` to `p100`. Raises ValueError for anything else."""
    if name in STATISTICS:
        return STATISTICS[name]
    given = re.fullmatch(r"p(\d{1,2}(?:\.\d{1,2})?|100)", name)
    if not given:
        raise ValueError(f"The value {name} for parameter Stat is not supported.")
    rank = float(given.group(1)) / 100
    return lambda found: percentile([value for each in found for value in each.values], rank)


def percentile(values: Iterable[float], rank: float) -> float | None:
    """Between the two values nearest to the rank, in proportion; None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = rank * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))
