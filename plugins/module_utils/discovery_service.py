# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Cloud Map service, and the steps from the one there is to the one there shall be."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import cloudmap, tags
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Find, Step


@dataclass(frozen=True)
class Service:
    """A discovery service; `records` are TTLs by type. `id`, `arn`, `instances` and `health_check` are AWS's to say."""

    name: str
    namespace: str
    records: Mapping[str, int] | None = None
    routing_policy: str | None = None
    custom_health: bool | None = None
    description: str | None = None
    tags: Mapping[str, str] | None = None
    id: str = ""
    arn: str = ""
    instances: int = 0
    health_check: Mapping[str, Any] | None = None

    def over(self, current: Service) -> Service:
        managed = ("records", "routing_policy", "custom_health", "description")
        changes = {name: getattr(self, name) for name in managed if getattr(self, name) is not None}
        return dataclasses.replace(current, **changes, tags={**(current.tags or {}), **(self.tags or {})})

    def shown(self) -> dict[str, Any]:
        hidden = ("instances", "health_check")
        return {key: value for key, value in dataclasses.asdict(self).items() if key not in hidden}

    @property
    def what(self) -> str:
        return f"service {self.name} of namespace {self.namespace}"


def described(found: cloudmap.Listed, tagged: Mapping[str, str], namespace: str) -> Service:
    """The service from ListServices, in a namespace by the play's word for it."""
    dns = found.get("DnsConfig", {})
    return Service(
        found["Name"],
        namespace,
        {each["Type"]: int(each["TTL"]) for each in dns.get("DnsRecords", [])},
        dns.get("RoutingPolicy"),
        "HealthCheckCustomConfig" in found,
        found.get("Description") or "",
        tagged,
        found["Id"],
        found["Arn"],
        found.get("InstanceCount", 0),
        found.get("HealthCheckConfig"),
    )


def remove(current: Service | None) -> Iterator[Step]:
    if current is None:
        return
    cloudmap.refuse_foreign(f"The {current.what}", tags.is_owned(current.tags or {}))
    if current.instances:
        raise BadInput(
            f"The {current.what} still has {current.instances} instances",
            "take it out of the ECS service's service_registries first",
        )
    yield Step("delete_service", {"Id": current.id}, f"{current.what}: delete")


def create(desired: Service, find: Find) -> Step:
    where = f"namespace {desired.namespace}"
    namespace = find(where, "create it with cloudmap_namespace, or correct the options namespace and vpc")
    records = desired.records if desired.records is not None else {"A": 10}
    arguments = {
        "Name": desired.name,
        "NamespaceId": namespace,
        "CreatorRequestId": cloudmap.request_id(desired.name, str(namespace)),
        "DnsConfig": {"RoutingPolicy": desired.routing_policy or "MULTIVALUE", "DnsRecords": to_aws(records)},
        "Tags": tags.to_aws(tags.owned(desired.tags)),
        **({} if desired.custom_health is False else {"HealthCheckCustomConfig": {"FailureThreshold": 1}}),
        **({"Description": desired.description} if desired.description else {}),
    }
    return Step("create_service", arguments, f"{desired.what}: create")


def refuse_immutable(current: Service, desired: Service) -> None:
    """What nobody can change once the service exists (Cloud Map API reference: UpdateService)."""
    pairs = {
        "record types": (sorted(current.records or {}), None if desired.records is None else sorted(desired.records)),
        "routing policy": (current.routing_policy, desired.routing_policy),
        "custom health": (current.custom_health, desired.custom_health),
    }
    for what, (now, wanted) in pairs.items():
        if wanted is not None and wanted != now:
            raise BadInput(
                f"The {current.what} has {what} {now}, not {wanted}, and Cloud Map cannot change that in place",
                "create a second service under another name, point the ECS service's service_registries and the "
                "clients at it, then retire this one",
            )


def adjust(current: Service, desired: Service) -> Iterator[Step]:
    after = desired.over(current)
    reasons = [*changed_ttls(current, after), *(["describe"] if after.description != current.description else [])]
    if reasons:
        yield Step("update_service", update_arguments(after), f"{current.what}: {', '.join(reasons)}")
    lacking = tags.missing(current.tags or {}, desired.tags or {})
    if lacking:
        arguments = {"ResourceARN": current.arn, "Tags": tags.to_aws(lacking)}
        yield Step("tag_resource", arguments, f"{current.what}: tag {', '.join(sorted(lacking))}")


def changed_ttls(current: Service, after: Service) -> Iterator[str]:
    was = current.records or {}
    for kind, ttl in sorted((after.records or {}).items()):
        if was.get(kind) != ttl:
            yield f"TTL of {kind} from {was.get(kind)} to {ttl}"


def update_arguments(after: Service) -> dict[str, Any]:
    """The whole service: UpdateService deletes the records and the health check it is not given."""
    whole = {"Description": after.description or "", "DnsConfig": {"DnsRecords": to_aws(after.records or {})}}
    if after.health_check:
        whole["HealthCheckConfig"] = dict(after.health_check)
    return {"Id": after.id, "Service": whole}


def to_aws(records: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"Type": kind, "TTL": ttl} for kind, ttl in sorted(records.items())]
