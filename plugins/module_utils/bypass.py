# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a request to MLflow's API can reach MLflow without passing the platform's API, which authenticates it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_condition
from ansible_collections.hokusai.platform.plugins.module_utils.elb_action import Actions, Forward
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry

PATHS = ("/api/mlflow", "/api/mlflow/*")


def bypasses(entries: Iterable[Entry], groups: Collection[str], services: Collection[str] = ()) -> list[str]:
    """The rules and default actions by which it can, in words.

    `groups` are target groups of MLflow and `services` its ECS services, by name. The groups in which one of these
    registers are MLflow's too, as are those of any service that registers in one of `groups`. A rule counts when a
    request to one of `PATHS` may meet it; whether an earlier rule takes all such requests is not asked, but for a
    default action.
    """
    entries = list(entries)
    direct = {*groups, *siblings(entries, groups, services)}
    rules = [entry for entry in entries if entry.kind == "load_balancer_rule"]
    told = [f"rule {rule.name}: {_says(rule)}" for rule in rules if _meets(rule) and _forwards(rule, direct)]
    for listener in (entry for entry in entries if entry.kind == "listener"):
        own = [rule for rule in rules if rule.where["ListenerArn"] == listener.id]
        if _forwards(listener, direct) and not any(_takes_all(rule) for rule in own):
            told.append(f"listener {listener.name}: default {_says(listener)}")
    return sorted(told)


def siblings(entries: Iterable[Entry], groups: Collection[str], services: Collection[str]) -> Iterator[str]:
    for entry in entries:
        if entry.kind == "ecs_service":
            arns = (each.get("targetGroupArn", "") for each in entry.fields.get("loadBalancers", ()))
            names = {elb_action.group_name(arn) for arn in arns if arn}
            if names & set(groups) or entry.where.get("service") in services:
                yield from names


def _actions(entry: Entry) -> Actions:
    return elb_action.from_aws(entry.fields.get("Actions") or entry.fields.get("DefaultActions") or ())


def _forwards(entry: Entry, groups: Collection[str]) -> bool:
    forwards = (action for action in _actions(entry) if isinstance(action, Forward))
    return any(name in groups and weight for action in forwards for name, weight in action.weights)


def _patterns(rule: Entry) -> tuple[str, ...] | None:
    """The rule's path patterns; None if any path may do."""
    for condition in elb_condition.from_aws(rule.fields.get("Conditions", ())):
        if condition.field == "path-pattern":
            return None if condition.regexes else condition.values
    return None


def _meets(rule: Entry) -> bool:
    patterns = _patterns(rule)
    return patterns is None or any(elb_condition.globs_meet(each, path) for each in patterns for path in PATHS)


def _takes_all(rule: Entry) -> bool:
    """Whether every request to `PATHS`, whatever its host, is met by the rule."""
    conditions = elb_condition.from_aws(rule.fields.get("Conditions", ()))
    patterns = _patterns(rule) or ()
    alone = all(each.field == "path-pattern" for each in conditions)
    return alone and all(any(elb_condition.glob_covers(each, path) for each in patterns) for path in PATHS)


def _says(entry: Entry) -> str:
    return elb_action.says(_actions(entry))
