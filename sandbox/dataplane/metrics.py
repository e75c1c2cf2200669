"""What the load balancers report to CloudWatch: requests, counted and handed over once a period, and healthy hosts.

Names, dimensions and when there is a data point at all: Elastic Load Balancing user guide, "CloudWatch metrics for your
Application Load Balancer". Left out are the dimension sets with an Availability Zone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sandbox.dataplane.prober import in_use
from sandbox.dataplane.seam import World
from sandbox.model import LoadBalancer, MetricPoint, TargetGroup

NAMESPACE = "AWS/ApplicationELB"
PERIOD_SECONDS = 60.0
"""AWS's; the sandbox's pace divides it. What did not happen in a period has no data point in it."""

LOOKS_PER_PERIOD = 3
"""At the hosts; so that a short period has one even when this machine is busy."""

Dimensions = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Happened:
    """One request's end. `group` is None when no target was chosen.

    `answered` is the seconds until the target began to answer, None when it did not; `own_status` is the status that
    the load balancer gave of its own accord, because of an error, else 0.
    """

    load_balancer: str
    group: TargetGroup | None = None
    target_status: int | None = None
    answered: float | None = None
    own_status: int = 0
    refused: bool = False


@dataclass
class Metrics:
    """The counters of the current period; all calls come from the data plane's one loop."""

    world: World
    pace: float
    _values: dict[tuple[str, Dimensions], list[float]] = field(default_factory=dict)
    _due: float = 0.0
    _look_due: float = 0.0

    def count(self, happened: Happened) -> None:
        balancer: Dimensions = (("LoadBalancer", suffix(happened.load_balancer, "loadbalancer/")),)
        if happened.own_status >= 400:
            self._add(f"HTTPCode_ELB_{happened.own_status // 100}XX_Count", 1, balancer)
        if happened.group is None:
            return
        both: Dimensions = (("TargetGroup", suffix(happened.group.arn)), *balancer)
        for dimensions in (balancer, both):
            self._add("RequestCount", 1, dimensions)
            if happened.refused:
                self._add("TargetConnectionErrorCount", 1, dimensions)
            if happened.target_status is not None and happened.target_status >= 200:
                self._add(f"HTTPCode_Target_{happened.target_status // 100}XX_Count", 1, dimensions)
            if happened.answered is not None:
                self._add("TargetResponseTime", happened.answered, dimensions)

    def reconcile(self) -> None:
        """Hand over what is counted, once a period, and look at the hosts."""
        now = time.monotonic()
        self._look(now)
        if now < self._due or not self._values:
            return
        self._due = now + PERIOD_SECONDS / self.pace
        values, self._values = self._values, {}
        self.world.publish_metrics(
            NAMESPACE, tuple(MetricPoint(name, dimensions, tuple(all_)) for (name, dimensions), all_ in values.items())
        )

    def _look(self, now: float) -> None:
        """How many targets are healthy and unhealthy; a group without any has no data point."""
        if now < self._look_due:
            return
        self._look_due = now + PERIOD_SECONDS / self.pace / LOOKS_PER_PERIOD
        used = in_use(self.world.load_balancers())
        groups = (group for group in self.world.target_groups() if group.arn in used and group.targets)
        points = tuple(point for group in groups for point in hosts(group, used[group.arn]))
        if points:
            self.world.publish_metrics(NAMESPACE, points)

    def _add(self, name: str, value: float, dimensions: Dimensions) -> None:
        self._values.setdefault((name, dimensions), []).append(value)


def hosts(group: TargetGroup, balancer: LoadBalancer) -> tuple[MetricPoint, ...]:
    """Those that drain, or whose first health checks are under way, are neither healthy nor unhealthy."""
    dimensions: Dimensions = (
        ("TargetGroup", suffix(group.arn)),
        ("LoadBalancer", suffix(balancer.arn, "loadbalancer/")),
    )
    states = [target.state for target in group.targets]
    figures = {"HealthyHostCount": states.count("healthy"), "UnHealthyHostCount": states.count("unhealthy")}
    return tuple(MetricPoint(name, dimensions, (float(value),)) for name, value in figures.items())


def suffix(arn: str, without: str = "") -> str:
    """What CloudWatch calls the resource: `app/NAME/ID` and `targetgroup/NAME/ID`."""
    return arn.rpartition(":")[2].removeprefix(without)
