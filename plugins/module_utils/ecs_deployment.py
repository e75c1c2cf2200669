# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waiting for one ECS deployment, with a verdict that `services_stable` does not give.

`services_stable` compares counts, so a service that the circuit breaker has rolled back is "stable" too, and it does
not look at target health. Here success is: *this* deployment is PRIMARY and COMPLETED, as many tasks run as
are desired, and as many targets are healthy in every target group that a load balancer uses.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_observation import describe, primary
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_service import target_group_name
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, GaveUp, calling
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Response

STALE_SECONDS = 15.0
"""How long a read may lag behind our write, so that our deployment is not in it yet."""
EVENTS_SHOWN = 10
Described = Mapping[str, Any]


@dataclass(frozen=True)
class Awaited:
    """The deployment waited for. `id` is empty when the answer to our write was lost."""

    id: str
    task_definition: str
    created: datetime | None = None

    @classmethod
    def of(cls, deployment: Described) -> Awaited:
        return cls(deployment["id"], deployment["taskDefinition"], deployment.get("createdAt"))

    def within(self, service: Described) -> Described | None:
        """This deployment in what DescribeServices lists; without an id the one that runs the revision."""
        key, mine = ("id", self.id) if self.id else ("taskDefinition", self.task_definition)
        return next((dict(each) for each in service["deployments"] if each[key] == mine), None)

    @property
    def label(self) -> str:
        return f"deployment {self.id or '(id unknown)'} of {label(self.task_definition)}"


@dataclass(frozen=True)
class Verdict:
    """`failed` says why it is over; else `lacking` says what is not true yet, and nothing lacking is success."""

    lacking: tuple[str, ...] = ()
    failed: str = ""


def settle(aws: Aws, params: Params, responses: Sequence[Response]) -> None:
    """Wait for the deployment an UpdateService started, or, when nothing was written, for one still in progress."""
    updates = [response for response in responses if response[0].verb == "update_service"]
    if not params["wait"] or (responses and not updates):
        return
    for step, answer in updates:
        service = answer.get("service") or describe(aws, params["cluster"], params["service"])
        found = Awaited.of(primary(service))
        wanted = step.args.get("taskDefinition", found.task_definition)
        wait(aws, params, found if answer else Awaited("", wanted))
    if not updates:
        deployment = primary(describe(aws, params["cluster"], params["service"]))
        if deployment.get("rolloutState") != "COMPLETED":
            wait(aws, params, Awaited.of(deployment))


def wait(aws: Aws, params: Params, awaited: Awaited) -> None:
    """Poll until the deployment has succeeded. Raises `GaveUp` with ECS's own words when it failed or is too slow."""
    start = time.monotonic()
    while True:
        service = describe(aws, params["cluster"], params["service"])
        waited = time.monotonic() - start
        verdict = judge(service, awaited, fresh=waited >= STALE_SECONDS)
        if verdict.failed:
            raise gave_up(aws, service, awaited, verdict.failed)
        lacking = verdict.lacking or tuple(unhealthy(aws, service))
        if not lacking:
            return
        if waited >= params["wait_timeout"]:
            text = f"not finished after {params['wait_timeout']} s: {'; '.join(lacking)}"
            raise gave_up(aws, service, awaited, text)
        time.sleep(params["wait_delay"])


def judge(service: Described, awaited: Awaited, *, fresh: bool) -> Verdict:
    """What DescribeServices says of the deployment; `fresh` is whether the answer must hold our write by now."""
    ours, now = awaited.within(service), primary(service)
    if ours is None:
        overtaken = awaited.created and now.get("createdAt") and now["createdAt"] > awaited.created
        if overtaken or fresh:
            return Verdict(failed=f"rolled back or replaced: PRIMARY is {label(now['taskDefinition'])}{reason(now)}")
        return Verdict(lacking=("it is not listed yet",))
    if ours.get("rolloutState") == "FAILED":
        return Verdict(failed=f"FAILED{reason(ours)}; PRIMARY is {label(now['taskDefinition'])}{reason(now)}")
    if ours["id"] != now["id"]:
        return Verdict(failed=f"rolled back or replaced: PRIMARY is {label(now['taskDefinition'])}{reason(now)}")
    return Verdict(lacking=tuple(incomplete(ours, service)))


def incomplete(deployment: Described, service: Described) -> Iterator[str]:
    state = deployment.get("rolloutState", "COMPLETED" if len(service["deployments"]) == 1 else "IN_PROGRESS")
    running, desired = deployment["runningCount"], service["desiredCount"]
    if state != "COMPLETED":
        yield f"its rollout is {state}{reason(deployment)}"
    if running != desired:
        yield f"{running} of {desired} tasks run"


def unhealthy(aws: Aws, service: Described) -> Iterator[str]:
    """The target groups of the service in which fewer targets are healthy than tasks are desired.

    A group that no load balancer uses is never checked by AWS: its targets are `unused`, whatever they are, and it
    carries no traffic, so it counts as nothing only when the group itself says that no load balancer uses it.
    """
    groups = (each.get("targetGroupArn") for each in service.get("loadBalancers", []))
    for arn in sorted(filter(None, groups)):
        health = aws.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        healthy = sum(each["TargetHealth"]["State"] == "healthy" for each in health)
        if healthy >= service["desiredCount"]:
            continue
        group = aws.elbv2.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]
        if group["LoadBalancerArns"]:
            short = f"target group {target_group_name(arn)}: {healthy} of {service['desiredCount']} healthy"
            yield ", ".join([short, *(target_state(each) for each in health)])


def target_state(listed: Described) -> str:
    """A target in words, as "10.0.1.7:8001 unhealthy (Target.ResponseCodeMismatch)"."""
    target, health = listed["Target"], listed["TargetHealth"]
    why = f" ({health['Reason']})" if health.get("Reason") else ""
    return f"{target['Id']}:{target['Port']} {health['State']}{why}"


def gave_up(aws: Aws, service: Described, awaited: Awaited, text: str) -> GaveUp:
    """The error, with ECS's events since the deployment began and why its tasks stopped."""
    events, stopped = list(events_since(service, awaited.created)), stop_reasons(aws, service, awaited)
    told = "; ".join(each.rstrip(".") for each in (*stopped, *events[:3]))
    return GaveUp(
        f"Service {service['serviceName']}, {awaited.label}: {text}" + (f". ECS says: {told}" if told else ""),
        "repair what the events and stop reasons name (image, secrets, network, health check), then run again",
        events=events,
        stopped_tasks=stopped,
    )


def events_since(service: Described, since: datetime | None) -> Iterator[str]:
    """The newest of the service's events, newest first."""
    events = [each for each in service.get("events", []) if since is None or each["createdAt"] >= since]
    for event in events[:EVENTS_SHOWN]:
        yield str(event["message"])


def stop_reasons(aws: Aws, service: Described, awaited: Awaited) -> list[str]:
    """Why tasks of the deployment stopped, each reason once with its count. Not being able to read it is no error."""
    try:
        with calling("read the stopped tasks"):
            cluster, name = service["clusterArn"], service["serviceName"]
            arns = aws.ecs.list_tasks(cluster=cluster, serviceName=name, desiredStatus="STOPPED")["taskArns"]
            tasks = aws.ecs.describe_tasks(cluster=cluster, tasks=arns[:100])["tasks"] if arns else []
    except AwsError as error:
        return [str(error)]
    ours = [each for each in tasks if awaited.id in ("", each.get("startedBy"))]
    mine = [each for each in ours if each["taskDefinitionArn"] == awaited.task_definition]
    return [f"{count} x {text}" if count > 1 else text for text, count in Counter(map(stop_reason, mine)).items()]


def stop_reason(task: Described) -> str:
    ends = (
        f"container {each['name']}"
        + (f" exited with {each['exitCode']}" if "exitCode" in each else "")
        + (f": {each['reason']}" if each.get("reason") else "")
        for each in task.get("containers", [])
    )
    return " - ".join([task.get("stoppedReason") or "stopped without a reason", *ends])


def reason(deployment: Described) -> str:
    text = deployment.get("rolloutStateReason")
    return f" ({text.rstrip('.')})" if text else ""


def label(arn: str) -> str:
    return arn.rpartition("/")[2]
