"""CloudWatch's own work: alarms are evaluated again and again, and certificates have their days counted."""

from __future__ import annotations

import logging
import threading

from sandbox.model import MetricPoint
from sandbox.world import World

PERIOD_SECONDS = 60.0
SHORTEST_PERIOD = 0.5
CERTIFICATES = "AWS/CertificateManager"
LOGGER = logging.getLogger(__name__)


class Monitoring:
    """Works from `start` to `stop`, at the sandbox's pace."""

    def __init__(self, world: World, pace: float) -> None:
        self._world = world
        self._every = max(PERIOD_SECONDS / pace, SHORTEST_PERIOD)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitoring", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            try:
                self._count_days()
                self._world.evaluate_alarms()
            except Exception:
                LOGGER.exception("the alarms could not be evaluated; they will be, next time")

    def _count_days(self) -> None:
        """ACM user guide, "Supported CloudWatch metrics": `DaysToExpiry`, whose dimension is the whole ARN."""
        points = tuple(
            MetricPoint("DaysToExpiry", (("CertificateArn", arn),), (float(days),))
            for arn, days in self._world.days_to_expiry().items()
        )
        if points:
            self._world.publish_metrics(CERTIFICATES, points)
