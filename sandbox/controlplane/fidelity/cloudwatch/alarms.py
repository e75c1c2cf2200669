"""Alarms: what PutMetricAlarm and PutCompositeAlarm refuse, what they keep, and the history of their states.

Source of the rules: CloudWatch API reference, PutMetricAlarm and PutCompositeAlarm.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.exceptions import InvalidParameterCombination, ValidationError

from sandbox.controlplane.clock import CLOCK
from sandbox.controlplane.fidelity.cloudwatch import composite, expressions
from sandbox.controlplane.fidelity.cloudwatch.evaluation import COMPARISONS, INSUFFICIENT, TREATMENTS
from sandbox.controlplane.fidelity.cloudwatch.series import STATISTICS, statistic_of

Parameters = Mapping[str, Any]

HIGH_RESOLUTION = (10, 20, 30)
HOUR_SECONDS, DAY_SECONDS, LONGEST_SECONDS = 3600, 24 * 3600, 7 * 24 * 3600
LISTS = ("AlarmActions", "OKActions", "InsufficientDataActions")
HISTORY_KEPT = 100


class AlarmRecord:
    """An alarm in the fields of DescribeAlarms. `made` is when it was created, in seconds of Unix time."""

    def __init__(self, arn: str, kind: str) -> None:
        self.arn, self.kind = arn, kind
        self.made = CLOCK.now()
        self.settings: dict[str, Any] = {}
        self.state, self.reason = INSUFFICIENT, "Unchecked: Initial alarm creation"
        self.changed = self.configured = stamp()
        self.history: list[dict[str, Any]] = []

    @property
    def name(self) -> str:
        return str(self.settings["AlarmName"])

    @property
    def rule(self) -> str:
        return str(self.settings["AlarmRule"])

    def configure(self, parameters: Parameters) -> None:
        """The settings become the given ones, all of them; the state stays."""
        given = {key: value for key, value in parameters.items() if key != "Tags" and value is not None}
        defaults: dict[str, Any] = {"ActionsEnabled": True, **{key: [] for key in LISTS}}
        if self.kind == "MetricAlarm" and not given.get("Metrics"):
            defaults["Dimensions"] = []
        verb = "updated" if self.settings else "created"
        self.settings, self.configured = {**defaults, **given}, stamp()
        self.note("ConfigurationUpdate", f'Alarm "{self.name}" {verb}', {"type": verb.capitalize()})

    def enter(self, state: str, reason: str) -> None:
        """The state with its reason; a change of the state is noted, and what it sets off."""
        before, self.reason = self.state, reason
        if state == before:
            return
        self.state, self.changed = state, stamp()
        self.note(
            "StateUpdate",
            f"Alarm updated from {before} to {state}",
            {"oldState": {"stateValue": before}, "newState": {"stateValue": state, "stateReason": reason}},
        )
        key = {"OK": "OKActions", "ALARM": "AlarmActions"}.get(state, "InsufficientDataActions")
        for action in self.settings[key] if self.settings["ActionsEnabled"] else ():
            self.note("Action", f"Successfully executed action {action}", {"actionState": "Succeeded"})

    def note(self, kind: str, summary: str, data: Parameters) -> None:
        item = {
            "AlarmName": self.name,
            "AlarmType": self.kind,
            "Timestamp": stamp(),
            "HistoryItemType": kind,
            "HistorySummary": summary,
            "HistoryData": json.dumps({"version": "1.0", **data}),
        }
        self.history = [*self.history[-HISTORY_KEPT + 1 :], item]

    def shown(self) -> dict[str, Any]:
        return {
            **self.settings,
            "AlarmArn": self.arn,
            "AlarmConfigurationUpdatedTimestamp": self.configured,
            "StateValue": self.state,
            "StateReason": self.reason,
            "StateUpdatedTimestamp": self.changed,
            "StateTransitionedTimestamp": self.changed,
        }


def stamp() -> datetime:
    return datetime.fromtimestamp(CLOCK.now(), UTC).replace(tzinfo=None)


def check_metric_alarm(given: Parameters) -> None:
    """Refuse what AWS refuses."""
    if given.get("ComparisonOperator") not in COMPARISONS:
        raise ValidationError("ComparisonOperator must be one of " + ", ".join(COMPARISONS))
    if given.get("TreatMissingData", "missing") not in TREATMENTS:
        raise ValidationError("Unsupported treat missing data value")
    if bool(given.get("Metrics")) == bool(given.get("MetricName")):
        raise ValidationError("Either MetricName or Metrics must be given, and not both")
    if int(given.get("DatapointsToAlarm") or 1) > int(given["EvaluationPeriods"]):
        raise ValidationError("DatapointsToAlarm must be less than or equal to EvaluationPeriods")
    if given.get("Metrics"):
        _check_queries(given)
    else:
        _check_metric(given)


def _check_metric(given: Parameters) -> None:
    if bool(given.get("Statistic")) == bool(given.get("ExtendedStatistic")):
        raise InvalidParameterCombination("Must specify exactly one of Statistic and ExtendedStatistic")
    if given.get("Statistic") and given["Statistic"] not in STATISTICS:
        raise ValidationError(f"Value '{given['Statistic']}' at 'statistic' failed to satisfy constraint")
    if given.get("ExtendedStatistic"):
        _supported(given["ExtendedStatistic"])
    _check_period(given.get("Period"), int(given["EvaluationPeriods"]))


def _check_queries(given: Parameters) -> None:
    clashing = [
        key for key in ("Namespace", "Dimensions", "Period", "Statistic", "ExtendedStatistic") if given.get(key)
    ]
    if clashing:
        raise ValidationError(f"{', '.join(clashing)} cannot be given together with Metrics")
    ids = {each["Id"] for each in given["Metrics"]}
    if len(ids) < len(given["Metrics"]):
        raise ValidationError("The values for parameter Id in Metrics are not unique")
    if sum(each.get("ReturnData", True) for each in given["Metrics"]) != 1:
        raise ValidationError("Exactly one element of the metrics list should return data")
    for each in given["Metrics"]:
        if "MetricStat" in each:
            _supported(each["MetricStat"]["Stat"])
            _check_period(each["MetricStat"].get("Period"), int(given["EvaluationPeriods"]))
            continue
        try:
            unknown = expressions.names(each["Expression"]) - ids
        except expressions.ExpressionError as error:
            raise ValidationError(str(error)) from error
        if unknown:
            raise ValidationError(f"Invalid metrics list: {', '.join(sorted(unknown))} not found in Metrics")


def _supported(statistic: str) -> None:
    try:
        statistic_of(statistic)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def _check_period(period: Any, evaluated: int) -> None:
    if period is None:
        raise ValidationError("Period must be given")
    period = int(period)
    if period <= 0 or (period not in HIGH_RESOLUTION and period % 60):
        raise ValidationError(f"Period {period} must be 10, 20, 30 or a multiple of 60")
    if period * evaluated > LONGEST_SECONDS:
        raise ValidationError("Metrics cannot be checked across more than a week (EvaluationPeriods * Period)")
    if period < HOUR_SECONDS and period * evaluated > DAY_SECONDS:
        raise ValidationError("Metrics cannot be checked across more than a day (EvaluationPeriods * Period)")


def check_composite_alarm(given: Parameters, known: Mapping[str, Any]) -> None:
    """`known` are the alarms by name; a rule may name others' ARNs as well."""
    try:
        asked = composite.names(given.get("AlarmRule") or "")
        composite.holds(given.get("AlarmRule") or "", lambda _: "OK")
    except composite.RuleError as error:
        raise ValidationError(str(error)) from error
    names = [each.rpartition(":alarm:")[2] for each in asked]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValidationError(f"AlarmRule refers to alarms that do not exist: {', '.join(unknown)}")
    if given["AlarmName"] in names:
        raise ValidationError("An alarm cannot be in its own AlarmRule")
