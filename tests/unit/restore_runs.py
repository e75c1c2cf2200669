"""Runs, by what they write: for the tests that take them back."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import tags
from ansible_collections.hokusai.platform.plugins.modules import (
    alb_listener,
    alb_rules,
    alb_target_group,
    cloudmap_namespace,
    cloudmap_service,
    ecs_service,
    security_group_rules,
)

from tests.unit.alb_edge import BALANCER, PORT, Edge
from tests.unit.alb_model import ours, theirs
from tests.unit.ecs_model import CLUSTER, CONTAINER, NAME, NAMESPACE
from tests.unit.restore_platform import Platform, Task


def furnished(aws: Any, edge: Edge, platform: dict[str, str]) -> Platform:
    """Rules of ours and of others in no canonical form, a described group rule of ours and one of others."""
    aws.elbv2.create_rule(
        ListenerArn=edge.listener,
        Priority=10,
        Conditions=[
            {"Field": "path-pattern", "Values": ["/api/*", "/api"]},
            {"Field": "host-header", "Values": ["b.test", "a.test"]},
        ],
        Actions=[
            {
                "Type": "forward",
                "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": edge.groups["one"], "Weight": 7}]},
            }
        ],
        Tags=tags.to_aws(tags.owned({}, name="api")),
    )
    edge.make_rule(theirs(20, "two", paths=["/old/*"]))
    edge.make_rule(ours("health", 30, "three", paths=["/health*"]))
    tagged = tags.to_aws(tags.owned({}, name="alb-to-api"))
    permission = {"IpProtocol": "tcp", "FromPort": 8001, "ToPort": 8001}
    aws.ec2.authorize_security_group_ingress(
        GroupId=platform["api"],
        IpPermissions=[{**permission, "UserIdGroupPairs": [{"GroupId": platform["extra"], "Description": "was"}]}],
        TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": tagged}],
    )
    aws.ec2.authorize_security_group_ingress(
        GroupId=platform["api"],
        IpPermissions=[{**permission, "IpRanges": [{"CidrIp": "10.9.0.0/16", "Description": "theirs"}]}],
    )
    return Platform(aws, edge, platform)


def rules(*listed: dict[str, Any], **more: Any) -> Task:
    return alb_rules, {"load_balancer": BALANCER, "port": PORT, "rules": list(listed), **more}


def route(name: str, priority: int, to: str, *paths: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "priority": priority, "paths": list(paths), "action": {**FORWARD, "target_group": to}, **more}


FORWARD = {"type": "forward"}
API = {"hosts": ["a.test", "b.test"]}
HEALTH = route("health", 30, "three", "/health*")


def listener(**more: Any) -> Task:
    return alb_listener, {"load_balancer": BALANCER, "port": PORT, "protocol": "HTTP", **more}


def group_rules(*listed: dict[str, Any]) -> Task:
    return security_group_rules, {"group": "api", "rules": list(listed)}


def permitted(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "port": 8001, "group": "extra", **more}


def ecs(**more: Any) -> Task:
    return ecs_service, {"cluster": CLUSTER, "service": NAME, "wait_timeout": 10, "wait_delay": 0.05, **more}


def container(**more: Any) -> list[dict[str, Any]]:
    return [{"name": CONTAINER, **more}]


REGISTRY = {"namespace": NAMESPACE, "service": "api"}
RUNS: dict[str, list[Task]] = {
    "a rule's action": [rules(route("api", 10, "two", "/api", "/api/*", **API), HEALTH)],
    "a rule's conditions": [rules(route("api", 10, "one", "/v2/*"), HEALTH)],
    "a rule's priority": [rules(route("api", 40, "one", "/api", "/api/*", **API), HEALTH)],
    "two rules that trade places": [
        rules(route("api", 30, "one", "/api", "/api/*", **API), route("health", 10, "three", "/health*"))
    ],
    "a rule that was created": [
        rules(route("api", 10, "one", "/api", "/api/*", **API), HEALTH, route("new", 15, "two", "/new"))
    ],
    "a rule of others that was adopted": [
        rules(route("api", 10, "one", "/api", "/api/*", **API), HEALTH, route("old", 20, "one", "/old/*"))
    ],
    "a listener's default action": [
        listener(default_action={"type": "fixed_response", "fixed_response": {"status_code": 503}})
    ],
    "a listener's attributes": [listener(attributes={"routing.http.response.server.enabled": "false"})],
    "a listener's tags": [listener(tags={"team": "ml"})],
    "a health check": [
        (alb_target_group, {"name": "one", "health_check": {"path": "/health", "interval": 10, "matcher": "200,404"}})
    ],
    "a target group's attributes": [
        (alb_target_group, {"name": "one", "attributes": {"deregistration_delay.timeout_seconds": 30}})
    ],
    "a target group's tags": [(alb_target_group, {"name": "one", "tags": {"team": "ml"}})],
    "a group rule that was added": [group_rules(permitted("alb-to-api", description="was"), permitted("b", port=9000))],
    "a group rule's description": [group_rules(permitted("alb-to-api", description="now"))],
    "a group rule's name": [group_rules(permitted("renamed", description="was"))],
    "a group rule's port": [group_rules(permitted("alb-to-api", port=9000))],
    "a group rule's port, peer and description": [
        group_rules(permitted("alb-to-api", port=9000, group="api", description="now"))
    ],
    "a group rule's protocol": [group_rules(permitted("alb-to-api", port=None, protocol="all"))],
    "a group rule whose name went to a new one": [
        group_rules(permitted("new", description="was"), permitted("alb-to-api", port=9000))
    ],
    "a group rule that changed twice, beside one that was created and changed": [
        group_rules(permitted("alb-to-api", port=9000), permitted("b", port=9001)),
        group_rules(permitted("alb-to-api", port=9002), permitted("b", port=9000)),
    ],
    "a group rule whose former content another one has": [
        group_rules(permitted("alb-to-api", port=9000)),
        group_rules(permitted("alb-to-api", port=9000), permitted("b")),
    ],
    "a namespace's description and tags": [
        (cloudmap_namespace, {"name": NAMESPACE, "description": "now", "tags": {"team": "ml"}})
    ],
    "a discovery service's TTL": [
        (cloudmap_service, {"name": "api", "namespace": NAMESPACE, "dns_records": [{"type": "A", "ttl": 60}]})
    ],
    "a discovery service that was created": [(cloudmap_service, {"name": "new", "namespace": NAMESPACE})],
    "a service's environment": [ecs(containers=container(environment={"AUTH_SERVICE_ID": "platform"}))],
    "a service's registries": [ecs(service_registries=[REGISTRY])],
    "a service's load balancers": [
        ecs(
            load_balancers=[
                {"target_group": g, "container_name": CONTAINER, "container_port": 8001} for g in ("reg-api", "api-tg")
            ]
        )
    ],
    "a service's network": [ecs(network={"security_groups": ["api", "extra"], "subnets": ["private-1", "private-2"]})],
    "a service's counts and times": [
        ecs(desired_count=2, health_check_grace_period=120, circuit_breaker={"enable": True, "rollback": True})
    ],
    "a service twice, in a discovery service of the same run": [
        (cloudmap_service, {"name": "new", "namespace": NAMESPACE}),
        ecs(service_registries=[{"namespace": NAMESPACE, "service": "new"}]),
        ecs(containers=container(environment={"AUTH_SERVICE_ID": "platform"})),
        ecs(containers=container(environment={"AUTH_SERVICE_ID": "other"})),
    ],
}


def text(document: Any) -> str:
    return json.dumps(document, indent=1, sort_keys=True)
