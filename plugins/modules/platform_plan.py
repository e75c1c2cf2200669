#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_plan
short_description: A plan of a whole play in a file, to be approved and then applied exactly
version_added: 0.2.0
description:
  - With O(moment=begin) begins a draft, with a digest of every resource in O(scope) as it is. The tasks after it that
    run in check mode with their option C(plan) set to it take down their steps.
  - With O(moment=save) finishes it, or fails when something has moved since V(begin), for a task may have planned for
    what is no more. The file lists, task by task, each call and its reason, and for the rules of a listener what is
    proved of them. Of options and of AWS's answers it holds what the reasons say, which is no secret, no environment
    variable's value and no header's value. It is sealed as the records of runs are.
  - With O(moment=approve) compares a finished plan with what is there now, and fails when that has moved. It changes
    nothing. A plan that names another key than O(key) is refused. Tasks after it with their option C(plan) set to it do
    what is in it, or fail before their first write.
  - O(moment=approve) also refuses another O(scope) than that of the plan. V(compare) does the same later.
  - With O(moment=complete), after all tasks have run in check mode with an approved plan as their option C(plan), fails
    when something of the plan was asked for by none of them since V(approve).
  - It writes nothing but that file, and notes of the tasks beside it, and does so in check mode too.
author:
  - Hokusai Platform contributors (@hokusai)
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.locks
  - hokusai.platform.archive
  - hokusai.platform.archive.scope
options:
  moment:
    description: Whether a plan is begun, finished, to be applied, seen to be asked for as a whole, or compared again.
    type: str
    required: true
    choices: [begin, save, approve, complete, compare]
  file:
    description:
      - Path of the plan. V(begin) replaces what is there. The file can be read by its owner alone.
      - One file for each host. V(begin) and V(save) refuse a draft of another O(environment).
    type: path
    required: true
seealso:
  - module: hokusai.platform.platform_snapshot
"""

EXAMPLES = r"""
- name: Begin a plan, in a play that runs in check mode
  hokusai.platform.platform_plan:
    moment: begin
    file: plan.json
    environment: development
    runs:
      directory: .hokusai/runs
    scope:
      load_balancers: [hokusai-registry-development]

- name: Refuse an approved plan if the world has moved since
  hokusai.platform.platform_plan:
    moment: approve
    file: plan.json
    environment: development
    runs:
      directory: .hokusai/runs
"""

RETURN = r"""
plan_id:
  description: The id of the plan.
  returned: success
  type: str
  sample: 20261121T150000Z-1a2b3c
file:
  description: Where it is.
  returned: success
  type: str
  sample: /home/ada/plan.json
steps:
  description: What is planned, in order.
  returned: success
  type: list
  elements: dict
  contains:
    module:
      description: The module that would do it.
      type: str
    resource:
      description: What it is about.
      type: str
    verb:
      description: The API call.
      type: str
    why:
      description: The resource, and the reason.
      type: str
  sample:
    - module: alb_rules
      resource: hokusai-registry-development:443
      verb: modify_rule
      why: >-
        rule api-mlflow of hokusai-registry-development:443: forward to hokusai-reg-mlflow-development becomes
        forward to hokusai-reg-api-development
proofs:
  description: What is proved of the steps of a task, for each task that has any and whose module proves them.
  returned: success
  type: list
  elements: dict
  contains:
    module:
      description: The module.
      type: str
    resource:
      description: What it is about.
      type: str
    safe:
      description: Whether it is proved that no request goes astray between the steps.
      type: bool
    classes:
      description: Kinds of requests that were looked at.
      type: int
    states:
      description: Moments between the steps that were looked at.
      type: int
    reason:
      description: Why it is not known; empty where it is proved.
      type: str
  sample:
    - module: alb_rules
      resource: hokusai-registry-development:443
      safe: true
      classes: 24
      states: 3
      reason: ""
text:
  description: RV(steps) and RV(proofs) as lines to read.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      alb_rules hokusai-registry-development:443 modify_rule: rule api-mlflow of hokusai-registry-development:443:
      forward to hokusai-reg-mlflow-development becomes forward to hokusai-reg-api-development
    - "alb_rules hokusai-registry-development:443: proved that no request goes astray on the way"
moved:
  description: What is not as it was when the plan was made.
  returned: failure because the world has moved
  type: list
  elements: str
  sample: [load_balancer_rule hokusai-registry-development:443 105 has changed]
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: make the plan anew with site.yml --check -e hokusai_plan_out=FILE, and have that one approved
error:
  description: Kind of the failure, such as V(PlanMoved), V(BadRecord), V(BadInput) or V(AwsError).
  returned: failure
  type: str
  sample: PlanMoved
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import snapshot
from ansible_collections.hokusai.platform.plugins.module_utils.approved_plan import PlanFile, refuse_shared
from ansible_collections.hokusai.platform.plugins.module_utils.archive import ARCHIVE_OPTIONS, Archive
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params, failing, make_module
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import new_run_id
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot import Scope

SPEC: dict[str, Any] = {
    **ARCHIVE_OPTIONS,
    "moment": {"type": "str", "required": True, "choices": ["begin", "save", "approve", "complete", "compare"]},
    "file": {"type": "path", "required": True},
    "scope": {"type": "dict", "options": snapshot.SCOPE_OPTIONS},
}
REQUIRED = [
    ("moment", "begin", ["environment", "runs", "scope"]),
    ("moment", "approve", ["environment", "runs"]),
    ("moment", "compare", ["environment", "runs"]),
]


def planned(aws: Aws, params: Params) -> PlanFile:
    path = Path(params["file"])
    if params["moment"] == "begin":
        world = snapshot.read(aws, Scope.from_params(params["scope"]))
        return PlanFile.begin(Archive(aws, params), path, new_run_id(datetime.now(UTC)), world)
    file = PlanFile.open(aws, path)
    if params["moment"] == "complete":
        file.complete()
        return file
    if params["moment"] == "save" and params["environment"]:
        refuse_shared(path, params["environment"])
    world = snapshot.read(aws, Scope.from_params(file.body["scope"]))
    if params["moment"] == "save":
        return file.finish(world)
    file.check(Archive(aws, params), world)
    if params["scope"]:
        file.refuse_other(Scope.from_params(params["scope"]).as_data())
    if params["moment"] == "approve":
        file.expect()
    return file


def main() -> None:
    module = make_module(SPEC, required_if=REQUIRED)
    with failing(module):
        file = planned(Aws(module.params), module.params)
        module.exit_json(
            changed=module.params["moment"] in ("begin", "save"),
            plan_id=file.seal.identity.run_id,
            file=str(file.path),
            steps=file.steps(),
            proofs=file.proofs(),
            text=list(file.told()),
        )


if __name__ == "__main__":
    main()
