"""One request to MLflow: the pool, the breaker and the single safe retry."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from yarl import URL

from gateway.breaker import Breaker
from gateway.config import Config
from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.network import FAILURES, Failure, explain

_REPEATABLE = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class UpstreamRequest:
    """``path`` and ``query`` are raw and are sent as they are; ``body`` can be read once."""

    method: str
    path: bytes
    query: bytes
    headers: list[tuple[str, str]]
    body: AsyncIterator[bytes] | None = None


class Upstream:
    """MLflow, as this service reaches it. Everything that asks MLflow anything asks here, health checks included."""

    def __init__(self, session: aiohttp.ClientSession, config: Config) -> None:
        self._session = session
        self._connect_timeout = config.connect_timeout
        origin = URL(config.mlflow_url)
        self._scheme = origin.scheme
        self._authority = origin.raw_authority
        self.origin = f"{origin.scheme}://{origin.raw_authority}"
        self.breaker = Breaker(config.breaker_failures, config.breaker_recovery, config.breaker_attempts)

    @property
    def host(self) -> str:
        """What MLflow sees as ``Host``."""
        return self._authority

    async def open(self, request: UpstreamRequest, *, probe: bool = False) -> aiohttp.ClientResponse:
        """Send the request and return when the head of the answer is here; the caller closes the response.

        A ``probe`` is sent even while the breaker is open, and its outcome counts.
        Raises BreakerOpenError, UpstreamError (502) or UpstreamTimeoutError (504).
        """
        if not probe:
            self.breaker.admit()
        try:
            response = await self._send(request)
        except UpstreamError:
            self.breaker.failed()
            raise
        except BaseException:
            self.breaker.released()
            raise
        self.breaker.succeeded()
        return response

    async def _send(self, request: UpstreamRequest) -> aiohttp.ClientResponse:
        repeatable = request.method in _REPEATABLE and request.body is None
        try:
            return await self._send_once(request)
        except FAILURES as error:
            failure = explain(error, self._connect_timeout)
        if repeatable and failure.stale:
            try:
                return await self._send_once(request)
            except FAILURES as error:
                failure = explain(error, self._connect_timeout)
        raise self._error(failure, tries=2 if repeatable and failure.stale else 1)

    async def _send_once(self, request: UpstreamRequest) -> aiohttp.ClientResponse:
        return await self._session.request(
            request.method, self._url(request), headers=request.headers, data=request.body, allow_redirects=False
        )

    def _url(self, request: UpstreamRequest) -> URL:
        """Built of raw parts: parsing the whole would give ``?``, ``#`` and ``%`` another meaning."""
        return URL.build(
            scheme=self._scheme,
            authority=self._authority,
            path=request.path.decode("latin-1"),
            query_string=request.query.decode("latin-1"),
            encoded=True,
        )

    def _error(self, failure: Failure, tries: int) -> UpstreamError:
        kind = UpstreamTimeoutError if failure.timed_out else UpstreamError
        times = f" ({tries} tries)" if tries > 1 else ""
        return kind(f"MLflow at {self._authority}: {failure.reason}{times}.")


def milliseconds_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
