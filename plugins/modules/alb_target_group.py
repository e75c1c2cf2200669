# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: alb_target_group
short_description: A target group of an Application Load Balancer, without its targets
version_added: 0.1.0
author: Hokusai Platform contributors (@hokusai)
description:
  - Creates a target group, or changes its health check, attributes and tags in place.
  - Registered targets are never touched, ECS owns them.
  - An omitted option is unmanaged, unless said otherwise.
  - What AWS cannot change in place (VPC, protocol, port, target type) is an error when it differs.
options:
  name:
    description: Name of the target group.
    type: str
    required: true
  state:
    description:
      - Whether the target group is there.
      - V(absent) deletes a target group made by this module (tag C(hokusai:managed-by)) that no load balancer uses and
        that has no targets. For any other it is an error.
    type: str
    choices: [present, absent]
    default: present
  vpc:
    description: Id or Name tag of the VPC of the targets. Required for a new target group.
    type: str
  protocol:
    description: Protocol towards the targets. Omitted, a new target group has V(HTTP).
    type: str
    choices: [HTTP, HTTPS]
  protocol_version:
    description: Version of the protocol. Omitted, a new target group has what AWS chooses, V(HTTP1).
    type: str
    choices: [HTTP1, HTTP2, GRPC]
  port:
    description: Port of the targets, unless they are registered with another. Required for a new target group.
    type: int
  target_type:
    description: Kind of targets. Omitted, a new target group has V(ip), which tasks with C(awsvpc) need.
    type: str
    choices: [instance, ip]
  health_check:
    description: How the load balancer finds out whether a target is healthy. An omitted part is unmanaged.
    type: dict
    suboptions:
      protocol:
        description: Protocol.
        type: str
        choices: [HTTP, HTTPS]
      port:
        description: Port, or V(traffic-port).
        type: str
      path:
        description: Path, with a leading slash.
        type: str
      interval:
        description: Seconds between two checks, from 5 to 300.
        type: int
      timeout:
        description: Seconds after which a check has failed, from 2 to 120 and below O(health_check.interval).
        type: int
      healthy_threshold:
        description: Successes in a row that make a target healthy, from 2 to 10.
        type: int
      unhealthy_threshold:
        description: Failures in a row that make a target unhealthy, from 2 to 10.
        type: int
      matcher:
        description: Statuses that count as success, such as V(200) or V(200,204) or V(200-299).
        type: str
  attributes:
    description:
      - Target group attributes by AWS's names. Attributes not listed are unmanaged.
      - AWS takes V(stickiness.enabled=true) of a group in weighted rules only once all of these have
        C(stickiness_seconds). Give it to them first, in a run of its own.
    type: dict
  tags:
    description: Tags that are there. Tags not listed are unmanaged.
    type: dict
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
"""

EXAMPLES = r"""
- name: Check the API's health where it is served
  hokusai.platform.alb_target_group:
    name: hokusai-reg-api-development
    vpc: hokusai-development
    port: 8001
    health_check:
      path: /health
      matcher: "200"
      interval: 30
      timeout: 5
      healthy_threshold: 2
      unhealthy_threshold: 2
    attributes:
      deregistration_delay.timeout_seconds: 60

- name: Remove a target group that was made here and is no longer used
  hokusai.platform.alb_target_group:
    name: hokusai-api-canary-development
    state: absent
"""

RETURN = r"""
steps:
  description: The writes in the order in which they were made, or in check mode would be.
  returned: success
  type: list
  elements: dict
  contains:
    verb:
      description: The API call.
      type: str
    why:
      description: The resource, and the reason.
      type: str
  sample:
    - verb: modify_target_group
      why: "health check of target group hokusai-reg-api-development: path /health/alb becomes /health"
resource:
  description: The target group as it is now, or in check mode would be. Null when absent.
  returned: success
  type: dict
  contains:
    name:
      description: Name.
      type: str
    vpc:
      description: The VPC as it was asked for, or its id.
      type: str
    protocol:
      description: Protocol towards the targets.
      type: str
    protocol_version:
      description: Version of the protocol.
      type: str
    port:
      description: Port of the targets.
      type: int
    target_type:
      description: Kind of targets.
      type: str
    health_check:
      description: The health check, keyed as the option.
      type: dict
    attributes:
      description: The attributes that were asked for.
      type: dict
    tags:
      description: The tags that were asked for.
      type: dict
  sample:
    name: hokusai-reg-api-development
    vpc: hokusai-development
    protocol: HTTP
    protocol_version: HTTP1
    port: 8001
    target_type: ip
    health_check:
      path: /health
      port: traffic-port
      protocol: HTTP
      matcher: "200"
      interval: 30
      timeout: 5
      healthy_threshold: 5
      unhealthy_threshold: 2
    attributes: {deregistration_delay.timeout_seconds: "60"}
    tags: {team: ml}
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
    - {verb: create_target_group, why: "target group hokusai-reg-api-development is absent"}
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample:
    verb: modify_target_group_attributes
    why: "attributes of target group hokusai-reg-api-development: stickiness.enabled"
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb, elb_target_group, tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.elb_target_group import GROUP, VPC, TargetGroup, plan
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, BadInput, calling
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed
from ansible_collections.hokusai.platform.plugins.module_utils.runner import run
from ansible_collections.hokusai.platform.plugins.module_utils.vpc import vpc_id

NAME = re.compile(r"(?!-)(?!internal-)[A-Za-z0-9-]{1,32}(?<!-)")
HEALTH_CHECK: dict[str, Any] = {
    "protocol": {"type": "str", "choices": ["HTTP", "HTTPS"]},
    "port": {"type": "str"},
    "path": {"type": "str"},
    "interval": {"type": "int"},
    "timeout": {"type": "int"},
    "healthy_threshold": {"type": "int"},
    "unhealthy_threshold": {"type": "int"},
    "matcher": {"type": "str"},
}
SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "vpc": {"type": "str"},
    "protocol": {"type": "str", "choices": ["HTTP", "HTTPS"]},
    "protocol_version": {"type": "str", "choices": ["HTTP1", "HTTP2", "GRPC"]},
    "port": {"type": "int"},
    "target_type": {"type": "str", "choices": ["instance", "ip"]},
    "health_check": {"type": "dict", "options": HEALTH_CHECK},
    "attributes": {"type": "dict"},
    "tags": {"type": "dict"},
}


def desire(params: Params) -> TargetGroup | None:
    """Raises `BadInput` for what AWS would refuse whatever is live."""
    name = params["name"]
    if not NAME.fullmatch(name):
        raise BadInput(f"{name} is no name of a target group", "use 1 to 32 letters, digits and inner hyphens")
    if params["state"] == "absent":
        return None
    return TargetGroup(
        name=name,
        **{option: params[option] for option in elb_target_group.IMMUTABLE},
        health_check=elb_target_group.health_check(params["health_check"], name),
        attributes=tags.texts(params["attributes"]),
        tags=tags.texts(params["tags"]),
    )


def observe(aws: Aws, params: Params) -> Observed[TargetGroup]:
    vpc = vpc_id(aws, params["vpc"]) if params["vpc"] and params["state"] == "present" else ""
    live = describe(aws, params["name"])
    if live is None:
        return Observed(None, {VPC: vpc})
    arn, absent = live["TargetGroupArn"], params["state"] == "absent"
    found_tags = elb.tags_of(aws, [arn])[arn] if params["tags"] or absent else {}
    group = elb_target_group.from_aws(live)
    group = replace(
        group,
        vpc=params["vpc"] if vpc == group.vpc else group.vpc,
        attributes=attributes(aws, arn, params["attributes"]),
        tags=found_tags if absent else tags.among(found_tags, params["tags"]),
        holders=tuple(holders(aws, live)) if absent else (),
    )
    return Observed(group, {GROUP: arn, VPC: vpc})


def describe(aws: Aws, name: str) -> dict[str, Any] | None:
    """The target group of a name, which is unique in account and region."""
    try:
        with calling(f"describe the target group {name}"):
            found: list[dict[str, Any]] = aws.elbv2.describe_target_groups(Names=[name])["TargetGroups"]
    except AwsError as error:
        if error.code != "TargetGroupNotFound":
            raise
        return None
    return found[0] if found else None


def holders(aws: Aws, live: Mapping[str, Any]) -> Iterator[str]:
    """What uses the target group: load balancers, and targets that somebody registered."""
    yield from (f"load balancer {elb.balancer_name(arn)}" for arn in live.get("LoadBalancerArns", ()))
    with calling("describe the registered targets"):
        health = aws.elbv2.describe_target_health(TargetGroupArn=live["TargetGroupArn"])
    if health["TargetHealthDescriptions"]:
        yield f"{len(health['TargetHealthDescriptions'])} registered targets"


def attributes(aws: Aws, arn: str, asked: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    """Those that were asked for; none are read when none are."""
    if not asked:
        return None
    with calling("describe the target group's attributes"):
        answer = aws.elbv2.describe_target_group_attributes(TargetGroupArn=arn)
    return tags.among(tags.from_aws(answer["Attributes"]), asked)


def main() -> None:
    run(service="elbv2", spec=SPEC, desire=desire, observe=observe, plan=plan)


if __name__ == "__main__":
    main()
