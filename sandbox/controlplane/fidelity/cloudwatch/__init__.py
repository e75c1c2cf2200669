"""CloudWatch with percentiles, metric maths, and alarms that are evaluated."""

from __future__ import annotations

from moto.cloudwatch import models

from sandbox.controlplane.fidelity.cloudwatch.backend import CloudWatchBackend
from sandbox.controlplane.fidelity.cloudwatch.responses import CloudWatchResponse
from sandbox.controlplane.fidelity.replace import use_backend, use_response


def install(pace: float) -> None:
    """Replace moto's cloudwatch; `pace` divides the alarms' periods."""
    CloudWatchBackend.pace = pace
    use_backend(models.cloudwatch_backends, CloudWatchBackend)
    use_response("moto.cloudwatch", CloudWatchResponse)
