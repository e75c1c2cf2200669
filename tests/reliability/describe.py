"""What AWS holds of the platform, by plain describe calls: the collection's own readers are what is tested with it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tests.harness import Sandbox

VOLATILE = frozenset(
    {
        "ResponseMetadata",
        "createdAt",
        "currentServiceRevisions",
        "deployments",
        "events",
        "pendingCount",
        "runningCount",
        "InstanceCount",
        "ServiceCount",
        "AlarmConfigurationUpdatedTimestamp",
        "StateReason",
        "StateTransitionedTimestamp",
        "StateUpdatedTimestamp",
        "StateValue",
        "creationTime",
        "storedBytes",
    }
)
"""What no rollback brings back, at any depth: states of alarms, counts of what runs, what deployments are called and
when they were, the log of events. `docs/rollback.md` publishes each of them."""

IN_ORDER = frozenset({"Actions", "DefaultActions", "Conditions"})
"""Below these every list comes back as it was."""
Document = dict[str, Any]


def describe(sandbox: Sandbox) -> Document:
    """One entry per resource, by a key that tells what it is."""
    found = [*balancing(sandbox), *network(sandbox), *compute(sandbox), *watching(sandbox)]
    return dict(sorted((key, plain(value)) for key, value in found))


def plain(value: Any, *, in_order: bool = False) -> Any:
    """JSON-like, ordered where AWS promises no order, without what is volatile."""
    if isinstance(value, dict):
        kept = {key: inner for key, inner in sorted(value.items()) if key not in VOLATILE}
        return {key: plain(inner, in_order=in_order or key in IN_ORDER) for key, inner in kept.items()}
    if isinstance(value, list):
        listed = [plain(inner, in_order=in_order) for inner in value]
        return listed if in_order else sorted(listed, key=str)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def pages(client: Any, call: str, key: str, **arguments: Any) -> list[Any]:
    found: list[Any] = client.get_paginator(call).paginate(**arguments).build_full_result()[key]
    return found


def balancing(sandbox: Sandbox) -> Iterator[tuple[str, Any]]:
    elb = sandbox.client("elbv2")
    for group in pages(elb, "describe_target_groups", "TargetGroups"):
        arn = group["TargetGroupArn"]
        yield arn, group
        yield f"{arn} attributes", elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
        yield f"{arn} tags", tags(elb, arn)
    for balancer in pages(elb, "describe_load_balancers", "LoadBalancers"):
        yield balancer["LoadBalancerArn"], balancer
        for listener in pages(elb, "describe_listeners", "Listeners", LoadBalancerArn=balancer["LoadBalancerArn"]):
            yield listener["ListenerArn"], listener
            arguments = {"ListenerArn": listener["ListenerArn"]}
            yield f"{listener['ListenerArn']} attributes", elb.describe_listener_attributes(**arguments)["Attributes"]
            yield f"{listener['ListenerArn']} certificates", elb.describe_listener_certificates(**arguments)
            for rule in pages(elb, "describe_rules", "Rules", **arguments):
                yield rule["RuleArn"], rule
                yield f"{rule['RuleArn']} tags", tags(elb, rule["RuleArn"])


def tags(elb: Any, arn: str) -> Any:
    return elb.describe_tags(ResourceArns=[arn])["TagDescriptions"]


def watching(sandbox: Sandbox) -> Iterator[tuple[str, Any]]:
    cloudwatch, logs = sandbox.client("cloudwatch"), sandbox.client("logs")
    for kind, listed in (("MetricAlarm", "MetricAlarms"), ("CompositeAlarm", "CompositeAlarms")):
        for alarm in pages(cloudwatch, "describe_alarms", listed, AlarmTypes=[kind]):
            yield alarm["AlarmArn"], alarm
            tagged = cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
            yield f"{alarm['AlarmArn']} tags", tagged
    for dashboard in pages(cloudwatch, "list_dashboards", "DashboardEntries"):
        name = dashboard["DashboardName"]
        yield f"dashboard {name}", json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
    for group in pages(logs, "describe_log_groups", "logGroups"):
        yield group["arn"], group
        filters = pages(logs, "describe_metric_filters", "metricFilters", logGroupName=group["logGroupName"])
        yield f"{group['arn']} filters", filters


def network(sandbox: Sandbox) -> Iterator[tuple[str, Any]]:
    ec2, discovery, route53 = (sandbox.client(name) for name in ("ec2", "servicediscovery", "route53"))
    for zone in pages(route53, "list_hosted_zones", "HostedZones"):
        records = pages(route53, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone["Id"])
        if not zone["Config"]["PrivateZone"]:
            yield f"records of {zone['Name']}", records
    for group in pages(ec2, "describe_security_groups", "SecurityGroups"):
        yield group["GroupId"], group
    for rule in pages(ec2, "describe_security_group_rules", "SecurityGroupRules"):
        yield rule["SecurityGroupRuleId"], rule
    for namespace in pages(discovery, "list_namespaces", "Namespaces"):
        yield namespace["Id"], discovery.get_namespace(Id=namespace["Id"])
        yield f"{namespace['Id']} tags", discovery.list_tags_for_resource(ResourceARN=namespace["Arn"])["Tags"]
    for service in pages(discovery, "list_services", "Services"):
        yield service["Id"], discovery.get_service(Id=service["Id"])
        yield f"{service['Id']} tags", discovery.list_tags_for_resource(ResourceARN=service["Arn"])["Tags"]


def compute(sandbox: Sandbox) -> Iterator[tuple[str, Any]]:
    ecs = sandbox.client("ecs")
    for cluster in pages(ecs, "list_clusters", "clusterArns"):
        services = pages(ecs, "list_services", "serviceArns", cluster=cluster)
        told = ecs.describe_services(cluster=cluster, services=services, include=["TAGS"]) if services else {}
        for service in told.get("services", ()):
            yield service["serviceArn"], service
    for family in pages(ecs, "list_task_definition_families", "families", status="ACTIVE"):
        yield f"revisions of {family}", pages(ecs, "list_task_definitions", "taskDefinitionArns", familyPrefix=family)


IDS = re.compile(
    r"\b(?:"
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"  # UUIDs: certificates
    r"|(?:(?:sg|sgr|vpc|subnet)-)?[0-9a-f]{16,17}"  # without a prefix: load balancers, target groups, listeners, rules
    r"|[0-9a-f]{48}"  # what Cloud Map knows a repeated request by: of the id of its namespace
    r"|(?:ns|srv|ecs-svc|rtb|eni)-[0-9a-z]+"
    r"|Z[0-9A-Z]{12,}|[0-9A-Z]{22}"  # hosted zones, of Route 53 and of the sandbox's namespaces
    r"|\d{4}-\d\d-\d\d[T ][0-9:.+-]+"
    r")\b"
)
"""What AWS calls things, and times: no two sandboxes, and no two runs, have the same."""
NAMED = (("Id", "Name"), ("GroupId", "GroupName"))
"""Where namespaces, their services and security groups say what they are called."""


def nameless(document: Document) -> Counter[str]:
    """Everything that is there, each with how often, whatever AWS calls it: what two runs that end alike have alike.

    What has a name is told by it wherever something refers to it.
    """
    names = dict(named(document))

    def told(value: Any) -> str:
        masked = IDS.sub(lambda found: names.get(found[0], "ID"), json.dumps(value))
        return json.dumps(plain(json.loads(masked)), sort_keys=True)

    return Counter(f"{told(key)}: {told(value)}" for key, value in document.items())


def named(value: Any) -> Iterator[tuple[str, str]]:
    """Each id below this that belongs to a name, and the name."""
    if isinstance(value, dict):
        yield from ((value[key], value[name]) for key, name in NAMED if {key, name} <= value.keys())
        for inner in value.values():
            yield from named(inner)
    if isinstance(value, list):
        for inner in value:
            yield from named(inner)


def unlike(one: Counter[str], other: Counter[str]) -> list[str]:
    """What either has more of, in words."""
    missing, more = one - other, other - one
    return [*(f"missing: {each}" for each in missing.elements()), *(f"too much: {each}" for each in more.elements())]


def differences(before: Document, after: Document) -> list[str]:
    """Each entry that is not the same, in words."""
    return [
        f"{key}: {words(before.get(key), after.get(key))}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def words(before: Any, after: Any) -> str:
    if before is None or after is None:
        return "was not there before" if before is None else "is gone"
    if not isinstance(before, dict) or not isinstance(after, dict):
        return f"{before} became {after}"
    return "; ".join(parts(before, after))


def parts(before: Document, after: Document) -> Iterable[str]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"{name} {before.get(name)!r} became {after.get(name)!r}"
