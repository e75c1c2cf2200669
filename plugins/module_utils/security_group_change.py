# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""In which order rules of a security group change in place, so that nothing is refused on the way that never should be.

ModifySecurityGroupRules gives a rule its new content under the id that it has. This relies on the rule to let through
the old content or the new one, at no moment neither. How several rules of one request follow each other is nowhere
said, so a request has only rules that do not need each other. Pure: everything here is data.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.hokusai.platform.plugins.module_utils.security_group import Rule


@dataclass(frozen=True)
class Change:
    """A live rule, and the rule of the same id and type that it becomes."""

    before: Rule
    after: Rule

    @property
    def is_modified(self) -> bool:
        """Whether it takes a ModifySecurityGroupRules: a name is a tag."""
        return (self.before.content, self.before.description) != (self.after.content, self.after.description)


@dataclass(frozen=True)
class Order:
    """Changes as requests, one after the other. `tangled` are those for which there is no order: each needs another."""

    requests: tuple[tuple[Change, ...], ...]
    tangled: tuple[Change, ...]


def order(changes: Iterable[Change]) -> Order:
    """Each change in the earliest request that it can be in."""
    left, requests = list(changes), []
    while ready := [each for each in left if not any(waits_for(each, other) for other in left)]:
        requests.append(tuple(ready))
        left = [each for each in left if each not in ready]
    return Order(tuple(requests), tuple(left))


def untangled(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Without the changes that stand in the way of an order, those first that most others wait for."""
    left = list(changes)
    while tangled := order(left).tangled:
        left.remove(max(tangled, key=lambda each: sum(waits_for(other, each) for other in tangled)))
    return tuple(left)


def waits_for(change: Change, other: Change) -> bool:
    """Whether something that `change` lets through now may be for `other` to let through once both are made.

    What `change` itself goes on to let through is no reason, nor is what `other` lets through already.
    """
    return (
        change is not other
        and may_meet(change.before, other.after)
        and not covers(change.after, change.before)
        and not covers(other.before, other.after)
    )


def may_meet(one: Rule, other: Rule) -> bool:
    """Whether there may be traffic that both let through. Who is in a group or a prefix list is not known here, and an
    interface can be in several groups: only two networks can be told apart."""
    return one.direction == other.direction and _ports_meet(one, other) and _peers_meet(one, other)


def covers(outer: Rule, inner: Rule) -> bool:
    """Whether one surely lets through all that the other does."""
    return outer.type == inner.type and _ports_cover(outer, inner) and _peer_covers(outer, inner)


def _ports_meet(one: Rule, other: Rule) -> bool:
    if one.protocol != other.protocol:
        return "-1" in (one.protocol, other.protocol)
    return not _has_ports(one) or (one.from_port <= other.to_port and other.from_port <= one.to_port)


def _ports_cover(outer: Rule, inner: Rule) -> bool:
    if outer.protocol != inner.protocol:
        return outer.protocol == "-1"
    if not _has_ports(outer):
        return (outer.from_port, outer.to_port) in ((-1, -1), (inner.from_port, inner.to_port))
    return outer.from_port <= inner.from_port and inner.to_port <= outer.to_port


def _has_ports(rule: Rule) -> bool:
    """Not so with ICMP: its numbers are a type and a code, no range."""
    return rule.protocol in ("tcp", "udp")


def _peers_meet(one: Rule, other: Rule) -> bool:
    if one.kind != "cidr" or other.kind != "cidr":
        return True
    mine, others = ipaddress.ip_network(one.peer), ipaddress.ip_network(other.peer)
    return mine.version == others.version and mine.overlaps(others)


def _peer_covers(outer: Rule, inner: Rule) -> bool:
    if outer.kind != "cidr":
        return outer.peer == inner.peer
    mine, others = ipaddress.ip_network(outer.peer), ipaddress.ip_network(inner.peer)
    return mine.prefixlen <= others.prefixlen and mine.overlaps(others)
