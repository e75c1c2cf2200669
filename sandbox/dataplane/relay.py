"""One HTTP exchange relayed as a stream: ASGI on the client's side, aiohttp's client on the target's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
RawHeaders = Iterable[tuple[bytes, bytes]]

CONNECT_SECONDS = 10.0
"""How long an ALB waits for a target's SYN-ACK (user guide, "HTTP 504")."""

MAX_RESPONSE_HEADER = 32 * 1024
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection "
    b"te trailer transfer-encoding upgrade expect".split()
)
IMPLIED_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""What aiohttp would add of its own; a relay adds nothing."""


class RelayError(Exception):
    """The exchange did not complete; `status` is what to tell the client if it can still be told."""

    status = 502


class BadGatewayError(RelayError):
    """Refused, reset, closed early, or not HTTP."""


class GatewayTimeoutError(RelayError):
    """The target was silent for the idle timeout, or never answered the connection."""

    status = 504


class RequestTimeoutError(RelayError):
    """The client stopped sending its body for the idle timeout."""

    status = 408


class ClientGoneError(RelayError):
    """The client hung up; 460 is what an ALB logs."""

    status = 460


@dataclass
class Exchange:
    """What happened so far, also when it ends in an error: for the log and for what can still be said.

    `answered_at` is when (`time.monotonic`) the target began to answer.
    """

    target_status: int | None = None
    answered_at: float | None = None
    started: bool = False
    received_bytes: int = 0
    sent_bytes: int = 0


@dataclass(frozen=True)
class Outgoing:
    """The request as the target gets it; `url` carries path and query exactly as they are to be sent."""

    method: str
    url: str
    headers: list[tuple[bytes, bytes]]
    has_body: bool


def client_session() -> aiohttp.ClientSession:
    """A session that relays: no cookies, no decompression, no limits; create it inside the running loop."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        skip_auto_headers=IMPLIED_HEADERS,
        auto_decompress=False,
        max_field_size=MAX_RESPONSE_HEADER,
    )


def end_to_end(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Without the hop-by-hop headers, those named by `Connection` included."""
    pairs = [(name.lower(), value) for name, value in headers]
    named = {token.strip().lower() for name, value in pairs if name == b"connection" for token in value.split(b",")}
    return [(name, value) for name, value in pairs if name not in HOP_BY_HOP and name not in named]


async def relay(
    session: aiohttp.ClientSession, outgoing: Outgoing, receive: Receive, send: Send, idle: float, exchange: Exchange
) -> None:
    """Carry one exchange to its end, `idle` seconds being the longest silence; raises RelayError.

    A client that hangs up ends the target's connection at once.
    """
    intake = _Intake(receive, exchange, has_body=outgoing.has_body)
    work = asyncio.ensure_future(_carry(session, outgoing, intake, send, idle, exchange))
    watch = asyncio.ensure_future(intake.hung_up())
    try:
        await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientGoneError("the client closed the connection")
        work.result()
    finally:
        work.cancel()
        watch.cancel()
        await asyncio.gather(work, watch, return_exceptions=True)


class _Intake:
    """The only reader of the client's messages: first the body, then the hang-up."""

    def __init__(self, receive: Receive, exchange: Exchange, *, has_body: bool) -> None:
        self._receive = receive
        self._exchange = exchange
        self.touch: Callable[[], None] = _nothing
        self.has_body = has_body
        self.gone = False
        self.ended = asyncio.Event()
        if not has_body:
            self.ended.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientGoneError("the client closed the connection while sending")
            self.touch()
            more = message.get("more_body", False)
            if body := message.get("body", b""):
                self._exchange.received_bytes += len(body)
                yield body
        self.ended.set()

    async def hung_up(self) -> None:
        await self.ended.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _carry(
    session: aiohttp.ClientSession, outgoing: Outgoing, intake: _Intake, send: Send, idle: float, exchange: Exchange
) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(idle) as clock:
            intake.touch = lambda: clock.reschedule(loop.time() + idle)
            try:
                await _stream(session, outgoing, intake, send, exchange)
            finally:
                intake.touch = _nothing
    except TimeoutError as error:
        if intake.ended.is_set():
            raise GatewayTimeoutError(f"no answer for {idle:g} s") from error
        raise RequestTimeoutError(f"no request body for {idle:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        if intake.gone:
            raise ClientGoneError("the client closed the connection while sending") from error
        raise BadGatewayError(str(error) or type(error).__name__) from error


async def _stream(
    session: aiohttp.ClientSession, outgoing: Outgoing, intake: _Intake, send: Send, exchange: Exchange
) -> None:
    url = URL(outgoing.url, encoded=True)
    headers = CIMultiDict((_text(name), _text(value)) for name, value in outgoing.headers)
    body = intake.chunks() if intake.has_body else None
    request = session.request(outgoing.method, url, headers=headers, data=body, allow_redirects=False)
    async with request as response:
        intake.touch()
        exchange.target_status, exchange.answered_at = response.status, time.monotonic()
        await send(_start(outgoing.method, response))
        exchange.started = True
        async for chunk in response.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            exchange.sent_bytes += len(chunk)
            intake.touch()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _start(method: str, response: aiohttp.ClientResponse) -> Message:
    if not 200 <= response.status <= 599:
        raise BadGatewayError(f"the target answered status {response.status}")
    headers = end_to_end(response.raw_headers)
    if response.status in (204, 304) and method != "HEAD":
        headers = [(name, value) for name, value in headers if name != b"content-length"]
    return {"type": "http.response.start", "status": response.status, "headers": headers}


def has_body(headers: RawHeaders) -> bool:
    """Whether a request with these headers (as received, names in lower case) carries a body."""
    return any(
        (name == b"content-length" and value.strip() != b"0") or name == b"transfer-encoding" for name, value in headers
    )


def _nothing() -> None:
    """The clock that is not running."""


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
