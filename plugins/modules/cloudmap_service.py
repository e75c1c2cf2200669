#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A service of a private DNS namespace of Cloud Map."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudmap_service
short_description: Manage a discovery service in a private DNS namespace of AWS Cloud Map
version_added: 0.1.0
description:
  - Makes, changes, tags or removes a service of a private DNS namespace, and waits until Cloud Map has done it.
  - Instances are registered by ECS, never by this module. See M(hokusai.platform.ecs_service).
  - TTLs, the description and tags change in place. Record types, routing policy and custom health cannot be changed
    by anyone once the service exists, so a difference in these is an error that names the way out.
  - Only a service that this collection made (tag C(hokusai:managed-by)) and that has no instances is removed.
options:
  name:
    description: Name of the service, the first label of its DNS name.
    type: str
    required: true
  namespace:
    description:
      - Private DNS namespace, by name or id.
      - In check mode it may be missing, as an earlier task of the play would create it.
    type: str
    required: true
  vpc:
    description: VPC of the namespace, by id or by Name tag. Needed when several namespaces have the name.
    type: str
  state:
    description: Whether the service shall exist.
    type: str
    choices: [present, absent]
    default: present
  dns_records:
    description: All DNS records of the service. Omitted they are unmanaged; a new service gets A with a TTL of 10.
    type: list
    elements: dict
    suboptions:
      type:
        description: Record type.
        type: str
        choices: [A, AAAA, SRV, CNAME]
        required: true
      ttl:
        description: Time to live in seconds. A dead address is used for up to that long.
        type: int
        default: 10
  routing_policy:
    description: How records are answered. Omitted it is unmanaged; a new service gets V(MULTIVALUE).
    type: str
    choices: [MULTIVALUE, WEIGHTED]
  custom_health:
    description:
      - Whether health comes from who registers the instances, as ECS does it.
      - Omitted it is unmanaged; a new service gets V(true).
    type: bool
  description:
    description: Description. Omitted it is unmanaged.
    type: str
  tags:
    description: Tags that the service shall have. Others stay. Omitted they are unmanaged.
    type: dict
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
seealso:
  - module: hokusai.platform.cloudmap_namespace
  - module: hokusai.platform.ecs_service
author:
  - Hokusai Platform contributors (@hokusai)
"""

EXAMPLES = r"""
- name: Make mlflow.hokusai-development.local discoverable
  hokusai.platform.cloudmap_service:
    name: mlflow
    namespace: hokusai-development.local
    vpc: hokusai-development
    dns_records:
      - {type: A, ttl: 10}
    routing_policy: MULTIVALUE
    custom_health: true
"""

RETURN = r"""
resource:
  description: The service as it is, or in check mode as it would be. Null when absent.
  returned: success
  type: dict
  sample:
    name: mlflow
    namespace: hokusai-development.local
    id: srv-0123456789abcdef
    arn: arn:aws:servicediscovery:us-east-1:123456789012:service/srv-0123456789abcdef
    records: {A: 10}
    routing_policy: MULTIVALUE
    custom_health: true
    description: ""
    tags: {"hokusai:managed-by": hokusai.platform}
steps:
  description: The writes taken, or in check mode those that would be, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - {verb: create_service, why: "service mlflow of namespace hokusai-development.local: create"}
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import cloudmap, tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.runner import run
from ansible_collections.hokusai.platform.plugins.module_utils.vpc import vpc_id

RECORD = {
    "type": {"type": "str", "choices": ["A", "AAAA", "SRV", "CNAME"], "required": True},
    "ttl": {"type": "int", "default": 10},
}
SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "vpc": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "dns_records": {"type": "list", "elements": "dict", "options": RECORD},
    "routing_policy": {"type": "str", "choices": ["MULTIVALUE", "WEIGHTED"]},
    "custom_health": {"type": "bool"},
    "description": {"type": "str"},
    "tags": {"type": "dict"},
}


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


def desire(params: Params) -> Service | None:
    if params["state"] == "absent":
        return None
    records = params["dns_records"]
    return Service(
        params["name"],
        params["namespace"],
        None if records is None else {each["type"]: each["ttl"] for each in records},
        params["routing_policy"],
        params["custom_health"],
        params["description"],
        params["tags"],
    )


def observe(aws: Aws, params: Params) -> Observed[Service]:
    vpc = vpc_id(aws, params["vpc"]) if params["vpc"] else None
    namespace = cloudmap.find_namespace(aws, params["namespace"], vpc)
    if namespace is None:
        return Observed(None)
    ids = {f"namespace {params['namespace']}": str(namespace["Id"])}
    found = cloudmap.find_service(aws, params["name"], namespace["Id"])
    return Observed(described(aws, found, params["namespace"]) if found else None, ids)


def described(aws: Aws, found: cloudmap.Listed, namespace: str) -> Service:
    dns = found.get("DnsConfig", {})
    return Service(
        found["Name"],
        namespace,
        {each["Type"]: int(each["TTL"]) for each in dns.get("DnsRecords", [])},
        dns.get("RoutingPolicy"),
        "HealthCheckCustomConfig" in found,
        found.get("Description") or "",
        cloudmap.tags_of(aws, found),
        found["Id"],
        found["Arn"],
        found.get("InstanceCount", 0),
        found.get("HealthCheckConfig"),
    )


def plan(observed: Observed[Service], desired: Service | None) -> Iterator[Step]:
    current = observed.resource
    if desired is None:
        yield from remove(current)
    elif current is None:
        yield create(observed, desired)
    else:
        refuse_immutable(current, desired)
        yield from adjust(current, desired)


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


def create(observed: Observed[Service], desired: Service) -> Step:
    where = f"namespace {desired.namespace}"
    namespace = observed.id(where, "create it with cloudmap_namespace, or correct the options namespace and vpc")
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


def main() -> None:
    run(service="servicediscovery", spec=SPEC, desire=desire, observe=observe, plan=plan, settle=cloudmap.settle)


if __name__ == "__main__":
    main()
