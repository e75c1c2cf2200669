#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: alb_weights
short_description: A canary's share of the requests, in all listener rules at once
version_added: 0.2.0
author: Hokusai Platform contributors (@hokusai)
description:
  - Gives a canary's target groups their share in every rule that forwards to the stable groups, or takes it back.
  - A rule that carries a canary is marked with the tag C(hokusai:canary), which says whose it is, in which phase, since
    when, and the stickiness that the rule had. M(hokusai.platform.alb_rules) leaves the weights of such a rule alone.
  - While a rule carries a canary it has no stickiness, which would pin clients to a group. It is restored afterwards.
  - A rule that forwards to further groups, or carries another canary, is an error, its weights are somebody else's.
  - A group without a healthy target gets no requests, that is an error too.
  - What a listener's default action forwards stays with the stable group.
options:
  canary:
    description: Name of the canary, kept in the mark. That of its ECS service is a good one.
    type: str
    required: true
  state:
    description:
      - V(present) gives the canary its O(weight).
      - V(absent) gives everything back to the stable groups, the weights of all rules first, and removes the marks.
        Until then they say that the canary goes back, so that one whose way back was cut off is never gone on with.
    type: str
    choices: [present, absent]
    default: present
  weight:
    description: Percentage of the requests, from 0 to 100. Required with O(state=present).
    type: int
  phase:
    description: What the mark says of the canary. V(promote) is one that has passed all its steps.
    type: str
    choices: [bake, promote]
    default: bake
  since:
    description:
      - When this step began, in UTC as C(2026-11-21T15:00:00Z). Omitted, what the mark says stays.
      - V(now) is the present moment by AWS's clock, for another machine may go on with the canary.
    type: str
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
  - hokusai.platform.canary
seealso:
  - module: hokusai.platform.canary_gate
  - module: hokusai.platform.ecs_canary_service
"""

EXAMPLES = r"""
- name: Send 5 percent of the requests to the canary
  hokusai.platform.alb_weights:
    canary: hokusai-api-canary-development
    target_groups:
      - stable: hokusai-reg-api-development
        canary: hokusai-reg-canary-development
    weight: 5
    since: now

- name: Go back
  hokusai.platform.alb_weights:
    canary: hokusai-api-canary-development
    target_groups:
      - stable: hokusai-reg-api-development
        canary: hokusai-reg-canary-development
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
      description: The rule, and the reason.
      type: str
  sample:
    - verb: modify_rule
      why: "hokusai-registry-development:443 rule 105: hokusai-reg-canary-development from 0 to 5 %"
resource:
  description: The rules as they are now, or in check mode would be.
  returned: success
  type: dict
  contains:
    canary:
      description: Name of the canary.
      type: str
    since:
      description: Since when it has this share, as the marks say. Empty where they do not.
      type: str
    rules:
      description: Each rule that forwards to one of the groups, with its weights, stickiness and mark.
      type: list
      elements: dict
  sample:
    canary: hokusai-api-canary-development
    since: "2026-11-21T15:00:00Z"
    rules:
      - rule: hokusai-registry-development:443 rule 105
        weights: {hokusai-reg-api-development: 95, hokusai-reg-canary-development: 5}
        stickiness_seconds: 0
        mark: hokusai-api-canary-development phase=bake since=2026-11-21T15:00:00Z stickiness=0
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: let the canary's service become healthy first
error:
  description: Kind of the failure, such as V(BadInput), V(NotFound), V(AwsError), V(NotConverged) or V(GaveUp).
  returned: failure
  type: str
  sample: BadInput
steps_done:
  description: The writes that were made before the failure, as in RV(steps). They stay made; the next run goes on.
  returned: failure after the first write was begun
  type: list
  elements: dict
  sample:
    - verb: add_tags
      why: "hokusai-registry-development:443 rule 105: hokusai-api-canary-development phase=bake since= stickiness=0"
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample:
    verb: modify_rule
    why: "hokusai-registry-development:443 rule 105: hokusai-reg-canary-development from 0 to 5 %"
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import canary_routes, tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.canary import WHOLE
from ansible_collections.hokusai.platform.plugins.module_utils.canary_options import GROUPS, pairs
from ansible_collections.hokusai.platform.plugins.module_utils.canary_routes import Shares, Wish, plan
from ansible_collections.hokusai.platform.plugins.module_utils.clock import Clock
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, calling
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed
from ansible_collections.hokusai.platform.plugins.module_utils.runner import run

NOW = "now"
MOMENT = re.compile(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ|{NOW}")
SPEC: dict[str, Any] = {
    **GROUPS,
    "canary": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "weight": {"type": "int"},
    "phase": {"type": "str", "choices": ["bake", "promote"], "default": "bake"},
    "since": {"type": "str"},
}


def desire(params: Params) -> Shares | None:
    if not params["target_groups"]:
        raise BadInput("target_groups is empty", "list the stable service's target groups with the canary's")
    if params["state"] == "absent":
        return None
    weight, since = params["weight"], params["since"]
    if not 0 <= weight <= WHOLE:
        raise BadInput(f"A weight of {weight} is no percentage", f"use 0 to {WHOLE}")
    if since is not None and not MOMENT.fullmatch(since):
        raise BadInput(f"{since} is no moment in UTC", f"give it as 2026-11-21T15:00:00Z, or as {NOW}")
    return Shares(params["canary"], wish=Wish(weight, params["phase"], since))


def observe(aws: Aws, params: Params) -> Observed[Shares]:
    rules, ids = canary_routes.read(aws, pairs(params))
    shares = Shares(params["canary"], rules)
    if params["state"] == "absent":
        return Observed(shares, ids)
    weighed = [pair for pair in pairs(params) if params["weight"] and pair.canary in ids]
    healthy = {pair.canary: healthy_targets(aws, ids[pair.canary]) for pair in weighed}
    sticky = frozenset(pair.stable for pair in pairs(params) if has_sticky_targets(aws, ids[pair.stable]))
    now = began(aws) if params["since"] == NOW else ""
    return Observed(Shares(params["canary"], rules, None, healthy, sticky, now), ids)


@cache
def began(aws: Aws) -> str:
    """This moment by AWS's clock, and the same at each later look: planning again must not find a mark too old."""
    return Clock.read(aws).said.strftime("%Y-%m-%dT%H:%M:%SZ")


def healthy_targets(aws: Aws, arn: str) -> int:
    with calling("describe the health of the canary's targets"):
        found: Sequence[Mapping[str, Any]] = aws.elbv2.describe_target_health(TargetGroupArn=arn)[
            "TargetHealthDescriptions"
        ]
    return sum(each["TargetHealth"]["State"] == "healthy" for each in found)


def has_sticky_targets(aws: Aws, arn: str) -> bool:
    with calling("describe the target group's attributes"):
        answer = aws.elbv2.describe_target_group_attributes(TargetGroupArn=arn)
    return tags.from_aws(answer["Attributes"]).get("stickiness.enabled") == "true"


def main() -> None:
    run(
        service="elbv2",
        spec=SPEC,
        desire=desire,
        observe=observe,
        plan=plan,
        required_if=[("state", "present", ["weight"])],
    )


if __name__ == "__main__":
    main()
