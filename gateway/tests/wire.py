"""HTTP/1.1 by hand, so that a test sees every byte that reached the other side."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
import threading
from dataclasses import dataclass, field


@dataclass
class Recorded:
    """A request as it arrived. ``body`` keeps the first 64 kB only; ``closed`` is set when its connection ends."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    length: int = 0
    digest: str = ""
    complete: bool = False
    closed: threading.Event = field(default_factory=threading.Event)

    def values(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header.lower() == name.lower()]

    def value(self, name: str) -> str:
        return ", ".join(self.values(name))


async def read_head(reader: asyncio.StreamReader) -> Recorded | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    request_line, *lines = head.decode("latin-1").strip("\r\n").split("\r\n")
    method, target, _ = request_line.split(" ")
    pairs = [line.partition(":") for line in lines]
    return Recorded(method, target, [(name, value.strip()) for name, _, value in pairs])


async def read_body(reader: asyncio.StreamReader, request: Recorded, limit: int | None = None) -> None:
    """Read the body, or the first ``limit`` bytes of it."""
    digest = hashlib.sha256()

    async def take(size: int) -> None:
        while size:
            chunk = await reader.read(min(size, 65536))
            if not chunk:
                raise ConnectionError("the body ended early")
            size -= len(chunk)
            request.length += len(chunk)
            digest.update(chunk)
            if len(request.body) < 65536:
                request.body += chunk

    if request.value("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            await take(size)
            await reader.readline()
        await reader.readline()
    else:
        declared = int(request.value("content-length") or 0)
        await take(min(declared, limit) if limit else declared)
    request.digest = digest.hexdigest()
    request.complete = limit is None


def response(status: int, body: bytes = b"", headers: list[tuple[str, str]] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Any", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers or []]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class ThreadedServer:
    """An asyncio server on a free loopback port, with a loop and a thread of its own."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self._tls = tls
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(5)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(5)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await self.handle(reader, writer)
        writer.close()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError
