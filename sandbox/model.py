"""What the data plane sees of the control plane: frozen values, no moto types.

`World` (in `sandbox/world.py`) reads the control plane under its lock and answers with these;
the ALBs, the prober, the fabric and the resolver know nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Target:
    """A registered target; `state` is ELBv2's (`initial`, `healthy`, `unhealthy`, `draining`, `unused`)."""

    address: str
    port: int
    state: str
    reason: str = ""
    description: str = ""


@dataclass(frozen=True)
class HealthCheck:
    """Seconds as AWS states them; the prober divides them by the sandbox's pace."""

    path: str
    port: str
    protocol: str
    matcher: str
    interval: float
    timeout: float
    healthy_threshold: int
    unhealthy_threshold: int


@dataclass(frozen=True)
class TargetGroup:
    arn: str
    name: str
    protocol: str
    port: int
    health_check: HealthCheck
    targets: tuple[Target, ...]
    load_balancers: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """Conditions and actions in the API's own shape; `priority` None is the default rule."""

    arn: str
    priority: int | None
    conditions: tuple[dict[str, Any], ...]
    actions: tuple[dict[str, Any], ...]
    transforms: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Listener:
    """Rules in the order an ALB evaluates them, the default rule last."""

    arn: str
    port: int
    protocol: str
    certificates: tuple[str, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class LoadBalancer:
    """`addresses` are those of its own interfaces in the VPC, one per subnet: what its targets see as the source."""

    arn: str
    name: str
    dns_name: str
    security_groups: tuple[str, ...]
    listeners: tuple[Listener, ...]
    idle_timeout: float
    addresses: tuple[str, ...] = ()
    scheme: str = "internet-facing"


@dataclass(frozen=True)
class Certificate:
    """PEM text; `names` are the subject alternative names."""

    arn: str
    names: tuple[str, ...]
    body: str
    chain: str
    private_key: str


@dataclass(frozen=True)
class NetworkInterface:
    """An ENI: its VPC address, its security groups, and the loopback twin on which its process listens."""

    address: str
    security_groups: tuple[str, ...]
    vpc_id: str
    subnet_id: str
    loopback: str


@dataclass(frozen=True)
class MetricPoint:
    """The values of one CloudWatch metric in one period; `dimensions` are names and values."""

    name: str
    dimensions: tuple[tuple[str, str], ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    """A name's resolution: addresses of the VPC, or the DNS name of a load balancer; both empty is NXDOMAIN."""

    addresses: tuple[str, ...] = ()
    load_balancer: str = ""
