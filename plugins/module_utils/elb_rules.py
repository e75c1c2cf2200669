# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules of one listener, and which live rule is which of the rules asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_condition
from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.elb_action import Actions
from ansible_collections.hokusai.platform.plugins.module_utils.elb_condition import Conditions
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput

LAST_PRIORITY = 50000
DEFAULT = "the default action"
"""What the default action has for an ARN where it is looked at as a rule."""
MAX_VALUES = 5
MAX_WILDCARDS = 6
"""Of a rule; accounts have had 5, and there AWS says so."""
REWRITES = {"host-header-rewrite": "HostHeaderRewriteConfig", "url-rewrite": "UrlRewriteConfig"}


@dataclass(frozen=True, order=True)
class Transform:
    """A rewrite of the request on its way to the target; a rule has one of each type at most."""

    type: str
    regex: str
    replace: str


@dataclass(frozen=True)
class Rule:
    """A listener rule. `name` is ours; a live rule has it from its tag or from the rule asked for that it equals.

    `tags` of a live rule is None when they were not read, because the rule equals one that is asked for.
    """

    name: str
    priority: int
    conditions: Conditions
    actions: Actions
    transforms: tuple[Transform, ...] = ()
    arn: str = field(default="", compare=False)
    tags: Mapping[str, str] | None = field(default=None, compare=False)

    def shown(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "priority": self.priority,
            "conditions": sorted(self.conditions),
            "actions": self.actions,
            "transforms": self.transforms,
        }

    def __str__(self) -> str:
        return self.name or f"[{elb_condition.says(self.conditions)}]"

    def stands_as(self, other: Rule) -> bool:
        return (self.priority, self.conditions) == (other.priority, other.conditions)

    @property
    def content(self) -> tuple[Any, ...]:
        return self.conditions, self.actions, self.transforms

    def overlaps(self, other: Rule) -> bool:
        return elb_condition.overlap(self.conditions, other.conditions)

    def covers(self, other: Rule) -> bool:
        """Whether every request that meets the other rule surely meets this one, and both look at the same things."""
        return elb_condition.covers(self.conditions, other.conditions)


def lowest(rules: int) -> range:
    """The priorities at the very bottom, the last one first, among which as many rules find room beside as many."""
    return range(LAST_PRIORITY, LAST_PRIORITY - 3 * rules - 3, -1)


def default_rule(actions: Actions) -> Rule:
    """A listener's default action as what it is to requests: the last rule, which meets every one."""
    return Rule("default", LAST_PRIORITY + 1, frozenset(), actions, arn=DEFAULT)


@dataclass(frozen=True)
class Policy:
    """How a desired set treats what is live; the module's options of the same names.

    `doomed`, if it is not None, are by ARN all the live rules that go, whoever's they are: then `purge` says nothing.
    """

    owner: str = tagging.OWNER
    purge: str = "owned"
    adopt: bool = True
    weights: str = "desired"
    quota: int = 100
    unproved: str = "refuse"
    doomed: frozenset[str] | None = None

    def owns(self, rule: Rule) -> bool:
        return tagging.is_owned(rule.tags or {}, self.owner)

    def may_change(self, rule: Rule) -> bool:
        """Ours, or (adopting) nobody's who marks rules as this collection does."""
        return self.owns(rule) or (self.adopt and tagging.MANAGED_BY not in (rule.tags or {}))

    def actions(self, wanted: Rule, live: Rule) -> Actions:
        """What the live rule is to do: a running canary (see alb_weights) keeps its share of the group asked for."""
        if tagging.CANARY in (live.tags or {}) and elb_action.is_share(wanted.actions, live.actions):
            return live.actions
        return elb_action.keep_weights(wanted.actions, live.actions) if self.weights == "observed" else wanted.actions

    def content(self, wanted: Rule, live: Rule) -> tuple[Any, ...]:
        """What the live rule is to hold, its priority apart."""
        return replace(wanted, actions=self.actions(wanted, live)).content

    def same(self, wanted: Rule, live: Rule) -> bool:
        """Nothing is left to do to the live rule."""
        return wanted.priority == live.priority and self.content(wanted, live) == live.content


@dataclass(frozen=True)
class RuleSet:
    """The rules of a listener, and its default action: None is unmanaged, or in an observed set was not read.

    `elsewhere` counts the rules of the balancer's other listeners.
    """

    listener: str
    rules: tuple[Rule, ...]
    elsewhere: int = 0
    policy: Policy = Policy()
    default: Actions | None = None

    def shown(self) -> dict[str, Any]:
        ordered = sorted(self.rules, key=lambda rule: rule.priority)
        return {"listener": self.listener, "rules": ordered, "default_action": self.default}

    @property
    def all(self) -> tuple[Rule, ...]:
        """What may answer a request: the rules, and the default action if it is known."""
        return (*self.rules, *((default_rule(self.default),) if self.default else ()))

    def concerns(self) -> Iterator[str]:
        """A route of ours to which no request comes: what stands before it takes them all."""
        ordered = sorted(self.rules, key=lambda rule: rule.priority)
        for place, rule in enumerate(ordered):
            before = (one for one in ordered[:place] if elb_condition.meets_all(one.conditions, rule.conditions))
            first = next(before, None)
            if rule.name and first and first.actions != rule.actions:
                taken = f"{first} ({first.priority}) stands before it and takes all of its requests"
                yield f"{self.listener}: rule {rule} ({rule.priority}) never answers: {taken}"

    def over(self, current: RuleSet | None) -> RuleSet:
        """The set that is live once this one is applied: ours, and the strangers' rules that stay."""
        found = match(current.rules if current else (), self)
        ours = [replace(wanted, actions=self.policy.actions(wanted, live)) for live, wanted in found.pairs]
        default = self.default or (current.default if current else None)
        return replace(self, rules=(*ours, *found.created, *found.kept), default=default)


def from_aws(given: Mapping[str, Any]) -> Rule:
    """A live rule; its name and tags come from elsewhere."""
    return Rule(
        name="",
        priority=int(given["Priority"]),
        conditions=elb_condition.from_aws(given.get("Conditions", ())),
        actions=elb_action.from_aws(given.get("Actions", ())),
        transforms=tuple(sorted(_transforms(given.get("Transforms") or ()))),
        arn=str(given["RuleArn"]),
    )


def _transforms(listed: Iterable[Mapping[str, Any]]) -> Iterator[Transform]:
    for each in listed:
        for rewrite in each.get(REWRITES.get(each["Type"], ""), {}).get("Rewrites", ()):
            yield Transform(each["Type"], rewrite["Regex"], rewrite["Replace"])


def transforms_to_aws(transforms: Iterable[Transform]) -> list[dict[str, Any]]:
    return [
        {"Type": each.type, REWRITES[each.type]: {"Rewrites": [{"Regex": each.regex, "Replace": each.replace}]}}
        for each in transforms
    ]


STRINGS: dict[str, Any] = {"type": "list", "elements": "str"}
RULE_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "priority": {"type": "int", "required": True},
    "hosts": STRINGS,
    "host_regexes": STRINGS,
    "paths": STRINGS,
    "path_regexes": STRINGS,
    "methods": STRINGS,
    "headers": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str", "required": True}, "values": STRINGS, "regexes": STRINGS},
        "mutually_exclusive": [("values", "regexes")],
        "required_one_of": [("values", "regexes")],
    },
    "query_strings": {
        "type": "list",
        "elements": "dict",
        "options": {"key": {"type": "str", "no_log": False}, "value": {"type": "str", "required": True}},
    },
    "source_ips": STRINGS,
    "action": {**elb_action.ACTION_SPEC, "required": True},
    "transforms": {
        "type": "list",
        "elements": "dict",
        "options": {
            "type": {"type": "str", "choices": ["host_header_rewrite", "url_rewrite"], "required": True},
            "regex": {"type": "str", "required": True},
            "replace": {"type": "str", "required": True},
        },
    },
    "tags": {"type": "dict"},
}


def desired(option: Mapping[str, Any], listener: str) -> Rule:
    """The rule an entry of the option `rules` states, within every quota that concerns it alone, or `BadInput`."""
    where = f"Rule {option['name']} of {listener}"
    transforms = (Transform(t["type"].replace("_", "-"), t["regex"], t["replace"]) for t in option["transforms"] or ())
    rule = Rule(
        name=option["name"],
        priority=option["priority"],
        conditions=frozenset(elb_condition.desired(option)),
        actions=(elb_action.desired(option["action"], where),),
        transforms=tuple(sorted(transforms)),
        tags=tagging.texts(option["tags"]),
    )
    for problem, remedy in _problems(rule, option):
        raise BadInput(f"{where}: {problem}", remedy)
    return rule


def _problems(rule: Rule, option: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What AWS would refuse about a rule (ELB user guide: quotas; API reference: CreateRule)."""
    values = sum(len(each.values) + len(each.regexes) for each in rule.conditions)
    if not 1 <= rule.priority <= LAST_PRIORITY:
        yield f"priority {rule.priority} is out of range", f"use 1 to {LAST_PRIORITY}"
    if not values:
        yield "it has no condition", "give it one; what is to meet every other request is alb_listener's default_action"
    if values > MAX_VALUES:
        yield f"{values} condition values", f"AWS allows {MAX_VALUES} in a rule: split it into several rules"
    if elb_condition.wildcards(rule.conditions) > MAX_WILDCARDS:
        count = elb_condition.wildcards(rule.conditions)
        yield f"{count} wildcards", f"AWS allows {MAX_WILDCARDS} in a rule: split it into several rules"
    for pair in (("hosts", "host_regexes"), ("paths", "path_regexes")):
        if all(option.get(name) for name in pair):
            yield f"both {pair[0]} and {pair[1]}", "a condition has values or regular expressions: split the rule"
    if len({each.type for each in rule.transforms}) < len(rule.transforms):
        yield "two transforms of one type", "AWS allows one of each type in a rule"


def refuse_clashes(rules: Iterable[Rule], listener: str) -> None:
    """Raise `BadInput` where two rules asked for cannot both be."""
    seen: dict[tuple[str, Any], Rule] = {}
    for rule in rules:
        for what, value in (("name", rule.name), ("priority", rule.priority), ("set of conditions", rule.conditions)):
            first = seen.setdefault((what, value), rule)
            if first is not rule:
                text = f"Rules {first.name} ({first.priority}) and {rule.name} ({rule.priority}) of {listener}"
                raise BadInput(f"{text} have the same {what}", "change or drop one of them")


@dataclass(frozen=True)
class Matching:
    """Live rules paired with the rules asked for, and what is left over on either side."""

    pairs: tuple[tuple[Rule, Rule], ...]
    created: tuple[Rule, ...]
    doomed: tuple[Rule, ...]
    kept: tuple[Rule, ...]

    def may_grow(self, policy: Policy) -> bool:
        """Whether rules may be created: new ones, or replacements where several rules change."""
        return bool(self.created) or sum(not policy.same(want, live) for live, want in self.pairs) > 1


def match(live: Iterable[Rule], wanted: RuleSet) -> Matching:
    """Which live rule each rule asked for is.

    A rule asked for by its ARN is that one. Then equal conditions and actions come first, so that rules trading places
    are seen as that, which one call does; then the name in our tag; then equal conditions; then an equal priority,
    where the rule asked for answers all that the live one does. A live rule that answers more is another rule: in its
    place, the rest of its route would be gone.
    """
    policy, live, left = wanted.policy, list(live), list(wanted.rules)
    going = [rule for rule in live if rule.arn in (policy.doomed or ())]
    free = [rule for rule in live if rule not in going]
    pairs: list[tuple[Rule, Rule]] = []
    criteria: tuple[Callable[[Rule, Rule], bool], ...] = (
        lambda want, rule: want.arn != "" and want.arn == rule.arn,
        policy.same,
        lambda want, rule: policy.content(want, rule) == rule.content and policy.may_change(rule),
        lambda want, rule: want.name == rule.name and policy.owns(rule),
        lambda want, rule: want.stands_as(rule) and policy.may_change(rule),
        lambda want, rule: want.conditions == rule.conditions and policy.may_change(rule),
        lambda want, rule: want.priority == rule.priority and want.covers(rule) and policy.may_change(rule),
    )
    for meets in criteria:
        for want in tuple(left):
            found = next((rule for rule in free if meets(want, rule)), None)
            if found:
                pairs.append((found, want))
                free.remove(found)
                left.remove(want)
    names = {want.name for want in wanted.rules}
    replaced = [rule for rule in free if policy.owns(rule) and rule.name in names]
    if policy.doomed is not None:
        return Matching(tuple(pairs), tuple(left), tuple(going), tuple(free))
    doomed = {"all": free, "none": replaced, "owned": [rule for rule in free if policy.owns(rule)]}[policy.purge]
    kept = tuple(rule for rule in free if rule not in doomed)
    return Matching(tuple(pairs), tuple(left), tuple(doomed), kept)
