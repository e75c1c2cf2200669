"""One request to MLflow: the pool, the breaker and the single safe retry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from gateway.body import RequestBody
from gateway.breaker import Breaker
from gateway.config import Config
from gateway.errors import BusyError, ClientGoneError, ClientStalledError, UpstreamError, UpstreamTimeoutError
from gateway.guard import Guard
from gateway.network import FAILURES, Failure, explain

RETRY_AFTER = 1.0
_REPEATABLE = frozenset({"GET", "HEAD"})


@dataclass
class UpstreamRequest:
    """``path`` and ``query`` are raw and are sent as they are; ``body`` can be read once.

    ``guard`` and ``body`` tell why a request ended without an answer. ``queued`` is true while it waits for a
    connection to be free, and ``ms`` is how long it took to get an answer's head or an error.
    """

    method: str
    path: bytes
    query: bytes
    headers: list[tuple[str, str]]
    body: RequestBody | None = None
    guard: Guard | None = None
    queued: bool = False
    ms: float | None = None

    @property
    def cause(self) -> Exception | None:
        """Why nobody waits for the answer any more; None while somebody does."""
        if self.body is not None and self.body.disconnected:
            return ClientGoneError()
        return self.guard.cause if self.guard is not None else None


class Upstream:
    """MLflow, as this service reaches it. Everything that asks MLflow anything asks here, health checks included."""

    def __init__(self, session: aiohttp.ClientSession, config: Config) -> None:
        self._session = session
        self._connect_timeout = config.connect_timeout
        self._places = asyncio.Semaphore(config.max_connections)
        origin = URL(config.mlflow_url)
        self._scheme = origin.scheme
        self._authority = origin.raw_authority
        self.origin = f"{origin.scheme}://{origin.raw_authority}"
        self.breaker = Breaker(config.breaker_failures, config.breaker_recovery, config.breaker_attempts)

    @property
    def host(self) -> str:
        """What MLflow sees as ``Host``."""
        return self._authority

    @asynccontextmanager
    async def open(self, request: UpstreamRequest, *, probe: bool = False) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send the request and begin when the head of the answer is here; leaving closes the connection unless it is
        read to its end.

        A ``probe`` is sent even while the breaker is open, and its outcome counts.
        Raises BreakerOpenError, BusyError, UpstreamError (502), UpstreamTimeoutError (504), ClientStalledError (408)
        or ClientGoneError.
        """
        if not probe:
            self.breaker.admit()
        began = time.perf_counter()
        with ExitStack() as held:
            try:
                await self._take_place(request)
                held.callback(self._places.release)
                response = await self._send(request)
            except BaseException as error:  # noqa: BLE001 - each end is reported once, and raised
                verdict = self._judge(request, error)
                self._report(verdict, probe)
                raise verdict from None
            finally:
                request.ms = milliseconds_since(began)
            self.breaker.succeeded()
            held.callback(response.close)
            yield response

    async def _take_place(self, request: UpstreamRequest) -> None:
        """Wait for a free connection here: the client library does not tell this wait from MLflow's."""
        if not self._places.locked():
            await self._places.acquire()
            return
        request.queued = True
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._places.acquire()
        except TimeoutError:
            raise _busy() from None
        request.queued = False

    def _judge(self, request: UpstreamRequest, error: BaseException) -> BaseException:
        """Whose fault it is that there is no answer: the client's, ours, or (an UpstreamError) MLflow's."""
        cause = request.cause
        if not isinstance(cause, TimeoutError) or request.guard is None:
            return cause or error
        if request.queued:
            return _busy()
        patience = request.guard.patience
        if request.body is not None and request.body.waiting:
            return ClientStalledError(f"Nothing of the request's body arrived for {patience:g} s; it is not complete.")
        return UpstreamTimeoutError(f"MLflow at {self._authority} did not answer within {patience:g} s.")

    def _report(self, verdict: BaseException, probe: bool) -> None:
        if isinstance(verdict, UpstreamError):
            self.breaker.failed()
        elif not probe:
            self.breaker.released()

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
        body = request.body.chunks() if request.body is not None else None
        return await self._session.request(
            request.method, self._url(request), headers=request.headers, data=body, allow_redirects=False
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


def _busy() -> BusyError:
    return BusyError("All connections this service may have to MLflow are in use.", RETRY_AFTER)


def milliseconds_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
