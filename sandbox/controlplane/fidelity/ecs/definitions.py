"""Task definitions as ECS reads them back, and what Fargate refuses."""

from __future__ import annotations

from typing import Any

from moto.core.utils import utcnow
from moto.ecs.exceptions import EcsClientException
from moto.ecs.models import TaskDefinition as MotoTaskDefinition

_REQUIRED = ["com.amazonaws.ecs.capability.docker-remote-api.1.18", "ecs.capability.task-eni"]


class TaskDefinition(MotoTaskDefinition):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """With the read-only fields that a clone must leave out, and the defaults that ECS fills in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.registered_at = utcnow()
        account = self.arn.split(":")[4]
        self.registered_by = f"arn:aws:iam::{account}:root"
        self.requires_attributes = [{"name": name} for name in _REQUIRED]
        for container in self.container_definitions:
            container.setdefault("systemControls", [])
            container["portMappings"] = [self._port_mapping(mapping) for mapping in container["portMappings"]]

    def _port_mapping(self, mapping: dict[str, Any]) -> dict[str, Any]:
        shown = {"protocol": "tcp", **mapping}
        if self.network_mode == "awsvpc":
            shown["hostPort"] = shown["containerPort"]
        return shown


def check(containers: list[dict[str, Any]], request: dict[str, Any]) -> None:
    """Reject what RegisterTaskDefinition rejects for Fargate (ECS developer guide, task definition parameters)."""
    names = [container.get("name") for container in containers]
    if len(set(names)) != len(names):
        raise EcsClientException("Container name duplicates are not allowed.")
    if "FARGATE" not in (request.get("requires_compatibilities") or []):
        return
    if not request.get("cpu") or not request.get("memory"):
        raise EcsClientException("Fargate requires that 'cpu' and 'memory' be defined at the task level.")
    if request.get("network_mode") != "awsvpc":
        raise EcsClientException("Fargate only supports network mode 'awsvpc'.")
    if request.get("execution_role_arn"):
        return
    if any(container.get("secrets") for container in containers):
        raise EcsClientException("Fargate requires task definition to have execution role ARN to support secrets.")
    if any(container.get("logConfiguration", {}).get("logDriver") == "awslogs" for container in containers):
        raise EcsClientException(
            "Fargate requires task definition to have execution role ARN to support log driver awslogs."
        )
