# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which live rule of a security group becomes which wanted one, under the id that it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ansible_collections.hokusai.platform.plugins.module_utils.security_group import Rule
from ansible_collections.hokusai.platform.plugins.module_utils.security_group_change import Change, untangled


@dataclass(frozen=True)
class Pairing:
    """The live rules that stay, each with what becomes of it, the wanted ones to add, and the live ones to revoke."""

    staying: tuple[Change, ...]
    new: tuple[Rule, ...]
    doomed: tuple[Rule, ...]


def pair(live: Iterable[Rule], wanted: Iterable[Rule], *, purge: bool) -> Pairing:
    """Pair by content, whoever made the live rule; then by name, for a rule of ours can get another content.

    So no rule ever gets a content that another one has: EC2 refuses that (InvalidPermission.Duplicate). A rule of ours
    whose name is wanted with a content that it cannot take goes, and with `purge` every rule of ours that is not
    wanted; a stranger's rule never does.
    """
    live, wanted = tuple(live), tuple(wanted)
    by_content = {rule.content: rule for rule in live}
    contents = {rule.content for rule in wanted}
    names = {(rule.direction, rule.name) for rule in wanted}
    equal = [Change(found, as_live(found, rule)) for rule in wanted if (found := by_content.get(rule.content))]
    new = [rule for rule in wanted if rule.content not in by_content]
    free = [
        rule
        for rule in live
        if rule.owned and rule.content not in contents and (purge or (rule.direction, rule.name) in names)
    ]
    changes = untangled(_heirs(equal, free, new))
    made, used = {each.after.content for each in changes}, {each.before.id for each in changes}
    return Pairing(
        staying=(*equal, *changes),
        new=tuple(rule for rule in new if rule.content not in made),
        doomed=tuple(rule for rule in free if rule.id not in used),
    )


def as_live(live: Rule, wanted: Rule) -> Rule:
    """A live rule once what is wanted of it holds: a stranger's stays as it is, an omitted description too."""
    if not live.owned:
        return live
    description = live.description if wanted.description is None else wanted.description
    return dataclasses.replace(wanted, id=live.id, description=description)


def _heirs(equal: Iterable[Change], free: Iterable[Rule], new: Iterable[Rule]) -> Iterator[Change]:
    """The new rules for which a free rule of ours has the name and the type.

    Where the rule of the name has become another wanted one, that one's former rule is next: names moved on in a row.
    """
    taken = {each.before.id: each.after.name for each in equal if each.before.owned}
    ours = {(rule.name, rule.type): rule for rule in (*(each.before for each in equal if each.before.owned), *free)}
    for rule in new:
        found = ours.get((rule.name, rule.type))
        while found and found.id in taken:
            found = ours.get((taken[found.id], rule.type))
        if found:
            yield Change(found, as_live(found, rule))
