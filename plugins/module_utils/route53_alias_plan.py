# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the records of some hosts to aliases of their load balancers: of a zone's changes all are made or none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.public_dns import (
    ADDRESS_TYPES,
    Balancer,
    HostedZone,
    Record,
    plain_name,
)

Change = tuple[dict[str, Any], str]
"""A change of Route 53's, and its reason."""

TAKE = "set replace (alb_routing_dns_replace of the role)"


@dataclass(frozen=True)
class Aliases:
    """`wanted` is load balancer by host; `replace` allows to take a name away from what it leads to now.

    What was found: the zone of each host, the load balancers by name, and the hosts' records.
    """

    wanted: Mapping[str, str] = field(default_factory=dict)
    evaluate_target_health: bool = True
    replace: bool = False
    zones: Mapping[str, HostedZone] = field(default_factory=dict)
    balancers: Mapping[str, Balancer] = field(default_factory=dict)
    records: tuple[Record, ...] = ()

    def over(self, current: Aliases) -> Aliases:
        return dataclasses.replace(self, zones=current.zones, balancers=current.balancers)

    def shown(self) -> dict[str, list[str]]:
        """What each host leads to."""
        told: dict[str, list[str]] = {}
        for host, name in self.wanted.items():
            balancer = self.balancers[name]
            told[host] = [f"{each} alias of {plain_name(balancer.dns_name)}" for each in types(balancer)]
        for record in self.records:
            told.setdefault(record.host, []).append(str(record))
        return told


def types(balancer: Balancer) -> tuple[str, ...]:
    return ADDRESS_TYPES if balancer.dualstack else ADDRESS_TYPES[:1]


def plan(observed: Observed[Aliases], desired: Aliases | None) -> Iterator[Step]:
    """Raises `BadInput` for a name that leads elsewhere, unless it may be taken."""
    live = observed.resource
    if live is None or desired is None:
        return
    by_zone: dict[HostedZone, list[Change]] = {}
    for host, name in desired.wanted.items():
        held = [record for record in live.records if record.host == host]
        changes = list(host_changes(desired, live.balancers[name], host, held))
        if changes:
            by_zone.setdefault(live.zones[host], []).extend(changes)
    for zone, changes in by_zone.items():
        batch = {"Comment": "hokusai.platform", "Changes": [change for change, _reason in changes]}
        why = f"hosted zone {zone.name}: {'; '.join(reason for _change, reason in changes)}"
        yield Step("change_resource_record_sets", {"HostedZoneId": zone.id, "ChangeBatch": batch}, why)


def host_changes(desired: Aliases, balancer: Balancer, host: str, held: Sequence[Record]) -> Iterator[Change]:
    """What goes comes before what is made."""
    strange = [record for record in held if not record.leads_to(balancer) or record.type == "CNAME"]
    refuse(host, held, strange, balancer, replace=desired.replace)
    for record in strange:
        if record.type not in types(balancer):
            yield {"Action": "DELETE", "ResourceRecordSet": dict(record.aws)}, f"{host} is no longer {record}"
    live = {record.type: record.aws["AliasTarget"]["EvaluateTargetHealth"] for record in held if record not in strange}
    for kind in types(balancer):
        if live.get(kind) is not desired.evaluate_target_health:
            made = alias(host, kind, balancer, evaluate=desired.evaluate_target_health)
            action = "UPSERT" if any(record.type == kind for record in held) else "CREATE"
            yield {"Action": action, "ResourceRecordSet": made}, f"{host} becomes {kind} alias of {balancer.name}"


def refuse(host: str, held: Iterable[Record], strange: Sequence[Record], balancer: Balancer, *, replace: bool) -> None:
    if routed := next((record for record in held if record.routed), None):
        raise BadInput(
            f"{host} has records with a routing policy ({routed.aws['SetIdentifier']}: {routed})",
            "change them where the policy is kept, and leave the host out here",
        )
    if not strange or replace:
        return
    if all(record.leads_to(balancer) for record in strange):
        raise BadInput(
            f"{host} is a CNAME to {balancer.name}, no alias, which answers at a zone's apex too and costs no query",
            f"{TAKE} to make it one, or leave the host out here",
        )
    raise BadInput(
        f"{host} leads elsewhere: {'; '.join(map(str, strange))}",
        f"{TAKE} to take the name, or correct host and load balancer",
    )


def alias(host: str, kind: str, balancer: Balancer, *, evaluate: bool) -> dict[str, Any]:
    target = {
        "HostedZoneId": balancer.canonical_zone,
        "DNSName": f"dualstack.{balancer.dns_name}" if balancer.dualstack else balancer.dns_name,
        "EvaluateTargetHealth": evaluate,
    }
    return {"Name": host, "Type": kind, "AliasTarget": target}
