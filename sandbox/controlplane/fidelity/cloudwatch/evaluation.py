"""What a metric alarm's data points make of its state.

Source: CloudWatch user guide, "Evaluating an alarm" and "Configuring how CloudWatch alarms treat missing data". More
periods are looked at than are evaluated, and an older point takes the place of a missing one; what is still missing is
then treated as the alarm says.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

EXTRA_PERIODS = 2

OK, ALARM, INSUFFICIENT = "OK", "ALARM", "INSUFFICIENT_DATA"

COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
TREATMENTS: Mapping[str, str] = {
    "missing": "Missing",
    "ignore": "Ignore",
    "breaching": "Breaching",
    "notBreaching": "NonBreaching",
}


@dataclass(frozen=True)
class Verdict:
    """A state and CloudWatch's words for it."""

    state: str
    reason: str


@dataclass(frozen=True)
class Condition:
    """What an alarm asks of its data points."""

    comparison: str
    threshold: float
    periods: int
    to_alarm: int
    treatment: str

    @classmethod
    def of(cls, alarm: Mapping[str, Any]) -> Condition:
        periods = int(alarm["EvaluationPeriods"])
        return cls(
            alarm["ComparisonOperator"],
            float(alarm.get("Threshold") or 0),
            periods,
            int(alarm.get("DatapointsToAlarm") or periods),
            alarm.get("TreatMissingData") or "missing",
        )

    def breaches(self, value: float) -> bool:
        return COMPARISONS[self.comparison][0](value, self.threshold)


Point = tuple[float, float | None]
"""The beginning of a period, and the value there or None."""


def judge(test: Condition, points: Sequence[Point]) -> Verdict | None:
    """`points` are the `periods + EXTRA_PERIODS` last periods, the oldest first; None leaves the state as it is."""
    existing = [(time, value) for time, value in points if value is not None][-test.periods :]
    breaching = sum(test.breaches(value) for _, value in existing)
    missing = test.periods - len(existing)
    if not existing:
        return _judge_nothing(test)
    if test.treatment == "breaching":
        breaching += missing
    elif missing and test.treatment in {"missing", "ignore"} and breaching == len(existing) < test.to_alarm:
        if test.treatment == "ignore":
            return None
        return Verdict(ALARM, _crossed(test, existing, breaching, missing))
    state = ALARM if breaching >= test.to_alarm else OK
    return Verdict(state, _crossed(test, existing, breaching, missing))


def _judge_nothing(test: Condition) -> Verdict | None:
    if test.treatment == "ignore":
        return None
    count = f"{test.periods} period{'s' if test.periods > 1 else ''}"
    if test.treatment == "missing":
        return Verdict(INSUFFICIENT, f"Insufficient Data: {count} had no data points.")
    state = ALARM if test.treatment == "breaching" else OK
    were = f"{test.periods} missing datapoint{'s were' if test.periods > 1 else ' was'}"
    treated = TREATMENTS[test.treatment]
    return Verdict(
        state, f"Threshold Crossed: no datapoints were received for {count} and {were} treated as [{treated}]."
    )


def _crossed(test: Condition, existing: Sequence[tuple[float, float]], breaching: int, missing: int) -> str:
    shown = ", ".join(f"{value} ({_stamp(time)})" for time, value in reversed(existing))
    count = f"{len(existing)} datapoint{'s' if len(existing) > 1 else ''}"
    were = "were" if len(existing) > 1 else "was"
    not_ = "" if breaching >= test.to_alarm else "not "
    said = COMPARISONS[test.comparison][1]
    out_of = f"{breaching} out of the last {test.periods} datapoints [{shown}]" if not not_ else f"{count} [{shown}]"
    tail = f" ({missing} missing, treated as [{TREATMENTS[test.treatment]}])" if missing else ""
    return f"Threshold Crossed: {out_of} {were} {not_}{said} the threshold ({test.threshold}){tail}."


def _stamp(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%d/%m/%y %H:%M:%S")
