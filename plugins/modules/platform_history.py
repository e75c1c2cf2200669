#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_history
short_description: List the runs of a platform
version_added: 0.2.0
description:
  - Says of each run who made it, when, what it changed, how it ended, and the score before and after; and who holds the
    lock, and who took it from its holder last.
  - Each record is verified as a whole. One that is damaged, or of another account, region or environment, is listed as
    refused with the reason.
author:
  - Hokusai Platform contributors (@hokusai)
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.reads
  - hokusai.platform.archive
options:
  environment:
    required: true
  runs:
    required: true
  limit:
    description: How many runs to list at most, from the newest on.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: Look what was done lately
  hokusai.platform.platform_history:
    environment: development
    runs:
      directory: .hokusai/runs
  register: history
"""

RETURN = r"""
runs:
  description: The runs, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    run_id:
      description: The id of the run.
      type: str
    verdict:
      description:
        - V(succeeded) or V(failed) as the run was closed, V(running) while it holds the lock, V(interrupted) when it
          was never closed, V(opened) when it was cut off before it could write anything, or V(refused) when its record
          does not verify.
      type: str
    reason:
      description: Why it failed or is refused.
      type: str
    owner:
      description: Who ran it.
      type: str
    host:
      description: On which machine.
      type: str
    caller:
      description: As whom AWS knew them.
      type: str
    began:
      description: When, UTC.
      type: str
    finished:
      description: Until when, UTC; empty of a run that was not closed.
      type: str
    score_before:
      description: Health score before, in percent; null if it was not taken.
      type: float
    score_after:
      description: Health score after, in percent; null if it was not taken.
      type: float
    rollback_of:
      description: The run that it took back; empty if it is no rollback.
      type: str
    took_over:
      description: The run whose lock it broke, or found expired; empty if there was none.
      type: str
    writes:
      description:
        - What it wrote, in order. The result is V(done), V(landed), V(failed), or V(unknown) where it was cut off.
      type: list
      elements: dict
  sample:
    - run_id: 20261121T150000Z-1a2b3c
      verdict: succeeded
      reason: ""
      owner: ada
      host: desk
      caller: arn:aws:sts::123456789012:assumed-role/hokusai-repair/ada
      began: "2026-11-21T15:00:00Z"
      finished: "2026-11-21T15:02:10Z"
      score_before: 45.0
      score_after: 100.0
      rollback_of: ""
      took_over: ""
      writes:
        - module: alb_rules
          service: elbv2
          verb: modify_rule
          why: "rule mlflow-through-api: forward to hokusai-reg-api-development"
          result: done
lock:
  description: The lock as it is, and the last time that it was taken from its holder.
  returned: success
  type: dict
  contains:
    holder:
      description: Who holds it; null when nobody does.
      type: dict
    takeover:
      description:
        - Who took it from whom and when, be it a run or by hand, and whether it was broken, which is before it had
          expired. Null when nobody ever did.
        - Earlier ones are in the versions that AWS keeps of the parameter C(/hokusai/ENVIRONMENT/lock-counter).
      type: dict
    text:
      description: Both as lines to read.
      type: list
      elements: str
  sample:
    holder: null
    takeover:
      at: "2026-11-21T12:00:00Z"
      broken: true
      run_id: database-move
      owner: ada
      host: desk
      of_run_id: 20261121T115500Z-abcdef
      of_owner: bob
      of_host: laptop
    text:
      - "2026-11-21T12:00:00Z database-move of ada on desk broke the lock of 20261121T115500Z-abcdef of bob on laptop"
text:
  description: RV(runs) as lines to read.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      20261121T150000Z-1a2b3c  succeeded  ada on desk, 2026-11-21T15:00:00Z, score 45.0 % -> 100.0 %
    - "    elbv2 modify_rule: rule mlflow-through-api: forward to hokusai-reg-api-development"
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: grant the calling identity this action on this resource (docs/iam.md has the policies), then run again
error:
  description: Kind of the failure, such as V(BadInput) or V(AwsError).
  returned: failure
  type: str
  sample: AwsError
"""

from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.archive import ARCHIVE_OPTIONS, Archive
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.lock import Lock
from ansible_collections.hokusai.platform.plugins.module_utils.module import failing, make_module
from ansible_collections.hokusai.platform.plugins.module_utils.plan import as_data
from ansible_collections.hokusai.platform.plugins.module_utils.run_history import history, lock_told, told

SPEC: dict[str, Any] = {
    **ARCHIVE_OPTIONS,
    "environment": {"type": "str", "required": True},
    "runs": {**ARCHIVE_OPTIONS["runs"], "required": True},
    "limit": {"type": "int", "default": 20},
}


def main() -> None:
    module = make_module(SPEC)
    with failing(module):
        aws = Aws(module.params)
        archive = Archive(aws, module.params)
        seen = Lock(aws, archive.environment).look()
        running = seen.holder.run_id if seen.holder and not seen.expired else ""
        runs = history(archive, running, module.params["limit"])
        text = [line for run in runs for line in told(run)]
        lock = {"holder": seen.as_data(), "takeover": as_data(seen.takeover), "text": list(lock_told(seen))}
        module.exit_json(changed=False, runs=runs, text=text, lock=lock)


if __name__ == "__main__":
    main()
