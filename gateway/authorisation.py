"""Whether a request of a known key may go to MLflow: the last questions before it is forwarded."""

from __future__ import annotations

import logging

from gateway.config import Config
from gateway.errors import FeatureDisabledError, NotFoundError, ScopeError
from gateway.exchange import Exchange
from gateway.identity import Identity
from gateway.inspection import Inspector
from gateway.log import event
from gateway.mlflow_routes import OPTIONAL_FAMILIES
from gateway.mounts import Target
from gateway.paths import check_artifact_target
from gateway.routes import MLFLOW, WRITE, Route, RouteTable, shape

UNKNOWN = "unknown"
"""The family of a request that is no route."""


class Authorisation:
    """MLflow's routes, as this configuration allows them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._table = RouteTable([*MLFLOW, *config.extra_routes])
        self._inspector = Inspector(
            config.proxy_timeout, local=config.local_artifacts, jobs="scorer-execution" in config.enabled_families
        )

    def route(self, exchange: Exchange, target: Target | None) -> Route | None:
        """None is a request that nobody may make. Sets the exchange's family."""
        route = self._table.classify(exchange.method, target.path) if target else None
        exchange.family = route.family if route else UNKNOWN
        return route

    async def admit(self, exchange: Exchange, target: Target | None, route: Route | None, identity: Identity) -> Target:
        """The target, when all is well. Raises NotFoundError, FeatureDisabledError, ScopeError or what the body does.

        A held body is read here, and not before its sender is known to be allowed to send it.
        """
        if target is None:
            raise NotFoundError("Nothing is served at this path. MLflow's tracking URI here ends in /api/mlflow.")
        if route is None:
            raise _unknown(exchange, target)
        self._require_enabled(route)
        if route.scope not in identity.scopes:
            raise ScopeError(f"The API key lacks the scope '{route.scope}' that this call needs.")
        if route.carries_path:
            check_artifact_target(target.path, exchange.query)
        if route.body:
            await self._inspector.inspect(exchange, route.body)
        return target

    def release(self, exchange: Exchange) -> None:
        """The exchange is over: what was held of its body is no more."""
        self._inspector.release(exchange)

    def _require_enabled(self, route: Route) -> None:
        why = OPTIONAL_FAMILIES.get(route.family)
        if why and route.family not in self._config.enabled_families:
            raise FeatureDisabledError(
                f"'{route.family}' is off here ({why}). Its operator can enable it in GATEWAY_ENABLED_FAMILIES."
            )
        if route.carries_path and not self._config.serve_artifacts:
            raise FeatureDisabledError("Artifacts are not served here (MLFLOW_SERVE_ARTIFACTS is false).")


def _unknown(exchange: Exchange, target: Target) -> NotFoundError:
    """Logged by the shape of its path: the path itself is the client's, and may hold anything."""
    asked = f"{exchange.method} {shape(target.path)}"
    nearby = "" if target.prefix else " MLflow's tracking URI here ends in /api/mlflow."
    remedy = (
        "This service knows no such route of MLflow. If the MLflow behind it is newer, its operator can allow it in "
        f"GATEWAY_EXTRA_ROUTES, as '{asked} {WRITE}' with {{name}} for *"
    )
    fields = {"request_id": exchange.request_id, "key_id": exchange.key_id, "route": asked, "remedy": remedy}
    event("unknown route", fields, logging.WARNING)
    return NotFoundError(f"{remedy}.{nearby}")
