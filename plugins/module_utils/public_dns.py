# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Public host names in Route 53: the hosted zone a name belongs to, its records, and the load balancer they mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Ambiguous, BadInput, NotFound, calling

ADDRESS_TYPES = ("A", "AAAA")
RECORD_TYPES = frozenset({*ADDRESS_TYPES, "CNAME"})
"""What tells where a name leads; a name with a CNAME has no other record."""


MOST_HOPS = 8
"""As resolvers have it: a chain of names that is longer may be a circle."""


@dataclass(frozen=True)
class HostedZone:
    """A public hosted zone. `name` has no dot at its end."""

    id: str
    name: str


@dataclass(frozen=True)
class Balancer:
    """A load balancer as an alias names it. `canonical_zone` is the zone of its own name (`CanonicalHostedZoneId`)."""

    name: str
    arn: str
    dns_name: str
    canonical_zone: str
    dualstack: bool = False


@dataclass(frozen=True)
class Record:
    """A record set of a host. `target` is the alias's name or the values; `aws` is the whole, as Route 53 shows it.

    `standby` is one that answers only in place of others beside it, which are not healthy.
    """

    host: str
    type: str
    target: str
    alias: bool
    aws: Mapping[str, Any]
    standby: bool = False

    @property
    def routed(self) -> bool:
        """True of one of several records of its name and type, which a routing policy chooses among."""
        return "SetIdentifier" in self.aws

    @property
    def failover(self) -> str:
        """`PRIMARY` or `SECONDARY`, and "" without such a policy."""
        return str(self.aws.get("Failover", ""))

    @property
    def weight(self) -> int | None:
        """None without a weighted policy."""
        return int(self.aws["Weight"]) if "Weight" in self.aws else None

    def leads_to(self, balancer: Balancer) -> bool:
        """Whether it is known to: not of a secondary, which answers when its primary does not."""
        named = self.target == plain_name(balancer.dns_name) and (self.alias or self.type == "CNAME")
        return named and self.failover != "SECONDARY"

    def beside(self, others: Iterable[Record]) -> Record:
        """With `standby` as those of its name and type have it. A weight of 0 answers like any other where all weigh
        nothing (Route 53 API reference, ResourceRecordSet: Failover, Weight)."""
        alike = [each for each in others if each.type == self.type]
        second = self.failover == "SECONDARY" and any(each.failover == "PRIMARY" for each in alike)
        return dataclasses.replace(self, standby=second or (self.weight == 0 and any(each.weight for each in alike)))

    def __str__(self) -> str:
        policy = " (secondary)" if self.failover == "SECONDARY" else " (weight 0)" if self.weight == 0 else ""
        return f"{self.type}{' alias of' if self.alias else ''} {self.target}{policy}"


def balancer_by_host(hosts: Mapping[str, Any]) -> dict[str, str]:
    """Of an option with lists of hosts by load balancer. Raises `BadInput` for a host that has two."""
    found: dict[str, str] = {}
    for balancer, names in hosts.items():
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise BadInput(f"The hosts of {balancer} are no list of names", "write them as a list: [registry.hokus.ai]")
        for name in names:
            host = name.lower().rstrip(".")
            if found.setdefault(host, balancer) != balancer:
                raise BadInput(f"{host} is listed for {found[host]} and for {balancer}", "leave one of them")
    return found


def plain_name(name: str) -> str:
    """A DNS name to compare: the console puts `dualstack.` in front of a load balancer's, and Route 53 a dot behind."""
    return name.lower().rstrip(".").removeprefix("dualstack.").replace("\\052", "*")


def normal_target(target: Mapping[str, Any]) -> dict[str, Any]:
    """An alias's target in one spelling of its name, to compare."""
    return {**target, "DNSName": target["DNSName"].lower().rstrip(".")}


def public_zones(aws: Aws) -> list[HostedZone]:
    with calling("list the hosted zones"):
        pages = aws.route53.get_paginator("list_hosted_zones").paginate()
        found = [zone for page in pages for zone in page["HostedZones"] if not zone["Config"].get("PrivateZone")]
    return [HostedZone(zone["Id"].rpartition("/")[2], zone["Name"].lower().rstrip(".")) for zone in found]


def nearest_zones(host: str, zones: Iterable[HostedZone]) -> list[HostedZone]:
    """The zones with the longest name that the host is below: none, one, or several of one name."""
    above = [zone for zone in zones if f".{host.lower()}".endswith(f".{zone.name}")]
    longest = max((len(zone.name) for zone in above), default=0)
    return [zone for zone in above if len(zone.name) == longest]


def zone_of(host: str, zones: Iterable[HostedZone]) -> HostedZone:
    """The zone with the longest name that the host is below. Raises `NotFound` or `Ambiguous`."""
    nearest = nearest_zones(host, zones)
    if not nearest:
        raise NotFound(
            f"No public hosted zone of this account holds {host}",
            "make the record where its DNS is kept, or use a profile of the account that has the zone",
        )
    if len(nearest) > 1:
        ids = ", ".join(sorted(zone.id for zone in nearest))
        raise Ambiguous(
            f"{len(nearest)} public hosted zones are named {nearest[0].name}: {ids}",
            "give the zone's id: alb_routing_zone of the role, or the option zone",
        )
    return nearest[0]


@dataclass(frozen=True)
class Node:
    """A name of a zone: its record sets of any type. It `exists` too where there is only a name below it (RFC 4592)."""

    sets: tuple[Mapping[str, Any], ...]
    exists: bool

    @property
    def delegated(self) -> bool:
        return any(each["Type"] == "NS" for each in self.sets)

    def records(self, host: str) -> list[Record]:
        return [from_aws(host, each) for each in self.sets if each["Type"] in RECORD_TYPES]


def node(aws: Aws, zone: HostedZone, name: str) -> Node:
    """In one call but for a name with very many records: after a name Route 53 lists those below it."""
    with calling(f"list the records of {name}"):
        pages = aws.route53.get_paginator("list_resource_record_sets").paginate(
            HostedZoneId=zone.id, StartRecordName=name, StartRecordType="A", PaginationConfig={"PageSize": 10}
        )
        found: list[Mapping[str, Any]] = []
        for each in (each for page in pages for each in page["ResourceRecordSets"]):
            listed = plain_name(each["Name"])
            if listed != name.lower():
                return Node(tuple(found), bool(found) or listed.endswith(f".{name.lower()}"))
            found.append(each)
    return Node(tuple(found), bool(found))


def records(aws: Aws, zone: HostedZone, host: str) -> list[Record]:
    """The host's records of `RECORD_TYPES`."""
    return node(aws, zone, host).records(host)


def answering(aws: Aws, zones: Collection[HostedZone], host: str, hops: int = 0) -> list[Record]:
    """The records by which a host is answered: its own or, if there is no such name, those of the wildcard right below
    the nearest name above it (RFC 4592).

    One that leads to another name of these zones is followed. Raises `NotFound` for a host of none of them, also where
    it is delegated to other name servers, and `Ambiguous`.
    """
    zone = zone_of(host, zones)
    name = host.lower()
    above = name.removesuffix(zone.name).rstrip(".").split(".")[1:]
    names = [name, *(".".join([*above[place:], zone.name]) for place in range(len(above)))]
    nodes = {each: node(aws, zone, each) for each in names}
    if cut := next((each for each in names if nodes[each].delegated and each != zone.name), None):
        raise NotFound(f"{cut} is delegated by {zone.name} to other name servers", "ask them, or use their account")
    nearest = next((each for each in names if nodes[each].exists), zone.name)
    found = nodes[name].records(name) if nearest == name else records(aws, zone, f"*.{nearest}")
    return [last for record in found for last in _followed(aws, zones, record.beside(found), hops)]


def _followed(aws: Aws, zones: Collection[HostedZone], record: Record, hops: int) -> list[Record]:
    leads_on = (record.alias or record.type == "CNAME") and nearest_zones(record.target, zones)
    if hops >= MOST_HOPS or record.standby or record.failover == "SECONDARY" or not leads_on:
        return [record]
    return answering(aws, zones, record.target, hops + 1) or [record]


def from_aws(host: str, live: Mapping[str, Any]) -> Record:
    alias = live.get("AliasTarget")
    values = [alias["DNSName"]] if alias else [each["Value"] for each in live.get("ResourceRecords", ())]
    return Record(host, live["Type"], ", ".join(map(plain_name, values)), alias is not None, live)


def balancers(aws: Aws, names: Iterable[str]) -> dict[str, Balancer]:
    """Load balancers by name, in one call. Raises `NotFound` when one is absent."""
    wanted = sorted(set(names))
    with calling("describe the load balancers"):
        found = elb.every(aws.elbv2, "describe_load_balancers", "LoadBalancers")
    live = {each["LoadBalancerName"]: each for each in found}
    if absent := [name for name in wanted if name not in live]:
        raise elb.no_balancer(aws, ", ".join(absent))
    return {name: _balancer(live[name]) for name in wanted}


def _balancer(live: Mapping[str, Any]) -> Balancer:
    dualstack = str(live.get("IpAddressType", "")).startswith("dualstack")
    return Balancer(
        live["LoadBalancerName"], live["LoadBalancerArn"], live["DNSName"], live["CanonicalHostedZoneId"], dualstack
    )
