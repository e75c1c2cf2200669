"""canary_gate against the sandbox's AWS: what it reads there, when it goes on looking, and what it says."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import clock
from ansible_collections.hokusai.platform.plugins.module_utils import lock as locking
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError
from ansible_collections.hokusai.platform.plugins.module_utils.transaction import Run
from ansible_collections.hokusai.platform.plugins.modules import canary_gate
from ansible_collections.hokusai.platform.plugins.modules.canary_gate import main

from sandbox.controlplane import ControlPlane
from sandbox.controlplane.clock import CLOCK
from sandbox.controlplane.faults import Fault
from sandbox.dataplane.metrics import NAMESPACE, suffix
from sandbox.model import MetricPoint
from sandbox.world import World
from tests.unit.alb_edge import Edge
from tests.unit.conftest import RunModule
from tests.unit.run_opened import Opened

STABLE, CANARY = "one", "three"
PAIRS = {"target_groups": [{"stable": STABLE, "canary": CANARY}]}


def now(seconds: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def world(edge: Edge, control_plane: ControlPlane) -> World:
    """Both groups get requests from the load balancer, and have a healthy target."""
    weights = [{"TargetGroupArn": edge.groups[name], "Weight": 50} for name in (STABLE, CANARY)]
    forward = [{"Type": "forward", "ForwardConfig": {"TargetGroups": weights}}]
    edge.aws.elbv2.modify_listener(ListenerArn=edge.listener, DefaultActions=forward)
    world = World(control_plane)
    for name in (STABLE, CANARY):
        world.register_target(edge.groups[name], "10.0.0.9", 8001)
        world.set_target_health(edge.groups[name], "10.0.0.9", 8001, "healthy")
    return world


def served(world: World, edge: Edge, group: str, requests: int, **outcomes: int) -> None:
    """Let the load balancer have sent so many requests to the group; 2XX but for the outcomes by metric."""
    of = (("TargetGroup", suffix(edge.groups[group])), ("LoadBalancer", suffix(edge.balancer, "loadbalancer/")))
    good = {"HTTPCode_Target_2XX_Count": requests - sum(outcomes.values())}
    figures = {"RequestCount": requests, **good, **outcomes}
    world.publish_metrics(NAMESPACE, tuple(MetricPoint(name, of, (1.0,) * n) for name, n in figures.items() if n))


def gate(run_module: RunModule, **options: Any) -> dict[str, Any]:
    given = {**PAIRS, "since": now(-2), "poll": 0.05, "minimum_sample": 10, **options}
    result = run_module(main, **given)
    assert not result.get("failed"), result
    return result


def alarm(edge: Edge, name: str, state: str) -> None:
    cloudwatch = edge.aws.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace=NAMESPACE,
        MetricName="HTTPCode_ELB_5XX_Count",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")


def test_a_good_canary_passes(run_module: RunModule, edge: Edge, world: World) -> None:
    alarm(edge, "quiet", "OK")
    served(world, edge, CANARY, 20)
    served(world, edge, STABLE, 20)
    result = gate(run_module, alarms=["quiet"], probes=[{"name": "health", "ok": True, "count": 5}])
    assert (result["verdict"], result["next"], result["why"], result["looks"]) == ("pass", "advance", [], 1)
    assert [each["gate"] for each in result["gates"]] == [
        "alarm quiet",
        "targets of three",
        "error ratio",
        "probe health",
    ]
    assert result["gates"][2]["why"].startswith("0 of 20 requests failed (0.00%), of the stable service 0 of 20")


@pytest.mark.parametrize("metric", ["HTTPCode_Target_5XX_Count", "TargetConnectionErrorCount"])
def test_what_the_targets_fail_is_counted(metric: str, run_module: RunModule, edge: Edge, world: World) -> None:
    served(world, edge, CANARY, 20, **{metric: 5})
    result = gate(run_module)
    assert (result["verdict"], result["next"]) == ("fail", "back")
    assert result["why"] == ["error ratio: 5 of 20 requests failed (25.00%), borne are 2.00%"]


def test_what_clients_did_wrong_is_no_failure(run_module: RunModule, edge: Edge, world: World) -> None:
    served(world, edge, CANARY, 20, HTTPCode_Target_4XX_Count=15, HTTPCode_Target_3XX_Count=5)
    assert gate(run_module)["verdict"] == "pass"


def test_requests_that_hang_do_not_pass(run_module: RunModule, edge: Edge, world: World) -> None:
    served(world, edge, CANARY, 20, HTTPCode_Target_2XX_Count=0, Hanging=5)
    result = gate(run_module)
    assert (result["verdict"], result["next"]) == ("inconclusive", "back")


def test_requests_from_before_the_step_do_not_count(
    run_module: RunModule, edge: Edge, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CloudWatch rounds the beginning down to the minute: what was two minutes ago is before it whatever the second."""
    with monkeypatch.context() as earlier:
        earlier.setattr(CLOCK, "offset", -120.0)
        served(world, edge, CANARY, 20)
    result = gate(run_module)
    assert "0 of 0 requests failed" in result["why"][0]


def test_no_traffic_is_inconclusive_and_goes_back(run_module: RunModule, world: World) -> None:
    result = gate(run_module)
    assert (result["verdict"], result["next"]) == ("inconclusive", "back")
    assert "at least 10 requests are needed" in result["why"][0]


def test_an_inconclusive_verdict_has_patience(
    run_module: RunModule, edge: Edge, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The requests come late, but within the patience."""
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            served(world, edge, CANARY, 20)

    monkeypatch.setattr(canary_gate.time, "sleep", sleep)
    result = gate(run_module, patience=60)
    assert (result["verdict"], result["next"], result["looks"]) == ("pass", "advance", 3)


def test_the_bake_lasts_to_its_end_however_good_it_looks(run_module: RunModule, edge: Edge, world: World) -> None:
    served(world, edge, CANARY, 20)
    since = now()
    result = gate(run_module, since=since, bake=2, poll=0.2)
    assert result["next"] == "advance"
    assert result["looks"] >= 2
    assert datetime.now(UTC) >= datetime.fromisoformat(since) + timedelta(seconds=2)


def test_the_bake_lasts_as_long_on_a_machine_whose_clock_is_fast(
    run_module: RunModule, edge: Edge, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step began just now, by the clock of AWS; here it is over three minutes later."""
    monkeypatch.setattr(CLOCK, "offset", -200.0)
    served(world, edge, CANARY, 20)
    began = datetime.now(UTC)
    result = gate(run_module, since=now(-200), bake=2, poll=0.2)
    assert (result["next"], result["looks"] >= 2) == ("advance", True)
    assert datetime.now(UTC) - began >= timedelta(seconds=1)


def test_requests_are_counted_up_to_now_on_a_machine_whose_clock_is_slow(
    run_module: RunModule, edge: Edge, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own clock the step has not begun, and all these requests are still to come."""
    monkeypatch.setattr(CLOCK, "offset", 195.0)
    served(world, edge, CANARY, 20, HTTPCode_Target_5XX_Count=20)
    monkeypatch.setattr(CLOCK, "offset", 200.0)
    assert gate(run_module, since=now(20))["why"][0].startswith("error ratio: 20 of 20")


def test_an_answer_without_a_time_is_an_error(
    run_module: RunModule, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "parsedate_to_datetime", lambda text: parsedate_to_datetime(text[:-12]))
    result = run_module(main, **PAIRS, since=now())
    assert (result["failed"], "does not say what time it is" in result["msg"]) == (True, True)


def test_a_failure_ends_the_bake_at_once(run_module: RunModule, edge: Edge, world: World) -> None:
    served(world, edge, CANARY, 20, HTTPCode_Target_5XX_Count=20)
    began = datetime.now(UTC)
    result = gate(run_module, since=now(), bake=600)
    assert (result["verdict"], result["next"], result["looks"]) == ("fail", "back", 1)
    assert datetime.now(UTC) - began < timedelta(seconds=30)


def test_an_alarm_that_sounds_during_the_bake_ends_it(
    run_module: RunModule, edge: Edge, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm(edge, "loud", "OK")
    served(world, edge, CANARY, 20)
    monkeypatch.setattr(canary_gate.time, "sleep", lambda _seconds: alarm(edge, "loud", "ALARM"))
    result = gate(run_module, alarms=["loud"], since=now(), bake=600)
    assert (result["next"], result["looks"], result["why"]) == ("back", 2, ["alarm loud: it is ALARM"])


def test_an_unhealthy_target_fails(run_module: RunModule, edge: Edge, world: World) -> None:
    served(world, edge, CANARY, 20)
    world.set_target_health(edge.groups[CANARY], "10.0.0.9", 8001, "unhealthy")
    assert gate(run_module)["why"] == ["targets of three: unhealthy"]


READS = ["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "elasticloadbalancing:DescribeTargetHealth"]


@pytest.mark.parametrize("read", READS)
def test_what_aws_refuses_to_tell_is_inconclusive(
    read: str, run_module: RunModule, edge: Edge, world: World, control_plane: ControlPlane
) -> None:
    alarm(edge, "quiet", "OK")
    served(world, edge, CANARY, 20)
    name = read.replace("elasticloadbalancing", "elbv2")
    control_plane.faults.replace([Fault.parse({"match": name, "code": "AccessDenied", "status": 403, "times": 99})])
    result = gate(run_module, alarms=["quiet"])
    assert (result["verdict"], result["next"]) == ("inconclusive", "back")
    assert "AccessDenied" in " ".join(result["why"])


def test_an_alarm_that_does_not_exist_is_inconclusive(run_module: RunModule, edge: Edge, world: World) -> None:
    served(world, edge, CANARY, 20)
    assert gate(run_module, alarms=["nowhere"])["why"] == ["alarm nowhere: it does not exist"]


# before it starts


def test_quiet_alarms_and_healthy_stable_targets_let_it_start(run_module: RunModule, edge: Edge, world: World) -> None:
    alarm(edge, "quiet", "OK")
    world.set_target_health(edge.groups[CANARY], "10.0.0.9", 8001, "unhealthy")
    result = run_module(main, **PAIRS, moment="start", alarms=["quiet"])
    assert (result["verdict"], result["next"]) == ("pass", "advance")


@pytest.mark.parametrize(("state", "verdict"), [("ALARM", "fail"), ("INSUFFICIENT_DATA", "inconclusive")])
def test_an_alarm_that_is_not_quiet_does_not(
    state: str, verdict: str, run_module: RunModule, edge: Edge, world: World
) -> None:
    alarm(edge, "loud", state)
    result = run_module(main, **PAIRS, moment="start", alarms=["loud"])
    assert (result["verdict"], result["next"]) == (verdict, "back")


def test_an_unhealthy_stable_target_does_not(run_module: RunModule, edge: Edge, world: World) -> None:
    world.set_target_health(edge.groups[STABLE], "10.0.0.9", 8001, "unhealthy")
    assert run_module(main, **PAIRS, moment="start")["verdict"] == "fail"


@pytest.mark.parametrize(
    "options", [{"since": "now"}, {"minimum_sample": 0}, {"max_error_ratio": 1.0}, {"max_above_stable": -0.1}]
)
def test_bad_input_is_refused(options: dict[str, Any], run_module: RunModule, world: World) -> None:
    result = run_module(main, **{**PAIRS, "since": now(), **options})
    assert result["error"] == "BadInput"


def test_it_writes_nothing(run_module: RunModule, world: World, control_plane: ControlPlane) -> None:
    control_plane.calls.reset()
    gate(run_module, alarms=["nowhere"])
    assert control_plane.calls.as_dict()["writes"] == 0


# In a run


@pytest.fixture
def opened(edge: Edge, run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """A run whose lock holds for 10 s and is renewed after a third of that."""
    monkeypatch.setattr(locking, "SETTLE", 0.0)
    run = Opened(edge.aws, run_module, tmp_path / "runs")
    run.open(ttl=10)
    return run


def test_a_bake_keeps_the_lock_of_its_run(run_module: RunModule, edge: Edge, world: World, opened: Opened) -> None:
    before = opened.lock.look().until
    served(world, edge, CANARY, 30)
    assert gate(run_module, since=now(), bake=5, poll=0.5, run=opened.context)["next"] == "advance"
    after = opened.lock.look().until
    assert before
    assert after
    assert after - before >= timedelta(seconds=3)


def test_a_bake_ends_when_the_lock_of_its_run_is_broken(run_module: RunModule, world: World, opened: Opened) -> None:
    breaking = threading.Timer(0.5, opened.broken)
    breaking.start()
    result = run_module(main, **PAIRS, since=now(), bake=60, poll=0.1, run=opened.context)
    breaking.join()
    assert (result["error"], result["failed"]) == ("LockLost", True)


def test_a_lock_that_cannot_be_looked_at_for_a_while_does_not_end_a_bake(
    run_module: RunModule, edge: Edge, world: World, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(world, edge, CANARY, 30)

    def throttled(_run: Run, rounds: int = 1) -> None:
        if rounds == 1:
            raise AwsError("look at the lock", "Throttling", "Rate exceeded")

    monkeypatch.setattr(Run, "check", throttled)
    assert gate(run_module, run=opened.context)["next"] == "advance"
