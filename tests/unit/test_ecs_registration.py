"""A task that Cloud Map has lost: ECS never registers it again, so it is replaced, once, and only when that is sure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import ecs_observation
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import NotConverged
from ansible_collections.hokusai.platform.plugins.module_utils.runner import converge
from ansible_collections.hokusai.platform.plugins.modules import ecs_service as module

from sandbox.agent.records import TaskRecord
from sandbox.controlplane import ControlPlane, Fault
from sandbox.model import NetworkInterface
from sandbox.world import World
from tests.unit.ecs_model import CLUSTER, NAME, UPDATE, Options, balancer, network, params, registry, seen
from tests.unit.ecs_platform import RESOURCE, Agent, apply, described

WHY = f"service {NAME}: replace tasks that are not registered in Cloud Map"
LISTS = {"ecs:ListTasks": 1, "ecs:DescribeTasks": 1, "servicediscovery:ListInstances": 1}


class Tasks:
    """The service's tasks and their instances; `registers` is whether a new deployment's task gets one."""

    def __init__(self, aws: Aws, plane: ControlPlane, agent: Agent, service_id: str) -> None:
        self.aws, self.plane, self.service_id, self.registers = aws, plane, service_id, True
        self.world, self.started = World(plane), 0
        self.agent, self.move = agent, agent._move
        agent._move = self.follow  # type: ignore[method-assign]

    def follow(self, service: Any) -> None:
        """What the agent does, and a task for each deployment that has none yet, instead of the former one's."""
        self.move(service)
        deployment = service.deployments[0]["id"]
        if not self.agent.idle and deployment not in {task.started_by for task in self.all.values()}:
            for task in self.all.values():
                task.desired_status = "STOPPED"
            self.start(f"10.0.1.{10 + self.started}", deployment=deployment, registered=self.registers)

    @property
    def all(self) -> dict[str, TaskRecord]:
        found: dict[str, TaskRecord] = self.plane.backend("ecs").tasks.setdefault(CLUSTER, {})
        return found

    def start(self, address: str, *, registered: bool, deployment: str = "", state: str = "RUNNING") -> TaskRecord:
        backend = self.plane.backend("ecs")
        definition = SimpleNamespace(arn="arn:1", cpu="256", memory="512")
        record = TaskRecord(backend.services[f"{CLUSTER}:{NAME}"], definition, deployment, backend)  # type: ignore[arg-type]
        record.attach(NetworkInterface(address, (), "vpc-1", "subnet-1", "127.0.0.1"), "us-east-1a", "eni-1")
        record.move(state)
        self.all[record.task_arn] = record
        self.started += 1
        if registered:
            self.world.register_instance(self.service_id, record.id, {"AWS_INSTANCE_IPV4": address})
        return record

    def lose(self) -> None:
        """Deregister every task by hand."""
        for instance in self.aws.servicediscovery.list_instances(ServiceId=self.service_id)["Instances"]:
            self.world.deregister_instance(self.service_id, instance["Id"])


def registered(**more: Any) -> Options:
    return params(service_registries=[registry()], **more)


@pytest.fixture
def tasks(
    aws: Aws, platform: dict[str, str], control_plane: ControlPlane, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> Tasks:
    """The service runs one task, which Cloud Map lists."""
    monkeypatch.setattr(ecs_observation, "LAG_SECONDS", 0.1)
    found = Tasks(aws, control_plane, agent, platform["registry"].rpartition("/")[2])
    apply(aws, registered())
    control_plane.calls.reset()
    return found


def test_a_lost_task_is_replaced_by_one_deployment_after_which_nothing_is_left_to_do(aws: Aws, tasks: Tasks) -> None:
    tasks.lose()
    before = described(aws)["deployments"][0]["id"]
    predicted = converge(RESOURCE, aws, registered(), dry=True)
    assert described(aws)["deployments"][0]["id"] == before
    applied = apply(aws, registered())
    assert [step.shown() for step in predicted.steps] == [{"verb": UPDATE, "why": WHY}]
    assert [step.key for step in applied.steps] == [step.key for step in predicted.steps]
    assert applied.before is not None
    assert applied.after is not None
    assert predicted.after is not None
    assert (len(applied.before.unregistered), applied.after.unregistered) == (1, frozenset())
    assert predicted.after.unregistered == frozenset()
    assert described(aws)["deployments"][0]["id"] != before
    assert apply(aws, registered()).steps == ()


def test_a_registered_task_costs_three_reads_and_no_second_look(
    aws: Aws, tasks: Tasks, control_plane: ControlPlane
) -> None:
    apply(aws, registered())
    actions = control_plane.calls.as_dict()["actions"]
    assert {name: actions[name] for name in LISTS} == LISTS


@pytest.mark.parametrize("options", [params(), registered(replace_unregistered=False)])
def test_where_it_is_not_asked_for_nothing_is_looked_up(
    options: Options, aws: Aws, tasks: Tasks, control_plane: ControlPlane
) -> None:
    tasks.lose()
    control_plane.calls.reset()
    assert apply(aws, options).steps == ()
    assert not LISTS.keys() & control_plane.calls.as_dict()["actions"].keys()


def test_a_task_that_starts_or_stops_does_not_count(aws: Aws, tasks: Tasks) -> None:
    tasks.start("10.0.1.99", registered=False, state="PENDING")
    tasks.start("10.0.1.98", registered=False, state="DEACTIVATING")
    tasks.start("10.0.1.97", registered=False).desired_status = "STOPPED"
    assert apply(aws, registered()).steps == ()


@pytest.mark.parametrize(
    "moving",
    [
        {"rolloutState": "IN_PROGRESS"},
        {"rolloutState": "FAILED"},
        {"runningCount": 0},
        {"pendingCount": 1},
        {"deployments": 2},
    ],
)
def test_a_service_that_moves_is_not_judged(moving: dict[str, Any], aws: Aws, tasks: Tasks) -> None:
    service = described(aws)
    (deployment,) = service["deployments"]
    more = {"rolloutState": moving["rolloutState"]} if "rolloutState" in moving else {}
    counts = {name: moving[name] for name in ("runningCount", "pendingCount") if name in moving}
    changed = {**service, **counts, "deployments": [{**deployment, **more}] * moving.get("deployments", 1)}
    tasks.lose()
    assert ecs_observation.unregistered(aws, service)
    assert not ecs_observation.unregistered(aws, changed)


def test_what_a_second_look_finds_was_only_a_list_that_lagged(
    aws: Aws, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = tasks.start("10.0.1.50", registered=False)
    monkeypatch.setattr(ecs_observation, "LAG_SECONDS", 1.0)
    attributes = {"AWS_INSTANCE_IPV4": "10.0.1.50"}
    threading.Timer(0.5, tasks.world.register_instance, (tasks.service_id, late.id, attributes)).start()
    assert apply(aws, registered()).steps == ()


def test_a_task_that_stopped_between_the_looks_is_not_replaced(
    aws: Aws, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving = tasks.start("10.0.1.50", registered=False)
    monkeypatch.setattr(ecs_observation, "LAG_SECONDS", 1.0)
    threading.Timer(0.5, setattr, (leaving, "desired_status", "STOPPED")).start()
    assert apply(aws, registered()).steps == ()


@pytest.mark.parametrize("call", LISTS)
def test_what_may_not_be_listed_is_unknown_and_starts_nothing(
    call: str, tasks: Tasks, control_plane: ControlPlane, run_module: Callable[..., Any]
) -> None:
    tasks.lose()
    control_plane.faults.replace([Fault(match=call, code="AccessDeniedException", status=403)])
    registries = [{"namespace": registry()["namespace"], "service": "api"}]
    result = run_module(module.main, cluster=CLUSTER, service=NAME, service_registries=registries)
    assert (result["changed"], result["steps"]) == (False, [])
    (warning,) = result["warned"]
    assert "AccessDeniedException" in warning
    assert f"every running task of {NAME} is unknown" in warning


def test_a_task_that_never_gets_registered_is_an_error_and_not_a_loop(
    aws: Aws, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.hokusai.platform.plugins.module_utils.runner.REREAD_DELAYS", (0.0, 0.1))
    tasks.lose()
    tasks.registers = False
    with pytest.raises(NotConverged, match="replace tasks that are not registered"):
        apply(aws, registered())
    assert tasks.started == 3  # before the registry was named, after, and the one that was to be registered anew


def test_not_waiting_leaves_the_deployment_to_itself(aws: Aws, tasks: Tasks, agent: Agent) -> None:
    tasks.lose()
    agent.idle = True
    options = registered(wait=False)
    assert [step.why for step in apply(aws, options).steps] == [WHY]
    assert apply(aws, options).steps == ()


@pytest.mark.parametrize(
    ("more", "forced"),
    [
        ({"desired_count": 2}, True),
        ({"health_check_grace_period": 300}, True),
        ({"load_balancers": [balancer("api-tg")]}, False),
        ({"network": network(security_groups=["extra"])}, False),
    ],
)
def test_a_change_that_starts_new_tasks_anyway_needs_no_other_deployment(more: Options, forced: bool) -> None:
    wish = module.desire(params(**more))
    (step,) = module.plan(seen(unregistered=frozenset({"10.0.1.7"})), wish)
    assert step.args.get("forceNewDeployment", False) is forced
