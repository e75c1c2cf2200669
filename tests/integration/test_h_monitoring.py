"""Twenty alarms and a dashboard on the whole platform, and the drill: an outage makes the right alarms sound, and end.

Each sounds as soon as its configured periods are over. An alarm's minute takes two seconds here, at the sandbox's pace.
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
from tests.picture import drawn, labels, query
from tests.picture import sounding as shown_sounding

CLUSTER = "hokusai-development"
PREFIX = "hokusai-development-"
PLAYBOOK = "tests/integration/monitoring.yml"
RATE = 20.0
PICTURE = ROOT / "docs" / "monitoring.svg"
REPORTS = ROOT / "build" / "reports"
SOUND_SECONDS, END_SECONDS = 90.0, 150.0
MINUTE = timedelta(seconds=2)
LAG = 5 * MINUTE
"""A period is looked at when it is over, and a busy machine looks late."""
WATCHING: dict[str, tuple[str, ...]] = {
    "mlflow": ("mlflow-no-healthy-host", "registry-target-5xx"),
    "auth": ("auth-no-healthy-host", "auth-elb-5xx"),
}
"""By the service that is stopped, the alarms of a metric that sound; the composite one does for both."""
OUTAGES = {service: {*alarms, "outage"} for service, alarms in WATCHING.items()}
SEEN_BY_A_VALIDATION = "discovery-unhealthy"
PUBLISHING = ("-e", "hokusai_publish_metrics=true")


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
def watched(sandbox: Sandbox, at: dict[str, str], second: Counted) -> Iterator[Sandbox]:
    """Every alarm is OK, while requests come; a validation was asked to publish, which one of them waits for."""
    second.run.wanted()
    play("playbooks/verify.yml", *PUBLISHING, extra=at).wanted()
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
    """What was seen of one outage.

    `during` are the alarms that sounded, `figures` the dashboard's by widget, `entered` when each alarm sounded first,
    `began` when its metric was first beyond its threshold, `picture` the dashboard, `after` their states in the end.
    """

    during: set[str] = field(default_factory=set)
    figures: dict[str, dict[str, Figure]] = field(default_factory=dict)
    verdict: Run = field(default_factory=lambda: Run(0, ""))
    after: dict[str, str] = field(default_factory=dict)
    entered: dict[str, datetime] = field(default_factory=dict)
    began: dict[str, datetime] = field(default_factory=dict)
    picture: str = ""


@pytest.fixture(scope="module", params=sorted(OUTAGES))
def drill(request: pytest.FixtureRequest, watched: Sandbox, at: dict[str, str]) -> tuple[str, Drill]:
    service, seen, began = request.param, Drill(), datetime.now(UTC)
    scale(watched, service, 0)
    try:
        eventually(lambda: sounding(watched) >= OUTAGES[service], SOUND_SECONDS, lambda: states(watched))
        seen.during = sounding(watched)
        seen.figures = {title: figures(watched, title, began) for title in ("5xx by emitter", "Healthy hosts")}
        seen.verdict = play("playbooks/verify.yml", *PUBLISHING, extra=at)
        eventually(lambda: SEEN_BY_A_VALIDATION in sounding(watched), END_SECONDS, lambda: states(watched))
        seen.entered = entered(watched, began)
        seen.began = {name: first_breach(watched, alarm(watched, name), began) for name in WATCHING[service]}
        seen.figures["Health score"] = figures(watched, "Health score", began)
        seen.picture = picture(watched, service)
    finally:
        scale(watched, service, 1)
    # What the validation found sounds until the next one, and nothing else does once the service is back.
    eventually(lambda: sounding(watched) == {SEEN_BY_A_VALIDATION}, END_SECONDS, lambda: states(watched))
    play("playbooks/verify.yml", *PUBLISHING, extra=at).wanted()
    eventually(lambda: quiet(watched), END_SECONDS, lambda: states(watched))
    seen.after = states(watched)
    return service, seen


def picture(sandbox: Sandbox, service: str) -> str:
    """The dashboard, for people too, beside the reports: docs/monitoring.svg is that of an outage of MLflow."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    shown = drawn(sandbox.client("cloudwatch"), "hokusai-development", datetime.now(UTC))
    (REPORTS / f"outage-{service}.svg").write_text(shown)
    return shown


def scale(sandbox: Sandbox, service: str, count: int) -> None:
    ecs = sandbox.client("ecs")
    ecs.update_service(cluster=CLUSTER, service=f"hokusai-{service}-development", desiredCount=count)


def entered(sandbox: Sandbox, since: datetime) -> dict[str, datetime]:
    """The alarms that went to ALARM since then, and when they first did."""
    items = sandbox.client("cloudwatch").describe_alarm_history(
        AlarmTypes=["MetricAlarm", "CompositeAlarm"], HistoryItemType="StateUpdate", StartDate=since, MaxRecords=100
    )["AlarmHistoryItems"]
    changes = [each for each in items if each["HistorySummary"].endswith("to ALARM")]
    newest_first = sorted(changes, key=lambda each: each["Timestamp"], reverse=True)
    return {each["AlarmName"].removeprefix(PREFIX): each["Timestamp"] for each in newest_first}


def alarm(sandbox: Sandbox, name: str) -> dict[str, Any]:
    described = sandbox.client("cloudwatch").describe_alarms(AlarmNames=[PREFIX + name])
    found: dict[str, Any] = described["MetricAlarms"][0]
    return found


def first_breach(sandbox: Sandbox, watching: dict[str, Any], since: datetime) -> datetime:
    """The second in which there first was no healthy host, or a 5xx."""
    named = {key: watching[key] for key in ("Namespace", "MetricName", "Dimensions")}
    stat = {"Metric": named, "Period": 1, "Stat": watching["Statistic"]}
    answer = sandbox.client("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "m", "MetricStat": stat}],
        StartTime=since,
        EndTime=datetime.now(UTC),
        ScanBy="TimestampAscending",
    )["MetricDataResults"][0]
    is_host_count = watching["MetricName"] == "HealthyHostCount"
    points: Iterator[tuple[datetime, float]] = zip(answer["Timestamps"], answer["Values"], strict=True)
    return next(time for time, value in points if (value < 1) == is_host_count)


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
    assert set(seen.entered) == OUTAGES[service] | {SEEN_BY_A_VALIDATION}


def test_they_sound_within_their_configured_periods(drill: tuple[str, Drill], watched: Sandbox) -> None:
    service, seen = drill
    waited = {name: seen.entered[name] - seen.began[name] for name in WATCHING[service]}
    periods = {name: alarm(watched, name)["EvaluationPeriods"] for name in waited}
    late = {name: time for name, time in waited.items() if time > periods[name] * MINUTE + LAG}
    assert (late, min(waited.values()) > timedelta(0)) == ({}, True), waited


def test_the_dashboard_shows_it(drill: tuple[str, Drill]) -> None:
    service, seen = drill
    assert seen.figures["Healthy hosts"][f"{service}_healthy"].least == 0
    emitter = {"mlflow": "expression2", "auth": "expression1"}[service]
    assert seen.figures["5xx by emitter"][emitter].most > 0
    assert seen.figures["Health score"]["health_score"].least < 100


def test_the_documents_show_this_dashboard_and_this_drill(drill: tuple[str, Drill]) -> None:
    """Where it fails, build/reports/outage-mlflow.svg is to become docs/monitoring.svg."""
    shown = PICTURE.read_text()
    assert labels(shown) == labels(drill[1].picture)
    assert shown_sounding(shown) == OUTAGES["mlflow"] | {SEEN_BY_A_VALIDATION}


def test_the_verification_names_it(drill: tuple[str, Drill]) -> None:
    service, seen = drill
    assert seen.verdict.code != 0
    assert f"ECS service {service}" in " ".join(seen.verdict.output.split())


def test_every_alarm_ends_after_the_restart(drill: tuple[str, Drill]) -> None:
    assert set(drill[1].after.values()) == {"OK"}
