"""ecs_canary_service: a second service like the stable one, what is promoted of it, and what is left of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.modules import ecs_service
from ansible_collections.hokusai.platform.plugins.modules.ecs_canary_service import main

from sandbox.controlplane import ControlPlane, Fault
from sandbox.world import World
from tests.unit.conftest import CountingAws, RunModule
from tests.unit.ecs_model import CLUSTER, CONTAINER, NAME
from tests.unit.ecs_platform import described, revisions

CANARY = "hokusai-api-canary-development"
WHO: dict[str, Any] = {
    "cluster": CLUSTER,
    "service": NAME,
    "name": CANARY,
    "container": CONTAINER,
    "target_groups": [{"stable": "reg-api", "canary": "api-tg"}],
    "wait_timeout": 10,
    "wait_delay": 0.05,
}
PRESENT = {**WHO, "image": "hokusai-api:2026.12.0"}
PROMOTED = {**WHO, "state": "promoted"}
ABSENT = {**WHO, "state": "absent"}
REGISTER, CREATE, UPDATE = "register_task_definition", "create_service", "update_service"
DEREGISTER, DELETE = "deregister_task_definition", "delete_service"


@pytest.fixture
def run(run_module: RunModule, platform: dict[str, str]) -> RunModule:
    return run_module


@pytest.fixture
def drained(platform: dict[str, str], control_plane: ControlPlane) -> None:
    """Nobody is left in the canary's target group: the stand-in for the agent registers no tasks."""
    world = World(control_plane)
    for address in ("10.0.1.7", "10.0.1.8"):
        world.deregister_target(platform["api-tg"], address, 8001)


def verbs(run: RunModule, options: dict[str, Any], **more: Any) -> list[str]:
    result = run(main, **options, **more)
    assert not result.get("failed"), result
    return [step["verb"] for step in result["steps"]]


def canary(aws: CountingAws) -> dict[str, Any]:
    return dict(aws.ecs.describe_services(cluster=CLUSTER, services=[CANARY], include=["TAGS"])["services"][0])


def clone(aws: CountingAws) -> None:
    """The family's newest revision once more, with its tags."""
    found = aws.ecs.describe_task_definition(taskDefinition=NAME, include=["TAGS"])
    kept = ("family", "networkMode", "cpu", "memory", "containerDefinitions", "requiresCompatibilities")
    again = {key: found["taskDefinition"][key] for key in (*kept, "executionRoleArn")}
    aws.ecs.register_task_definition(**again, tags=found["tags"])


def definition(aws: CountingAws, service: dict[str, Any]) -> dict[str, Any]:
    return dict(aws.ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"])


# what was done before, what is asked for, and the steps it takes
TABLE: dict[str, tuple[list[dict[str, Any]], dict[str, Any], list[str]]] = {
    "a canary is made": ([], PRESENT, [REGISTER, CREATE]),
    "a canary is there": ([PRESENT], PRESENT, []),
    "whatever it runs": ([PRESENT], WHO, []),
    "more tasks": ([PRESENT], {**PRESENT, "desired_count": 3}, [UPDATE]),
    "never fewer": ([{**PRESENT, "desired_count": 3}], PRESENT, []),
    "it is promoted": ([PRESENT], PROMOTED, [UPDATE]),
    "it was promoted": ([PRESENT, PROMOTED], PROMOTED, []),
    "a failed one is taken away with its revision": ([PRESENT], ABSENT, [DEREGISTER, DELETE]),
    "a promoted one is taken away": ([PRESENT, PROMOTED], ABSENT, [DELETE]),
    "none is there": ([], ABSENT, []),
    "it is gone already": ([PRESENT, ABSENT], ABSENT, []),
    "once more after it was gone": ([PRESENT, ABSENT], PRESENT, [REGISTER, CREATE]),
}


@pytest.mark.usefixtures("drained")
@pytest.mark.parametrize("case", TABLE)
def test_each_transition_is_foretold_takes_its_steps_and_then_none(case: str, run: RunModule) -> None:
    before, wanted, steps = TABLE[case]
    for each in before:
        verbs(run, {**each, "wait": False})
    assert verbs(run, wanted, _check=True) == steps
    wanted = {**wanted, "wait": wanted.get("state") == "absent"}
    assert verbs(run, wanted) == steps
    assert verbs(run, wanted) == []


def test_the_canary_is_like_the_stable_service_but_for_what_is_tried(run: RunModule, aws: CountingAws) -> None:
    verbs(run, {**PRESENT, "environment": {"DEBUG": True}})
    stable, made = described(aws), canary(aws)
    assert made["networkConfiguration"] == stable["networkConfiguration"]
    assert made["launchType"] == stable["launchType"]
    assert made["desiredCount"] == stable["desiredCount"]
    configuration = made["deploymentConfiguration"]
    assert (configuration["maximumPercent"], configuration["minimumHealthyPercent"]) == (150, 50)
    assert configuration["deploymentCircuitBreaker"] == {"enable": True, "rollback": False}
    assert [each["targetGroupArn"].split("/")[1] for each in made["loadBalancers"]] == ["api-tg"]
    container = definition(aws, made)["containerDefinitions"][0]
    assert container["image"] == "hokusai-api:2026.12.0"
    assert {"name": "DEBUG", "value": "true"} in container["environment"]
    assert container["secrets"] == definition(aws, stable)["containerDefinitions"][0]["secrets"]


def test_the_canary_is_in_no_registry(run: RunModule, aws: CountingAws, platform: dict[str, str]) -> None:
    registries = [{"registryArn": platform["registry"]}]
    aws.ecs.update_service(cluster=CLUSTER, service=NAME, serviceRegistries=registries)
    verbs(run, PRESENT)
    assert described(aws)["serviceRegistries"]
    assert canary(aws)["serviceRegistries"] == []


CONNECT: dict[str, Any] = {"enabled": True, "namespace": "hokusai-development.local"}
VOLUME: dict[str, Any] = {"roleArn": "arn:aws:iam::123456789012:role/ecsInfrastructureRole", "sizeInGiB": 10}
VOLUMES: list[dict[str, Any]] = [{"name": "data", "managedEBSVolume": VOLUME}]


def test_the_canary_has_the_volumes_and_is_a_client_alone_of_service_connect(run: RunModule, aws: CountingAws) -> None:
    served = {**CONNECT, "services": [{"portName": "http", "clientAliases": [{"port": 8001}]}]}
    aws.ecs.update_service(
        cluster=CLUSTER, service=NAME, serviceConnectConfiguration=served, volumeConfigurations=VOLUMES
    )
    verbs(run, PRESENT)
    (deployment,) = canary(aws)["deployments"]
    assert deployment["serviceConnectConfiguration"] == CONNECT
    assert deployment["volumeConfigurations"] == VOLUMES


def test_a_canary_has_no_more_than_the_stable_service(run: RunModule, aws: CountingAws) -> None:
    verbs(run, PRESENT)
    (deployment,) = canary(aws)["deployments"]
    assert {"serviceConnectConfiguration", "volumeConfigurations"} & set(deployment) == set()


def test_ecs_takes_of_a_deployment_what_it_tells_of_it(aws: CountingAws) -> None:
    model = aws.ecs.meta.service_model
    told, taken = model.shape_for("Deployment").members, model.shape_for("CreateServiceRequest").members
    for name in ("serviceConnectConfiguration", "volumeConfigurations"):
        assert told[name].name == taken[name].name


def test_what_is_promoted_is_the_very_revision_that_was_tried(run: RunModule, aws: CountingAws) -> None:
    verbs(run, PRESENT)
    tried = canary(aws)["taskDefinition"]
    verbs(run, PROMOTED)
    assert described(aws)["taskDefinition"] == tried
    assert len(revisions(aws)) == 2


def test_a_revision_of_a_run_that_was_cut_off_is_taken(run: RunModule, aws: CountingAws) -> None:
    verbs(run, {**PRESENT, "wait": False})
    aws.ecs.delete_service(cluster=CLUSTER, service=CANARY, force=True)
    assert verbs(run, PRESENT) == [CREATE]
    assert len(revisions(aws)) == 2


@pytest.fixture
def unmade(run: RunModule, control_plane: ControlPlane) -> None:
    """The canary's revision is registered, and its service refused."""
    control_plane.faults.replace([Fault("ecs:CreateService", kind="denied")])
    assert run(main, **PRESENT)["step_failed"]["verb"] == CREATE


def newest(aws: CountingAws) -> str:
    return str(aws.ecs.describe_task_definition(taskDefinition=NAME)["taskDefinition"]["taskDefinitionArn"])


@pytest.mark.usefixtures("drained", "unmade")
def test_a_revision_whose_service_was_never_made_is_not_the_familys_newest_any_more(
    run: RunModule, aws: CountingAws
) -> None:
    assert newest(aws) != described(aws)["taskDefinition"]
    assert verbs(run, ABSENT, _check=True) == verbs(run, ABSENT) == [DEREGISTER]
    assert newest(aws) == described(aws)["taskDefinition"]
    assert verbs(run, ABSENT) == []


@pytest.mark.usefixtures("unmade")
def test_a_revision_whose_service_was_never_made_is_taken_by_the_next_try(run: RunModule) -> None:
    assert verbs(run, PRESENT) == [CREATE]


@pytest.mark.usefixtures("drained", "unmade")
def test_nor_is_it_taken_away_by_a_canary_of_another_name_or_while_it_is_deployed(
    run: RunModule, aws: CountingAws
) -> None:
    assert verbs(run, {**ABSENT, "name": "hokusai-another-canary-development"}) == []
    aws.ecs.update_service(cluster=CLUSTER, service=NAME, taskDefinition=newest(aws))
    assert verbs(run, ABSENT) == []


@pytest.mark.usefixtures("drained")
def test_a_clone_of_what_was_promoted_is_no_canarys_though_it_has_its_tags(run: RunModule, aws: CountingAws) -> None:
    """As a deploy job makes it, which has not come to its service yet."""
    for each in (PRESENT, PROMOTED, ABSENT):
        verbs(run, {**each, "wait": False})
    clone(aws)
    assert newest(aws) != described(aws)["taskDefinition"]
    assert verbs(run, ABSENT) == []


@pytest.mark.usefixtures("drained")
def test_the_next_revision_does_not_have_the_mark_of_the_canary_before(run: RunModule, aws: CountingAws) -> None:
    for each in (PRESENT, PROMOTED, ABSENT):
        verbs(run, {**each, "wait": False})
    containers = [{"name": CONTAINER, "image": "hokusai-api:2027.1.0"}]
    assert run(ecs_service.main, cluster=CLUSTER, service=NAME, containers=containers, wait=False)["changed"]
    tags = aws.ecs.describe_task_definition(taskDefinition=NAME, include=["TAGS"])["tags"]
    assert [each["key"] for each in tags if each["key"].startswith("hokusai:")] == ["hokusai:managed-by"]


@pytest.mark.usefixtures("drained")
def test_a_revision_that_failed_is_not_the_familys_newest_any_more(run: RunModule, aws: CountingAws) -> None:
    before = described(aws)["taskDefinition"]
    verbs(run, {**PRESENT, "wait": False})
    verbs(run, ABSENT)
    assert aws.ecs.describe_task_definition(taskDefinition=NAME)["taskDefinition"]["taskDefinitionArn"] == before
    assert described(aws)["taskDefinition"] == before


def test_removal_waits_for_the_targets(run: RunModule) -> None:
    verbs(run, PRESENT)
    result = run(main, **{**ABSENT, "wait_timeout": 0})
    assert result["error"] == "GaveUp"
    assert "10.0.1.7:8001 healthy in api-tg" in result["msg"]


def test_removal_waits_for_the_targets_of_a_service_that_was_deleted_by_hand(run: RunModule, aws: CountingAws) -> None:
    verbs(run, PRESENT)
    aws.ecs.delete_service(cluster=CLUSTER, service=CANARY, force=True)
    result = run(main, **{**ABSENT, "wait_timeout": 0})
    assert (result["error"], [step["verb"] for step in result["steps_done"]]) == ("GaveUp", [DEREGISTER])


def refused(run: RunModule, options: dict[str, Any]) -> str:
    result = run(main, **options)
    assert result.get("error") in {"BadInput", "NotFound"}, result
    assert "steps_done" not in result
    return str(result["msg"])


@pytest.mark.parametrize("image", ["hokusai-api:incident", ""])
def test_a_canary_of_what_runs_already_is_none(image: str, run: RunModule) -> None:
    assert "would run what hokusai-api-development runs already" in refused(run, {**WHO, "image": image})


def test_another_canary_is_not_changed_under_way(run: RunModule) -> None:
    verbs(run, PRESENT)
    assert "runs something else" in refused(run, {**PRESENT, "image": "hokusai-api:2027.1.0"})


def test_a_canary_is_not_promoted_over_a_deployment_made_meanwhile(run: RunModule, aws: CountingAws) -> None:
    verbs(run, PRESENT)
    answer = aws.ecs.describe_task_definition(taskDefinition=f"{NAME}:1")["taskDefinition"]
    again = {key: answer[key] for key in ("family", "networkMode", "cpu", "memory", "containerDefinitions")}
    more = {"requiresCompatibilities": ["FARGATE"], "executionRoleArn": answer["executionRoleArn"]}
    made = aws.ecs.register_task_definition(**again, **more)["taskDefinition"]["taskDefinitionArn"]
    aws.ecs.update_service(cluster=CLUSTER, service=NAME, taskDefinition=made)
    assert f"and runs {NAME}:3 now" in refused(run, PROMOTED)
    assert described(aws)["taskDefinition"] == made


def test_there_must_be_a_canary_to_promote(run: RunModule) -> None:
    assert "There is no canary" in refused(run, PROMOTED)


@pytest.mark.parametrize("options", [PRESENT, PROMOTED, ABSENT])
def test_a_service_of_somebody_else_is_left_alone(options: dict[str, Any], run: RunModule, aws: CountingAws) -> None:
    network = described(aws)["networkConfiguration"]
    aws.ecs.create_service(
        cluster=CLUSTER,
        serviceName=CANARY,
        taskDefinition=NAME,
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network,
    )
    assert "was not made by this collection" in refused(run, options)
    assert canary(aws)["status"] == "ACTIVE"


@pytest.mark.parametrize("options", [PRESENT, PROMOTED, ABSENT])
def test_a_service_whose_weights_a_strategy_owns_is_refused(
    options: dict[str, Any], run: RunModule, control_plane: ControlPlane
) -> None:
    (service,) = control_plane.backend("ecs").services.values()
    service.deployment_configuration["strategy"] = "BLUE_GREEN"
    assert "strategy BLUE_GREEN" in refused(run, options)


def test_a_service_that_codedeploy_deploys_is_refused(run: RunModule, control_plane: ControlPlane) -> None:
    (service,) = control_plane.backend("ecs").services.values()
    service.deployment_controller = {"type": "CODE_DEPLOY"}
    assert "controller CODE_DEPLOY" in refused(run, PRESENT)


def test_the_stable_service_must_be_there(run: RunModule) -> None:
    assert "There is no ECS service nobody" in refused(run, {**PRESENT, "service": "nobody"})


def test_a_group_in_which_the_stable_service_does_not_register_has_no_canary(run: RunModule) -> None:
    pairs = [{"stable": "api-tg", "canary": "reg-api"}]
    assert "does not register its tasks in the target group api-tg" in refused(run, {**PRESENT, "target_groups": pairs})
