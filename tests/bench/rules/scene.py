"""The rules that are measured, and who is to answer which path before and after each change.

Rules come in pairs, a narrow one in front of a broad one: `/N/api/*` to group one, `/N/*` to group two. A path of the
first kind tells when the narrow rule is not there, or not in front, while the broad one is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HOST = "bench.test"


@dataclass(frozen=True)
class Rule:
    name: str
    priority: int
    path: str
    group: str


def rules(count: int) -> list[Rule]:
    made = []
    for number in range(1, count + 1):
        pair, is_narrow = (number - 1) // 2, number % 2 == 1
        path, group = (f"/{pair}/api/*", "one") if is_narrow else (f"/{pair}/*", "two")
        made.append(Rule(f"r{number}", number, path, group))
    return made


def changed(given: list[Rule]) -> list[Rule]:
    """The last rule forwards to the other group."""
    last = given[-1]
    return [*given[:-1], Rule(last.name, last.priority, last.path, "two" if last.group == "one" else "one")]


def reordered(given: list[Rule]) -> list[Rule]:
    """Pairs in reverse, narrow before broad in each: all rules move, and every path keeps its answer."""
    if len(given) == 1:
        return [Rule(given[0].name, 2, given[0].path, given[0].group)]
    pairs = [given[start : start + 2] for start in range(0, len(given), 2)]
    order = [rule for pair in reversed(pairs) for rule in pair]
    return [Rule(rule.name, place, rule.path, rule.group) for place, rule in enumerate(order, start=1)]


def replaced(given: list[Rule]) -> list[Rule]:
    """Other places and patterns, that give every path the answer it has."""
    other = {rule: rule.path.replace("/api/*", "/ap*").replace("/*", "/?*") for rule in given}
    return [Rule(rule.name, rule.priority + 1000, other[rule], rule.group) for rule in given]


def stages(count: int) -> list[tuple[str, list[Rule], list[Rule]]]:
    """Each operation with the rules before and after it."""
    first = rules(count)
    second = changed(first)
    third = reordered(second)
    return [
        ("create", [], first),
        ("no-op", first, first),
        ("change-one", first, second),
        ("reorder", second, third),
        ("replace", third, replaced(third)),
    ]


def answer(given: list[Rule], path: str) -> str:
    """Who answers; nothing here knows more of patterns than that wildcards come last and any path goes on there."""
    ordered = sorted(given, key=lambda rule: rule.priority)
    return next((rule.group for rule in ordered if path.startswith(rule.path.rstrip("*?"))), "default")


def answers(before: list[Rule], after: list[Rule]) -> dict[str, list[str]]:
    """What each path may be answered with while `before` becomes `after`; of both kinds of paths, and one beside."""
    paths = {rule.path.rstrip("*?") + "x": None for rule in [*before, *after]}
    known = [*paths, "/elsewhere"]
    return {path: sorted({answer(before, path), answer(after, path)}) for path in known}


def ours(given: list[Rule]) -> list[dict[str, Any]]:
    return [
        {
            "name": rule.name,
            "priority": rule.priority,
            "hosts": [HOST],
            "paths": [rule.path],
            "action": {"target_group": rule.group},
        }
        for rule in given
    ]


def theirs(given: list[Rule]) -> list[dict[str, Any]]:
    """As amazon.aws.elb_application_lb wants them."""
    return [
        {
            "Conditions": [
                {"Field": "host-header", "Values": [HOST]},
                {"Field": "path-pattern", "Values": [rule.path]},
            ],
            "Priority": str(rule.priority),
            "Actions": [{"Type": "forward", "TargetGroupName": rule.group}],
        }
        for rule in given
    ]
