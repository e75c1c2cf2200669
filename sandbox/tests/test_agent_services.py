"""The agent against a real control plane, with real processes and a test that plays the prober."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.agent.agent import TICK, Agent
from sandbox.agent.process import owned_by
from sandbox.agent.seam import Host
from sandbox.agent.service import ServiceReconciler
from sandbox.agent.task import Loopbacks, NoLoopbackError
from sandbox.controlplane import ControlPlane
from sandbox.tests.conftest import ClientFactory, Network
from sandbox.world import UnknownResourceError, World

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/hokusai-auth:1"
SERVER = ["python", "-m", "http.server", "8000", "--bind", "0.0.0.0"]
CRASH = ["python", "-c", "print('out of luck'); raise SystemExit(3)"]
PRINT_ENVIRONMENT = [
    "python",
    "-c",
    "import json, os; print(json.dumps(dict(os.environ))); import time; time.sleep(60)",
]
CLUSTER, SERVICE, FAMILY, LOG_GROUP = "test", "web", "web", "/ecs/web"
ROLE = "arn:aws:iam::123456789012:role/execution"


class Stage:
    """One cluster with one target group and one Cloud Map service, and the agent beside it."""

    def __init__(self, client: ClientFactory, world: World, network: Network) -> None:
        self.ecs, self.elbv2, self.discovery = client("ecs"), client("elbv2"), client("servicediscovery")
        self.ssm, self.logs, self.ec2 = client("ssm"), client("logs"), client("ec2")
        self.world, self.network = world, network
        self.verdict = "healthy"
        self.probes_newcomers = True
        self.ecs.create_cluster(clusterName=CLUSTER)
        self.logs.create_log_group(logGroupName=LOG_GROUP)
        self.target_group = self._target_group()
        self.registry = self._registry()

    def _target_group(self) -> str:
        group: str = self.elbv2.create_target_group(
            Name="web", Protocol="HTTP", Port=8000, VpcId=self.network.vpc, TargetType="ip"
        )["TargetGroups"][0]["TargetGroupArn"]
        self.elbv2.modify_target_group_attributes(
            TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "3"}]
        )
        balancer = self.elbv2.create_load_balancer(Name="web", Subnets=self.network.subnets)["LoadBalancers"][0]
        self.elbv2.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )
        return group

    def _registry(self) -> dict[str, Any]:
        self.discovery.create_private_dns_namespace(Name="test.local", Vpc=self.network.vpc)
        namespace = self.until(lambda: self.discovery.list_namespaces()["Namespaces"])[0]
        found: dict[str, Any] = self.discovery.create_service(
            Name="web",
            NamespaceId=namespace["Id"],
            DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 10}]},
            HealthCheckCustomConfig={"FailureThreshold": 1},
        )["Service"]
        return found

    def register(self, command: list[str], **container: Any) -> str:
        arn: str = self.ecs.register_task_definition(
            family=FAMILY,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            executionRoleArn=ROLE,
            containerDefinitions=[
                {
                    "name": "web",
                    "image": IMAGE,
                    "command": command,
                    "portMappings": [{"containerPort": 8000}],
                    "logConfiguration": {
                        "logDriver": "awslogs",
                        "options": {
                            "awslogs-group": LOG_GROUP,
                            "awslogs-region": "us-east-1",
                            "awslogs-stream-prefix": "ecs",
                        },
                    },
                    **container,
                }
            ],
        )["taskDefinition"]["taskDefinitionArn"]
        return arn

    def create(self, task_definition: str, **changes: Any) -> None:
        settings = {
            "cluster": CLUSTER,
            "serviceName": SERVICE,
            "taskDefinition": task_definition,
            "desiredCount": 1,
            "launchType": "FARGATE",
            "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
            "networkConfiguration": {
                "awsvpcConfiguration": {"subnets": self.network.subnets, "securityGroups": [self.network.group]}
            },
            "loadBalancers": [{"targetGroupArn": self.target_group, "containerName": "web", "containerPort": 8000}],
            "serviceRegistries": [{"registryArn": self.registry["Arn"]}],
        }
        self.ecs.create_service(**settings | changes)

    def create_steady(self, **changes: Any) -> None:
        self.create(self.register(SERVER), **changes)
        self.until(self.is_steady)

    def update(self, **changes: Any) -> None:
        self.ecs.update_service(cluster=CLUSTER, service=SERVICE, **changes)

    def service(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_services(cluster=CLUSTER, services=[SERVICE])["services"][0]
        return found

    def primary(self) -> dict[str, Any]:
        found: dict[str, Any] = self.service()["deployments"][0]
        return found

    def is_steady(self) -> bool:
        service = self.service()
        done = service["deployments"][0]["rolloutState"] == "COMPLETED" and len(service["deployments"]) == 1
        return done and service["runningCount"] == service["desiredCount"]

    def events(self) -> list[str]:
        return [event["message"] for event in self.service()["events"]]

    def tasks(self, status: str = "RUNNING") -> list[dict[str, Any]]:
        arns = self.ecs.list_tasks(cluster=CLUSTER, desiredStatus=status)["taskArns"]
        found: list[dict[str, Any]] = self.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
        return found

    def targets(self) -> dict[str, str]:
        found = self.elbv2.describe_target_health(TargetGroupArn=self.target_group)["TargetHealthDescriptions"]
        return {one["Target"]["Id"]: one["TargetHealth"]["State"] for one in found}

    def instances(self) -> list[str]:
        found = self.discovery.list_instances(ServiceId=self.registry["Id"])["Instances"]
        return [one["Attributes"]["AWS_INSTANCE_IPV4"] for one in found]

    def until(self, condition: Callable[[], Any], seconds: float = 20.0) -> Any:
        """Wait, and meanwhile be the prober: every registered target gets the verdict of the moment."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, "waited in vain"
            self._probe()
            time.sleep(0.05)
        return found

    def _probe(self) -> None:
        for group in self.world.target_groups():
            for target in group.targets:
                if target.state == "initial" and not self.probes_newcomers:
                    continue
                self.world.set_target_health(
                    group.arn,
                    target.address,
                    target.port,
                    self.verdict,
                    "" if self.verdict == "healthy" else "Target.ResponseCodeMismatch",
                    "" if self.verdict == "healthy" else "Health checks failed with these codes: [404]",
                )


@pytest.fixture
def stage(
    control_plane: ControlPlane, world: World, client: ClientFactory, network: Network, tmp_path: Path
) -> Iterator[Stage]:
    host = Host(
        state_dir=tmp_path,
        loopback=f"127.{200 + secrets.randbelow(50)}.{secrets.randbelow(250)}",
        owner=secrets.token_hex(8),
        trust=tmp_path / "ca.pem",
        pace=30.0,
        fabric=lambda address: f"socks5h://{address}:token@127.0.0.1:1",
    )
    agent = Agent(control_plane, world, host)
    agent.start()
    yield Stage(client, world, network)
    agent.stop()
    assert list(owned_by(host.owner)) == []


def address_of(task: dict[str, Any]) -> str:
    details = {entry["name"]: entry["value"] for entry in task["attachments"][0]["details"]}
    return str(details["privateIPv4Address"])


def test_a_service_becomes_steady_with_its_targets_and_instances(stage: Stage) -> None:
    stage.create_steady(desiredCount=2)
    tasks = stage.tasks()
    addresses = sorted(address_of(task) for task in tasks)
    assert [task["lastStatus"] for task in tasks] == ["RUNNING", "RUNNING"]
    assert stage.targets() == dict.fromkeys(addresses, "healthy")
    assert sorted(stage.instances()) == addresses
    assert stage.events()[0] == f"(service {SERVICE}) has reached a steady state."
    assert stage.primary()["rolloutStateReason"] == f"ECS deployment {stage.primary()['id']} completed."
    assert {task["startedBy"] for task in tasks} == {stage.primary()["id"]}
    assert {task["availabilityZone"] for task in tasks} == {"us-east-1a", "us-east-1b"}


def test_a_registry_that_names_a_port_has_it_in_its_instances(stage: Stage) -> None:
    """What an SRV record is made of."""
    namespace = stage.discovery.list_namespaces()["Namespaces"][0]["Id"]
    service = stage.discovery.create_service(
        Name="srv", NamespaceId=namespace, DnsConfig={"DnsRecords": [{"Type": "SRV", "TTL": 10}]}
    )["Service"]
    registry = {"registryArn": service["Arn"], "containerName": "web", "containerPort": 8000}
    stage.create(stage.register(SERVER), serviceRegistries=[registry])
    found = stage.until(lambda: stage.discovery.list_instances(ServiceId=service["Id"])["Instances"])
    assert [one["Attributes"]["AWS_INSTANCE_PORT"] for one in found] == ["8000"]


def test_a_new_revision_replaces_the_old_task_only_once_it_is_healthy(stage: Stage) -> None:
    stage.create_steady()
    (before,) = stage.tasks()
    revision = stage.register(SERVER, environment=[{"name": "COLOUR", "value": "green"}])
    stage.probes_newcomers = False
    stage.update(taskDefinition=revision)
    assert stage.primary()["rolloutState"] == "IN_PROGRESS"
    stage.until(lambda: [task["lastStatus"] for task in stage.tasks()] == ["RUNNING", "RUNNING"])
    time.sleep(0.6)
    assert before["taskArn"] in {task["taskArn"] for task in stage.tasks()}
    stage.probes_newcomers = True
    stage.until(stage.is_steady)
    (after,) = stage.tasks()
    assert after["taskDefinitionArn"] == revision
    (stopped,) = stage.until(lambda: [task for task in stage.tasks("STOPPED") if task["lastStatus"] == "STOPPED"])
    assert stopped["taskArn"] == before["taskArn"]
    assert stopped["stopCode"] == "ServiceSchedulerInitiated"
    assert stage.instances() == [address_of(after)]


def test_a_revision_that_crashes_is_rolled_back_and_said_so(stage: Stage) -> None:
    stage.create_steady()
    good = stage.service()["taskDefinition"]
    (before,) = stage.tasks()
    bad = stage.register(CRASH)
    stage.update(taskDefinition=bad)
    failed = stage.primary()["id"]
    stage.until(lambda: stage.service()["taskDefinition"] == good)
    stage.until(stage.is_steady)
    assert stage.primary()["taskDefinition"] == good
    assert [task["taskArn"] for task in stage.tasks()] == [before["taskArn"]]
    events = "\n".join(stage.events())
    assert f"(deployment {failed}) deployment failed: tasks failed to start." in events
    assert f"rolling back to deployment {stage.primary()['id']}." in events
    crashed = [task for task in stage.tasks("STOPPED") if task["taskDefinitionArn"] == bad]
    assert len(crashed) == 3
    assert {task["stoppedReason"] for task in crashed} == {"Essential container in task exited"}
    assert {task["containers"][0]["exitCode"] for task in crashed} == {3}
    assert {task["stopCode"] for task in crashed} == {"EssentialContainerExited"}


def test_without_a_completed_deployment_the_breaker_only_fails(stage: Stage) -> None:
    stage.create(stage.register(CRASH))
    stage.until(lambda: stage.primary()["rolloutState"] == "FAILED")
    assert stage.primary()["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    assert stage.primary()["failedTasks"] == 3


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        pytest.param({"image": "registry.test/unknown:1"}, "CannotPullContainerError", id="unknown repository"),
        pytest.param({"image": IMAGE.replace(":1", ":missing")}, "CannotPullContainerError", id="missing tag"),
        pytest.param({"command": ["no-such-program"]}, "CannotStartContainerError", id="unknown command"),
        pytest.param({"command": ["python", "x" * 200_000]}, "CannotStartContainerError", id="beyond the kernel"),
        pytest.param({"command": ["python", "\0"]}, "CannotStartContainerError", id="not for the kernel"),
        pytest.param(
            {"secrets": [{"name": "TOKEN", "valueFrom": "/nobody/wrote/this"}]},
            "ResourceInitializationError",
            id="missing parameter",
        ),
        pytest.param(
            {"secrets": [{"name": "T", "valueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:no-aBcDeF"}]},
            "ResourceInitializationError",
            id="missing secret",
        ),
    ],
)
def test_a_task_that_cannot_start_says_why(stage: Stage, container: dict[str, Any], reason: str) -> None:
    stage.create(stage.register(**{"command": SERVER, **container}))
    stopped = stage.until(lambda: stage.tasks("STOPPED"))[0]
    assert stopped["stoppedReason"].startswith(reason)
    assert stopped["stopCode"] == "TaskFailedToStart"


def test_a_task_gets_exactly_its_revisions_environment_and_secrets(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "somebody")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://elsewhere.test")
    stage.ssm.put_parameter(Name="/web/token", Type="SecureString", Value="s3cret")
    revision = stage.register(
        PRINT_ENVIRONMENT,
        portMappings=[],
        environment=[{"name": "COLOUR", "value": "blue"}],
        secrets=[
            {"name": "TOKEN", "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/web/token"},
        ],
    )
    stage.create(revision, loadBalancers=[])
    (task,) = stage.until(lambda: [task for task in stage.tasks() if task["lastStatus"] == "RUNNING"])
    stream = f"ecs/web/{task['taskArn'].rpartition('/')[2]}"
    (event,) = stage.until(lambda: log_events(stage, stream))
    assert '"COLOUR": "blue"' in event
    assert '"TOKEN": "s3cret"' in event
    assert f'"ALL_PROXY": "socks5h://{address_of(task)}:token@127.0.0.1:1"' in event
    assert "AWS_PROFILE" not in event
    assert "MLFLOW_TRACKING_URI" not in event


def log_events(stage: Stage, stream: str) -> list[str]:
    streams = stage.logs.describe_log_streams(logGroupName=LOG_GROUP)["logStreams"]
    if stream not in {found["logStreamName"] for found in streams}:
        return []
    found = stage.logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream)["events"]
    return [event["message"] for event in found]


def test_what_a_task_prints_is_kept_in_the_services_log_file(stage: Stage, tmp_path: Path) -> None:
    stage.create(stage.register(CRASH))
    log = tmp_path / "logs" / f"{SERVICE}.log"
    stage.until(lambda: log.exists() and "out of luck" in log.read_text())


def test_a_stopped_task_is_replaced_and_keeps_the_users_reason(stage: Stage) -> None:
    stage.create_steady()
    (before,) = stage.tasks()
    stage.ecs.stop_task(cluster=CLUSTER, task=before["taskArn"], reason="by hand")
    stage.until(lambda: [task for task in stage.tasks() if task["taskArn"] != before["taskArn"]])
    stage.until(stage.is_steady)
    (stopped,) = stage.until(lambda: [task for task in stage.tasks("STOPPED") if task["lastStatus"] == "STOPPED"])
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "by hand")


def test_a_desired_count_of_0_leaves_no_task_target_or_instance(stage: Stage) -> None:
    stage.create_steady()
    stage.update(desiredCount=0)
    stage.until(lambda: not stage.tasks() and not stage.instances() and not stage.targets())
    assert stage.service()["runningCount"] == 0
    assert stage.primary()["rolloutState"] == "COMPLETED"
    interfaces = stage.ec2.describe_network_interfaces()["NetworkInterfaces"]
    stage.until(lambda: all(task["lastStatus"] == "STOPPED" for task in stage.tasks("STOPPED")))
    assert not [one for one in interfaces if one["Description"].startswith("ECS task") and one["Status"] == "available"]


def test_an_unhealthy_task_is_replaced_start_before_stop_after_its_grace_period(stage: Stage) -> None:
    stage.create_steady(healthCheckGracePeriodSeconds=30)
    (before,) = stage.tasks()
    stage.verdict = "unhealthy"

    def replaced() -> bool:
        running = [task["taskArn"] for task in stage.tasks() if task["lastStatus"] == "RUNNING"]
        assert running, "the service was left without a running task"
        return before["taskArn"] not in running

    stage.until(replaced)
    reason = "(reason Health checks failed with these codes: [404])."
    assert any(
        f"(port 8000) is unhealthy in (target-group {stage.target_group}) due to {reason}" in event
        for event in stage.events()
    )
    stopped = next(task for task in stage.tasks("STOPPED") if task["taskArn"] == before["taskArn"])
    assert stopped["stoppedReason"] == f"Task failed ELB health checks in (target-group {stage.target_group})"


def test_an_unhealthy_task_is_left_alone_during_its_grace_period(stage: Stage) -> None:
    stage.create_steady(healthCheckGracePeriodSeconds=3000)
    (before,) = stage.tasks()
    stage.verdict = "unhealthy"
    stage.until(lambda: "unhealthy" in stage.targets().values())
    time.sleep(0.8)
    assert [task["taskArn"] for task in stage.tasks()] == [before["taskArn"]]


def test_a_deleted_service_stops_its_tasks(stage: Stage) -> None:
    stage.create_steady()
    stage.ecs.delete_service(cluster=CLUSTER, service=SERVICE, force=True)
    stage.until(lambda: not stage.tasks() and all(one["lastStatus"] == "STOPPED" for one in stage.tasks("STOPPED")))


def test_a_task_gives_its_private_address_back_however_it_ends(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    live: list[str] = []
    take, give_back = Loopbacks.take, Loopbacks.give_back

    def noted_take(loopbacks: Loopbacks) -> str:
        live.append(take(loopbacks))
        return live[-1]

    def noted_give_back(loopbacks: Loopbacks, address: str) -> None:
        live.remove(address)
        give_back(loopbacks, address)

    monkeypatch.setattr(Loopbacks, "take", noted_take)
    monkeypatch.setattr(Loopbacks, "give_back", noted_give_back)
    stage.create(stage.register(CRASH))
    stage.until(lambda: stage.tasks("STOPPED"))
    stage.update(taskDefinition=stage.register(SERVER))
    stage.until(stage.is_steady)
    assert len(live) == 1
    stage.update(desiredCount=0)
    stage.until(lambda: not live)


def test_a_forced_deployment_replaces_the_task_of_the_same_revision(stage: Stage) -> None:
    stage.create_steady()
    (before,) = stage.tasks()
    stage.update(forceNewDeployment=True)
    stage.until(stage.is_steady)
    (after,) = stage.tasks()
    assert after["taskArn"] != before["taskArn"]
    assert after["taskDefinitionArn"] == before["taskDefinitionArn"]


def test_a_service_created_anew_is_not_rolled_back_to_its_namesake(stage: Stage) -> None:
    stage.create_steady()
    stage.ecs.delete_service(cluster=CLUSTER, service=SERVICE, force=True)
    stage.until(lambda: not stage.tasks() and all(one["lastStatus"] == "STOPPED" for one in stage.tasks("STOPPED")))
    bad = stage.register(CRASH)
    stage.create(bad)
    stage.until(lambda: stage.primary()["rolloutState"] == "FAILED")
    time.sleep(2 * TICK)
    assert stage.service()["taskDefinition"] == bad
    assert not any("rolling back" in event for event in stage.events())


def test_a_task_is_not_healthy_before_it_is_registered_and_registration_is_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr(stage.world, "register_target", lambda *_: refuse("the target group is away"))
        away.setattr(stage.world, "register_instance", lambda *_: refuse("the Cloud Map service is away"))
        stage.create(stage.register(SERVER))
        stage.until(lambda: [task["lastStatus"] for task in stage.tasks()] == ["RUNNING"])
        time.sleep(3 * TICK)
        assert stage.primary()["rolloutState"] == "IN_PROGRESS"
        refused = [event for event in stage.events() if "failed to register in" in event]
        assert len(refused) == 2
        assert f"(target-group {stage.target_group}) with (error the target group is away)" in "".join(refused)
    stage.until(stage.is_steady)
    (task,) = stage.tasks()
    assert stage.targets() == {address_of(task): "healthy"}
    assert stage.instances() == [address_of(task)]


def refuse(reason: str) -> None:
    raise UnknownResourceError(reason)


def test_a_service_that_cannot_be_reconciled_leaves_the_others_theirs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reconcile = ServiceReconciler.tick

    def tick(reconciler: ServiceReconciler, service: Any, now: float) -> None:
        if service.name == "broken":
            raise RuntimeError("beyond repair")
        reconcile(reconciler, service, now)

    monkeypatch.setattr(ServiceReconciler, "tick", tick)
    stage.create(stage.register(SERVER), serviceName="broken", loadBalancers=[], serviceRegistries=[])
    stage.create_steady()
    assert "beyond repair" in caplog.text


def test_the_address_of_a_live_task_is_not_given_to_another() -> None:
    loopbacks = Loopbacks("127.81.7")
    first = loopbacks.take()
    others = {loopbacks.take() for _ in range(249)}
    assert len(others | {first}) == 250
    assert "127.81.7.1" not in others | {first}
    with pytest.raises(NoLoopbackError):
        loopbacks.take()
    loopbacks.give_back(first)
    assert loopbacks.take() == first
