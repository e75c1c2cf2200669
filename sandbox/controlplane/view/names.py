"""Name resolution as Route 53 and Cloud Map answer it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.model import Answer

NXDOMAIN = Answer()
_MAX_HOPS = 8


def normal(name: str) -> str:
    return name.rstrip(".").lower().replace("\\052", "*")


def resolve_zones(name: str, zones: Iterable[Any], load_balancer_names: frozenset[str]) -> Answer:
    """Follow records and aliases of these hosted zones to addresses or to a load balancer's DNS name."""
    candidates = list(zones)
    wanted = normal(name)
    for _ in range(_MAX_HOPS):
        direct = wanted.removeprefix("dualstack.")
        if direct in load_balancer_names:
            return Answer(load_balancer=direct)
        record = _record(wanted, candidates)
        if record is None:
            return NXDOMAIN
        if record.alias_target:
            wanted = normal(record.alias_target["DNSName"])
        elif record.type == "CNAME":
            wanted = normal(_values(record)[0])
        else:
            return Answer(addresses=tuple(_values(record)))
    return NXDOMAIN


def _record(name: str, zones: list[Any]) -> Any:
    """The record that answers: of the zone with the longest matching name, the exact name before the wildcard."""
    matching = [zone for zone in zones if name == normal(zone.name) or name.endswith("." + normal(zone.name))]
    if not matching:
        return None
    zone = max(matching, key=lambda each: len(normal(each.name)))
    wildcard = "*." + name.partition(".")[2]
    for sought in (name, wildcard):
        found = [r for r in zone.rrsets if normal(r.name) == sought and r.type in {"A", "CNAME"}]
        if found:
            return max(found, key=lambda record: int(record.weight or 0))
    return None


def _values(record: Any) -> list[str]:
    return [item["Value"] if isinstance(item, dict) else item for item in record.records]


def resolve_discovery(name: str, namespaces: Iterable[Any], services: Iterable[Any]) -> Answer:
    """Cloud Map's A records: the addresses of the healthy instances of `<service>.<namespace>`."""
    host, _, domain = normal(name).partition(".")
    zones = {namespace.id for namespace in namespaces if normal(namespace.name) == domain}
    for service in services:
        if service.namespace_id in zones and normal(service.name) == host and _has_address_records(service):
            healthy = [each for each in service.instances if each.health_status == "HEALTHY"]
            addresses = (each.attributes.get("AWS_INSTANCE_IPV4", "") for each in healthy)
            return Answer(addresses=tuple(sorted(address for address in addresses if address)))
    return NXDOMAIN


def _has_address_records(service: Any) -> bool:
    records = (service.dns_config or {}).get("DnsRecords", [])
    return any(record["Type"] == "A" for record in records)
