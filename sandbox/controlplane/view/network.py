"""Security groups as a judgement, and addresses to give away."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# The first four addresses of a subnet and its last one are AWS's (VPC user guide, subnet sizing).
_RESERVED_AT_START = 4


@dataclass(frozen=True)
class Permission:
    """One security group rule for TCP: ports from `low` to `high`, from or to a network or a group."""

    low: int
    high: int
    network: ipaddress.IPv4Network | None
    group: str

    def admits(self, address: str, groups: tuple[str, ...], port: int) -> bool:
        if not self.low <= port <= self.high:
            return False
        if self.network is not None:
            return ipaddress.ip_address(address) in self.network
        return self.group in groups


@dataclass(frozen=True)
class GroupRules:
    ingress: tuple[Permission, ...]
    egress: tuple[Permission, ...]


def group_rules(group: Any) -> GroupRules:
    return GroupRules(tuple(_permissions(group.ingress_rules)), tuple(_permissions(group.egress_rules)))


def _permissions(rules: Iterable[Any]) -> Iterable[Permission]:
    """TCP over IPv4 only: nothing in the sandbox speaks anything else."""
    for rule in rules:
        if rule.ip_protocol not in {"tcp", "6", "-1"}:
            continue
        low, high = (0, 65535) if rule.ip_protocol == "-1" else (int(rule.from_port), int(rule.to_port))
        if rule.source_group.get("GroupId"):
            yield Permission(low, high, None, rule.source_group["GroupId"])
        elif rule.ip_range.get("CidrIp"):
            yield Permission(low, high, ipaddress.IPv4Network(rule.ip_range["CidrIp"], strict=False), "")


def allows(
    rules: dict[str, GroupRules],
    source: tuple[tuple[str, ...], str],
    destination: tuple[tuple[str, ...], str],
    port: int,
) -> bool:
    """Whether the groups of both ends let a connection through; an end is its groups and its address.

    An end without groups is outside the VPC, where no security group judges.
    """
    source_groups, source_address = source
    destination_groups, destination_address = destination
    leaves = not source_groups or any(
        permission.admits(destination_address, destination_groups, port)
        for group in source_groups
        if group in rules
        for permission in rules[group].egress
    )
    enters = not destination_groups or any(
        permission.admits(source_address, source_groups, port)
        for group in destination_groups
        if group in rules
        for permission in rules[group].ingress
    )
    return leaves and enters


def free_address(cidr: str, taken: set[str], after: str) -> str:
    """The next address of a subnet that nobody has, starting behind the one given away last.

    Raises LookupError when the subnet is full. Addresses are not handed out again while others are left, so that
    what holds on to a dead task's address finds nobody there, as on AWS.
    """
    network = ipaddress.IPv4Network(cidr)
    low = int(network.network_address) + _RESERVED_AT_START
    high = int(network.broadcast_address) - 1
    start = int(ipaddress.IPv4Address(after)) + 1 if after else low
    span = high - low + 1
    for step in range(span):
        address = str(ipaddress.IPv4Address(low + (start - low + step) % span))
        if address not in taken:
            return address
    raise LookupError(f"subnet {cidr} has no free address")
