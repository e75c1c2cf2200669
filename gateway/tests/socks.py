"""A SOCKS5 server (RFC 1928, RFC 1929) that resolves names itself, as the sandbox's fabric does."""

from __future__ import annotations

import asyncio
import contextlib

from gateway.tests.wire import ThreadedServer

REFUSED = 5
UNREACHABLE = 4


class SocksServer(ThreadedServer):
    """``names`` maps a host to a port on loopback; ``drops`` never get a reply, everything else is unreachable."""

    def __init__(self, user: str, password: str) -> None:
        super().__init__()
        self._login = (user.encode(), password.encode())
        self.names: dict[str, int] = {}
        self.drops: set[str] = set()
        self.refuses: set[str] = set()
        self.asked: list[str] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly((await reader.readexactly(2))[1])
        writer.write(b"\x05\x02")
        await reader.readexactly(1)
        user = await reader.readexactly((await reader.readexactly(1))[0])
        password = await reader.readexactly((await reader.readexactly(1))[0])
        allowed = (user, password) == self._login
        writer.write(b"\x01\x00" if allowed else b"\x01\x01")
        if not allowed:
            return
        _, _, _, kind = await reader.readexactly(4)
        assert kind == 3, "the name must be resolved at the proxy"
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        await reader.readexactly(2)
        self.asked.append(host)
        await self._connect(host, reader, writer)

    async def _connect(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if host in self.drops:
            await reader.read()
            return
        port = self.names.get(host)
        code = 0 if port else REFUSED if host in self.refuses else UNREACHABLE
        writer.write(bytes([5, code, 0, 1, 0, 0, 0, 0, 0, 0]))
        await writer.drain()
        if port:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(self._pipe(reader, far_writer), self._pipe(far_reader, writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        writer.close()
