# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking back what a run wrote to alarms, dashboards and log groups."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import alarm, log_group, snapshot_cloudwatch, tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step
from ansible_collections.hokusai.platform.plugins.module_utils.restore_unit import (
    CLOUDWATCH_TAGS,
    Due,
    Todo,
    Unit,
    tag_steps,
)
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry
from ansible_collections.hokusai.platform.plugins.module_utils.three_way import REMOVE, Undo, with_fields

GONE = "not there before the run"

# --- alarms


def alarms(undos: Iterable[Undo]) -> Unit:
    """All of them at once: composite alarms come after those they ask about, and go, or ask no more, before them."""
    todo = Todo(tuple(undos))
    names = {undo.entry.name for undo in todo.undos}
    return Unit("alarms", "cloudwatch", todo, lambda aws: snapshot_cloudwatch.alarms(aws, names, ""), alarm_steps)


def alarm_steps(due: Due) -> Iterator[Step]:
    for entry in _in_order(due.create):
        arguments = {**_settings(entry), "Tags": tags.to_aws(entry.fields.get("Tags", {}))}
        yield Step(_verb(entry), arguments, f"alarm {entry.name}: make again")
    for entry, fields in due.changes:
        what = f"alarm {entry.name}"
        plain = sorted(name for name in fields if not name.startswith("Tags."))
        if plain:
            restored = with_fields(entry, fields)
            why = f"{what}: {', '.join(plain)} as before the run"
            yield Step(_verb(restored), _settings(restored), why, over=True)
        yield from tag_steps(what, fields, str(entry.where["Arn"]), CLOUDWATCH_TAGS)
    yield from alarm.deletions([_alarm(entry) for entry in due.remove], GONE)


def is_composite(entry: Entry) -> bool:
    return "AlarmRule" in entry.fields


def _in_order(entries: Iterable[Entry]) -> list[Entry]:
    by_name = {entry.name: entry for entry in entries}
    return [by_name[each.name] for each in alarm.in_order(map(_alarm, by_name.values()))]


def _alarm(entry: Entry) -> alarm.Alarm:
    return alarm.Alarm(entry.name, alarm.COMPOSITE if is_composite(entry) else alarm.METRIC, entry.fields)


def _verb(entry: Entry) -> str:
    return alarm.PUT[_alarm(entry).kind]


def _settings(entry: Entry) -> dict[str, Any]:
    kept = {name: value for name, value in entry.fields.items() if name in alarm.SETTINGS}
    return {"AlarmName": entry.name, **kept}


# --- dashboards


def dashboard(undo: Undo) -> Unit:
    def read(aws: Aws) -> Iterable[Entry]:
        return snapshot_cloudwatch.dashboards(aws, [undo.entry.name])

    return Unit(f"dashboard {undo.entry.name}", "cloudwatch", Todo((undo,)), read, dashboard_steps)


def dashboard_steps(due: Due) -> Iterator[Step]:
    for entry in due.remove:
        yield Step("delete_dashboards", {"DashboardNames": [entry.name]}, f"dashboard {entry.name}: {GONE}")
    for entry in due.create:
        yield _dashboard(entry, entry.fields, "make again")
    for entry, fields in due.changes:
        yield _dashboard(entry, fields, "as before the run", over=True)


def _dashboard(entry: Entry, fields: Mapping[str, Any], why: str, *, over: bool = False) -> Step:
    arguments = {"DashboardName": entry.name, "DashboardBody": json.dumps(fields["DashboardBody"])}
    return Step("put_dashboard", arguments, f"dashboard {entry.name}: {why}", over=over)


# --- logs


def logs(undo: Undo) -> Unit:
    """A log group or a metric filter. A group that the run made stays: its events would go with it."""
    entry = undo.entry
    group = str(entry.where.get("logGroupName", entry.name))

    def read(aws: Aws) -> list[Entry]:
        return [each for each in snapshot_cloudwatch.log_groups(aws, [group]) if each.key == undo.key]

    made = undo.act == REMOVE and entry.kind == "log_group"
    stays = "created by the run, and its events would go with it" if made else ""
    kind = entry.kind.replace("_", " ")
    return Unit(f"{kind} {entry.name}", "logs", Todo((undo,)), read, log_steps, stays=stays)


def log_steps(due: Due) -> Iterator[Step]:
    for entry in due.remove:
        if entry.kind == "metric_filter":
            arguments = {"logGroupName": entry.where["logGroupName"], "filterName": entry.name}
            yield Step("delete_metric_filter", arguments, f"metric filter {entry.name}: {GONE}")
    for entry in due.create:
        yield _filter(entry, entry.fields, "make again")
    for entry, fields in due.changes:
        if entry.kind == "metric_filter":
            yield _filter(entry, with_fields(entry, fields).fields, "as before the run", over=True)
        elif "retentionInDays" in fields:
            yield log_group.retention(entry.name, int(fields["retentionInDays"] or 0))


def _filter(entry: Entry, fields: Mapping[str, Any], why: str, *, over: bool = False) -> Step:
    arguments = {
        "logGroupName": entry.where["logGroupName"],
        "filterName": entry.name,
        "filterPattern": fields.get("filterPattern", ""),
        "metricTransformations": fields["metricTransformations"],
        **{name: fields[name] for name in log_group.FILTER_OPTIONS if fields.get(name)},
    }
    return Step("put_metric_filter", arguments, f"metric filter {entry.name}: {why}", over=over)
