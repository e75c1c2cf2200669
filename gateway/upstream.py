"""One request to MLflow: the breaker, a place in the pool, and the tries it may take."""

from __future__ import annotations

import asyncio
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
    RateLimitError,
    UpstreamError,
    UpstreamTimeoutError,
)
from gateway.failure import HopError
from gateway.guard import Guard, Limits, TooLongError
from gateway.headers import Headers
from gateway.pool import NoPlaceError, NoShareError, Pool
from gateway.retries import Retries
from gateway.trust import mlflow_context
from gateway.upstream_connection import Answer, Connection

RETRY_AFTER = 1.0
_MAX_FETCHED = 64 * 1024
_MOMENT = 1.0


@dataclass(slots=True)
class UpstreamRequest:
    """``path`` and ``query`` are raw and are sent as they are, as are ``headers``, to which ``Host`` and the framing
    are added.

    ``repeatable`` tells that MLflow may get it twice, and ``holder`` whose share of the connections it takes from.
    ``guard`` and ``body`` tell why a request ended without an answer. ``queued`` is true while it waits for a
    connection to be free; ``ms`` is how long it took to get an answer's head or an error, None if MLflow was not asked,
    and ``tries`` how often it was until now.
    """

    method: str
    path: bytes
    query: bytes
    headers: Headers
    body: RequestBody | None = None
    guard: Guard | None = None
    repeatable: bool = False
    holder: str = ""
    queued: bool = False
    ms: float | None = None
    tries: int = 0

    @property
    def cause(self) -> Exception | None:
        """Why nobody waits for the answer any more; None while somebody does."""
        if self.body is not None and self.body.disconnected:
            return ClientGoneError()
        return self.guard.cause if self.guard is not None else None

    @property
    def streams(self) -> bool:
        """True while there is more of the body to come than is here."""
        return self.body is not None and self.body.whole is None

    def may_repeat(self) -> bool:
        return self.repeatable and (self.body is None or self.body.replayable)


@dataclass(slots=True)
class Lease:
    """An answer, and the connection that it comes on."""

    pool: Pool
    holder: str
    connection: Connection
    answer: Answer

    def __enter__(self) -> Answer:
        return self.answer

    def __exit__(self, *_error: object) -> None:
        """Closes the connection unless the answer was read to its end."""
        self.pool.give_back(self.connection)
        self.pool.leave(self.holder)


class Upstream:
    """MLflow, as this service reaches it. Everything that asks MLflow anything asks here, health checks included."""

    def __init__(self, config: Config) -> None:
        origin = Origin.of(config.mlflow_url)
        dialer = Dialer(origin, config.connect_timeout, config.outbound_proxy, mlflow_context(config))
        self.pool = Pool(dialer, config.max_connections, config.key_connections)
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
        Raises BreakerOpenError, BusyError, RateLimitError, UpstreamError (502), UpstreamTimeoutError (504),
        ClientStalledError (408) or ClientGoneError.
        """
        if not probe:
            self.breaker.check()
        began = time.perf_counter()
        ticket = 0
        try:
            if request.body is not None:
                await request.body.begin()
            if not probe:
                ticket = self.breaker.admit(streams=request.streams)
            lease = await self._leased(request)
        except BaseException as error:  # noqa: BLE001 - each end is reported once, and raised
            verdict = self._judge(request, error)
            self._report(verdict, ticket)
            raise verdict from None
        finally:
            if request.tries:
                request.ms = milliseconds_since(began)
        self.breaker.succeeded()
        return lease

    async def fetch(self, path: bytes, *, probe: bool) -> tuple[int, bytes]:
        """Status and body of a GET of this service's own, which must be answered in a moment, after as long as a
        connection may take: no connection is another fault than no answer.

        Raises UpstreamError or BusyError.
        """
        guard = Guard(asyncio.get_running_loop(), Limits(self._connect_timeout + _MOMENT), time.monotonic())
        request = UpstreamRequest("GET", path, b"", [(b"accept", b"text/plain")], guard=guard, repeatable=True)
        try:
            with guard, await self.ask(request, probe=probe) as answer:
                return answer.status, await answer.read_all(_MAX_FETCHED)
        except (HopError, TimeoutError):
            raise UpstreamError(f"MLflow at {self.host}: its answer stopped part-way.", tries=request.tries) from None

    async def _leased(self, request: UpstreamRequest) -> Lease:
        request.queued = True
        await self.pool.enter(self._connect_timeout, request.holder)
        request.queued = False
        try:
            head = self._head(request)
            connection, answer = await self.retries.run(
                lambda number: self._once(request, head, number), request.may_repeat
            )
        except BaseException:
            self.pool.leave(request.holder)
            raise
        return Lease(self.pool, request.holder, connection, answer)

    async def _once(self, request: UpstreamRequest, head: bytes, number: int) -> tuple[Connection, Answer]:
        request.tries = number
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
        if isinstance(error, NoShareError):
            return _over_its_share()
        cause = request.cause
        if isinstance(cause, TimeoutError) and request.guard is not None:
            return self._overdue(request, cause, request.guard.patience)
        if cause is None and isinstance(error, HopError):
            return self._no_answer(request, error)
        return cause or error

    def _overdue(self, request: UpstreamRequest, cause: TimeoutError, patience: float) -> Exception:
        """What moved and took too long is the client's doing: MLflow has the whole patience from the last byte on."""
        if request.queued:
            return _busy()
        if isinstance(cause, TooLongError) or (request.body is not None and request.body.waiting):
            return ClientStalledError(f"The request's body did not arrive in time: {cause}.")
        return UpstreamTimeoutError(
            f"MLflow at {self.host} did not answer within {patience:g} s{_times(request)}.", tries=request.tries
        )

    def _no_answer(self, request: UpstreamRequest, error: HopError) -> UpstreamError:
        kind = UpstreamTimeoutError if error.failure.timed_out else UpstreamError
        return kind(f"MLflow at {self.host}: {error.failure.reason}{_times(request)}.", tries=request.tries)

    def _report(self, verdict: BaseException, ticket: int) -> None:
        if isinstance(verdict, UpstreamError) and not isinstance(verdict, BreakerOpenError):
            self.breaker.failed(ticket)
        else:
            self.breaker.released(ticket)


def _times(request: UpstreamRequest) -> str:
    return f" ({request.tries} tries)" if request.tries > 1 else ""


def _busy() -> BusyError:
    return BusyError("All connections this service may have to MLflow are in use.", RETRY_AFTER)


def _over_its_share() -> RateLimitError:
    return RateLimitError("The API key has as many requests under way as one key may have.", RETRY_AFTER)


def milliseconds_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
