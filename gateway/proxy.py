"""Forwarding one authenticated request as a stream, both ways."""

from __future__ import annotations

import aiohttp

from gateway.body import RequestBody
from gateway.config import Config
from gateway.errors import BrokenResponseError
from gateway.exchange import Exchange
from gateway.guard import Guard
from gateway.headers import Headers, Origin, to_client, to_upstream
from gateway.identity import Identity
from gateway.mounts import Target, rewrite_location
from gateway.network import FAILURES
from gateway.upstream import Upstream, UpstreamRequest


class Proxy:
    def __init__(self, upstream: Upstream, config: Config) -> None:
        self._upstream = upstream
        self._patience = config.proxy_timeout
        self._origin = upstream.origin.encode()

    async def forward(self, exchange: Exchange, target: Target, identity: Identity, origin: Origin) -> None:
        """Raises what Upstream.open does before the answer has begun, BrokenResponseError after."""
        guard = Guard(self._patience, exchange.began)
        body = RequestBody(exchange.headers, exchange.receive, guard.touch)
        request = UpstreamRequest(
            exchange.method,
            target.path,
            exchange.query,
            to_upstream(exchange.headers, identity, origin, exchange.request_id),
            body if body.expected else None,
            guard,
        )
        try:
            async with guard:
                guard.watch(body.gone())
                async with self._upstream.open(request) as response:
                    await self._relay(exchange, response, guard, target)
        except TimeoutError:
            words = f"nothing moved for {self._patience:g} s after {exchange.sent} bytes"
            raise BrokenResponseError(words) from None
        finally:
            exchange.upstream_ms = request.ms

    async def _relay(self, exchange: Exchange, response: aiohttp.ClientResponse, guard: Guard, target: Target) -> None:
        exchange.emitter = "mlflow"
        await exchange.start(response.status, self._headers(response, target))
        stream = response.content
        try:
            more = True
            while more:
                chunk = await stream.readany()
                guard.touch()
                more = not stream.at_eof()
                await exchange.write(chunk, more=more)
                guard.touch()
        except FAILURES as error:
            raise BrokenResponseError(f"MLflow's answer stopped after {exchange.sent} bytes") from error

    def _headers(self, response: aiohttp.ClientResponse, target: Target) -> Headers:
        return [
            (name, rewrite_location(value, target, self._origin) if name == b"location" else value)
            for name, value in to_client(response.raw_headers, response.status)
        ]
