# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules of a security group: one form for what EC2 lists and what a play asks for, and what may be asked for."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import tags
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Missing

PROTOCOLS = {"all": "-1", "1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}
DESCRIPTION = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{0,255}")
PORTLESS = ("-1", "icmp", "icmpv6")
TAKEN = ("tcp", "udp", *PORTLESS)
WORLD = {4: 8, 6: 16}
"""By IP version the prefix length below which a public network counts as the world: two halves are the whole too."""
LOCAL_6 = ipaddress.IPv6Network("fc00::/7")
"""IPv6's private addresses; no private IPv4 network is as wide. (`is_private` of some Pythons is true of 0.0.0.0/0.)"""
Content = tuple[str, str, int, int, str, str]


@dataclass(frozen=True)
class Rule:
    """One rule. `kind` of `peer` is `group`, `cidr` or `prefix_list`; `id` (sgr-...) and `owned` are AWS's to say.

    A `description` of None is unmanaged. Ports are -1 where the protocol has none.
    """

    direction: str
    protocol: str
    from_port: int
    to_port: int
    kind: str
    peer: str
    description: str | None = None
    name: str | None = None
    id: str | None = None
    owned: bool = False

    @property
    def content(self) -> Content:
        """What EC2 allows once per group: a second rule equal in all of it is InvalidPermission.Duplicate."""
        return self.direction, self.protocol, self.from_port, self.to_port, self.kind, self.peer

    @property
    def type(self) -> tuple[str, str, str]:
        """What a rule keeps for good (EC2 API reference, SecurityGroupRuleRequest: its type cannot be changed)."""
        return self.direction, self.kind, self.family

    @property
    def family(self) -> str:
        """`IPv4`, `IPv6`, or for a group or prefix list `both`."""
        return "both" if self.kind != "cidr" else "IPv6" if ":" in self.peer else "IPv4"

    @property
    def ports(self) -> str:
        """As "5000", "8000-8010" or "all"."""
        if self.from_port == self.to_port:
            return "all" if self.from_port == -1 else str(self.from_port)
        return f"{self.from_port}-{self.to_port}"

    @property
    def words(self) -> str:
        """The rule in words, as "tcp 5000 from group hokusai-api-development"."""
        traffic = "all traffic" if self.protocol == "-1" else f"{self.protocol} {self.ports}"
        return f"{traffic} {'from' if self.direction == 'ingress' else 'to'} {self.kind} {self.peer}"

    def shown(self) -> dict[str, Any]:
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "owned"}


def from_options(options: Mapping[str, Any]) -> Rule:
    """A rule from a play's options (the module's documentation has their names). Raises `BadInput`."""
    protocol = PROTOCOLS.get(options["protocol"].lower(), options["protocol"].lower())
    if protocol not in TAKEN:
        raise BadInput(
            f"Rule {options['name']}: this module makes no rules of the protocol {options['protocol']}",
            "give tcp, udp, icmp, icmpv6 or all",
        )
    first, last = _ports(options, protocol)
    kind = next(each for each in ("group", "cidr", "prefix_list") if options.get(each))
    peer = _network(options["name"], options["cidr"]) if kind == "cidr" else str(options[kind])
    return Rule(
        options["direction"], protocol, first, last, kind, peer, options.get("description"), options["name"], owned=True
    )


def _ports(options: Mapping[str, Any], protocol: str) -> tuple[int, int]:
    single = options.get("port")
    first, last = (single, single) if single is not None else (options.get("from_port"), options.get("to_port"))
    if first is None and last is None and protocol in PORTLESS:
        return -1, -1
    if protocol == "-1":
        raise BadInput(f"Rule {options['name']}: all protocols have no ports", "leave the ports out, or name one")
    if first is None or last is None:
        raise BadInput(f"Rule {options['name']}: {protocol} needs ports", "give port, or from_port and to_port")
    if not -1 <= first <= 65535 or not -1 <= last <= 65535 or (protocol not in PORTLESS and not 0 <= first <= last):
        raise BadInput(f"Rule {options['name']}: {first}-{last} is no port range", "ports are 0 to 65535, lower first")
    return first, last


def _network(name: str, cidr: str) -> str:
    """The CIDR as EC2 stores it, without host bits and with IPv6 compressed."""
    try:
        return str(ipaddress.ip_network(cidr, strict=False))
    except ValueError as error:
        raise BadInput(f"Rule {name}: {cidr} is no CIDR: {error}", "write it as 10.0.0.0/16 or 2001:db8::/32") from None


def check(rules: tuple[Rule, ...], public_ports: Iterable[int]) -> None:
    """Raise `BadInput` for a set of rules that must not, or cannot, be applied."""
    for attribute in ("name", "content"):
        seen: dict[Any, Rule] = {}
        for rule in rules:
            other = seen.setdefault((rule.direction, getattr(rule, attribute)), rule)
            if other is not rule:
                raise BadInput(
                    f"Rules {other.name} ({other.words}) and {rule.name} ({rule.words}) have the same {attribute}",
                    "names and contents are unique in a security group: remove one",
                )
    for rule in rules:
        _check_public(rule, frozenset(public_ports))
        if not DESCRIPTION.fullmatch(rule.description or ""):
            raise BadInput(
                f"Rule {rule.name}: EC2 does not take the description {rule.description!r}",
                "use at most 255 of a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+=&;{}!$*",
            )


def is_open(rule: Rule, public_ports: Collection[int]) -> bool:
    """Whether the rule lets the world in at anything but the public ports."""
    if rule.direction != "ingress" or rule.kind != "cidr" or not _is_world(rule.peer):
        return False
    ports = range(rule.from_port, rule.to_port + 1) if rule.protocol in ("tcp", "udp") else ()
    return not ports or any(port not in public_ports for port in ports)


def _is_world(cidr: str) -> bool:
    network = ipaddress.ip_network(cidr)
    local = isinstance(network, ipaddress.IPv6Network) and network.subnet_of(LOCAL_6)
    return network.prefixlen < WORLD[network.version] and not local


def _check_public(rule: Rule, public_ports: frozenset[int]) -> None:
    if is_open(rule, public_ports):
        allowed = ", ".join(map(str, sorted(public_ports))) or "none"
        raise BadInput(
            f"Rule {rule.name} would open {rule.words} (ports that may be open to the world: {allowed})",
            "name the security group or network that needs it; a port meant for the world goes into public_ports",
        )


def words(ids: Mapping[str, str]) -> dict[str, str]:
    """The play's words for peers by their id. Raises `BadInput` when it names one in two ways: rules would not pair."""
    found: dict[str, str] = {}
    for name, identity in ids.items():
        if found.setdefault(identity, name) != name:
            raise BadInput(f"{found[identity]} and {name} are the same peer", "name it in one way in all rules")
    return found


def from_aws(listed: Mapping[str, Any], names: Mapping[str, str], owner: str) -> Rule:
    """A rule as DescribeSecurityGroupRules lists it; `names` has the play's words for peers, by their id."""
    tagged = tags.from_aws(listed.get("Tags"))
    kind, peer = _peer(listed)
    protocol = PROTOCOLS.get(str(listed["IpProtocol"]), str(listed["IpProtocol"]))
    first, last = (-1, -1) if protocol == "-1" else (listed.get("FromPort", -1), listed.get("ToPort", -1))
    return Rule(
        "egress" if listed["IsEgress"] else "ingress",
        protocol,
        int(first),
        int(last),
        kind,
        names.get(peer, peer),
        listed.get("Description") or "",
        tagged.get(tags.NAME),
        listed["SecurityGroupRuleId"],
        tags.is_owned(tagged, owner),
    )


def _peer(listed: Mapping[str, Any]) -> tuple[str, str]:
    if "ReferencedGroupInfo" in listed:
        return "group", str(listed["ReferencedGroupInfo"]["GroupId"])
    if "PrefixListId" in listed:
        return "prefix_list", str(listed["PrefixListId"])
    cidr = listed.get("CidrIpv4") or listed["CidrIpv6"]
    return "cidr", str(ipaddress.ip_network(cidr, strict=False))


def permission(rule: Rule, peer: str | Missing) -> dict[str, Any]:
    """The rule as an element of AuthorizeSecurityGroup*'s `IpPermissions`; `peer` is its group or prefix list's id."""
    described = {"Description": rule.description} if rule.description else {}
    if rule.kind == "group":
        source = {"UserIdGroupPairs": [{"GroupId": peer, **described}]}
    elif rule.kind == "prefix_list":
        source = {"PrefixListIds": [{"PrefixListId": peer, **described}]}
    elif rule.family == "IPv6":
        source = {"Ipv6Ranges": [{"CidrIpv6": peer, **described}]}
    else:
        source = {"IpRanges": [{"CidrIp": peer, **described}]}
    return {"IpProtocol": rule.protocol, **_port_arguments(rule), **source}


def modification(rule: Rule, peer: str | Missing) -> dict[str, Any]:
    """The rule as ModifySecurityGroupRules' `SecurityGroupRule`, which takes the whole rule, not the difference."""
    key = {"group": "ReferencedGroupId", "prefix_list": "PrefixListId"}.get(rule.kind)
    key = key or ("CidrIpv6" if rule.family == "IPv6" else "CidrIpv4")
    return {
        "IpProtocol": rule.protocol,
        **_port_arguments(rule),
        key: peer,
        "Description": rule.description or "",
    }


def _port_arguments(rule: Rule) -> dict[str, int]:
    return {} if rule.protocol == "-1" else {"FromPort": rule.from_port, "ToPort": rule.to_port}


def quota_problem(live: Iterable[Rule], new: Iterable[Rule], quota: int, entries: Mapping[str, int]) -> str:
    """Why the additions do not fit ("" if they do): they come before the removals, so the peak is what counts.

    VPC quotas: inbound and outbound rules count apart, and so do IPv4 and IPv6; a group or prefix list counts as both,
    and a prefix list as often as it may have `entries` (its MaxEntries, by peer; once where AWS does not tell it).
    """
    live, new = tuple(live), tuple(new)
    for direction in sorted({rule.direction for rule in new}):
        for family, other in (("IPv4", "IPv6"), ("IPv6", "IPv4")):
            have, more = (
                sum(size(rule, entries) for rule in rules if rule.direction == direction and rule.family != other)
                for rules in (live, new)
            )
            if more and have + more > quota:
                return f"{have} {family} {direction} rules and {more} to add exceed the quota of {quota}"
    return ""


def size(rule: Rule, entries: Mapping[str, int]) -> int:
    """How much of the quota a rule takes."""
    return entries.get(rule.peer, 1) if rule.kind == "prefix_list" else 1
