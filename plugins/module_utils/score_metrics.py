# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A health score as data points of custom metrics: `HealthScore`, and `CheckPassed` and `ProbeLatency` by check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, calling

DATA_PER_CALL = 1000


def data(score: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Of a result of `health_checks.total`. Only requests have a latency."""
    yield {"MetricName": "HealthScore", "Value": float(score["score"]), "Unit": "Percent"}
    for check in score["checks"]:
        of = {"Dimensions": [{"Name": "Check", "Value": check["id"]}]}
        yield {"MetricName": "CheckPassed", "Value": float(check["passed"]), "Unit": "None", **of}
        if "ms" in check["evidence"]:
            yield {"MetricName": "ProbeLatency", "Value": float(check["evidence"]["ms"]), "Unit": "Milliseconds", **of}


def publish(aws: Aws, namespace: str, points: Iterable[Mapping[str, Any]]) -> str:
    """Give CloudWatch the data points; what kept it from that, or "". A score is worth having without them."""
    points = list(points)
    try:
        for start in range(0, len(points), DATA_PER_CALL):
            with calling("publish the score"):
                some = points[start : start + DATA_PER_CALL]
                aws.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=some)
    except AwsError as error:
        return str(error)
    return ""
