"""The CloudWatch API over the backend."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch import responses
from moto.cloudwatch.exceptions import InvalidParameterCombination, InvalidParameterValue, ValidationError
from moto.core.responses import ActionResult, EmptyResult

from sandbox.controlplane.fidelity.cloudwatch.backend import seconds
from sandbox.controlplane.fidelity.cloudwatch.expressions import ExpressionError
from sandbox.controlplane.fidelity.cloudwatch.queries import Answers, Span, metric_of, period_of
from sandbox.controlplane.fidelity.cloudwatch.series import Metric

MAX_QUERIES = 500
METRICS_PER_PAGE = 500
ALARM_PAGE = 50
HISTORY_PAGE = 100


class CloudWatchResponse(responses.CloudWatchResponse):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """Source of the rules: CloudWatch API reference 2010-08-01."""

    def put_metric_alarm(self) -> ActionResult:
        self.cloudwatch_backend.put_alarm("MetricAlarm", self._get_params())
        return EmptyResult()

    def put_composite_alarm(self) -> ActionResult:
        self.cloudwatch_backend.put_alarm("CompositeAlarm", self._get_params())
        return EmptyResult()

    def describe_alarms(self) -> ActionResult:
        given = self._get_params()
        if given.get("AlarmNames") and given.get("AlarmNamePrefix"):
            raise InvalidParameterCombination("AlarmNames and AlarmNamePrefix cannot be given together")
        kinds = given.get("AlarmTypes") or ["MetricAlarm"]
        found = self.cloudwatch_backend.described(
            kinds, given.get("AlarmNames") or (), given.get("AlarmNamePrefix") or "", given.get("StateValue") or ""
        )
        page, token = paged(found, given, int(given.get("MaxRecords") or ALARM_PAGE))
        listed = {
            kind: [each.shown() for each in page if each.kind == kind] for kind in ("MetricAlarm", "CompositeAlarm")
        }
        return ActionResult(
            {"MetricAlarms": listed["MetricAlarm"], "CompositeAlarms": listed["CompositeAlarm"], "NextToken": token}
        )

    def describe_alarm_history(self) -> ActionResult:
        given = self._get_params()
        kinds = given.get("AlarmTypes") or ["MetricAlarm"]
        items = [
            item
            for each in self.cloudwatch_backend.alarms.values()
            if each.kind in kinds and given.get("AlarmName") in {None, each.name}
            for item in each.history
            if given.get("HistoryItemType") in {None, item["HistoryItemType"]}
            and _within(item["Timestamp"], given.get("StartDate"), given.get("EndDate"))
        ]
        items.sort(key=lambda item: item["Timestamp"], reverse=given.get("ScanBy") != "TimestampAscending")
        page, token = paged(items, given, int(given.get("MaxRecords") or HISTORY_PAGE))
        return ActionResult({"AlarmHistoryItems": page, "NextToken": token})

    def describe_alarms_for_metric(self) -> ActionResult:
        given = self._get_params()
        wanted = metric_of(given)
        found = [
            each.shown()
            for each in self.cloudwatch_backend.described(["MetricAlarm"], (), "", "")
            if each.settings.get("MetricName") and metric_of(each.settings) == wanted
        ]
        return ActionResult({"MetricAlarms": found})

    def get_metric_data(self) -> ActionResult:
        given = self._get_params()
        queries = given.get("MetricDataQueries") or []
        if len(queries) > MAX_QUERIES:
            raise ValidationError(f"The collection MetricDataQueries must not have a size greater than {MAX_QUERIES}.")
        for query in queries:
            if "MetricStat" not in query and "Expression" not in query:
                raise ValidationError("The parameter MetricDataQueries.member.1.MetricStat is required.\n")
        start, end = seconds(given["StartTime"]), seconds(given["EndTime"])
        if start >= end:
            raise ValidationError("The parameter StartTime must be less than the parameter EndTime.")
        period = period_of(queries)
        answers = Answers(self.cloudwatch_backend.store, queries, Span(math.floor(start / period) * period, end))
        descending = given.get("ScanBy") != "TimestampAscending"
        shown = [_result(answers, query, descending=descending) for query in queries if query.get("ReturnData", True)]
        return ActionResult({"MetricDataResults": shown, "Messages": []})

    def get_metric_statistics(self) -> ActionResult:
        given = self._get_params()
        statistics = [*(given.get("Statistics") or ()), *(given.get("ExtendedStatistics") or ())]
        if not statistics:
            raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
        period = int(given["Period"])
        points: dict[float, dict[str, Any]] = {}
        start, end = seconds(given["StartTime"]), seconds(given["EndTime"])
        for name in statistics:
            try:
                found = self.cloudwatch_backend.store.statistic(metric_of(given), name, period, start, end)
            except ValueError as error:
                raise InvalidParameterValue(str(error)) from error
            for time, value in found.items():
                point = points.setdefault(time, {"Timestamp": _moment(time), "Unit": "None"})
                (point.setdefault("ExtendedStatistics", {}) if name[0] == "p" else point)[name] = value
        return ActionResult({"Label": given["MetricName"], "Datapoints": list(points.values())})

    def list_metrics(self) -> ActionResult:
        given = self._get_params()
        found = list(
            self.cloudwatch_backend.list_matching(
                given.get("Namespace"), given.get("MetricName"), given.get("Dimensions") or ()
            )
        )
        page, token = paged(found, given, METRICS_PER_PAGE)
        return ActionResult({"Metrics": [_metric(each) for each in page], "NextToken": token})


def paged(found: list[Any], given: dict[str, Any], size: int) -> tuple[list[Any], str | None]:
    """The page that the request's token asks for, and the token of the next."""
    first = int(given.get("NextToken") or 0)
    return found[first : first + size], str(first + size) if first + size < len(found) else None


def _metric(metric: Metric) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
    return {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}


def _result(answers: Answers, query: dict[str, Any], *, descending: bool) -> dict[str, Any]:
    try:
        points = sorted(answers.points(query["Id"]).items(), reverse=descending)
    except ExpressionError as error:
        raise ValidationError(str(error)) from error
    except ValueError as error:
        raise InvalidParameterValue(str(error)) from error
    named = query.get("MetricStat", {}).get("Metric", {}).get("MetricName")
    return {
        "Id": query["Id"],
        "Label": query.get("Label") or named or query["Id"],
        "Timestamps": [_moment(time) for time, _ in points],
        "Values": [value for _, value in points],
        "StatusCode": "Complete",
    }


def _moment(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC).replace(tzinfo=None)


def _within(at: datetime, start: Any, end: Any) -> bool:
    moment = seconds(at)
    return (start is None or seconds(start) <= moment) and (end is None or moment <= seconds(end))
