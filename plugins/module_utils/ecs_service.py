# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An ECS service as it is and as it shall be, and what UpdateService takes to get from one to the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Find, Later, Step
from ansible_collections.hokusai.platform.plugins.module_utils.task_definition import (
    Container,
    ContainerChange,
    Revision,
    changed,
)

DEPLOYING = frozenset({"taskDefinition", "serviceRegistries", "networkConfiguration", "loadBalancers"})
"""The arguments of UpdateService a change of which replaces all tasks anyway."""


@dataclass(frozen=True)
class Registry:
    """Where tasks are registered: `service` is NAMESPACE/NAME in the play's words, else the ARN."""

    service: str
    container_name: str | None = None
    container_port: int | None = None
    port: int | None = None


@dataclass(frozen=True)
class Network:
    """Subnets and security groups in the play's words where it names them, else by id. None is unmanaged."""

    subnets: frozenset[str] | None = None
    security_groups: frozenset[str] | None = None
    assign_public_ip: bool | None = None


@dataclass(frozen=True)
class LoadBalancer:
    """One target group that ECS registers the tasks of a container in; the group by name."""

    target_group: str
    container_name: str
    container_port: int


@dataclass(frozen=True)
class CircuitBreaker:
    """None is unmanaged."""

    enable: bool | None = None
    rollback: bool | None = None


@dataclass(frozen=True)
class Live:
    """What was seen of a service and is needed to write it, in AWS's own shape.

    `revision` is the one the PRIMARY deployment runs; `newest` the family's newest, if it is another and was looked at.
    """

    revision: Revision
    newest: Revision | None = None
    deployment_configuration: Mapping[str, Any] = field(default_factory=dict)
    load_balancers: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Service:
    """An ECS service. A wish has `changes` and None where it is silent, an observed one `containers` and `live`.

    `minimum_count` is a wish's too: the desired count is raised to it, and never lowered. So is `replace_unregistered`:
    whether `unregistered`, the observed running tasks that Cloud Map does not list (by address), are to be replaced.
    `named` are, by container, the variables that the task names: a result shows the values of no others.
    """

    cluster: str
    name: str
    containers: Mapping[str, Container] = field(default_factory=dict)
    registries: frozenset[Registry] | None = None
    network: Network | None = None
    load_balancers: frozenset[LoadBalancer] | None = None
    circuit_breaker: CircuitBreaker | None = None
    health_check_grace_period: int | None = None
    desired_count: int | None = None
    changes: Mapping[str, ContainerChange] = field(default_factory=dict)
    minimum_count: int | None = None
    replace_unregistered: bool = False
    unregistered: frozenset[str] = frozenset()
    registration_unknown: str = ""
    named: Mapping[str, Collection[str]] = field(default_factory=dict)
    live: Live | None = None

    def over(self, current: Service) -> Service:
        """The service after the change. Raises `BadInput` for a container that its revision does not have."""
        counted = current.desired_count if self.desired_count is None else self.desired_count
        after = dataclasses.replace(
            current,
            desired_count=max(counted or 0, self.minimum_count or 0),
            containers=changed(current.containers, self.changes),
            network=_merged(current.network, self.network),
            circuit_breaker=_merged(current.circuit_breaker, self.circuit_breaker),
            unregistered=frozenset(),
            **{
                name: getattr(self, name)
                for name in ("registries", "load_balancers", "health_check_grace_period")
                if getattr(self, name) is not None
            },
        )
        _check_containers(after)
        return after

    def shown(self) -> dict[str, Any]:
        hidden = (
            "live",
            "changes",
            "minimum_count",
            "replace_unregistered",
            "registration_unknown",
            "named",
            "containers",
        )
        parts = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name not in hidden}
        containers = {name: each.shown(self.named.get(name, ())) for name, each in self.containers.items()}
        return {**parts, "containers": containers, "task_definition": self._revision()}

    def concerns(self) -> Iterator[str]:
        if self.registration_unknown:
            yield (
                f"Whether Cloud Map lists every running task of {self.name} is unknown, so none is replaced: "
                f"{self.registration_unknown}"
            )

    def _revision(self) -> str:
        if self.live is None:
            return ""
        unchanged = self.live.revision.containers == self.containers
        return self.live.revision.label if unchanged else f"{self.live.revision.family}:(new revision)"


def _merged(current: Any, wish: Any) -> Any:
    """The current value with those fields replaced about which the wish is not silent."""
    if wish is None or current is None:
        return current if wish is None else wish
    pairs = ((each.name, getattr(wish, each.name)) for each in dataclasses.fields(wish))
    return dataclasses.replace(current, **{name: value for name, value in pairs if value is not None})


def _check_containers(service: Service) -> None:
    named = {each.container_name for each in (*(service.registries or ()), *(service.load_balancers or ()))}
    unknown = sorted(name for name in named if name and name not in service.containers)
    if unknown:
        has = ", ".join(sorted(service.containers))
        raise BadInput(
            f"Service {service.name} has no container {', '.join(unknown)} to register", f"its containers are {has}"
        )


def observed(described: Mapping[str, Any], live: Live, words: Mapping[str, str], wish: Service) -> Service:
    """The service from DescribeServices; `words` are the play's own for ids and ARNs that it names."""
    breaker = described.get("deploymentConfiguration", {}).get("deploymentCircuitBreaker", {})
    return Service(
        cluster=described["clusterArn"].rpartition("/")[2],
        name=described["serviceName"],
        containers=live.revision.containers,
        registries=frozenset(_registry(each, words) for each in described.get("serviceRegistries", [])),
        network=_network(described.get("networkConfiguration", {}), words),
        load_balancers=frozenset(_load_balancer(each) for each in live.load_balancers),
        circuit_breaker=CircuitBreaker(breaker.get("enable", False), breaker.get("rollback", False)),
        health_check_grace_period=described.get("healthCheckGracePeriodSeconds", 0),
        desired_count=described["desiredCount"],
        named={name: frozenset(change.environment or ()) for name, change in wish.changes.items()},
        live=live,
    )


def _registry(each: Mapping[str, Any], words: Mapping[str, str]) -> Registry:
    arn = each["registryArn"]
    # Answers carry 0 and "" where nothing was given; None is what a play's omission is.
    name, port = each.get("containerName") or None, each.get("containerPort") or None
    return Registry(words.get(arn, arn), name, port, each.get("port") or None)


def _network(configuration: Mapping[str, Any], words: Mapping[str, str]) -> Network | None:
    found = configuration.get("awsvpcConfiguration")
    if not found:
        return None
    return Network(
        frozenset(words.get(each, each) for each in found.get("subnets", [])),
        frozenset(words.get(each, each) for each in found.get("securityGroups", [])),
        found.get("assignPublicIp", "DISABLED") == "ENABLED",
    )


def _load_balancer(each: Mapping[str, Any]) -> LoadBalancer:
    return LoadBalancer(target_group_name(each["targetGroupArn"]), each["containerName"], each["containerPort"])


def target_group_name(given: str) -> str:
    """A target group's name from its ARN (arn:...:targetgroup/NAME/ID); a name stays one."""
    return given.split("/")[1] if given.startswith("arn:") else given


def steps(current: Service, wish: Service, find: Find) -> Iterator[Step]:
    """At most two: one revision for all containers, and one UpdateService, so one deployment, for everything."""
    after = wish.over(current)
    changes = list(updates(current, after, find))
    if current.live and after.containers != current.containers:
        revision = current.live.revision.with_containers(after.containers)
        registered = current.live.newest
        if registered and revision.same_as(registered):
            arn: str | Later = registered.arn
        else:
            why = f"family {revision.family}: {_what(current, after)}"
            yield Step("register_task_definition", revision.arguments, why)
            arn = Later(f"the new revision of {revision.family}")
        changes.insert(0, ("new revision", {"taskDefinition": arn}))
    if current.unregistered and not any(DEPLOYING & more.keys() for _reason, more in changes):
        changes.append(("replace tasks that are not registered in Cloud Map", {"forceNewDeployment": True}))
    if changes:
        arguments = {"cluster": wish.cluster, "service": wish.name}
        for _reason, more in changes:
            arguments |= more
        yield Step(
            "update_service", arguments, f"service {wish.name}: {', '.join(reason for reason, _argument in changes)}"
        )


def _what(current: Service, after: Service) -> str:
    pairs = ((name, "; ".join(each.differences(current.containers[name]))) for name, each in after.containers.items())
    return ", ".join(f"container {name}: {text}" for name, text in pairs if text)


def updates(current: Service, after: Service, find: Find) -> Iterator[tuple[str, dict[str, Any]]]:
    """What of UpdateService's arguments it takes, each with its reason; the task definition apart."""
    if after.registries != current.registries:
        yield "service registries", {"serviceRegistries": _registry_arguments(after.registries or (), find)}
    if after.network != current.network and after.network:
        yield "network", {"networkConfiguration": {"awsvpcConfiguration": _network_arguments(after.network, find)}}
    if after.load_balancers != current.load_balancers:
        yield "load balancers", {"loadBalancers": _load_balancer_arguments(current, after, find)}
    if after.circuit_breaker != current.circuit_breaker and after.circuit_breaker:
        yield "circuit breaker", {"deploymentConfiguration": _deployment_arguments(current, after.circuit_breaker)}
    if after.health_check_grace_period != current.health_check_grace_period:
        yield "grace period", {"healthCheckGracePeriodSeconds": after.health_check_grace_period}
    if after.desired_count != current.desired_count:
        reason = f"desired count from {current.desired_count} to {after.desired_count}"
        yield reason, {"desiredCount": after.desired_count}


def _registry_arguments(registries: Iterable[Registry], find: Find) -> list[dict[str, Any]]:
    remedy = "create it with cloudmap_service, or correct service_registries"
    return [
        {
            "registryArn": each.service if each.service.startswith("arn:") else find(registry_words(each), remedy),
            **({"containerName": each.container_name} if each.container_name else {}),
            **({"containerPort": each.container_port} if each.container_port else {}),
            **({"port": each.port} if each.port else {}),
        }
        for each in sorted(registries, key=lambda each: each.service)
    ]


def registry_words(registry: Registry) -> str:
    return f"Cloud Map service {registry.service}"


def _network_arguments(network: Network, find: Find) -> dict[str, Any]:
    remedy = "correct its name in network"
    return {
        "subnets": [find(f"subnet {each}", remedy) for each in sorted(network.subnets or ())],
        "securityGroups": [find(f"security group {each}", remedy) for each in sorted(network.security_groups or ())],
        "assignPublicIp": "ENABLED" if network.assign_public_ip else "DISABLED",
    }


def _load_balancer_arguments(current: Service, after: Service, find: Find) -> list[dict[str, Any]]:
    """All of them, those that stay as AWS has them: they can carry an advancedConfiguration we do not manage."""
    raw = {_load_balancer(each): dict(each) for each in (current.live.load_balancers if current.live else ())}
    wanted = sorted(after.load_balancers or (), key=lambda each: (each.target_group, each.container_port))
    return [
        raw.get(each)
        or {
            "targetGroupArn": find(f"target group {each.target_group}", "create it, or correct load_balancers"),
            "containerName": each.container_name,
            "containerPort": each.container_port,
        }
        for each in wanted
    ]


def _deployment_arguments(current: Service, breaker: CircuitBreaker) -> dict[str, Any]:
    """The whole deployment configuration, percentages and alarms kept; only the circuit breaker differs."""
    kept = dict(current.live.deployment_configuration) if current.live else {}
    both = {"enable": bool(breaker.enable), "rollback": bool(breaker.rollback)}
    return {**kept, "deploymentCircuitBreaker": {**kept.get("deploymentCircuitBreaker", {}), **both}}
