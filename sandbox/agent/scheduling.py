"""What a service's scheduler decides: pure functions from what runs to what to start and stop.

Source: ECS developer guide, "Amazon ECS service deployment controllers" (rolling update, minimum and maximum
percent), "How the Amazon ECS deployment circuit breaker detects failures" (threshold), and the replacement of
unhealthy tasks start-before-stop (2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BREAKER_MINIMUM, BREAKER_MAXIMUM = 3, 200
FREE_RESTARTS = 3
BACKOFF_BASE, BACKOFF_LIMIT = 10.0, 300.0


@dataclass(frozen=True)
class TaskView:
    """A task that is not being stopped.

    `current` belongs to the PRIMARY deployment; `healthy` is running and passes every health check; `failing` has
    failed one after its grace period and is to be replaced.
    """

    id: str
    current: bool
    running: bool
    healthy: bool
    failing: bool = False


@dataclass(frozen=True)
class Bounds:
    """Desired count and the deployment's percentages."""

    desired: int
    minimum_percent: int = 100
    maximum_percent: int = 200

    @property
    def lower(self) -> int:
        return math.ceil(self.desired * self.minimum_percent / 100)

    @property
    def upper(self) -> int:
        return self.desired * self.maximum_percent // 100


@dataclass(frozen=True)
class Decision:
    start: int
    stop: tuple[str, ...]


def decide(tasks: Sequence[TaskView], bounds: Bounds) -> Decision:
    """Move towards `desired` tasks of the current deployment without leaving the bounds; oldest task first."""
    good = [task for task in tasks if task.current and not task.failing]
    surplus = tuple(
        task.id for task in sorted(good, key=lambda task: task.healthy)[: max(0, len(good) - bounds.desired)]
    )
    room = max(bounds.upper - len(tasks), 0)
    start = min(max(bounds.desired - len(good), 0), room)
    return Decision(start, surplus + replaceable(tasks, bounds))


def replaceable(tasks: Sequence[TaskView], bounds: Bounds) -> tuple[str, ...]:
    """Old and failing tasks that can go: those that serve nobody first, healthy ones while enough healthy remain."""
    doomed = [task for task in tasks if not task.current or task.failing]
    idle = [task.id for task in doomed if not task.running]
    sick = [task.id for task in doomed if task.running and (task.failing or not task.healthy)]
    sick = sick[: max(0, sum(task.running for task in tasks) - bounds.lower)]
    well = [task.id for task in doomed if task.healthy and not task.failing]
    well = well[: max(0, sum(task.healthy and not task.failing for task in tasks) - bounds.lower)]
    return (*idle, *sick, *well)


def is_steady(tasks: Sequence[TaskView], bounds: Bounds) -> bool:
    """Whether exactly the desired tasks of the current deployment run, all healthy, and no other."""
    return len(tasks) == bounds.desired and all(task.current and task.healthy and not task.failing for task in tasks)


def breaker_threshold(desired: int) -> int:
    """Failed tasks after which the circuit breaker gives up: half the desired count, at least 3, at most 200."""
    return min(max(BREAKER_MINIMUM, math.ceil(desired / 2)), BREAKER_MAXIMUM)


def restart_delay(failures: int) -> float:
    """AWS's seconds to wait before the next start after so many failures in a row."""
    if failures < FREE_RESTARTS:
        return 0.0
    return float(min(BACKOFF_BASE * 2 ** (failures - FREE_RESTARTS), BACKOFF_LIMIT))
