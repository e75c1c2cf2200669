"""The VPC as connections see it: names, security groups, and the loopback twin behind every address.

A destination is one of four things: a name nobody knows, an address nobody answers for or that the
security groups keep from us (both are silence, as in a VPC), or an endpoint on loopback. Whether
something listens at that endpoint is for the kernel to say.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from sandbox.dataplane.seam import World
from sandbox.model import LoadBalancer

LOCALHOST = "127.0.0.1"
INTERNET_CLIENT = "203.0.113.10"
"""The address (RFC 5737, TEST-NET-3) from which everyone outside the VPC appears to come."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class FabricError(Exception):
    """A connection that the fabric did not make."""


class NoSuchNameError(FabricError):
    """The resolver's NXDOMAIN."""


class DroppedError(FabricError):
    """The packets vanish: no interface has the address, or a security group denies the flow."""


@dataclass(frozen=True)
class Source:
    """Who connects. Someone outside every VPC has no groups, whom no egress rule binds, and knows no private names."""

    address: str
    groups: tuple[str, ...] = ()
    vpc_id: str = ""


@dataclass(frozen=True)
class Endpoint:
    """Where a permitted connection goes on loopback; `address` is the VPC's (or the load balancer's node's) own."""

    address: str
    host: str
    port: int | None
    load_balancer: str = ""


UNKNOWN_NODE = "0.0.0.0"  # noqa: S104 (not bound to: a load balancer without interfaces, which only 0.0.0.0/0 admits)

ListenerPorts = dict[tuple[str, int], int]
"""Loopback ports of the load balancers' listeners, by the load balancer's ARN and the listener's own port."""

INTERNET = Source(INTERNET_CLIENT)


def node_address(load_balancer: LoadBalancer) -> str:
    """The load balancer's address in the VPC; one node stands for all of them."""
    return load_balancer.addresses[0] if load_balancer.addresses else UNKNOWN_NODE


class Fabric:
    """Resolves and judges; `connection` also dials."""

    def __init__(self, world: World, listener_ports: ListenerPorts) -> None:
        self._world = world
        self._listener_ports = listener_ports
        self._origins: dict[tuple[str, int], str] = {}

    def source(self, address: str) -> Source:
        """The interface at `address` as a source of connections; raises DroppedError when it is gone."""
        interface = self._world.interface(address)
        if interface is None:
            raise DroppedError(f"no interface has the address {address}")
        return Source(address, interface.security_groups, interface.vpc_id)

    def balancer_source(self, load_balancer: LoadBalancer) -> Source:
        return Source(node_address(load_balancer), load_balancer.security_groups)

    def locate(self, source: Source, host: str, port: int) -> Endpoint:
        """Resolve `host` as the VPC's resolver does and judge the flow from `source`.

        Raises NoSuchNameError or DroppedError.
        """
        if is_address(host):
            return self._interface(source, host, port)
        name = host.rstrip(".").lower()
        answer = self._world.resolve_private(name, source.vpc_id)
        if answer.addresses:
            return self._interface(source, random.choice(answer.addresses), port)  # noqa: S311 (MULTIVALUE order)
        return self.locate_public(source, name, port)

    def locate_public(self, source: Source, host: str, port: int) -> Endpoint:
        """The same for the public DNS alone, which is all that a client on the internet has."""
        name = host.rstrip(".").lower()
        answer = self._world.resolve_public(name)
        dns_name = answer.load_balancer.rstrip(".").lower() or name
        for load_balancer in self._world.load_balancers():
            if load_balancer.dns_name.lower() == dns_name:
                return self._listener(source, load_balancer, port)
        if answer.load_balancer or not answer.addresses:
            raise NoSuchNameError(name)
        return self._interface(source, answer.addresses[0], port)

    def permits(self, source: Source, endpoint: Endpoint, port: int) -> bool:
        """Whether a flow that was permitted once would be permitted now, to the same place."""
        try:
            if not endpoint.load_balancer:
                return self._interface(source, endpoint.address, port) == endpoint
            balancers = self._world.load_balancers()
            found = next((item for item in balancers if item.arn == endpoint.load_balancer), None)
            return found is not None and self._listener(source, found, port) == endpoint
        except FabricError:
            return False

    @asynccontextmanager
    async def connection(self, source: Source, endpoint: Endpoint) -> AsyncIterator[Streams]:
        """Dial a located endpoint; ConnectionRefusedError when nothing listens there. Closed at the end."""
        if endpoint.port is None:
            raise ConnectionRefusedError(f"{endpoint.load_balancer} has no such listener")
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        local = writer.get_extra_info("sockname")[:2]
        self._origins[local] = source.address
        try:
            yield reader, writer
        finally:
            del self._origins[local]
            writer.close()

    def origin(self, client: tuple[str, int]) -> str:
        """The address, in the VPC or on the internet, behind a loopback connection that reached a load balancer."""
        return self._origins.get(client, INTERNET_CLIENT)

    def _interface(self, source: Source, address: str, port: int) -> Endpoint:
        if ip_address(address).is_loopback:
            address = source.address
        interface = self._world.interface(address)
        if interface is None:
            raise DroppedError(f"no interface has the address {address}")
        reached = address == source.address or self._world.allows(
            source.groups, source.address, interface.security_groups, address, port
        )
        if not reached:
            raise DroppedError(f"security groups deny {source.address} -> {address}:{port}")
        return Endpoint(address, interface.loopback, port)

    def _listener(self, source: Source, load_balancer: LoadBalancer, port: int) -> Endpoint:
        address = node_address(load_balancer)
        if load_balancer.scheme == "internal" and not source.vpc_id:
            raise DroppedError(f"{load_balancer.name} is internal, and {source.address} outside the VPC")
        if not self._world.allows(source.groups, source.address, load_balancer.security_groups, address, port):
            raise DroppedError(f"security groups deny {source.address} -> {load_balancer.name}:{port}")
        listening = self._listener_ports.get((load_balancer.arn, port))
        return Endpoint(address, LOCALHOST, listening, load_balancer.arn)


def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
