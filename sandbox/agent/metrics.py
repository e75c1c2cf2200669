"""What Container Insights reports of the ECS services of a cluster that has it switched on.

Source: CloudWatch user guide, "Amazon ECS Container Insights metrics" (those with the dimensions ClusterName and
ServiceName). `RestartCount` is that of the metrics with enhanced observability: here, tasks that stopped by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sandbox.agent.seam import World
from sandbox.model import MetricPoint

NAMESPACE = "ECS/ContainerInsights"
PERIOD_SECONDS = 60.0
LOOKS_PER_PERIOD = 3
"""So that a paced period has one even when this machine is busy."""


class Insights:
    """Publishes the counts of services a few times a period; `restarts` says how many tasks of one ever failed."""

    def __init__(self, world: World, pace: float, restarts: Callable[[str], int]) -> None:
        self._world, self._restarts = world, restarts
        self._every = PERIOD_SECONDS / pace / LOOKS_PER_PERIOD
        self._due = 0.0
        self._told: dict[str, int] = {}

    def report(self, clusters: Iterable[Any], services: Iterable[Any], now: float) -> None:
        if now < self._due:
            return
        self._due = now + self._every
        observed = {cluster.name for cluster in clusters if is_observed(cluster)}
        points = [
            point
            for service in services
            if service.status == "ACTIVE" and service.cluster_name in observed
            for point in self._points(service)
        ]
        if points:
            self._world.publish_metrics(NAMESPACE, tuple(points))

    def _points(self, service: Any) -> Iterable[MetricPoint]:
        dimensions = (("ClusterName", service.cluster_name), ("ServiceName", service.name))
        restarts = self._restarts(service.arn)
        new, self._told[service.arn] = restarts - self._told.get(service.arn, 0), restarts
        figures = {
            "DesiredTaskCount": service.desired_count,
            "RunningTaskCount": service.running_count,
            "PendingTaskCount": service.pending_count,
            "DeploymentCount": len(service.deployments),
            "RestartCount": max(0, new),
        }
        return [MetricPoint(name, dimensions, (float(value),)) for name, value in figures.items()]


def is_observed(cluster: Any) -> bool:
    return any(each["name"] == "containerInsights" and each["value"] != "disabled" for each in cluster.settings)
