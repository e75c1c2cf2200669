"""The state of services, tasks and targets at one moment, for `python -m sandbox status`."""

from __future__ import annotations

from typing import Any

from sandbox.agent.seam import ControlPlane
from sandbox.model import TargetGroup

EVENTS_SHOWN = 3


def snapshot(control_plane: ControlPlane, groups: tuple[TargetGroup, ...]) -> dict[str, Any]:
    """JSON-ready; not an AWS call, so nothing counts it."""
    with control_plane.lock:
        ecs = control_plane.backend("ecs")
        return {
            "services": [service(found) for found in ecs.services.values()],
            "tasks": [task(found) for tasks in ecs.tasks.values() for found in tasks.values()],
            "target_groups": [target_group(group) for group in groups],
        }


def service(found: Any) -> dict[str, Any]:
    return {
        "name": found.name,
        "status": found.status,
        "desired": found.desired_count,
        "running": found.running_count,
        "pending": found.pending_count,
        "revision": revision(found.task_definition),
        "deployments": [
            {
                "id": deployment["id"],
                "status": deployment["status"],
                "revision": revision(deployment["taskDefinition"]),
                "rollout": deployment.get("rolloutState", ""),
                "reason": deployment.get("rolloutStateReason", ""),
                "failed_tasks": deployment.get("failedTasks", 0),
            }
            for deployment in found.deployments
        ],
        "events": [event["message"] for event in found.events[:EVENTS_SHOWN]],
    }


def task(found: Any) -> dict[str, Any]:
    details = {entry["name"]: entry["value"] for one in found.attachments for entry in one["details"]}
    return {
        "id": found.id,
        "service": found.group.removeprefix("service:"),
        "status": found.last_status,
        "revision": revision(found.task_definition_arn),
        "address": details.get("privateIPv4Address", ""),
        "stop_code": getattr(found, "stop_code", None) or "",
        "stopped_reason": found.stopped_reason or "",
    }


def target_group(group: TargetGroup) -> dict[str, Any]:
    return {
        "name": group.name,
        "health_path": group.health_check.path,
        "targets": [
            {
                "address": target.address,
                "port": target.port,
                "state": target.state,
                "reason": target.reason,
                "description": target.description,
            }
            for target in group.targets
        ],
    }


def revision(arn: str | None) -> str:
    return (arn or "").rpartition("/")[2]
