"""One request to MLflow: the breaker, a place in the pool, and the tries it may take."""

from __future__ import annotations

import time
from dataclasses import dataclass

from gateway.body import RequestBody
from gateway.breaker import Breaker
from gateway.config import Config
from gateway.dialer import Dialer, Origin
from gateway.errors import (
    BreakerOpenError,
    BusyError,
    ClientGoneError,
    ClientStalledError,
    UpstreamError,
    UpstreamTimeoutError,
)
from gateway.failure import HopError
from gateway.guard import Guard
from gateway.headers import Headers
from gateway.pool import NoPlaceError, Pool
from gateway.retries import Retries
from gateway.trust import mlflow_context
from gateway.upstream_connection import Answer, Connection

RETRY_AFTER = 1.0


@dataclass(slots=True)
class UpstreamRequest:
    """``path`` and ``query`` are raw and are sent as they are, as are ``headers``, to which ``Host`` and the framing
    are added.

    ``repeatable`` tells that MLflow may get it twice. ``guard`` and ``body`` tell why a request ended without an
    answer. ``queued`` is true while it waits for a connection to be free; ``ms`` is how long it took to get an
    answer's head or an error, and ``tries`` how many requests that were.
    """

    method: str
    path: bytes
    query: bytes
    headers: Headers
    body: RequestBody | None = None
    guard: Guard | None = None
    repeatable: bool = False
    queued: bool = False
    ms: float | None = None
    tries: int = 0

    @property
    def cause(self) -> Exception | None:
        """Why nobody waits for the answer any more; None while somebody does."""
        if self.body is not None and self.body.disconnected:
            return ClientGoneError()
        return self.guard.cause if self.guard is not None else None

    def may_repeat(self) -> bool:
        return self.repeatable and (self.body is None or self.body.replayable)


@dataclass(slots=True)
class Lease:
    """An answer, and the connection that it comes on."""

    pool: Pool
    connection: Connection
    answer: Answer

    def __enter__(self) -> Answer:
        return self.answer

    def __exit__(self, *_error: object) -> None:
        """Closes the connection unless the answer was read to its end."""
        self.pool.give_back(self.connection)
        self.pool.leave()


class Upstream:
    """MLflow, as this service reaches it. Everything that asks MLflow anything asks here, health checks included."""

    def __init__(self, config: Config) -> None:
        origin = Origin.of(config.mlflow_url)
        dialer = Dialer(origin, config.connect_timeout, config.outbound_proxy, mlflow_context(config))
        self.pool = Pool(dialer, config.max_connections)
        self.retries = Retries()
        self.breaker = Breaker(
            "MLflow", BreakerOpenError, config.breaker_failures, config.breaker_recovery, config.breaker_attempts
        )
        self.origin = str(origin)
        self.host = origin.authority
        self._connect_timeout = config.connect_timeout
        self._first_fields = b"HTTP/1.1\r\nhost: %b\r\n" % origin.authority.encode()
        if config.mlflow_credential:
            self._first_fields += b"authorization: %b\r\n" % config.mlflow_credential.encode()

    def close(self) -> None:
        self.pool.close()

    async def ask(self, request: UpstreamRequest, *, probe: bool = False) -> Lease:
        """Send the request and return when the head of the answer is here; use what is returned in a ``with``.

        A ``probe`` is sent even while the breaker is open, and its outcome counts.
        Raises BreakerOpenError, BusyError, UpstreamError (502), UpstreamTimeoutError (504), ClientStalledError (408)
        or ClientGoneError.
        """
        if not probe:
            self.breaker.admit()
        began = time.perf_counter()
        try:
            lease = await self._leased(request)
        except BaseException as error:  # noqa: BLE001 - each end is reported once, and raised
            verdict = self._judge(request, error)
            self._report(verdict, probe)
            raise verdict from None
        finally:
            request.ms = milliseconds_since(began)
        self.breaker.succeeded()
        return lease

    async def _leased(self, request: UpstreamRequest) -> Lease:
        if request.body is not None:
            await request.body.begin()
        request.queued = True
        await self.pool.enter(self._connect_timeout)
        request.queued = False
        try:
            (connection, answer), request.tries = await self._first_answer(request)
        except BaseException:
            self.pool.leave()
            raise
        return Lease(self.pool, connection, answer)

    async def _first_answer(self, request: UpstreamRequest) -> tuple[tuple[Connection, Answer], int]:
        head = self._head(request)
        return await self.retries.run(lambda: self._once(request, head), request.may_repeat)

    async def _once(self, request: UpstreamRequest, head: bytes) -> tuple[Connection, Answer]:
        connection = await self.pool.connection()
        body = request.body
        try:
            content = b"" if body is None else body.whole if body.whole is not None else body.chunks()
            chunked = body is not None and body.chunked
            return connection, await connection.exchange(request.method, head, content, chunked=chunked)
        except BaseException:
            connection.close()
            raise

    def _head(self, request: UpstreamRequest) -> bytes:
        """Built of raw parts, so that all of them arrive as they came."""
        query = b"?" + request.query if request.query else b""
        fields = b"".join([b"%b: %b\r\n" % field for field in request.headers])
        framing = b"transfer-encoding: chunked\r\n" if request.body is not None and request.body.chunked else b""
        line = b"%b %b%b " % (request.method.encode(), request.path, query)
        return b"".join([line, self._first_fields, fields, framing, b"\r\n"])

    def _judge(self, request: UpstreamRequest, error: BaseException) -> BaseException:
        """Whose fault it is that there is no answer: the client's, ours, or (an UpstreamError) MLflow's."""
        if isinstance(error, NoPlaceError):
            return _busy()
        cause = request.cause
        if isinstance(cause, TimeoutError) and request.guard is not None:
            return self._overdue(request, request.guard.patience)
        if cause is None and isinstance(error, HopError):
            return self._no_answer(request, error)
        return cause or error

    def _overdue(self, request: UpstreamRequest, patience: float) -> Exception:
        if request.queued:
            return _busy()
        if request.body is not None and request.body.waiting:
            return ClientStalledError(f"Nothing of the request's body arrived for {patience:g} s; it is not complete.")
        return UpstreamTimeoutError(f"MLflow at {self.host} did not answer within {patience:g} s.")

    def _no_answer(self, request: UpstreamRequest, error: HopError) -> UpstreamError:
        request.tries = error.tries
        kind = UpstreamTimeoutError if error.failure.timed_out else UpstreamError
        times = f" ({error.tries} tries)" if error.tries > 1 else ""
        return kind(f"MLflow at {self.host}: {error.failure.reason}{times}.", tries=error.tries)

    def _report(self, verdict: BaseException, probe: bool) -> None:
        if isinstance(verdict, UpstreamError):
            self.breaker.failed()
        elif not probe:
            self.breaker.released()


def _busy() -> BusyError:
    return BusyError("All connections this service may have to MLflow are in use.", RETRY_AFTER)


def milliseconds_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
