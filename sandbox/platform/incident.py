"""The incident, one function per cause of it; each takes a platform and returns it with that one fault.

The numbers are those of the account of the incident in the design (`platform.md`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce

from sandbox.platform.description import (
    API,
    API_TG,
    AUTH_HOST,
    AUTH_LB,
    AUTH_TG,
    IMAGES,
    LOCAL_HOSTS,
    MAIN_LB,
    MLFLOW,
    MLFLOW_PORT,
    REG_API,
    REG_MLFLOW,
    REGISTRY_HOST,
    REGISTRY_LB,
    LoadBalancer,
    Platform,
    Rule,
    SecurityGroup,
    Service,
    TargetGroup,
)

DEAD_ADDRESSES = ("10.0.1.173", "10.0.3.219")
"""Tasks of MLflow that are long gone; no interface may get one of them again."""
PROXY_RULE = 105


def proxy_route_bypasses_the_api(platform: Platform) -> Platform:
    """1. `/api/mlflow/*` goes straight to MLflow: its HTML 404, and authentication bypassed."""

    def bypass(rule: Rule) -> Rule:
        return replace(rule, target_group=REG_MLFLOW) if rule.priority == PROXY_RULE else rule

    def change(found: LoadBalancer) -> LoadBalancer:
        return replace(found, rules=tuple(bypass(rule) for rule in found.rules))

    return platform.with_changed("load_balancers", REGISTRY_LB, change)


def main_listener_has_no_rules(platform: Platform) -> Platform:
    """2. `api.hokus.ai` answers a fixed 404."""

    def change(found: LoadBalancer) -> LoadBalancer:
        return replace(found, default=None, rules=(), lost_rules=found.rules)

    return platform.with_changed("load_balancers", MAIN_LB, change)


def health_path_is_not_served(platform: Platform) -> Platform:
    """3. The API's target groups probe `/health/alb`, changed after the roll-out: all targets unhealthy, fail-open."""

    def change(found: TargetGroup) -> TargetGroup:
        return replace(found, health_path="/health/alb")

    return platform.with_changed("target_groups", REG_API, change).with_changed("target_groups", API_TG, change)


def mlflow_by_hard_coded_address(platform: Platform) -> Platform:
    """4. The API calls the address of an MLflow task that is long gone."""
    return platform.with_environment(API, MLFLOW_SERVER_URL=f"http://{DEAD_ADDRESSES[0]}:{MLFLOW_PORT}")


def services_are_not_registered(platform: Platform) -> Platform:
    """5. No ECS service has `serviceRegistries`; of the Cloud Map services only `mlflow` exists.

    MLflow's allowed hosts were never given its DNS name either, for nothing used it: the trap behind the repair.
    """
    for service in platform.services:
        platform = platform.with_changed("services", service.name, unregistered)
    platform = platform.with_environment(MLFLOW, MLFLOW_SERVER_ALLOWED_HOSTS=f"{REGISTRY_HOST},{LOCAL_HOSTS}")
    return replace(platform, discovery=("mlflow",))


def unregistered(service: Service) -> Service:
    return replace(service, registered=False)


def mlflow_group_shuts_out_the_api(platform: Platform) -> Platform:
    """6. No task-to-task rule for 5000."""

    def change(found: SecurityGroup) -> SecurityGroup:
        return replace(found, ingress=tuple(rule for rule in found.ingress if rule != (MLFLOW_PORT, API)))

    return platform.with_changed("security_groups", MLFLOW, change)


def auth_is_asked_for_another_service(platform: Platform) -> Platform:
    """7. `service_id` is `ml-platform`, so every valid key is refused; and auth is asked by its public name."""
    return platform.with_environment(
        API, AUTH_SERVICE_ID="ml-platform", HOKUSAI_AUTH_SERVICE_URL=f"https://{AUTH_HOST}"
    )


def auth_listener_forwards_everything(platform: Platform) -> Platform:
    """No cause of the outage, but what was found: `GET auth.hokus.ai/` is the service's 200."""

    def change(found: LoadBalancer) -> LoadBalancer:
        return replace(found, default=AUTH_TG)

    return platform.with_changed("load_balancers", AUTH_LB, change)


def old_api_image(platform: Platform) -> Platform:
    """8. The proxy's mount is deleted and API-key headers are neither accepted nor forwarded."""

    def change(found: Service) -> Service:
        return replace(found, image=f"{IMAGES}/hokusai-api:incident")

    return platform.with_changed("services", API, change)


def proxy_outwaits_the_load_balancer(platform: Platform) -> Platform:
    """9. 120 s against the ALB's idle timeout of 60 s."""
    return platform.with_environment(API, MLFLOW_PROXY_TIMEOUT="120")


def fix_was_never_deployed(platform: Platform) -> Platform:
    """10. A newer revision declares the fix; the service does not run it."""

    def change(found: Service) -> Service:
        return replace(found, undeployed={"AUTH_SERVICE_ID": "platform", "MLFLOW_PROXY_TIMEOUT": "55"})

    return platform.with_changed("services", API, change)


CAUSES: tuple[Callable[[Platform], Platform], ...] = (
    proxy_route_bypasses_the_api,
    main_listener_has_no_rules,
    health_path_is_not_served,
    mlflow_by_hard_coded_address,
    services_are_not_registered,
    mlflow_group_shuts_out_the_api,
    auth_is_asked_for_another_service,
    old_api_image,
    proxy_outwaits_the_load_balancer,
    fix_was_never_deployed,
)


def incident(platform: Platform) -> Platform:
    """Every cause at once, as it was found."""
    return reduce(lambda found, cause: cause(found), CAUSES, auth_listener_forwards_everything(platform))
