"""The SOCKS5 server (RFC 1928, RFC 1929) through which tasks reach everything outside themselves.

The user name is the address of the task's network interface, so the fabric knows whose groups to judge.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from ipaddress import IPv4Address
from typing import NamedTuple

from sandbox.dataplane.fabric import DroppedError, Endpoint, Fabric, NoSuchNameError, Source
from sandbox.dataplane.splice import Splice
from sandbox.dataplane.streams import StreamServer, silence

logger = logging.getLogger(__name__)

VERSION = 5
USER_PASSWORD = 2
UNACCEPTABLE = 0xFF
CONNECT = 1
IPV4, DOMAIN = 1, 3

SUCCEEDED, HOST_UNREACHABLE, REFUSED, TTL_EXPIRED, BAD_COMMAND, BAD_ADDRESS = 0, 4, 5, 6, 7, 8

HANDSHAKE_SECONDS = 10.0
QUIET_SECONDS = 1.0
"""A flow that lost its permission is cut at its first pause, as a tracked one ends when it falls idle."""


class ProtocolError(ConnectionError):
    """The client does not speak SOCKS5 with a user name."""


class Flow(NamedTuple):
    """A relayed connection and what must still hold for it to go on."""

    source: Source
    endpoint: Endpoint
    port: int


class SocksServer:
    def __init__(self, fabric: Fabric, token: str) -> None:
        self._fabric = fabric
        self._token = token.encode()
        self._server: asyncio.Server | None = None
        self._conversations = StreamServer(self._serve)
        self._flows: dict[Splice, Flow] = {}

    async def start(self) -> int:
        """Listen on loopback; returns the port."""
        self._server = await asyncio.start_server(self._conversations.accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        await self._conversations.stop()

    def reconcile(self) -> None:
        """Cut the flows that the security groups no longer permit, once they pause."""
        for splice, flow in tuple(self._flows.items()):
            if splice.quiet >= QUIET_SECONDS and not self._fabric.permits(*flow):
                splice.sever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            user = await self._authenticate(reader, writer)
            host, port = await _request(reader, writer)
        try:
            source = self._fabric.source(user)
            endpoint = self._fabric.locate(source, host, port)
            async with self._fabric.connection(source, endpoint) as upstream:
                writer.write(_reply(SUCCEEDED))
                await self._relay(Splice((reader, writer), upstream), Flow(source, endpoint, port))
        except NoSuchNameError:
            writer.write(_reply(HOST_UNREACHABLE))
        except DroppedError as dropped:
            logger.debug("dropped: %s", dropped)
            await silence(reader)
            writer.write(_reply(TTL_EXPIRED))
        except OSError:
            writer.write(_reply(REFUSED))

    async def _relay(self, splice: Splice, flow: Flow) -> None:
        self._flows[splice] = flow
        try:
            await splice.run()
        finally:
            del self._flows[splice]

    async def _authenticate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        if version != VERSION or USER_PASSWORD not in methods:
            writer.write(bytes((VERSION, UNACCEPTABLE)))
            raise ProtocolError("no user name offered")
        writer.write(bytes((VERSION, USER_PASSWORD)))
        await reader.readexactly(1)
        user = await _field(reader)
        accepted = hmac.compare_digest(await _field(reader), self._token)
        writer.write(bytes((1, 0 if accepted else 1)))
        if not accepted:
            raise ProtocolError("wrong token")
        return user.decode("utf-8", "replace")


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
    _, command, _, kind = await reader.readexactly(4)
    if kind == IPV4:
        host = str(IPv4Address(await reader.readexactly(4)))
    elif kind == DOMAIN:
        host = (await _field(reader)).decode("ascii", "replace")
    else:
        writer.write(_reply(BAD_ADDRESS))
        raise ProtocolError(f"address type {kind}")
    port = int.from_bytes(await reader.readexactly(2), "big")
    if command != CONNECT:
        writer.write(_reply(BAD_COMMAND))
        raise ProtocolError(f"command {command}")
    return host, port


async def _field(reader: asyncio.StreamReader) -> bytes:
    (length,) = await reader.readexactly(1)
    return await reader.readexactly(length)


def _reply(code: int) -> bytes:
    return bytes((VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0))
