"""The control plane as the data plane and the ECS agent see it: frozen values in, small changes out."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast

from sandbox.controlplane import ControlPlane
from sandbox.controlplane.clock import CLOCK
from sandbox.controlplane.fidelity.cloudwatch.series import Metric
from sandbox.controlplane.view import loadbalancing, names, network
from sandbox.model import Answer, Certificate, LoadBalancer, MetricPoint, NetworkInterface, TargetGroup

T = TypeVar("T")


class UnknownResourceError(LookupError):
    """Asked about a resource that the control plane does not have."""


@dataclass(frozen=True)
class _Attached:
    """What only the world knows of an interface: moto has no loopback twin."""

    interface_id: str
    loopback: str


class World:
    """Reads answer from a cache that one change of the control plane empties; all methods are thread-safe.

    Errors: UnknownResourceError for an ARN or id that does not exist; moto's own exceptions for what the AWS API
    would refuse as well.
    """

    def __init__(self, control_plane: ControlPlane, account: str = "123456789012", region: str = "us-east-1") -> None:
        self._control_plane = control_plane
        self._account = account
        self._region = region
        self._views: dict[Any, tuple[Any, float]] = {}
        self._views_generation = -1
        self._views_lock = threading.Lock()
        self._attached: dict[str, _Attached] = {}
        self._last_address: dict[str, str] = {}
        self._reserved: set[str] = set()

    # load balancing

    def load_balancers(self) -> tuple[LoadBalancer, ...]:
        """Load balancers with their listeners and rules, in the order an ALB evaluates them."""

        def build() -> tuple[LoadBalancer, ...]:
            interfaces = self._backend("ec2").enis
            return tuple(
                loadbalancing.load_balancer(
                    balancer, tuple(interfaces[each].private_ip_address for each in balancer.interfaces)
                )
                for balancer in self._backend("elbv2").load_balancers.values()
            )

        return self._view("load_balancers", build)

    def target_groups(self) -> tuple[TargetGroup, ...]:
        """All target groups; a group that no load balancer uses has `load_balancers` empty and targets `unused`."""
        return tuple(self._target_groups().values())

    def target_group(self, arn: str) -> TargetGroup:
        try:
            return self._target_groups()[arn]
        except KeyError:
            raise UnknownResourceError(f"target group {arn}") from None

    def set_target_health(
        self, arn: str, address: str, port: int, state: str, reason: str = "", description: str = ""
    ) -> None:
        """Write what a prober found. Targets that are draining or gone are left alone."""
        with self._control_plane.lock:
            if self._group(arn).set_state(address, port, (state, reason, description)):
                self._control_plane.touch()

    def register_target(self, arn: str, address: str, port: int) -> None:
        """Register a target: it is `initial` until somebody reports its health."""
        with self._control_plane.lock:
            self._group(arn).register([{"Id": address, "Port": port}])
            self._control_plane.touch()

    def deregister_target(self, arn: str, address: str, port: int) -> None:
        """Let a target drain; it goes by itself after the deregistration delay (at the control plane's pace)."""
        with self._control_plane.lock:
            self._group(arn).deregister([{"Id": address, "Port": port}])
            self._control_plane.touch()

    def certificate(self, arn: str) -> Certificate:
        """An ACM certificate with its key, as imported."""

        def build() -> Certificate:
            held = self._backend("acm")._certificates
            if arn not in held:
                raise UnknownResourceError(f"certificate {arn}")
            return loadbalancing.certificate(held[arn])

        return self._view(("certificate", arn), build)

    def days_to_expiry(self) -> dict[str, int]:
        """Whole days that each certificate of ACM is still valid, by ARN."""
        now = CLOCK.datetime()

        def build() -> dict[str, datetime]:
            held = self._backend("acm")._certificates
            return {arn: loadbalancing.valid_until(each) for arn, each in held.items()}

        return {arn: (until - now).days for arn, until in self._view("valid_until", build).items()}

    # metrics

    def publish_metrics(self, namespace: str, points: tuple[MetricPoint, ...]) -> None:
        """Give CloudWatch data points of now, as an AWS service does."""
        with self._control_plane.lock:
            backend = self._backend("cloudwatch")
            for point in points:
                backend.publish(Metric(namespace, point.name, tuple(sorted(point.dimensions))), point.values)

    def evaluate_alarms(self) -> None:
        """Bring every alarm to the state that its data has now."""
        with self._control_plane.lock:
            self._backend("cloudwatch").evaluate_alarms()

    # names

    def resolve_public(self, name: str) -> Answer:
        """What the internet's DNS answers: public hosted zones, and the load balancers' own names."""

        def build() -> Answer:
            zones = [zone for zone in self._zones() if not zone.private_zone]
            return names.resolve_zones(name, zones, self._load_balancer_names())

        return self._view(("public", name), build)

    def resolve_private(self, name: str, vpc_id: str) -> Answer:
        """What the VPC's resolver knows on top: Cloud Map's private namespaces, then private hosted zones."""

        def build() -> Answer:
            discovery = self._backend("servicediscovery")
            namespaces = [
                each for each in discovery.namespaces.values() if each.type == "DNS_PRIVATE" and each.vpc == vpc_id
            ]
            found = names.resolve_discovery(name, namespaces, discovery.services.values())
            if found != names.NXDOMAIN:
                return found
            zones = [
                zone
                for zone in self._zones()
                if zone.private_zone and vpc_id in {vpc.get("vpc_id") for vpc in zone.vpcs}
            ]
            return names.resolve_zones(name, zones, self._load_balancer_names())

        return self._view(("private", name, vpc_id), build)

    def register_instance(self, service_id: str, instance_id: str, attributes: dict[str, str]) -> None:
        """Register a Cloud Map instance, or replace the attributes of one."""
        with self._control_plane.lock:
            discovery = self._backend("servicediscovery")
            if service_id not in discovery.services:
                raise UnknownResourceError(f"Cloud Map service {service_id}")
            discovery.register_instance(service_id, instance_id, "", dict(attributes))
            self._control_plane.touch()

    def deregister_instance(self, service_id: str, instance_id: str) -> None:
        """Remove a Cloud Map instance; harmless when it, or its service, is gone."""
        with self._control_plane.lock:
            service = self._backend("servicediscovery").services.get(service_id)
            if service and any(each.instance_id == instance_id for each in service.instances):
                self._backend("servicediscovery").deregister_instance(service_id, instance_id)
                self._control_plane.touch()

    # network

    def reserve_address(self, address: str) -> None:
        """Never give this address to an interface."""
        self._reserved.add(address)

    def attach_interface(
        self, subnet_id: str, security_groups: tuple[str, ...], loopback: str, description: str
    ) -> NetworkInterface:
        """Create an ENI at a free address of the subnet; the process behind it listens on `loopback`."""
        with self._control_plane.lock:
            ec2 = self._backend("ec2")
            unknown = [group for group in security_groups if ec2.get_security_group_from_id(group) is None]
            if unknown:
                raise UnknownResourceError(f"security groups {', '.join(unknown)}")
            subnet = ec2.get_subnet(subnet_id)
            taken = {each.private_ip_address for each in ec2.enis.values()} | self._reserved
            address = network.free_address(subnet.cidr_block, taken, self._last_address.get(subnet_id, ""))
            interface = ec2.create_network_interface(
                subnet, address, group_ids=list(security_groups), description=description
            )
            interface.status, interface.requester_managed = "in-use", True
            self._last_address[subnet_id] = address
            self._attached[address] = _Attached(interface.id, loopback)
            self._control_plane.touch()
        return NetworkInterface(address, tuple(security_groups), subnet.vpc_id, subnet_id, loopback)

    def detach_interface(self, address: str) -> None:
        """Delete the ENI at this address; harmless when there is none."""
        with self._control_plane.lock:
            attached = self._attached.pop(address, None)
            if attached is not None:
                self._backend("ec2").enis.pop(attached.interface_id, None)
                self._control_plane.touch()

    def interface(self, address: str) -> NetworkInterface | None:
        """The interface that `attach_interface` made at this address, with the groups it has now."""
        return self._interfaces().get(address)

    def interface_id(self, address: str) -> str:
        """The `eni-` id of an attached interface."""
        with self._control_plane.lock:
            if address not in self._attached:
                raise UnknownResourceError(f"interface {address}")
            return self._attached[address].interface_id

    def allows(
        self,
        source_groups: tuple[str, ...],
        source_address: str,
        destination_groups: tuple[str, ...],
        destination_address: str,
        port: int,
    ) -> bool:
        """Whether security groups let a TCP connection through: egress of the source and ingress of the destination.

        An end without groups is outside the VPC: nothing judges it there.
        """

        def build() -> dict[str, network.GroupRules]:
            groups = self._backend("ec2").groups
            return {key: network.group_rules(group) for vpc in groups.values() for key, group in vpc.items()}

        rules = self._view("group_rules", build)
        source, destination = (source_groups, source_address), (destination_groups, destination_address)
        return network.allows(rules, source, destination, port)

    # inside

    def _view(self, key: Any, build: Callable[[], T], expires: Callable[[], float] | None = None) -> T:
        """The cached value of `key`, built under the control plane's lock when something changed since."""
        with self._views_lock:
            if self._views_generation == self._control_plane.generation:
                value, until = self._views.get(key, (None, -math.inf))
                if time.monotonic() < until:
                    return cast("T", value)
        with self._control_plane.lock:
            generation = self._control_plane.generation
            built = build()
            until = expires() if expires else math.inf
        with self._views_lock:
            if self._views_generation != generation:
                self._views, self._views_generation = {}, generation
            self._views[key] = (built, until)
        return built

    def _target_groups(self) -> dict[str, TargetGroup]:
        def held() -> list[Any]:
            return list(self._backend("elbv2").target_groups.values())

        return self._view(
            "target_groups",
            lambda: {group.arn: loadbalancing.target_group(group) for group in held()},
            lambda: loadbalancing.next_drain(held()),
        )

    def _interfaces(self) -> dict[str, NetworkInterface]:
        def build() -> dict[str, NetworkInterface]:
            held = self._backend("ec2").enis
            found = {}
            for address, attached in self._attached.items():
                interface = held.get(attached.interface_id)
                if interface is not None:
                    groups = tuple(group.id for group in interface.group_set)
                    subnet = interface.subnet
                    found[address] = NetworkInterface(address, groups, subnet.vpc_id, subnet.id, attached.loopback)
            return found

        return self._view("interfaces", build)

    def _group(self, arn: str) -> Any:
        groups = self._backend("elbv2").target_groups
        if arn not in groups:
            raise UnknownResourceError(f"target group {arn}")
        return groups[arn]

    def _zones(self) -> list[Any]:
        return list(self._backend("route53").zones.values())

    def _load_balancer_names(self) -> frozenset[str]:
        return frozenset(each.dns_name.lower() for each in self._backend("elbv2").load_balancers.values())

    def _backend(self, service: str) -> Any:
        return self._control_plane.backend(service, self._region, self._account)
