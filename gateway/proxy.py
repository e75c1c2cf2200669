"""Forwarding one authenticated request as a stream, both ways."""

from __future__ import annotations

import asyncio

from gateway.body import RequestBody
from gateway.config import Config
from gateway.errors import BrokenResponseError
from gateway.exchange import Exchange
from gateway.failure import HopError
from gateway.guard import Guard, Limits
from gateway.headers import Headers, Origin, to_client, to_upstream
from gateway.identity import Identity
from gateway.mounts import Target, rewrite_location
from gateway.upstream import Upstream, UpstreamRequest
from gateway.upstream_connection import Answer

STREAMED = "artifacts"
"""The family whose bodies may be of any size, so that no time in all would be right for them."""


class Proxy:
    def __init__(self, upstream: Upstream, config: Config) -> None:
        self._upstream = upstream
        self._calls = Limits(config.proxy_timeout, total=config.total_timeout)
        self._streams = Limits(config.proxy_timeout, rate=config.min_rate)
        self._loop = asyncio.get_running_loop()
        self._origin = upstream.origin.encode()

    async def forward(
        self, exchange: Exchange, target: Target, identity: Identity, origin: Origin, *, repeatable: bool
    ) -> None:
        """Raises what Upstream.open does before the answer has begun, BrokenResponseError after."""
        limits = self._streams if exchange.family == STREAMED else self._calls
        guard = Guard(self._loop, limits, exchange.began)
        body = RequestBody(exchange.headers, exchange.receive)
        guard.watch(body, exchange)
        request = UpstreamRequest(
            exchange.method,
            target.path,
            exchange.query,
            to_upstream(exchange.headers, identity, origin, exchange.request_id),
            body if body.expected else None,
            guard,
            repeatable,
            identity.key_id,
        )
        try:
            with guard, await self._upstream.ask(request) as answer:
                await self._relay(exchange, answer, guard, target)
        except TimeoutError as error:
            raise BrokenResponseError(f"MLflow's answer was cut off after {exchange.sent} bytes: {error}") from None
        finally:
            exchange.upstream_ms = request.ms
            exchange.tries = request.tries

    async def _relay(self, exchange: Exchange, answer: Answer, guard: Guard, target: Target) -> None:
        exchange.emitter = "mlflow"
        await exchange.start(answer.status, self._headers(answer, target))
        try:
            more = True
            while more:
                chunk = await answer.read()
                guard.touch()
                more = not answer.ended
                await exchange.write(chunk, more=more)
                guard.touch()
        except HopError as error:
            raise BrokenResponseError(f"MLflow's answer stopped after {exchange.sent} bytes") from error

    def _headers(self, answer: Answer, target: Target) -> Headers:
        return [
            (name, rewrite_location(value, target, self._origin) if name == b"location" else value)
            for name, value in to_client(answer.headers, answer.status)
        ]
