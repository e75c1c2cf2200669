"""ecs_service: one revision, one deployment, nothing lost, and success only when it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import cloudmap, ecs_observation
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_service import Service
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Ambiguous, BadInput, GaveUp, NotFound
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Missing, as_data, holds
from ansible_collections.hokusai.platform.plugins.module_utils.runner import converge
from ansible_collections.hokusai.platform.plugins.modules import ecs_service as module

from sandbox.controlplane import ControlPlane, Fault
from tests.unit.ecs_model import (
    CLUSTER,
    CONTAINER,
    DEFINITION,
    ENVIRONMENT,
    NAME,
    NAMESPACE,
    REGISTER,
    SECRET,
    TABLE,
    UPDATE,
    WHOLE,
    Options,
    balancer,
    container,
    network,
    params,
    registry,
    seen,
)
from tests.unit.ecs_platform import RESOURCE, Agent, apply, described, environment, revisions, running


@pytest.mark.parametrize("case", TABLE)
def test_ecs_ends_where_the_plan_says_and_a_second_run_writes_nothing(case: str, aws: Aws, platform: Any) -> None:
    wanted, expected = TABLE[case]
    deployments = described(aws)["deployments"][0]["id"]
    predicted = converge(RESOURCE, aws, wanted, dry=True)
    assert described(aws)["deployments"][0]["id"] == deployments
    applied = apply(aws, wanted)
    assert [step.verb for step in applied.steps] == expected
    assert [step.key for step in applied.steps] == [step.key for step in predicted.steps]
    assert without_revision(applied.after) == without_revision(predicted.after)
    assert apply(aws, wanted).steps == ()


def without_revision(service: Service | None) -> dict[str, Any]:
    return {key: value for key, value in as_data(service).items() if key != "task_definition"}


def test_everything_at_once_is_one_revision_and_one_deployment(
    aws: Aws, platform: dict[str, str], control_plane: ControlPlane
) -> None:
    apply(aws, WHOLE)
    service, definition = described(aws), running(aws)
    assert revisions(aws) == ["1", "2"]
    history = control_plane.backend("ecs").services[f"{CLUSTER}:{NAME}"].deployment_history
    assert [each["taskDefinition"].rpartition(":")[2] for each in history] == ["2", "1"]
    assert environment(definition) == {**ENVIRONMENT, "AUTH_SERVICE_ID": "platform"}
    assert definition["secrets"] == [SECRET]
    assert [each["registryArn"] for each in service["serviceRegistries"]] == [platform["registry"]]
    assert service["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"] == [
        platform["api"],
        platform["extra"],
    ]
    assert len(service["loadBalancers"]) == 2
    assert service["healthCheckGracePeriodSeconds"] == 300


def test_a_circuit_breaker_leaves_the_percentages_as_they_are(aws: Aws, platform: Any) -> None:
    apply(aws, params(circuit_breaker={"enable": True, "rollback": None}))
    configuration = described(aws)["deploymentConfiguration"]
    assert configuration["deploymentCircuitBreaker"] == {"enable": True, "rollback": False}
    assert (configuration["maximumPercent"], configuration["minimumHealthyPercent"]) == (150, 50)


def test_tags_of_the_revision_are_kept(aws: Aws, platform: Any) -> None:
    apply(aws, container(image="hokusai-api:2026.11.0"))
    answer = aws.ecs.describe_task_definition(taskDefinition=f"{NAME}:2", include=["TAGS"])
    tagged = {each["key"]: each["value"] for each in answer["tags"]}
    assert tagged == {"team": "ml", "hokusai:managed-by": "hokusai.platform"}


def test_the_base_is_what_runs_and_not_the_newest_of_the_family(aws: Aws, platform: Any) -> None:
    """Cause 10 of the incident: a "fix" was registered that nothing ever ran."""
    newer = json.loads(json.dumps(DEFINITION))
    newer["containerDefinitions"][0]["image"] = "hokusai-api:never-ran"
    newer["containerDefinitions"][0]["secrets"] = []
    aws.ecs.register_task_definition(**newer)
    apply(aws, container(environment={"AUTH_SERVICE_ID": "platform"}))
    assert running(aws)["image"] == "hokusai-api:incident"
    assert running(aws)["secrets"] == [SECRET]


def test_a_run_killed_between_its_two_calls_is_continued_with_the_revision_it_registered(
    aws: Aws, platform: Any, control_plane: ControlPlane
) -> None:
    wanted = container(environment={"AUTH_SERVICE_ID": "platform"})
    control_plane.faults.replace([Fault(match="ecs:UpdateService", code="AccessDeniedException", status=403)])
    with pytest.raises(Exception, match="AccessDeniedException"):
        apply(aws, wanted)
    assert [step.verb for step in apply(aws, wanted).steps] == [UPDATE]
    assert revisions(aws) == ["1", "2"]


def test_a_family_without_an_active_revision_has_no_newest_one(aws: Aws, control_plane: ControlPlane) -> None:
    """A service runs on when its revision is deregistered; asked by family, ECS then answers ClientException."""
    observed = seen().resource
    assert observed is not None
    assert observed.live is not None
    control_plane.faults.replace([Fault(match="ecs:DescribeTaskDefinition", code="ClientException")])
    wish = module.desire(container(image="hokusai-api:2026.11.0"))
    assert ecs_observation.newest_if_needed(aws, observed.live.revision, wish) is None


@pytest.mark.parametrize("code", ["", "InvalidParameterException"], ids=["the connection closed", "an error came"])
@pytest.mark.parametrize("call", ["ecs:RegisterTaskDefinition", "ecs:UpdateService"])
def test_a_write_whose_answer_was_lost_is_not_repeated(
    call: str, code: str, aws: Aws, platform: Any, control_plane: ControlPlane
) -> None:
    control_plane.faults.replace([Fault(match=call, code=code, after=True)])
    assert [step.verb for step in apply(aws, container(image="hokusai-api:2026.11.0")).steps] == [REGISTER, UPDATE]
    assert revisions(aws) == ["1", "2"]
    assert running(aws)["image"] == "hokusai-api:2026.11.0"


def test_stale_reads_after_the_writes_are_read_again(aws: Aws, platform: Any, control_plane: ControlPlane) -> None:
    lagging = [Fault(match=f"ecs:{name}", lag=0.5) for name in ("RegisterTaskDefinition", "UpdateService")]
    control_plane.faults.replace(lagging)
    assert [step.verb for step in apply(aws, container(image="hokusai-api:2026.11.0")).steps] == [REGISTER, UPDATE]
    assert revisions(aws) == ["1", "2"]


def test_a_deployment_that_was_rolled_back_is_an_error_with_ecs_own_words(
    aws: Aws, platform: Any, agent: Agent
) -> None:
    agent.failing = True
    with pytest.raises(GaveUp) as error:
        apply(aws, container(image="hokusai-api:missing"))
    assert "PRIMARY is hokusai-api-development:1" in error.value.message
    assert error.value.details["events"] == ["deployment failed: tasks failed to start."]
    assert [step["verb"] for step in error.value.details["steps_done"]] == [REGISTER, UPDATE]


def test_the_module_fails_and_says_what_ecs_said_when_its_deployment_was_rolled_back(
    platform: Any, agent: Agent, run_module: Callable[..., Any]
) -> None:
    agent.failing = True
    changes = [{"name": CONTAINER, "image": "hokusai-api:missing"}]
    result = run_module(module.main, cluster=CLUSTER, service=NAME, wait_delay=0.05, containers=changes)
    assert (result["failed"], result["error"]) == (True, "GaveUp")
    assert result["events"] == ["deployment failed: tasks failed to start."]
    assert result["remedy"]


def test_a_rollout_somebody_else_started_is_waited_for_when_nothing_is_to_do(
    aws: Aws, platform: Any, agent: Agent
) -> None:
    apply(aws, params())
    agent.idle = True
    aws.ecs.update_service(cluster=CLUSTER, service=NAME, forceNewDeployment=True)
    threading.Timer(0.3, setattr, (agent, "idle", False)).start()
    assert apply(aws, params()).steps == ()
    assert described(aws)["deployments"][0]["rolloutState"] == "COMPLETED"


def test_a_no_op_takes_few_reads(aws: Aws, platform: Any, control_plane: ControlPlane) -> None:
    apply(aws, params())
    control_plane.calls.reset()
    apply(aws, container(environment={"AUTH_SERVICE_ID": "ml-platform"}))
    assert control_plane.calls.as_dict()["actions"] == {"ecs:DescribeServices": 2, "ecs:DescribeTaskDefinition": 1}


def test_a_registry_that_does_not_exist_can_be_planned_but_not_applied(aws: Aws, platform: Any) -> None:
    wanted = params(service_registries=[registry("mlflow")])
    (step,) = converge(RESOURCE, aws, wanted, dry=True).steps
    assert [each.what for each in holds(step.args, Missing)] == [f"Cloud Map service {NAMESPACE}/mlflow"]
    with pytest.raises(BadInput, match="mlflow does not exist"):
        apply(aws, wanted)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (params(load_balancers=[balancer("nobody")]), "target group nobody"),
        (params(network=network(security_groups=["nobody"])), "security group nobody"),
        (params(network=network(subnets=["nobody"])), "subnet nobody"),
    ],
)
def test_names_that_match_nothing_are_named(wanted: Options, words: str, aws: Aws, platform: Any) -> None:
    with pytest.raises(BadInput, match=f"{words} does not exist"):
        apply(aws, wanted)


def test_two_namespaces_of_one_name_are_told_apart_by_the_services_vpc(aws: Aws, platform: Any) -> None:
    other = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    answer = aws.servicediscovery.create_private_dns_namespace(Name=NAMESPACE, Vpc=other)
    twin = cloudmap.wait_end(aws, answer["OperationId"])["Targets"]["NAMESPACE"]
    with pytest.raises(Ambiguous, match=twin):
        cloudmap.find_namespace(aws, NAMESPACE, None)
    apply(aws, params(service_registries=[registry()]))
    assert described(aws)["serviceRegistries"][0]["registryArn"] == platform["registry"]


def test_an_unknown_cluster_is_named(aws: Aws, platform: Any) -> None:
    with pytest.raises(NotFound, match="There is no ECS cluster nowhere"):
        apply(aws, params(cluster="nowhere"))


def test_an_unknown_service_is_named(aws: Aws, platform: Any) -> None:
    with pytest.raises(NotFound, match="There is no ECS service nobody in the cluster hokusai-development"):
        apply(aws, params(service="nobody"))


def test_a_deleted_service_that_ecs_still_describes_is_not_changed(aws: Aws, platform: Any) -> None:
    aws.ecs.delete_service(cluster=CLUSTER, service=NAME, force=True)
    with pytest.raises(NotFound, match="is INACTIVE"):
        apply(aws, container(image="x"))


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("deployment_controller", {"type": "CODE_DEPLOY"}, "controller CODE_DEPLOY"),
        ("deployment_configuration", {"strategy": "BLUE_GREEN"}, "strategy BLUE_GREEN"),
    ],
)
def test_deployments_that_somebody_else_runs_are_refused(
    attribute: str, value: Any, words: str, aws: Aws, platform: Any, control_plane: ControlPlane
) -> None:
    with control_plane.lock:
        setattr(control_plane.backend("ecs").services[f"{CLUSTER}:{NAME}"], attribute, value)
    with pytest.raises(BadInput, match=words) as error:
        apply(aws, params())
    assert error.value.remedy


def test_a_result_shows_what_changed_and_no_secret(aws: Aws, platform: Any, run_module: Callable[..., Any]) -> None:
    variables = {"AUTH_SERVICE_ID": "platform", "DB_PASSWORD": "correct-horse"}
    options = {"cluster": CLUSTER, "service": NAME, "wait_delay": 0.05}
    changes = [{"name": CONTAINER, "environment": variables}]
    for check in (True, False):
        result = run_module(module.main, _check=check, **options, containers=changes)
        ends = [result["diff"][end]["containers"][CONTAINER]["environment"] for end in ("before", "after")]
        assert [each["AUTH_SERVICE_ID"] for each in ends] == ["ml-platform", "platform"]
        assert [each["MLFLOW_PROXY_TIMEOUT"] for each in ends] == ["(unmanaged)", "(unmanaged)"]
        assert "environment AUTH_SERVICE_ID, DB_PASSWORD" in result["steps"][0]["why"]
        assert not {"correct-horse", "hunter2"} & set(json.dumps(result).replace('"', " ").split())


def test_a_minimum_count_beside_a_desired_count_is_refused(run_module: Callable[..., Any]) -> None:
    result = run_module(module.main, cluster=CLUSTER, service=NAME, desired_count=2, minimum_count=1)
    assert result["failed"]
    assert "mutually exclusive: desired_count|minimum_count" in result["msg"]


def test_an_option_nobody_knows_is_refused(run_module: Callable[..., Any]) -> None:
    result = run_module(module.main, cluster=CLUSTER, service=NAME, task_definition="x")
    assert result["failed"]
    assert "task_definition" in result["msg"]
