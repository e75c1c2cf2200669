"""ecs answers: pages, failures, and the ServiceDeployments API."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import camelcase_to_underscores
from moto.ecs import responses
from moto.ecs.exceptions import InvalidParameterException

from sandbox.controlplane.fidelity.ecs.backend import CREATE_FIELDS
from sandbox.controlplane.fidelity.ecs.service import Service

Json = dict[str, Any]
_DEPLOYMENT_STATUS = {"IN_PROGRESS": "IN_PROGRESS", "COMPLETED": "SUCCESSFUL", "FAILED": "ROLLBACK_SUCCESSFUL"}


class EC2ContainerServiceResponse(responses.EC2ContainerServiceResponse):  # type: ignore[misc]  # moto is untyped here
    """moto's ecs responses, completed."""

    def create_service(self) -> Any:
        given = {camelcase_to_underscores(key): value for key, value in self._get_params().items()}
        balancers, launch_type = given.get("load_balancers"), given.get("launch_type")
        if launch_type and given.get("capacity_provider_strategy"):
            raise InvalidParameterException(
                "Specifying both a launch type and capacity provider strategy is not supported. "
                "Remove one and try again."
            )
        service = self.ecs_backend.create_service(
            given.get("cluster", "default"),
            given["service_name"],
            given.get("desired_count"),
            given.get("task_definition"),
            balancers,
            given.get("scheduling_strategy"),
            given.get("tags"),
            given.get("deployment_controller"),
            launch_type,
            network_configuration=given.get("network_configuration"),
            service_registries=given.get("service_registries"),
            platform_version=given.get("platform_version"),
            propagate_tags=given.get("propagate_tags", "NONE"),
            role_arn=given.get("role"),
            dropped={field: given[field] for field in CREATE_FIELDS if field in given},
        )
        return ActionResult({"service": service})

    def list_services(self) -> Any:
        result = super().list_services()
        return self._page("serviceArns", result.result["serviceArns"], default=10)

    def list_tasks(self) -> Any:
        result = super().list_tasks()
        return self._page("taskArns", result.result["taskArns"])

    def list_clusters(self) -> Any:
        arns = [each.arn for each in self.ecs_backend.clusters.values() if each.status == "ACTIVE"]
        return self._page("clusterArns", arns)

    def list_task_definitions(self) -> Any:
        """By family, then by revision as a number, in the order asked for."""
        result = super().list_task_definitions()

        def position(arn: str) -> tuple[str, int]:
            family, _, revision = arn.rsplit("/", 1)[-1].rpartition(":")
            return family, int(revision)

        arns = sorted(result.result["taskDefinitionArns"], key=position, reverse=self._get_param("sort") == "DESC")
        return self._page("taskDefinitionArns", arns)

    def describe_tasks(self) -> Any:
        result = super().describe_tasks()
        found = {task.id for task in result.result["tasks"]}
        asked = self._get_param("tasks", [])
        result.result["failures"] = [
            {"arn": task, "reason": "MISSING"} for task in asked if task.rsplit("/", 1)[-1] not in found
        ]
        return result

    def list_service_deployments(self) -> Any:
        """Newest first; `status` filters."""
        backend = self.ecs_backend
        name = self._get_param("service").rsplit("/", 1)[-1]
        service = backend._get_service(self._get_param("cluster", "default"), name)
        shown = [_service_deployment(service, each) for each in service.deployment_history]
        statuses = self._get_param("status")
        listed = [each for each in shown if not statuses or each["status"] in statuses]
        for each in listed:
            each["targetServiceRevisionArn"] = each["targetServiceRevision"]["arn"]
        return self._page("serviceDeployments", listed)

    def describe_service_deployments(self) -> Any:
        known = {each["serviceDeploymentArn"]: _service_deployment(service, each) for service, each in self._history()}
        asked = self._get_param("serviceDeploymentArns", [])
        return ActionResult(
            {
                "serviceDeployments": [known[arn] for arn in asked if arn in known],
                "failures": [{"arn": arn, "reason": "MISSING"} for arn in asked if arn not in known],
            }
        )

    def describe_service_revisions(self) -> Any:
        known = {each["serviceRevisionArn"]: _service_revision(service, each) for service, each in self._history()}
        asked = self._get_param("serviceRevisionArns", [])
        return ActionResult(
            {
                "serviceRevisions": [known[arn] for arn in asked if arn in known],
                "failures": [{"arn": arn, "reason": "MISSING"} for arn in asked if arn not in known],
            }
        )

    def _history(self) -> list[tuple[Service, Json]]:
        services = self.ecs_backend.services.values()
        return [(service, each) for service in services for each in service.deployment_history]

    def _page(self, key: str, items: list[Any], default: int = 100) -> Any:
        """One page; the token is the index of the next item."""
        size, token = self._get_int_param("maxResults", default), self._get_param("nextToken") or "0"
        if not 1 <= size <= 100 or not token.isdigit():
            raise InvalidParameterException("Invalid maxResults or nextToken.")
        start = int(token)
        following = str(start + size) if start + size < len(items) else None
        return ActionResult({key: items[start : start + size], "nextToken": following})


def _service_deployment(service: Service, deployment: Json) -> Json:
    finished = deployment["updatedAt"] if deployment["rolloutState"] != "IN_PROGRESS" else None
    breaker = service.deployment_configuration["deploymentCircuitBreaker"]
    return {
        "serviceDeploymentArn": deployment["serviceDeploymentArn"],
        "serviceArn": service.arn,
        "clusterArn": service.cluster_arn,
        "createdAt": deployment["createdAt"],
        "startedAt": deployment["createdAt"],
        "updatedAt": deployment["updatedAt"],
        "finishedAt": finished,
        "status": _DEPLOYMENT_STATUS[deployment["rolloutState"]],
        "statusReason": deployment["rolloutStateReason"],
        "targetServiceRevision": {
            "arn": deployment["serviceRevisionArn"],
            "requestedTaskCount": deployment["desiredCount"],
            "runningTaskCount": deployment["runningCount"],
            "pendingTaskCount": deployment["pendingCount"],
        },
        "deploymentConfiguration": service.deployment_configuration,
        "deploymentCircuitBreaker": {
            "status": "MONITORING" if breaker.get("enable") else "DISABLED",
            "failureCount": deployment["failedTasks"],
        },
    }


def _service_revision(service: Service, deployment: Json) -> Json:
    shared = (
        "serviceRevisionArn",
        "taskDefinition",
        "capacityProviderStrategy",
        "launchType",
        "platformVersion",
        "platformFamily",
        "loadBalancers",
        "serviceRegistries",
        "networkConfiguration",
        "createdAt",
    )
    return {
        **{key: deployment[key] for key in shared},
        "serviceArn": service.arn,
        "clusterArn": service.cluster_arn,
    }
