"""What runs: log groups, the topic of the alarms, the cluster, Cloud Map, task definitions and services."""

from __future__ import annotations

import secrets
import time
from typing import Any

from sandbox.platform.clients import Clients, tags
from sandbox.platform.description import ACCOUNT, CLUSTER, NAMESPACE, REGION, Platform, Service
from sandbox.platform.network import Network

ROLE = f"arn:aws:iam::{ACCOUNT}:role/hokusai-task-execution-development"
OPERATION_TIMEOUT = 15.0
ALARM_TOPIC = f"{CLUSTER}-alarms"


def build(aws: Clients, platform: Platform, network: Network, groups: dict[str, str]) -> None:
    """Create everything; the services start at once, in the order of the description."""
    registries = discovery(aws, network.vpc_id, platform.discovery)
    insights = [{"name": "containerInsights", "value": "enabled"}]
    aws.ecs.create_cluster(clusterName=CLUSTER, tags=lower(tags(CLUSTER)), settings=insights)
    aws.sns.create_topic(Name=ALARM_TOPIC)
    for service in platform.services:
        aws.logs.create_log_group(logGroupName=log_group(service))
        for parameter in (service.secrets or {}).values():
            aws.ssm.put_parameter(Name=parameter, Type="SecureString", Value=secrets.token_urlsafe(32))
        running = register(aws, service, service.environment)
        if service.undeployed:
            register(aws, service, {**service.environment, **service.undeployed})
        create_service(aws, network, service, running, groups, registries)


def discovery(aws: Clients, vpc_id: str, names: tuple[str, ...]) -> dict[str, str]:
    """Return the Cloud Map services' ARNs by name."""
    operation = aws.servicediscovery.create_private_dns_namespace(Name=NAMESPACE, Vpc=vpc_id)["OperationId"]
    namespace_id = finished(aws, operation)
    return {name: discovery_service(aws, namespace_id, name) for name in names}


def discovery_service(aws: Clients, namespace_id: str, name: str) -> str:
    made = aws.servicediscovery.create_service(
        Name=name,
        NamespaceId=namespace_id,
        DnsConfig={"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": 10}]},
        HealthCheckCustomConfig={"FailureThreshold": 1},
    )
    arn: str = made["Service"]["Arn"]
    return arn


def finished(aws: Clients, operation_id: str) -> str:
    """Wait for a Cloud Map operation on a namespace and return the namespace's id."""
    deadline = time.monotonic() + OPERATION_TIMEOUT
    while time.monotonic() < deadline:
        operation = aws.servicediscovery.get_operation(OperationId=operation_id)["Operation"]
        if operation["Status"] == "SUCCESS":
            namespace_id: str = operation["Targets"]["NAMESPACE"]
            return namespace_id
        time.sleep(0.1)
    raise TimeoutError(f"Cloud Map did not create the namespace {NAMESPACE} within {OPERATION_TIMEOUT:.0f} s")


def register(aws: Clients, service: Service, environment: dict[str, str]) -> str:
    made = aws.ecs.register_task_definition(
        family=service.name,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu=str(service.cpu),
        memory=str(service.memory),
        executionRoleArn=ROLE,
        taskRoleArn=ROLE,
        containerDefinitions=[container(service, environment)],
    )
    arn: str = made["taskDefinition"]["taskDefinitionArn"]
    return arn


def container(service: Service, environment: dict[str, str]) -> dict[str, Any]:
    return {
        "name": service.container,
        "image": service.image,
        "essential": True,
        "portMappings": [{"containerPort": service.port, "hostPort": service.port, "protocol": "tcp"}],
        "environment": [{"name": name, "value": value} for name, value in sorted(environment.items())],
        "secrets": [
            {"name": name, "valueFrom": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{parameter}"}
            for name, parameter in (service.secrets or {}).items()
        ],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group(service),
                "awslogs-region": REGION,
                "awslogs-stream-prefix": "ecs",
            },
        },
    }


def create_service(
    aws: Clients,
    network: Network,
    service: Service,
    task_definition: str,
    groups: dict[str, str],
    registries: dict[str, str],
) -> None:
    aws.ecs.create_service(
        cluster=CLUSTER,
        serviceName=service.name,
        taskDefinition=task_definition,
        desiredCount=1,
        launchType="FARGATE",
        platformVersion="LATEST",
        deploymentConfiguration={
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            "minimumHealthyPercent": 100,
            "maximumPercent": 200,
        },
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": list(network.private_subnets),
                "securityGroups": [network.groups[service.name]],
                "assignPublicIp": "DISABLED",
            }
        },
        loadBalancers=[
            {"targetGroupArn": groups[name], "containerName": service.container, "containerPort": service.port}
            for name in service.target_groups
        ],
        serviceRegistries=[{"registryArn": registries[service.discovery]}] if service.registered else [],
        healthCheckGracePeriodSeconds=300,
        propagateTags="SERVICE",
        tags=lower(tags(service.name)),
    )


def log_group(service: Service) -> str:
    return f"/ecs/{service.name}"


def lower(given: list[dict[str, str]]) -> list[dict[str, str]]:
    """ECS spells tags in lower case."""
    return [{"key": tag["Key"], "value": tag["Value"]} for tag in given]
