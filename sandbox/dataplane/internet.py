"""The internet as a client has it: one HTTP proxy that knows the names of public zones and nothing else.

`CONNECT` tunnels raw bytes to the load balancer's listener, so TLS ends at the load balancer; plain
`http://` requests are relayed one by one. Nothing ever leaves the machine.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import aiohttp
import httptools

from sandbox.dataplane import streams
from sandbox.dataplane.alb import HttpServer
from sandbox.dataplane.fabric import INTERNET, LOCALHOST, DroppedError, Endpoint, Fabric, NoSuchNameError, is_address
from sandbox.dataplane.relay import Exchange, Outgoing, Receive, RelayError, Scope, Send, end_to_end, has_body, relay
from sandbox.dataplane.splice import Splice

logger = logging.getLogger(__name__)

CONNECT = b"CONNECT "
MAX_HEAD = 64 * 1024
HEAD_SECONDS = 30.0
IDLE_SECONDS = 4000.0
"""As long as an ALB's idle timeout can be: the timeouts that matter are the ALB's."""


class UnreachableError(Exception):
    """Why the internet cannot give the client this connection, in words for its user."""


class InternetProxy:
    """Both forms of proxy request on one port; who speaks first words `CONNECT ` gets a tunnel."""

    def __init__(self, fabric: Fabric, session: aiohttp.ClientSession) -> None:
        self._fabric = fabric
        self._plain = HttpServer(PlainProxy(fabric, session), IDLE_SECONDS)
        self._server: asyncio.Server | None = None
        self._doors: set[Door] = set()
        self._tunnels = streams.StreamServer(self._tunnel)

    async def start(self) -> int:
        """Listen on loopback; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Door(self._doors, self._enter), LOCALHOST, 0, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        await self._tunnels.stop()
        for door in tuple(self._doors):
            door.transport.abort()
        await self._plain.stop()

    def _enter(self, transport: asyncio.Transport, first: bytes) -> None:
        """Give the connection to the protocol that its first bytes ask for."""
        protocol: asyncio.Protocol
        if first.startswith(CONNECT):
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader, self._tunnels.accept)
        else:
            protocol = self._plain.protocol()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(first)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HEAD_SECONDS):
            authority, early = await _connect_head(reader)
        try:
            endpoint = find(self._fabric, *split_authority(authority, 443))
            async with self._fabric.connection(INTERNET, endpoint) as upstream:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                upstream[1].write(early)
                await Splice((reader, writer), upstream).run()
        except UnreachableError as error:
            writer.write(_answer(HTTPStatus.BAD_GATEWAY, str(error)))
        except DroppedError:
            await streams.silence(reader)
            writer.write(_answer(HTTPStatus.GATEWAY_TIMEOUT, f"{authority}: connection timed out"))


class Door(asyncio.Protocol):
    """A connection whose first bytes have not yet said what it is."""

    transport: asyncio.Transport

    def __init__(self, doors: set[Door], enter: Callable[[asyncio.Transport, bytes], None]) -> None:
        self._doors = doors
        self._enter = enter
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._doors.add(self)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if len(self._head) >= len(CONNECT) or not CONNECT.startswith(self._head):
            self._doors.discard(self)
            self._enter(self.transport, self._head)

    def connection_lost(self, _: Exception | None) -> None:
        self._doors.discard(self)


class PlainProxy:
    """Absolute-form requests for `http://` URLs, as an ASGI application."""

    def __init__(self, fabric: Fabric, session: aiohttp.ClientSession) -> None:
        self._fabric = fabric
        self._session = session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange()
        authority = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
        try:
            endpoint = find(self._fabric, *split_authority(authority, 80))
            await relay(self._session, _outgoing(scope, endpoint), receive, send, IDLE_SECONDS, exchange)
        except UnreachableError as error:
            await _say(send, HTTPStatus.BAD_GATEWAY, str(error))
        except DroppedError:
            await asyncio.sleep(streams.SILENCE_SECONDS)
            await _say(send, HTTPStatus.GATEWAY_TIMEOUT, f"{authority}: connection timed out")
        except RelayError as error:
            if not exchange.started:
                await _say(send, HTTPStatus.BAD_GATEWAY, f"{authority}: {error}")


def find(fabric: Fabric, host: str, port: int) -> Endpoint:
    """Where the internet finds `host`; raises UnreachableError for what it does not know, DroppedError for silence."""
    if is_address(host) or host == "localhost":
        raise UnreachableError(f"the sandbox's internet has no route to {host}: it knows public names only")
    try:
        endpoint = fabric.locate_public(INTERNET, host, port)
    except NoSuchNameError as error:
        raise UnreachableError(f"the sandbox has no such public name: {error} (NXDOMAIN in Route 53)") from error
    if endpoint.port is None:
        raise UnreachableError(f"{host}:{port}: connection refused, no listener of the load balancer has this port")
    return endpoint


def split_authority(authority: str, default_port: int) -> tuple[str, int]:
    """Host (brackets of IPv6 removed) and port; raises UnreachableError when it is no authority."""
    found = re.fullmatch(r"(\[[^\]]+\]|[^:]+)(?::(\d{1,5}))?", authority)
    if not found:
        raise UnreachableError(f"{authority!r} is not host:port")
    return found[1].strip("[]").lower(), int(found[2] or default_port)


async def _connect_head(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """The authority of a CONNECT request, and the bytes that came after its head."""
    request = _ConnectRequest()
    parser = httptools.HttpRequestParser(request)
    seen = 0
    while seen < MAX_HEAD and (data := await reader.read(MAX_HEAD)):
        seen += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return request.authority.decode("latin-1"), data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            raise EOFError(f"not a proxy request: {error}") from error
    raise EOFError("no complete request head")


class _ConnectRequest:
    """What httptools calls back with the request target."""

    authority = b""

    def on_url(self, url: bytes) -> None:
        self.authority += url


def _outgoing(scope: Scope, endpoint: Endpoint) -> Outgoing:
    query = scope["query_string"].decode("latin-1")
    target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    url = f"http://{endpoint.host}:{endpoint.port}{target}"
    return Outgoing(scope["method"], url, end_to_end(scope["headers"]), has_body(scope["headers"]))


async def _say(send: Send, status: HTTPStatus, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": f"{text}\n".encode(), "more_body": False})


def _answer(status: HTTPStatus, text: str) -> bytes:
    body = f"{text}\n".encode()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
