"""What CreateService and UpdateService refuse."""

from __future__ import annotations

from typing import Any

from moto.ecs.exceptions import InvalidParameterException
from moto.elbv2.models import elbv2_backends
from moto.servicediscovery.models import servicediscovery_backends

Json = dict[str, Any]


def check_network(definition: Any, configuration: Json | None) -> Json:
    """The network configuration as ECS keeps it; awsvpc tasks must have one."""
    if not configuration:
        if definition is not None and definition.network_mode == "awsvpc":
            raise InvalidParameterException(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified."
            )
        return {}
    if definition is not None and definition.network_mode != "awsvpc":
        raise InvalidParameterException(
            "Network Configuration is not valid for the given networkMode of this task definition."
        )
    vpc = configuration["awsvpcConfiguration"]
    return {"awsvpcConfiguration": {"assignPublicIp": "DISABLED", "securityGroups": [], **vpc}}


def check_load_balancers(backend: Any, definition: Any, balancers: list[Json]) -> None:
    """Target groups must be attached to a load balancer, and name a port of the task definition."""
    groups = elbv2_backends[backend.account_id][backend.region_name].target_groups
    for balancer in balancers:
        arn = balancer.get("targetGroupArn", "")
        if arn not in groups:
            raise InvalidParameterException(f"Unable to assume role and validate the specified targetGroupArn {arn}.")
        if not groups[arn].load_balancer_arns:
            raise InvalidParameterException(
                f"The target group with targetGroupArn {arn} does not have an associated load balancer."
            )
        if definition is not None:
            _check_port(definition, balancer)


def _check_port(definition: Any, balancer: Json) -> None:
    name, port = balancer.get("containerName"), balancer.get("containerPort")
    container = next((each for each in definition.container_definitions if each["name"] == name), None)
    if container is None:
        raise InvalidParameterException(f"The container {name} does not exist in the task definition.")
    if port not in [mapping["containerPort"] for mapping in container["portMappings"]]:
        raise InvalidParameterException(f"The container {name} did not have a container port {port} defined.")


def check_registries(backend: Any, registries: list[Json]) -> None:
    """One registry per service, and it must exist (ECS API reference, ServiceRegistry)."""
    if len(registries) > 1:
        raise InvalidParameterException("Maximum number of service registries allowed is 1.")
    known = {
        service.arn for service in servicediscovery_backends[backend.account_id][backend.region_name].services.values()
    }
    for registry in registries:
        if registry.get("registryArn") not in known:
            raise InvalidParameterException(
                f"Unable to access the service registry {registry.get('registryArn')}: Service not found"
            )


def check_grace_period(seconds: int | None, balancers: list[Json]) -> None:
    if seconds and not balancers:
        raise InvalidParameterException(
            "Health check grace period is only valid for services configured to use load balancers"
        )


def check_deployment_configuration(configuration: Json) -> None:
    lower, upper = configuration["minimumHealthyPercent"], configuration["maximumPercent"]
    if lower == 100 and upper == 100:
        raise InvalidParameterException(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments"
        )
    if upper < lower:
        raise InvalidParameterException("maximumPercent must be greater than minimumHealthyPercent")
