"""CloudWatch Logs whose metric filters are evaluated: what matches becomes a data point of CloudWatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.logs import models
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException

from sandbox.controlplane.fidelity.cloudwatch.series import Metric
from sandbox.controlplane.fidelity.logs.pattern import PatternError, compiled, value_at
from sandbox.controlplane.fidelity.replace import Replacement, use_backend

RETENTIONS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""Days; CloudWatch Logs API reference, PutRetentionPolicy."""


class LogsBackend(Replacement, models.LogsBackend):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """A metric filter counts only what is logged after it was made."""

    moto_package = "moto.logs"

    def put_log_events(self, log_group_name: str, log_stream_name: str, log_events: list[dict[str, Any]]) -> Any:
        answer = super().put_log_events(log_group_name, log_stream_name, log_events)
        lines = [str(event["message"]) for event in log_events]
        for each in self.filters.get_matching_filters(log_group_name=log_group_name):
            self._count(each, lines)
        return answer

    def put_metric_filter(
        self, filter_name: str, filter_pattern: str, log_group_name: str, metric_transformations: Any
    ) -> None:
        """Create the filter, or replace the one of its name."""
        if log_group_name not in self.groups:
            raise ResourceNotFoundException("The specified log group does not exist.")
        try:
            compiled(filter_pattern)
        except PatternError as error:
            raise InvalidParameterException(str(error)) from error
        self.filters.delete_filter(filter_name, log_group_name)
        super().put_metric_filter(filter_name, filter_pattern, log_group_name, metric_transformations)

    def delete_metric_filter(self, filter_name: str | None = None, log_group_name: str | None = None) -> None:
        held = self.filters.get_matching_filters(filter_name, log_group_name)
        if not any(each["filterName"] == filter_name for each in held):
            raise ResourceNotFoundException("The specified metric filter does not exist.")
        super().delete_metric_filter(filter_name, log_group_name)

    def put_retention_policy(self, log_group_name: str, retention_in_days: Any) -> None:
        if int(retention_in_days) not in RETENTIONS:
            raise InvalidParameterException(
                f"{retention_in_days} is no valid retention; valid are {', '.join(map(str, RETENTIONS))}"
            )
        super().put_retention_policy(log_group_name, retention_in_days)

    def _count(self, metric_filter: Mapping[str, Any], lines: Sequence[str]) -> None:
        """A value for each line that matches; the default value when none of the lines does."""
        matches = compiled(metric_filter["filterPattern"])
        found = [line for line in lines if matches(line)]
        for change in metric_filter["metricTransformations"]:
            values = [value for line in found if (value := _worth(change["metricValue"], line)) is not None]
            if not values and change.get("defaultValue") is not None and lines:
                values = [float(change["defaultValue"])]
            if values:
                metric = Metric(change["metricNamespace"], change["metricName"])
                cloudwatch_backends[self.account_id][self.region_name].publish(metric, values)


def _worth(value: str, line: str) -> float | None:
    return value_at(line, value) if value.startswith("$") else float(value)


def install() -> None:
    """Replace moto's logs."""
    use_backend(models.logs_backends, LogsBackend)
