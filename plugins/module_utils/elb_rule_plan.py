# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the live rules of a listener to the rules asked for, without a request ever meeting the wrong one on the way.

At every moment a request gets the answer it got before or the one it gets in the end. That is what the order is for:

1. create, each rule before those it stands in front of; a rule whose place is taken, or which would catch what a rule
   still to move has to answer, waits at the bottom, where it answers nothing that anyone else answers;
2. change the rules that the next step uncovers;
3. one SetRulePriorities with the final mapping (swaps included), doomed rules below everything;
4. change the other rules, first those that take over requests from a rule that lets go of them;
5. delete, each doomed rule after those it covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_condition
from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.elb import GROUP_REMEDY
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import (
    LAST_PRIORITY,
    Matching,
    Rule,
    RuleSet,
    match,
    transforms_to_aws,
)
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Later, Observed, Step

LISTENER = "the listener"
"""Its key among the ids, the others of which are names of target groups: those have no space."""
LISTENER_REMEDY = "create it first with alb_listener"


def plan(observed: Observed[RuleSet], desired: RuleSet | None) -> Iterator[Step]:
    """Raises `BadInput` when the rules asked for cannot live beside the strangers' that stay."""
    if desired is None:
        return
    current = observed.resource or RuleSet(desired.listener, ())
    found = match(current.rules, desired)
    refuse_taken(found, desired.listener)
    refuse_crowd(current, found, desired)
    writer = Writer(observed, desired, found, Moves(current, found))
    yield from writer.creates()
    yield from writer.changes(uncovered=True)
    yield from writer.priorities()
    yield from writer.changes(uncovered=False)
    yield from writer.deletes()


def refuse_taken(found: Matching, listener: str) -> None:
    holders = {rule.priority: rule for rule in found.kept}
    wanted = [*found.created, *(want for live, want in found.pairs if live.priority != want.priority)]
    taken = [
        f"{rule} wants {rule.priority}, held by {holders[p]}" for rule in wanted if (p := rule.priority) in holders
    ]
    if taken:
        raise BadInput(
            f"{listener}: priorities are held by rules that are not this task's: {'; '.join(taken)}",
            "choose another priority, or list the rule that holds it, or remove it",
        )


def refuse_crowd(current: RuleSet, found: Matching, desired: RuleSet) -> None:
    """The quota counts a moment in which the new rules and those they replace are both there."""
    there, quota = len(current.rules) + current.elsewhere, desired.policy.quota
    if found.created and there + len(found.created) > quota:
        names = ", ".join(str(rule) for rule in found.created)
        raise BadInput(
            f"{desired.listener}: the load balancer has {there} rules, and {len(found.created)} more ({names}) would "
            f"exceed the quota of {quota} before rules no longer wanted are deleted",
            "merge or drop rules, or have AWS raise the quota and set rules_quota",
        )


class Moves:
    """Where every rule stands before and after the one SetRulePriorities call."""

    def __init__(self, current: RuleSet, found: Matching) -> None:
        self.found = found
        self.before = {rule.arn: rule.priority for rule in current.rules}
        self.movers = {live.arn: want for live, want in found.pairs if live.priority != want.priority}
        self.wanted = {rule.priority for rule in found.created} | {want.priority for _live, want in found.pairs}
        used = self.wanted | set(self.before.values())
        bottom = [p for p in range(LAST_PRIORITY, LAST_PRIORITY - 3 * len(used) - 3, -1) if p not in used]
        self.sinking = self._slots(filter(self._in_the_way, found.doomed), bottom)
        self.waiting = self._slots(filter(self._must_wait, found.created), bottom)

    def _slots(self, rules: Iterable[Rule], bottom: list[int]) -> dict[str, int]:
        """Places at the very bottom, in the order of the rules, by ARN or (there being none yet) by name."""
        ordered = sorted(rules, key=lambda rule: rule.priority, reverse=True)
        return {rule.arn or rule.name: bottom.pop(0) for rule in ordered}

    def _in_the_way(self, doomed: Rule) -> bool:
        staying = [*self.found.created, *self.found.kept, *(want for _live, want in self.found.pairs)]
        covers = (doomed.priority < rule.priority and doomed.overlaps(rule) for rule in staying)
        return doomed.priority in self.wanted or any(covers)

    def _must_wait(self, created: Rule) -> bool:
        taken = created.priority in self.before.values()
        return taken or any(created.overlaps(mover) for mover in self.movers.values())

    def mapping(self) -> dict[str | Later, int]:
        """The argument of SetRulePriorities: final priority by ARN."""
        final: dict[str | Later, int] = {arn: want.priority for arn, want in self.movers.items()}
        final.update({Later(r.name): r.priority for r in self.found.created if r.name in self.waiting})
        final.update(self.sinking)
        return final

    def uncovers(self, live: Rule, want: Rule) -> bool:
        """Whether a rule that stands before this one, and answers some of the same, will stand after it."""
        moved = [(other, other_want.priority, other_want) for other, other_want in self.found.pairs]
        sunk = [(doomed, LAST_PRIORITY, doomed) for doomed in self.found.doomed if doomed.arn in self.sinking]
        return any(
            other.priority < live.priority and after > want.priority and (want.overlaps(other) or want.overlaps(then))
            for other, after, then in [*moved, *sunk]
            if other is not live
        )


@dataclass(frozen=True)
class Writer:
    """The steps, one method per phase."""

    observed: Observed[RuleSet]
    desired: RuleSet
    found: Matching
    moves: Moves

    def creates(self) -> Iterator[Step]:
        for level, rule in layered(self.found.created):
            tags = tagging.owned(rule.tags, owner=self.desired.policy.owner, name=rule.name)
            arguments = {
                "ListenerArn": self.observed.id(LISTENER, LISTENER_REMEDY),
                "Priority": self.moves.waiting.get(rule.name, rule.priority),
                **self.conditions(rule),
                **self.actions(rule, rule.actions),
                **({"Transforms": transforms_to_aws(rule.transforms)} if rule.transforms else {}),
                "Tags": tagging.to_aws(tags),
            }
            yield Step("create_rule", arguments, f"rule {rule} of {self.desired.listener} is absent", f"create {level}")

    def changes(self, *, uncovered: bool) -> Iterator[Step]:
        changed = [each for each in self.changed if self.moves.uncovers(*each) == uncovered]
        batch = "change what is uncovered" if uncovered else "change"
        takers = [each for each in changed if any(takes_over(each, other) for other in changed if other is not each)]
        for live, want in [*takers, *(each for each in changed if each not in takers)]:
            arguments, why = self.change(live, want)
            step_batch = f"{batch}, taking over" if (live, want) in takers else batch
            yield Step("modify_rule", {"RuleArn": live.arn, **arguments}, why, step_batch)

    @cached_property
    def changed(self) -> list[tuple[Rule, Rule]]:
        return [(live, want) for live, want in self.found.pairs if self.change(live, want)[0]]

    def change(self, live: Rule, want: Rule) -> tuple[dict[str, Any], str]:
        """The arguments of ModifyRule, whole lists each, and why; both empty when nothing differs."""
        arguments: dict[str, Any] = {}
        reasons = []
        actions = self.desired.policy.actions(want, live)
        if want.conditions != live.conditions:
            arguments.update(self.conditions(want))
            reasons.append(f"{elb_condition.says(live.conditions)} becomes {elb_condition.says(want.conditions)}")
        if actions != live.actions:
            arguments.update(self.actions(want, actions))
            reasons.append(f"{elb_action.says(live.actions)} becomes {elb_action.says(actions)}")
        if want.transforms != live.transforms:
            new = transforms_to_aws(want.transforms)
            arguments.update({"Transforms": new} if new else {"ResetTransforms": True})
            reasons.append("transforms differ")
        return arguments, f"rule {want} of {self.desired.listener}: {'; '.join(reasons)}"

    def priorities(self) -> Iterator[Step]:
        moves = self.moves
        mapping = [{"RuleArn": arn, "Priority": priority} for arn, priority in moves.mapping().items()]
        if not mapping:
            return
        waiting = [rule for rule in self.found.created if rule.name in moves.waiting]
        final = sorted([*moves.movers.values(), *waiting], key=lambda rule: rule.priority)
        reasons = [f"{rule} to {rule.priority}" for rule in final]
        reasons += [f"{rule} out of the way" for rule in self.found.doomed if rule.arn in moves.sinking]
        why = f"order of the rules of {self.desired.listener}: {', '.join(reasons)}"
        yield Step("set_rule_priorities", {"RulePriorities": mapping}, why)

    def deletes(self) -> Iterator[Step]:
        for level, rule in reversed(layered(self.found.doomed)):
            why = f"rule {rule} of {self.desired.listener} is no longer wanted"
            yield Step("delete_rule", {"RuleArn": rule.arn}, why, f"delete {level}")

    def conditions(self, rule: Rule) -> Mapping[str, Any]:
        return {"Conditions": elb_condition.to_aws(rule.conditions)}

    def actions(self, rule: Rule, actions: Iterable[elb_action.Action]) -> Mapping[str, Any]:
        def arn(name: str) -> Any:
            return self.observed.id(name, f"{GROUP_REMEDY} (rule {rule} forwards to it)")

        return {"Actions": [elb_action.to_aws(action, arn) for action in actions]}


def takes_over(gainer: tuple[Rule, Rule], loser: tuple[Rule, Rule]) -> bool:
    """Whether a change gains requests that another change lets go of."""
    lost, gained = loser[0].conditions, gainer[1].conditions
    lets_go = not elb_condition.covers(loser[1].conditions, lost)
    return lets_go and not elb_condition.covers(gainer[0].conditions, gained) and elb_condition.overlap(gained, lost)


def layered(rules: Iterable[Rule]) -> list[tuple[int, Rule]]:
    """Rules by how long a chain of overlapping ones stands before each; those of one level are independent."""
    levels: list[tuple[int, Rule]] = []
    for rule in sorted(rules, key=lambda rule: rule.priority):
        levels.append((1 + max((level for level, before in levels if before.overlaps(rule)), default=-1), rule))
    return sorted(levels, key=lambda pair: pair[0])
