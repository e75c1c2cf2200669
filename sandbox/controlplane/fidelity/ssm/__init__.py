"""Parameters that were modified when AWS's clock says so, which need not be when the machine's does."""

from __future__ import annotations

from typing import Any

from moto.ssm import models

from sandbox.controlplane.clock import CLOCK
from sandbox.controlplane.fidelity.replace import Replacement, use_backend


class SimpleSystemManagerBackend(Replacement, models.SimpleSystemManagerBackend):  # type: ignore[misc]  # moto is untyped here
    """What a lock in a parameter is judged by: `LastModifiedDate` and the answer's `Date` are of one clock."""

    moto_package = "moto.ssm"

    def put_parameter(self, *args: Any, **kwargs: Any) -> Any:
        parameter = super().put_parameter(*args, **kwargs)
        parameter.last_modified_date = CLOCK.datetime()
        return parameter


def install() -> None:
    """Replace moto's ssm."""
    use_backend(models.ssm_backends, SimpleSystemManagerBackend)
