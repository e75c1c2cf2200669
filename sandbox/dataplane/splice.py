"""Two connections made one: bytes, back-pressure, half-close and resets pass through."""

from __future__ import annotations

import asyncio
import socket
import struct

CHUNK = 256 * 1024
LINGER_ZERO = struct.pack("ii", 1, 0)


class Splice:
    """Relays between two stream pairs until both directions have ended, or until severed."""

    def __init__(
        self,
        left: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        right: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._left, self._right = left, right
        self._last = asyncio.get_running_loop().time()

    @property
    def quiet(self) -> float:
        """Seconds since the last byte."""
        return asyncio.get_running_loop().time() - self._last

    async def run(self) -> None:
        """Never raises for what the peers do; both connections are closed on return."""
        pumps = [
            asyncio.ensure_future(self._pump(self._left[0], self._right[1])),
            asyncio.ensure_future(self._pump(self._right[0], self._left[1])),
        ]
        try:
            await asyncio.gather(*pumps)
        except OSError:
            self.sever()
        finally:
            for pump in pumps:
                pump.cancel()
            self._left[1].close()
            self._right[1].close()

    def sever(self) -> None:
        """Reset both connections."""
        for _, writer in (self._left, self._right):
            if not writer.is_closing():
                # Without it uvloop's abort() ends the connection politely.
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            self._last = asyncio.get_running_loop().time()
            writer.write(chunk)
            await writer.drain()
        if not writer.is_closing():
            writer.write_eof()
