"""Faults in what an ECS service runs: overlays on its revision, so that several hold at once and any one can go."""

from __future__ import annotations

from typing import Any

from sandbox.faults.live import Json, Live, call
from sandbox.faults.memory import Revised
from sandbox.platform.description import CLUSTER

_GIVEN_BY_ECS = (
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
)


def revise(live: Live, service: str, **overlay: Any) -> None:
    """Let the service run a revision with `environment`, `secrets` (both by name), `image` or `command` changed, or
    with a `sidecar` besides.

    It is registered and rolled out by `flush`, once for all faults of one command.
    """
    revised = live.memory.revised.setdefault(service, Revised(live.service(service)["taskDefinition"]))
    live.remember({"do": "overlay", "ecs": service, "fault": live.fault})
    revised.overlays[live.fault] = {**revised.overlays.get(live.fault, {}), **overlay}
    live.unrolled.add(service)
    live.memory.save()


def flush(live: Live) -> None:
    """Roll out what the overlays now amount to; without any, the revision that there was before."""
    for service in sorted(live.unrolled):
        revised = live.memory.revised[service]
        wanted = register(live, revised.base, list(revised.overlays.values())) if revised.overlays else revised.base
        live.aws.ecs.update_service(cluster=CLUSTER, service=service, taskDefinition=wanted)
        for stale in revised.registered:
            live.aws.ecs.deregister_task_definition(taskDefinition=stale)
        revised.registered = [wanted] if revised.overlays else []
        if not revised.overlays:
            del live.memory.revised[service]
        live.memory.save()
    live.unrolled.clear()


def register(live: Live, base: str, overlays: list[Json]) -> str:
    """A new revision: `base` with the overlays on its first container; return its ARN."""
    held = live.aws.ecs.describe_task_definition(taskDefinition=base, include=["TAGS"])
    definition = {key: value for key, value in held["taskDefinition"].items() if key not in _GIVEN_BY_ECS}
    first, *others = definition["containerDefinitions"]
    for overlay in overlays:
        first = overlaid(first, overlay)
    sidecars = [overlay["sidecar"] for overlay in overlays if "sidecar" in overlay]
    definition["containerDefinitions"] = [first, *others, *sidecars]
    if held.get("tags"):
        definition["tags"] = held["tags"]
    arn: str = live.aws.ecs.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"]
    return arn


def overlaid(container: Json, overlay: Json) -> Json:
    environment = {entry["name"]: entry["value"] for entry in container.get("environment", [])}
    secrets = {entry["name"]: entry["valueFrom"] for entry in container.get("secrets", [])}
    environment.update(overlay.get("environment", {}))
    secrets.update(overlay.get("secrets", {}))
    whole: Json = {key: overlay[key] for key in ("image", "command") if key in overlay}
    return {
        **container,
        **whole,
        "environment": [{"name": name, "value": value} for name, value in sorted(environment.items())],
        "secrets": [{"name": name, "valueFrom": value} for name, value in secrets.items()],
    }


def update(live: Live, service: str, **changes: Any) -> None:
    """Change settings of the service itself: UpdateService, and the same call with the old ones back."""
    held = live.service(service)
    old: Json = {name: held.get(name) for name in changes}
    touched = f"{', '.join(changes)} of {service}"
    forward = call("ecs", "update_service", (), cluster=CLUSTER, service=service, **changes)
    live.change(touched, forward, call("ecs", "update_service", (), cluster=CLUSTER, service=service, **old))
