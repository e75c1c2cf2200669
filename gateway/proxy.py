"""Forwarding one authenticated request as a stream, both ways."""

from __future__ import annotations

import time

import aiohttp

from gateway.body import RequestBody
from gateway.config import Config
from gateway.errors import BrokenResponseError, ClientGoneError, UpstreamError, UpstreamTimeoutError
from gateway.exchange import Exchange
from gateway.guard import Guard
from gateway.headers import Headers, Origin, to_client, to_upstream
from gateway.identity import Identity
from gateway.mounts import Target, rewrite_location
from gateway.network import FAILURES
from gateway.upstream import Upstream, UpstreamRequest, milliseconds_since


class Proxy:
    def __init__(self, upstream: Upstream, config: Config) -> None:
        self._upstream = upstream
        self._patience = config.proxy_timeout
        self._origin = upstream.origin.encode()

    async def forward(self, exchange: Exchange, target: Target, identity: Identity, origin: Origin) -> None:
        """Raises UpstreamError before the answer has begun, BrokenResponseError after, ClientGoneError at any time."""
        guard = Guard(self._patience, exchange.began)
        body = RequestBody(exchange.headers, exchange.receive, guard.touch)
        request = UpstreamRequest(
            exchange.method,
            target.path,
            exchange.query,
            to_upstream(exchange.headers, identity, origin, exchange.request_id),
            body.chunks() if body.expected else None,
        )
        try:
            async with guard:
                guard.watch(body.gone())
                response = await self._open(exchange, request, body)
                try:
                    await self._relay(exchange, response, guard, target)
                finally:
                    response.close()
        except TimeoutError:
            raise self._timed_out(exchange) from None

    async def _open(self, exchange: Exchange, request: UpstreamRequest, body: RequestBody) -> aiohttp.ClientResponse:
        asked = time.perf_counter()
        try:
            return await self._upstream.open(request)
        except UpstreamError:
            if body.disconnected:  # the upload ended because the client did, not because MLflow failed
                raise ClientGoneError from None
            raise
        finally:
            exchange.upstream_ms = milliseconds_since(asked)

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

    def _timed_out(self, exchange: Exchange) -> Exception:
        if exchange.started:
            return BrokenResponseError(f"nothing moved for {self._patience:g} s after {exchange.sent} bytes")
        self._upstream.breaker.failed()
        return UpstreamTimeoutError(f"MLflow at {self._upstream.host} did not answer within {self._patience:g} s.")
