"""The ecs backend with AWS's checks in front of moto's store."""

from __future__ import annotations

from typing import Any

from moto.ecs import models
from moto.ecs.exceptions import EcsClientException, ECSException, InvalidParameterException

from sandbox.controlplane.fidelity.ecs import checks, definitions
from sandbox.controlplane.fidelity.ecs.service import DEPLOYMENT_DEFAULTS, REVISION_FIELDS
from sandbox.controlplane.fidelity.replace import Replacement

Json = dict[str, Any]

# CreateService's parameters that moto drops.
CREATE_FIELDS = (
    "deployment_configuration",
    "health_check_grace_period_seconds",
    "enable_execute_command",
    "enable_ecs_managed_tags",
    "availability_zone_rebalancing",
    "capacity_provider_strategy",
    "service_connect_configuration",
    "volume_configurations",
    "placement_constraints",
    "placement_strategy",
)
_UPDATED_IN_PLACE = (
    "health_check_grace_period_seconds",
    "enable_execute_command",
    "enable_ecs_managed_tags",
    "availability_zone_rebalancing",
    "placement_constraints",
    "placement_strategy",
    "propagate_tags",
    "deployment_controller",
)


class EC2ContainerServiceBackend(Replacement, models.EC2ContainerServiceBackend):  # type: ignore[misc]  # moto is untyped here
    """Sources of the rules: ECS API reference, CreateService, UpdateService and their errors."""

    moto_package = "moto.ecs"

    # task definitions

    def register_task_definition(
        self, family: str, container_definitions: list[Json], *args: Any, **kwargs: Any
    ) -> Any:
        definitions.check(container_definitions, kwargs)
        return super().register_task_definition(family, container_definitions, *args, **kwargs)

    def describe_task_definition(self, task_definition_str: str) -> Any:
        """A family without a revision is its latest ACTIVE one."""
        name = task_definition_str.rsplit("/", 1)[-1]
        if ":" not in name:
            active = [each for each in self.task_definitions.get(name, {}).values() if each.status == "ACTIVE"]
            if active:
                return max(active, key=lambda definition: definition.revision)
        return super().describe_task_definition(task_definition_str)

    def _deployable(self, name: str) -> Any:
        definition = self.describe_task_definition(name)
        if definition.status != "ACTIVE":
            raise EcsClientException("TaskDefinition is inactive")
        return definition

    # clusters

    def delete_cluster(self, cluster_str: str) -> Any:
        cluster = self._get_cluster(cluster_str)
        if any(each.cluster_name == cluster.name and each.status == "ACTIVE" for each in self.services.values()):
            raise ECSException(
                "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
            )
        if any(task.last_status != "STOPPED" for task in self.tasks.get(cluster.name, {}).values()):
            raise ECSException("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
        return super().delete_cluster(cluster_str)

    # services

    def create_service(
        self,
        cluster_str: str,
        service_name: str,
        desired_count: int,
        task_definition_str: str | None = None,
        load_balancers: list[Json] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """moto's service, once ECS would have taken it; `dropped` are the parameters moto has no place for."""
        dropped: Json = kwargs.pop("dropped", {})
        balancers = load_balancers or []
        cluster = self._get_cluster(cluster_str)
        existing = self.services.get(f"{cluster.name}:{service_name}")
        if existing is not None and existing.status == "ACTIVE":
            raise InvalidParameterException("Creation of service was not idempotent.")
        definition = self._deployable(task_definition_str) if task_definition_str else None
        kwargs["network_configuration"] = checks.check_network(definition, kwargs.get("network_configuration")) or None
        checks.check_load_balancers(self, definition, balancers)
        checks.check_registries(self, kwargs.get("service_registries") or [])
        checks.check_grace_period(dropped.get("health_check_grace_period_seconds"), balancers)
        checks.check_deployment_configuration({**DEPLOYMENT_DEFAULTS, **dropped.get("deployment_configuration", {})})
        service = super().create_service(
            cluster_str, service_name, desired_count, task_definition_str, balancers, *args, **kwargs
        )
        self._keep(service, dropped)
        service.deploy()
        return service

    def update_service(self, service_properties: Json) -> Any:
        """Change what is given; what new tasks must have for it begins one deployment (UpdateService)."""
        wanted = {key: value for key, value in service_properties.items() if value is not None}
        service = self._active_service(wanted.pop("cluster", "default"), wanted.pop("service"))
        before = service.revision()
        self._check_update(service, wanted)
        for field in _UPDATED_IN_PLACE:
            if field in wanted:
                setattr(service, field, wanted[field])
        self._merge_deployment_configuration(service, wanted.get("deployment_configuration", {}))
        for field in REVISION_FIELDS:
            if field in wanted:
                setattr(service, field, wanted[field])
        if "desired_count" in wanted:
            service.desired_count = wanted["desired_count"]
            service.deployments[0]["desiredCount"] = service.desired_count
        if wanted.get("force_new_deployment") or service.revision() != before:
            service.deploy()
        return service

    def delete_service(self, cluster_name: str, service_name: str, force: bool) -> Any:
        service = super().delete_service(cluster_name, self._active_service(cluster_name, service_name).name, force)
        service.desired_count = 0
        return service

    def describe_services(self, cluster_str: str, service_names_or_arns: list[str]) -> Any:
        if not service_names_or_arns:
            raise InvalidParameterException("Services cannot be empty.")
        if len(service_names_or_arns) > 10:
            raise InvalidParameterException("Services cannot have more than 10 elements.")
        return super().describe_services(cluster_str, service_names_or_arns)

    def list_services(
        self, cluster_str: str, scheduling_strategy: str | None = None, launch_type: str | None = None
    ) -> list[str]:
        listed: list[str] = super().list_services(cluster_str, scheduling_strategy, launch_type)
        active = {service.arn for service in self.services.values() if service.status == "ACTIVE"}
        return [arn for arn in listed if arn in active]

    def _active_service(self, cluster: str, name_or_arn: str) -> Any:
        service = self._get_service(cluster, name_or_arn.rsplit("/", 1)[-1])
        if service.status != "ACTIVE":
            raise ECSException("ServiceNotActiveException", "Service was not ACTIVE.")
        return service

    def _keep(self, service: Any, dropped: Json) -> None:
        for field in CREATE_FIELDS:
            if field in dropped and field != "deployment_configuration":
                setattr(service, field, dropped[field])
        if service.capacity_provider_strategy:
            service.launch_type = None
        self._merge_deployment_configuration(service, dropped.get("deployment_configuration", {}))

    def _merge_deployment_configuration(self, service: Any, given: Json) -> None:
        service.deployment_configuration = {**service.deployment_configuration, **given}

    def _check_update(self, service: Any, wanted: Json) -> None:
        """Normalise `wanted` and reject what ECS rejects, before anything has changed."""
        definition = self._deployable(wanted.get("task_definition", service.task_definition))
        if "task_definition" in wanted:
            wanted["task_definition"] = definition.arn
        if "network_configuration" in wanted:
            wanted["network_configuration"] = checks.check_network(definition, wanted["network_configuration"])
            service._validate_network(wanted["network_configuration"])
        balancers = wanted.get("load_balancers", service.load_balancers)
        if balancers != service.load_balancers:
            checks.check_load_balancers(self, definition, balancers)
        checks.check_registries(self, wanted.get("service_registries", []))
        checks.check_grace_period(wanted.get("health_check_grace_period_seconds"), balancers)
        checks.check_deployment_configuration(
            {**service.deployment_configuration, **wanted.get("deployment_configuration", {})}
        )

    # tasks

    def describe_tasks(self, cluster_str: str, tasks: list[str]) -> list[Any]:
        """The tasks of this cluster among those asked for; looking at them does not change them."""
        cluster = self._get_cluster(cluster_str)
        if not tasks:
            raise InvalidParameterException("Tasks cannot be empty.")
        wanted = {task.rsplit("/", 1)[-1] for task in tasks}
        return [task for task in self.tasks.get(cluster.name, {}).values() if task.id in wanted]

    def list_tasks(
        self,
        cluster_str: str | None = None,
        container_instance: str | None = None,
        family: str | None = None,
        started_by: str | None = None,
        service_name: str | None = None,
        desiredStatus: str | None = None,  # noqa: N803 - moto's signature
    ) -> list[Any]:
        """Of a service, if one is named; those wanted RUNNING, if no status is (ListTasks)."""
        cluster = self._get_cluster(cluster_str or "default")
        found = super().list_tasks(None, container_instance, family, started_by, None, desiredStatus or "RUNNING")
        found = [task for task in found if task.cluster_name == cluster.name]
        if service_name:
            service = self._get_service(cluster.name, service_name.rsplit("/", 1)[-1])
            found = [task for task in found if task.group == f"service:{service.name}"]
        return found

    def stop_task(self, cluster_str: str, task_str: str, reason: str) -> Any:
        """Of a service's task, ask its agent to stop it: `desired_status` is all that changes here."""
        cluster = self._get_cluster(cluster_str)
        task_id = task_str.rsplit("/", 1)[-1]
        task = next((each for each in self.tasks.get(cluster.name, {}).values() if each.id == task_id), None)
        if task is None:
            raise InvalidParameterException("The referenced task was not found.")
        if not task.group.startswith("service:"):
            return super().stop_task(cluster_str, task_str, reason)
        if task.last_status != "STOPPED":
            task.desired_status, task.stop_code = "STOPPED", "UserInitiated"
            task.stopped_reason = reason or "Task stopped by user"
        return task
