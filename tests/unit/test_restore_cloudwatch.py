"""What a run wrote to alarms, dashboards and logs is taken back, and what others changed since is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import (
    alarm,
    log_group,
    restore,
    three_way,
)
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step
from ansible_collections.hokusai.platform.plugins.module_utils.restore_cloudwatch import alarm_steps, log_steps
from ansible_collections.hokusai.platform.plugins.module_utils.restore_unit import Due, State, Todo, due
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry
from ansible_collections.hokusai.platform.plugins.modules import cloudwatch_alarms, cloudwatch_dashboard, log_groups

from tests.unit.alb_edge import Edge
from tests.unit.conftest import CountingAws
from tests.unit.restore_platform import ALARM, Platform, Task, watch
from tests.unit.test_three_way import document, wrote

A = {"metricName": "A", "metricNamespace": "Test", "metricValue": "1"}
ERRORS = {"id": "errors", "name": "Errors", "namespace": "Test"}
ALARMS = [
    {"name": "alarm", "metric": "errors", "threshold": 9, "label": None},
    {"name": "new", "metric": "errors", "threshold": 9},
    {"name": "both", "rule": "ALARM(alarm) OR ALARM(new)"},
]
WIDGETS = [{"title": "errors", "metrics": ["errors"]}]
GROUPS = [
    {
        "name": "/ecs/api",
        "retention_days": 30,
        "metric_filters": [
            {"name": "errors", "pattern": "FATAL", "namespace": "Test", "metric": "Errors"},
            {"name": "new", "pattern": "{ $.status = 502 }", "namespace": "Test", "metric": "New", "default_value": 0},
        ],
    },
    {"name": "/ecs/new"},
]
TASKS = (
    (log_groups, {"groups": GROUPS}),
    (cloudwatch_alarms, {"metrics": [ERRORS], "alarms": ALARMS}),
    (cloudwatch_dashboard, {"name": "board", "metrics": [ERRORS], "widgets": WIDGETS}),
)


@pytest.fixture
def whole(aws: Any, edge: Edge, platform: dict[str, str]) -> Platform:
    watch(aws)
    return Platform(aws, edge, platform)


def test_an_alarm_goes_once_no_composite_alarm_asks_about_it(whole: Platform) -> None:
    """AWS refuses to delete one that is still asked about."""
    first = [ALARMS[0], {"name": "both", "rule": "ALARM(alarm)"}]
    whole.run((cloudwatch_alarms, {"metrics": [ERRORS], "alarms": first}))
    was, before = watched(whole), whole.read()
    notes = whole.run(TASKS[1])
    done = whole.take_back(before, notes)
    assert (watched(whole), done.kept) == (was, [])


def watched(platform: Platform) -> str:
    """All that is watched but the log group that a run makes."""
    kinds = {"alarm", "dashboard", "log_group", "metric_filter"}
    found = [each for each in platform.read()["resources"] if each["kind"] in kinds and each["id"] != "/ecs/new"]
    return json.dumps(found, sort_keys=True)


def test_all_of_it_goes_back_but_a_log_group_that_was_made(whole: Platform) -> None:
    was = watched(whole)
    before = whole.read()
    notes = whole.run(*TASKS)
    assert watched(whole) != was
    done = whole.take_back(before, notes, whole.read())
    assert watched(whole) == was
    kept = [(each.id, each.reason) for each in done.kept if each.kind != "task_definition_family"]
    assert kept == [("/ecs/new", "created by the run, and its events would go with it")]
    assert whole.aws.logs.describe_log_groups(logGroupNamePrefix="/ecs/new")["logGroups"]


@pytest.mark.parametrize("dry", [True, False])
def test_a_log_group_that_was_made_is_told_as_kept_also_where_it_is_all_there_is(whole: Platform, dry: bool) -> None:
    before = whole.read()
    notes = whole.run((log_groups, {"groups": [{"name": "/ecs/new"}]}))
    judgement = whole.judge(before, notes)
    done = whole.take_back(before, notes, dry=dry)
    assert (done.steps, done.diff) == ([], {"before": {}, "after": {}})
    assert [(each.id, each.reason) for each in done.kept] == [
        ("/ecs/new", "created by the run, and its events would go with it")
    ]
    assert restore.fields(judgement, judgement.now, done.kept) == []


LATE: dict[str, tuple[Callable[[Platform], Any], Task]] = {
    "dashboard": (lambda w: w.write("cloudwatch", "delete_dashboards", DashboardNames=["board"]), TASKS[2]),
    "alarm": (lambda w: w.write("cloudwatch", "delete_alarms", AlarmNames=["alarm"]), TASKS[1]),
    "metric_filter": (lambda w: w.write("logs", "delete_log_group", logGroupName="/ecs/api"), TASKS[0]),
}
"""By kind how it was not there before the run, and the task that changes it."""


@pytest.mark.parametrize("kind", LATE)
def test_what_somebody_made_after_the_snapshot_and_the_run_changed_is_not_removed(whole: Platform, kind: str) -> None:
    remove, task = LATE[kind]
    remove(whole)
    before = whole.read()
    watch(whole.aws, kind)
    notes = whole.run(task)
    done = whole.take_back(before, notes, whole.read())
    kept = [(each.kind, each.reason) for each in done.kept if each.kind == kind]
    assert kept == [(kind, "not there before, and not created by the run")]


def test_it_goes_back_too_when_the_run_came_to_no_end(whole: Platform) -> None:
    was, before = watched(whole), whole.read()
    notes = whole.run(*TASKS)
    whole.take_back(before, notes)
    assert watched(whole) == was


def test_deleted_alarms_come_back_with_their_tags(whole: Platform) -> None:
    was, before = watched(whole), whole.read()
    notes = whole.run((cloudwatch_alarms, {"alarms": []}))
    assert watched(whole) != was
    whole.take_back(before, notes, whole.read())
    assert watched(whole) == was


def test_deleted_alarms_on_alarms_come_back_in_the_order_that_aws_takes(whole: Platform) -> None:
    joined = [{"name": "a-top", "rule": "ALARM(m-middle)"}, {"name": "m-middle", "rule": "ALARM(alarm)"}]
    whole.run((cloudwatch_alarms, {"metrics": [ERRORS], "alarms": [ALARMS[0], *joined]}))
    was, before = watched(whole), whole.read()
    notes = whole.run((cloudwatch_alarms, {"alarms": []}))
    whole.take_back(before, notes, whole.read())
    assert watched(whole) == was


def test_a_setting_that_somebody_changed_since_is_kept(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(TASKS[1])
    after = whole.read()
    live = whole.aws.client("cloudwatch").describe_alarms(AlarmNames=["alarm"])["MetricAlarms"][0]
    theirs = {key: value for key, value in live.items() if key in {*ALARM, "TreatMissingData", "DatapointsToAlarm"}}
    whole.write("cloudwatch", "put_metric_alarm", **{**theirs, "Threshold": 77.0})
    done = whole.take_back(before, notes, after)
    (kept,) = [each for each in done.kept if each.kind == "alarm"]
    assert (kept.field, kept.before, kept.now) == ("Threshold", 1.0, 77.0)
    entry = whole.entry("alarm", "alarm")["fields"]
    assert (entry["Threshold"], entry["AlarmDescription"]) == (77.0, "theirs")


def test_a_dry_run_says_the_steps_and_takes_none(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(*TASKS)
    now = watched(whole)
    predicted = whole.take_back(before, notes, whole.read(), dry=True)
    assert watched(whole) == now
    done = whole.take_back(before, notes, whole.read())
    assert [step.why for step in done.steps] == [step.why for step in predicted.steps]


@dataclass(frozen=True)
class Held:
    """One resource, the fields that a run writes over it, and how its deletion reads in a journal."""

    entry: Entry
    put: tuple[str, str, dict[str, Any]]
    delete: tuple[str, str, dict[str, Any]]
    steps: Callable[[Due], Iterator[Step]]


HELD = {
    "alarm": Held(
        Entry("alarm", "errors", "errors", {"Threshold": 1.0}, {"Arn": "arn:errors"}),
        ("cloudwatch", "put_metric_alarm", {"AlarmName": "errors", "Threshold": 2.0}),
        ("cloudwatch", "delete_alarms", {"AlarmNames": ["errors"]}),
        alarm_steps,
    ),
    "metric_filter": Held(
        Entry("metric_filter", "api:errors", "errors", {"metricTransformations": [A]}, {"logGroupName": "api"}),
        (
            *("logs", "put_metric_filter"),
            {"logGroupName": "api", "filterName": "errors", "metricTransformations": [{**A, "metricValue": "2"}]},
        ),
        ("logs", "delete_metric_filter", {"logGroupName": "api", "filterName": "errors"}),
        log_steps,
    ),
}
OPTIONS = [
    ("alarm", {"WarmUpConfiguration": {"WarmUpPeriodDurationInMinutes": 5}}),
    ("alarm", {"EvaluationCriteria": {"PromQLCriteria": {"Query": "up"}}}),
    ("alarm", {"EvaluationInterval": 60}),
    ("alarm", {"EvaluationWindow": {"WallClockWindow": {"Timezone": "Europe/Berlin"}}}),
    ("alarm", {"ActionConfiguration": {"AlarmTagsPropagation": {"Enabled": True}}}),
    ("metric_filter", {"applyOnTransformedLogs": True}),
    ("metric_filter", {"fieldSelectionCriteria": '@aws.region = "eu-central-1"'}),
    ("metric_filter", {"emitSystemFieldDimensions": ["@aws.account"]}),
]


@pytest.mark.parametrize("removed", [False, True], ids=["written over", "removed"])
@pytest.mark.parametrize(("kind", "option"), OPTIONS)
def test_what_a_write_takes_away_by_leaving_it_out_comes_back(kind: str, option: dict[str, Any], removed: bool) -> None:
    held = HELD[kind]
    before = replace(held.entry, fields={**held.entry.fields, **option})
    left = {name: value for name, value in held.put[2].items() if name in before.fields}
    now = [] if removed else [replace(before, fields=left)]
    service, verb, arguments = held.delete if removed else held.put
    live = document(*now)
    judgement = three_way.judge(document(before), wrote(service, verb, **arguments), live, live)
    assert judgement.kept == ()
    todo = Todo(judgement.undos)
    (step,) = held.steps(due(State({each.key: each for each in now}, todo), todo))
    assert {name: step.args.get(name) for name in before.fields} == before.fields


def test_of_an_alarm_all_that_aws_lets_be_set_is_known(aws: CountingAws) -> None:
    model = aws.client("cloudwatch").meta.service_model
    put = (set(model.operation_model(name).input_shape.members) for name in ("PutMetricAlarm", "PutCompositeAlarm"))
    assert set(alarm.SETTINGS) == set.union(*put) - {"AlarmName", "Tags"}


def test_of_a_metric_filter_all_that_aws_lets_be_set_is_known(aws: CountingAws) -> None:
    taken = set(aws.logs.meta.service_model.operation_model("PutMetricFilter").input_shape.members)
    known = {"logGroupName", "filterName", "filterPattern", "metricTransformations"}
    assert set(log_group.FILTER_OPTIONS) == taken - known
