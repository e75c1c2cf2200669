# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading CloudWatch: the states of alarms, and how much of something there was in a span of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, calling

ALARMS_PER_CALL = 100
QUERIES_PER_CALL = 500
PERIOD = timedelta(seconds=60)
"""The resolution in which the load balancers report; AWS rounds the beginning of a span down to it."""


@dataclass(frozen=True)
class Metric:
    """`dimensions` are names and values: a metric is known by all of them, and by no fewer."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


def alarm_states(aws: Aws, names: Sequence[str]) -> dict[str, str]:
    """OK, ALARM or INSUFFICIENT_DATA by name, composite alarms among them; an alarm that does not exist is left out."""
    found: dict[str, str] = {}
    for start in range(0, len(names), ALARMS_PER_CALL):
        with calling("describe the alarms"):
            pages = (
                aws.client("cloudwatch")
                .get_paginator("describe_alarms")
                .paginate(
                    AlarmNames=list(names[start : start + ALARMS_PER_CALL]),
                    AlarmTypes=["MetricAlarm", "CompositeAlarm"],
                )
            )
            for page in pages:
                for each in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ())):
                    found[each["AlarmName"]] = each["StateValue"]
    return found


def sums(aws: Aws, metrics: Sequence[Metric], start: datetime, end: datetime) -> dict[Metric, float]:
    """What each metric adds up to between the two; 0 where it has no data point. Raises `AwsError` for partial data."""
    wanted = {f"m{number}": metric for number, metric in enumerate(dict.fromkeys(metrics))}
    totals = dict.fromkeys(wanted.values(), 0.0)
    queries = [_query(id_, metric) for id_, metric in wanted.items()]
    for first in range(0, len(queries), QUERIES_PER_CALL):
        with calling("get the data of metrics"):
            pages = (
                aws.client("cloudwatch")
                .get_paginator("get_metric_data")
                .paginate(MetricDataQueries=queries[first : first + QUERIES_PER_CALL], StartTime=start, EndTime=end)
            )
            for result in (each for page in pages for each in page["MetricDataResults"]):
                _refuse_partial(result, wanted)
                totals[wanted[result["Id"]]] += sum(result["Values"])
    return totals


def _query(id_: str, metric: Metric) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
    named = {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}
    return {"Id": id_, "MetricStat": {"Metric": named, "Period": int(PERIOD.total_seconds()), "Stat": "Sum"}}


def _refuse_partial(result: Mapping[str, Any], wanted: Mapping[str, Metric]) -> None:
    """`PartialData` of one page is completed by the next; `InternalError` and `Forbidden` are not."""
    status = result.get("StatusCode", "Complete")
    if status not in ("Complete", "PartialData"):
        text = f"Could not get the data of {wanted[result['Id']].name}: CloudWatch answered {status}"
        raise AwsError(text, status, "grant cloudwatch:GetMetricData, or ask again later")
