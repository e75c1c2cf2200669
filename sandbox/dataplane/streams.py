"""Conversations with clients of a stream server: each in a task of its own, and all of them ended together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 130.0
"""A dropped SYN is retried for about 127 s by Linux; nobody waits longer."""


class StreamServer:
    """Holds `converse` with whoever connects; the connection is closed when it returns, or fails as networks do."""

    def __init__(self, converse: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._converse = converse
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The `client_connected_cb` of asyncio's streams."""
        task = asyncio.ensure_future(self._guarded(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _guarded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except (OSError, EOFError, TimeoutError) as error:
            logger.debug("client gone: %s", error)
        finally:
            writer.close()


async def silence(reader: asyncio.StreamReader) -> None:
    """Answer nothing until the client gives up; whatever it sends meanwhile goes nowhere."""
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            while await reader.read(4096):
                pass
    except TimeoutError:
        return
