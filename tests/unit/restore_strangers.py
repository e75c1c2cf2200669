"""A run and a stranger's write after it, for a field of each kind of resource."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_field import flat
from ansible_collections.hokusai.platform.plugins.modules import (
    alb_target_group,
    cloudmap_namespace,
    cloudmap_service,
    cloudwatch_dashboard,
    log_groups,
)

from tests.unit.ecs_model import CLUSTER, DEFINITION, NAME, NAMESPACE
from tests.unit.restore_platform import Platform, Task
from tests.unit.restore_runs import (
    API,
    HEALTH,
    container,
    ecs,
    group_rules,
    listener,
    permitted,
    route,
    rules,
)

TAG = [{"Key": "team", "Value": "theirs"}]
TEAPOT = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "418"}}]


def found(whole: Platform, kind: str, **fields: Any) -> dict[str, Any]:
    """The one resource of a kind that has these (flat) fields, or this name."""
    name = fields.pop("name", None)
    (one,) = [
        each
        for each in whole.read()["resources"]
        if each["kind"] == kind
        and name in (None, each["name"])
        and all(flat(each["fields"]).get(key) == value for key, value in fields.items())
    ]
    return dict(one)


@dataclass(frozen=True)
class Case:
    """A run, a stranger's write after it, and the resource and field that must keep what the stranger wrote."""

    run: list[Task]
    stranger: Callable[[Platform], Any]
    kind: str
    of: dict[str, Any]
    field: str
    returns: str = ""
    """Another field of the same resource, which the run wrote too and which goes back."""


def arn(whole: Platform, **fields: Any) -> str:
    return str(found(whole, "load_balancer_rule", **fields)["id"])


def sgr(whole: Platform) -> str:
    return str(found(whole, "security_group_rule", **{"Tags.hokusai:name": "alb-to-api"})["id"])


def board(title: str) -> Task:
    widgets = [{"title": title, "metrics": ["errors"]}]
    return cloudwatch_dashboard, {"name": "board", "metrics": [ERRORS], "widgets": widgets}


def painted(whole: Platform, **more: Any) -> None:
    """A stranger gives the dashboard, as it is, some more."""
    body = {**found(whole, "dashboard", name="board")["fields"]["DashboardBody"], **more}
    whole.write("cloudwatch", "put_dashboard", DashboardName="board", DashboardBody=json.dumps(body))


def logs(**more: Any) -> Task:
    return log_groups, {"groups": [{"name": "/ecs/api", **more}]}


def filter_of(whole: Platform) -> dict[str, Any]:
    """The metric filter as its call would make it again."""
    (live,) = whole.write("logs", "describe_metric_filters", logGroupName="/ecs/api")["metricFilters"]
    return {key: live[key] for key in ("logGroupName", "filterName", "filterPattern", "metricTransformations")}


ERRORS = {"id": "errors", "name": "Errors", "namespace": "Test"}
FILTER = {"name": "errors", "namespace": "Test", "metric": "Errors"}
MOVED = rules(route("api", 40, "two", "/api", "/api/*", **API), HEALTH)
RULE = {"Tags.hokusai:name": "api"}
CASES = {
    "a rule's action": Case(
        [MOVED],
        lambda w: w.write("elbv2", "modify_rule", RuleArn=arn(w, **RULE), Actions=TEAPOT),
        "load_balancer_rule",
        RULE,
        "Actions",
        "Priority",
    ),
    "a rule's priority": Case(
        [MOVED],
        lambda w: w.write("elbv2", "set_rule_priorities", RulePriorities=[{"RuleArn": arn(w, **RULE), "Priority": 77}]),
        "load_balancer_rule",
        RULE,
        "Priority",
        "Actions",
    ),
    "a rule's tags": Case(
        [MOVED],
        lambda w: w.write("elbv2", "add_tags", ResourceArns=[arn(w, **RULE)], Tags=TAG),
        "load_balancer_rule",
        RULE,
        "Tags.team",
        "Priority",
    ),
    "a listener's default action": Case(
        [listener(default_action={"type": "fixed_response", "fixed_response": {"status_code": 503}}, tags={"a": "b"})],
        lambda w: w.write("elbv2", "modify_listener", ListenerArn=w.edge.listener, DefaultActions=TEAPOT),
        "listener",
        {"name": "edge:443"},
        "DefaultActions",
        "Tags.a",
    ),
    "a health check": Case(
        [(alb_target_group, {"name": "one", "health_check": {"path": "/health", "interval": 10}})],
        lambda w: w.write(
            "elbv2", "modify_target_group", TargetGroupArn=w.edge.groups["one"], HealthCheckPath="/theirs"
        ),
        "target_group",
        {"name": "one"},
        "HealthCheckPath",
        "HealthCheckIntervalSeconds",
    ),
    "a target group's attribute": Case(
        [
            (
                alb_target_group,
                {"name": "one", "attributes": {"deregistration_delay.timeout_seconds": 30}, "tags": {"a": "b"}},
            )
        ],
        lambda w: w.write(
            "elbv2",
            "modify_target_group_attributes",
            TargetGroupArn=w.edge.groups["one"],
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "60"}],
        ),
        "target_group",
        {"name": "one"},
        "Attributes.deregistration_delay.timeout_seconds",
        "Tags.a",
    ),
    "a group rule's description": Case(
        [group_rules(permitted("renamed", description="now"))],
        lambda w: w.write(
            "ec2",
            "update_security_group_rule_descriptions_ingress",
            GroupId=w.ids["api"],
            SecurityGroupRuleDescriptions=[
                {
                    "SecurityGroupRuleId": found(w, "security_group_rule", **{"Tags.hokusai:name": "renamed"})["id"],
                    "Description": "of others",
                }
            ],
        ),
        "security_group_rule",
        {"Description": "of others"},
        "Description",
        "Tags.hokusai:name",
    ),
    "a namespace's description": Case(
        [(cloudmap_namespace, {"name": NAMESPACE, "description": "now", "tags": {"a": "b"}})],
        lambda w: w.write(
            "servicediscovery",
            "update_private_dns_namespace",
            Id=w.ids["namespace"],
            Namespace={"Description": "of others"},
        ),
        "namespace",
        {},
        "Description",
        "Tags.a",
    ),
    "a discovery service's records": Case(
        [
            (
                cloudmap_service,
                {"name": "api", "namespace": NAMESPACE, "dns_records": [{"type": "A", "ttl": 60}], "tags": {"a": "b"}},
            )
        ],
        lambda w: w.write(
            "servicediscovery",
            "update_service",
            Id=w.ids["registry"].rpartition("/")[2],
            Service={"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 5}]}},
        ),
        "discovery_service",
        {},
        "DnsConfig.DnsRecords",
        "Tags.a",
    ),
    "a dashboard": Case(
        [board("errors")],
        lambda w: painted(w, widgets=[{"type": "text", "properties": {"markdown": "theirs"}}]),
        "dashboard",
        {"name": "board"},
        "DashboardBody",
    ),
    "a dashboard to which something was added": Case(
        [board("errors")],
        lambda w: painted(w, variables=[{"type": "pattern", "pattern": "one", "inputType": "input", "id": "it"}]),
        "dashboard",
        {"name": "board"},
        "DashboardBody",
    ),
    "a log group's retention": Case(
        [logs(retention_days=30)],
        lambda w: w.write("logs", "put_retention_policy", logGroupName="/ecs/api", retentionInDays=7),
        "log_group",
        {"name": "/ecs/api"},
        "retentionInDays",
    ),
    "a metric filter's pattern": Case(
        [logs(metric_filters=[{**FILTER, "pattern": "FATAL", "value": "2"}])],
        lambda w: w.write("logs", "put_metric_filter", **{**filter_of(w), "filterPattern": "THEIRS"}),
        "metric_filter",
        {"name": "errors"},
        "filterPattern",
        "metricTransformations",
    ),
    "a service's revision": Case(
        [ecs(containers=container(image="hokusai-api:2026.11.0"), health_check_grace_period=120)],
        lambda w: w.write(
            "ecs",
            "update_service",
            cluster=CLUSTER,
            service=NAME,
            taskDefinition=w.write("ecs", "register_task_definition", **DEFINITION)["taskDefinition"][
                "taskDefinitionArn"
            ],
        ),
        "ecs_service",
        {},
        "taskDefinition",
        "healthCheckGracePeriodSeconds",
    ),
    "a part of a service's deployment configuration": Case(
        [ecs(circuit_breaker={"enable": True, "rollback": True}, health_check_grace_period=120)],
        lambda w: w.write(
            "ecs",
            "update_service",
            cluster=CLUSTER,
            service=NAME,
            deploymentConfiguration={
                **found(w, "ecs_service")["fields"]["deploymentConfiguration"],
                "maximumPercent": 175,
            },
        ),
        "ecs_service",
        {},
        "deploymentConfiguration",
        "healthCheckGracePeriodSeconds",
    ),
    "a service's count": Case(
        [ecs(desired_count=2, health_check_grace_period=120)],
        lambda w: w.write("ecs", "update_service", cluster=CLUSTER, service=NAME, desiredCount=0),
        "ecs_service",
        {},
        "desiredCount",
        "healthCheckGracePeriodSeconds",
    ),
}
