#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module platform_restore: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_restore
short_description: Take back what a run wrote, field by field
version_added: 0.2.0
description:
  - Compares, for each field of each resource, what was there before a run, what the run wrote, and what is there now.
    What still holds what the run wrote goes back; what holds anything else is somebody else's, is kept, and is listed.
  - A resource that the run did not create is never removed. One that it created goes when nothing uses it and nobody
    has changed it since. What the run removed is made again, with another ARN or id.
  - It writes in the reverse order of the run's own writes, by the same plans as the modules that made them, so listener
    rules keep their ARNs, and security group rules keep their ids.
  - The rules of a listener and its default action go back in one plan, of which it is proved that no request goes
    astray on the way, as M(hokusai.platform.alb_rules) does. Where one would, as rules that exchange what they do keep
    their ARNs and are never replaced, nothing at all is taken back, unless O(allow_misrouting) is true.
    ECS services go back to the revision that they ran, and the module waits for the deployment.
  - Every write is checked against the lock and journaled when O(run) is given, as a write of any other module is.
  - C(docs/rollback.md) in the collection says what comes back and what does not.
author:
  - Hokusai Platform contributors (@hokusai-platform)
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
  - hokusai.platform.ecs.wait
  - hokusai.platform.archive
options:
  environment:
    required: true
  runs:
    required: true
  run_id:
    description:
      - The run to take back.
      - Omitted, the newest that wrote something, is no rollback itself, and has not been taken back yet. That may be
        one of which nothing is left, see RV(older). In the place of a run that was put in force again, by taking back
        the rollback of it, comes the rollback that did so, for what the run had created was made anew then.
    type: str
  mlflow_target_groups:
    description:
      - Names of the target groups whose targets are MLflow. The other groups of an ECS service that registers in one of
        them count too.
      - A state in which a request to C(/api/mlflow) or below it is forwarded to one of them lets everybody in, for the
        platform's API, which authenticates, is passed by.
    type: list
    elements: str
    required: true
  mlflow_services:
    description: Names of the ECS services that are MLflow. The groups in which AWS says that they register count too.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  allow_bypass:
    description:
      - Whether to go back to such a state. Without it the module refuses, before it writes anything.
    type: bool
    default: false
  newest_only:
    description:
      - Whether to refuse when another run took the lock since the run that is to be taken back did. What that one found
        right, or built on, may be what this run wrote.
      - For what takes a run back by itself. A person looks first, and may take back what they see fit.
    type: bool
    default: false
    version_added: 0.2.0
  allow_misrouting:
    description:
      - Whether to go back also where it is known that a request gets, for a moment, neither the answer it gets now nor
        the one it got before. Without it the module refuses, before it writes anything, and names the request.
      - Where it is not known whether one does, there is a warning, see RV(unproved).
    type: bool
    default: false
    version_added: 0.2.0
seealso:
  - module: hokusai.platform.alb_rules
  - module: hokusai.platform.ecs_service
"""

EXAMPLES = r"""
- name: Show what taking the newest run back would do
  hokusai.platform.platform_restore:
    environment: development
    runs:
      directory: .hokusai/runs
    mlflow_target_groups: [hokusai-reg-mlflow-development]
  check_mode: true
  diff: true

- name: Take a run back, though MLflow was open to everybody before it
  hokusai.platform.platform_restore:
    environment: development
    runs:
      directory: .hokusai/runs
    run_id: 20261121T150000Z-1a2b3c
    mlflow_target_groups: [hokusai-reg-mlflow-development]
    allow_bypass: true
    run: "{{ hokusai_run.context }}"
"""

RETURN = r"""
run_id:
  description: The run that was taken back, or in check mode would be.
  returned: success
  type: str
  sample: 20261121T150000Z-1a2b3c
steps:
  description: The writes, in their order. In check mode those that would be made.
  returned: success
  type: list
  elements: dict
  sample:
    - verb: modify_rule
      why: >-
        rule mlflow-through-api of hokusai-registry-development:443: forward to hokusai-reg-api-development becomes
        forward to hokusai-reg-mlflow-development
restored:
  description: What goes back, field by field, and the resources that are removed or made again.
  returned: success
  type: list
  elements: dict
  sample:
    - act: changed
      kind: target_group
      id: arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/hokusai-reg-api-development/73e2d6bc24d8a067
      name: hokusai-reg-api-development
      field: HealthCheckPath
      from: /health
      to: /health/alb
    - {act: removed, kind: security_group_rule, id: sgr-0a1b2c3d4e5f67890, name: hokusai-mlflow-development}
kept:
  description:
    - What is not taken back, with the reason, and where it is about a field with its value before the run, the one that
      the run wrote (null if it wrote none), and the one it has now.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: target_group
      id: arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/hokusai-reg-api-development/73e2d6bc24d8a067
      name: hokusai-reg-api-development
      field: HealthCheckIntervalSeconds
      before: 30
      written: 10
      now: 15
      reason: changed since the run wrote it
messages:
  description: RV(kept) and RV(other) in words, one line each.
  returned: success
  type: list
  elements: str
  sample:
    - "target group hokusai-reg-api-development HealthCheckIntervalSeconds: changed since the run wrote it
      (before 30, written 10, now 15)"
other:
  description: Writes of the run that this module does not know how to take back, such as those of keys and secrets.
  returned: success
  type: list
  elements: dict
  sample:
    - {verb: "ssm:put_parameter", why: "store the key in /hokusai/development/api/key"}
passed_over:
  description: Runs newer than that one, if none was named, which were cut off while they were opened and wrote nothing.
  returned: success
  type: list
  elements: str
  sample: [20261121T160000Z-4d5e6f]
older:
  description:
    - Where nothing of the run was left to be taken back, the newest run before it that wrote something and was not
      taken back yet. Empty without one, and with O(newest_only).
  returned: success
  type: str
  sample: 20261121T140000Z-7a8b9c
bypass:
  description: The rules and default actions by which MLflow is open to everybody in the state that is gone back to.
  returned: success
  type: list
  elements: str
  sample:
    - "rule hokusai-registry-development:443 priority 105: forward to hokusai-reg-mlflow-development"
astray:
  description:
    - For each listener on which a request goes astray while its rules go back that request, with the answers it gets.
    - Without O(allow_misrouting) that is refused, and in check mode only told.
  returned: success
  type: list
  elements: str
  sample:
    - "the rules of hokusai-main-development:443: GET https://api.hokus.ai/a gets forward to one now and forward to two
      in the end, but meanwhile fixed response 404 (modify_rule: rule a of hokusai-main-development:443)"
unproved:
  description: What goes back without its being known whether a request goes astray, with the reason.
  returned: success
  type: list
  elements: str
  sample:
    - "the rules of hokusai-main-development:443: not proved that no request goes astray: whether requests go astray
      depends on how these overlap, which is not looked into: path ^/a"
steps_done:
  description: The writes that were made before the failure. They stay made; running again goes on from there.
  returned: failure after the first write was begun
  type: list
  elements: dict
  sample:
    - verb: update_service
      why: "service hokusai-api-development: revision hokusai-api-development:1 as before the run"
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample:
    verb: modify_target_group
    why: "health check of target group hokusai-reg-api-development: path /health becomes /health/alb"
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: "to go back to that all the same set allow_bypass (rollback.yml: -e hokusai_allow_bypass=yes)"
error:
  description: Kind of the failure, such as V(BadRecord), V(LockLost), V(BadInput) or V(AwsError).
  returned: failure
  type: str
  sample: BadRecord
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import restore, restore_canary, three_way
from ansible_collections.hokusai.platform.plugins.module_utils.approved_plan import PLAN_OPTION, refuse_planned
from ansible_collections.hokusai.platform.plugins.module_utils.archive import ARCHIVE_OPTIONS, Archive
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.bypass import bypasses
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_options import WAIT
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, BadRecord, NotFound, Unsafe
from ansible_collections.hokusai.platform.plugins.module_utils.lock import Lock, View
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params, failing, make_module
from ansible_collections.hokusai.platform.plugins.module_utils.restore import Restored
from ansible_collections.hokusai.platform.plugins.module_utils.restore_unit import ASTRAY, ASTRAY_REMEDY
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import Contents
from ansible_collections.hokusai.platform.plugins.module_utils.successors import refuse_followed, successors, token
from ansible_collections.hokusai.platform.plugins.module_utils.three_way import Judgement
from ansible_collections.hokusai.platform.plugins.module_utils.transaction import RUN_OPTION, in_run, opened

SPEC: dict[str, Any] = {
    **RUN_OPTION,
    **PLAN_OPTION,
    **ARCHIVE_OPTIONS,
    "environment": {"type": "str", "required": True},
    "runs": {**ARCHIVE_OPTIONS["runs"], "required": True},
    "run_id": {"type": "str"},
    "mlflow_target_groups": {"type": "list", "elements": "str", "required": True},
    "mlflow_services": {"type": "list", "elements": "str", "default": []},
    "allow_bypass": {"type": "bool", "default": False},
    "newest_only": {"type": "bool", "default": False},
    "allow_misrouting": {"type": "bool", "default": False},
    **WAIT,
}


def chosen(archive: Archive, params: Params, passed_over: list[str]) -> Contents:
    """The verified record of the run to take back. Raises `BadRecord`, or `NotFound` when there is nothing left."""
    run_id = params["run_id"]
    if not run_id:
        return newest(archive, Path(params["run"]).parent.name if params["run"] else "", passed_over)
    contents = verified(archive, run_id) if run_id in archive.ids() else archive.open(run_id).verify()
    if contents is None:
        told = f"The run {run_id} was cut off while it was opened, and wrote nothing"
        raise NotFound(told, "there is nothing of it to take back; playbooks/history.yml lists the runs")
    return contents


def newest(archive: Archive, own: str, passed_over: list[str]) -> Contents:
    """The newest run that is left to be taken back; `own` is the rollback that is going on.

    A record that does not verify refuses all that is older than it, for its run may have written last.
    """
    refused: BadRecord | None = None
    for found in untaken(archive, own, passed_over):
        if not isinstance(found, BadRecord):
            if refused:
                raise BadRecord(refused.message, remedy(refused, found.identity.run_id))
            return found
        refused = refused or found
    if refused:
        raise refused
    raise NotFound(
        f"No run of {archive.environment} is left: each wrote nothing, was taken back, or is a rollback itself",
        "name the run with run_id; playbooks/history.yml lists them",
    )


def remedy(refused: BadRecord, sound: str) -> str:
    return (
        f"{refused.remedy}. The newest run whose record is sound, and that is left to be taken back, is {sound}: "
        f"rollback.yml -e run_id={sound} takes that back, and keeps what a later run wrote over it"
    )


def untaken(archive: Archive, own: str, passed_over: list[str]) -> Iterator[Contents | BadRecord]:
    """The runs that wrote something and were not taken back, newest first, and why a record was refused.

    A rollback is none of them, but where it put a run in force again, by taking back the rollback of it, wholly or in
    part: what that run had made is made anew then, and by the rollback. `passed_over` gets the ids of those that were
    cut off before they could write.
    """
    taken: set[str] = set()
    for run_id in archive.ids():
        if run_id == own:
            continue
        try:
            contents = verified(archive, run_id)
        except BadRecord as error:
            if run_id not in taken:
                yield error
            continue
        if contents is None:
            passed_over.append(run_id)
        elif run_id not in taken:
            taken_back = list(ancestry(archive, contents.context))
            if contents.result and contents.result["verdict"] == "succeeded":
                taken.update(taken_back)
            if len(taken_back) % 2 == 0 and wrote(contents):
                yield contents


def wrote(contents: Contents) -> bool:
    return any(entry["kind"] == "intent" for entry in contents.entries)


def ancestry(archive: Archive, context: Mapping[str, Any]) -> Iterator[str]:
    """The run that was taken back; where it was a rollback itself the one that that one took back, and so on."""
    while run_id := context.get("rollback_of"):
        yield run_id
        try:
            context = archive.open(run_id).context
        except BadRecord:
            return


def older(archive: Archive, run_id: str) -> str:
    """The newest sound run before this one that is left to be taken back; "" without one."""
    left = (each.identity.run_id for each in untaken(archive, run_id, []) if not isinstance(each, BadRecord))
    return next((each for each in left if each < run_id), "")


def verified(archive: Archive, run_id: str) -> Contents | None:
    """The record of a run; None of one that was cut off while it was opened."""
    if archive.is_empty(run_id):
        return None
    record = archive.open(run_id)
    return None if record.was_only_opened() else record.verify()


def refuse_running(contents: Contents, seen: View) -> None:
    """A run that holds the lock may write at any moment."""
    run_id = contents.identity.run_id
    if seen.holder and not seen.expired and seen.holder.run_id == run_id:
        raise BadInput(
            f"The run {run_id} is still going on: {seen.holder.owner} on {seen.holder.host} holds the lock for it",
            "wait until it has ended; if it is dead, its lock runs out by itself",
        )


def refuse_bypass(opened: list[str], params: Params) -> None:
    if opened and not params["allow_bypass"]:
        raise BadInput(
            "Before this run, requests to /api/mlflow reached MLflow past the API, with no authentication: "
            f"{'; '.join(opened)}. Nothing was taken back",
            "to go back to that all the same set allow_bypass (rollback.yml: -e hokusai_allow_bypass=yes)",
        )


def refuse_misrouting(astray: list[str], params: Params) -> None:
    if astray and not params["allow_misrouting"]:
        raise Unsafe(f"{ASTRAY}: {'; '.join(astray)}. Nothing was taken back", ASTRAY_REMEDY)


def warnings(done: Restored, opened: list[str], params: Params, *, dry: bool) -> Iterator[str]:
    for option, told in (("allow_bypass", opened), ("allow_misrouting", done.astray)):
        if told and dry and not params[option]:
            yield f"This would be refused without {option}: {'; '.join(told)}"
        elif told and option == "allow_misrouting":
            yield f"{ASTRAY}: {'; '.join(told)}"
    yield from done.unproved


def result(contents: Contents, judgement: Judgement, done: Restored, before: Mapping[Any, Any]) -> dict[str, Any]:
    told = three_way.names(done.kept) + [f"{each['verb']} is not taken back: {each['why']}" for each in judgement.other]
    return {
        "changed": bool(done.steps),
        "run_id": contents.identity.run_id,
        "steps": [step.shown() for step in done.steps],
        "restored": restore.fields(judgement, before, done.kept),
        "kept": [each.as_data() for each in done.kept],
        "messages": told,
        "other": [dict(each) for each in judgement.other],
        "astray": done.astray,
        "unproved": done.unproved,
        "diff": done.diff,
    }


def judged(aws: Aws, params: Params, passed_over: list[str], *, dry: bool) -> tuple[Contents, Judgement]:
    """The record of the run, and what of it can be taken back."""
    archive = Archive(aws, params)
    contents = chosen(archive, params, passed_over)
    seen = Lock(aws, contents.identity.environment).look()
    if not dry:
        refuse_running(contents, seen)
    if params["newest_only"]:
        own = token(opened(aws, Path(params["run"]))) if params["run"] else 0
        refuse_followed(contents, seen.counter, own)
    others = successors(archive, contents, seen.counter)
    return contents, restore.judge(aws, contents.before, contents.entries, contents.after, others)


def main() -> None:
    module = make_module(SPEC)
    params, dry = module.params, module.check_mode
    with failing(module):
        refuse_planned(
            params, "A rollback", "let its own --check --diff say what it would do, and leave the option plan out"
        )
        aws = Aws(params)
        passed_over: list[str] = []
        contents, judgement = judged(aws, params, passed_over, dry=dry)
        restore_canary.refuse_left(judgement, contents.identity.run_id)
        judgement = restore_canary.without_ended(judgement)
        done = restore.apply(aws, judgement, contents.before, params, dry=True)
        groups, services = params["mlflow_target_groups"], params["mlflow_services"]
        opened_to_all = bypasses(judgement.after, groups, services) if done.steps else []
        if not dry:
            refuse_bypass(opened_to_all, params)
            refuse_misrouting(done.astray, params)
            with in_run(aws, params, module._name, dry=False) as transaction:
                done = restore.apply(aws, judgement, contents.before, params, dry=False, within=transaction)
        for warning in warnings(done, opened_to_all, params, dry=dry):
            module.warn(warning)
        told = result(contents, judgement, done, judgement.now)
        looks_on = not done.steps and not params["newest_only"]
        next_one = older(Archive(aws, params), contents.identity.run_id) if looks_on else ""
        module.exit_json(**told, passed_over=passed_over, bypass=opened_to_all, older=next_one)


if __name__ == "__main__":
    main()
