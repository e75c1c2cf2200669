"""What a run wrote to alarms, dashboards and logs is taken back, and what others changed since is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import restore
from ansible_collections.hokusai.platform.plugins.modules import cloudwatch_alarms, cloudwatch_dashboard, log_groups

from tests.unit.alb_edge import Edge
from tests.unit.restore_platform import ALARM, Platform, watch

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
