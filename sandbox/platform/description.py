"""What the platform consists of, as frozen values; `healthy` is the platform as it should be.

Names, ports and rules are those of the real environment `development`. A fault is a function from a description to a
description, so any set of them can be present at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ACCOUNT = "123456789012"
REGION = "us-east-1"
ENVIRONMENT = "development"
PREFIX = f"hokusai-{ENVIRONMENT}"
CLUSTER = PREFIX
DOMAIN = "hokus.ai"
REGISTRY_HOST, MAIN_HOST, AUTH_HOST = f"registry.{DOMAIN}", f"api.{DOMAIN}", f"auth.{DOMAIN}"
NAMESPACE = f"{PREFIX}.local"
SESSION_SECRET = f"/hokusai/{ENVIRONMENT}/api/session-secret"
IMAGES = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
API_IMAGE = f"{IMAGES}/hokusai-api:2026.11.0"

API, MLFLOW, AUTH = (f"hokusai-{name}-{ENVIRONMENT}" for name in ("api", "mlflow", "auth"))
REGISTRY_LB, MAIN_LB, AUTH_LB = (f"hokusai-{name}-{ENVIRONMENT}" for name in ("registry", "main", "auth"))
ALB_GROUP = f"hokusai-alb-{ENVIRONMENT}"
REG_API, REG_MLFLOW, API_TG, MLFLOW_TG, AUTH_TG = (
    f"hokusai-{name}-{ENVIRONMENT}" for name in ("reg-api", "reg-mlflow", "api-tg", "mlflow-tg", "auth-tg")
)
API_PORT, MLFLOW_PORT, AUTH_PORT = 8001, 5000, 8000
ANYWHERE = "0.0.0.0/0"
LOCAL_HOSTS = "localhost,localhost:*,127.0.0.1,127.0.0.1:*,10.*"
MLFLOW_NAME = f"mlflow.{NAMESPACE}"


@dataclass(frozen=True)
class SecurityGroup:
    """`ingress` is (port, source) with a source of a CIDR or another group's name."""

    name: str
    ingress: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class TargetGroup:
    """`path_at_rollout` is the health path while the services were rolled out; `health_path` what it is now."""

    name: str
    port: int
    health_path: str = "/health"
    path_at_rollout: str = "/health"


@dataclass(frozen=True)
class Rule:
    priority: int
    paths: tuple[str, ...]
    target_group: str


@dataclass(frozen=True)
class LoadBalancer:
    """An ALB with its HTTPS listener; `default` is a target group's name, or None for a fixed 404.

    `lost_rules` were there while the services were rolled out and have been deleted since.
    """

    name: str
    host: str
    default: str | None
    rules: tuple[Rule, ...]
    lost_rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Service:
    """An ECS service and the task definition it runs; `secrets` maps a variable to the SSM parameter's name.

    `discovery` is the Cloud Map service it should be found under, `registered` whether ECS registers it there.
    `undeployed` are changes of a newer revision that the service does not run.
    """

    name: str
    container: str
    image: str
    port: int
    cpu: int
    memory: int
    environment: dict[str, str]
    target_groups: tuple[str, ...]
    discovery: str
    secrets: dict[str, str] | None = None
    registered: bool = True
    undeployed: dict[str, str] | None = None


@dataclass(frozen=True)
class Platform:
    security_groups: tuple[SecurityGroup, ...]
    target_groups: tuple[TargetGroup, ...]
    load_balancers: tuple[LoadBalancer, ...]
    discovery: tuple[str, ...]
    services: tuple[Service, ...]

    def service(self, name: str) -> Service:
        return next(service for service in self.services if service.name == name)

    def with_changed(self, field: str, name: str, change: Callable[[Any], Any]) -> Platform:
        """Return the platform with the member of `field` that is called `name` changed."""
        members = tuple(change(member) if member.name == name else member for member in getattr(self, field))
        return replace(self, **{field: members})

    def with_environment(self, service: str, **variables: str) -> Platform:
        return self.with_changed(
            "services", service, lambda found: replace(found, environment={**found.environment, **variables})
        )


def healthy(data: Path, admin_key_hash: str) -> Platform:
    """The platform as it should be; `data` is the directory that stands for RDS, S3 and the auth database."""
    return Platform(
        security_groups=security_groups(),
        target_groups=(
            TargetGroup(REG_API, API_PORT),
            TargetGroup(REG_MLFLOW, MLFLOW_PORT),
            TargetGroup(API_TG, API_PORT),
            TargetGroup(MLFLOW_TG, MLFLOW_PORT),
            TargetGroup(AUTH_TG, AUTH_PORT),
        ),
        load_balancers=load_balancers(),
        discovery=("mlflow", "api", "auth"),
        services=(mlflow_service(data), api_service(), auth_service(data, admin_key_hash)),
    )


def security_groups() -> tuple[SecurityGroup, ...]:
    return (
        SecurityGroup(ALB_GROUP, ((80, ANYWHERE), (443, ANYWHERE))),
        SecurityGroup(API, ((API_PORT, ALB_GROUP),)),
        SecurityGroup(MLFLOW, ((MLFLOW_PORT, ALB_GROUP), (MLFLOW_PORT, API))),
        SecurityGroup(AUTH, ((AUTH_PORT, ALB_GROUP), (AUTH_PORT, API))),
    )


def load_balancers() -> tuple[LoadBalancer, ...]:
    proxy = ("/api/mlflow", "/api/mlflow/*")
    registry = (
        Rule(50, ("/mlflow", "/mlflow/*"), REG_MLFLOW),
        Rule(105, proxy, REG_API),
        Rule(110, ("/api/*",), REG_API),
        Rule(120, ("/health*",), REG_API),
    )
    main = (Rule(105, proxy, API_TG), Rule(110, ("/api/v1/*",), API_TG), Rule(120, ("/health*",), API_TG))
    auth = (Rule(100, ("/health",), AUTH_TG), Rule(110, ("/api/v1/*",), AUTH_TG))
    return (
        LoadBalancer(REGISTRY_LB, REGISTRY_HOST, REG_API, registry),
        LoadBalancer(MAIN_LB, MAIN_HOST, None, main),
        LoadBalancer(AUTH_LB, AUTH_HOST, None, auth),
    )


def mlflow_service(data: Path) -> Service:
    return Service(
        name=MLFLOW,
        container="hokusai-mlflow",
        image=f"{IMAGES}/hokusai-mlflow:3.17.2",
        port=MLFLOW_PORT,
        cpu=1024,
        memory=2048,
        environment={
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{data / 'mlflow' / 'mlflow.db'}",
            "MLFLOW_ARTIFACTS_DESTINATION": str(data / "mlflow" / "artifacts"),
            "MLFLOW_SERVER_ALLOWED_HOSTS": f"{MLFLOW_NAME}:{MLFLOW_PORT},{MLFLOW_NAME},{REGISTRY_HOST},{LOCAL_HOSTS}",
        },
        target_groups=(REG_MLFLOW,),
        discovery="mlflow",
    )


def api_service() -> Service:
    return Service(
        name=API,
        container="hokusai-api",
        image=API_IMAGE,
        port=API_PORT,
        cpu=512,
        memory=1024,
        environment={
            "MLFLOW_SERVER_URL": f"http://{MLFLOW_NAME}:{MLFLOW_PORT}",
            "HOKUSAI_AUTH_SERVICE_URL": f"http://auth.{NAMESPACE}:{AUTH_PORT}",
            "AUTH_SERVICE_ID": "platform",
            "MLFLOW_SERVE_ARTIFACTS": "true",
            "MLFLOW_PROXY_TIMEOUT": "55",
            "MLFLOW_CB_FAILURE_THRESHOLD": "5",
            "MLFLOW_CB_RECOVERY_TIMEOUT": "60",
            "MLFLOW_CB_MAX_RECOVERY_ATTEMPTS": "5",
        },
        target_groups=(REG_API, API_TG),
        discovery="api",
        secrets={"SESSION_SECRET": SESSION_SECRET},
    )


def auth_service(data: Path, admin_key_hash: str) -> Service:
    return Service(
        name=AUTH,
        container="hokusai-auth",
        image=f"{IMAGES}/hokusai-auth:2026.10.2",
        port=AUTH_PORT,
        cpu=256,
        memory=512,
        environment={"AUTH_DATABASE": str(data / "auth" / "keys.sqlite"), "AUTH_ADMIN_KEY_HASH": admin_key_hash},
        target_groups=(AUTH_TG,),
        discovery="auth",
    )
