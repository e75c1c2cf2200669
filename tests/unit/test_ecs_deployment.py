"""Waiting for a deployment: what is success, what is failure, and what an error then says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import ecs_deployment
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_deployment import Awaited, judge
from ansible_collections.hokusai.platform.plugins.module_utils.errors import GaveUp
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step

ARN = "arn:aws:ecs:us-east-1:123456789012:task-definition/hokusai-api-development"
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/hokusai-reg-api-development/1"
T0 = datetime(2026, 11, 1, tzinfo=UTC)
Json = dict[str, Any]
OURS = Awaited("ecs-svc/new", f"{ARN}:8", T0)


def deployment(number: int, status: str = "PRIMARY", state: str = "COMPLETED", **more: Any) -> Json:
    name = "new" if number == 8 else "old"
    return {
        "id": f"ecs-svc/{name}",
        "status": status,
        "taskDefinition": f"{ARN}:{number}",
        "rolloutState": state,
        "runningCount": 1,
        "createdAt": T0 if number == 8 else T0 - timedelta(days=1),
        **more,
    }


def service(*deployments: Json, **more: Any) -> Json:
    return {
        "serviceName": "hokusai-api-development",
        "clusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/hokusai-development",
        "status": "ACTIVE",
        "desiredCount": 1,
        "deployments": list(deployments),
        "events": [],
        "loadBalancers": [{"targetGroupArn": GROUP}],
        **more,
    }


NEW, OLD_ACTIVE = deployment(8), deployment(7, "ACTIVE")
ROLLING_BACK = deployment(
    7, rolloutStateReason="ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/old."
)
STARTED = {"service": service(deployment(8, state="IN_PROGRESS"), OLD_ACTIVE)}

# what DescribeServices says, whether the answer must be fresh -> "done", or a part of what is lacking or wrong
VERDICTS: dict[str, tuple[Json, bool, str]] = {
    "completed": (service(NEW), True, "done"),
    "completed while the old tasks still drain": (service(NEW, OLD_ACTIVE), True, "done"),
    "in progress": (
        service(deployment(8, state="IN_PROGRESS"), OLD_ACTIVE),
        True,
        "lacking: its rollout is IN_PROGRESS",
    ),
    "too few tasks": (service(deployment(8, runningCount=0)), True, "lacking: 0 of 1 tasks run"),
    "not yet seen": (service(deployment(7)), False, "lacking: it is not listed yet"),
    "never seen": (
        service(deployment(7)),
        True,
        "failed: rolled back or replaced: PRIMARY is hokusai-api-development:7",
    ),
    "failed without a rollback": (service(deployment(8, state="FAILED")), True, "failed: FAILED"),
    "rolled back to the old deployment": (
        service(ROLLING_BACK, deployment(8, "ACTIVE", "FAILED")),
        True,
        "failed: FAILED; PRIMARY is hokusai-api-development:7 (ECS deployment circuit breaker",
    ),
    "rolled back by a new deployment of the old revision": (
        service(deployment(7, id="ecs-svc/back", createdAt=T0 + timedelta(minutes=5))),
        False,
        "failed: rolled back or replaced: PRIMARY is hokusai-api-development:7",
    ),
    "replaced by somebody else": (
        service(deployment(9, id="ecs-svc/theirs"), deployment(8, "ACTIVE", "IN_PROGRESS")),
        True,
        "failed: rolled back or replaced: PRIMARY is hokusai-api-development:9",
    ),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_verdict_is(case: str) -> None:
    answer, fresh, expected = VERDICTS[case]
    verdict = judge(answer, OURS, fresh=fresh)
    said = f"failed: {verdict.failed}" if verdict.failed else f"lacking: {'; '.join(verdict.lacking)}"
    assert (said if verdict.failed or verdict.lacking else "done").startswith(expected)


class Ecs:
    """Answers DescribeServices from a script; the last answer repeats."""

    class exceptions:  # noqa: N801 - botocore's name
        ClusterNotFoundException = KeyError

    def __init__(self, answers: list[Json], tasks: list[Json]) -> None:
        self.answers, self.asked, self.tasks = answers, 0, tasks

    def describe_services(self, **_: Any) -> Json:
        self.asked += 1
        return {"services": [self.answers[min(self.asked, len(self.answers)) - 1]]}

    def list_tasks(self, **_: Any) -> Json:
        return {"taskArns": [each["taskArn"] for each in self.tasks]}

    def describe_tasks(self, **_: Any) -> Json:
        return {"tasks": self.tasks}


class Elb:
    """Target health by state; `balanced` is whether a load balancer uses the group."""

    def __init__(self, states: Iterator[str], balanced: bool) -> None:
        self.states, self.balanced = states, balanced

    def describe_target_health(self, **_: Any) -> Json:
        health = {"State": next(self.states), "Reason": "Target.ResponseCodeMismatch"}
        return {"TargetHealthDescriptions": [{"Target": {"Id": "10.0.1.7", "Port": 8001}, "TargetHealth": health}]}

    def describe_target_groups(self, **_: Any) -> Json:
        return {"TargetGroups": [{"LoadBalancerArns": ["lb"] if self.balanced else []}]}


class FakeAws:
    region = "us-east-1"

    def __init__(self, *answers: Json, health: str = "healthy", balanced: bool = True, tasks: Any = ()) -> None:
        self.ecs, self.elbv2 = Ecs(list(answers), list(tasks)), Elb(forever(health), balanced)


def forever(states: str) -> Iterator[str]:
    """Each word once, the last for ever."""
    *first, last = states.split()
    yield from first
    while True:
        yield last


@pytest.fixture
def settle() -> Callable[..., None]:
    """Settle after an UpdateService whose answer held our deployment (None: nothing was written)."""

    def settled(aws: Any, answer: Json | None = None, *, verb: str = "update_service", **more: Any) -> None:
        params = {"cluster": "c", "service": "s", "wait": True, "wait_timeout": 0, "wait_delay": 0, **more}
        responses = [] if answer is None else [(Step(verb, {"taskDefinition": f"{ARN}:8"}, "why"), answer)]
        ecs_deployment.settle(aws, params, responses)

    return settled


def test_it_waits_for_the_rollout_and_then_for_the_targets(settle: Any) -> None:
    aws = FakeAws(STARTED["service"], service(NEW), health="initial unhealthy healthy")
    settle(aws, STARTED, wait_timeout=5)
    assert aws.ecs.asked == 4


def test_a_rollback_is_a_failure_though_the_service_is_stable_again(settle: Any) -> None:
    """services_stable: one deployment, running equals desired. It would have said success."""
    rolled_back = service(deployment(7, id="ecs-svc/back", createdAt=T0 + timedelta(minutes=5)))
    with pytest.raises(GaveUp, match="PRIMARY is hokusai-api-development:7"):
        settle(FakeAws(STARTED["service"], rolled_back), STARTED, wait_timeout=5)


def test_a_completed_rollout_with_unhealthy_targets_is_not_success(settle: Any) -> None:
    with pytest.raises(GaveUp) as error:
        settle(FakeAws(service(NEW), health="unhealthy"), STARTED)
    assert "hokusai-reg-api-development: 0 of 1 healthy" in error.value.message
    assert "10.0.1.7:8001 unhealthy (Target.ResponseCodeMismatch)" in error.value.message


def test_a_group_that_no_load_balancer_uses_is_not_waited_for(settle: Any) -> None:
    settle(FakeAws(service(NEW), health="unused", balanced=False), STARTED)


def test_an_unused_target_of_a_group_with_a_load_balancer_is_waited_for(settle: Any) -> None:
    with pytest.raises(GaveUp, match="unused"):
        settle(FakeAws(service(NEW), health="unused"), STARTED)


def test_a_timeout_names_what_is_not_true_yet(settle: Any) -> None:
    with pytest.raises(GaveUp) as error:
        settle(FakeAws(STARTED["service"]), STARTED)
    assert "not finished after 0 s: its rollout is IN_PROGRESS" in error.value.message


def test_a_failure_tells_ecs_events_and_why_the_tasks_stopped(settle: Any) -> None:
    failed = service(ROLLING_BACK, deployment(8, "ACTIVE", "FAILED"))
    event = "(deployment ecs-svc/new) deployment failed: tasks failed to start."
    failed["events"] = [
        {"createdAt": T0 + timedelta(minutes=1), "message": event},
        {"createdAt": T0 - timedelta(hours=1), "message": "has reached a steady state."},
    ]
    stopped = {
        "taskArn": "t",
        "startedBy": "ecs-svc/new",
        "taskDefinitionArn": f"{ARN}:8",
        "stoppedReason": "Essential container in task exited",
        "containers": [{"name": "hokusai-api", "exitCode": 137, "reason": "OutOfMemoryError"}],
    }
    theirs = {**stopped, "startedBy": "ecs-svc/old", "stoppedReason": "scaled in"}
    with pytest.raises(GaveUp) as error:
        settle(FakeAws(failed, tasks=[stopped, stopped, theirs]), STARTED)
    assert error.value.details["events"] == [event]
    assert error.value.details["stopped_tasks"] == [
        "2 x Essential container in task exited - container hokusai-api exited with 137: OutOfMemoryError"
    ]
    assert "exited with 137" in error.value.message


def test_a_stale_answer_is_not_taken_for_a_rollback(settle: Any) -> None:
    settle(FakeAws(service(deployment(7)), service(NEW)), STARTED, wait_timeout=5)


def test_a_deployment_that_never_shows_up_is_a_failure(settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecs_deployment, "STALE_SECONDS", 0.0)
    with pytest.raises(GaveUp, match="replaced"):
        settle(FakeAws(service(deployment(7))), STARTED, wait_timeout=5)


def test_an_update_whose_answer_was_lost_is_waited_for_by_its_revision(settle: Any) -> None:
    settle(FakeAws(STARTED["service"], service(NEW)), {}, wait_timeout=5)
    rolled_back = service(deployment(7, id="ecs-svc/back"), deployment(8, "ACTIVE", "FAILED"))
    with pytest.raises(GaveUp, match="FAILED"):
        settle(FakeAws(rolled_back), {}, wait_timeout=5)


def test_after_a_registration_alone_nothing_is_waited_for(settle: Any) -> None:
    aws = FakeAws(service(NEW))
    settle(aws, {}, verb="register_task_definition")
    assert aws.ecs.asked == 0


def test_with_nothing_written_a_rollout_in_progress_is_waited_for(settle: Any) -> None:
    aws = FakeAws(STARTED["service"], STARTED["service"], service(NEW))
    settle(aws, wait_timeout=5)
    assert aws.ecs.asked == 3


def test_with_nothing_written_and_nothing_in_progress_one_look_is_enough(settle: Any) -> None:
    aws = FakeAws(service(NEW), health="unhealthy")
    settle(aws)
    assert aws.ecs.asked == 1


def test_with_nothing_written_a_failed_rollout_is_still_a_failure(settle: Any) -> None:
    with pytest.raises(GaveUp, match="FAILED"):
        settle(FakeAws(service(deployment(8, state="FAILED"))))


def test_not_waiting_means_not_looking(settle: Any) -> None:
    aws = FakeAws(service(deployment(8, state="FAILED")))
    settle(aws, STARTED, wait=False)
    assert aws.ecs.asked == 0
