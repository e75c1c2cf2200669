"""ECS answers as AWS does where moto would not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.ecs.models import Task

from sandbox.controlplane import ControlPlane

Ecs = Any


@pytest.fixture
def ecs(client: Callable[..., Any]) -> Ecs:
    ecs = client("ecs")
    ecs.create_cluster(clusterName="c")
    return ecs


def define(ecs: Ecs, family: str = "app", **container: Any) -> str:
    arn: str = ecs.register_task_definition(
        family=family,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        executionRoleArn="arn:aws:iam::123456789012:role/execution",
        containerDefinitions=[
            {"name": "app", "image": "app:1", "portMappings": [{"containerPort": 8001}], **container}
        ],
    )["taskDefinition"]["taskDefinitionArn"]
    return arn


@pytest.fixture
def wiring(network: Any) -> dict[str, Any]:
    """The network configuration of a service."""
    return {"awsvpcConfiguration": {"subnets": network.subnets, "securityGroups": [network.group]}}


@pytest.fixture
def target_group(client: Callable[..., Any], network: Any) -> str:
    """A target group that a load balancer forwards to."""
    elb = client("elbv2")
    arn: str = elb.create_target_group(Name="tg", Protocol="HTTP", Port=8001, VpcId=network.vpc, TargetType="ip")[
        "TargetGroups"
    ][0]["TargetGroupArn"]
    balancer = elb.create_load_balancer(Name="lb", Subnets=network.subnets, SecurityGroups=[network.group])
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
    )
    return arn


@pytest.fixture
def registry(client: Callable[..., Any], network: Any) -> str:
    """A Cloud Map service."""
    cloud_map = client("servicediscovery")
    operation_id = cloud_map.create_private_dns_namespace(Name="dev.local", Vpc=network.vpc)["OperationId"]
    while (operation := cloud_map.get_operation(OperationId=operation_id)["Operation"])["Status"] != "SUCCESS":
        time.sleep(0.02)
    namespace = operation["Targets"]["NAMESPACE"]
    arn: str = cloud_map.create_service(
        Name="app", NamespaceId=namespace, DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 10}]}
    )["Service"]["Arn"]
    return arn


def create(ecs: Ecs, wiring: dict[str, Any], **options: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "cluster": "c",
        "serviceName": "s",
        "taskDefinition": "app",
        "desiredCount": 1,
        "launchType": "FARGATE",
        "networkConfiguration": wiring,
    }
    service: dict[str, Any] = ecs.create_service(**arguments | options)["service"]
    return service


def described(ecs: Ecs) -> dict[str, Any]:
    service: dict[str, Any] = ecs.describe_services(cluster="c", services=["s"])["services"][0]
    return service


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_create_service_keeps_the_fields_that_moto_drops(ecs: Ecs, wiring: Any, target_group: str) -> None:
    define(ecs)
    create(
        ecs,
        wiring,
        loadBalancers=[{"targetGroupArn": target_group, "containerName": "app", "containerPort": 8001}],
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
        healthCheckGracePeriodSeconds=300,
        enableExecuteCommand=True,
        enableECSManagedTags=True,
    )
    service = described(ecs)
    assert service["deploymentConfiguration"] == {
        "bakeTimeInMinutes": 0,
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "strategy": "ROLLING",
    }
    assert service["healthCheckGracePeriodSeconds"] == 300
    assert service["enableExecuteCommand"] is True
    assert service["enableECSManagedTags"] is True
    assert service["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"
    assert service["platformVersion"] == "LATEST"


def test_a_capacity_provider_strategy_takes_the_place_of_the_launch_type(ecs: Ecs, wiring: Any) -> None:
    define(ecs)
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]
    ecs.create_service(
        cluster="c",
        serviceName="s",
        taskDefinition="app",
        desiredCount=1,
        capacityProviderStrategy=strategy,
        networkConfiguration=wiring,
    )
    service = described(ecs)
    assert service["capacityProviderStrategy"] == strategy
    assert "launchType" not in service


def test_creating_a_service_twice_is_refused(ecs: Ecs, wiring: Any) -> None:
    define(ecs)
    create(ecs, wiring)
    with pytest.raises(ClientError, match="Creation of service was not idempotent"):
        create(ecs, wiring)


def test_a_deleted_service_can_be_described_but_neither_listed_nor_updated(ecs: Ecs, wiring: Any) -> None:
    define(ecs)
    create(ecs, wiring)
    ecs.delete_service(cluster="c", service="s", force=True)
    assert described(ecs)["status"] == "INACTIVE"
    assert ecs.list_services(cluster="c")["serviceArns"] == []
    assert refused(ecs.update_service, cluster="c", service="s", desiredCount=1)[0] == "ServiceNotActiveException"
    assert create(ecs, wiring)["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"networkConfiguration": None}, "Network Configuration must be provided"),
        ({"serviceRegistries": [{"registryArn": "arn:aws:servicediscovery:x"}]}, "Unable to access the service regis"),
        ({"loadBalancers": [{"targetGroupArn": "arn:tg", "containerName": "app", "containerPort": 8001}]}, "arn:tg"),
        ({"healthCheckGracePeriodSeconds": 60}, "only valid for services configured to use load balancers"),
        ({"deploymentConfiguration": {"maximumPercent": 100, "minimumHealthyPercent": 100}}, "cannot be 100"),
        ({"taskDefinition": "unknown"}, "Unable to describe task definition"),
    ],
)
def test_create_service_refuses(ecs: Ecs, wiring: Any, change: dict[str, Any], complaint: str) -> None:
    define(ecs)
    arguments = {
        "cluster": "c",
        "serviceName": "s",
        "taskDefinition": "app",
        "desiredCount": 1,
        "networkConfiguration": wiring,
        **change,
    }
    _, message = refused(ecs.create_service, **{key: value for key, value in arguments.items() if value is not None})
    assert complaint in message
    assert ecs.list_services(cluster="c")["serviceArns"] == []


def test_a_load_balancer_must_name_a_port_of_the_task_definition(ecs: Ecs, wiring: Any, target_group: str) -> None:
    define(ecs)
    balancer = {"targetGroupArn": target_group, "containerName": "app", "containerPort": 80}
    with pytest.raises(ClientError, match="did not have a container port 80 defined"):
        create(ecs, wiring, loadBalancers=[balancer])
    with pytest.raises(ClientError, match="The container web does not exist"):
        create(ecs, wiring, loadBalancers=[{**balancer, "containerName": "web"}])


def test_a_target_group_without_a_load_balancer_is_refused(
    ecs: Ecs, wiring: Any, client: Callable[..., Any], network: Any
) -> None:
    define(ecs)
    lonely = client("elbv2").create_target_group(
        Name="lonely", Protocol="HTTP", Port=8001, VpcId=network.vpc, TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    balancer = {"targetGroupArn": lonely, "containerName": "app", "containerPort": 8001}
    with pytest.raises(ClientError, match="does not have an associated load balancer"):
        create(ecs, wiring, loadBalancers=[balancer])


def test_creating_a_service_begins_a_deployment_with_a_full_arn_and_starts_nothing(ecs: Ecs, wiring: Any) -> None:
    arn = define(ecs)
    create(ecs, wiring)
    service = described(ecs)
    (deployment,) = service["deployments"]
    assert service["taskDefinition"] == deployment["taskDefinition"] == arn
    assert deployment["status"] == "PRIMARY"
    assert deployment["rolloutState"] == "IN_PROGRESS"
    assert len(deployment["id"].removeprefix("ecs-svc/")) == 19
    assert (service["runningCount"], service["pendingCount"], deployment["desiredCount"]) == (0, 0, 1)


def test_a_new_revision_begins_a_second_deployment(ecs: Ecs, wiring: Any) -> None:
    old = define(ecs)
    create(ecs, wiring)
    new = define(ecs, image="app:2")
    ecs.update_service(cluster="c", service="s", taskDefinition="app:2")
    service = described(ecs)
    assert service["taskDefinition"] == new
    assert [(each["status"], each["taskDefinition"]) for each in service["deployments"]] == [
        ("PRIMARY", new),
        ("ACTIVE", old),
    ]
    assert len({each["id"] for each in service["deployments"]}) == 2


def test_registries_networks_and_force_begin_a_deployment(ecs: Ecs, wiring: Any, registry: str, network: Any) -> None:
    define(ecs)
    create(ecs, wiring)
    smaller = {"awsvpcConfiguration": {"subnets": network.subnets[:1], "securityGroups": [network.group]}}
    for change in (
        {"serviceRegistries": [{"registryArn": registry}]},
        {"networkConfiguration": smaller},
        {"forceNewDeployment": True},
    ):
        before = described(ecs)["deployments"][0]["id"]
        ecs.update_service(cluster="c", service="s", **change)
        assert described(ecs)["deployments"][0]["id"] != before, change
    assert described(ecs)["serviceRegistries"] == [{"registryArn": registry}]


def test_what_needs_no_new_task_begins_no_deployment(ecs: Ecs, wiring: Any, target_group: str) -> None:
    define(ecs)
    balancers = [{"targetGroupArn": target_group, "containerName": "app", "containerPort": 8001}]
    create(ecs, wiring, loadBalancers=balancers)
    before = described(ecs)["deployments"][0]["id"]
    for change in (
        {"desiredCount": 2},
        {"healthCheckGracePeriodSeconds": 60},
        {"deploymentConfiguration": {"maximumPercent": 150}},
        {"taskDefinition": "app:1"},
        {"networkConfiguration": wiring},
        {"loadBalancers": balancers},
    ):
        ecs.update_service(cluster="c", service="s", **change)
    service = described(ecs)
    assert [each["id"] for each in service["deployments"]] == [before]
    assert (service["desiredCount"], service["deployments"][0]["desiredCount"]) == (2, 2)
    assert service["runningCount"] == 0
    assert service["healthCheckGracePeriodSeconds"] == 60
    assert service["deploymentConfiguration"]["minimumHealthyPercent"] == 100


def test_an_update_that_is_refused_changes_nothing(ecs: Ecs, wiring: Any) -> None:
    define(ecs)
    create(ecs, wiring)
    before = described(ecs)
    bad = [{"registryArn": "arn:nowhere"}]
    refused(ecs.update_service, cluster="c", service="s", desiredCount=5, serviceRegistries=bad)
    assert described(ecs) == before


def test_an_agent_finishes_a_deployment_and_its_history_stays(
    ecs: Ecs, wiring: Any, control_plane: ControlPlane
) -> None:
    define(ecs)
    create(ecs, wiring)
    define(ecs, image="app:2")
    ecs.update_service(cluster="c", service="s", taskDefinition="app")
    with control_plane.lock:
        service = control_plane.backend("ecs").services["c:s"]
        new, old = service.deployments
        new.update(runningCount=1, rolloutState="COMPLETED", rolloutStateReason="completed")
        service.deployments.remove(old)
        control_plane.touch()
    assert [each["rolloutState"] for each in described(ecs)["deployments"]] == ["COMPLETED"]
    briefs = ecs.list_service_deployments(cluster="c", service="s")["serviceDeployments"]
    assert [each["status"] for each in briefs] == ["SUCCESSFUL", "IN_PROGRESS"]
    full = ecs.describe_service_deployments(serviceDeploymentArns=[briefs[0]["serviceDeploymentArn"], "arn:none"])
    assert full["serviceDeployments"][0]["statusReason"] == "completed"
    assert full["failures"] == [{"arn": "arn:none", "reason": "MISSING"}]
    revision = ecs.describe_service_revisions(serviceRevisionArns=[briefs[0]["targetServiceRevisionArn"]])
    assert revision["serviceRevisions"][0]["taskDefinition"].endswith("app:2")


def test_rolling_back_deploys_the_former_settings_again(ecs: Ecs, wiring: Any, control_plane: ControlPlane) -> None:
    old_arn = define(ecs)
    create(ecs, wiring)
    define(ecs, image="broken")
    ecs.update_service(cluster="c", service="s", taskDefinition="app")
    with control_plane.lock:
        service = control_plane.backend("ecs").services["c:s"]
        failed, old = service.deployments
        failed.update(rolloutState="FAILED", failedTasks=3)
        service.roll_back(old, "rolling back")
    shown = described(ecs)
    assert shown["taskDefinition"] == old_arn
    assert [(each["status"], each["rolloutState"]) for each in shown["deployments"]] == [
        ("PRIMARY", "IN_PROGRESS"),
        ("ACTIVE", "FAILED"),
        ("ACTIVE", "IN_PROGRESS"),
    ]


def test_services_come_in_pages_of_ten(ecs: Ecs, wiring: Any) -> None:
    define(ecs)
    for number in range(12):
        create(ecs, wiring, serviceName=f"s{number:02}")
    first = ecs.list_services(cluster="c")
    assert len(first["serviceArns"]) == 10
    rest = ecs.list_services(cluster="c", nextToken=first["nextToken"])
    assert [arn.rsplit("/", 1)[-1] for arn in rest["serviceArns"]] == ["s10", "s11"]
    names = [f"s{number:02}" for number in range(12)]
    assert refused(ecs.describe_services, cluster="c", services=names)[0] == "InvalidParameterException"


def put_task(control_plane: ControlPlane, service: str, status: str = "RUNNING") -> Any:
    """A task as an agent would put it there."""
    backend = control_plane.backend("ecs")
    definition = backend.describe_task_definition("app")
    configuration = backend.services[f"c:{service}"].network_configuration
    task = Task(
        backend.clusters["c"],
        definition,
        None,
        None,
        backend,
        f"service:{service}",
        "FARGATE",
        networking_configuration=configuration,
    )
    task.desired_status = task.last_status = status
    backend.tasks.setdefault("c", {})[task.task_arn] = task
    return task


@pytest.fixture
def dns_hostnames(client: Callable[..., Any], network: Any) -> None:
    """moto makes no task interface without."""
    client("ec2").modify_vpc_attribute(VpcId=network.vpc, EnableDnsHostnames={"Value": True})


@pytest.mark.usefixtures("dns_hostnames")
def test_tasks_are_listed_by_service_and_wanted_status(ecs: Ecs, wiring: Any, control_plane: ControlPlane) -> None:
    define(ecs)
    create(ecs, wiring)
    create(ecs, wiring, serviceName="other")
    running = put_task(control_plane, "s")
    stopped = put_task(control_plane, "s", "STOPPED")
    put_task(control_plane, "other")
    assert ecs.list_tasks(cluster="c", serviceName="s")["taskArns"] == [running.task_arn]
    assert ecs.list_tasks(cluster="c", serviceName="s", desiredStatus="STOPPED")["taskArns"] == [stopped.task_arn]


@pytest.mark.usefixtures("dns_hostnames")
def test_describing_a_task_does_not_move_it(ecs: Ecs, wiring: Any, control_plane: ControlPlane) -> None:
    define(ecs)
    create(ecs, wiring)
    task = put_task(control_plane, "s")
    for _ in range(3):
        answer = ecs.describe_tasks(cluster="c", tasks=[task.task_arn, "0" * 32])
    assert [each["lastStatus"] for each in answer["tasks"]] == ["RUNNING"]
    assert answer["failures"] == [{"arn": "0" * 32, "reason": "MISSING"}]


@pytest.mark.usefixtures("dns_hostnames")
def test_stop_task_asks_the_agent(ecs: Ecs, wiring: Any, control_plane: ControlPlane) -> None:
    define(ecs)
    create(ecs, wiring)
    task = put_task(control_plane, "s")
    answer = ecs.stop_task(cluster="c", task=task.task_arn, reason="by hand")["task"]
    assert (answer["desiredStatus"], answer["lastStatus"]) == ("STOPPED", "RUNNING")
    assert (answer["stopCode"], answer["stoppedReason"]) == ("UserInitiated", "by hand")
    assert refused(ecs.stop_task, cluster="c", task="0" * 32) == (
        "InvalidParameterException",
        "The referenced task was not found.",
    )


def test_a_family_means_its_latest_active_revision(ecs: Ecs) -> None:
    first = define(ecs)
    second = define(ecs, image="app:2")
    ecs.deregister_task_definition(taskDefinition=second)
    assert ecs.describe_task_definition(taskDefinition="app")["taskDefinition"]["taskDefinitionArn"] == first
    assert define(ecs).endswith("app:3")


def test_revisions_are_listed_by_number_and_in_pages(ecs: Ecs) -> None:
    for _ in range(11):
        define(ecs)
    newest = ecs.list_task_definitions(familyPrefix="app", sort="DESC", maxResults=2)
    assert [arn.rsplit(":", 1)[-1] for arn in newest["taskDefinitionArns"]] == ["11", "10"]
    following = ecs.list_task_definitions(familyPrefix="app", sort="DESC", maxResults=2, nextToken=newest["nextToken"])
    assert [arn.rsplit(":", 1)[-1] for arn in following["taskDefinitionArns"]] == ["9", "8"]


def test_a_task_definition_reads_back_with_ecs_defaults(ecs: Ecs) -> None:
    define(ecs)
    shown = ecs.describe_task_definition(taskDefinition="app")["taskDefinition"]
    assert shown["containerDefinitions"][0]["portMappings"] == [
        {"containerPort": 8001, "hostPort": 8001, "protocol": "tcp"}
    ]
    assert {"registeredAt", "registeredBy", "requiresAttributes", "compatibilities"} <= set(shown)


def test_fargate_wants_an_execution_role_for_secrets(ecs: Ecs) -> None:
    code, message = refused(
        ecs.register_task_definition,
        family="app",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "a", "image": "a", "secrets": [{"name": "S", "valueFrom": "/s"}]}],
    )
    assert (code, "execution role" in message) == ("ClientException", True)


def test_a_cluster_with_services_cannot_be_deleted(ecs: Ecs, wiring: Any) -> None:
    define(ecs)
    create(ecs, wiring)
    assert refused(ecs.delete_cluster, cluster="c")[0] == "ClusterContainsServicesException"
    ecs.delete_service(cluster="c", service="s", force=True)
    assert ecs.delete_cluster(cluster="c")["cluster"]["status"] == "INACTIVE"
