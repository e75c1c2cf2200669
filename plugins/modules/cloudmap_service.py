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
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: grant the calling identity this action on this resource (docs/iam.md has the policies), then run again
error:
  description: Kind of the failure, such as V(BadInput), V(NotFound), V(AwsError), V(NotConverged) or V(GaveUp).
  returned: failure
  type: str
  sample: AwsError
steps_done:
  description: The writes that were made before the failure, as in RV(steps). They stay made; the next run goes on.
  returned: failure after the first write was begun
  type: list
  elements: dict
  sample:
    - {verb: update_service, why: "service mlflow of namespace hokusai-development.local: describe"}
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample: {verb: tag_resource, why: "service mlflow of namespace hokusai-development.local: tag team"}
"""

from collections.abc import Iterator
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import cloudmap, tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.discovery_service import (
    Service,
    adjust,
    create,
    described,
    refuse_immutable,
    remove,
)
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
        tags.texts(params["tags"]),
    )


def observe(aws: Aws, params: Params) -> Observed[Service]:
    vpc = vpc_id(aws, params["vpc"]) if params["vpc"] else None
    namespace = cloudmap.find_namespace(aws, params["namespace"], vpc)
    if namespace is None:
        return Observed(None)
    ids = {f"namespace {params['namespace']}": str(namespace["Id"])}
    found = cloudmap.find_service(aws, params["name"], namespace["Id"])
    if found is None:
        return Observed(None, ids)
    return Observed(described(found, cloudmap.tags_of(aws, found), params["namespace"]), ids)


def plan(observed: Observed[Service], desired: Service | None) -> Iterator[Step]:
    current = observed.resource
    if desired is None:
        yield from remove(current)
    elif current is None:
        yield create(desired, observed.id)
    else:
        refuse_immutable(current, desired)
        yield from adjust(current, desired)


def main() -> None:
    run(service="servicediscovery", spec=SPEC, desire=desire, observe=observe, plan=plan, settle=cloudmap.settle)


if __name__ == "__main__":
    main()
