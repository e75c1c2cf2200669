#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_gate
short_description: Judge whether a canary may go on, while it bakes
version_added: 0.2.0
author: Hokusai Platform contributors (@hokusai)
description:
  - Asks alarms, target health, the error ratio and the answers to probes, and gives one of three verdicts.
  - One failure is V(fail), and ends the bake at once. Else one open question is V(inconclusive). Nothing asked is
    V(inconclusive) too.
  - What AWS refuses to tell, throttles or does not have is an open question, never a pass.
  - Never fails because of a verdict. Assert on RV(verdict), or do what RV(next) says.
options:
  moment:
    description:
      - V(start) asks, before anything is made, whether the alarms are quiet and the stable service's targets healthy.
      - V(bake) asks about a canary that has its share of the requests.
    type: str
    choices: [start, bake]
    default: bake
  alarms:
    description:
      - Names of CloudWatch alarms, composite ones included, of which none may be in ALARM.
      - List alarms on C(HTTPCode_ELB_5XX_Count), since what a load balancer answers itself is not counted per group.
    type: list
    elements: str
    default: []
  probes:
    description: Reports of M(hokusai.platform.http_probe), its result C(requests). Each must be as expected.
    type: list
    elements: dict
    default: []
  since:
    description:
      - When this step began, in UTC as C(2026-11-21T15:00:00Z), by AWS's clock. Required with O(moment=bake).
      - How long ago that is, AWS's clock says, so that another machine may have begun the step.
    type: str
  bake:
    description: Seconds from O(since) for which the gates must hold. They are asked all the while.
    type: float
    default: 0
  patience:
    description: Seconds after the bake in which an inconclusive verdict may still become another one.
    type: float
    default: 0
  poll:
    description: Seconds between two looks.
    type: float
    default: 15
  minimum_sample:
    description: Requests the canary must have had since O(since). Fewer say nothing.
    type: int
    default: 100
  max_error_ratio:
    description: Share of the canary's requests that may fail, from 0 to 1.
    type: float
    default: 0.02
  max_above_stable:
    description: How much larger than the stable service's share it may be, from 0 to 1.
    type: float
    default: 0.01
  run:
    description:
      - Path of the context of the run that the task is a part of, as M(hokusai.platform.platform_snapshot) returns it.
      - The run's lock is renewed while the gates are asked. Once it is lost the next look is an error, for somebody
        else may change what is judged.
    type: path
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.reads
  - hokusai.platform.canary
seealso:
  - module: hokusai.platform.alb_weights
  - module: hokusai.platform.http_probe
"""

EXAMPLES = r"""
- name: Hold the canary for five minutes
  hokusai.platform.canary_gate:
    target_groups:
      - stable: hokusai-reg-api-development
        canary: hokusai-reg-canary-development
    alarms: [hokusai-registry-elb-5xx]
    since: "2026-11-21T15:00:00Z"
    bake: 300
    patience: 300
  register: gate

- name: Go on only after a pass
  ansible.builtin.assert:
    that: gate.next == 'advance'
    fail_msg: "{{ gate.why }}"
"""

RETURN = r"""
verdict:
  description: V(pass), V(fail) or V(inconclusive), at the last look.
  returned: success
  type: str
  sample: fail
next:
  description:
    - V(advance) after a pass at the end of the bake, else V(back).
    - V(hold) never comes out, it is waited for.
  returned: success
  type: str
  sample: back
why:
  description: What the gates say that did not pass.
  returned: success
  type: list
  elements: str
  sample: ["error ratio: 9 of 30 requests failed (30.00%), borne are 2.00%"]
gates:
  description: Every gate, in a fixed order.
  returned: success
  type: list
  elements: dict
  contains:
    gate:
      description: The gate.
      type: str
    verdict:
      description: Its own verdict.
      type: str
    why:
      description: What it saw.
      type: str
  sample:
    - gate: error ratio
      verdict: fail
      why: 9 of 30 requests failed (30.00%), borne are 2.00%
looks:
  description: How often the gates were asked.
  returned: success
  type: int
  sample: 4
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

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import canary_gates, canary_metrics
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.canary import HOLD, PASS, Finding, after, verdict
from ansible_collections.hokusai.platform.plugins.module_utils.canary_gates import Limits
from ansible_collections.hokusai.platform.plugins.module_utils.canary_options import GROUPS, pairs
from ansible_collections.hokusai.platform.plugins.module_utils.clock import Clock
from ansible_collections.hokusai.platform.plugins.module_utils.cloudwatch import alarm_states
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params, failing, make_module
from ansible_collections.hokusai.platform.plugins.module_utils.plan import as_data
from ansible_collections.hokusai.platform.plugins.module_utils.platform_state import known
from ansible_collections.hokusai.platform.plugins.module_utils.transaction import RUN_OPTION, Outside, in_run

SPEC: dict[str, Any] = {
    **RUN_OPTION,
    **GROUPS,
    "moment": {"type": "str", "choices": ["start", "bake"], "default": "bake"},
    "alarms": {"type": "list", "elements": "str", "default": []},
    "probes": {"type": "list", "elements": "dict", "default": []},
    "since": {"type": "str"},
    "bake": {"type": "float", "default": 0},
    "patience": {"type": "float", "default": 0},
    "poll": {"type": "float", "default": 15},
    "minimum_sample": {"type": "int", "default": 100},
    "max_error_ratio": {"type": "float", "default": 0.02},
    "max_above_stable": {"type": "float", "default": 0.01},
}


def moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        raise BadInput(f"since is no moment in UTC: {text}", "give it as 2026-11-21T15:00:00Z") from None


def limits(params: Params) -> Limits:
    found = Limits(params["minimum_sample"], params["max_error_ratio"], params["max_above_stable"])
    if found.minimum_sample < 1 or not 0 <= found.ratio < 1 or not 0 <= found.above_stable < 1:
        raise BadInput("A limit of the error ratio is none", "a sample of 1 or more, and shares from 0 to below 1")
    return found


class Gate:
    """All gates of one canary; each look asks them anew."""

    def __init__(self, aws: Aws, params: Params, run: Outside) -> None:
        self._aws, self._params, self._limits, self._run = aws, params, limits(params), run
        self._clock = Clock.read(aws)
        self._since = moment(params["since"]) if params["moment"] == "bake" else None
        self._reader = canary_metrics.Reader(aws, [(pair.stable, pair.canary) for pair in pairs(params)])

    def look(self) -> list[Finding]:
        """What the gates say. Raises `LockLost` when the canary is not this run's any more."""
        with contextlib.suppress(AwsError):  # what AWS does not tell now, the next look or the next write finds out
            self._run.check()
        return list(self._findings())

    def _findings(self) -> Iterator[Finding]:
        names = self._params["alarms"]
        yield from canary_gates.alarms(names, known(lambda: alarm_states(self._aws, names)))
        groups = self._reader.stable if self._since is None else self._reader.canary
        for name in groups:
            yield canary_gates.targets(name, known(partial(self._reader.target_states, name)))
        if self._since is not None:
            span = self._since, self._clock.now()
            canary, stable = (known(partial(self._reader.counts, side, *span)) for side in self._reader.sides)
            yield canary_gates.error_ratio(canary, stable, self._limits)
        yield from canary_gates.probes(self._params["probes"])

    def wait(self) -> dict[str, Any]:
        """Look until the verdict is one to act on."""
        now = self._clock.now()
        baked = (self._since or now) + timedelta(seconds=self._params["bake"])
        # A canary that was cut off long ago has no patience left of then.
        given_up = max(baked, now) + timedelta(seconds=self._params["patience"])
        looks = 0
        while True:
            findings, looks = self.look(), looks + 1
            found, now = verdict(findings), self._clock.now()
            step = after(found, is_baked=now >= baked, has_patience=now < given_up)
            if step != HOLD:
                return report(found, step, findings, looks)
            until = baked if now < baked else given_up
            time.sleep(max(0.0, min(self._params["poll"], (until - now).total_seconds())))


def report(found: str, step: str, findings: list[Finding], looks: int) -> dict[str, Any]:
    why = [f"{each.gate}: {each.why}" for each in findings if each.verdict != PASS]
    return {"verdict": found, "next": step, "why": why, "gates": as_data(findings), "looks": looks}


def main() -> None:
    module = make_module(SPEC, required_if=[("moment", "bake", ["since"])])
    with failing(module):
        aws = Aws(module.params)
        with in_run(aws, module.params, module._name, dry=module.check_mode) as run:
            result = Gate(aws, module.params, run).wait()
        module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
