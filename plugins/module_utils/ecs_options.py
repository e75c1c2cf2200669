# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A play's options for an ECS service as the wish they are; what cannot be meant is refused here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.ecs_service import (
    CircuitBreaker,
    LoadBalancer,
    Network,
    Registry,
    Service,
    target_group_name,
)
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.task_definition import ContainerChange

Options = Mapping[str, Any]

WAIT: dict[str, Any] = {
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 600},
    "wait_delay": {"type": "float", "default": 5},
}
"""The options of the modules that wait for ECS; documented in the fragment `ecs`."""


def wish(params: Options) -> Service:
    """The service as the options want it. Raises `BadInput`."""
    breaker = params["circuit_breaker"]
    return Service(
        cluster=params["cluster"],
        name=params["service"],
        changes=container_changes(params["containers"] or ()),
        registries=registries(params["service_registries"]),
        network=network(params["network"]),
        load_balancers=load_balancers(params["load_balancers"]),
        circuit_breaker=CircuitBreaker(breaker["enable"], breaker["rollback"]) if breaker else None,
        health_check_grace_period=params["health_check_grace_period"],
        desired_count=params["desired_count"],
        minimum_count=params["minimum_count"],
        replace_unregistered=params["replace_unregistered"],
    )


def container_changes(containers: Iterable[Options]) -> dict[str, ContainerChange]:
    changes: dict[str, ContainerChange] = {}
    for each in containers:
        if each["name"] in changes:
            raise BadInput(f"Container {each['name']} is listed twice", "put all its changes in one entry")
        changes[each["name"]] = container_change(each)
    return changes


def container_change(options: Options) -> ContainerChange:
    command = options["command"]
    change = ContainerChange(
        image=options["image"],
        command=None if command is None else tuple(command),
        environment=values(options, "environment"),
        replace=options["environment_mode"] == "replace",
        remove_environment=frozenset(options["remove_environment"] or ()),
        secrets=values(options, "secrets"),
        remove_secrets=frozenset(options["remove_secrets"] or ()),
    )
    for given, removed, option in (
        (change.environment, change.remove_environment, "remove_environment"),
        (change.secrets, change.remove_secrets, "remove_secrets"),
    ):
        both = ", ".join(sorted(removed & (given or {}).keys()))
        if both:
            raise BadInput(f"Container {options['name']}: {both} is both given and in {option}", "decide for one")
    return change


def values(options: Options, option: str) -> dict[str, str] | None:
    """Strings by name; YAML's true and 8001 become "true" and "8001". Raises `BadInput` for anything else."""
    given = options[option]
    if given is None:
        return None
    for name, value in given.items():
        if not isinstance(value, (str, bool, int, float)):
            text = f"Container {options['name']}: {option} {name} is {type(value).__name__}, not a string"
            raise BadInput(text, "give a string; to remove a variable list it in remove_" + option)
    return {str(name): str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}


def registries(given: Iterable[Options] | None) -> frozenset[Registry] | None:
    if given is None:
        return None
    found = frozenset(
        Registry(f"{each['namespace']}/{each['service']}", each["container_name"], each["container_port"])
        for each in given
    )
    if len(found) > 1:
        raise BadInput(
            f"ECS takes one service registry per service, not {len(found)}", "leave one, or split the service"
        )
    return found


def network(given: Options | None) -> Network | None:
    if given is None:
        return None
    subnets, groups = (None if given[key] is None else frozenset(given[key]) for key in ("subnets", "security_groups"))
    if subnets == frozenset():
        raise BadInput("network.subnets is empty", "name at least one subnet, or leave it out")
    return Network(subnets, groups, given["assign_public_ip"])


def load_balancers(given: Iterable[Options] | None) -> frozenset[LoadBalancer] | None:
    if given is None:
        return None
    return frozenset(
        LoadBalancer(target_group_name(each["target_group"]), each["container_name"], each["container_port"])
        for each in given
    )
