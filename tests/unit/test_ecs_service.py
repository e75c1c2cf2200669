"""ecs_service: one revision, one deployment, nothing lost, and success only when it is."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import cloudmap, ecs_deployment, ecs_observation
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_service import (
    CircuitBreaker,
    Live,
    LoadBalancer,
    Network,
    Registry,
    Service,
)
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Ambiguous, BadInput, GaveUp, NotFound
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Later, Missing, Observed, as_data, holds
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Outcome, Resource, converge
from ansible_collections.hokusai.platform.plugins.module_utils.task_definition import Revision
from ansible_collections.hokusai.platform.plugins.modules import ecs_service as module

from sandbox.controlplane import ControlPlane, Fault
from sandbox.world import World

CLUSTER, NAME, CONTAINER = "hokusai-development", "hokusai-api-development", "hokusai-api"
NAMESPACE = "hokusai-development.local"
RESOURCE = Resource("ecs", module.desire, module.observe, module.plan, ecs_deployment.settle)
REGISTER, UPDATE = "register_task_definition", "update_service"
Options = dict[str, Any]

ENVIRONMENT = {"AUTH_SERVICE_ID": "ml-platform", "DB_PASSWORD": "hunter2", "MLFLOW_PROXY_TIMEOUT": "120"}
SECRET = {"name": "SESSION_SECRET", "valueFrom": "/hokusai/development/api/session-secret"}
DEFINITION: dict[str, Any] = {
    "family": NAME,
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "512",
    "memory": "1024",
    "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
    "containerDefinitions": [
        {
            "name": CONTAINER,
            "image": "hokusai-api:incident",
            "command": ["serve", "--port=8001"],
            "portMappings": [{"containerPort": 8001}],
            "environment": [{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
            "secrets": [SECRET],
        }
    ],
    "tags": [{"key": "team", "value": "ml"}],
}


def params(**more: Any) -> Options:
    """The options after Ansible has filled in the defaults."""
    silent = (
        "containers",
        "service_registries",
        "network",
        "load_balancers",
        "circuit_breaker",
        "health_check_grace_period",
        "desired_count",
        "minimum_count",
    )
    waiting = {"replace_unregistered": True, "wait": True, "wait_timeout": 10, "wait_delay": 0.05}
    return {"cluster": CLUSTER, "service": NAME, **dict.fromkeys(silent), **waiting, **more}


def container(**more: Any) -> Options:
    """Options for one change of the container."""
    silent = dict.fromkeys(("image", "command", "environment", "secrets"))
    empty: Options = {"environment_mode": "merge", "remove_environment": [], "remove_secrets": []}
    return params(containers=[{"name": CONTAINER, **silent, **empty, **more}])


def registry(service: str = "api", **more: Any) -> Options:
    return {"namespace": NAMESPACE, "service": service, "container_name": None, "container_port": None, **more}


def balancer(group: str) -> Options:
    return {"target_group": group, "container_name": CONTAINER, "container_port": 8001}


def network(**more: Any) -> Options:
    return {"subnets": None, "security_groups": None, "assign_public_ip": None, **more}


WHOLE = {
    **container(environment={"AUTH_SERVICE_ID": "platform"}),
    "service_registries": [registry()],
    "network": network(security_groups=["api", "extra"]),
    "load_balancers": [balancer("reg-api"), balancer("api-tg")],
    "circuit_breaker": {"enable": True, "rollback": True},
    "health_check_grace_period": 300,
    "desired_count": 2,
}

# what is asked for of the service below, and the steps it takes
TABLE: dict[str, tuple[Options, list[str]]] = {
    "nothing asked is nothing to do": (params(), []),
    "what is there already is nothing to do": (
        {
            **container(image="hokusai-api:incident", environment={"AUTH_SERVICE_ID": "ml-platform"}),
            "network": network(subnets=["private-1"], security_groups=["api"], assign_public_ip=False),
            "load_balancers": [balancer("reg-api")],
            "circuit_breaker": {"enable": False, "rollback": None},
            "desired_count": 1,
        },
        [],
    ),
    "a changed environment value": (container(environment={"AUTH_SERVICE_ID": "platform"}), [REGISTER, UPDATE]),
    "a removed variable": (container(remove_environment=["MLFLOW_PROXY_TIMEOUT"]), [REGISTER, UPDATE]),
    "a variable that is gone already": (container(remove_environment=["NOT_THERE"]), []),
    "a command of the same length": (container(command=["serve", "--port=8002"]), [REGISTER, UPDATE]),
    "an image": (container(image="hokusai-api:2026.11.0"), [REGISTER, UPDATE]),
    "a secret": (container(secrets={"OTHER": "/other"}), [REGISTER, UPDATE]),
    "registries alone": (params(service_registries=[registry()]), [UPDATE]),
    "security groups alone": (params(network=network(security_groups=["extra"])), [UPDATE]),
    "subnets by name": (params(network=network(subnets=["private-1", "private-2"])), [UPDATE]),
    "a public address": (params(network=network(assign_public_ip=True)), [UPDATE]),
    "load balancers alone": (params(load_balancers=[balancer("reg-api"), balancer("api-tg")]), [UPDATE]),
    "no load balancers": (params(load_balancers=[]), [UPDATE]),
    "the circuit breaker alone": (params(circuit_breaker={"enable": True, "rollback": True}), [UPDATE]),
    "the grace period alone": (params(health_check_grace_period=300), [UPDATE]),
    "the count alone": (params(desired_count=2), [UPDATE]),
    "a count below the minimum": (params(minimum_count=2), [UPDATE]),
    "a count at the minimum": (params(minimum_count=1), []),
    "everything at once": (WHOLE, [REGISTER, UPDATE]),
}

IDS = {
    "security group api": "sg-api",
    "security group extra": "sg-extra",
    "subnet private-1": "subnet-1",
    "subnet private-2": "subnet-2",
    "target group reg-api": "arn:reg-api",
    "target group api-tg": "arn:api-tg",
    f"Cloud Map service {NAMESPACE}/api": "arn:aws:servicediscovery:us-east-1:123456789012:service/srv-1",
}


def seen(**more: Any) -> Observed[Service]:
    """What observe makes of the service below."""
    answer = {"taskDefinition": {**DEFINITION, "taskDefinitionArn": f"arn:task-definition/{NAME}:1"}, "tags": []}
    revision = Revision.described(answer)
    service = Service(
        CLUSTER,
        NAME,
        revision.containers,
        frozenset(),
        Network(frozenset({"private-1"}), frozenset({"api"}), False),
        frozenset({LoadBalancer("reg-api", CONTAINER, 8001)}),
        CircuitBreaker(False, False),
        0,
        1,
        live=Live(revision, None, {"maximumPercent": 200, "minimumHealthyPercent": 100}),
    )
    return Observed(dataclasses.replace(service, **more), IDS)


class Agent:
    """A stand-in for the ECS agent: completes a deployment in progress; the next one after `failing` is rolled back."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane, self.failing, self.idle, self.over = plane, False, False, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self.over.wait(0.03):
            with self.plane.lock:
                for service in list(self.plane.backend("ecs").services.values()):
                    self._move(service)

    def _move(self, service: Any) -> None:
        if self.idle:
            return
        first, *former = service.deployments
        if self.failing and first["rolloutState"] == "IN_PROGRESS" and former:
            self.failing, first["rolloutState"] = False, "FAILED"
            service.events.insert(0, event("deployment failed: tasks failed to start."))
            service.roll_back(former[0], "ECS deployment circuit breaker: rolling back")
            return
        first.update(rolloutState="COMPLETED", runningCount=service.desired_count)
        service.running_count = service.desired_count
        service.deployments[1:] = [each for each in former if each["rolloutState"] == "FAILED"]


def event(message: str) -> Any:
    return {"id": "1", "createdAt": 4102444800.0, "message": message}


@pytest.fixture
def agent(control_plane: ControlPlane) -> Iterator[Agent]:
    stand_in = Agent(control_plane)
    stand_in.thread.start()
    yield stand_in
    stand_in.over.set()
    stand_in.thread.join()


@pytest.fixture
def vpc(aws: Aws) -> str:
    return str(aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])


@pytest.fixture
def platform(aws: Aws, vpc: str, agent: Agent, control_plane: ControlPlane) -> dict[str, str]:
    """A service that runs revision 1 behind one of two target groups, in no registry; ids by words."""
    subnets = [make_subnet(aws, vpc, number) for number in (1, 2)]
    groups = {
        name: aws.ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
        for name in ("api", "extra")
    }
    targets = make_target_groups(aws, vpc, subnets, control_plane)
    aws.ecs.create_cluster(clusterName=CLUSTER)
    aws.ecs.register_task_definition(**DEFINITION)
    awsvpc = {"subnets": subnets[:1], "securityGroups": [groups["api"]], "assignPublicIp": "DISABLED"}
    aws.ecs.create_service(
        cluster=CLUSTER,
        serviceName=NAME,
        taskDefinition=NAME,
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": awsvpc},
        loadBalancers=[{"targetGroupArn": targets["reg-api"], "containerName": CONTAINER, "containerPort": 8001}],
        deploymentConfiguration={"maximumPercent": 150, "minimumHealthyPercent": 50},
    )
    answer = aws.servicediscovery.create_private_dns_namespace(Name=NAMESPACE, Vpc=vpc)
    namespace = cloudmap.wait_end(aws, answer["OperationId"])["Targets"]["NAMESPACE"]
    records = {"DnsRecords": [{"Type": "A", "TTL": 10}]}
    made = aws.servicediscovery.create_service(Name="api", NamespaceId=namespace, DnsConfig=records)["Service"]
    return {**groups, **targets, "registry": made["Arn"], "namespace": namespace}


def make_subnet(aws: Aws, vpc: str, number: int) -> str:
    tagged = [{"ResourceType": "subnet", "Tags": [{"Key": "Name", "Value": f"private-{number}"}]}]
    zone = f"us-east-1{'ab'[number - 1]}"
    answer = aws.ec2.create_subnet(
        VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone, TagSpecifications=tagged
    )
    return str(answer["Subnet"]["SubnetId"])


def make_target_groups(aws: Aws, vpc: str, subnets: list[str], plane: ControlPlane) -> dict[str, str]:
    """Two groups behind one load balancer, each with two healthy targets."""
    world, arns = World(plane), {}
    for name in ("reg-api", "api-tg"):
        group = aws.elbv2.create_target_group(Name=name, Protocol="HTTP", Port=8001, VpcId=vpc, TargetType="ip")
        arns[name] = group["TargetGroups"][0]["TargetGroupArn"]
    balancer = aws.elbv2.create_load_balancer(Name="lb", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    both = {"TargetGroups": [{"TargetGroupArn": arn, "Weight": 1} for arn in arns.values()]}
    forward = [{"Type": "forward", "ForwardConfig": both}]
    aws.elbv2.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=forward)
    for arn in arns.values():
        for address in ("10.0.1.7", "10.0.1.8"):
            world.register_target(arn, address, 8001)
            world.set_target_health(arn, address, 8001, "healthy")
    return arns


def described(aws: Aws) -> dict[str, Any]:
    return dict(aws.ecs.describe_services(cluster=CLUSTER, services=[NAME])["services"][0])


def revisions(aws: Aws) -> list[str]:
    arns = aws.ecs.list_task_definitions(familyPrefix=NAME)["taskDefinitionArns"]
    return [each.rpartition(":")[2] for each in arns]


def running(aws: Aws) -> dict[str, Any]:
    """The container definition that the PRIMARY deployment runs."""
    (primary,) = [each for each in described(aws)["deployments"] if each["status"] == "PRIMARY"]
    answer = aws.ecs.describe_task_definition(taskDefinition=primary["taskDefinition"])
    return dict(answer["taskDefinition"]["containerDefinitions"][0])


def environment(definition: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in definition["environment"]}


def apply(aws: Aws, options: Options) -> Outcome[Service]:
    return converge(RESOURCE, aws, options, dry=False)


@pytest.mark.parametrize("case", TABLE)
def test_the_plan_is(case: str) -> None:
    wanted, expected = TABLE[case]
    assert [step.verb for step in module.plan(seen(), module.desire(wanted))] == expected


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


@pytest.mark.parametrize("call", ["ecs:RegisterTaskDefinition", "ecs:UpdateService"])
def test_a_write_whose_answer_was_lost_is_not_repeated(
    call: str, aws: Aws, platform: Any, control_plane: ControlPlane
) -> None:
    control_plane.faults.replace([Fault(match=call, code="InvalidParameterException", after=True)])
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


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (container(environment={"SESSION_SECRET": "x"}), "both an environment variable and a secret"),
        (container(environment={"A": "1"}, remove_environment=["A"]), "both given and in remove_environment"),
        (container(secrets={"A": "/a"}, remove_secrets=["A"]), "both given and in remove_secrets"),
        (container(environment={"A": ["1"]}), "environment A is list, not a string"),
        (container(environment={"A": None}), "environment A is NoneType, not a string"),
        (params(containers=container()["containers"] * 2), "listed twice"),
        (params(service_registries=[registry(), registry("mlflow")]), "one service registry per service"),
        (params(network=network(subnets=[])), "subnets is empty"),
        (params(load_balancers=[{**balancer("reg-api"), "container_name": "nobody"}]), "no container nobody"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read_or_written(wanted: Options, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        list(module.plan(seen(), module.desire(wanted)))


def test_yaml_numbers_and_booleans_become_the_strings_ecs_wants() -> None:
    wish = module.desire(container(environment={"A": True, "B": 8001, "C": "x"}))
    assert wish.changes[CONTAINER].environment == {"A": "true", "B": "8001", "C": "x"}


def test_the_second_step_waits_for_the_id_the_first_one_brings() -> None:
    register, update = module.plan(seen(), module.desire(container(image="x")))
    assert not list(holds(register.args, Later))
    assert [each.what for each in holds(update.args, Later)] == [f"the new revision of {NAME}"]


def test_a_no_longer_wanted_registry_is_taken_away() -> None:
    current = seen(registries=frozenset({Registry("arn:aws:servicediscovery:x")}))
    (step,) = module.plan(current, module.desire(params(service_registries=[])))
    assert step.args["serviceRegistries"] == []


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


@pytest.mark.parametrize(("running", "expected"), [(0, 2), (1, 2), (2, None), (5, None)])
def test_a_minimum_count_raises_the_desired_count_and_never_scales_in(running: int, expected: int | None) -> None:
    wanted = module.desire(params(minimum_count=2))
    steps = list(module.plan(seen(desired_count=running), wanted))
    assert [step.args["desiredCount"] for step in steps] == ([] if expected is None else [expected])


def test_a_minimum_count_beside_a_desired_count_is_refused(run_module: Callable[..., Any]) -> None:
    result = run_module(module.main, cluster=CLUSTER, service=NAME, desired_count=2, minimum_count=1)
    assert result["failed"]
    assert "mutually exclusive: desired_count|minimum_count" in result["msg"]


def test_an_option_nobody_knows_is_refused(run_module: Callable[..., Any]) -> None:
    result = run_module(module.main, cluster=CLUSTER, service=NAME, task_definition="x")
    assert result["failed"]
    assert "task_definition" in result["msg"]
