"""What the tests of ecs_service ask for, and the service they ask it of as the module sees it."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.ecs_service import (
    CircuitBreaker,
    Live,
    LoadBalancer,
    Network,
    Service,
)
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed
from ansible_collections.hokusai.platform.plugins.module_utils.task_definition import Revision

CLUSTER, NAME, CONTAINER = "hokusai-development", "hokusai-api-development", "hokusai-api"
NAMESPACE = "hokusai-development.local"
REGISTER, UPDATE = "register_task_definition", "update_service"
Options = dict[str, Any]

ENVIRONMENT = {"AUTH_SERVICE_ID": "ml-platform", "DB_PASSWORD": "hunter2", "MLFLOW_PROXY_TIMEOUT": "120"}
SECRET = {"name": "SESSION_SECRET", "valueFrom": "/hokusai/development/api/session-secret"}
DEFINITION: dict[str, Any] = {
    "family": NAME,
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "512",
    "memory": "1024",
    "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
    "containerDefinitions": [
        {
            "name": CONTAINER,
            "image": "hokusai-api:incident",
            "command": ["serve", "--port=8001"],
            "portMappings": [{"containerPort": 8001}],
            "environment": [{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
            "secrets": [SECRET],
        }
    ],
    "tags": [{"key": "team", "value": "ml"}],
}


def params(**more: Any) -> Options:
    """The options after Ansible has filled in the defaults."""
    silent = (
        "containers",
        "service_registries",
        "network",
        "load_balancers",
        "circuit_breaker",
        "health_check_grace_period",
        "desired_count",
        "minimum_count",
    )
    waiting = {"replace_unregistered": True, "wait": True, "wait_timeout": 10, "wait_delay": 0.05}
    return {"cluster": CLUSTER, "service": NAME, **dict.fromkeys(silent), **waiting, **more}


def container(**more: Any) -> Options:
    """Options for one change of the container."""
    silent = dict.fromkeys(("image", "command", "environment", "secrets"))
    empty: Options = {"environment_mode": "merge", "remove_environment": [], "remove_secrets": []}
    return params(containers=[{"name": CONTAINER, **silent, **empty, **more}])


def registry(service: str = "api", **more: Any) -> Options:
    return {"namespace": NAMESPACE, "service": service, "container_name": None, "container_port": None, **more}


def balancer(group: str) -> Options:
    return {"target_group": group, "container_name": CONTAINER, "container_port": 8001}


def network(**more: Any) -> Options:
    return {"subnets": None, "security_groups": None, "assign_public_ip": None, **more}


WHOLE = {
    **container(environment={"AUTH_SERVICE_ID": "platform"}),
    "service_registries": [registry()],
    "network": network(security_groups=["api", "extra"]),
    "load_balancers": [balancer("reg-api"), balancer("api-tg")],
    "circuit_breaker": {"enable": True, "rollback": True},
    "health_check_grace_period": 300,
    "desired_count": 2,
}

# what is asked for of the service below, and the steps it takes
TABLE: dict[str, tuple[Options, list[str]]] = {
    "nothing asked is nothing to do": (params(), []),
    "what is there already is nothing to do": (
        {
            **container(image="hokusai-api:incident", environment={"AUTH_SERVICE_ID": "ml-platform"}),
            "network": network(subnets=["private-1"], security_groups=["api"], assign_public_ip=False),
            "load_balancers": [balancer("reg-api")],
            "circuit_breaker": {"enable": False, "rollback": None},
            "desired_count": 1,
        },
        [],
    ),
    "a changed environment value": (container(environment={"AUTH_SERVICE_ID": "platform"}), [REGISTER, UPDATE]),
    "a removed variable": (container(remove_environment=["MLFLOW_PROXY_TIMEOUT"]), [REGISTER, UPDATE]),
    "a variable that is gone already": (container(remove_environment=["NOT_THERE"]), []),
    "a command of the same length": (container(command=["serve", "--port=8002"]), [REGISTER, UPDATE]),
    "an image": (container(image="hokusai-api:2026.11.0"), [REGISTER, UPDATE]),
    "a secret": (container(secrets={"OTHER": "/other"}), [REGISTER, UPDATE]),
    "registries alone": (params(service_registries=[registry()]), [UPDATE]),
    "security groups alone": (params(network=network(security_groups=["extra"])), [UPDATE]),
    "subnets by name": (params(network=network(subnets=["private-1", "private-2"])), [UPDATE]),
    "a public address": (params(network=network(assign_public_ip=True)), [UPDATE]),
    "load balancers alone": (params(load_balancers=[balancer("reg-api"), balancer("api-tg")]), [UPDATE]),
    "no load balancers": (params(load_balancers=[]), [UPDATE]),
    "the circuit breaker alone": (params(circuit_breaker={"enable": True, "rollback": True}), [UPDATE]),
    "the grace period alone": (params(health_check_grace_period=300), [UPDATE]),
    "the count alone": (params(desired_count=2), [UPDATE]),
    "a count below the minimum": (params(minimum_count=2), [UPDATE]),
    "a count at the minimum": (params(minimum_count=1), []),
    "everything at once": (WHOLE, [REGISTER, UPDATE]),
}

IDS = {
    "security group api": "sg-api",
    "security group extra": "sg-extra",
    "subnet private-1": "subnet-1",
    "subnet private-2": "subnet-2",
    "target group reg-api": "arn:reg-api",
    "target group api-tg": "arn:api-tg",
    f"Cloud Map service {NAMESPACE}/api": "arn:aws:servicediscovery:us-east-1:123456789012:service/srv-1",
}


def seen(**more: Any) -> Observed[Service]:
    """What observe makes of the service below."""
    told = {**DEFINITION, "taskDefinitionArn": f"arn:task-definition/{NAME}:1", "status": "ACTIVE"}
    answer = {"taskDefinition": told, "tags": []}
    revision = Revision.described(answer)
    service = Service(
        CLUSTER,
        NAME,
        revision.containers,
        frozenset(),
        Network(frozenset({"private-1"}), frozenset({"api"}), False),
        frozenset({LoadBalancer("reg-api", CONTAINER, 8001)}),
        CircuitBreaker(False, False),
        0,
        1,
        live=Live(revision, None, {"maximumPercent": 200, "minimumHealthyPercent": 100}),
    )
    return Observed(dataclasses.replace(service, **more), IDS)
