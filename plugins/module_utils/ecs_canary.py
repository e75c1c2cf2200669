# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A canary's ECS service: the stable one again, beside it, with a container changed and target groups of its own.

Its revision is one of the stable service's family, so that what is promoted is the very revision that was tried.
It is in no Cloud Map registry: who finds the service by name would reach the canary whatever its weight. For the same
reason it is a client of Service Connect, where the stable one is in it, and never a service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.canary_routes import Pair
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_observation import primary
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_service import target_group_name
from ansible_collections.hokusai.platform.plugins.module_utils.elb import GROUP_REMEDY
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Find, Later, Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.task_definition import (
    Container,
    ContainerChange,
    Revision,
    changed,
)

BASE = "hokusai:canary-base"
"""The tag of the canary's service that says which revision the stable one ran when the canary was made."""
COPIED = (
    "platformVersion",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds",
    "enableExecuteCommand",
    "enableECSManagedTags",
    "propagateTags",
    "placementConstraints",
    "placementStrategy",
)
PERCENTAGES = ("maximumPercent", "minimumHealthyPercent")


@dataclass(frozen=True)
class Running:
    """A service as it is: `revision` is what its PRIMARY deployment runs, `described` is DescribeServices' answer."""

    name: str
    revision: Revision
    desired_count: int
    tags: Mapping[str, str] = field(default_factory=dict)
    described: Mapping[str, Any] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return self.tags.get(BASE, "")

    def shown(self) -> dict[str, Any]:
        containers = {name: each.shown() for name, each in self.revision.containers.items()}
        label = self.revision.label or f"{self.revision.family}:(new revision)"
        return {
            "service": self.name,
            "task_definition": label,
            "desired_count": self.desired_count,
            "containers": containers,
        }


@dataclass(frozen=True)
class Wish:
    """`state` is `present`, `promoted` or `absent`; `desired_count` None is as many as the stable service has."""

    state: str
    changes: Mapping[str, ContainerChange] = field(default_factory=dict)
    pairs: tuple[Pair, ...] = ()
    desired_count: int | None = None


@dataclass(frozen=True)
class Services:
    """The stable service and its canary. `newest` is the family's newest revision, where it is another one."""

    cluster: str
    name: str
    stable: Running | None = None
    canary: Running | None = None
    newest: Revision | None = None
    is_draining: bool = False
    wish: Wish | None = None

    def over(self, current: Services) -> Services:
        stable, canary, wish = current.stable, current.canary, self.wish
        if wish is None or stable is None:
            return current
        if wish.state == "absent":
            return replace(current, canary=None)
        if wish.state == "promoted":
            return replace(current, stable=replace(stable, revision=canary.revision) if canary else stable)
        revision = canary.revision if canary else stable.revision.with_containers(tried(stable, wish))
        return replace(current, canary=Running(self.name, revision, wanted_count(current, wish)))

    def shown(self) -> dict[str, Any]:
        return {"cluster": self.cluster, "stable": self.stable, "canary": self.canary}


def tried(stable: Running, wish: Wish) -> dict[str, Container]:
    """All containers of the canary. Raises `BadInput` when that is what the stable service runs."""
    containers = changed(stable.revision.containers, wish.changes)
    if containers == stable.revision.containers:
        raise BadInput(
            f"The canary would run what {stable.name} runs already", "give another image, or another environment"
        )
    return containers


def wanted_count(current: Services, wish: Wish) -> int:
    """Never fewer than there are: the canary is to carry all requests in the end."""
    count = wish.desired_count or (current.stable.desired_count if current.stable else 0)
    return max(count, current.canary.desired_count if current.canary else 0)


def plan(observed: Observed[Services], desired: Services | None) -> Iterator[Step]:
    """Raises `BadInput` for a canary that is not ours, or not the one that is asked for."""
    current = observed.resource
    if current is None or current.stable is None or desired is None or desired.wish is None:
        return
    if current.canary and not tagging.is_owned(current.canary.tags):
        raise BadInput(
            f"The ECS service {current.name} was not made by this collection (no tag {tagging.MANAGED_BY})",
            "give the canary another name",
        )
    if desired.wish.state == "absent":
        yield from removal(current, current.stable)
    elif desired.wish.state == "promoted":
        yield from promotion(current, current.stable)
    elif current.canary is None:
        yield from creation(current, current.stable, desired.wish, observed.id)
    else:
        yield from adjustment(current, current.canary, desired.wish)


def creation(current: Services, stable: Running, wish: Wish, find: Find) -> Iterator[Step]:
    if current.is_draining:
        raise BadInput(f"The ECS service {current.name} is still draining", "wait until it is gone, then run again")
    revision = marked(stable.revision.with_containers(tried(stable, wish)), current, stable)
    arn: str | Later = Later(f"the new revision of {revision.family}")
    if current.newest and revision.same_as(current.newest):
        arn = current.newest.arn
    else:
        yield Step(
            "register_task_definition", revision.arguments, f"family {revision.family}: {what(stable, revision)}"
        )
    tags = tagging.owned({BASE: stable.revision.label})
    arguments = {
        "cluster": current.cluster,
        "serviceName": current.name,
        "taskDefinition": arn,
        "desiredCount": wanted_count(current, wish),
        **copied(stable.described),
        "loadBalancers": list(load_balancers(stable, wish, find)),
        "tags": tagging.to_aws(tags, lower=True),
    }
    yield Step("create_service", arguments, f"service {current.name} is absent")


def mark(current: Services, stable: Running) -> str:
    """The tag of a revision that is registered to be tried.

    It names what the stable service runs, so of a promoted one, and of a clone of that, it says nothing as long as the
    service does not go back to what it ran before.
    """
    return f"{current.name} beside {stable.revision.label}"


def marked(revision: Revision, current: Services, stable: Running) -> Revision:
    return replace(revision, tags={**revision.tags, tagging.CANARY: mark(current, stable)})


def what(stable: Running, revision: Revision) -> str:
    was = stable.revision.containers
    pairs = ((name, "; ".join(each.differences(was[name]))) for name, each in revision.containers.items())
    return ", ".join(f"container {name}: {text}" for name, text in pairs if text)


def copied(described: Mapping[str, Any]) -> dict[str, Any]:
    """What the canary has in common with the stable service; the circuit breaker has nothing to roll it back to."""
    launch = "capacityProviderStrategy" if described.get("capacityProviderStrategy") else "launchType"
    kept = {key: described[key] for key in (launch, *COPIED) if described.get(key) not in (None, [], "")}
    percentages = described.get("deploymentConfiguration", {})
    deployment = {key: percentages[key] for key in PERCENTAGES if key in percentages}
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    return {**kept, **of_deployment(primary(described)), "deploymentConfiguration": {**deployment, **breaker}}


def of_deployment(described: Mapping[str, Any]) -> dict[str, Any]:
    """What CreateService takes, in the same shapes, and DescribeServices tells of a deployment alone."""
    found: dict[str, Any] = {}
    if connect := described.get("serviceConnectConfiguration"):
        found["serviceConnectConfiguration"] = {key: value for key, value in connect.items() if key != "services"}
    if volumes := described.get("volumeConfigurations"):
        found["volumeConfigurations"] = volumes
    return found


def load_balancers(stable: Running, wish: Wish, find: Find) -> Iterator[dict[str, Any]]:
    canaries = {pair.stable: pair.canary for pair in wish.pairs}
    names = {target_group_name(each["targetGroupArn"]): each for each in stable.described.get("loadBalancers", ())}
    absent = sorted(canaries.keys() - names.keys())
    if absent:
        raise BadInput(
            f"{stable.name} does not register its tasks in the target group {', '.join(absent)}",
            "correct the option target_groups",
        )
    for name, canary in canaries.items():
        kept = {key: names[name][key] for key in ("containerName", "containerPort")}
        yield {"targetGroupArn": find(canary, GROUP_REMEDY), **kept}


def adjustment(current: Services, canary: Running, wish: Wish) -> Iterator[Step]:
    other = changed(canary.revision.containers, wish.changes) != canary.revision.containers
    if other:
        raise BadInput(
            f"The canary {canary.name} runs something else ({canary.revision.label})", "finish or abort that one first"
        )
    count = wanted_count(current, wish)
    if count > canary.desired_count:
        arguments = {"cluster": current.cluster, "service": canary.name, "desiredCount": count}
        yield Step(
            "update_service", arguments, f"service {canary.name}: desired count from {canary.desired_count} to {count}"
        )


def promotion(current: Services, stable: Running) -> Iterator[Step]:
    canary = current.canary
    if canary is None:
        raise BadInput(f"There is no canary {current.name} to promote", "start one first")
    if canary.revision.arn == stable.revision.arn:
        return
    if canary.base != stable.revision.label:
        raise BadInput(
            f"{stable.name} ran {canary.base or 'an unknown revision'} when the canary was made, and runs "
            f"{stable.revision.label} now: promoting the canary would take that back",
            "abort the canary, and start it anew from what runs now",
        )
    arguments = {"cluster": current.cluster, "service": stable.name, "taskDefinition": canary.revision.arn}
    yield Step("update_service", arguments, f"service {stable.name}: the canary's revision")


def removal(current: Services, stable: Running) -> Iterator[Step]:
    """A revision that was only to be tried is deregistered, so that no deploy job takes it for the family's newest."""
    revision = to_be_tried(current, stable)
    running = {each["taskDefinition"] for each in stable.described.get("deployments", ())} | {stable.revision.arn}
    if revision and revision.is_active and tagging.is_owned(revision.tags) and revision.arn not in running:
        why = f"revision {revision.label} was only to be tried by {current.name}"
        yield Step("deregister_task_definition", {"taskDefinition": revision.arn}, why)
    if current.canary:
        arguments = {"cluster": current.cluster, "service": current.canary.name, "force": True}
        yield Step("delete_service", arguments, f"service {current.canary.name} is no longer wanted")


def to_be_tried(current: Services, stable: Running) -> Revision | None:
    """The canary's revision. Without a canary the newest one, if it was registered for one that was never made."""
    if current.canary:
        return current.canary.revision
    newest = current.newest
    return newest if newest and newest.tags.get(tagging.CANARY) == mark(current, stable) else None
