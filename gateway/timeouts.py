"""The order in which the timeouts of one request must end.

Whoever is nearer to the cause gives up first, because only it can say what happened: a load balancer that gives up
before this service turns a named fault into its own bare 504, and one that reuses a connection this service is just
closing turns a good request into a 502.
"""

from __future__ import annotations

from typing import Protocol

from gateway.errors import ConfigError


class Timeouts(Protocol):
    """Seconds; ``Config`` has these, beside others."""

    @property
    def connect_timeout(self) -> float: ...
    @property
    def auth_timeout(self) -> float: ...
    @property
    def proxy_timeout(self) -> float: ...
    @property
    def total_timeout(self) -> float: ...
    @property
    def alb_idle_timeout(self) -> float: ...
    @property
    def keep_alive(self) -> float: ...
    @property
    def drain_timeout(self) -> float: ...
    @property
    def stop_timeout(self) -> float: ...
    @property
    def head_timeout(self) -> float: ...


ORDER = (
    ("connect_timeout", "proxy_timeout", "a connection that cannot be made would not be told from a slow answer"),
    ("auth_timeout", "proxy_timeout", "MLflow would be blamed for a slow auth service"),
    ("proxy_timeout", "alb_idle_timeout", "clients would see the load balancer's 504 and not this service's"),
    ("proxy_timeout", "total_timeout", "a call that MLflow does not answer would be taken for a slow client's"),
    ("head_timeout", "alb_idle_timeout", "the load balancer would give up on a slow head first"),
    ("alb_idle_timeout", "keep_alive", "the load balancer would reuse connections that are just being closed"),
    ("drain_timeout", "stop_timeout", "ECS would kill the task before its requests are finished"),
)
"""Each field must be less than the next one, or what follows happens."""

VARIABLES = {
    "connect_timeout": "GATEWAY_CONNECT_TIMEOUT",
    "auth_timeout": "GATEWAY_AUTH_TIMEOUT",
    "proxy_timeout": "MLFLOW_PROXY_TIMEOUT",
    "total_timeout": "GATEWAY_TOTAL_TIMEOUT",
    "alb_idle_timeout": "GATEWAY_ALB_IDLE_TIMEOUT",
    "keep_alive": "GATEWAY_KEEP_ALIVE",
    "head_timeout": "GATEWAY_HEAD_TIMEOUT",
    "drain_timeout": "GATEWAY_DRAIN_TIMEOUT",
    "stop_timeout": "GATEWAY_STOP_TIMEOUT",
}


def check_order(timeouts: Timeouts) -> None:
    """Raises ConfigError with the names of both variables."""
    for shorter, longer, otherwise in ORDER:
        low, high = getattr(timeouts, shorter), getattr(timeouts, longer)
        if low >= high:
            raise ConfigError(
                f"{VARIABLES[shorter]} ({low:g} s) is not less than {VARIABLES[longer]} ({high:g} s): {otherwise}"
            )
