"""One request on a client's connection and its answer: the ASGI side of server.py.

What is written here is framed by one rule each: a Content-Length that the application counts down to nothing, chunks of
HTTP/1.1, or the connection's end for HTTP/1.0. An answer that is not complete when the application returns, or that is
longer than it said, ends in an aborted connection, so that nobody takes a part for the whole.
"""

from __future__ import annotations

import asyncio
import http
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from gateway.body import Message, Receive
from gateway.errors import BrokenResponseError, GatewayError, UpstreamError
from gateway.framing import ANSWER_FIELDS
from gateway.headers import Headers, first
from gateway.log import LOG

EXTENSION = "hokusai.turn"
"""Where in ``scope["extensions"]`` the application finds the Turn."""

Application = Callable[[Message, Receive, Callable[[Message], Awaitable[None]]], Awaitable[None]]

_HIGH_WATER = 128 * 1024
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus}
_OURS = frozenset({b"connection", b"date", b"transfer-encoding"})
_STALL = 60.0
"""Seconds after which a client that takes an answer too slowly is cut off; a proxied one has limits of its own."""


class Link(Protocol):
    """What a turn needs of its connection."""

    @property
    def date(self) -> bytes: ...
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def choked(self) -> bool: ...
    @property
    def unsent(self) -> int: ...
    @property
    def least_rate(self) -> int: ...
    def write(self, *data: bytes) -> None: ...
    def resume_reading(self) -> None: ...
    def pause_reading(self) -> None: ...
    async def room_to_write(self) -> None: ...
    def abort(self) -> None: ...
    def answered(self) -> None: ...


class Turn:
    """``refusal`` is set when the request, or its body later on, cannot be taken as HTTP; the application answers."""

    def __init__(self, link: Link, method: str, minor: int, headers: Headers) -> None:
        self.method = method
        self.keep_alive = minor == 1 and not _says_close(headers)
        self.refusal: GatewayError | None = None
        self.received = 0
        self.more_body = True
        self.complete = False
        self._link = link
        self._minor = minor
        self._continue = minor == 1 and (first(headers, b"expect") or b"").lower() == b"100-continue"
        self._chunks: list[bytes] = []
        self._held = 0
        self._told_end = self._gone = self._started = False
        self._waiter: asyncio.Future[None] | None = None
        self._left: int | None = None
        self._framed = False
        self._head = b""

    # the connection's side

    def body(self, data: bytes) -> None:
        self.received += len(data)
        self._continue = False
        if self.complete:
            return
        self._chunks.append(data)
        self._held += len(data)
        if self._held > _HIGH_WATER:
            self._link.pause_reading()
        self._wake()

    def end(self) -> None:
        self.more_body = False
        self._wake()

    def refuse(self, error: GatewayError) -> None:
        """The rest of the body is unreadable: for the application the client has left, but it may still answer."""
        self.refusal = error
        self.keep_alive = False
        self._wake()

    def leave(self) -> None:
        self._gone = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # the application's side

    @property
    def choked(self) -> bool:
        """True while nothing is to be written."""
        return self._link.choked

    @property
    def unsent(self) -> int:
        """Bytes that were written and are not the client's yet."""
        return self._link.unsent

    async def run(self, application: Application, scope: Message) -> None:
        try:
            await application(scope, self.receive, self.send)
        except Exception:  # noqa: BLE001 - the last resort of a task that nobody awaits
            LOG.exception("the application failed")
        finally:
            if not self.complete:
                self._link.abort()

    async def receive(self) -> Message:
        while not self._over() and not self._chunks and (self.more_body or self._told_end):
            if self._continue and not self._started:
                self._link.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._continue = False
            self._link.resume_reading()
            self._waiter = self._link.loop.create_future()
            await self._waiter
        if self._over():
            return {"type": "http.disconnect"}
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._held = 0
        self._told_end = not self.more_body
        return {"type": "http.request", "body": data, "more_body": self.more_body}

    def _over(self) -> bool:
        return self._gone or self.complete or self.refusal is not None

    async def send(self, message: Message) -> None:
        if self._link.choked:
            await self._room()
        if self._gone:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], message["headers"])
        else:
            self._write(message.get("body", b""))
            if not message.get("more_body", False):
                self._finish()

    async def _room(self) -> None:
        least = max(1.0, self._link.least_rate * _STALL)
        while True:
            before = self._link.unsent
            try:
                async with asyncio.timeout(_STALL):
                    return await self._link.room_to_write()
            except TimeoutError:
                if before - self._link.unsent < least:
                    return self._link.abort()

    def _start(self, status: int, headers: Headers) -> None:
        """Raises UpstreamError: what we answer by ourselves is well-formed."""
        keep_alive = self.keep_alive and not self._is_in_doubt() and not _says_close(headers)
        fields = [b"%b: %b\r\n" % field for field in headers if field[0] not in _OURS]
        if self.method == "HEAD" or status in {204, 304}:
            self._left = 0
        elif (length := _length(headers)) is not None:
            self._left = length
        elif self._minor == 1:
            self._framed = True
            fields.append(b"transfer-encoding: chunked\r\n")
        else:
            keep_alive = False
        if not keep_alive:
            fields.append(b"connection: close\r\n")
        block = b"".join(fields)
        if not ANSWER_FIELDS.fullmatch(block) or block.count(b"\n") != len(fields):
            raise UpstreamError("MLflow's answer has a malformed header.")
        self._started = True
        self.keep_alive = keep_alive
        line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        self._head = b"".join((line, self._link.date, block, b"\r\n"))
        self._link.loop.call_soon(self._put)

    def _put(self, *data: bytes) -> None:
        """Write, with the head before it if that still waits: what comes at once goes out at once, in one call."""
        if self._head:
            data = (self._head, *data)
            self._head = b""
        if data:
            self._link.write(*data)

    def _is_in_doubt(self) -> bool:
        """True when what follows on the connection may be this body or not: who waits for a 100 may leave it out."""
        return self.more_body and self._continue

    def _write(self, body: bytes) -> None:
        if self._framed:
            if body:
                self._put(b"%x\r\n" % len(body), body, b"\r\n")
            return
        if self._left is not None:
            if self.method == "HEAD" or not body:
                return
            self._left -= len(body)
            if self._left < 0:
                self._link.abort()
                raise BrokenResponseError("MLflow's answer is longer than its Content-Length")
        self._put(body)

    def _finish(self) -> None:
        if self._left:
            self._link.abort()
            raise BrokenResponseError("MLflow's answer is shorter than its Content-Length")
        self._put(*([b"0\r\n\r\n"] if self._framed else []))
        self.complete = True
        self._wake()
        self._link.answered()


def _says_close(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    for name, value in headers:
        if name == b"connection" and value != b"keep-alive" and b"close" in map(bytes.strip, value.lower().split(b",")):
            return True
    return False


def _length(headers: Headers) -> int | None:
    lengths = [value for name, value in headers if name == b"content-length"]
    if not lengths:
        return None
    if len(lengths) > 1 or not lengths[0].isdigit():
        raise UpstreamError("MLflow's answer has no single length.")
    return int(lengths[0])
