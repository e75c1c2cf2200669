"""Load balancers, target groups and certificates."""

from __future__ import annotations

import math
from copy import deepcopy
from datetime import datetime
from typing import Any

from moto.acm.models import AWS_ROOT_CA

from sandbox.model import Certificate, HealthCheck, Listener, LoadBalancer, Rule, Target, TargetGroup


def load_balancer(balancer: Any, addresses: tuple[str, ...]) -> LoadBalancer:
    listeners = sorted(balancer.listeners.values(), key=lambda listener: int(listener.port))
    return LoadBalancer(
        arn=balancer.arn,
        name=balancer.name,
        dns_name=balancer.dns_name,
        security_groups=tuple(balancer.security_groups),
        listeners=tuple(_listener(listener) for listener in listeners),
        idle_timeout=float(balancer.attrs["idle_timeout.timeout_seconds"]),
        addresses=addresses,
        scheme=balancer.scheme,
    )


def _listener(listener: Any) -> Listener:
    return Listener(
        arn=listener.arn,
        port=int(listener.port),
        protocol=listener.protocol,
        certificates=tuple(listener.certificates),
        rules=tuple(_rule(rule) for rule in listener.rules.values()),
    )


def _rule(rule: Any) -> Rule:
    return Rule(
        arn=rule.arn,
        priority=None if rule.is_default else int(rule.priority),
        conditions=tuple(deepcopy(rule.conditions)),
        actions=tuple(deepcopy(action.data) for action in rule.actions),
        transforms=tuple(deepcopy(rule.transforms)),
    )


def target_group(group: Any) -> TargetGroup:
    return TargetGroup(
        arn=group.arn,
        name=group.name,
        protocol=group.protocol,
        port=int(group.port),
        health_check=_health_check(group),
        targets=tuple(_target(group, held) for held in group.live_targets().values()),
        load_balancers=tuple(sorted(group.load_balancer_arns)),
        attributes={key: str(value) for key, value in group.attributes.items()},
    )


def _target(group: Any, held: dict[str, Any]) -> Target:
    state, reason, description = group.state_of(held)
    return Target(held["Id"], held["Port"], state, reason, description)


def _health_check(group: Any) -> HealthCheck:
    return HealthCheck(
        path=group.health_check_path or "/",
        port=str(group.health_check_port),
        protocol=group.health_check_protocol,
        matcher=group.matcher.get("HttpCode", "200"),
        interval=float(group.health_check_interval_seconds),
        timeout=float(group.health_check_timeout_seconds),
        healthy_threshold=int(group.healthy_threshold_count),
        unhealthy_threshold=int(group.unhealthy_threshold_count),
    )


def next_drain(groups: list[Any]) -> float:
    """When the first draining target goes (monotonic seconds); infinity if none drains."""
    ends = (held.get("DrainedAt", math.inf) for group in groups for held in group.targets.values())
    return min(ends, default=math.inf)


def certificate(bundle: Any) -> Certificate:
    """The chain as it was imported: moto appends a root of its own to every chain."""
    return Certificate(
        arn=bundle.arn,
        names=tuple(bundle.sans or [bundle.common_name]),
        body=_text(bundle.cert).strip() + "\n",
        chain=_text(bundle.chain).replace(_text(AWS_ROOT_CA).strip(), "").strip(),
        private_key=_text(bundle.key).strip() + "\n",
    )


def _text(pem: bytes | str) -> str:
    return pem.decode() if isinstance(pem, bytes) else pem


def valid_until(bundle: Any) -> datetime:
    """Naive UTC, as moto's."""
    until: datetime = bundle._not_valid_after(bundle._cert)
    return until
