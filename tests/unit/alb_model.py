"""A listener as a value: applies the planner's steps as AWS would, and routes requests as a load balancer does."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_rules
from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.elb_action import Actions
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rule_plan import LISTENER, plan
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Policy, Rule, RuleSet
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Later, Observed, Step, holds

NAME = "edge:443"
GROUPS = ("one", "two", "three", "old")
Request = tuple[str, str]
Prove = Callable[[Observed[RuleSet], RuleSet, Sequence[Step]], Any]
LOGIN: dict[str, Any] = {
    "Type": "authenticate-oidc",
    "Order": 1,
    "AuthenticateOidcConfig": {
        "Issuer": "https://login.test",
        "AuthorizationEndpoint": "https://login.test/authorize",
        "TokenEndpoint": "https://login.test/token",
        "UserInfoEndpoint": "https://login.test/user",
        "ClientId": "edge",
        "ClientSecret": "made-up",
    },
}


def arn(group: str) -> str:
    return f"arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/{group}/0123456789abcdef"


def option(name: str, priority: int, to: str = "one", **conditions: Any) -> dict[str, Any]:
    """An entry of the option `rules` that forwards to one group, with what Ansible fills in."""
    conditions = conditions or {"paths": [f"/{name}"]}
    action = {"type": "forward", "target_group": to, "target_groups": None, "stickiness_seconds": 0}
    filled = {"transforms": None, "tags": None, "action": action, **conditions}
    return {"name": name, "priority": priority, **filled}


def rule(name: str, priority: int, to: str = "one", **conditions: Any) -> Rule:
    return elb_rules.desired(option(name, priority, to, **conditions), NAME)


def ours(name: str, priority: int, to: str = "one", **conditions: Any) -> Rule:
    """A live rule that this collection made."""
    made = rule(name, priority, to, **conditions)
    return replace(made, arn=f"arn-of-{name}-{priority}", tags=tagging.owned({}, name=name))


def theirs(priority: int, to: str = "one", **conditions: Any) -> Rule:
    """A live rule that somebody else made."""
    return replace(rule("", priority, to, **conditions), arn=f"arn-of-stranger-{priority}", tags={})


@dataclass
class Model:
    """The live rules, and the default action if it is known; `moments` are all states the listener has been in."""

    rules: list[Rule]
    default: Actions | None = None
    created: int = 0

    def __post_init__(self) -> None:
        self.moments = [self.seen.all]

    @property
    def seen(self) -> RuleSet:
        return RuleSet(NAME, tuple(self.rules), default=self.default)

    def observed(self) -> Observed[RuleSet]:
        return Observed(self.seen, {LISTENER: "arn-of-listener", **{g: arn(g) for g in GROUPS}})

    def apply(self, step: Step) -> None:
        getattr(self, f"_{step.verb}")(step.args)
        priorities = [rule.priority for rule in self.rules]
        assert len(set(priorities)) == len(priorities), f"two rules of one priority after {step.why}"
        self.moments.append(self.seen.all)

    def _modify_listener(self, args: Mapping[str, Any]) -> None:
        self.default = elb_action.from_aws(args["DefaultActions"])

    def _create_rule(self, args: Mapping[str, Any]) -> None:
        self.created += 1
        made = elb_rules.from_aws({**args, "RuleArn": f"arn-of-new-{self.created}"})
        tags = tagging.from_aws(args["Tags"])
        self.rules.append(replace(made, name=tags[tagging.NAME], tags=tags))

    def _modify_rule(self, args: Mapping[str, Any]) -> None:
        old = self._find(args["RuleArn"])
        new = elb_rules.from_aws({"Priority": old.priority, **args})
        kept = {
            field: getattr(old, field)
            for field, key in (("conditions", "Conditions"), ("actions", "Actions"), ("transforms", "Transforms"))
            if key not in args and not (key == "Transforms" and args.get("ResetTransforms"))
        }
        self.rules[self.rules.index(old)] = replace(new, name=old.name, tags=old.tags, **kept)

    def _set_rule_priorities(self, args: Mapping[str, Any]) -> None:
        final = {each["RuleArn"]: each["Priority"] for each in args["RulePriorities"]}
        self.rules = [replace(rule, priority=final.get(rule.arn, rule.priority)) for rule in self.rules]

    def _delete_rule(self, args: Mapping[str, Any]) -> None:
        self.rules.remove(self._find(args["RuleArn"]))

    def _find(self, wanted: str) -> Rule:
        return next(rule for rule in self.rules if rule.arn == wanted)

    def run(self, desired: RuleSet, prove: Prove = lambda *_: None) -> list[Step]:
        """Apply plans in rounds, as the runner does, until there is nothing left to do; the steps taken."""
        taken: list[Step] = []
        for _round in range(5):
            steps = list(plan(self.observed(), desired))
            prove(self.observed(), desired, steps)
            ready = list(itertools.takewhile(lambda step: not any(holds(step.args, Later)), steps))
            if not ready:
                assert not steps, f"only steps that wait are left: {steps}"
                return taken
            for step in ready:
                self.apply(step)
            taken += ready
        raise AssertionError(f"not converged: {steps}")


def route(rules: Iterable[Rule], request: Request) -> Actions | None:
    """What the listener does with a request; None is a default action that is not known."""
    for each in sorted(rules, key=lambda rule: rule.priority):
        if all(_meets(request, condition.field, condition.values) for condition in each.conditions):
            return each.actions
    return None


def _meets(request: Request, field: str, patterns: Sequence[str]) -> bool:
    text = request[0] if field == "host-header" else request[1]
    return any(_glob(pattern).fullmatch(text) for pattern in patterns)


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern))


def witnesses(*sets: Iterable[Rule]) -> Iterator[Request]:
    """Requests that tell the rules apart: every pattern with its wildcards filled in a few ways."""
    texts: dict[str, set[str]] = {"host-header": {"other.test"}, "path-pattern": {"/", "/nowhere"}}
    for condition in (condition for rules in sets for each in rules for condition in each.conditions):
        for pattern in condition.values:
            texts[condition.field] |= {pattern.replace("*", filled).replace("?", "x") for filled in ("", "x", "x/y")}
    return itertools.product(sorted(texts["host-header"]), sorted(texts["path-pattern"]))


def astray(model: Model, desired: RuleSet) -> list[tuple[Request, Any, Any, Any]]:
    """Requests that at some moment got neither the answer from before nor the one they get in the end."""
    before, after = model.moments[0], model.moments[-1]
    return [
        (request, route(before, request), route(moment, request), route(after, request))
        for request in witnesses(before, desired.rules)
        for moment in model.moments
        if route(moment, request) not in (route(before, request), route(after, request))
    ]


def wanting(*rules: Rule, default: Actions | None = None, **policy: Any) -> RuleSet:
    return RuleSet(NAME, rules, policy=Policy(**policy), default=default)


def to(group: str) -> Actions:
    """A default action that forwards to a group."""
    return (elb_action.forward({group: 1}),)
