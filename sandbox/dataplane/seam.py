"""What the data plane asks of the control plane: the part of `sandbox.world.World` it uses."""

from __future__ import annotations

from typing import Protocol

from sandbox.model import Answer, Certificate, LoadBalancer, MetricPoint, NetworkInterface, TargetGroup


class World(Protocol):
    """Every method is thread-safe and cheap enough to be called once per request.

    An unknown ARN raises `LookupError`. `load_balancers` returns the same tuple while nothing changed.
    """

    def load_balancers(self) -> tuple[LoadBalancer, ...]: ...

    def target_groups(self) -> tuple[TargetGroup, ...]: ...

    def target_group(self, arn: str) -> TargetGroup: ...

    def set_target_health(
        self, arn: str, address: str, port: int, state: str, reason: str = "", description: str = ""
    ) -> None: ...

    def publish_metrics(self, namespace: str, points: tuple[MetricPoint, ...]) -> None: ...

    def certificate(self, arn: str) -> Certificate: ...

    def resolve_public(self, name: str) -> Answer: ...

    def resolve_private(self, name: str, vpc_id: str) -> Answer: ...

    def interface(self, address: str) -> NetworkInterface | None: ...

    def allows(
        self,
        source_groups: tuple[str, ...],
        source_address: str,
        destination_groups: tuple[str, ...],
        destination_address: str,
        port: int,
    ) -> bool: ...
