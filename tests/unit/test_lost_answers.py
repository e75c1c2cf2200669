"""Calls that take effect and whose answers never come: nothing is made twice, and a run of them is taken back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import runner
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError
from ansible_collections.hokusai.platform.plugins.module_utils.journal_writes import CREATE, VERBS, read
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Resource, converge
from ansible_collections.hokusai.platform.plugins.modules import (
    alb_listener,
    alb_target_group,
    cloudmap_namespace,
    ecs_canary_service,
)

from sandbox.controlplane import ControlPlane, Fault
from tests.unit.alb_edge import BALANCER, Edge
from tests.unit.conftest import CountingAws, RunModule
from tests.unit.ecs_model import CLUSTER, CONTAINER, NAME
from tests.unit.ecs_platform import revisions
from tests.unit.restore_platform import Notes, Platform, Task, watch
from tests.unit.restore_runs import RUNS, container, ecs, furnished, group_rules, rules, text
from tests.unit.test_restore_cloudwatch import TASKS as WATCHING
from tests.unit.test_restore_route53 import TASK as NAMING
from tests.unit.test_restore_route53 import Zone

REGISTER = "ecs:RegisterTaskDefinition"
MORE: dict[str, list[Task]] = {
    "log groups": [WATCHING[0]],
    "alarms": [WATCHING[1]],
    "a dashboard": [WATCHING[2]],
    "records": [NAMING],
    "rules that were removed": [rules()],
    "group rules that were removed": [group_rules()],
    "a target group that was created": [(alb_target_group, {"name": "four", "port": 8004, "vpc": "the-vpc"})],
    "a listener that was created": [
        (
            alb_listener,
            {
                "load_balancer": BALANCER,
                "port": 8080,
                "protocol": "HTTP",
                "default_action": {"type": "fixed_response", "fixed_response": {"status_code": 404}},
            },
        )
    ],
    "a namespace that was created": [(cloudmap_namespace, {"name": "other.local", "vpc": "the-vpc"})],
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "REREAD_DELAYS", (0.0, 0.01, 0.05, 0.1))


@pytest.fixture
def whole(aws: CountingAws, edge: Edge, platform: dict[str, str]) -> Platform:
    watch(aws)
    Zone(aws)
    return furnished(aws, edge, platform)


@pytest.fixture
def lose(control_plane: ControlPlane, aws: CountingAws) -> Callable[[], None]:
    """Let the first answer of each kind of write be lost, as the fault O04 does: the connection closes."""

    def set_faults() -> None:
        calls = {(service, aws.client(service).meta.method_to_api_mapping[verb]) for service, verb in VERBS}
        control_plane.faults.replace([Fault(f"^{service}:{call}$", after=True) for service, call in sorted(calls)])

    return set_faults


@pytest.mark.parametrize("name", MORE)
def test_what_was_written_without_an_answer_is_there_once_and_a_second_run_writes_nothing(
    name: str, whole: Platform, lose: Callable[[], None]
) -> None:
    run_once(whole, MORE[name], lose)


@pytest.mark.parametrize("name", RUNS)
def test_it_goes_back_too_even_when_the_answers_of_the_way_back_are_lost(
    name: str, whole: Platform, lose: Callable[[], None], control_plane: ControlPlane
) -> None:
    before = whole.read()
    notes = run_once(whole, RUNS[name], lose)
    lose()
    restored = whole.take_back(before, notes)
    control_plane.faults.replace([])
    assert text(whole.read()) == text(before)
    assert restored.kept == []


def run_once(whole: Platform, tasks: list[Task], lose: Callable[[], None]) -> Notes:
    before = counted(whole.aws)
    lose()
    notes = whole.run(*tasks)
    results = [entry["result"] for entry in notes.entries if entry["kind"] == "outcome"]
    assert set(results) <= {"done", "landed"}
    assert len(results) * 2 == len(notes.entries) > 0
    wanted = Counter(each.kind for each in read(notes.entries).writes if each.act == CREATE)
    more = counted(whole.aws) - before
    assert not more - wanted, f"{more} were made, and {wanted} were to be"
    assert whole.run(tasks[-1]).entries == []
    return notes


def counted(aws: Any) -> Counter[str]:
    """How many there are of what may be made twice."""
    edge, ecs, cloud = aws.elbv2, aws.ecs, aws.servicediscovery
    balancers = [each["LoadBalancerArn"] for each in edge.describe_load_balancers()["LoadBalancers"]]
    listeners = [
        each["ListenerArn"] for arn in balancers for each in edge.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    ]
    return Counter(
        {
            "listener": len(listeners),
            "load_balancer_rule": sum(len(edge.describe_rules(ListenerArn=arn)["Rules"][1:]) for arn in listeners),
            "target_group": len(edge.describe_target_groups()["TargetGroups"]),
            "security_group_rule": len(aws.ec2.describe_security_group_rules()["SecurityGroupRules"]),
            "namespace": len(cloud.list_namespaces()["Namespaces"]),
            "discovery_service": len(cloud.list_services()["Services"]),
            "task_definition": len(ecs.list_task_definitions()["taskDefinitionArns"]),
            "ecs_service": len(ecs.list_services(cluster=CLUSTER)["serviceArns"]),
        }
    )


def test_a_revision_is_registered_again_when_it_was_looked_for_and_is_not_there(
    whole: Platform, aws: CountingAws, control_plane: ControlPlane
) -> None:
    control_plane.faults.replace([Fault(REGISTER, kind="5xx", times=3)])
    whole.run(ecs(containers=container(image="hokusai-api:2026.11.0")))
    assert control_plane.calls.count(REGISTER) == 1 + 3 + 1, "the platform's own, those that failed, and the last"
    assert revisions(aws) == ["1", "2"]


def test_a_revision_is_registered_again_at_once_when_aws_throttled(
    whole: Platform, aws: CountingAws, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    control_plane.faults.replace([Fault(REGISTER, kind="throttle", times=6)])
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    whole.run(ecs(containers=container(image="hokusai-api:2026.11.0"), wait=False))
    assert revisions(aws) == ["1", "2"]


def test_a_revision_that_reads_show_late_is_not_registered_twice(
    whole: Platform, aws: CountingAws, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "REREAD_DELAYS", (0.0, 0.2, 0.4, 0.8))
    control_plane.faults.replace([Fault(REGISTER, lag=0.5, times=-1), Fault(REGISTER, after=True)])
    whole.run(ecs(containers=container(image="hokusai-api:2026.11.0")))
    assert revisions(aws) == ["1", "2"]


@pytest.mark.usefixtures("platform")
def test_a_canary_whose_answers_were_lost_has_one_revision(
    run_module: RunModule, aws: CountingAws, lose: Callable[[], None]
) -> None:
    who = {"cluster": CLUSTER, "service": NAME, "name": "canary", "container": CONTAINER, "image": "hokusai-api:new"}
    lose()
    groups = [{"stable": "reg-api", "canary": "api-tg"}]
    result = run_module(ecs_canary_service.main, **who, target_groups=groups, wait_timeout=10, wait_delay=0.05)
    assert [step["verb"] for step in result["steps"]] == ["register_task_definition", "create_service"]
    assert revisions(aws) == ["1", "2"]


def test_a_forced_deployment_whose_answer_was_lost_is_the_only_one(
    aws: CountingAws, platform: Any, control_plane: ControlPlane
) -> None:
    """With UpdateService's argument forceNewDeployment each call replaces all tasks anew."""
    history = control_plane.backend("ecs").services[f"{CLUSTER}:{NAME}"].deployment_history
    was = len(history)
    control_plane.faults.replace([Fault("ecs:UpdateService", after=True)])
    step = Step("update_service", {"cluster": CLUSTER, "service": NAME, "forceNewDeployment": True}, "replace tasks")
    forced = Resource(
        "ecs",
        lambda _params: "forced",
        lambda _aws, _params: Observed("forced" if len(history) > was else None),
        lambda observed, _desired: () if observed.resource else (step,),
    )
    converge(forced, aws, {}, dry=False)
    assert len(history) == was + 1


# --- an answer was lost, and the further try fails


@contextmanager
def later(control_plane: ControlPlane, fault: Fault) -> Iterator[None]:
    """Nobody waits inside; the fault is set when the first would, that is when an answer was lost."""
    left = [replace(fault)]

    def wait(_seconds: float) -> None:
        while left:
            control_plane.faults.add(left.pop())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", wait)
        yield


DENIED = Fault(".*", kind="expired", times=-1)
THROTTLED = Fault(".*", kind="throttle", times=-1)
LOST_THEN: dict[str, tuple[Task, str, Fault, str]] = {
    "a health check, then denied": (RUNS["a health check"][0], "elbv2:ModifyTargetGroup", DENIED, "ExpiredToken"),
    "a health check, then throttled": (RUNS["a health check"][0], "elbv2:ModifyTargetGroup", THROTTLED, "Throttling"),
    "a rule's action, then denied": (RUNS["a rule's action"][0], "elbv2:ModifyRule", DENIED, "ExpiredToken"),
    "a rule, then denied": (RUNS["a rule that was created"][0], "elbv2:CreateRule", DENIED, "ExpiredToken"),
    "a rule, then throttled": (RUNS["a rule that was created"][0], "elbv2:CreateRule", THROTTLED, "Throttling"),
    "a group rule, then denied": (
        RUNS["a group rule that was added"][0],
        "ec2:AuthorizeSecurityGroupIngress",
        DENIED,
        "",
    ),
    "a discovery service, then throttled": (
        RUNS["a discovery service that was created"][0],
        "servicediscovery:CreateService",
        THROTTLED,
        "",
    ),
    "a revision, then denied": (RUNS["a service's environment"][0], REGISTER, DENIED, ""),
}


@pytest.mark.parametrize("name", LOST_THEN)
def test_a_write_whose_answer_was_lost_and_whose_further_try_fails_stays_open_and_goes_back(
    name: str, whole: Platform, control_plane: ControlPlane
) -> None:
    task, call, fault, code = LOST_THEN[name]
    before, notes = whole.read(), Notes()
    control_plane.faults.replace([Fault(call, after=True)])
    with later(control_plane, fault), pytest.raises(AwsError) as failed:
        whole.run(task, notes=notes)
    assert code in failed.value.code
    assert [entry["kind"] for entry in notes.entries] == ["intent"]
    goes_back(whole, before, notes, control_plane)


def goes_back(whole: Platform, before: Any, notes: Notes, control_plane: ControlPlane) -> None:
    control_plane.faults.replace([])
    assert text(whole.read()) != text(before)
    restored = whole.take_back(before, notes)
    assert text(whole.read()) == text(before)
    assert restored.kept == []


def test_a_rule_whose_answer_was_lost_while_reads_lag_stays_open_and_goes_back(
    whole: Platform, control_plane: ControlPlane
) -> None:
    before, notes = whole.read(), Notes()
    control_plane.faults.replace([Fault("elbv2:CreateRule", lag=60.0, times=-1), Fault("elbv2:CreateRule", after=True)])
    with pytest.raises(AwsError, match="PriorityInUse"):
        whole.run(*RUNS["a rule that was created"], notes=notes)
    assert [entry["kind"] for entry in notes.entries] == ["intent"]
    goes_back(whole, before, notes, control_plane)


def test_a_write_that_was_refused_after_being_throttled_is_journaled_as_refused(
    whole: Platform, control_plane: ControlPlane
) -> None:
    notes, call = Notes(), "elbv2:ModifyTargetGroup"
    control_plane.faults.replace([Fault(call, kind="throttle"), Fault(call, kind="denied", times=-1, skip=1)])
    with pytest.raises(AwsError, match="AccessDenied"):
        whole.run(*RUNS["a health check"], notes=notes)
    assert [entry.get("error") for entry in notes.entries] == [None, "AccessDenied"]
