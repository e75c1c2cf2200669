# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run wrote, from the intents and outcomes of its journal: by resource and field, in AWS's own shapes.

An intent without an outcome may have taken effect or not, so it counts as written. One that AWS refused does not; one
that failed otherwise may have taken effect after all, and counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import (
    alarm,
    log_group,
    snapshot_cloudwatch,
    snapshot_route53,
    tags,
)
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_field import flat

Arguments = Mapping[str, Any]
Fields = Mapping[str, Any]

CREATE, CHANGE, DELETE = "create", "change", "delete"


@dataclass(frozen=True)
class Write:
    """What one intent does to one resource. A removed tag or certificate is a field of None.

    `id` is "" where the journal does not tell it; `where` then says where and under what name the resource is.
    `is_sure` is false where the run may have ended before the call, or AWS may have failed at it.
    """

    kind: str
    id: str
    act: str
    fields: Fields = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    seq: int = 0
    why: str = ""
    is_sure: bool = True


@dataclass
class Written:
    """All that a run did to one resource. `values` are by field everything it may have left there, in order.

    `made` is the number of the intent that created it, `gone` of the one that deleted it, 0 for none.
    """

    kind: str
    id: str
    where: Mapping[str, str] = field(default_factory=dict)
    values: dict[str, list[Any]] = field(default_factory=dict)
    sure: dict[str, list[Any]] = field(default_factory=dict)
    """Of these what AWS told that it took."""
    made: int = 0
    gone: int = 0
    last: int = 0
    is_sure: bool = True
    """Whether it was surely this run that created it, if it did."""

    def add(self, write: Write) -> None:
        self.last = write.seq
        self.where = {**write.where, **self.where}
        if write.act == CREATE:
            self.made, self.is_sure = write.seq, write.is_sure
        if write.act == DELETE:
            self.gone = write.seq
        for name, value in write.fields.items():
            self.values.setdefault(name, []).append(value)
            if write.is_sure:
                self.sure.setdefault(name, []).append(value)


@dataclass(frozen=True)
class Journal:
    """What the entries come to; `other` are intents that nothing here takes back, as {"verb", "why"}."""

    writes: tuple[Write, ...]
    other: tuple[Mapping[str, str], ...]


def read(entries: Iterable[Mapping[str, Any]]) -> Journal:
    """From the journal's entries, in the order of their numbers."""
    entries = sorted(entries, key=lambda entry: int(entry["seq"]))
    outcomes = {int(entry["of"]): entry for entry in entries if entry["kind"] == "outcome"}
    writes: list[Write] = []
    other: list[Mapping[str, str]] = []
    for intent in (entry for entry in entries if entry["kind"] == "intent"):
        outcome = outcomes.get(int(intent["seq"]), {})
        if outcome.get("result") == "failed" and not is_uncertain(str(outcome.get("error", ""))):
            continue
        told = VERBS.get((intent["service"], intent["verb"]))
        if told is None:
            other.append({"verb": f"{intent['service']}:{intent['verb']}", "why": intent["why"]})
            continue
        for write in told(intent.get("args") or {}, outcome.get("response") or {}):
            is_sure = outcome.get("result") in ("done", "landed")
            act = CHANGE if write.act == CREATE and intent.get("over") else write.act
            writes.append(replace(write, act=act, seq=int(intent["seq"]), why=intent["why"], is_sure=is_sure))
    return Journal(tuple(writes), tuple(other))


def is_uncertain(code: str) -> bool:
    """Whether an error leaves open what became of the call: no answer came, or AWS failed at answering."""
    return code.endswith(UNCERTAIN)


UNCERTAIN = (
    "AuthServiceError",
    *("InternalFailure", "InternalError", "InternalServerError", "ServiceUnavailable", "Unavailable"),
    *("ServerException", "ServiceFailure", "RequestTimeout", "TimeoutError", "ConnectionError", "ClosedError"),
    *("HTTPClientError", "ResponseStreamingError", "500", "502", "503", "504"),
)
"""Ends of AWS's error codes and of botocore's exceptions."""


def found(value: Any, key: str) -> Iterator[str]:
    """Every text under the key, however deep: a journal keeps of a response the ids alone."""
    if isinstance(value, Mapping):
        if isinstance(value.get(key), str):
            yield value[key]
        yield from chain.from_iterable(found(inner, key) for inner in value.values())
    elif isinstance(value, list):
        yield from chain.from_iterable(found(inner, key) for inner in value)


def first(value: Any, *keys: str) -> str:
    return next(chain.from_iterable(found(value, key) for key in keys), "")


# --- load balancing

ELB_KINDS = {
    ":listener-rule/": "load_balancer_rule",
    ":listener/": "listener",
    ":targetgroup/": "target_group",
    ":loadbalancer/": "load_balancer",
}


def _but(arguments: Arguments, *names: str) -> dict[str, Any]:
    given = {key: value for key, value in arguments.items() if key not in names}
    if "Tags" in given:
        given["Tags"] = tags.from_aws(given["Tags"])
    if "Attributes" in given:
        given["Attributes"] = tags.from_aws(given["Attributes"])
    return flat(given)


def _create_rule(arguments: Arguments, response: Arguments) -> Iterator[Write]:
    fields = {**_but(arguments, "ListenerArn"), "Priority": str(arguments["Priority"])}
    yield Write(
        "load_balancer_rule", first(response, "RuleArn"), CREATE, fields, {"ListenerArn": arguments["ListenerArn"]}
    )


def _modify_rule(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    fields = _but(arguments, "RuleArn", "ResetTransforms")
    if arguments.get("ResetTransforms"):
        fields["Transforms"] = []
    yield Write("load_balancer_rule", arguments["RuleArn"], CHANGE, fields)


def _priorities(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    for each in arguments["RulePriorities"]:
        yield Write("load_balancer_rule", each["RuleArn"], CHANGE, {"Priority": str(each["Priority"])})


def _create_listener(arguments: Arguments, response: Arguments) -> Iterator[Write]:
    where = {"LoadBalancerArn": arguments["LoadBalancerArn"], "Port": str(arguments["Port"])}
    yield Write("listener", first(response, "ListenerArn"), CREATE, _but(arguments, "LoadBalancerArn"), where)


def _create_group(arguments: Arguments, response: Arguments) -> Iterator[Write]:
    arn = first(response, "TargetGroupArn")
    yield Write("target_group", arn, CREATE, _but(arguments, "Name"), {"name": arguments["Name"]})


def _certificates(value: str | None) -> Callable[[Arguments, Arguments], Iterator[Write]]:
    def told(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
        fields = {f"ListenerCertificates.{each['CertificateArn']}": value for each in arguments["Certificates"]}
        yield Write("listener", arguments["ListenerArn"], CHANGE, fields)

    return told


def _change(kind: str, key: str) -> Callable[[Arguments, Arguments], Iterator[Write]]:
    def told(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
        yield Write(kind, arguments[key], CHANGE, _but(arguments, key))

    return told


def _delete(kind: str, key: str) -> Callable[[Arguments, Arguments], Iterator[Write]]:
    def told(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
        yield Write(kind, arguments[key], DELETE)

    return told


def _tagged(ids: Iterable[str], added: Mapping[str, str | None]) -> Iterator[Write]:
    for identity in ids:
        yield Write(_kind(identity), _id(identity), CHANGE, {f"Tags.{name}": text for name, text in added.items()})


def _kind(identity: str) -> str:
    """The kind of resource an ARN or an EC2 id is of."""
    for mark, kind in ELB_KINDS.items():
        if mark in identity:
            return kind
    if ":cloudwatch:" in identity:
        return "alarm"
    if ":servicediscovery:" in identity:
        return "namespace" if ":namespace/" in identity else "discovery_service"
    if ":ecs:" in identity:
        return "ecs_service" if ":service/" in identity else "task_definition"
    return "security_group_rule" if identity.startswith("sgr-") else "security_group"


def _id(identity: str) -> str:
    if ":cloudwatch:" in identity:
        return identity.rpartition(":alarm:")[2]
    return identity.rpartition("/")[2] if ":servicediscovery:" in identity else identity


def _tag(ids: str, listed: str = "Tags") -> Callable[[Arguments, Arguments], Iterator[Write]]:
    def told(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
        given = arguments[ids]
        yield from _tagged([given] if isinstance(given, str) else given, tags.from_aws(arguments[listed]))

    return told


def _untag(ids: str, listed: str) -> Callable[[Arguments, Arguments], Iterator[Write]]:
    def told(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
        given = arguments[ids]
        names = [each if isinstance(each, str) else each["Key"] for each in arguments[listed]]
        yield from _tagged([given] if isinstance(given, str) else given, dict.fromkeys(names))

    return told


# --- security groups

RANGES = {
    "IpRanges": ("CidrIp", "CidrIpv4"),
    "Ipv6Ranges": ("CidrIpv6", "CidrIpv6"),
    "PrefixListIds": ("PrefixListId", "PrefixListId"),
    "UserIdGroupPairs": ("GroupId", "ReferencedGroupInfo"),
}


def _authorize(*, egress: bool) -> Callable[[Arguments, Arguments], Iterator[Write]]:
    def told(arguments: Arguments, response: Arguments) -> Iterator[Write]:
        rules = list(chain.from_iterable(map(_permitted, arguments["IpPermissions"])))
        ids = list(found(response, "SecurityGroupRuleId"))
        for number, rule in enumerate(rules):
            tagged = [tags.from_aws(each["Tags"]) for each in arguments.get("TagSpecifications", ())]
            fields = flat({**rule, "IsEgress": egress, "Tags": tagged[0] if tagged else {}})
            identity = ids[number] if len(ids) == len(rules) else ""
            yield Write("security_group_rule", identity, CREATE, fields, {"GroupId": arguments["GroupId"]})

    return told


def _permitted(permission: Arguments) -> Iterator[dict[str, Any]]:
    """The rules that an element of `IpPermissions` makes, as DescribeSecurityGroupRules has them."""
    common = {key: permission[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in permission}
    for listed, (given, key) in RANGES.items():
        for each in permission.get(listed, ()):
            peer = {"GroupId": each["GroupId"]} if listed == "UserIdGroupPairs" else each[given]
            described = {"Description": each["Description"]} if each.get("Description") else {}
            yield {**common, key: peer, **described}


def _modify_group_rules(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    """A rule is given whole, so ports that are not given are none from then on."""
    for each in arguments["SecurityGroupRules"]:
        fields = {"FromPort": None, "ToPort": None, **each["SecurityGroupRule"]}
        if "ReferencedGroupId" in fields:
            fields["ReferencedGroupInfo"] = {"GroupId": fields.pop("ReferencedGroupId")}
        yield Write("security_group_rule", each["SecurityGroupRuleId"], CHANGE, fields)


def _revoke(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    for identity in arguments.get("SecurityGroupRuleIds", ()):
        yield Write("security_group_rule", identity, DELETE)


# --- Cloud Map


def _create_namespace(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    fields = _but(arguments, "Name", "Vpc", "CreatorRequestId")
    yield Write("namespace", "", CREATE, fields, {"name": arguments["Name"]})


def _update_namespace(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    yield Write("namespace", arguments["Id"], CHANGE, _but(arguments["Namespace"]))


def _create_service(arguments: Arguments, response: Arguments) -> Iterator[Write]:
    fields = _but(arguments, "Name", "NamespaceId", "CreatorRequestId")
    where = {"NamespaceId": arguments["NamespaceId"], "name": arguments["Name"]}
    yield Write("discovery_service", first(response.get("Service", response), "Id"), CREATE, fields, where)


def _update_service(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    yield Write("discovery_service", arguments["Id"], CHANGE, _but(arguments["Service"]))


# --- ECS


def _register(arguments: Arguments, response: Arguments) -> Iterator[Write]:
    where = {"family": arguments.get("family", "")}
    yield Write("task_definition", first(response, "taskDefinitionArn"), CREATE, {}, where)


def _create_ecs(arguments: Arguments, response: Arguments) -> Iterator[Write]:
    where = _service(arguments["cluster"], arguments["serviceName"])
    tagged = tags.from_aws(arguments.get("tags"))
    fields = {f"Tags.{name}": text for name, text in tagged.items()}
    yield Write("ecs_service", first(response, "serviceArn"), CREATE, fields, where)


def _update_ecs(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    where = _service(arguments["cluster"], arguments["service"])
    yield Write("ecs_service", "", CHANGE, _but(arguments, "cluster", "service", "forceNewDeployment"), where)


def _delete_ecs(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    yield Write("ecs_service", "", DELETE, {}, _service(arguments["cluster"], arguments["service"]))


def _service(cluster: str, service: str) -> dict[str, str]:
    return {"cluster": cluster.rpartition("/")[2], "service": service.rpartition("/")[2]}


# --- CloudWatch, whose writes create what is not there; an intent says `over` where the run saw it there


def _put_alarm(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    fields = {**dict.fromkeys(alarm.SETTINGS), **_but(arguments, "AlarmName")}
    yield Write("alarm", arguments["AlarmName"], CREATE, fields)


def _put_dashboard(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    body = json.loads(arguments["DashboardBody"])
    yield Write("dashboard", arguments["DashboardName"], CREATE, {"DashboardBody": body})


def _delete_named(kind: str, listed: str) -> Callable[[Arguments, Arguments], Iterator[Write]]:
    def told(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
        for name in arguments[listed]:
            yield Write(kind, name, DELETE)

    return told


def _create_log_group(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    yield Write("log_group", arguments["logGroupName"], CREATE)


def _retention(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    fields = {"retentionInDays": arguments.get("retentionInDays")}
    yield Write("log_group", arguments["logGroupName"], CHANGE, fields)


def _put_filter(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    fields = {**dict.fromkeys(log_group.FILTER_OPTIONS), **_but(arguments, "logGroupName", "filterName")}
    yield Write("metric_filter", _filter_id(arguments), CREATE, fields)


def _delete_filter(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    yield Write("metric_filter", _filter_id(arguments), DELETE)


def _filter_id(arguments: Arguments) -> str:
    return snapshot_cloudwatch.filter_id(arguments["logGroupName"], arguments["filterName"])


# --- Route 53


_ANSWERS = dict.fromkeys(("TTL", "ResourceRecords", "AliasTarget"))
"""What a record answers: values for some time, or an alias. Whatever it does not say, it takes away."""


def _change_records(arguments: Arguments, _response: Arguments) -> Iterator[Write]:
    zone = arguments["HostedZoneId"]
    for change in arguments["ChangeBatch"]["Changes"]:
        record = change["ResourceRecordSet"]
        act = {"DELETE": DELETE, "CREATE": CREATE, "UPSERT": CHANGE}[change["Action"]]
        fields = {} if act == DELETE else {**_ANSWERS, **_but(record, *snapshot_route53.RECORD_VOLATILE)}
        yield Write(snapshot_route53.KIND, snapshot_route53.record_id(zone, record), act, fields)


VERBS: Mapping[tuple[str, str], Callable[[Arguments, Arguments], Iterator[Write]]] = {
    ("elbv2", "create_rule"): _create_rule,
    ("elbv2", "modify_rule"): _modify_rule,
    ("elbv2", "set_rule_priorities"): _priorities,
    ("elbv2", "delete_rule"): _delete("load_balancer_rule", "RuleArn"),
    ("elbv2", "create_listener"): _create_listener,
    ("elbv2", "modify_listener"): _change("listener", "ListenerArn"),
    ("elbv2", "modify_listener_attributes"): _change("listener", "ListenerArn"),
    ("elbv2", "add_listener_certificates"): _certificates(""),
    ("elbv2", "remove_listener_certificates"): _certificates(None),
    ("elbv2", "delete_listener"): _delete("listener", "ListenerArn"),
    ("elbv2", "create_target_group"): _create_group,
    ("elbv2", "modify_target_group"): _change("target_group", "TargetGroupArn"),
    ("elbv2", "modify_target_group_attributes"): _change("target_group", "TargetGroupArn"),
    ("elbv2", "delete_target_group"): _delete("target_group", "TargetGroupArn"),
    ("elbv2", "add_tags"): _tag("ResourceArns"),
    ("elbv2", "remove_tags"): _untag("ResourceArns", "TagKeys"),
    ("ec2", "authorize_security_group_ingress"): _authorize(egress=False),
    ("ec2", "authorize_security_group_egress"): _authorize(egress=True),
    ("ec2", "modify_security_group_rules"): _modify_group_rules,
    ("ec2", "revoke_security_group_ingress"): _revoke,
    ("ec2", "revoke_security_group_egress"): _revoke,
    ("ec2", "create_tags"): _tag("Resources"),
    ("ec2", "delete_tags"): _untag("Resources", "Tags"),
    ("servicediscovery", "create_private_dns_namespace"): _create_namespace,
    ("servicediscovery", "update_private_dns_namespace"): _update_namespace,
    ("servicediscovery", "delete_namespace"): _delete("namespace", "Id"),
    ("servicediscovery", "create_service"): _create_service,
    ("servicediscovery", "update_service"): _update_service,
    ("servicediscovery", "delete_service"): _delete("discovery_service", "Id"),
    ("servicediscovery", "tag_resource"): _tag("ResourceARN"),
    ("servicediscovery", "untag_resource"): _untag("ResourceARN", "TagKeys"),
    ("ecs", "register_task_definition"): _register,
    ("ecs", "deregister_task_definition"): _delete("task_definition", "taskDefinition"),
    ("ecs", "create_service"): _create_ecs,
    ("ecs", "update_service"): _update_ecs,
    ("ecs", "delete_service"): _delete_ecs,
    ("ecs", "tag_resource"): _tag("resourceArn", "tags"),
    ("ecs", "untag_resource"): _untag("resourceArn", "tagKeys"),
    ("route53", "change_resource_record_sets"): _change_records,
    ("cloudwatch", "put_metric_alarm"): _put_alarm,
    ("cloudwatch", "put_composite_alarm"): _put_alarm,
    ("cloudwatch", "delete_alarms"): _delete_named("alarm", "AlarmNames"),
    ("cloudwatch", "tag_resource"): _tag("ResourceARN"),
    ("cloudwatch", "untag_resource"): _untag("ResourceARN", "TagKeys"),
    ("cloudwatch", "put_dashboard"): _put_dashboard,
    ("cloudwatch", "delete_dashboards"): _delete_named("dashboard", "DashboardNames"),
    ("logs", "create_log_group"): _create_log_group,
    ("logs", "put_retention_policy"): _retention,
    ("logs", "delete_retention_policy"): _retention,
    ("logs", "put_metric_filter"): _put_filter,
    ("logs", "delete_metric_filter"): _delete_filter,
}
"""By service and botocore method what a write does: every method that a plan of this collection has."""
