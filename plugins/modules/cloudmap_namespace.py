#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A private DNS namespace of Cloud Map."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudmap_namespace
short_description: Manage a private DNS namespace of AWS Cloud Map
version_added: 0.1.0
description:
  - Makes, describes, tags or removes a private DNS namespace, and waits until Cloud Map has done it.
  - A namespace is found by its name, its type and the VPC of its private zone, whoever made it. HTTP and public
    namespaces of the same name, and those that another account shares, are other resources and stay untouched.
  - Only a namespace that this collection made (tag C(hokusai:managed-by)) and that is empty is removed.
options:
  name:
    description: Name of the namespace, which is the DNS suffix of its services.
    type: str
    required: true
  state:
    description: Whether the namespace shall exist.
    type: str
    choices: [present, absent]
    default: present
  vpc:
    description:
      - VPC in which the names resolve, by id or by Name tag. Needed to create.
      - Omitted, the name alone decides, and two namespaces of that name are an error.
    type: str
  description:
    description: Description. Omitted it is unmanaged.
    type: str
  tags:
    description: Tags that the namespace shall have. Others stay. Omitted they are unmanaged.
    type: dict
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
seealso:
  - module: hokusai.platform.cloudmap_service
author:
  - Hokusai Platform contributors (@hokusai)
"""

EXAMPLES = r"""
- name: Make the private DNS namespace
  hokusai.platform.cloudmap_namespace:
    name: hokusai-development.local
    vpc: hokusai-development

- name: Remove it again, once it is empty
  hokusai.platform.cloudmap_namespace:
    name: hokusai-development.local
    vpc: hokusai-development
    state: absent
"""

RETURN = r"""
resource:
  description: The namespace as it is, or in check mode as it would be. Null when absent.
  returned: success
  type: dict
  sample:
    name: hokusai-development.local
    id: ns-0123456789abcdef
    vpc: hokusai-development
    description: ""
    tags: {"hokusai:managed-by": hokusai.platform}
steps:
  description: The writes taken, or in check mode those that would be, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - {verb: create_private_dns_namespace, why: "namespace hokusai.local: create in VPC hokusai"}
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
    - {verb: create_private_dns_namespace, why: "namespace hokusai.local: create in VPC hokusai"}
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample: {verb: tag_resource, why: "namespace hokusai.local: tag team"}
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

SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "vpc": {"type": "str"},
    "description": {"type": "str"},
    "tags": {"type": "dict"},
}


@dataclass(frozen=True)
class Namespace:
    """A namespace; `vpc` in the play's own words. `id`, `arn` and (when it shall go) `services` are AWS's to say."""

    name: str
    vpc: str | None = None
    description: str | None = None
    tags: Mapping[str, str] | None = None
    id: str = ""
    arn: str = ""
    services: tuple[str, ...] = ()

    def over(self, current: Namespace) -> Namespace:
        description = current.description if self.description is None else self.description
        return dataclasses.replace(current, description=description, tags={**(current.tags or {}), **(self.tags or {})})

    def shown(self) -> dict[str, Any]:
        hidden = ("arn", "services")
        return {key: value for key, value in dataclasses.asdict(self).items() if key not in hidden}


def desire(params: Params) -> Namespace | None:
    wanted = Namespace(params["name"], params["vpc"], params["description"], tags.texts(params["tags"]))
    return wanted if params["state"] == "present" else None


def observe(aws: Aws, params: Params) -> Observed[Namespace]:
    vpc = vpc_id(aws, params["vpc"]) if params["vpc"] else None
    ids = {"vpc": vpc} if vpc else {}
    found = cloudmap.find_namespace(aws, params["name"], vpc) or await_creation(aws, params["name"], vpc)
    if found is None:
        return Observed(None, ids)
    services = cloudmap.list_services(aws, found["Id"]) if params["state"] == "absent" else []
    namespace = Namespace(
        params["name"],
        params["vpc"],
        found.get("Description") or "",
        cloudmap.tags_of(aws, found),
        found["Id"],
        found["Arn"],
        tuple(sorted(each["Name"] for each in services)),
    )
    return Observed(namespace, ids)


def await_creation(aws: Aws, name: str, vpc: str | None) -> cloudmap.Listed | None:
    """The namespace once creations still in flight have ended: one of them may be ours, of a run that was cut off.

    An operation does not tell the name, and one that fails is not ours to report here.
    """
    started = cloudmap.pending(aws, "CREATE_NAMESPACE")
    for operation in started:
        cloudmap.wait_end(aws, operation)
    return cloudmap.find_namespace(aws, name, vpc) if started else None


def plan(observed: Observed[Namespace], desired: Namespace | None) -> Iterator[Step]:
    current = observed.resource
    if desired is None:
        yield from remove(current)
    elif current is None:
        yield create(observed, desired)
    else:
        yield from adjust(current, desired)


def remove(current: Namespace | None) -> Iterator[Step]:
    if current is None:
        return
    what = f"namespace {current.name}"
    cloudmap.refuse_foreign(what, tags.is_owned(current.tags or {}))
    if current.services:
        raise BadInput(f"The {what} still holds {', '.join(current.services)}", "remove these services first")
    yield Step("delete_namespace", {"Id": current.id}, f"{what}: delete")


def create(observed: Observed[Namespace], desired: Namespace) -> Step:
    if not desired.vpc:
        raise BadInput(f"There is no namespace {desired.name}, and no VPC to create it in", "give the option vpc")
    vpc = observed.ids["vpc"]
    arguments = {
        "Name": desired.name,
        "Vpc": vpc,
        "CreatorRequestId": cloudmap.request_id(desired.name, vpc),
        "Tags": tags.to_aws(tags.owned(desired.tags)),
        **({"Description": desired.description} if desired.description else {}),
    }
    return Step("create_private_dns_namespace", arguments, f"namespace {desired.name}: create in VPC {desired.vpc}")


def adjust(current: Namespace, desired: Namespace) -> Iterator[Step]:
    what = f"namespace {current.name}"
    if desired.description is not None and desired.description != current.description:
        arguments = {"Id": current.id, "Namespace": {"Description": desired.description}}
        yield Step("update_private_dns_namespace", arguments, f"{what}: describe")
    lacking = tags.missing(current.tags or {}, desired.tags or {})
    if lacking:
        tagging = {"ResourceARN": current.arn, "Tags": tags.to_aws(lacking)}
        yield Step("tag_resource", tagging, f"{what}: tag {', '.join(sorted(lacking))}")


def main() -> None:
    run(service="servicediscovery", spec=SPEC, desire=desire, observe=observe, plan=plan, settle=cloudmap.settle)


if __name__ == "__main__":
    main()
