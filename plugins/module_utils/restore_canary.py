# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Canaries and rollbacks: one that is there is for `canary.yml` to take back, one that is over does not come again.

A canary's service has to be drained before its target groups go, and none can be made again as it was: requests that
the rules of before give to it would find no target.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, tags
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_field import flat
from ansible_collections.hokusai.platform.plugins.module_utils.three_way import (
    CHANGE,
    CREATE,
    REMOVE,
    Judgement,
    Kept,
    Key,
    Undo,
)

MARK = f"Tags.{tags.CANARY}"
OVER = "before the run it was part of a canary that is over, which a rollback does not bring again"


def refuse_left(judgement: Judgement, run_id: str) -> None:
    """Raise `BadInput` while there is a canary that the run started or went on with."""
    left = [undo.entry.name for undo in judgement.undos if _is_made(undo) or _marks(undo, judgement)[0]]
    if left:
        told = f"The run {run_id} left a canary ({', '.join(left)}). Nothing was taken back"
        command, lock = "ansible-playbook hokusai.platform.canary -e canary_action", f"-e hokusai_break_lock={run_id}"
        if not _is_promoted(judgement):
            raise BadInput(told, f"take it back first: {command}=abort {lock}")
        # An abort would be refused: the stable service runs what was tried.
        then = f"ansible-playbook hokusai.platform.rollback -e run_id={run_id}"
        raise BadInput(told, f"it is promoted already, so finish it first: {command}=finish {lock}, then: {then}")


def _is_promoted(judgement: Judgement) -> bool:
    """Whether a service runs the revision that the run gave it."""
    services = [each for each in judgement.undos if (each.act, each.entry.kind) == (CHANGE, "ecs_service")]
    return any("taskDefinition" in undo.due(judgement.now[undo.key]) for undo in services)


def without_ended(judgement: Judgement) -> Judgement:
    """Without what would bring a canary again that the run found and ended; the rest goes back."""
    rules = [undo for undo in judgement.undos if not _marks(undo, judgement)[0] and _marks(undo, judgement)[1]]
    ended = {undo.key for undo in rules}
    groups = {arn for undo in rules for arn in elb_action.group_arns(undo.entry.fields.get("Actions", ()))}
    ended |= {undo.key for undo in judgement.undos if undo.act == CREATE and undo.entry.id in groups}
    dropped = [undo for undo in judgement.undos if undo.key in ended]
    return replace(
        judgement,
        undos=tuple(undo for undo in judgement.undos if undo.key not in ended),
        kept=(*judgement.kept, *(Kept(each.entry.kind, each.entry.id, each.entry.name, OVER) for each in dropped)),
        after=tuple(_staying(judgement, ended)),
    )


def _is_made(undo: Undo) -> bool:
    """Whether it would remove an ECS service: of this collection only a canary makes one."""
    return undo.act == REMOVE and undo.entry.kind == "ecs_service"


def _marks(undo: Undo, judgement: Judgement) -> tuple[str, str]:
    """The mark of a canary on a rule now and after going back, where going back would change it."""
    if undo.entry.kind != "load_balancer_rule" or undo.act == REMOVE:
        return "", ""
    if undo.act == CREATE:
        return "", str(flat(undo.entry.fields).get(MARK) or "")
    live = judgement.now[undo.key]
    due = undo.due(live)
    return (str(flat(live.fields).get(MARK) or ""), str(due[MARK] or "")) if MARK in due else ("", "")


def _staying(judgement: Judgement, ended: set[Key]) -> Iterator[Any]:
    """What there is afterwards, where the parts of the canary stay as they are now."""
    for entry in judgement.after:
        if entry.key not in ended:
            yield entry
        elif entry.key in judgement.now:
            yield judgement.now[entry.key]
