"""Taking back runs of `canary.yml`: what was promoted goes back, what is left is refused, what is over stays over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import lock as locking
from ansible_collections.hokusai.platform.plugins.modules import (
    alb_target_group,
    alb_weights,
    ecs_canary_service,
    platform_restore,
)

from sandbox.controlplane import ControlPlane
from sandbox.world import World
from tests.unit.conftest import CountingAws, RunModule
from tests.unit.ecs_model import CLUSTER, CONTAINER, NAME
from tests.unit.ecs_platform import described, revisions
from tests.unit.run_opened import Opened, name_in_order

CANARY, GROUP = "hokusai-api-canary-development", "canary"
PAIRS = [{"stable": "reg-api", "canary": GROUP}]
SCOPE = {"load_balancers": ["lb"], "target_groups": ["reg-api", GROUP], "cluster": CLUSTER, "services": [NAME, CANARY]}
Task = tuple[ModuleType, dict[str, Any]]


def weigh(weight: int, **more: Any) -> Task:
    return alb_weights, {"canary": CANARY, "target_groups": PAIRS, "weight": weight, **more}


def serve(state: str, **more: Any) -> Task:
    given = {"cluster": CLUSTER, "service": NAME, "name": CANARY, "target_groups": PAIRS, "wait_timeout": 10}
    return ecs_canary_service, {**given, "state": state, "wait": False, "wait_delay": 0.05, **more}


GATHERED: Task = (alb_target_group, {"name": GROUP, "port": 8001, "vpc": "the-vpc"})
START = [GATHERED, weigh(0), serve("present", container=CONTAINER, image="hokusai-api:2026.12.0")]
PROMOTE = [weigh(100), weigh(100, phase="promote"), serve("promoted")]
WEIGHTS_BACK: Task = (alb_weights, {"canary": CANARY, "target_groups": PAIRS, "state": "absent"})
END = [WEIGHTS_BACK, serve("absent"), (alb_target_group, {"name": GROUP, "state": "absent"})]


class Canary:
    """Runs of `canary.yml`, made of the modules that it uses, and what AWS says of the rule and the services."""

    def __init__(self, run: Opened, plane: ControlPlane) -> None:
        self.run, self.aws, self.world = run, run.aws, World(plane)

    def play(self, tasks: Sequence[Task], *, cut_off: bool = False) -> str:
        """The id of a run of these tasks; one that is cut off has not closed its record."""
        self.run.open(scope=SCOPE)
        for module, options in tasks:
            result = self.run.run_module(module.main, **options, run=self.run.context)
            assert not result.get("failed"), result
            self.move_target()
        if not cut_off:
            assert not self.run.close().get("failed")
        holder = self.run.lock.look().holder
        assert holder is not None
        self.run.lock.release(holder)
        return self.run.run_id

    def move_target(self) -> None:
        """The agent's part: a target in the canary's group as long as there is a service."""
        groups = self.aws.elbv2.describe_target_groups()["TargetGroups"]
        arn = next((each["TargetGroupArn"] for each in groups if each["TargetGroupName"] == GROUP), None)
        if arn and self.is_there():
            self.world.register_target(arn, "10.0.1.9", 8001)
            self.world.set_target_health(arn, "10.0.1.9", 8001, "healthy")
        elif arn:
            self.world.deregister_target(arn, "10.0.1.9", 8001)

    def is_there(self) -> bool:
        found = self.aws.ecs.describe_services(cluster=CLUSTER, services=[CANARY])["services"]
        return any(each["status"] == "ACTIVE" for each in found)

    def rule(self) -> dict[str, Any]:
        (balancer,) = self.aws.elbv2.describe_load_balancers(Names=["lb"])["LoadBalancers"]
        (listener,) = self.aws.elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        rules = self.aws.elbv2.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
        return next(dict(each) for each in rules if each["Priority"] == "10")

    def restore(self, run_id: str) -> dict[str, Any]:
        runs = {"directory": str(self.run.directory)}
        given = {"environment": "development", "runs": runs, "run_id": run_id, "mlflow_target_groups": ["two"]}
        return self.run.run_module(platform_restore.main, **given, wait_timeout=10, wait_delay=0.05)


@pytest.fixture
def canary(
    aws: CountingAws,
    run_module: RunModule,
    tmp_path: Path,
    platform: dict[str, str],
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
) -> Canary:
    monkeypatch.setattr(locking, "SETTLE", 0.0)
    name_in_order(monkeypatch)
    vpc = aws.ec2.describe_security_groups(GroupNames=["api"])["SecurityGroups"][0]["VpcId"]
    aws.ec2.create_tags(Resources=[vpc], Tags=[{"Key": "Name", "Value": "the-vpc"}])
    (balancer,) = aws.elbv2.describe_load_balancers(Names=["lb"])["LoadBalancers"]
    (listener,) = aws.elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    aws.elbv2.create_rule(
        ListenerArn=listener["ListenerArn"],
        Priority=10,
        Conditions=[{"Field": "path-pattern", "Values": ["/api/*"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": platform["reg-api"]}],
    )
    return Canary(Opened(aws, run_module, tmp_path / "runs"), control_plane)


def test_a_promoted_canary_is_taken_back_to_the_revision_that_ran_before(canary: Canary) -> None:
    was, rule, known = described(canary.aws)["taskDefinition"], canary.rule(), revisions(canary.aws)
    run_id = canary.play([*START, weigh(5), *PROMOTE, *END])
    assert described(canary.aws)["taskDefinition"] != was
    result = canary.restore(run_id)
    assert [step["verb"] for step in result["steps"]] == ["update_service", "deregister_task_definition"]
    assert (described(canary.aws)["taskDefinition"], canary.rule(), revisions(canary.aws)) == (was, rule, known)
    assert (result["kept"], result["other"]) == ([], [])


@pytest.mark.parametrize(
    ("tasks", "cut_off"),
    [(START, True), ([*START, *PROMOTE[:2]], False), ([*START, weigh(5), WEIGHTS_BACK], True)],
    ids=["no share yet", "to be promoted", "the service alone is left"],
)
def test_a_run_that_left_its_canary_is_refused_with_the_remedy_and_nothing_is_written(
    canary: Canary, control_plane: ControlPlane, tasks: list[Task], cut_off: bool
) -> None:
    run_id = canary.play(tasks, cut_off=cut_off)
    control_plane.calls.reset()
    result = canary.restore(run_id)
    assert f"The run {run_id} left a canary" in result["msg"]
    assert f"canary_action=abort -e hokusai_break_lock={run_id}" in result["remedy"]
    assert control_plane.calls.writes == 0


def test_a_run_that_promoted_and_did_not_end_is_to_be_finished_and_then_goes_back(
    canary: Canary, control_plane: ControlPlane
) -> None:
    was, rule, known = described(canary.aws)["taskDefinition"], canary.rule(), revisions(canary.aws)
    run_id = canary.play([*START, weigh(5), *PROMOTE], cut_off=True)
    control_plane.calls.reset()
    result = canary.restore(run_id)
    assert f"canary_action=finish -e hokusai_break_lock={run_id}" in result["remedy"]
    assert f"rollback -e run_id={run_id}" in result["remedy"]
    assert control_plane.calls.writes == 0
    canary.play(END)
    assert [step["verb"] for step in canary.restore(run_id)["steps"]] == [
        "update_service",
        "deregister_task_definition",
    ]
    assert (described(canary.aws)["taskDefinition"], canary.rule(), revisions(canary.aws)) == (was, rule, known)


def test_a_canary_that_was_taken_back_since_leaves_nothing_to_do(canary: Canary) -> None:
    run_id = canary.play([*START, weigh(5)], cut_off=True)
    canary.play(END)
    assert canary.restore(run_id)["steps"] == []


def test_a_canary_that_another_run_began_does_not_come_again_but_the_service_goes_back(canary: Canary) -> None:
    was, rule = described(canary.aws)["taskDefinition"], canary.rule()
    canary.play([*START, weigh(5)], cut_off=True)
    run_id = canary.play([*PROMOTE, *END])
    result = canary.restore(run_id)
    assert [step["verb"] for step in result["steps"]] == ["update_service"]
    assert (described(canary.aws)["taskDefinition"], canary.rule()) == (was, rule)
    assert sum("a canary that is over" in line for line in result["messages"]) == 2
