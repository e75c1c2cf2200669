# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Log groups with their retention and metric filters: wanted and live in one form, and the writes between them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, calling
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step

RETENTIONS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""Days (CloudWatch Logs API reference: PutRetentionPolicy)."""


@dataclass(frozen=True)
class MetricFilter:
    """What of the lines becomes a metric: `value` is a number, or a property of the line as `$.ms`."""

    name: str
    pattern: str
    namespace: str
    metric: str
    value: str = "1"
    default: float | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else AWS says of filter and transformation, in its own names: nothing here asks for that."""

    def to_aws(self, group: str) -> dict[str, Any]:
        change: dict[str, Any] = {
            "metricName": self.metric,
            "metricNamespace": self.namespace,
            "metricValue": self.value,
        }
        if self.default is not None:
            change["defaultValue"] = self.default
        return {
            "logGroupName": group,
            "filterName": self.name,
            "filterPattern": self.pattern,
            "metricTransformations": [change],
        }


@dataclass(frozen=True)
class LogGroup:
    """`retention` in days, 0 for ever; a None is unmanaged. Filters nobody asked for stay."""

    name: str
    retention: int | None = None
    filters: Mapping[str, MetricFilter] = field(default_factory=dict)


@dataclass(frozen=True)
class LogGroups:
    groups: Mapping[str, LogGroup]

    def over(self, current: LogGroups) -> LogGroups:
        found = {}
        for name, wanted in self.groups.items():
            live = current.groups.get(name, LogGroup(name, 0))
            kept = live.retention if wanted.retention is None else wanted.retention
            found[name] = replace(wanted, retention=kept, filters={**live.filters, **wanted.filters})
        return LogGroups(found)

    def shown(self) -> dict[str, Any]:
        return {
            name: {"retention_days": each.retention, "metric_filters": each.filters}
            for name, each in sorted(self.groups.items())
        }


def from_options(given: Iterable[Mapping[str, Any]]) -> LogGroups:
    """Raises `BadInput` for a retention that AWS does not know, and for what is listed twice."""
    found: dict[str, LogGroup] = {}
    for each in given:
        name, days = each["name"], each["retention_days"]
        if days not in (None, 0, *RETENTIONS):
            known = ", ".join(map(str, RETENTIONS))
            raise BadInput(f"No log group keeps its events for {days} days", f"use one of {known}, or 0 for ever")
        if name in found:
            raise BadInput(f"The log group {name} is listed twice", "put all that is wanted of it into one entry")
        filters = {one["name"]: _filter(one) for one in each["metric_filters"]}
        if len(filters) < len(each["metric_filters"]):
            raise BadInput(f"Two metric filters of {name} have the same name", "give each its own")
        found[name] = LogGroup(name, days, filters)
    return LogGroups(found)


def _filter(given: Mapping[str, Any]) -> MetricFilter:
    return MetricFilter(
        given["name"], given["pattern"], given["namespace"], given["metric"], given["value"], given["default_value"]
    )


_MANAGED = {"metricName", "metricNamespace", "metricValue", "defaultValue"}
FILTER_OPTIONS = ("applyOnTransformedLogs", "fieldSelectionCriteria", "emitSystemFieldDimensions")
"""What else a write of a filter sets, and takes away where it does not give it."""


def filter_from_aws(described: Mapping[str, Any]) -> MetricFilter:
    (change,) = described["metricTransformations"]
    default = change.get("defaultValue")
    others = {name: described.get(name) for name in FILTER_OPTIONS} | change
    more = {key: value for key, value in others.items() if key not in _MANAGED and value and value != "None"}
    return MetricFilter(
        described["filterName"],
        described.get("filterPattern", ""),
        change["metricNamespace"],
        change["metricName"],
        change["metricValue"],
        None if default is None else float(default),
        more,
    )


def read(aws: Aws, names: Iterable[str]) -> list[tuple[Mapping[str, Any], list[Mapping[str, Any]]]]:
    """The log groups of these names that exist, each with its metric filters, as AWS describes them."""
    names = set(names)
    if not names:
        return []
    prefix = beginning(names)
    narrowed = {"logGroupNamePrefix": prefix} if prefix else {}
    with calling("describe the log groups"):
        pages = aws.logs.get_paginator("describe_log_groups").paginate(**narrowed)
        found = [each for page in pages for each in page["logGroups"] if each["logGroupName"] in names]
        return [(each, _filters(aws, each["logGroupName"])) for each in found]


def beginning(names: Collection[str]) -> str:
    """What all the names begin with."""
    first, last = min(names), max(names)
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(one for one, _other in alike)


def _filters(aws: Aws, group: str) -> list[Mapping[str, Any]]:
    pages = aws.logs.get_paginator("describe_metric_filters").paginate(logGroupName=group)
    return [each for page in pages for each in page["metricFilters"]]


def observe(aws: Aws, names: Iterable[str]) -> LogGroups:
    return LogGroups(
        {
            each["logGroupName"]: LogGroup(
                each["logGroupName"],
                int(each.get("retentionInDays") or 0),
                {one["filterName"]: filter_from_aws(one) for one in filters if len(one["metricTransformations"]) == 1},
            )
            for each, filters in read(aws, names)
        }
    )


def steps(current: LogGroups, desired: LogGroups) -> Iterator[Step]:
    for name, wanted in desired.groups.items():
        what, live = f"log group {name}", current.groups.get(name)
        if live is None:
            yield Step("create_log_group", {"logGroupName": name, "tags": tags.owned(None)}, f"{what}: create")
        days = live.retention if live else 0
        if wanted.retention not in (None, days):
            yield retention(name, wanted.retention or 0)
        for each in wanted.filters.values():
            there = live.filters.get(each.name) if live else None
            if there != each:
                why = f"{what}: {'change' if there else 'add'} the metric filter {each.name}"
                yield Step("put_metric_filter", each.to_aws(name), why, over=there is not None)


def retention(group: str, days: int) -> Step:
    what = f"log group {group}"
    if days:
        arguments = {"logGroupName": group, "retentionInDays": days}
        return Step("put_retention_policy", arguments, f"{what}: keep events for {days} days")
    return Step("delete_retention_policy", {"logGroupName": group}, f"{what}: keep events for ever")
