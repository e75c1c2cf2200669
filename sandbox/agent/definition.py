"""A task definition as the agent needs it, read once from moto's model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ContainerDefinition:
    """One container: `secrets` are (variable, valueFrom); `log_stream` is (group, stream prefix) of awslogs."""

    name: str
    image: str
    command: tuple[str, ...]
    port: int | None
    environment: dict[str, str]
    secrets: tuple[tuple[str, str], ...]
    essential: bool
    log_stream: tuple[str, str] | None


@dataclass(frozen=True)
class TaskDefinition:
    arn: str
    family: str
    cpu: str
    memory: str
    containers: tuple[ContainerDefinition, ...]


def parse(found: Any) -> TaskDefinition:
    """Return moto's task definition as a frozen value."""
    return TaskDefinition(
        arn=found.arn,
        family=found.family,
        cpu=str(found.cpu or ""),
        memory=str(found.memory or ""),
        containers=tuple(parse_container(raw) for raw in found.container_definitions),
    )


def parse_container(raw: dict[str, Any]) -> ContainerDefinition:
    ports = raw.get("portMappings") or []
    return ContainerDefinition(
        name=raw["name"],
        image=raw["image"],
        command=tuple(raw.get("command") or ()),
        port=int(ports[0]["containerPort"]) if ports else None,
        environment={entry["name"]: entry["value"] for entry in raw.get("environment") or ()},
        secrets=tuple((entry["name"], entry["valueFrom"]) for entry in raw.get("secrets") or ()),
        essential=bool(raw.get("essential", True)),
        log_stream=awslogs(raw.get("logConfiguration") or {}),
    )


def awslogs(configuration: dict[str, Any]) -> tuple[str, str] | None:
    options = configuration.get("options") or {}
    if configuration.get("logDriver") != "awslogs" or "awslogs-group" not in options:
        return None
    return options["awslogs-group"], options.get("awslogs-stream-prefix", "ecs")
