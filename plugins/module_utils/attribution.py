# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which resource each write of a run was to, also where the answer that told its id was lost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ansible_collections.hokusai.platform.plugins.module_utils.journal_writes import Journal, Written
from ansible_collections.hokusai.platform.plugins.module_utils.resource_identity import is_made_as
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry
from ansible_collections.hokusai.platform.plugins.module_utils.successors import Successors

Key = tuple[str, str]
Entries = Mapping[Key, Entry]
Unsure = list[tuple[Entry, str]]
"""Resources of which nobody can say whether the run created them, with why."""


def attributed(
    journal: Journal, before: Entries, now: Entries, others: Successors
) -> tuple[dict[Key, Written], Unsure]:
    """All writes by the resource that they were to."""
    found: dict[Key, Written] = {}
    for write in journal.writes:
        identity = write.id or _known(write.kind, write.where, (*before.values(), *now.values()))
        key = (write.kind, identity or f"?{write.seq}")
        found.setdefault(key, Written(write.kind, identity)).add(write)
    lost = [found.pop(key) for key in [key for key, each in found.items() if not each.id]]
    strange = {key: entry for key, entry in now.items() if key not in before and key not in others.made}
    return found, _find(lost, found, strange)


def _known(kind: str, where: Mapping[str, str], there: Iterable[Entry]) -> str:
    """The id of what the journal names by its place: an ECS service."""
    if kind != "ecs_service":
        return ""
    return next((each.id for each in there if each.kind == kind and dict(each.where) == dict(where)), "")


def _find(lost: Iterable[Written], found: dict[Key, Written], strange: Entries) -> Unsure:
    """Add what was created and whose id no answer told: it is there now, was not before, and is what was asked for.

    `strange` is what is there and was not before. Where more of that is alike than was asked for, nobody can say which
    is whose, and all of it stays.
    """
    alike: dict[tuple[Key, ...], list[Written]] = {}
    for each in lost:
        fresh = tuple(
            key
            for key, entry in strange.items()
            if key[0] == each.kind
            and (key not in found or not found[key].made)
            and is_made_as(entry, _with_later(each, found.get(key)))
        )
        alike.setdefault(fresh, []).append(each)
    unsure: Unsure = []
    for fresh, several in alike.items():
        for key, each in zip(fresh, several, strict=False):
            made = each.made if len(fresh) <= len(several) else 0
            found[key] = replace(_with_later(each, found.get(key)), id=key[1], made=made)
        for key in fresh if len(fresh) > len(several) else ():
            reason = f"one of {len(fresh)} that the run may have created: the answer that told which was lost"
            unsure.append((strange[key], reason))
            found.setdefault(key, Written(*key))
    return unsure


def _with_later(lost: Written, later: Written | None) -> Written:
    """What was to be created, with what the run wrote to it once it knew the id."""
    if later is None:
        return lost
    names = {*lost.values, *later.values}
    values = {name: [*lost.values.get(name, ()), *later.values.get(name, ())] for name in names}
    return replace(lost, values=values, last=later.last)
