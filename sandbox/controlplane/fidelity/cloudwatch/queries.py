"""MetricDataQueries, of GetMetricData and of alarms, over a span of time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sandbox.controlplane.fidelity.cloudwatch.expressions import ExpressionError, Scope, evaluate
from sandbox.controlplane.fidelity.cloudwatch.series import Metric, MetricStore, Points

Query = Mapping[str, Any]


def metric_of(given: Mapping[str, Any]) -> Metric:
    """From a `Metric`, a `MetricDatum` with its namespace, or an alarm."""
    dimensions = ((each["Name"], each["Value"]) for each in given.get("Dimensions") or ())
    return Metric(given["Namespace"], given["MetricName"], tuple(sorted(dimensions)))


def period_of(queries: Sequence[Query]) -> int:
    """The shortest of the metrics' periods: that of the expressions among them."""
    periods = [each["MetricStat"]["Period"] if "MetricStat" in each else each.get("Period") for each in queries]
    return min((int(each) for each in periods if each), default=60)


@dataclass(frozen=True)
class Span:
    """From `start` to before `end`. Periods begin at `anchor` and at multiples of their length.

    `pace` divides every period that a query names.
    """

    start: float
    end: float
    pace: float = 1.0
    anchor: float = 0.0


class Answers:
    """The results of all queries by id. Raises ExpressionError, and ValueError for an unknown statistic."""

    def __init__(self, store: MetricStore, queries: Sequence[Query], span: Span) -> None:
        self._store, self._span = store, span
        self._queries = {each["Id"]: each for each in queries}
        self._open: set[str] = set()

    @cached_property
    def times(self) -> tuple[float, ...]:
        period = period_of(tuple(self._queries.values())) / self._span.pace
        first = math.floor(round((self._span.start - self._span.anchor) / period, 6))
        last = math.ceil(round((self._span.end - self._span.anchor) / period, 6))
        return tuple(self._span.anchor + number * period for number in range(first, last))

    def points(self, id_: str) -> Points:
        """An expression that comes to a number has it at each period."""
        found = self.value(id_)
        return found if isinstance(found, dict) else dict.fromkeys(self.times, float(found))

    def value(self, id_: str) -> Any:
        query = self._queries.get(id_)
        if query is None:
            raise ExpressionError(f"Error in expression: there is no query with the id {id_}")
        if "MetricStat" in query:
            given = query["MetricStat"]
            period = int(given["Period"]) / self._span.pace
            return self._store.statistic(
                metric_of(given["Metric"]),
                given["Stat"],
                period,
                self._span.start,
                self._span.end,
                self._span.anchor,
            )
        if id_ in self._open:
            raise ExpressionError(f"Error in expression: {id_} refers to itself")
        self._open.add(id_)
        found = evaluate(query["Expression"], Scope(self.value, self.times))
        self._open.discard(id_)
        return found
