"""What a deployment rolls out: the parts of a service whose change starts a new one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Configuration:
    """A service revision: task definition, network, load balancers, registries; the latter three as JSON text.

    Source: ECS API reference, `UpdateService`: a change of any of these triggers a new deployment.
    """

    task_definition: str
    network: str
    load_balancers_json: str
    registries_json: str

    @property
    def subnets(self) -> tuple[str, ...]:
        return tuple(self._vpc.get("subnets", ()))

    @property
    def security_groups(self) -> tuple[str, ...]:
        return tuple(self._vpc.get("securityGroups", ()))

    @property
    def load_balancers(self) -> tuple[tuple[str, int], ...]:
        """(target group ARN, container port)."""
        bindings = json.loads(self.load_balancers_json)
        return tuple((found["targetGroupArn"], int(found["containerPort"])) for found in bindings)

    @property
    def registries(self) -> tuple[str, ...]:
        """Ids of the Cloud Map services."""
        return tuple(found["registryArn"].rpartition("/")[2] for found in json.loads(self.registries_json))

    @property
    def _vpc(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.network).get("awsvpcConfiguration", {})
        return found


def of(service: Any, ecs: Any) -> Configuration:
    """The configuration that moto's service asks for now."""
    return Configuration(
        task_definition=ecs.describe_task_definition(service.task_definition).arn,
        network=text(service.network_configuration or {}),
        load_balancers_json=text(service.load_balancers or []),
        registries_json=text(service.service_registries or []),
    )


def restore(service: Any, configuration: Configuration) -> None:
    """Make a service ask for an earlier configuration again: a rollback."""
    service.task_definition = configuration.task_definition
    service.network_configuration = json.loads(configuration.network)
    service.load_balancers = json.loads(configuration.load_balancers_json)
    service.service_registries = json.loads(configuration.registries_json)


def text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
