"""A service and its deployments."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import Any

from moto.core.utils import utcnow
from moto.ecs.models import Service as MotoService

Json = dict[str, Any]

DEPLOYMENT_DEFAULTS: Json = {
    "bakeTimeInMinutes": 0,
    "deploymentCircuitBreaker": {"enable": False, "rollback": False},
    "maximumPercent": 200,
    "minimumHealthyPercent": 100,
    "strategy": "ROLLING",
}
FARGATE_VERSION = "1.4.0"
# What makes a service revision: a change of any of these needs new tasks.
REVISION_FIELDS = (
    "task_definition",
    "network_configuration",
    "load_balancers",
    "service_registries",
    "platform_version",
    "capacity_provider_strategy",
    "service_connect_configuration",
    "volume_configurations",
)


class Service(MotoService):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """A service with every field of CreateService, and one deployment per revision.

    The shape of `deployments` is documented in `sandbox.controlplane.fidelity.ecs`.
    """

    platform_version: str | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.created_at = utcnow()
        self.created_by = f"arn:aws:iam::{self._account_id}:root"
        self.running_count = self.pending_count = 0
        self.deployment_configuration: Json = deepcopy(DEPLOYMENT_DEFAULTS)
        self.health_check_grace_period_seconds: int | None = 0 if self.load_balancers else None
        self.enable_execute_command = False
        self.enable_ecs_managed_tags = False
        self.availability_zone_rebalancing = "DISABLED"
        self.capacity_provider_strategy: list[Json] | None = None
        self.service_connect_configuration: Json | None = None
        self.volume_configurations: list[Json] | None = None
        self.placement_constraints: list[Json] = []
        self.placement_strategy: list[Json] = []
        if self.launch_type == "FARGATE" and not self.platform_version:
            self.platform_version = "LATEST"
        self.deployment_history: list[Json] = []
        self.deployments: list[Json] = []

    @property
    def platform_family(self) -> str:
        return "Linux"

    @property
    def current_service_deployment(self) -> str | None:
        running = (each for each in self.deployments if each["status"] == "PRIMARY")
        primary = next(running, None)
        in_progress = primary is not None and primary["rolloutState"] == "IN_PROGRESS"
        return str(primary["serviceDeploymentArn"]) if primary and in_progress else None

    @property
    def current_service_revisions(self) -> list[Json]:
        return [
            {
                "arn": each["serviceRevisionArn"],
                "requestedTaskCount": each["desiredCount"],
                "runningTaskCount": each["runningCount"],
                "pendingTaskCount": each["pendingCount"],
            }
            for each in self.deployments
        ]

    def revision(self) -> Json:
        """The settings that new tasks would get."""
        return {field: deepcopy(getattr(self, field)) for field in REVISION_FIELDS}

    def deploy(self, reason: str = "") -> Json:
        """Begin a deployment of the present settings and return it; the former PRIMARY becomes ACTIVE."""
        for former in self.deployments:
            former["status"] = "ACTIVE"
        deployment = self._new_deployment(reason)
        self.deployments.insert(0, deployment)
        self.deployment_history.insert(0, deployment)
        return deployment

    def roll_back(self, to: Json, reason: str) -> Json:
        """Take a former deployment's settings back and begin a deployment of them, which is returned."""
        self.task_definition = to["taskDefinition"]
        self.network_configuration = deepcopy(to["networkConfiguration"])
        self.load_balancers = deepcopy(to["loadBalancers"])
        self.service_registries = deepcopy(to["serviceRegistries"])
        return self.deploy(reason)

    def _new_deployment(self, reason: str) -> Json:
        number = str(random.randint(10**18, 10**19 - 1))  # noqa: S311 - an id, not a secret
        path = f"{self.cluster_name}/{self.name}/{number}"
        prefix = f"arn:aws:ecs:{self.region_name}:{self._account_id}"
        fargate = self.launch_type == "FARGATE" or bool(self.capacity_provider_strategy)
        return {
            "id": f"ecs-svc/{number}",
            "status": "PRIMARY",
            "taskDefinition": self.task_definition,
            "desiredCount": self.desired_count,
            "pendingCount": 0,
            "runningCount": 0,
            "failedTasks": 0,
            "createdAt": utcnow(),
            "updatedAt": utcnow(),
            "launchType": self.launch_type,
            "capacityProviderStrategy": deepcopy(self.capacity_provider_strategy),
            "platformVersion": FARGATE_VERSION if fargate else None,
            "platformFamily": self.platform_family,
            "networkConfiguration": deepcopy(self.network_configuration) or None,
            "rolloutState": "IN_PROGRESS",
            "rolloutStateReason": reason or f"ECS deployment ecs-svc/{number} in progress.",
            "loadBalancers": deepcopy(self.load_balancers),
            "serviceRegistries": deepcopy(self.service_registries),
            "serviceConnectConfiguration": deepcopy(self.service_connect_configuration),
            "volumeConfigurations": deepcopy(self.volume_configurations),
            "serviceRevisionArn": f"{prefix}:service-revision/{path}",
            "serviceDeploymentArn": f"{prefix}:service-deployment/{path}",
        }
