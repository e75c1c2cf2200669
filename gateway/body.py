"""A request's body, as a stream that never holds more than one chunk."""

from __future__ import annotations

import asyncio
import time
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

    def __init__(self, headers: Headers, receive: Receive) -> None:
        self._receive = receive
        self._first = b""
        self._end: asyncio.Event | None = None
        self._streams = False
        self.moved = 0.0
        """When the last chunk came (``time.monotonic``)."""
        self.whole: bytes | None = None
        self.disconnected = False
        self.waiting = False
        """True while the next chunk is the client's to send; stays so when the wait is cancelled."""
        self.chunked = first(headers, b"transfer-encoding") is not None
        self.expected = self.chunked or (first(headers, b"content-length") or b"0") != b"0"
        self._ended = not self.expected

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
            self._finish()
            raise ClientGoneError
        self.moved = time.monotonic()
        more = bool(message.get("more_body", False))
        if not more:
            self._finish()
        return message.get("body", b""), more

    def _finish(self) -> None:
        self._ended = True
        if self._end is not None:
            self._end.set()

    async def gone(self) -> None:
        """Return when the client has left; wait as long as it has not."""
        if not self._ended:
            self._end = asyncio.Event()
            await self._end.wait()
        while not self.disconnected:
            message = await self._receive()
            self.disconnected = message["type"] == "http.disconnect"
