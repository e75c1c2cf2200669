# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What there is to say about a listener's rules: who answers a request and why nobody before, and what is wrong with
the set as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_condition, routing
from ansible_collections.hokusai.platform.plugins.module_utils.elb_action import Actions, Forward
from ansible_collections.hokusai.platform.plugins.module_utils.elb_condition import Condition
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import MAX_VALUES, MAX_WILDCARDS, Rule
from ansible_collections.hokusai.platform.plugins.module_utils.plan import as_data
from ansible_collections.hokusai.platform.plugins.module_utils.request_patterns import TooManyError
from ansible_collections.hokusai.platform.plugins.module_utils.request_space import Space
from ansible_collections.hokusai.platform.plugins.module_utils.routing import Request


@dataclass(frozen=True)
class Finding:
    """Something amiss with a rule, or (priority None) with the whole set. `by` are the priorities that cause it."""

    kind: str
    text: str
    rule: str = ""
    priority: int | None = None
    by: tuple[int, ...] = ()


@dataclass(frozen=True)
class Listener:
    """`name` is the load balancer's and the port; `elsewhere` counts the rules of the balancer's other listeners."""

    name: str
    scheme: str
    rules: tuple[Rule, ...]
    default: Actions
    elsewhere: int = 0

    def route(self, request: Request) -> dict[str, Any]:
        """Who answers a request, with what, and why no rule before does."""
        request = replace(request, scheme=self.scheme)
        rule = routing.select(self.rules, request)
        actions = rule.actions if rule else self.default
        before = [each for each in routing.ordered(self.rules) if rule is None or each.priority < rule.priority]
        return {
            "request": request.shown(),
            "rule": str(rule) if rule else "default",
            "priority": rule.priority if rule else None,
            "rule_arn": rule.arn if rule else "",
            "action": elb_action.says(actions),
            "actions": as_data(actions),
            "target_groups": list(target_groups(actions)),
            "passed_over": [passed_over(each, request) for each in before],
        }


def target_groups(actions: Actions) -> Iterator[dict[str, Any]]:
    share = routing.shares(actions)
    for action in actions:
        if isinstance(action, Forward):
            for name, weight in action.weights:
                yield {"name": name, "weight": weight, "percent": share.get(name, 0.0)}


def passed_over(rule: Rule, request: Request) -> dict[str, Any]:
    """Why a rule does not answer a request: the first condition that is not met, and what the request has instead."""
    condition = routing.unmet(rule, request)
    if condition is None:
        raise ValueError(f"rule {rule} answers the request")
    return {
        "rule": str(rule),
        "priority": rule.priority,
        "condition": str(condition),
        "observed": observed(condition, request),
    }


def observed(condition: Condition, request: Request) -> str:
    """What the request has where the condition looks."""
    values = {
        "host-header": request.hostname,
        "path-pattern": request.path,
        "http-request-method": request.method,
        "source-ip": request.source_ip,
        "query-string": request.query or "no query",
        "http-header": ", ".join(request.of_header(condition.header)) or "no such header",
    }
    return values[condition.field]


# --- the whole set


def findings(listener: Listener, quota: int) -> tuple[list[Finding], str]:
    """What is amiss, and what was not looked into (empty: everything was)."""
    found = [*crowds(listener, quota), *duplicates(listener.rules)]
    ordered = routing.ordered(listener.rules)
    space = Space([rule.conditions for rule in ordered], winners=1)
    try:
        found += unreachable(ordered, space)
    except TooManyError as error:
        return found, str(error)
    left = ", ".join(sorted(map(str, space.open)))
    return found, f"what these have in common with other conditions: {left}" if left else ""


def crowds(listener: Listener, quota: int) -> Iterator[Finding]:
    """Quotas of the ELB user guide that are exceeded."""
    total = len(listener.rules) + listener.elsewhere
    if total > quota:
        yield Finding("over_quota", f"the load balancer has {total} rules, its quota is {quota}")
    for rule in routing.ordered(listener.rules):
        values = sum(len(each.values) + len(each.regexes) for each in rule.conditions)
        counts = (
            ("condition values", values, MAX_VALUES),
            ("wildcards", elb_condition.wildcards(rule.conditions), MAX_WILDCARDS),
            ("target groups", len(list(target_groups(rule.actions))), elb_action.MAX_GROUPS),
        )
        for what, count, most in counts:
            if count > most:
                text = f"rule {rule} ({rule.priority}) has {count} {what}, AWS allows {most}"
                yield Finding("over_quota", text, str(rule), rule.priority)


def duplicates(rules: Iterable[Rule]) -> Iterator[Finding]:
    first: dict[Any, Rule] = {}
    for rule in routing.ordered(rules):
        other = first.setdefault(rule.conditions, rule)
        if other is not rule:
            text = f"rule {rule} ({rule.priority}) has the conditions of rule {other} ({other.priority})"
            yield Finding("duplicate", text, str(rule), rule.priority, (other.priority,))


def unreachable(ordered: Sequence[Rule], space: Space) -> Iterator[Finding]:
    """Rules that answer no request at all: none meets them, or rules in front answer all that do."""
    open_classes, won = space.all, dict[int, int]()
    for place, rule in enumerate(ordered):
        met = space.meeting[place]
        won[place] = met & open_classes
        open_classes &= ~met
        if won[place]:
            continue
        name = f"rule {rule} ({rule.priority})"
        if not met:
            yield Finding("matches_nothing", f"{name}: no request can meet its conditions", str(rule), rule.priority)
            continue
        by = [ordered[number] for number, classes in won.items() if classes & met]
        listed = ", ".join(f"{each} ({each.priority})" for each in by)
        text = f"{name} never answers: every request that meets it is answered by {listed}"
        yield Finding("shadowed", text, str(rule), rule.priority, tuple(each.priority for each in by))
