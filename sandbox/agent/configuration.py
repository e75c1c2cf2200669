"""What a deployment's tasks need, read from the deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Configuration:
    """A service revision: `load_balancers` are (target group ARN, port), `registries` ids of Cloud Map services.

    `registered_port` is the one that a registry names (for SRV records it must).
    """

    task_definition: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    load_balancers: tuple[tuple[str, int], ...]
    registries: tuple[str, ...]
    registered_port: int | None = None


def of(deployment: dict[str, Any]) -> Configuration:
    """`deployment` in the shape that `sandbox.controlplane.fidelity.ecs` documents."""
    network = (deployment["networkConfiguration"] or {}).get("awsvpcConfiguration", {})
    return Configuration(
        task_definition=deployment["taskDefinition"],
        subnets=tuple(network.get("subnets", ())),
        security_groups=tuple(network.get("securityGroups", ())),
        load_balancers=tuple(
            (found["targetGroupArn"], int(found["containerPort"])) for found in deployment["loadBalancers"]
        ),
        registries=tuple(found["registryArn"].rpartition("/")[2] for found in deployment["serviceRegistries"]),
        registered_port=next((found.get("containerPort") for found in deployment["serviceRegistries"]), None),
    )
