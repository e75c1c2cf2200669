# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_canary_service
short_description: A second ECS service that tries a change beside the stable one
version_added: 0.2.0
author: Hokusai Platform contributors (@hokusai)
description:
  - Makes an ECS service like the stable one, with another image or environment and with target groups of its own.
  - Its revision belongs to the stable service's family, so that V(promoted) deploys the very revision that was tried.
  - It is registered in no Cloud Map service, since who finds the service by name would reach it whatever its weight.
  - Waits until its deployment has completed with healthy targets, as M(hokusai.platform.ecs_service) does.
options:
  state:
    description:
      - V(present) makes the canary's service, or waits for the one that is there.
      - V(promoted) gives the stable service the canary's revision, unless the stable service was deployed meanwhile.
      - V(absent) deletes the canary's service, and deregisters its revision unless the stable service runs it. A
        revision whose service was never made goes as well. Then waits until its targets are drained.
    type: str
    choices: [present, promoted, absent]
    default: present
  container:
    description: Name of the container that is changed. Required with O(state=present).
    type: str
  image:
    description: Its image. Omitted or empty, as the stable service runs.
    type: str
  desired_count:
    description: How many tasks. Omitted, as many as the stable service has. A canary is never scaled in.
    type: int
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
  - hokusai.platform.canary
  - hokusai.platform.canary.services
  - hokusai.platform.ecs.wait
seealso:
  - module: hokusai.platform.alb_weights
  - module: hokusai.platform.ecs_service
"""

EXAMPLES = r"""
- name: Try a new image beside the API
  hokusai.platform.ecs_canary_service:
    cluster: hokusai-development
    service: hokusai-api-development
    name: hokusai-api-canary-development
    container: hokusai-api
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/hokusai-api:2026.12.0
    target_groups:
      - stable: hokusai-reg-api-development
        canary: hokusai-reg-canary-development

- name: Let the API run what the canary runs
  hokusai.platform.ecs_canary_service:
    cluster: hokusai-development
    service: hokusai-api-development
    name: hokusai-api-canary-development
    state: promoted
    target_groups:
      - stable: hokusai-reg-api-development
        canary: hokusai-reg-canary-development
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
      description: The service, and the reason.
      type: str
  sample:
    - verb: create_service
      why: service hokusai-api-canary-development is absent
resource:
  description: Both services as they are now, or in check mode would be.
  returned: success
  type: dict
  contains:
    cluster:
      description: Name of the cluster.
      type: str
    stable:
      description: The stable service, with its revision and containers.
      type: dict
    canary:
      description: The canary's, or null. Values of environment variables are not shown.
      type: dict
  sample:
    cluster: hokusai-development
    stable:
      service: hokusai-api-development
      task_definition: hokusai-api-development:7
      desired_count: 1
      containers: {hokusai-api: {image: "hokusai-api:2026.11.0", command: [], environment: {}, secrets: {}}}
    canary:
      service: hokusai-api-canary-development
      task_definition: hokusai-api-development:8
      desired_count: 1
      containers: {hokusai-api: {image: "hokusai-api:2026.12.0", command: [], environment: {}, secrets: {}}}
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: finish or abort that one first
error:
  description: Kind of the failure, such as V(BadInput), V(NotFound), V(AwsError), V(NotConverged) or V(GaveUp).
  returned: failure
  type: str
  sample: GaveUp
steps_done:
  description: The writes that were made before the failure, as in RV(steps). They stay made; the next run goes on.
  returned: failure after the first write was begun
  type: list
  elements: dict
  sample:
    - {verb: register_task_definition, why: "family hokusai-api-development: container hokusai-api: image"}
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample: {verb: create_service, why: service hokusai-api-canary-development is absent}
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import (
    ecs_canary_observation,
    ecs_deployment,
    elb,
)
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.canary_options import GROUPS, SERVICES, pairs
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_canary import Services, Wish, plan
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_observation import describe, primary
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_options import WAIT, values
from ansible_collections.hokusai.platform.plugins.module_utils.errors import GaveUp
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Response, run
from ansible_collections.hokusai.platform.plugins.module_utils.task_definition import ContainerChange

SPEC: dict[str, Any] = {
    **GROUPS,
    **SERVICES,
    **WAIT,
    "state": {"type": "str", "choices": ["present", "promoted", "absent"], "default": "present"},
    "container": {"type": "str"},
    "image": {"type": "str"},
    "desired_count": {"type": "int"},
}
AWAITED = ("create_service", "update_service", "delete_service")


def desire(params: Params) -> Services:
    change = ContainerChange(image=params["image"] or None, environment=values(params, "environment"))
    changes = {params["container"]: change} if params["container"] else {}
    wish = Wish(params["state"], changes, pairs(params), params["desired_count"])
    return Services(params["cluster"], params["name"], wish=wish)


def observe(aws: Aws, params: Params) -> Observed[Services]:
    services = ecs_canary_observation.read(aws, params["cluster"], params["service"], params["name"])
    return Observed(services, elb.group_ids(aws, [pair.canary for pair in pairs(params)], ()))


def settle(aws: Aws, params: Params, responses: Sequence[Response]) -> None:
    """Wait for the deployment of the service in question, or for the end of the canary's draining."""
    awaited = [(step, answer) for step, answer in responses if step.verb in AWAITED]
    if not params["wait"]:
        return
    if params["state"] == "absent":
        wait_gone(aws, params)
        return
    if responses and not awaited:
        return
    given = {**params, "service": params["name" if params["state"] == "present" else "service"]}
    for step, answer in awaited:
        service = answer.get("service") or describe(aws, given["cluster"], given["service"])
        now = ecs_deployment.Awaited.of(primary(service))
        lost = ecs_deployment.Awaited("", step.args.get("taskDefinition", now.task_definition))
        ecs_deployment.wait(aws, given, now if answer else lost)
    if not awaited:
        deployment = primary(describe(aws, given["cluster"], given["service"]))
        if deployment.get("rolloutState") != "COMPLETED":
            ecs_deployment.wait(aws, given, ecs_deployment.Awaited.of(deployment))


def wait_gone(aws: Aws, params: Params) -> None:
    """Until the canary's target groups have no targets: only then can they be deleted."""
    deadline = time.monotonic() + params["wait_timeout"]
    groups = elb.group_ids(aws, [pair.canary for pair in pairs(params)], ())
    while left := list(targets(aws, groups)):
        if time.monotonic() > deadline:
            text = f"Service {params['name']}: after {params['wait_timeout']} s targets are left: {', '.join(left)}"
            raise GaveUp(text, "look at its events; deregister targets that are not its own, then run again")
        time.sleep(params["wait_delay"])


def targets(aws: Aws, groups: Mapping[str, str]) -> Iterator[str]:
    for name, arn in sorted(groups.items()):
        for each in aws.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]:
            yield f"{ecs_deployment.target_state(each)} in {name}"


def main() -> None:
    run(
        service="ecs",
        spec=SPEC,
        desire=desire,
        observe=observe,
        plan=plan,
        settle=settle,
        required_if=[("state", "present", ["container"])],
    )


if __name__ == "__main__":
    main()
