#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_snapshot
short_description: Open and close the record of a run
version_added: 0.2.0
description:
  - With O(moment=before) opens a run. It proves that records can be written and that there is a key for them, takes
    the lock of the environment, records what is there, and reads that back. What it returns as RV(context) makes
    every later task a part of the run, through their option C(run).
  - With O(moment=after) closes it. It records what is there then, and the result with the list of what was written. The
    lock is released by M(hokusai.platform.platform_lock).
  - A record holds no secret and no value of an environment variable. ECS services are known by the ARN of their
    revision.
  - In check mode it does nothing.
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
    description: Whether a run begins or ends.
    type: str
    required: true
    choices: [before, after]
  owner:
    description: Who runs it, for the lock and the record. Omitted, the name of the user that the module runs as.
    type: str
  ttl:
    description: Seconds after which others may take over the lock of a run that does not renew it any more.
    type: int
    default: 900
  break_lock:
    description: The run id of a lock that is taken over although it has not expired. That is recorded.
    type: str
  rollback_of:
    description: The id of the run that this one takes back, when it is a rollback.
    type: str
  run:
    description: Path of the context of the run to close. Required for V(after).
    type: path
  verdict:
    description: How the run ended. Required for V(after).
    type: str
    choices: [succeeded, failed]
  reason:
    description: Why it failed, for the list of runs. Give no text of an error here, which may repeat what was sent.
    type: str
  score_before:
    description: The health score before the run, in percent.
    type: float
  score_after:
    description: The health score after the run, in percent.
    type: float
"""

EXAMPLES = r"""
- name: Open a run
  hokusai.platform.platform_snapshot:
    moment: before
    environment: development
    runs:
      directory: .hokusai/runs
    scope:
      vpc: hokusai-development
      load_balancers: [hokusai-registry-development]
      cluster: hokusai-development
      services: [hokusai-api-development]
  register: opened

- name: Set a listener's rules as a part of the run
  hokusai.platform.alb_rules:
    run: "{{ opened.context }}"
    load_balancer: hokusai-registry-development
    port: 443
    rules: []

- name: Close the run
  hokusai.platform.platform_snapshot:
    moment: after
    run: "{{ opened.context }}"
    verdict: succeeded
"""

RETURN = r"""
run_id:
  description: The id of the run. Empty in check mode.
  returned: success
  type: str
  sample: 20261121T150000Z-1a2b3c
context:
  description: Path of the file that makes a task a part of the run. Empty in check mode.
  returned: success
  type: str
  sample: /srv/hokusai/runs/development/20261121T150000Z-1a2b3c/run.json
resources:
  description: How many resources were recorded.
  returned: success
  type: int
  sample: 42
took_over:
  description: The lock that was broken, or that had expired. Null when there was none.
  returned: success
  type: dict
  sample:
    run_id: 20261121T120000Z-abcdef
    owner: bob
    host: laptop
    acquired: "2026-11-21T12:00:00Z"
    until: "2026-11-21T12:15:00Z"
    expired: true
    ttl: 900
    counter: 16
writes:
  description: What the run wrote, in order, and what became of it.
  returned: success, when moment is after
  type: list
  elements: dict
  sample:
    - module: alb_rules
      service: elbv2
      verb: modify_rule
      why: "rule mlflow-through-api: forward to hokusai-reg-api-development"
      result: done
holder:
  description: Who holds the lock.
  returned: failure because another run holds it
  type: dict
  sample:
    run_id: 20261121T145000Z-abcdef
    owner: bob
    host: laptop
    acquired: "2026-11-21T14:50:00Z"
    until: "2026-11-21T15:05:00Z"
    expired: false
    ttl: 900
    counter: 16
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: make the directory writable, free some space, or name another one; nothing was written
error:
  description: Kind of the failure, such as V(LockHeld), V(BadRecord), V(Unrecorded), V(BadInput) or V(AwsError).
  returned: failure
  type: str
  sample: LockHeld
"""

from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import snapshot
from ansible_collections.hokusai.platform.plugins.module_utils.archive import ARCHIVE_OPTIONS
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.lock import claimed_by
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params, failing, make_module
from ansible_collections.hokusai.platform.plugins.module_utils.run_session import close_run, open_run
from ansible_collections.hokusai.platform.plugins.module_utils.transaction import lock_of, opened

SPEC: dict[str, Any] = {
    **ARCHIVE_OPTIONS,
    "moment": {"type": "str", "required": True, "choices": ["before", "after"]},
    "scope": {"type": "dict", "options": snapshot.SCOPE_OPTIONS},
    "owner": {"type": "str"},
    "ttl": {"type": "int", "default": 900},
    "break_lock": {"type": "str"},
    "rollback_of": {"type": "str"},
    "run": {"type": "path"},
    "verdict": {"type": "str", "choices": ["succeeded", "failed"]},
    "reason": {"type": "str"},
    "score_before": {"type": "float"},
    "score_after": {"type": "float"},
}
REQUIRED = [("moment", "before", ["environment", "runs", "scope"]), ("moment", "after", ["run", "verdict"])]


def before(aws: Aws, params: Params) -> dict[str, Any]:
    scope = snapshot.Scope.from_params(params["scope"])
    session = open_run(
        aws,
        params,
        lambda run_id: claimed_by(run_id, params["owner"], params["ttl"]),
        lambda: snapshot.read(aws, scope),
        {"rollback_of": params["rollback_of"] or ""},
    )
    return {
        "changed": True,
        "run_id": session.run_id,
        "context": str(session.context_file),
        "resources": len(session.before["resources"]),
        "took_over": session.took_over,
    }


def after(aws: Aws, params: Params) -> dict[str, Any]:
    record = opened(aws, Path(params["run"]))
    scope = snapshot.Scope.from_params(record.read("before")["scope"])
    lock, claim = lock_of(aws, record)
    told = {name: params[name] for name in ("verdict", "reason", "score_before", "score_after")}
    result, world, problem = close_run(record, lambda: snapshot.read(aws, scope), told, partial(lock.check, claim))
    return {
        "changed": True,
        "run_id": record.identity.run_id,
        "context": str(params["run"]),
        "resources": len((world or {"resources": ()})["resources"]),
        "took_over": None,
        "writes": result["writes"],
        **({"warnings": [problem]} if problem else {}),
    }


def main() -> None:
    module = make_module(SPEC, required_if=REQUIRED)
    params = module.params
    nothing = {"changed": False, "run_id": "", "context": "", "resources": 0, "took_over": None}
    with failing(module):
        if module.check_mode:
            module.exit_json(**nothing)
        aws = Aws(params)
        module.exit_json(**{"before": before, "after": after}[params["moment"]](aws, params))


if __name__ == "__main__":
    main()
