#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_lock
short_description: Take, renew, release or break the lock of a platform
version_added: 0.2.0
description:
  - The lock of an environment is the SSM parameter C(/hokusai/ENVIRONMENT/lock), which says who holds it since when,
    and the parameter C(/hokusai/ENVIRONMENT/lock-counter), whose version is the newest token. One run holds it at a
    time.
  - A run whose token is not the newest, or whose lock expired, writes nothing more.
  - M(hokusai.platform.platform_snapshot) takes the lock for a run. Use this module to release that, and to keep runs
    out while something is done by hand.
author:
  - Hokusai Platform contributors (@hokusai)
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.locks
options:
  state:
    description:
      - V(present) takes the lock, or renews it when the run holds it already. That of O(run) is renewed once a third of
        its time is over, as it was taken; that of O(run_id) at once, for O(ttl) seconds from then on and for O(owner).
        It fails while another run holds it.
      - V(absent) releases it, if it is the run's. One of another run is left alone.
    type: str
    choices: [present, absent]
    default: present
  run:
    description:
      - Path of the context of a run, as M(hokusai.platform.platform_snapshot) returns it. The lock is that of this run.
      - Required if O(environment) is omitted.
    type: path
  environment:
    description: Name of the environment.
    type: str
  run_id:
    description:
      - Who the lock is for, by any name without spaces. Omitted with O(state=present), one is made up and returned.
      - Required with O(environment) for O(state=absent).
    type: str
  owner:
    description: Who takes it, for those who find it taken. Omitted, the name of the user that the module runs as.
    type: str
  ttl:
    description:
      - Seconds after which others may take it over, unless it was renewed. Counted from the time that it is taken or
        renewed.
      - Not for the lock of O(run), which has that of the run.
    type: int
    default: 900
  break_lock:
    description:
      - The run id of a lock that is taken over although it has not expired. Of any other run it is not.
      - The call that takes it writes into the counter who broke whose lock, M(hokusai.platform.platform_history) tells.
    type: str
"""

EXAMPLES = r"""
- name: Keep runs out while the database is moved
  hokusai.platform.platform_lock:
    environment: development
    run_id: database-move
    ttl: 14400

- name: Let them in again
  hokusai.platform.platform_lock:
    environment: development
    run_id: database-move
    state: absent
"""

RETURN = r"""
run_id:
  description: Who the lock is for.
  returned: success
  type: str
  sample: 20261121T150000Z-1a2b3c
holder:
  description: Who holds the lock now; null when nobody does. Also returned by a failure because another run holds it.
  returned: always
  type: dict
  sample:
    run_id: 20261121T150000Z-1a2b3c
    owner: ada
    host: desk
    acquired: "2026-11-21T15:00:00Z"
    until: "2026-11-21T15:15:00Z"
    expired: false
    ttl: 900
    counter: 17
took_over:
  description: The lock that was broken, or that had expired, as RV(holder). Null when there was none.
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
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: >-
    wait for it; if it is dead, wait until then, or break its lock: -e hokusai_break_lock=20261121T150000Z-1a2b3c
error:
  description: Kind of the failure, such as V(LockHeld), V(LockLost), V(BadInput) or V(AwsError).
  returned: failure
  type: str
  sample: LockHeld
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.lock import Claim, Lock, View, claimed_by
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params, failing, make_module
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import new_run_id
from ansible_collections.hokusai.platform.plugins.module_utils.transaction import RENEWALS, keep, lock_of, opened

SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "run": {"type": "path"},
    "environment": {"type": "str"},
    "run_id": {"type": "str"},
    "owner": {"type": "str"},
    "ttl": {"type": "int", "default": 900},
    "break_lock": {"type": "str"},
}


def wanted(aws: Aws, params: Params) -> tuple[Lock, Claim]:
    """The lock and the claim to it: of the run's context, or of the options."""
    if params["run"]:
        return lock_of(aws, opened(aws, Path(params["run"])))
    if params["state"] == "absent" and not params["run_id"]:
        raise BadInput("Whose lock is to be released is not said", "give run or run_id")
    lock = Lock(aws, params["environment"])
    run_id = params["run_id"] or new_run_id(lock.look().now)
    return lock, claimed_by(run_id, params["owner"], params["ttl"])


def take(lock: Lock, claim: Claim, seen: View, break_lock: str) -> dict[str, Any]:
    if claim.counter:
        keep(lock, claim, RENEWALS - 1)
        return {"changed": False}
    if seen.holder and seen.holder.run_id == claim.run_id and not seen.expired:
        mine = renewed(claim, seen.holder)
        lock.renew(mine)
        return {"changed": mine != seen.holder}
    _mine, before = lock.acquire(claim, break_lock)
    return {"changed": True, "took_over": before.as_data()}


def renewed(claim: Claim, held: Claim) -> Claim:
    """The lock that is held, as it is asked for: for how long, and by whom."""
    return replace(claim, acquired=held.acquired, counter=held.counter)


def release(lock: Lock, claim: Claim, seen: View) -> dict[str, Any]:
    if claim.counter:
        return {"changed": lock.release(claim)}
    if seen.holder is None or seen.holder.run_id != claim.run_id:
        return {"changed": False}
    return {"changed": lock.release(seen.holder)}


def predicted(lock: Lock, claim: Claim, seen: View, params: Params) -> dict[str, Any]:
    ours = seen.holder is not None and seen.holder.run_id == claim.run_id
    if params["state"] == "absent":
        return {"changed": ours}
    if seen.holder and not (ours or seen.expired or seen.holder.run_id == params["break_lock"]):
        raise lock.held(seen)
    if ours and seen.holder and not claim.counter:
        return {"changed": seen.expired or renewed(claim, seen.holder) != seen.holder}
    return {"changed": not ours}


def main() -> None:
    module = make_module(SPEC, required_one_of=[("run", "environment")], mutually_exclusive=[("run", "environment")])
    params = module.params
    with failing(module):
        lock, claim = wanted(Aws(params), params)
        seen = lock.look()
        if module.check_mode:
            result = predicted(lock, claim, seen, params)
        elif params["state"] == "present":
            result = take(lock, claim, seen, params["break_lock"] or "")
        else:
            result = release(lock, claim, seen)
        holder = lock.look().as_data()
        module.exit_json(**{"took_over": None, "run_id": claim.run_id, "holder": holder, **result})


if __name__ == "__main__":
    main()
