# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The fields of a snapshot's resources: one level of names, and when two values mean the same.

Equality is that of the modules: a forward action to one group is the same in both of AWS's spellings, the order of
conditions, certificates, subnets or registries is nothing, and what is empty is the same as what is absent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import (
    alarm,
    dashboard,
    elb_action,
    elb_condition,
    elb_rules,
    public_dns,
)
from ansible_collections.hokusai.platform.plugins.module_utils.elb_target_group import codes

NESTED = ("Tags", "Attributes", "ListenerCertificates", "DnsConfig")
"""The fields each part of which is a field of its own, called as `Tags.NAME`: others may write the part beside it."""


def flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by name, parts of the nested ones as `Tags.NAME`."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if name in NESTED:
            found.update({f"{name}.{part}": inner for part, inner in (value or {}).items()})
        else:
            found[name] = value
    return found


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse of `flat`; a None is left out, as AWS leaves out what is absent."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        outer, dot, part = name.partition(".")
        if value is None:
            continue
        if dot and outer in NESTED:
            found.setdefault(outer, {})[part] = value
        else:
            found[name] = value
    return found


def same(kind: str, name: str, one: Any, other: Any) -> bool:
    """Whether two values of a (flat) field mean the same."""
    return bool(normal(kind, name, one) == normal(kind, name, other))


def holds_one(kind: str, name: str, now: Any, values: Iterable[Any], ended: Any) -> bool:
    """Whether the field holds one of the values that were written, as `holds` says."""
    return any(holds(kind, name, now, value, ended) for value in values)


def holds(kind: str, name: str, now: Any, written: Any, ended: Any = None) -> bool:
    """Whether the field holds what was written, and beside it only what AWS filled in.

    `ended` is what it held when the writer had ended, None where that is not known: `FILLED` says then what AWS adds.
    """
    live, asked, then = (normal(kind, name, value) for value in (now, written, ended))
    if live == asked:
        return True
    if _beside(then, asked) is not None:
        return bool(live == then)
    more = _beside(live, asked)
    return more is not None and more <= FILLED.get((kind, name), frozenset())


FILLED: Mapping[tuple[str, str], Set[str]] = {
    ("ecs_service", "deploymentConfiguration"): frozenset(
        {
            "bakeTimeInMinutes",
            "deploymentCircuitBreaker",
            "maximumPercent",
            "minimumHealthyPercent",
            "resetOnHealthyTask",
            "strategy",
            "thresholdConfiguration",
        }
    ),
    ("discovery_service", "HealthCheckConfig"): frozenset({"FailureThreshold"}),
}
"""What AWS adds to a written structure that leaves it out; whatever else is more than was written is a stranger's."""


def _beside(live: Any, asked: Any) -> Set[str] | None:
    """The names of what a structure has beside what was written; None if it does not hold that."""
    if live == asked:
        return frozenset()
    if not (isinstance(live, Mapping) and isinstance(asked, Mapping)):
        return None
    more = {*live} - {*asked}
    for key, value in asked.items():
        inner = _beside(live.get(key), value)
        if inner is None:
            return None
        more |= inner
    return more


def normal(kind: str, name: str, value: Any) -> Any:
    """The one form of a field's value, None for nothing."""
    if name.startswith(("Tags.", "ListenerCertificates.")):
        return value
    if value in (None, "", [], {}, ()):
        return None
    form = FORMS.get((kind, name)) or FORMS.get(("", name))
    return form(value) if form else value


def _transforms(value: Any) -> Any:
    return elb_rules.from_aws({"Priority": 0, "RuleArn": "", "Transforms": value}).transforms


def _matcher(value: Mapping[str, str]) -> dict[str, str]:
    return {key: codes(text) for key, text in value.items() if text}


def _certificates(value: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(each["CertificateArn"] for each in value)


def _records(value: Iterable[Mapping[str, Any]]) -> frozenset[tuple[str, int]]:
    return frozenset((each["Type"], int(each["TTL"])) for each in value)


def _group(value: Mapping[str, Any]) -> str:
    return str(value["GroupId"])


def _port(value: Any) -> int | None:
    return None if int(value) == -1 else int(value)


def _unordered(value: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """ECS answers 0 and "" where nothing was given."""
    return frozenset(json.dumps({k: v for k, v in each.items() if v}, sort_keys=True) for each in value)


def _network(value: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str], str]:
    found = value.get("awsvpcConfiguration", {})
    lists = (frozenset(found.get(name) or ()) for name in ("subnets", "securityGroups"))
    subnets, groups = lists
    return subnets, groups, found.get("assignPublicIp") or "DISABLED"


def _transformations(value: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in each.items() if v not in (None, "", {}) and (k, v) != ("unit", "None")} for each in value]


def _dashboard(value: Mapping[str, Any]) -> str:
    """All of it, as text: CloudWatch fills in nothing, so what is more than was written is a stranger's."""
    return json.dumps(dashboard.normal(value), sort_keys=True)


def _deployment(value: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is empty: hooks, and alarms where none is named."""
    watched = (value.get("alarms") or {}).get("alarmNames")
    return {key: each for key, each in value.items() if each not in (None, [], {}) and (watched or key != "alarms")}


FORMS: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    ("load_balancer_rule", "Priority"): int,
    ("load_balancer_rule", "Conditions"): elb_condition.from_aws,
    ("load_balancer_rule", "Actions"): elb_action.from_aws,
    ("load_balancer_rule", "Transforms"): _transforms,
    ("listener", "DefaultActions"): elb_action.from_aws,
    ("listener", "Certificates"): _certificates,
    ("target_group", "Matcher"): _matcher,
    ("security_group_rule", "ReferencedGroupInfo"): _group,
    ("security_group_rule", "CidrIpv4"): elb_condition.network,
    ("security_group_rule", "CidrIpv6"): elb_condition.network,
    ("security_group_rule", "FromPort"): _port,
    ("security_group_rule", "ToPort"): _port,
    ("discovery_service", "DnsConfig.DnsRecords"): _records,
    ("record_set", "AliasTarget"): public_dns.normal_target,
    ("metric_filter", "applyOnTransformedLogs"): lambda value: value or None,
    **{("alarm", name): form for name, form in alarm.FORMS.items()},
    ("dashboard", "DashboardBody"): _dashboard,
    ("metric_filter", "metricTransformations"): _transformations,
    ("ecs_service", "deploymentConfiguration"): _deployment,
    ("ecs_service", "loadBalancers"): _unordered,
    ("ecs_service", "serviceRegistries"): _unordered,
    ("ecs_service", "networkConfiguration"): _network,
}
