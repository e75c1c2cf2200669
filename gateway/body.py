"""A request's body, as a stream that never holds more than one chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from gateway.errors import ClientGoneError
from gateway.headers import Headers, first

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class RequestBody:
    """The only reader of ``receive``: first the chunks, then the news that the client has left.

    Reading chunk by chunk is what makes back-pressure: the server stops reading its socket while nobody asks. A body
    that comes in one piece is ``whole`` and can be sent again; one that has begun to stream cannot.
    """

    def __init__(self, headers: Headers, receive: Receive, moved: Callable[[], None]) -> None:
        self._receive = receive
        self._moved = moved
        self._first = b""
        self._read = asyncio.Event()
        self._streams = False
        self.whole: bytes | None = None
        self.disconnected = False
        self.waiting = False
        """True while the next chunk is the client's to send; stays so when the wait is cancelled."""
        self.chunked = first(headers, b"transfer-encoding") is not None
        self.expected = self.chunked or (first(headers, b"content-length") or b"0") != b"0"
        if not self.expected:
            self._read.set()

    @property
    def replayable(self) -> bool:
        return not self._streams

    async def begin(self) -> None:
        """Wait for the first chunk, which is often all of it. Raises ClientGoneError."""
        self._first, more = await self._next()
        if not more:
            self.whole = self._first

    async def chunks(self) -> AsyncIterator[bytes]:
        """All chunks, the first included. Raises ClientGoneError when the client leaves before the end."""
        self._streams = True
        chunk, more = self._first, True
        self._first = b""
        while True:
            if chunk:
                yield chunk
            if not more:
                return
            chunk, more = await self._next()

    async def _next(self) -> tuple[bytes, bool]:
        self.waiting = True
        message = await self._receive()
        self.waiting = False
        if message["type"] == "http.disconnect":
            self.disconnected = True
            self._read.set()
            raise ClientGoneError
        self._moved()
        more = bool(message.get("more_body", False))
        if not more:
            self._read.set()
        return message.get("body", b""), more

    async def gone(self) -> None:
        """Return when the client has left; wait as long as it has not."""
        await self._read.wait()
        while not self.disconnected:
            message = await self._receive()
            self.disconnected = message["type"] == "http.disconnect"
