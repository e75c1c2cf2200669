"""Twenty alarms and a dashboard on the whole platform, and the drill: an outage makes the right alarms sound, and end.

An alarm's minute takes two seconds here, at the sandbox's pace.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from tests.harness import ROOT, Run, Sandbox, inventory, play, running_sandbox
from tests.integration.conftest import Counted, counted
from tests.integration.traffic import Traffic
from tests.picture import drawn, query

CLUSTER = "hokusai-development"
PREFIX = "hokusai-development-"
PLAYBOOK = "tests/integration/monitoring.yml"
RATE = 20.0
REPORTS = ROOT / "build" / "reports"
SOUND_SECONDS, END_SECONDS = 90.0, 150.0
OUTAGES: dict[str, set[str]] = {
    "mlflow": {"mlflow-no-healthy-host", "registry-target-5xx", "outage"},
    "auth": {"auth-no-healthy-host", "auth-elb-5xx", "outage"},
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("monitoring"), "--healthy") as started:
        yield started


@pytest.fixture(scope="module")
def at(sandbox: Sandbox) -> dict[str, str]:
    return {"HOKUSAI_SANDBOX_HOME": str(sandbox.home)}


@pytest.fixture(scope="module")
def names() -> set[str]:
    return {each["name"] for each in inventory("sandbox")["hokusai_alarms"]}


@pytest.fixture(scope="module")
def first(sandbox: Sandbox, at: dict[str, str]) -> Counted:
    return counted(sandbox, PLAYBOOK, extra=at)


@pytest.fixture(scope="module")
def second(sandbox: Sandbox, at: dict[str, str], first: Counted) -> Counted:
    first.run.wanted()
    return counted(sandbox, PLAYBOOK, extra=at)


def states(sandbox: Sandbox) -> dict[str, str]:
    """By the name without what all begin with."""
    found = sandbox.client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=100)
    alarms = (*found["MetricAlarms"], *found["CompositeAlarms"])
    return {each["AlarmName"].removeprefix(PREFIX): each["StateValue"] for each in alarms}


def sounding(sandbox: Sandbox) -> set[str]:
    return {name for name, state in states(sandbox).items() if state == "ALARM"}


def quiet(sandbox: Sandbox) -> bool:
    return set(states(sandbox).values()) == {"OK"}


def eventually(holds: Callable[[], bool], seconds: float, told: Callable[[], Any]) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, told()
        time.sleep(0.5)


def test_there_are_twenty_alarms(names: set[str]) -> None:
    assert len(names) == 20


def test_the_first_run_creates_them_and_the_dashboard(sandbox: Sandbox, first: Counted, names: set[str]) -> None:
    first.run.wanted()
    actions = first.calls["actions"]
    assert (actions["cloudwatch:PutMetricAlarm"], actions["cloudwatch:PutCompositeAlarm"]) == (19, 1)
    assert actions["cloudwatch:PutDashboard"] == 1
    assert {PREFIX + name for name in states(sandbox)} == names


def test_the_second_run_writes_nothing(second: Counted) -> None:
    second.run.wanted()
    assert (second.run.changed, second.calls["writes"]) == (0, 0), second.calls


def test_every_action_is_there_and_enabled(sandbox: Sandbox, second: Counted) -> None:
    found = sandbox.client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    alarms = (*found["MetricAlarms"], *found["CompositeAlarms"])
    topics = [each["TopicArn"] for each in sandbox.client("sns").list_topics()["Topics"]]
    assert all(each["ActionsEnabled"] and each["AlarmActions"] == each["OKActions"] == topics for each in alarms)


def test_one_field_changed_behind_its_back_is_one_write(sandbox: Sandbox, at: dict[str, str], second: Counted) -> None:
    sandbox.client("cloudwatch").disable_alarm_actions(AlarmNames=[f"{PREFIX}slow"])
    repaired = counted(sandbox, PLAYBOOK, extra=at)
    repaired.run.wanted()
    assert [step[1:] for step in repaired.run.steps] == [
        ("put_metric_alarm", f"alarm {PREFIX}slow: set ActionsEnabled")
    ]
    assert repaired.calls["writes"] == 1, repaired.calls


@pytest.fixture(scope="module")
def watched(sandbox: Sandbox, second: Counted) -> Iterator[Sandbox]:
    """Every alarm is OK, while requests come."""
    second.run.wanted()
    registry = Traffic(sandbox, RATE, ("/api/health/mlflow",))
    auth = Traffic(sandbox, RATE, ("/health",), "auth.hokus.ai")
    with registry, auth:
        eventually(lambda: quiet(sandbox), SOUND_SECONDS, lambda: states(sandbox))
        yield sandbox


class Figure(NamedTuple):
    least: float
    most: float


@dataclass
class Drill:
    """What was seen of one outage. `during` are the alarms that sounded, `figures` the dashboard's by widget."""

    during: set[str] = field(default_factory=set)
    figures: dict[str, dict[str, Figure]] = field(default_factory=dict)
    verdict: Run = field(default_factory=lambda: Run(0, ""))
    after: dict[str, str] = field(default_factory=dict)
    ever: set[str] = field(default_factory=set)


@pytest.fixture(scope="module", params=sorted(OUTAGES))
def drill(request: pytest.FixtureRequest, watched: Sandbox, at: dict[str, str]) -> tuple[str, Drill]:
    service, seen, began = request.param, Drill(), datetime.now(UTC)
    scale(watched, service, 0)
    try:
        eventually(lambda: sounding(watched) >= OUTAGES[service], SOUND_SECONDS, lambda: states(watched))
        seen.during = sounding(watched)
        seen.figures = {title: figures(watched, title, began) for title in ("5xx by emitter", "Healthy hosts")}
        seen.verdict = play("playbooks/verify.yml", "-e", "hokusai_publish_metrics=true", extra=at)
        seen.ever = sounded(watched, began)
        seen.figures["Health score"] = figures(watched, "Health score", began)
        picture(watched, service)
    finally:
        scale(watched, service, 1)
    eventually(lambda: quiet(watched), END_SECONDS, lambda: states(watched))
    seen.after = states(watched)
    return service, seen


def picture(sandbox: Sandbox, service: str) -> None:
    """For people, beside the reports of the tests: docs/monitoring.svg is that of MLflow's outage."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    shown = drawn(sandbox.client("cloudwatch"), "hokusai-development", datetime.now(UTC))
    (REPORTS / f"outage-{service}.svg").write_text(shown)


def scale(sandbox: Sandbox, service: str, count: int) -> None:
    ecs = sandbox.client("ecs")
    ecs.update_service(cluster=CLUSTER, service=f"hokusai-{service}-development", desiredCount=count)


def sounded(sandbox: Sandbox, since: datetime) -> set[str]:
    """The alarms that went to ALARM since then."""
    items = sandbox.client("cloudwatch").describe_alarm_history(
        AlarmTypes=["MetricAlarm", "CompositeAlarm"], HistoryItemType="StateUpdate", StartDate=since, MaxRecords=100
    )["AlarmHistoryItems"]
    entered = [each for each in items if each["HistorySummary"].endswith("to ALARM")]
    return {each["AlarmName"].removeprefix(PREFIX) for each in entered}


def figures(sandbox: Sandbox, title: str, since: datetime) -> dict[str, Figure]:
    """For each line of the dashboard's widget, by its id, the least and the most since then."""
    cloudwatch = sandbox.client("cloudwatch")
    body = json.loads(cloudwatch.get_dashboard(DashboardName="hokusai-development")["DashboardBody"])
    (widget,) = [each for each in body["widgets"] if each["properties"].get("title") == title]
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[query(line) for line in widget["properties"]["metrics"]],
        StartTime=since - timedelta(minutes=1),
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
    )
    lines = [each for each in answer["MetricDataResults"] if each["Values"]]
    return {each["Id"]: Figure(min(each["Values"]), max(each["Values"])) for each in lines}


def test_exactly_the_right_alarms_sound(drill: tuple[str, Drill]) -> None:
    service, seen = drill
    assert seen.during == OUTAGES[service]


def test_what_a_validation_finds_sounds_too_and_nothing_else(drill: tuple[str, Drill]) -> None:
    """The addresses in Cloud Map are seen by a validation alone, which was asked to publish."""
    service, seen = drill
    assert OUTAGES[service] <= seen.ever <= OUTAGES[service] | {"discovery-unhealthy"}


def test_the_dashboard_shows_it(drill: tuple[str, Drill]) -> None:
    service, seen = drill
    assert seen.figures["Healthy hosts"][f"{service}_healthy"].least == 0
    emitter = {"mlflow": "expression2", "auth": "expression1"}[service]
    assert seen.figures["5xx by emitter"][emitter].most > 0
    assert seen.figures["Health score"]["health_score"].least < 100


def test_the_verification_names_it(drill: tuple[str, Drill]) -> None:
    service, seen = drill
    assert seen.verdict.code != 0
    assert f"ECS service {service}" in " ".join(seen.verdict.output.split())


def test_every_alarm_ends_after_the_restart(drill: tuple[str, Drill]) -> None:
    assert set(drill[1].after.values()) == {"OK"}
