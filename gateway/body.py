"""A request's body, as a stream that never holds more than one chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from gateway.errors import ClientGoneError
from gateway.headers import Headers

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class RequestBody:
    """The only reader of ``receive``: first the chunks, then the news that the client has left.

    Reading chunk by chunk is what makes back-pressure: the server stops reading its socket while nobody asks.
    """

    def __init__(self, headers: Headers, receive: Receive, moved: Callable[[], None]) -> None:
        self._receive = receive
        self._moved = moved
        self._read = asyncio.Event()
        self.disconnected = False
        self.waiting = False
        """True while the next chunk is the client's to send; stays so when the wait is cancelled."""
        self.expected = any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip() not in {b"0", b""})
            for name, value in headers
        )
        if not self.expected:
            self._read.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises ClientGoneError when the client leaves before the end."""
        more = True
        while more:
            self.waiting = True
            message = await self._receive()
            self.waiting = False
            if message["type"] == "http.disconnect":
                self.disconnected = True
                self._read.set()
                raise ClientGoneError
            self._moved()
            more = message.get("more_body", False)
            if chunk := message.get("body", b""):
                yield chunk
        self._read.set()

    async def gone(self) -> None:
        """Return when the client has left; wait as long as it has not."""
        await self._read.wait()
        while not self.disconnected:
            message = await self._receive()
            self.disconnected = message["type"] == "http.disconnect"
