#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_state
short_description: What a canary is doing, and what comes next
version_added: 0.2.0
author: Hokusai Platform contributors (@hokusai)
description:
  - Reads the rules that forward to a service's target groups, the canary's groups and its service, and says from them
    alone what the canary is doing. So a canary that was cut off is found from any machine.
  - Says what M(hokusai.platform.alb_weights) and M(hokusai.platform.ecs_canary_service) are to be used for next.
options:
  container:
    description: Name of the container that is changed.
    type: str
    required: true
  image:
    description: Image that is to be tried. Omitted or empty, none.
    type: str
  weights:
    description: The steps, each with its share in percent and the seconds for which it is held.
    type: list
    elements: dict
    required: true
    suboptions:
      weight:
        description: Percentage of the requests. They rise, and the last is 100.
        type: int
        required: true
      bake:
        description: Seconds for which it is held.
        type: float
        required: true
  action:
    description:
      - V(auto) starts a canary if there is none, and goes on with one that was cut off.
      - V(start) refuses one that is there, V(finish) never starts one, and V(abort) takes back the one that is there.
    type: str
    choices: [auto, start, finish, abort]
    default: auto
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.reads
  - hokusai.platform.canary
  - hokusai.platform.canary.services
"""

EXAMPLES = r"""
- name: Look for a canary
  hokusai.platform.canary_state:
    cluster: hokusai-development
    service: hokusai-api-development
    name: hokusai-api-canary-development
    container: hokusai-api
    target_groups:
      - stable: hokusai-reg-api-development
        canary: hokusai-reg-canary-development
    weights:
      - {weight: 5, bake: 300}
      - {weight: 100, bake: 300}
  register: canary
"""

RETURN = r"""
state:
  description:
    - V(none), V(starting), V(running), V(promoting), V(undoing), V(leftover), V(strange) or V(foreign).
    - What is left over gets no requests. Strange weights are of no step, foreign ones somebody else's.
  returned: success
  type: str
  sample: running
step:
  description: The step of a canary that is running or promoting, from 0.
  returned: success
  type: int
  sample: 1
since:
  description: When that step began. Empty where its bake has to begin anew.
  returned: success
  type: str
  sample: "2026-11-21T15:00:00Z"
move:
  description: V(nothing), V(start), V(resume), V(finish), V(undo), V(clean) or V(refuse).
  returned: success
  type: str
  sample: resume
why:
  description: Why that.
  returned: success
  type: str
  sample: it was cut off at step 2
promoted:
  description: Whether the stable service runs the canary's revision.
  returned: success
  type: bool
  sample: false
routes:
  description: Every rule that forwards to the groups, with the shares of stable and canary and its mark.
  returned: success
  type: list
  elements: dict
  sample:
    - rule: hokusai-registry-development:443 rule 105
      stable: 75
      canary: 25
      mark: hokusai-api-canary-development phase=bake since=2026-11-21T15:00:00Z stickiness=0
running:
  description: Image of the stable service, and of the canary if there is one, and their revisions.
  returned: success
  type: dict
  sample:
    stable: {image: "hokusai-api:2026.11.0", task_definition: "hokusai-api-development:7"}
    canary: {image: "hokusai-api:2026.12.0", task_definition: "hokusai-api-development:8"}
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: correct the option target_groups
error:
  description: Kind of the failure, such as V(BadInput), V(NotFound), V(AwsError).
  returned: failure
  type: str
  sample: NotFound
"""

from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import canary, canary_routes, ecs_canary_observation
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.canary import Route, Seen
from ansible_collections.hokusai.platform.plugins.module_utils.canary_options import GROUPS, NAME, SERVICES, pairs
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_canary import Running
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_options import values
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params, failing, make_module
from ansible_collections.hokusai.platform.plugins.module_utils.task_definition import ContainerChange, changed

STEP = {"weight": {"type": "int", "required": True}, "bake": {"type": "float", "required": True}}
SPEC: dict[str, Any] = {
    **GROUPS,
    **SERVICES,
    "container": NAME,
    "image": {"type": "str"},
    "weights": {"type": "list", "elements": "dict", "required": True, "options": STEP},
    "action": {"type": "str", "choices": ["auto", "start", "finish", "abort"], "default": "auto"},
}


def judge(aws: Aws, params: Params) -> dict[str, Any]:
    steps = canary.steps((each["weight"], each["bake"]) for each in params["weights"])
    services = ecs_canary_observation.read(aws, params["cluster"], params["service"], params["name"])
    rules, ids = canary_routes.read(aws, pairs(params))
    seen = see(params, services.stable, services.canary, tuple(rule.route for rule in rules), ids)
    state = canary.state(seen, params["name"], steps)
    decision = canary.decide(state, seen, params["action"])
    return {
        "state": state.kind,
        "step": state.step,
        "since": state.since,
        "move": decision.move,
        "why": decision.why,
        "promoted": seen.is_promoted,
        "routes": [shown(route) for route in seen.routes],
        "running": {
            name: brief(each, params["container"])
            for name, each in (("stable", services.stable), ("canary", services.canary))
            if each
        },
    }


def see(
    params: Params, stable: Running | None, tried: Running | None, routes: tuple[Route, ...], ids: dict[str, str]
) -> Seen:
    change = ContainerChange(image=params["image"] or None, environment=values(params, "environment"))
    changes = {params["container"]: change}

    def differs(from_: Running | None) -> bool:
        """Whether what is asked for is something else than this service runs."""
        return from_ is not None and changed(from_.revision.containers, changes) != from_.revision.containers

    return Seen(
        routes,
        tuple(pair.canary for pair in pairs(params) if pair.canary in ids),
        tried is not None,
        differs(stable),
        differs(stable) and differs(tried),
        bool(stable and tried and stable.revision.arn == tried.revision.arn),
    )


def shown(route: Route) -> dict[str, Any]:
    mark = str(route.mark) if route.mark else ""
    return {"rule": route.rule, "stable": route.stable, "canary": route.canary, "mark": mark}


def brief(running: Running, container: str) -> dict[str, str]:
    return {"image": running.revision.containers[container].image, "task_definition": running.revision.label}


def main() -> None:
    module = make_module(SPEC)
    with failing(module):
        module.exit_json(changed=False, **judge(Aws(module.params), module.params))


if __name__ == "__main__":
    main()
