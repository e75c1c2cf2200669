"""One HTTP/1.1 connection to a server behind us: one request at a time, its answer as a stream.

Parsing is llhttp's (through httptools) in its strict mode, which refuses both framings at once, bare line feeds, folded
headers and control characters. What this file adds are the rules of RFC 9112 that depend on the request: an answer to
HEAD has no body, and a byte that nobody asked for ends the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import httptools

from gateway.failure import CLOSED, INVALID, UNSENT, HopError

Fields = list[tuple[bytes, bytes]]

MAX_HEAD = 256 * 1024
"""Bytes of an answer's head; MLflow's Location headers alone reach tens of kilobytes."""

_FRAMED = b"transfer-encoding"
_FRAMING = frozenset({_FRAMED, b"content-length"})
_HIGH_WATER = 256 * 1024
_MAX_INTERIM = 8
LAST_CHUNK = b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """``exchange`` a request, then ``read`` until ``b""``; after that ``reusable`` tells whether another may follow."""

    def __init__(self) -> None:
        self.born = self.idle_since = 0.0
        self.loop = asyncio.get_running_loop()
        self.answer: Answer | None = None
        self._transport: asyncio.Transport | None = None
        self._pump: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._paused = False
        self._lost = False

    # what a user of the connection calls

    async def exchange(self, method: str, head: bytes, body: AsyncIterator[bytes] | bytes, *, chunked: bool) -> Answer:
        """Send a request and return its answer as soon as its head is here, perhaps before the body is sent.

        ``body`` is the whole body, or its chunks; ``chunked`` puts the latter into chunks of HTTP's.
        Raises HopError, or what reading ``body`` raises.
        """
        if self._lost:
            raise HopError(UNSENT)
        answer = self.answer = Answer(self, method)
        if isinstance(body, bytes):
            self._write(head + (frame(body) if chunked and body else body) + (LAST_CHUNK if chunked else b""))
        else:
            self._write(head)
            self._pump = self.loop.create_task(self._send(body, chunked=chunked))
            self._pump.add_done_callback(self._sent)
        await answer.wait_for_head()
        return answer

    @property
    def reusable(self) -> bool:
        """True between two requests on a connection that both sides leave open."""
        return not self._lost and self._pump is None and (self.answer is None or self.answer.left_clean)

    def rest(self) -> None:
        """Forget the exchange, which is over. An answer and its parser know each other until then."""
        if self.answer is not None:
            self.answer.forget_parser()
            self.answer = None

    def close(self) -> None:
        """At once: what the other side has not said by now is not wanted."""
        self._lost = True
        if self._pump is not None:
            self._pump.cancel()
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        if self._transport is not None and not self._lost:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._lost:
            self._transport.resume_reading()

    # the sending side

    def _write(self, data: bytes) -> None:
        if self._lost or self._transport is None:
            raise HopError(CLOSED)
        self._transport.write(data)

    async def _send(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        async for chunk in body:
            self._write(frame(chunk) if chunked else chunk)
            if self._paused:
                self._writable = self.loop.create_future()
                await self._writable
        if chunked:
            self._write(LAST_CHUNK)

    def _sent(self, pump: asyncio.Task[None]) -> None:
        """An answer may come although the body could not be sent; without one, why it could not be is the outcome."""
        self._pump = None
        error = None if pump.cancelled() else pump.exception()
        if self.answer is None or (error is None and not pump.cancelled()):
            return
        self.answer.keep_alive = False
        if error is not None and not isinstance(error, HopError):
            self.answer.fail(error)
            self.close()

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        if self.answer is None or self.answer.complete:
            self.close()
        else:
            self.answer.feed(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self.resume_writing()
        if self.answer is not None:
            self.answer.end_of_stream(broken=exc is not None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)


def frame(chunk: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(chunk), chunk)


class Answer:
    """``status`` and ``headers`` (names in lower case) are there once the head is; ``read`` gives the body."""

    def __init__(self, connection: Connection, method: str) -> None:
        self.status = 0
        self.headers: Fields = []
        self.complete = False
        self.keep_alive = True
        self._connection = connection
        self._bodiless = method == "HEAD"
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: list[bytes] = []
        self._size = 0
        self._held_back = False
        self._until_closed = False
        self._head_bytes = 0
        self._interim = 0
        self._failure: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def left_clean(self) -> bool:
        return self.complete and self.keep_alive and self._failure is None

    @property
    def ended(self) -> bool:
        """True when ``read`` has nothing more to give: the next one returns ``b""`` without waiting."""
        return self.complete and not self._chunks

    async def wait_for_head(self) -> None:
        while not self.status:
            if self._failure is not None:
                raise self._failure
            await self._wait()

    async def read(self) -> bytes:
        """The next bytes of the body, ``b""`` after the last. Raises HopError when the answer stops before its end."""
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            if self.complete:
                return b""
            await self._wait()
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self._held_back:
            self._held_back = False
            self._connection.resume_reading()
        return data

    async def read_all(self, limit: int) -> bytes:
        """The whole body. Raises HopError also when it is longer than ``limit`` bytes."""
        whole = b""
        while chunk := await self.read():
            whole += chunk
            if len(whole) > limit:
                raise HopError(INVALID)
        return whole

    def forget_parser(self) -> None:
        del self._parser

    def fail(self, error: BaseException) -> None:
        if not self.complete and self._failure is None:
            self._failure = error
            self._wake()

    def feed(self, data: bytes) -> None:
        if not self.status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.keep_alive = False
            self.fail(HopError(INVALID))
        if not self.status and self._head_bytes > MAX_HEAD:
            self.fail(HopError(INVALID))
        if self._failure is not None or (not self.keep_alive and self.complete):
            self._connection.close()
        elif self._size > _HIGH_WATER and not self._held_back:
            self._held_back = True
            self._connection.pause_reading()

    def end_of_stream(self, *, broken: bool) -> None:
        self.keep_alive = False
        if self._until_closed and not broken and self.status:
            self._finish()
        self.fail(HopError(CLOSED))

    async def _wait(self) -> None:
        self._waiter = self._connection.loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _finish(self) -> None:
        self.complete = True
        self._wake()

    # what the parser calls

    def on_message_begin(self) -> None:
        if self.complete:
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # else it is a trailer, which nobody here is told of
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self.complete or self._failure is not None:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._skip_interim(status)
            return
        self.keep_alive = self._parser.should_keep_alive()
        framing = [field for field in self.headers if field[0] in _FRAMING]
        if len(framing) > 1 or (framing and framing[0][0] == _FRAMED and framing[0][1].lower() != b"chunked"):
            self.fail(HopError(INVALID))
            return
        self.status = status
        if self._bodiless:
            self._finish()
            return
        self._until_closed = not framing
        self._wake()

    def _skip_interim(self, status: int) -> None:
        """100 and 103 say nothing that we did not know; 101 answers a question that we never asked."""
        self._interim += 1
        self.headers.clear()
        if status == 101 or self._interim > _MAX_INTERIM:
            self.fail(HopError(INVALID))

    def on_body(self, body: bytes) -> None:
        if self.complete:
            self.keep_alive = False
            return
        self._chunks.append(body)
        self._size += len(body)
        self._wake()

    def on_message_complete(self) -> None:
        if self.status and not self.complete:
            self._finish()
