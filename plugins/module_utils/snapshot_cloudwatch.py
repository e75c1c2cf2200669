# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Alarms, dashboards and log groups with their metric filters, as a snapshot has them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ansible_collections.hokusai.platform.plugins.module_utils import alarm, log_group
from ansible_collections.hokusai.platform.plugins.module_utils.alarm_observation import alarms as live_alarms
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.dashboard_observation import live_body
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry, without

ALARM_VOLATILE = alarm.VOLATILE
DASHBOARD_VOLATILE = {
    "DashboardArn": "follows from the name",
    "DashboardName": "the name",
}
LOG_GROUP_VOLATILE = {
    "logGroupName": "the name",
    "arn": "follows from the name",
    "logGroupArn": "follows from the name",
    "creationTime": "a time",
    "metricFilterCount": "a count; each filter is a resource of its own",
    "storedBytes": "a count",
    "inheritedProperties": "follows from the account's policies",
}
METRIC_FILTER_VOLATILE = {
    "filterName": "the name",
    "logGroupName": "said in where",
    "creationTime": "a time",
}


def alarms(aws: Aws, names: Collection[str], owner: str) -> Iterator[Entry]:
    """The alarms of these names, and all that carry the owner's tag."""
    if not names and not owner:
        return
    for each in live_alarms(aws, names, owner):
        fields = without({**each.settings, "Tags": each.tags})
        yield Entry("alarm", each.name, each.name, fields, {"Arn": each.arn})


def dashboards(aws: Aws, names: Collection[str]) -> Iterator[Entry]:
    for name in names:
        body = live_body(aws, name)
        if body is not None:
            yield Entry("dashboard", name, name, {"DashboardBody": body})


def log_groups(aws: Aws, names: Collection[str]) -> Iterator[Entry]:
    for group, filters in log_group.read(aws, names):
        name = group["logGroupName"]
        yield Entry("log_group", name, name, without(group, LOG_GROUP_VOLATILE))
        for each in filters:
            identity = filter_id(name, each["filterName"])
            fields = without(each, METRIC_FILTER_VOLATILE)
            yield Entry("metric_filter", identity, each["filterName"], fields, {"logGroupName": name})


def filter_id(group: str, name: str) -> str:
    """A metric filter has no id of its own; its name has no colon."""
    return f"{group}:{name}"
