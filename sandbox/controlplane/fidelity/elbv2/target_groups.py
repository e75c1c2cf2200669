"""Target groups: targets keyed by (id, port), with the states an ALB gives them."""

from __future__ import annotations

import ipaddress
import time
from typing import Any

from moto.elbv2.exceptions import ELBClientError, ValidationError
from moto.elbv2.models import FakeHealthStatus, FakeTargetGroup

_HTTP_ATTRIBUTES = {
    "deregistration_delay.timeout_seconds": "300",
    "load_balancing.algorithm.anomaly_mitigation": "off",
    "load_balancing.algorithm.type": "round_robin",
    "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "slow_start.duration_seconds": "0",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "stickiness.enabled": "false",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "stickiness.type": "lb_cookie",
    "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}

_REGISTERING = ("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
_DRAINING = ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
_NOT_REGISTERED = ("unused", "Target.NotRegistered", "Target is not registered to the target group")
_NOT_IN_USE = (
    "unused",
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)

Key = tuple[str, int]


class TargetGroup(FakeTargetGroup):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """A target group whose `targets` map `"id:port"` to `{"Id", "Port", "State": (state, reason, description)}`.

    A draining target also carries `DrainedAt` (monotonic seconds): from then on it is gone. `pace` divides the
    deregistration delay.
    """

    pace = 30.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.protocol in {"HTTP", "HTTPS"}:
            self.attributes = dict(_HTTP_ATTRIBUTES)

    @property
    def load_balancer_arns(self) -> list[str]:
        """Asked of the listeners each time: moto only ever appends to its list."""
        backend: Any = self.elbv2_backend
        return list(backend.load_balancers_of(self.arn)) if backend else []

    @load_balancer_arns.setter
    def load_balancer_arns(self, value: list[str]) -> None:
        """moto's constructor assigns an empty list; there is nothing to keep."""

    elbv2_backend: Any = None

    def register(self, targets: list[dict[str, Any]]) -> None:
        """ELB API reference, RegisterTargets: registering again restarts the health checks of a draining target."""
        self._check_addresses(targets)
        for target in targets:
            address, port = self.key_of(target)
            known = self.live_targets().get(f"{address}:{port}")
            if known is None or known["State"][0] == "draining":
                self.targets[f"{address}:{port}"] = {"Id": address, "Port": port, "State": _REGISTERING}

    def deregister(self, targets: list[dict[str, Any]]) -> None:
        """ELB API reference, DeregisterTargets: unknown targets are ignored; without Port, every port of the id."""
        for target in targets:
            for name, held in list(self.live_targets().items()):
                if held["Id"] == target["Id"] and int(target.get("Port", held["Port"])) == held["Port"]:
                    self._drain(name, held)

    def set_state(self, address: str, port: int, state: tuple[str, str, str]) -> bool:
        """Write what a health checker found; True if it changed. A draining target stays draining."""
        held = self.live_targets().get(f"{address}:{port}")
        if held is None or held["State"] == state or held["State"][0] == "draining":
            return False
        held["State"] = state
        return True

    def live_targets(self) -> dict[str, dict[str, Any]]:
        """Targets that are registered or still draining."""
        now = time.monotonic()
        for name, held in list(self.targets.items()):
            if held.get("DrainedAt", now + 1) <= now:
                del self.targets[name]
        return dict(self.targets)

    def state_of(self, held: dict[str, Any]) -> tuple[str, str, str]:
        """A target's state as DescribeTargetHealth tells it: unused until a load balancer uses the group."""
        state: tuple[str, str, str] = held["State"]
        return state if state[0] == "draining" or self.load_balancer_arns else _NOT_IN_USE

    def health_for(self, target: dict[str, Any], ec2_backend: Any) -> Any:  # noqa: ARG002 - moto's signature
        address, port = self.key_of(target)
        held = self.live_targets().get(f"{address}:{port}")
        state, reason, description = _NOT_REGISTERED if held is None else self.state_of(held)
        checked_port = str(port) if self.health_check_port == "traffic-port" else self.health_check_port
        return FakeHealthStatus(address, str(port), checked_port, state, reason or None, description or None)

    def key_of(self, target: dict[str, Any]) -> Key:
        return target["Id"], int(target.get("Port") or self.port)

    def _drain(self, name: str, held: dict[str, Any]) -> None:
        if not self.load_balancer_arns:
            del self.targets[name]
        elif held["State"][0] != "draining":
            delay = float(self.attributes["deregistration_delay.timeout_seconds"])
            held["State"] = _DRAINING
            held["DrainedAt"] = time.monotonic() + delay / self.pace

    def _check_addresses(self, targets: list[dict[str, Any]]) -> None:
        if self.target_type != "ip":
            return
        vpc = self.ec2_backend.get_vpc(self.vpc_id)
        networks = [ipaddress.ip_network(item["cidr_block"]) for item in vpc.get_cidr_block_association_set()]
        for target in targets:
            try:
                address = ipaddress.ip_address(target["Id"])
            except ValueError:
                raise ValidationError(f"The IP address '{target['Id']}' is not a valid IPv4 address") from None
            if target.get("AvailabilityZone") != "all" and not any(address in network for network in networks):
                raise ValidationError(
                    f"The IP address '{address}' is not within the VPC '{self.vpc_id}' of target group '{self.arn}'"
                )


def check_health_check(group: Any) -> None:
    """Reject what ELB rejects (API reference, CreateTargetGroup and ModifyTargetGroup, constraints of HTTP checks)."""
    interval, timeout = int(group.health_check_interval_seconds), int(group.health_check_timeout_seconds)
    _between("Health check interval", interval, 5, 300)
    _between("Health check timeout", timeout, 2, 120)
    _between("Health check healthy threshold count", int(group.healthy_threshold_count), 2, 10)
    _between("Health check unhealthy threshold count", int(group.unhealthy_threshold_count), 2, 10)
    if group.protocol in {"HTTP", "HTTPS"}:
        if timeout >= interval:
            raise ValidationError(f"Health check timeout '{timeout}' must be smaller than the interval '{interval}'")
        path = group.health_check_path or "/"
        if not path.startswith("/") or len(path) > 1024:
            raise ValidationError(f"Health check path '{path}' must begin with a '/' and have at most 1024 characters")


def _between(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValidationError(f"{what} '{value}' must be between '{low}' and '{high}' inclusive")


def check_attributes(group: Any, attributes: dict[str, str]) -> None:
    """Reject unknown keys and a deregistration delay outside 0-3600 (TargetGroupAttribute, ELB API reference)."""
    for key, value in attributes.items():
        if group.protocol in {"HTTP", "HTTPS"} and key not in _HTTP_ATTRIBUTES:
            raise ValidationError(f"Target group attribute key '{key}' is not recognized")
        if key == "deregistration_delay.timeout_seconds" and not 0 <= int(value) <= 3600:
            raise ValidationError(f"'{key}' value '{value}' must be between '0-3600' inclusive")
        if key == "slow_start.duration_seconds" and int(value) != 0 and not 30 <= int(value) <= 900:
            raise ELBClientError("ValidationError", f"'{key}' value '{value}' must be 0 or between '30-900' inclusive")
