"""What `DescribeTasks` and `DescribeServices` show, kept in moto's ECS backend."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from moto.ecs.models import Task

from sandbox.agent.definition import ContainerDefinition, TaskDefinition
from sandbox.model import NetworkInterface

EVENTS_KEPT = 100
PLATFORM_VERSION = "1.4.0"


class ContainerRecord:
    """One container of a task, in the fields of the ECS API."""

    def __init__(self, definition: ContainerDefinition, task_arn: str, address: str) -> None:
        self.container_arn = f"{task_arn.replace(':task/', ':container/')}/{uuid.uuid4()}"
        self.task_arn = task_arn
        self.name = definition.name
        self.image = definition.image
        self.last_status = "PENDING"
        self.health_status = "UNKNOWN"
        self.network_interfaces = [{"attachmentId": str(uuid.uuid4()), "privateIpv4Address": address}]
        self.exit_code: int | None = None
        self.reason: str | None = None


class TaskRecord(Task):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """moto's task without moto's life cycle: the agent alone moves it."""

    def __init__(self, service: Any, definition: TaskDefinition, deployment_id: str, backend: Any) -> None:
        self._state = "PROVISIONING"
        self.id = uuid.uuid4().hex
        self.cluster_name, self.cluster_arn = service.cluster_name, service.cluster_arn
        self.region_name, self._account_id, self._backend = service.region_name, backend.account_id, backend
        self.group, self.started_by = f"service:{service.name}", deployment_id
        self.desired_status = "RUNNING"
        self.task_definition_arn = definition.arn
        self.cpu, self.memory = definition.cpu, definition.memory
        self.launch_type = service.launch_type or "FARGATE"
        self.platform_version, self.platform_family = PLATFORM_VERSION, "Linux"
        self.container_instance_arn = self.resource_requirements = self.capacity_provider_name = None
        self.overrides: dict[str, Any] = {"containerOverrides": []}
        self.tags = list(service.tags or [])
        self.attachments: list[dict[str, Any]] = []
        self.containers: list[ContainerRecord] = []
        self.availability_zone: str | None = None
        self.connectivity = "CONNECTED"
        self.version = 1
        self.created_at = datetime.now(UTC)
        self.started_at: datetime | None = None
        self.stopping_at: datetime | None = None
        self.stopped_at: datetime | None = None
        self.stop_code: str | None = None
        self.stopped_reason: str | None = None

    @property
    def last_status(self) -> str:
        return self._state

    @last_status.setter
    def last_status(self, value: str) -> None:
        self._state = value

    def advance(self) -> None:
        """Being described changes nothing."""

    def attach(self, interface: NetworkInterface, zone: str, interface_id: str) -> None:
        self.availability_zone = zone
        details = {
            "subnetId": interface.subnet_id,
            "networkInterfaceId": interface_id,
            "privateIPv4Address": interface.address,
        }
        self.attachments = [
            {
                "id": str(uuid.uuid4()),
                "type": "ElasticNetworkInterface",
                "status": "ATTACHED",
                "details": [{"name": name, "value": value} for name, value in details.items()],
            }
        ]

    def move(self, state: str) -> None:
        """Enter a state of the task life cycle; containers and time stamps follow."""
        self._state = state
        self.version += 1
        if state == "RUNNING":
            self.started_at = datetime.now(UTC)
            for container in self.containers:
                container.last_status = "RUNNING"
        if state == "DEACTIVATING":
            self.stopping_at = datetime.now(UTC)
        if state == "STOPPED":
            self.stopped_at = datetime.now(UTC)
            for attachment in self.attachments:
                attachment["status"] = "DELETED"


def add_event(service: Any, message: str) -> None:
    """Newest first, as ECS lists them."""
    event = {"id": str(uuid.uuid4()), "createdAt": datetime.now(UTC), "message": f"(service {service.name}) {message}"}
    service.events = [event, *service.events][:EVENTS_KEPT]
