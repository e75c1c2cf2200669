# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules that forward to a service's target groups, and the steps that give a canary its share of them.

A rule is marked before its weights change and unmarked after they are back: one that carries a canary always says so.
One whose way back has begun says that, so that nobody goes on with it.
Default actions are no rules: what they forward to the stable group stays there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb, elb_action
from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.canary import BAKE, RETREAT, WHOLE, Mark, Route
from ansible_collections.hokusai.platform.plugins.module_utils.elb_action import Actions, Foreign, Forward
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, NotFound, calling
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Find, Missing, Observed, Step

TAGGED_PER_CALL = 20


@dataclass(frozen=True)
class Pair:
    """A target group of the stable service, and the canary's that takes its part; both by name."""

    stable: str
    canary: str


@dataclass(frozen=True)
class Rule:
    """A live rule that forwards to one of the pair: `name` is LOAD BALANCER:PORT rule PRIORITY."""

    name: str
    arn: str
    pair: Pair
    actions: Actions
    mark: Mark | None = None

    @property
    def forward(self) -> Forward:
        return next(each for each in self.actions if isinstance(each, Forward))

    @property
    def route(self) -> Route:
        weights = dict(self.forward.weights)
        share = weights.get(self.pair.canary)
        return Route(self.name, weights.get(self.pair.stable), share, self.mark)

    @property
    def is_touched(self) -> bool:
        return self.mark is not None or self.pair.canary in self.forward.groups

    def with_forward(self, forward: Forward) -> Rule:
        return replace(self, actions=tuple(forward if isinstance(each, Forward) else each for each in self.actions))

    def retreating(self) -> Rule:
        return replace(self, mark=replace(self.mark, phase=RETREAT)) if self.mark else self

    def restored(self) -> Rule:
        """With its stickiness, and all requests but those of a group that somebody added, at the stable group."""
        stickiness = self.mark.stickiness if self.mark else self.forward.stickiness
        weights = dict(self.forward.weights)
        if ours := weights.pop(self.pair.canary, 0):
            weights[self.pair.stable] = min(weights.get(self.pair.stable, 0) + ours, elb_action.MAX_WEIGHT)
        if not weights.keys() - {self.pair.stable}:
            weights = {self.pair.stable: 1}
        return replace(self.with_forward(elb_action.forward(weights, stickiness)), mark=None)

    def shown(self) -> dict[str, Any]:
        return {
            "rule": self.name,
            "weights": dict(self.forward.weights),
            "stickiness_seconds": self.forward.stickiness,
            "mark": str(self.mark) if self.mark else "",
        }


@dataclass(frozen=True)
class Wish:
    """What each rule is to say; `since` None keeps what its mark says."""

    weight: int
    phase: str = BAKE
    since: str | None = None

    def applied(self, rule: Rule, canary: str) -> Rule:
        weights = {rule.pair.canary: self.weight, rule.pair.stable: WHOLE - self.weight}
        was = rule.mark or Mark(canary, stickiness=rule.forward.stickiness)
        mark = replace(was, phase=self.phase, since=was.since if self.since is None else self.since)
        return replace(rule.with_forward(elb_action.forward(weights)), mark=mark)


@dataclass(frozen=True)
class Shares:
    """The canary's shares of all rules. `healthy` counts the targets of its groups where that was looked at;
    `sticky` are stable groups that keep a client with one target, `now` what the marks are to say, if not the wish."""

    canary: str
    rules: tuple[Rule, ...] = ()
    wish: Wish | None = None
    healthy: Mapping[str, int] = field(default_factory=dict)
    sticky: frozenset[str] = frozenset()
    now: str = ""

    def over(self, current: Shares) -> Shares:
        if self.wish is None:
            return current
        wish = replace(self.wish, since=current.now) if current.now else self.wish
        return replace(current, rules=tuple(wish.applied(rule, self.canary) for rule in current.rules))

    def shown(self) -> dict[str, Any]:
        since = max((rule.mark.since for rule in self.rules if rule.mark), default="")
        return {"canary": self.canary, "since": since, "rules": list(self.rules)}


# --- as AWS has them


def read(aws: Aws, pairs: Sequence[Pair]) -> tuple[tuple[Rule, ...], dict[str, str]]:
    """The rules that forward to any of the groups, by load balancer and order, and ARNs by name: those of the groups,
    and of all that the rules forward to.

    Raises `NotFound` for a stable group that does not exist; a canary's that does not has no ARN.
    """
    described = groups(aws, [name for pair in pairs for name in (pair.stable, pair.canary)])
    absent = [pair.stable for pair in pairs if pair.stable not in described]
    if absent:
        raise NotFound(f"There is no target group {', '.join(absent)}", "correct the option target_groups")
    balancers = sorted({arn for each in described.values() for arn in each.get("LoadBalancerArns", ())})
    ids: dict[str, str] = {}
    found = [rule for arn in balancers for rule in _rules(aws, arn, pairs, ids)]
    ids |= {name: str(each["TargetGroupArn"]) for name, each in described.items()}
    marks = elb.tags_of(aws, [rule.arn for rule in found])
    return tuple(_marked(rule, marks.get(rule.arn, {}).get(tagging.CANARY)) for rule in found), ids


def groups(aws: Aws, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Those of the target groups that exist, described."""
    arns = elb.group_ids(aws, names, ())
    if not arns:
        return {}
    with calling(f"describe the target groups {', '.join(arns)}"):
        found = elb.every(aws.elbv2, "describe_target_groups", "TargetGroups", TargetGroupArns=sorted(arns.values()))
    return {each["TargetGroupName"]: each for each in found}


def _rules(aws: Aws, balancer: str, pairs: Sequence[Pair], ids: dict[str, str]) -> Iterator[Rule]:
    for listener in sorted(elb.listeners(aws, balancer), key=lambda each: int(each["Port"])):
        where = f"{elb.balancer_name(balancer)}:{listener['Port']}"
        with calling(f"describe the rules of {where}"):
            found = elb.every(aws.elbv2, "describe_rules", "Rules", ListenerArn=listener["ListenerArn"])
        for each in found:
            actions = elb_action.from_aws(each.get("Actions", ()))
            pair = next((pair for pair in pairs if _groups_of(actions) & {pair.stable, pair.canary}), None)
            if pair and not each["IsDefault"]:
                ids |= {elb_action.group_name(arn): arn for arn in elb_action.group_arns(each["Actions"])}
                yield Rule(f"{where} rule {each['Priority']}", each["RuleArn"], pair, actions)


def _groups_of(actions: Actions) -> set[str]:
    return {name for each in actions if isinstance(each, Forward) for name, _weight in each.weights}


def _marked(rule: Rule, text: str | None) -> Rule:
    return rule if text is None else replace(rule, mark=Mark.parse(text))


# --- the steps


def plan(observed: Observed[Shares], desired: Shares | None) -> Iterator[Step]:
    """Raises `BadInput` for rules whose weights are not this canary's to set."""
    current = observed.resource
    if current is None:
        return
    if desired is None or desired.wish is None:
        yield from removal(current, observed.id)
        return
    refuse_strangers(current)
    refuse_sticky_targets(current)
    refuse_dead_groups(current, desired.wish)
    after = desired.over(current)
    yield from marking(current, after)
    for was, rule in zip(current.rules, after.rules, strict=True):
        if rule.actions != was.actions:
            yield weighing(was, rule, observed.id)


def removal(current: Shares, find: Find) -> Iterator[Step]:
    """All at once, marks and weights first: this is also how a failing canary goes.

    They do not wait for each other: whichever lands, what is cut off or throttled then is known as being undone.
    """
    yield from marking(current, replace(current, rules=tuple(rule.retreating() for rule in current.rules)), "weigh")
    touched = [rule for rule in current.rules if rule.is_touched]
    for rule in touched:
        refuse_other_mark(rule, current.canary)
        if rule.restored().actions != rule.actions:
            yield weighing(rule, rule.restored(), find)
    marked = [rule for rule in touched if rule.mark]
    if marked:
        for start in range(0, len(marked), TAGGED_PER_CALL):
            some = marked[start : start + TAGGED_PER_CALL]
            why = f"marks of the canary {current.canary} on {', '.join(rule.name for rule in some)}"
            yield Step(
                "remove_tags", {"ResourceArns": [r.arn for r in some], "TagKeys": [tagging.CANARY]}, why, "unmark"
            )


def marking(current: Shares, after: Shares, batch: str = "mark") -> Iterator[Step]:
    by_text: dict[str, list[Rule]] = {}
    for was, rule in zip(current.rules, after.rules, strict=True):
        if rule.mark != was.mark:
            by_text.setdefault(str(rule.mark), []).append(rule)
    for text, rules in by_text.items():
        for start in range(0, len(rules), TAGGED_PER_CALL):
            some = rules[start : start + TAGGED_PER_CALL]
            arguments = {"ResourceArns": [r.arn for r in some], "Tags": tagging.to_aws({tagging.CANARY: text})}
            yield Step("add_tags", arguments, f"{', '.join(rule.name for rule in some)}: {text}", batch)


def weighing(was: Rule, rule: Rule, find: Find) -> Step:
    had, gets = was.route.canary, rule.route.canary
    what = f"{rule.pair.canary} from {had or 0} to {gets} %" if gets is not None else f"all to {rule.pair.stable}"
    return Step(
        "modify_rule",
        {"RuleArn": rule.arn, "Actions": list(_to_aws(rule.actions, find))},
        f"{rule.name}: {what}",
        "weigh",
    )


def _to_aws(actions: Actions, find: Find) -> Iterator[dict[str, Any]]:
    """Whole, in order; what stands in front of the forward (an authentication) as it was read."""

    def arn(name: str) -> str | Missing:
        return find(name, elb.GROUP_REMEDY)

    for number, action in enumerate(actions, 1):
        raw = _as_read(action) if isinstance(action, Foreign) else elb_action.to_aws(action, arn)
        # AWS reads an order back where there are several, and a lone one only if it was given.
        yield {**raw, "Order": number} if len(actions) > 1 else raw


def _as_read(action: Foreign) -> dict[str, Any]:
    """AWS never reads out the secret of an OIDC client; it keeps the one it has when told so."""
    raw: dict[str, Any] = json.loads(action.config)
    if "AuthenticateOidcConfig" in raw:
        raw["AuthenticateOidcConfig"] |= {"UseExistingClientSecret": True}
        raw["AuthenticateOidcConfig"].pop("ClientSecret", None)
    return raw


# --- what is refused


def refuse_strangers(current: Shares) -> None:
    if not current.rules:
        raise BadInput("No rule forwards to the target groups", "set the rules first, with alb_rules")
    for rule in current.rules:
        refuse_other_mark(rule, current.canary)
        others = sorted(set(dict(rule.forward.weights)) - {rule.pair.stable, rule.pair.canary})
        if others:
            raise BadInput(
                f"{rule.name} forwards to {', '.join(others)} as well: its weights are somebody else's",
                "end what sets them (ECS blue-green, CodeDeploy, another canary), then run again",
            )


def refuse_other_mark(rule: Rule, canary: str) -> None:
    if rule.mark and rule.mark.canary != canary:
        raise BadInput(f"{rule.name} carries the canary {rule.mark.canary}", "finish or abort that one first")


def refuse_sticky_targets(current: Shares) -> None:
    """With sticky targets AWS wants group stickiness too, which would pin clients to the canary."""
    if current.sticky:
        raise BadInput(
            f"Target group {', '.join(sorted(current.sticky))} keeps clients with one target",
            "set its attribute stickiness.enabled to false with alb_target_group while there is a canary",
        )


def refuse_dead_groups(current: Shares, wish: Wish) -> None:
    """Requests never go to a group that has no healthy target."""
    rising = {rule.pair.canary for rule in current.rules if wish.weight > (rule.route.canary or 0)}
    dead = sorted(name for name in rising if not current.healthy.get(name))
    if dead:
        raise BadInput(
            f"{', '.join(dead)} has no healthy target, and would get {wish.weight} % of the requests",
            "let the canary's service become healthy first",
        )
