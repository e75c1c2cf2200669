"""What the agent asks of the rest of the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from moto.core.exceptions import ServiceException
from werkzeug.exceptions import HTTPException

from sandbox.model import MetricPoint, NetworkInterface, TargetGroup

REFUSED = (ServiceException, HTTPException)
"""What moto raises where the AWS API would answer with an error: it has two families of them."""
GONE = (LookupError, *REFUSED)
"""A target group, Cloud Map service, subnet or security group that somebody deleted."""


class World(Protocol):
    """The part of `sandbox.world.World` that ECS uses. An unknown ARN or id raises."""

    def target_group(self, arn: str) -> TargetGroup: ...

    def register_target(self, arn: str, address: str, port: int) -> None: ...

    def deregister_target(self, arn: str, address: str, port: int) -> None: ...

    def attach_interface(
        self, subnet_id: str, security_groups: tuple[str, ...], loopback: str, description: str
    ) -> NetworkInterface: ...

    def interface_id(self, address: str) -> str: ...

    def detach_interface(self, address: str) -> None: ...

    def register_instance(self, service_id: str, instance_id: str, attributes: dict[str, str]) -> None: ...

    def deregister_instance(self, service_id: str, instance_id: str) -> None: ...

    def publish_metrics(self, namespace: str, points: tuple[MetricPoint, ...]) -> None: ...


class ControlPlane(Protocol):
    """moto's models, to be touched under `lock` only."""

    @property
    def lock(self) -> AbstractContextManager[Any]: ...

    def backend(self, service: str) -> Any: ...

    def touch(self) -> None: ...


@dataclass(frozen=True)
class Host:
    """The machine as tasks see it.

    `loopback` is the prefix of their private addresses (`127.x.y`), `fabric` gives the proxy URL of an interface,
    `owner` marks every process of this sandbox, `trust` is the CA bundle, and `pace` divides AWS's periods.
    """

    state_dir: Path
    loopback: str
    owner: str
    trust: Path
    pace: float
    fabric: Callable[[str], str]
