# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What AWS says of the platform's services, their instances in Cloud Map, and the targets they serve.

A read that AWS refuses or does not answer is `Unknown`, which is neither healthy nor absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, TypeVar

from ansible_collections.hokusai.platform.plugins.module_utils import cloudmap
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_cluster import describe_services, task_addresses
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, calling

T = TypeVar("T")


@dataclass(frozen=True)
class Unknown:
    """A fact that could not be read, and why."""

    reason: str


@dataclass(frozen=True)
class EcsService:
    """`rollout` is the state of the PRIMARY deployment; `registries` and `target_groups` are ARNs."""

    name: str
    running: int
    desired: int
    rollout: str
    registries: tuple[str, ...] = ()
    target_groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Discovery:
    """The DNS names a service is registered under, the addresses registered there, and those of its running tasks."""

    names: tuple[str, ...]
    registered: frozenset[str]
    tasks: frozenset[str]


LEAVING = "draining"
"""The state of a target that is being deregistered: it ends its requests and gets no new ones."""


@dataclass(frozen=True)
class Target:
    address: str
    state: str
    reason: str = ""


@dataclass(frozen=True)
class TargetGroup:
    """`attached`: a load balancer forwards to it. `used_by`: the platform's services whose tasks register in it."""

    name: str
    attached: bool
    used_by: tuple[str, ...]
    targets: tuple[Target, ...]


def known(read: Callable[[], T]) -> T | Unknown:
    """What the read gives, or why AWS did not give it. A resource the user named wrongly stays an error."""
    try:
        return read()
    except AwsError as error:
        return Unknown(error.message)


class PlatformReader:
    """Reads one environment: `services` maps what the platform calls a service (`api`) to its name in ECS.

    Raises `NotFound` for a cluster that does not exist; everything else that goes wrong is `Unknown`.
    """

    def __init__(self, aws: Aws, cluster: str, services: Mapping[str, str]) -> None:
        self._aws, self._cluster, self._names = aws, cluster, services
        self._services = known(self._describe_services)

    def service(self, noun: str) -> EcsService | Unknown | None:
        """The service; None when ECS has none of the name, or it is inactive."""
        if isinstance(self._services, Unknown):
            return self._services
        return self._services.get(self._names[noun])

    def discovery(self, noun: str) -> Discovery | Unknown | None:
        service = self.service(noun)
        if service is None or isinstance(service, Unknown):
            return service
        return known(lambda: self._discover(service))

    def group_names(self, wanted: Iterable[str]) -> tuple[str, ...] | Unknown:
        """The target groups to judge: those wanted, or if none are named those the services register in.

        One that no load balancer forwards to and no service registers in takes no part in anything, and is left out.
        """
        groups = self._groups
        if isinstance(groups, Unknown) or isinstance(self._services, Unknown):
            named = tuple(wanted)
            return named or (groups if isinstance(groups, Unknown) else Unknown("the services are unknown"))
        names = tuple(wanted) or tuple(
            sorted(group["TargetGroupName"] for group in groups.values() if self._users(group))
        )
        idle = {name for name, group in groups.items() if not group["LoadBalancerArns"] and not self._users(group)}
        return tuple(name for name in names if name not in idle)

    def group(self, name: str) -> TargetGroup | Unknown | None:
        if isinstance(self._groups, Unknown):
            return self._groups
        group = self._groups.get(name)
        return None if group is None else known(lambda: self._target_group(group))

    @cached_property
    def _groups(self) -> dict[str, Any] | Unknown:
        """Every target group by name."""
        return known(self._describe_groups)

    def _users(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        services = {} if isinstance(self._services, Unknown) else self._services
        return tuple(sorted(each.name for each in services.values() if group["TargetGroupArn"] in each.target_groups))

    def _describe_services(self) -> dict[str, EcsService]:
        found = describe_services(self._aws, self._cluster, list(self._names.values()))
        return {each["serviceName"]: ecs_service(each) for each in found if each["status"] != "INACTIVE"}

    def _discover(self, service: EcsService) -> Discovery:
        found = [self._registry(arn.rsplit("/", 1)[-1]) for arn in service.registries]
        return Discovery(
            tuple(name for name, _addresses in found),
            frozenset(chain.from_iterable(addresses for _name, addresses in found)),
            frozenset(task_addresses(self._aws, self._cluster, service.name)),
        )

    def _registry(self, service_id: str) -> tuple[str, frozenset[str]]:
        client = self._aws.servicediscovery
        with calling(f"read the Cloud Map service {service_id}"):
            service = client.get_service(Id=service_id)["Service"]
            namespace = client.get_namespace(Id=service["NamespaceId"])["Namespace"]
            addresses = cloudmap.instance_addresses(self._aws, service_id)
        return f"{service['Name']}.{namespace['Name']}", addresses

    def _describe_groups(self) -> dict[str, Any]:
        with calling("describe the target groups"):
            pages = self._aws.elbv2.get_paginator("describe_target_groups").paginate()
            return {group["TargetGroupName"]: group for page in pages for group in page["TargetGroups"]}

    def _target_group(self, group: Mapping[str, Any]) -> TargetGroup:
        with calling(f"describe the health of the targets of {group['TargetGroupName']}"):
            answer = self._aws.elbv2.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
        targets = tuple(
            Target(
                f"{each['Target']['Id']}:{each['Target'].get('Port', '')}",
                each["TargetHealth"]["State"],
                each["TargetHealth"].get("Description") or each["TargetHealth"].get("Reason", ""),
            )
            for each in answer["TargetHealthDescriptions"]
        )
        return TargetGroup(group["TargetGroupName"], bool(group["LoadBalancerArns"]), self._users(group), targets)


def ecs_service(described: Mapping[str, Any]) -> EcsService:
    primary: Mapping[str, Any] = next(
        (each for each in described.get("deployments", ()) if each["status"] == "PRIMARY"), {}
    )
    return EcsService(
        described["serviceName"],
        int(described["runningCount"]),
        int(described["desiredCount"]),
        str(primary.get("rolloutState", "")),
        tuple(each["registryArn"] for each in described.get("serviceRegistries", ())),
        tuple(each["targetGroupArn"] for each in described.get("loadBalancers", ()) if "targetGroupArn" in each),
    )
