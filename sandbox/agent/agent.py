"""The agent's thread: every service, every task, again and again."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from sandbox.agent.logs import LogShipper
from sandbox.agent.metrics import Insights
from sandbox.agent.seam import ControlPlane, Host, World
from sandbox.agent.service import ServiceReconciler
from sandbox.agent.task import Loopbacks, ServiceTask

TICK = 0.2
LOGGER = logging.getLogger(__name__)


class Agent:
    """Makes the control plane's ECS services real from `start` to `stop`."""

    def __init__(self, control_plane: ControlPlane, world: World, host: Host) -> None:
        self._control_plane, self._world, self._host = control_plane, world, host
        self._loopbacks = Loopbacks(host.loopback)
        self._services: dict[str, ServiceReconciler] = {}
        self._insights = Insights(world, host.pace, lambda arn: self._services[arn].restarts)
        self._shippers: dict[str, LogShipper] = {}
        self._shipped: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ecs-agent", daemon=True)
        self._seen = ""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End every task at once and return when all are gone."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._control_plane.lock:
            for service in self._services.values():
                service.end()
        self._ship_logs()

    def _run(self) -> None:
        while not self._stopping.wait(TICK):
            try:
                with self._control_plane.lock:
                    self._tick(time.monotonic())
                self._ship_logs()
            except Exception:
                LOGGER.exception("the ECS agent failed on this tick and goes on with the next")

    def _tick(self, now: float) -> None:
        services = list(self._control_plane.backend("ecs").services.values())
        for service in services:
            if service.deployment_controller["type"] == "ECS" and service.task_definition:
                self._reconcile(service, now)
        self._publish(services)
        known = [service for service in services if service.arn in self._services]
        self._insights.report(self._control_plane.backend("ecs").clusters.values(), known, now)

    def _reconcile(self, service: Any, now: float) -> None:
        """One service that cannot be reconciled leaves the others theirs."""
        try:
            self._reconciler(service).tick(service, now)
        except Exception:
            LOGGER.exception("the ECS agent failed on %s and goes on", service.arn)

    def _reconciler(self, service: Any) -> ServiceReconciler:
        if service.arn not in self._services:
            self._services[service.arn] = ServiceReconciler(
                self._control_plane, self._world, self._host, self._loopbacks
            )
        return self._services[service.arn]

    def _publish(self, services: list[Any]) -> None:
        """Cluster counts; and the generation moves only when something that the API shows has."""
        for cluster in self._control_plane.backend("ecs").clusters.values():
            own = [service for service in services if service.cluster_name == cluster.name]
            cluster.active_services_count = sum(service.status == "ACTIVE" for service in own)
            cluster.running_tasks_count = sum(service.running_count for service in own)
            cluster.pending_tasks_count = sum(service.pending_count for service in own)
        seen = repr([(service.arn, service.deployments, service.events[:1]) for service in services])
        if seen != self._seen:
            self._seen = seen
            self._control_plane.touch()

    def _ship_logs(self) -> None:
        tasks = {task.id: task for service in self._services.values() for task in service.tasks}
        for task in tasks.values():
            if task.id not in self._shipped:
                is_last = task.state == "STOPPED"
                shipper = self._shippers.get(task.id) or self._shippers.setdefault(task.id, self._shipper(task))
                shipper.ship(is_last=is_last)
                if is_last:
                    self._shipped.add(task.id)
                    del self._shippers[task.id]
        self._shipped &= tasks.keys()

    def _shipper(self, task: ServiceTask) -> LogShipper:
        configured = task.definition.containers[0]
        stream = None
        if configured.log_stream:
            group, prefix = configured.log_stream
            stream = (group, f"{prefix}/{configured.name}/{task.id}")
        return LogShipper(self._control_plane, task.log, self._host.state_dir / "logs" / f"{task.service}.log", stream)
