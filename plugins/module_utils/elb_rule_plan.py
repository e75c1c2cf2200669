# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the live rules of a listener to the rules asked for, without a request ever going astray on the way.

At every moment a request gets the answer it got before or the one it gets in the end. That is what the order is for:

1. create, each rule after those that stand in front of it; when rules also move, at the bottom, where a new rule
   answers nothing that anything else answers;
2. change the rules that the next step uncovers;
3. one SetRulePriorities with the final mapping (swaps included), rules no longer wanted below everything;
4. change the other rules;
5. delete, each rule before those that stand in front of it.

A rule changes in place, and so keeps its ARN, as long as that is a step of its own. Where changes to overlapping rules
depend on one another, a rule of ours is replaced instead: created, moved and deleted as above.

A default action that is to change is a step among those: before the first rule goes, if that is safe, else before or
after one of the other phases. Rules of ours whose conditions change are replaced where it cannot be done otherwise.

Whether that holds is proved for each plan (`routing_proof`). Where it does not, because there is no room for both the
old and the new rules, or the rule is somebody else's or carries a running canary, another order is looked for
(`elb_rule_order`); if there is none, the plan is refused by `prove_safe`. So is one of which it is not known, unless
the policy is to warn of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_condition, elb_listener
from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.elb import GROUP_REMEDY
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rule_order import in_order
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import (
    Matching,
    Policy,
    Rule,
    RuleSet,
    lowest,
    match,
    transforms_to_aws,
)
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, Unsafe
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Later, Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.routing_proof import Proof, prove

LISTENER = "the listener"
"""Its key among the ids, the others of which are names of target groups: those have no space."""
LISTENER_REMEDY = "create it first with alb_listener"
SEARCHABLE = 20000
"""Kinds of requests beyond which looking for another order takes too long."""


def plan(observed: Observed[RuleSet], desired: RuleSet | None) -> Iterator[Step]:
    """Raises `BadInput` when the rules asked for cannot live beside the strangers' that stay."""
    if desired is None:
        return
    current = live_of(observed, desired)
    found = match(current.rules, desired)
    refuse_taken(found, desired.listener)
    refuse_dropping(found, desired)
    refuse_ending(found, desired)
    refuse_crowd(current, found, desired)
    yield from in_safe_order(observed, replace(desired, default=desired.default or current.default), found)


def in_safe_order(observed: Observed[RuleSet], desired: RuleSet, found: Matching) -> Iterator[Step]:
    """The first order of those known that is proved; if none is, the usual one, for `prove_safe` to refuse."""
    current = live_of(observed, desired)
    turn = tuple(turning(observed, desired))
    room = desired.policy.quota - len(current.rules) - current.elsewhere
    ways = [Entanglement(found, desired.policy).undone(room=room)]
    if turn:
        ways.append(Entanglement(found, desired.policy, turns=True).undone(room=room))
    usual: tuple[tuple[Step, ...], Proof] | None = None
    for steps in orders(observed, desired, ways, turn):
        proof = prove(current.all, steps)
        usual = usual or (steps, proof)
        if proof.safe:
            yield from steps
            return
        if not proof.classes:
            break
    steps, proof = usual or ((), Proof())
    is_searched = 0 < proof.classes <= SEARCHABLE
    yield from (another(observed, desired, [*ways, found], turn) if is_searched else None) or steps


def live_of(observed: Observed[RuleSet], desired: RuleSet) -> RuleSet:
    """What is live. A listener that an earlier task is to create comes with the default action asked for."""
    return observed.resource or RuleSet(desired.listener, (), default=desired.default)


def turning(observed: Observed[RuleSet], desired: RuleSet) -> Iterator[Step]:
    """The step that changes the default action, if it is to change."""
    current = live_of(observed, desired)
    if desired.default and desired.default != current.default:
        arn = observed.ids[LISTENER]
        was, becomes = (
            elb_listener.Listener(desired.listener, 0, default_action=each.default) for each in (current, desired)
        )
        elb_listener.refuse_dropping(was, becomes)
        yield from elb_listener.modification(observed, {"ListenerArn": arn}, was, becomes)


def orders(
    observed: Observed[RuleSet], desired: RuleSet, ways: Iterable[Matching], turn: tuple[Step, ...]
) -> Iterator[tuple[Step, ...]]:
    """The steps by phases, with the change of the default action, if there is one, before or after each of them."""
    current = live_of(observed, desired)
    for found in ways:
        steps = tuple(Writer(observed, desired, found, Moves(current, found)).steps())
        for place in places(steps) if turn else [0]:
            yield (*steps[:place], *turn, *steps[place:])


def places(steps: Sequence[Step]) -> Iterable[int]:
    """Between which steps the default action may change: first of all before rules go, then between other phases."""
    deletes = next((place for place, step in enumerate(steps) if step.verb == "delete_rule"), len(steps))
    borders = [place for place in range(1, len(steps)) if phase(steps[place - 1]) != phase(steps[place])]
    return dict.fromkeys([deletes, 0, len(steps), *borders])


def phase(step: Step) -> tuple[str, str]:
    return step.verb, step.batch if step.verb == "modify_rule" else ""


def another(
    observed: Observed[RuleSet], desired: RuleSet, ways: Iterable[Matching], turn: tuple[Step, ...]
) -> tuple[Step, ...] | None:
    """Steps in another order than the usual ones, one by one, if there is one in which no request goes astray."""
    current = live_of(observed, desired)
    for found in dict.fromkeys(ways):
        for sinks in (True, False):
            writer = Writer(observed, desired, found, Moves(current, found, waits=False, sinks=sinks))
            order = in_order(current.all, (*turn, *writer.steps()))
            if order is not None:
                return order
    return None


def prove_safe(observed: Observed[RuleSet], desired: RuleSet | None, steps: Sequence[Step]) -> Proof:
    """What is known of the plan before its first call; so too of a plan for what is left, which is made in every round.

    Raises `Unsafe` when a request would go astray, and, unless the policy warns of that only, when one may.
    """
    proof = prove(live_of(observed, desired).all, steps) if desired else Proof()
    if desired and proof.astray:
        raise Unsafe(
            f"{desired.listener}: a request would go astray between the steps: {proof.astray}",
            "have AWS raise the quota and set rules_quota, so that old and new rules can be there at once, or go there "
            "in two tasks; a rule that somebody else made or a running canary has marked is never replaced, only "
            "changed: let the canary end first",
            proof=proof.shown(),
        )
    if desired and not proof.safe and desired.policy.unproved == "refuse":
        raise Unsafe(
            f"{desired.listener}: {proof}",
            "go there in smaller steps, one rule in a task; or, to go there all the same with a warning, set "
            "unproved=warn (role alb_routing: alb_routing_unproved)",
            proof=proof.shown(),
        )
    return proof


def refuse_taken(found: Matching, listener: str) -> None:
    holders = {rule.priority: rule for rule in found.kept}
    wanted = [*found.created, *(want for live, want in found.pairs if live.priority != want.priority)]
    taken = [
        f"{rule} wants {p}, held by {holders[p]} ({elb_action.says(holders[p].actions)})"
        for rule in wanted
        if (p := rule.priority) in holders
    ]
    if taken:
        raise BadInput(
            f"{listener}: priorities are held by rules that are not this task's: {'; '.join(taken)}",
            "choose another priority, or list the rule that holds it with the conditions it has, or remove it; by its "
            "priority a rule is only adopted when it meets no request that the listed one does not",
        )


def refuse_dropping(found: Matching, desired: RuleSet) -> None:
    """An authentication on a stranger's rule is a lock that somebody put there: it never goes in passing."""
    for live, want in found.pairs:
        types = elb_action.foreign(live.actions)
        if types and want.actions != live.actions and not desired.policy.owns(live):
            where = f"Rule {want} of {desired.listener}: the live rule {live.priority}"
            raise BadInput(
                f"{where} ({elb_condition.says(live.conditions)}) is not ours, and its action {types} would be dropped",
                "take that action off the live rule first with what made it, or list the route no more",
            )


def refuse_ending(found: Matching, desired: RuleSet) -> None:
    """A rule that is listed no more stays as long as a canary has its weights on it."""
    carrying = [rule for rule in found.doomed if tagging.CANARY in (rule.tags or {})]
    if carrying and desired.policy.doomed is None:
        names = ", ".join(f"{rule} ({rule.priority})" for rule in carrying)
        raise BadInput(
            f"{desired.listener}: to be removed: {names}, which carries a running canary",
            "let the canary end first (playbooks/canary.yml promotes or undoes it), or list the rule until then",
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


@dataclass(frozen=True)
class Entanglement:
    """Which changes depend on one another: requests pass from one changing rule to another.

    What matters is what comes (new rules, and rules as they will be) and what goes (rules no longer wanted, and rules
    as they were); a rule that stays where it is with the conditions it has does neither. When the default action
    `turns`, it comes and goes behind each rule whose conditions change.
    """

    found: Matching
    policy: Policy
    turns: bool = False

    def undone(self, *, room: int) -> Matching:
        """The matching with entangled pairs of ours taken apart, if there is room for as many rules more.

        A rule that takes the place of another has its weights, where those are kept. What a canary has marked stays.
        """
        loose = [pair for pair in self.found.pairs if self.may_go(*pair) and self.is_entangled(*pair)]
        if len(loose) + len(self.found.created) > room:
            return self.found
        return replace(
            self.found,
            pairs=tuple(pair for pair in self.found.pairs if pair not in loose),
            created=(*self.found.created, *(replace(w, actions=self.policy.actions(w, live)) for live, w in loose)),
            doomed=(*self.found.doomed, *(live for live, _want in loose)),
        )

    def may_go(self, live: Rule, want: Rule) -> bool:
        """Whether another rule may take its place: it is ours, and no running canary has its mark and weights on it.

        Where nothing is purged what was replaced is known by the name that it shares with what replaces it.
        """
        is_known = self.policy.purge != "none" or live.name == want.name
        return self.policy.owns(live) and is_known and tagging.CANARY not in (live.tags or {})

    def is_entangled(self, live: Rule, want: Rule) -> bool:
        if self.policy.content(want, live) == live.content:
            return False
        if live.stands_as(want):
            return self.is_uncovered(live) and self.is_covered(live)
        if self.turns and live.conditions != want.conditions:
            return True
        changed = [pair for pair in self.found.pairs if not self.policy.same(pair[1], pair[0])]
        rules = [*self.found.created, *self.found.doomed, *(rule for pair in changed for rule in pair)]
        return any(live.overlaps(other) or want.overlaps(other) for other in rules if other not in (live, want))

    def is_uncovered(self, live: Rule) -> bool:
        """Whether something in front of a rule that stays goes."""
        going = [*self.found.doomed, *(was for was, want in self.found.pairs if not was.stands_as(want))]
        return any(other.priority < live.priority and other.overlaps(live) for other in going)

    def is_covered(self, live: Rule) -> bool:
        """Whether something comes in front of a rule that stays."""
        coming = [*self.found.created, *(want for was, want in self.found.pairs if not was.stands_as(want))]
        return any(other.priority < live.priority and other.overlaps(live) for other in coming)

    def is_early(self, live: Rule, want: Rule) -> bool:
        """Whether a change comes before the priorities: on the way up, or when they uncover the rule."""
        if live.priority != want.priority:
            return want.priority < live.priority
        return self.is_uncovered(live)


class Moves:
    """Where every rule stands before and after the one SetRulePriorities call.

    `sinking` and `waiting` are places at the very bottom, in the order of the rules: of those that go by ARN, of those
    that come, which have none yet, by their final priority.
    """

    def __init__(self, current: RuleSet, found: Matching, *, waits: bool = True, sinks: bool = True) -> None:
        self.found = found
        self.before = {rule.arn: rule.priority for rule in current.rules}
        self.movers = {live.arn: want for live, want in found.pairs if live.priority != want.priority}
        wanted = {rule.priority for rule in found.created} | {want.priority for _live, want in found.pairs}
        taken = wanted | set(self.before.values())
        bottom = [priority for priority in lowest(len(taken)) if priority not in taken]
        must_sink = sinks and any(doomed.priority in wanted or self._covers(doomed) for doomed in found.doomed)
        must_wait = waits and (self.movers or any(rule.priority in self.before.values() for rule in found.created))
        self.sinking = {rule.arn: bottom.pop(0) for rule in _last_first(found.doomed if must_sink else ())}
        self.waiting = {rule.priority: bottom.pop(0) for rule in _last_first(found.created if must_wait else ())}

    def _covers(self, doomed: Rule) -> bool:
        staying = [*self.found.created, *self.found.kept, *(want for _live, want in self.found.pairs)]
        return any(doomed.priority < rule.priority and doomed.overlaps(rule) for rule in staying)

    def mapping(self) -> dict[str | Later, int]:
        """The argument of SetRulePriorities: final priority by ARN."""
        final: dict[str | Later, int] = {arn: want.priority for arn, want in self.movers.items()}
        final.update({Later(str(r)): r.priority for r in self.found.created if r.priority in self.waiting})
        final.update(self.sinking)
        return final


def _last_first(rules: Iterable[Rule]) -> list[Rule]:
    return sorted(rules, key=lambda rule: rule.priority, reverse=True)


@dataclass(frozen=True)
class Writer:
    """The steps, one method per phase."""

    observed: Observed[RuleSet]
    desired: RuleSet
    found: Matching
    moves: Moves

    def steps(self) -> Iterator[Step]:
        yield from self.creates()
        yield from self.changes(early=True)
        yield from self.priorities()
        yield from self.changes(early=False)
        yield from self.deletes()

    def creates(self) -> Iterator[Step]:
        for level, rule in layered(self.found.created):
            tags = tagging.owned(rule.tags, owner=self.desired.policy.owner, name=rule.name)
            arguments = {
                "ListenerArn": self.observed.id(LISTENER, LISTENER_REMEDY),
                "Priority": self.moves.waiting.get(rule.priority, rule.priority),
                **self.conditions(rule),
                **self.actions(rule, rule.actions),
                **({"Transforms": transforms_to_aws(rule.transforms)} if rule.transforms else {}),
                "Tags": tagging.to_aws(tags),
            }
            yield Step("create_rule", arguments, f"rule {rule} of {self.desired.listener} is absent", f"create {level}")

    def changes(self, *, early: bool) -> Iterator[Step]:
        entanglement = Entanglement(self.found, self.desired.policy)
        for live, want in self.found.pairs:
            arguments, why = self.change(live, want)
            if arguments and entanglement.is_early(live, want) == early:
                yield Step(
                    "modify_rule", {"RuleArn": live.arn, **arguments}, why, "change early" if early else "change"
                )

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
        waiting = [rule for rule in self.found.created if rule.priority in moves.waiting]
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


def layered(rules: Iterable[Rule]) -> list[tuple[int, Rule]]:
    """Rules by how long a chain of overlapping ones stands before each; those of one level are independent."""
    levels: list[tuple[int, Rule]] = []
    for rule in sorted(rules, key=lambda rule: rule.priority):
        levels.append((1 + max((level for level, before in levels if before.overlaps(rule)), default=-1), rule))
    return sorted(levels, key=lambda pair: pair[0])
