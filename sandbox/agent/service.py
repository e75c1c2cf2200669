"""One service: its deployments, its tasks, and the events that tell about them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

from sandbox.agent.configuration import of
from sandbox.agent.definition import parse
from sandbox.agent.records import TaskRecord, add_event
from sandbox.agent.scheduling import (
    Bounds,
    TaskView,
    breaker_threshold,
    decide,
    is_steady,
    restart_delay,
)
from sandbox.agent.seam import ControlPlane, Host, World
from sandbox.agent.task import Loopbacks, ServiceTask

PASSING = {"healthy", "unused"}
STOPPED_KEPT = 3600.0
"""AWS shows stopped tasks for about an hour."""
INCONSISTENT = (
    "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of "
    "the Amazon ECS Developer Guide."
)


class ServiceReconciler:
    """Brings one ECS service's tasks to what its deployments ask for, one `tick` at a time, under the lock."""

    def __init__(self, control_plane: ControlPlane, world: World, host: Host, loopbacks: Loopbacks) -> None:
        self._control_plane, self._world, self._host, self._loopbacks = control_plane, world, host, loopbacks
        self.tasks: list[ServiceTask] = []
        self.restarts = 0
        self._primary = ""
        self._completed: dict[str, Any] | None = None
        self._failures = 0
        self._next_start = 0.0
        self._stopped_at: dict[str, float] = {}
        self._steady = False
        self._subnets = itertools.count()

    def tick(self, service: Any, now: float) -> None:
        """Look at the service, its processes and its targets, and take the next step."""
        self._begin(service)
        for task in self.tasks:
            self._follow(service, service.deployments[0], task, now)
        self._break_circuit(service, service.deployments[0])
        self._schedule(service, service.deployments[0], now)
        self._settle(service, service.deployments[0])
        self._publish(service)
        self._forget_stopped(now)

    def end(self) -> None:
        for task in self.tasks:
            task.end_at_once()

    # deployments

    def _begin(self, service: Any) -> None:
        """A new deployment owes nothing to the failures of the one before; a new service of the name nothing at all."""
        primary = service.deployments[0]["id"]
        if primary == self._primary:
            return
        if self._primary not in {deployment["id"] for deployment in service.deployment_history}:
            self._completed = None
        self._primary = primary
        self._failures, self._next_start, self._steady = 0, 0.0, False

    def _break_circuit(self, service: Any, deployment: dict[str, Any]) -> None:
        breaker = service.deployment_configuration["deploymentCircuitBreaker"]
        failed = int(deployment["failedTasks"]) >= breaker_threshold(service.desired_count)
        if not breaker.get("enable") or not failed or deployment["rolloutState"] != "IN_PROGRESS":
            return
        deployment["rolloutState"] = "FAILED"
        deployment["rolloutStateReason"] = "ECS deployment circuit breaker: tasks failed to start."
        deployment["updatedAt"] = datetime.now(UTC)
        add_event(service, f"(deployment {deployment['id']}) deployment failed: tasks failed to start.")
        if breaker.get("rollback") and self._completed and of(self._completed) != of(deployment):
            self._roll_back(service, self._completed)

    def _roll_back(self, service: Any, completed: dict[str, Any]) -> None:
        """Tasks of the revision that is rolled back to stay: they are the new deployment's from now on."""
        deployment = service.roll_back(completed, "")
        reason = f"ECS deployment circuit breaker: rolling back to deploymentId {deployment['id']}."
        deployment["rolloutStateReason"] = reason
        add_event(service, f"rolling back to deployment {deployment['id']}.")
        for task in self.tasks:
            if task.configuration == of(completed) and not task.is_leaving:
                task.record.started_by = deployment["id"]
        self._begin(service)

    # tasks

    def _follow(self, service: Any, deployment: dict[str, Any], task: ServiceTask, now: float) -> None:
        was = task.state
        if task.record.desired_status == "STOPPED" and not task.is_leaving:
            task.stop(now, task.record.stop_code or "UserInitiated", task.record.stopped_reason or "")
        task.advance(now)
        if task.state == "STOPPED" and was in {"PENDING", "RUNNING"}:
            self._failed(service, deployment, task, now)
        if task.state == "STOPPED":
            if was != "STOPPED":
                add_event(service, f"has stopped 1 running tasks: (task {task.id}).")
            self._stopped_at.setdefault(task.id, now)
        if task.state == "RUNNING":
            self._judge(service, deployment, task, now)
        for notice in task.notices:
            add_event(service, notice)
        task.notices.clear()

    def _judge(self, service: Any, deployment: dict[str, Any], task: ServiceTask, now: float) -> None:
        """After the grace period an unhealthy target marks its task for replacement."""
        grace = float(service.health_check_grace_period_seconds or 0) / self._host.pace
        if task.failing or now - task.running_since < grace:
            return
        for arn, port, state, description in task.target_states():
            if state == "unhealthy" and not task.failing:
                task.failing = True
                reason = f"(reason {description or 'Health checks failed'})"
                add_event(
                    service, f"(task {task.id}) (port {port}) is unhealthy in (target-group {arn}) due to {reason}."
                )
                self._count_failure(deployment, task)

    def _failed(self, service: Any, deployment: dict[str, Any], task: ServiceTask, now: float) -> None:
        """A task that stopped by itself: it counts against its deployment and delays the next start."""
        self._count_failure(deployment, task)
        self.restarts += 1
        self._failures += 1
        delay = restart_delay(self._failures)
        self._next_start = now + delay / self._host.pace
        if delay:
            add_event(service, INCONSISTENT)

    def _count_failure(self, deployment: dict[str, Any], task: ServiceTask) -> None:
        if task.record.started_by == deployment["id"] and deployment["rolloutState"] == "IN_PROGRESS":
            deployment["failedTasks"] += 1

    def _schedule(self, service: Any, deployment: dict[str, Any], now: float) -> None:
        decision = decide(self._views(deployment), bounds(service))
        for task_id in decision.stop:
            self._stop(service, next(task for task in self.tasks if task.id == task_id), deployment, now)
        if decision.start and now >= self._next_start and deployment["rolloutState"] != "FAILED":
            started = [self._start(service, deployment, now) for _ in range(decision.start)]
            names = " ".join(f"(task {task.id})" for task in started)
            add_event(service, f"has started {len(started)} tasks: {names}.")

    def _start(self, service: Any, deployment: dict[str, Any], now: float) -> ServiceTask:
        ecs = self._control_plane.backend("ecs")
        wanted = of(deployment)
        definition = parse(ecs.describe_task_definition(wanted.task_definition))
        record = TaskRecord(service, definition, deployment["id"], ecs)
        task = ServiceTask(
            self._control_plane,
            self._world,
            self._host,
            service.name,
            definition,
            wanted,
            record,
            self._loopbacks,
        )
        ecs.tasks.setdefault(service.cluster_name, {})[record.task_arn] = record
        self.tasks.append(task)
        task.start(now, wanted.subnets[next(self._subnets) % len(wanted.subnets)])
        self._steady = False
        if task.state == "STOPPED":
            self._failed(service, deployment, task, now)
        return task

    def _stop(self, service: Any, task: ServiceTask, deployment: dict[str, Any], now: float) -> None:
        unhealthy = [arn for arn, _, state, _ in task.target_states() if state == "unhealthy"]
        reason = f"Scaling activity initiated by (deployment {deployment['id']})"
        if task.failing and unhealthy:
            reason = f"Task failed ELB health checks in (target-group {unhealthy[0]})"
        if task.state == "RUNNING" and task.configuration.load_balancers:
            add_event(service, "has begun draining connections on 1 tasks.")
        task.stop(now, "ServiceSchedulerInitiated", reason)
        self._steady = False

    def _views(self, deployment: dict[str, Any]) -> list[TaskView]:
        return [self._view(task, deployment) for task in self.tasks if not task.is_leaving]

    def _view(self, task: ServiceTask, deployment: dict[str, Any]) -> TaskView:
        """Healthy is to be registered with every target group, and to pass every health check there."""
        running = task.state == "RUNNING"
        states = [state for _, _, state, _ in task.target_states()]
        passing = len(states) == len(task.configuration.load_balancers) and PASSING.issuperset(states)
        healthy = running and passing
        return TaskView(task.id, task.record.started_by == deployment["id"], running, healthy, task.failing)

    # what the API shows

    def _settle(self, service: Any, deployment: dict[str, Any]) -> None:
        """Complete the deployment and say so once, when its tasks and no others run, all healthy."""
        steady = is_steady(self._views(deployment), bounds(service))
        if steady and deployment["rolloutState"] == "IN_PROGRESS":
            deployment["rolloutState"] = "COMPLETED"
            deployment["rolloutStateReason"] = f"ECS deployment {deployment['id']} completed."
            deployment["updatedAt"] = datetime.now(UTC)
            self._completed = deployment
            add_event(service, f"(deployment {deployment['id']}) deployment completed.")
        if steady and not self._steady:
            self._failures = 0
            add_event(service, "has reached a steady state.")
        self._steady = steady

    def _publish(self, service: Any) -> None:
        """Counts of the service and of each deployment; deployments without tasks leave the list."""
        staying = [task for task in self.tasks if not task.is_leaving]
        for deployment in service.deployments:
            own = [task.state for task in staying if task.record.started_by == deployment["id"]]
            deployment["runningCount"] = own.count("RUNNING")
            deployment["pendingCount"] = len(own) - own.count("RUNNING")
            if deployment["status"] == "PRIMARY":
                deployment["desiredCount"] = desired(service)
        service.deployments = [
            found
            for found in service.deployments
            if found["status"] == "PRIMARY" or found["runningCount"] or found["pendingCount"]
        ]
        service.running_count = sum(task.state == "RUNNING" for task in staying)
        service.pending_count = len(staying) - service.running_count

    def _forget_stopped(self, now: float) -> None:
        gone = {task_id for task_id, at in self._stopped_at.items() if now - at > STOPPED_KEPT / self._host.pace}
        for task in self.tasks:
            if task.id in gone:
                self._control_plane.backend("ecs").tasks[task.record.cluster_name].pop(task.record.task_arn, None)
                del self._stopped_at[task.id]
        self.tasks = [task for task in self.tasks if task.id not in gone]


def desired(service: Any) -> int:
    return int(service.desired_count) if service.status == "ACTIVE" else 0


def bounds(service: Any) -> Bounds:
    found = service.deployment_configuration
    return Bounds(desired(service), found["minimumHealthyPercent"], found["maximumPercent"])
