"""The ten causes of the incident, each brought about in a platform that runs.

What each consists of is said once, in `platform/incident.py`: here the difference that it makes to the healthy
platform's description is made through the AWS API, as somebody did it then.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.faults import revisions
from sandbox.faults.edge import change_rule, delete_rules, forward_to
from sandbox.faults.live import Live, call
from sandbox.faults.network import shut
from sandbox.faults.registry import FAULTS, Entry, fault
from sandbox.faults.targets import change_health_check
from sandbox.platform import incident
from sandbox.platform.description import API, LoadBalancer, Platform, SecurityGroup, Service, healthy

HEALTHY = healthy(Path(), "")
RULES_GO = "the rules' ARNs"


@fault("E19", "the API waits 120 s, the ALB 60 s", "ALB: 504 after 60 s, the API goes on", cause=9)
def proxy_outwaits_the_load_balancer(live: Live) -> None:
    """The gateway refuses such an order unless it takes the ALB for more patient than it is."""
    bring_about(live, incident.proxy_outwaits_the_load_balancer)
    patient = {"GATEWAY_ALB_IDLE_TIMEOUT": "150", "GATEWAY_KEEP_ALIVE": "160"}
    held = live.memory.revised[API].overlays[live.fault]["environment"]
    revisions.revise(live, API, environment={**held, **patient})


def brought_about(cause: Callable[[Platform], Platform]) -> Callable[[Live], None]:
    """The fault that is one cause, and nothing else."""
    return lambda live: bring_about(live, cause)


def bring_about(live: Live, cause: Callable[[Platform], Platform]) -> None:
    """Make the difference between the healthy platform and that with the cause."""
    broken = cause(HEALTHY)
    for kind, differ in (
        ("services", change_service),
        ("load_balancers", change_load_balancer),
        ("security_groups", change_security_group),
        ("target_groups", change_target_group),
    ):
        for before, after in zip(getattr(HEALTHY, kind), getattr(broken, kind), strict=True):
            if before != after:
                differ(live, before, after)


def change_service(live: Live, before: Service, after: Service) -> None:
    overlay: dict[str, Any] = {}
    changed = {name: value for name, value in after.environment.items() if before.environment.get(name) != value}
    if changed:
        overlay["environment"] = changed
    if after.image != before.image:
        overlay["image"] = after.image
    if overlay:
        revisions.revise(live, after.name, **overlay)
    if before.registered and not after.registered:
        revisions.update(live, after.name, serviceRegistries=[])
    if after.undeployed:
        running = live.service(after.name)["taskDefinition"]
        made = revisions.register(live, running, [{"environment": after.undeployed}])
        live.remember(call("ecs", "deregister_task_definition", taskDefinition=made))


def change_load_balancer(live: Live, before: LoadBalancer, after: LoadBalancer) -> None:
    for old, new in zip(before.rules, after.rules, strict=False):
        if old.target_group != new.target_group:
            change_rule(live, after.name, new.priority, Actions=[forward_to(live, new.target_group)])
    delete_rules(live, after.name, [rule.priority for rule in after.lost_rules])


def change_security_group(live: Live, before: SecurityGroup, after: SecurityGroup) -> None:
    for port, peer in sorted(set(before.ingress) - set(after.ingress)):
        shut(live, after.name, port, peer)


def change_target_group(live: Live, _before: Any, after: Any) -> None:
    change_health_check(live, after.name, HealthCheckPath=after.health_path)


CAUSES = (
    Entry(
        "E08",
        "rule 105 sends /api/mlflow/* straight to MLflow",
        "MLflow: 404 in HTML; authentication bypassed",
        brought_about(incident.proxy_route_bypasses_the_api),
        cause=1,
    ),
    Entry(
        "E07",
        "the API's listener has no rules",
        "ALB: fixed 404 on api.hokus.ai",
        brought_about(incident.main_listener_has_no_rules),
        cause=2,
        recreates=RULES_GO,
    ),
    Entry(
        "T01",
        "health path /health/alb, which nothing serves",
        "ALB: fails open; ECS replaces tasks",
        brought_about(incident.health_path_is_not_served),
        cause=3,
    ),
    Entry(
        "C07",
        "the API calls MLflow by the address of a task long gone",
        "API: 502 or 504",
        brought_about(incident.mlflow_by_hard_coded_address),
        cause=4,
    ),
    # The Cloud Map services `api` and `auth` stay, unlike in the incident, and so do their ARNs.
    Entry(
        "D08",
        "no ECS service registers in Cloud Map",
        "API: 503 and 502, the names do not exist",
        brought_about(incident.services_are_not_registered),
        cause=5,
    ),
    Entry(
        "N01",
        "MLflow's group does not let the API in",
        "API: 504, connections time out",
        brought_about(incident.mlflow_group_shuts_out_the_api),
        cause=6,
    ),
    Entry(
        "A01",
        "service_id ml-platform, auth by its public name",
        "API: 401 or 403 for every key",
        brought_about(incident.auth_is_asked_for_another_service),
        cause=7,
    ),
    Entry(
        "A02",
        "the old API image: no proxy mount, no API-key header",
        "API: 401 or 404",
        brought_about(incident.old_api_image),
        cause=8,
    ),
    Entry(
        "I10",
        "a newer revision of the API that the service does not run",
        "nobody: the fix is not there",
        brought_about(incident.fix_was_never_deployed),
        cause=10,
    ),
)
"""Those of which there is no more to say than in `platform/incident.py`."""

FAULTS.update({cause.id: cause for cause in CAUSES})
