"""canary_state against the sandbox's AWS: a canary's whole life, told from the rules and services alone."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.modules import alb_weights, ecs_canary_service
from ansible_collections.hokusai.platform.plugins.modules.canary_state import main

from sandbox.controlplane import ControlPlane
from sandbox.controlplane.faults import Fault
from tests.unit.conftest import CountingAws, RunModule
from tests.unit.ecs_model import CLUSTER, CONTAINER, NAME

CANARY, SINCE = "hokusai-api-canary-development", "2026-11-21T15:00:00Z"
PAIRS = {"target_groups": [{"stable": "reg-api", "canary": "api-tg"}]}
SERVICES = {"cluster": CLUSTER, "service": NAME, "name": CANARY}
STEPS = [{"weight": 5, "bake": 300}, {"weight": 25, "bake": 300}, {"weight": 100, "bake": 300}]
WHO: dict[str, Any] = {**PAIRS, **SERVICES, "container": CONTAINER, "weights": STEPS}
NEW = "hokusai-api:2026.12.0"


@pytest.fixture
def run(run_module: RunModule, platform: dict[str, str], aws: CountingAws) -> RunModule:
    """With two rules that forward to the stable group; the listener's default action is no rule."""
    balancer = aws.elbv2.describe_load_balancers(Names=["lb"])["LoadBalancers"][0]["LoadBalancerArn"]
    listener = aws.elbv2.describe_listeners(LoadBalancerArn=balancer)["Listeners"][0]["ListenerArn"]
    for priority in (10, 20):
        aws.elbv2.create_rule(
            ListenerArn=listener,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [f"/{priority}"]}],
            Actions=[{"Type": "forward", "TargetGroupArn": platform["reg-api"]}],
        )
    return run_module


def done(run: RunModule, module: Any, **options: Any) -> None:
    result = run(module.main, **options)
    assert not result.get("failed"), result


def weigh(run: RunModule, **options: Any) -> None:
    done(run, alb_weights, canary=CANARY, **PAIRS, **options)


def serve(run: RunModule, **options: Any) -> None:
    done(run, ecs_canary_service, **SERVICES, **PAIRS, container=CONTAINER, wait=False, **options)


def told(run: RunModule, **options: Any) -> tuple[str, str]:
    """State and move."""
    result = run(main, **{**WHO, **options})
    assert not result.get("failed"), result
    return result["state"], result["move"]


def test_the_life_of_a_canary(run: RunModule) -> None:
    """The group api-tg is there from the beginning: so what is left of a canary is what this begins with."""
    assert told(run, image=NEW) == ("leftover", "clean")
    weigh(run, weight=0)
    assert told(run, image=NEW) == ("starting", "start")
    serve(run, image=NEW)
    assert told(run) == ("starting", "start")
    weigh(run, weight=5, since=SINCE)
    result = run(main, **WHO)
    assert (result["state"], result["step"], result["since"], result["move"]) == ("running", 0, SINCE, "resume")
    assert result["running"]["canary"] == {"image": NEW, "task_definition": f"{NAME}:2"}
    assert {route["canary"] for route in result["routes"]} == {5}
    weigh(run, weight=25, since=SINCE)
    assert run(main, **WHO)["step"] == 1
    weigh(run, weight=100, since=SINCE, phase="promote")
    result = run(main, **WHO)
    assert (result["state"], result["step"], result["since"], result["move"]) == ("promoting", 2, SINCE, "resume")
    serve(run, state="promoted")
    assert run(main, **WHO)["promoted"]
    assert told(run) == ("promoting", "finish")
    weigh(run, state="absent")
    assert told(run) == ("leftover", "clean")


def test_nothing_new_is_nothing_to_do(run: RunModule) -> None:
    names = [{"stable": "reg-api", "canary": "nowhere"}]
    assert told(run, target_groups=names) == ("none", "nothing")
    assert told(run, target_groups=names, image="hokusai-api:incident") == ("none", "nothing")
    assert told(run, target_groups=names, image=NEW) == ("none", "start")
    assert told(run, target_groups=names, environment={"AUTH_SERVICE_ID": "platform"}) == ("none", "start")
    assert told(run, target_groups=names, image=NEW, action="finish") == ("none", "nothing")


def test_a_canary_of_something_else_is_refused(run: RunModule) -> None:
    weigh(run, weight=0)
    serve(run, image=NEW)
    weigh(run, weight=5, since=SINCE)
    assert told(run, image=NEW) == ("running", "resume")
    assert told(run, image="hokusai-api:2027.1.0") == ("running", "refuse")
    assert told(run, image="hokusai-api:2027.1.0", action="abort") == ("running", "undo")
    assert told(run, image=NEW, action="start") == ("running", "refuse")


def test_one_whose_way_back_began_is_never_gone_on_with(run: RunModule, control_plane: ControlPlane) -> None:
    weigh(run, weight=0)
    serve(run, image=NEW)
    weigh(run, weight=100, since=SINCE, phase="promote")
    refused = {"match": "elbv2:ModifyRule", "code": "AccessDenied", "status": 403, "times": 99}
    control_plane.faults.replace([Fault.parse(refused)])
    assert run(alb_weights.main, canary=CANARY, **PAIRS, state="absent")["failed"]
    for action in ("auto", "finish", "abort"):
        assert told(run, action=action) == ("undoing", "undo")
    control_plane.faults.replace([])
    serve(run, state="promoted")
    assert told(run) == ("promoting", "finish")


def test_weights_of_no_step_are_refused(run: RunModule) -> None:
    weigh(run, weight=0)
    serve(run, image=NEW)
    weigh(run, weight=33)
    assert told(run) == ("strange", "refuse")
    assert told(run, action="abort") == ("strange", "undo")


def test_it_writes_nothing(run: RunModule, control_plane: ControlPlane) -> None:
    weigh(run, weight=0)
    control_plane.calls.reset()
    told(run, image=NEW)
    assert control_plane.calls.as_dict()["writes"] == 0


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"weights": STEPS[:2]}, "BadInput", "rise from 1 or more to 100"),
        ({"container": "web"}, "BadInput", "no container web"),
        ({"service": "nobody"}, "NotFound", "no ECS service nobody"),
        ({"target_groups": [{"stable": "nowhere", "canary": "api-tg"}]}, "NotFound", "no target group nowhere"),
    ],
)
def test_bad_input_is_refused(options: dict[str, Any], error: str, text: str, run: RunModule) -> None:
    result = run(main, **{**WHO, **options})
    assert result["error"] == error
    assert text in result["msg"]


def test_a_service_whose_weights_a_strategy_owns_is_refused(run: RunModule, control_plane: ControlPlane) -> None:
    (service,) = control_plane.backend("ecs").services.values()
    service.deployment_configuration["strategy"] = "CANARY"
    assert "strategy CANARY" in run(main, **WHO)["msg"]
