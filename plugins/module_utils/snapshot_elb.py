# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Load balancers, their listeners and rules, and target groups, as a snapshot has them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb, tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, calling
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry, each, without

BALANCER_VOLATILE = {
    "LoadBalancerArn": "the id",
    "LoadBalancerName": "the name",
    "State": "a status text",
    "CreatedTime": "a time",
}
LISTENER_VOLATILE = {"ListenerArn": "the id", "LoadBalancerArn": "said in where"}
RULE_VOLATILE = {"RuleArn": "the id", "IsDefault": "the default rule is its listener's DefaultActions"}
GROUP_VOLATILE = {
    "TargetGroupArn": "the id",
    "TargetGroupName": "the name",
    "LoadBalancerArns": "follows from the rules and listeners; said in where",
}
Described = Mapping[str, Any]


def edge(aws: Aws, names: Collection[str]) -> Iterator[Entry]:
    """The load balancers of these names with their listeners and rules."""
    if not names:
        return
    with calling("describe the load balancers"):
        found = elb.every(aws.elbv2, "describe_load_balancers", "LoadBalancers")
    balancers = [balancer for balancer in found if balancer["LoadBalancerName"] in names]
    listed = each(lambda one: elb.listeners(aws, one["LoadBalancerArn"]), balancers)
    listeners = [
        (f"{balancer['LoadBalancerName']}:{listener['Port']}", listener)
        for balancer, several in zip(balancers, listed, strict=True)
        for listener in several
    ]
    ruled = each(lambda pair: _rules(aws, *pair), listeners)
    extras = each(lambda pair: _extras(aws, *pair), listeners)
    rules = [
        (name, listener, rule) for (name, listener), several in zip(listeners, ruled, strict=True) for rule in several
    ]
    arns = [one["LoadBalancerArn"] for one in balancers]
    arns += [listener["ListenerArn"] for _name, listener in listeners] + [
        rule["RuleArn"] for _name, _listener, rule in rules
    ]
    tagged = elb.tags_of(aws, arns)
    yield from (_balancer(one, tagged) for one in balancers)
    for (name, listener), extra in zip(listeners, extras, strict=True):
        yield _listener(name, listener, extra, tagged)
    yield from (_rule(*rule, tagged) for rule in rules)


def _balancer(found: Described, tagged: Mapping[str, Mapping[str, str]]) -> Entry:
    arn = found["LoadBalancerArn"]
    fields = without({**found, "Tags": tagged.get(arn, {})}, BALANCER_VOLATILE)
    for unordered in ("SecurityGroups", "AvailabilityZones"):
        if unordered in fields:
            fields[unordered] = sorted(fields[unordered], key=str)
    return Entry("load_balancer", arn, found["LoadBalancerName"], fields)


def _rules(aws: Aws, name: str, listener: Described) -> list[dict[str, Any]]:
    with calling(f"describe the rules of {name}"):
        found = elb.every(aws.elbv2, "describe_rules", "Rules", ListenerArn=listener["ListenerArn"])
    return [rule for rule in found if not rule["IsDefault"]]


def _extras(aws: Aws, name: str, listener: Described) -> dict[str, Any]:
    """The attributes, and the certificates besides the default one, by ARN: they have no order."""
    arn = listener["ListenerArn"]
    with calling(f"describe the attributes of the listener {name}"):
        attributes = aws.elbv2.describe_listener_attributes(ListenerArn=arn)["Attributes"]
    extras = {"Attributes": tags.from_aws(attributes)}
    if listener["Protocol"] in ("HTTPS", "TLS"):
        with calling(f"describe the certificates of the listener {name}"):
            found = elb.every(aws.elbv2, "describe_listener_certificates", "Certificates", ListenerArn=arn)
        extras["ListenerCertificates"] = {one["CertificateArn"]: "" for one in found if not one.get("IsDefault")}
    return extras


def _listener(name: str, found: Described, extras: Described, tagged: Mapping[str, Mapping[str, str]]) -> Entry:
    arn = found["ListenerArn"]
    fields = without({**found, **extras, "Tags": tagged.get(arn, {})}, LISTENER_VOLATILE)
    return Entry("listener", arn, name, fields, {"LoadBalancerArn": found["LoadBalancerArn"]})


def _rule(listener_name: str, listener: Described, found: Described, tagged: Mapping[str, Mapping[str, str]]) -> Entry:
    arn = found["RuleArn"]
    fields = without({**found, "Tags": tagged.get(arn, {})}, RULE_VOLATILE)
    name = f"{listener_name} priority {found['Priority']}"
    return Entry("load_balancer_rule", arn, name, fields, {"ListenerArn": listener["ListenerArn"]})


def one_listener(aws: Aws, name: str, arn: str) -> list[Entry]:
    """The listener as it is now; none if it is gone."""
    try:
        with calling(f"describe the listener {name}"):
            (found,) = aws.elbv2.describe_listeners(ListenerArns=[arn])["Listeners"]
        return [_whole(aws, name, found)]
    except AwsError as error:
        if error.code != "ListenerNotFound":
            raise
        return []


def listeners_at(aws: Aws, name: str, balancer: str, port: int) -> list[Entry]:
    """The listener of a load balancer at a port, whatever its ARN; none if there is none."""
    return [_whole(aws, name, each) for each in elb.listeners(aws, balancer) if int(each["Port"]) == port]


def _whole(aws: Aws, name: str, found: Described) -> Entry:
    return _listener(name, found, _extras(aws, name, found), elb.tags_of(aws, [found["ListenerArn"]]))


def listener_rules(aws: Aws, name: str, arn: str) -> list[Entry]:
    """The rules of a listener as they are now; none if the listener is gone."""
    place = {"ListenerArn": arn}
    try:
        rules = _rules(aws, name, place)
    except AwsError as error:
        if error.code != "ListenerNotFound":
            raise
        return []
    tagged = elb.tags_of(aws, [rule["RuleArn"] for rule in rules])
    return [_rule(name, place, rule, tagged) for rule in rules]


def target_groups(aws: Aws, names: Collection[str]) -> Iterator[Entry]:
    if not names:
        return
    with calling("describe the target groups"):
        found = elb.every(aws.elbv2, "describe_target_groups", "TargetGroups")
    groups = [group for group in found if group["TargetGroupName"] in names]
    attributes = each(lambda group: _attributes(aws, group), groups)
    tagged = elb.tags_of(aws, [group["TargetGroupArn"] for group in groups])
    for group, several in zip(groups, attributes, strict=True):
        arn = group["TargetGroupArn"]
        fields = without({**group, "Attributes": several, "Tags": tagged.get(arn, {})}, GROUP_VOLATILE)
        users = {"LoadBalancerArns": sorted(group.get("LoadBalancerArns", ()))}
        yield Entry("target_group", arn, group["TargetGroupName"], fields, users)


def _attributes(aws: Aws, group: Described) -> dict[str, str]:
    with calling(f"describe the attributes of the target group {group['TargetGroupName']}"):
        answer = aws.elbv2.describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"])
    return tags.from_aws(answer["Attributes"])
