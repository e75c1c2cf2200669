"""An upstream that records what reaches it and misbehaves on request (header ``X-Behave``)."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import threading
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from gateway.tests.wire import Recorded, ThreadedServer, read_body, read_head, response

MEGABYTE = 1024 * 1024
GZIPPED = gzip.compress(b"an answer, compressed" * 50, mtime=0)
Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
Behaviour = Callable[[Recorded, Reader, Writer], Awaitable[None]]


class RecordingUpstream(ThreadedServer):
    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.requests: list[Recorded] = []
        self.connections = 0
        self.sent = 0
        self.arrived = threading.Event()
        self.flaky = 0
        self.fixed = b""
        self._behaviours: dict[str, Behaviour] = {
            "early-413": self._early_413,
            "die": self._die,
            "die-mid-upload": self._die_mid_upload,
            "die-mid-response": self._die_mid_response,
            "endless": self._endless,
            "flaky": self._flaky,
            "gzip": self._gzip,
            "hang": self._hang,
            "hold": self._hold,
            "large": self._large,
            "multi": self._multi,
            "not-modified": self._not_modified,
            "partial": self._partial,
            "redirect": self._redirect,
            "trickle": self._trickle,
        }

    @property
    def last(self) -> Recorded:
        return self.requests[-1]

    def reset(self) -> None:
        self.requests.clear()
        self.arrived.clear()
        self.connections = self.sent = self.flaky = 0

    async def handle(self, reader: Reader, writer: Writer) -> None:
        self.connections += 1
        while request := await read_head(reader):
            self.requests.append(request)
            self.arrived.set()
            try:
                await self._behaviours.get(request.value("x-behave"), self._echo)(request, reader, writer)
                await writer.drain()
            except BaseException:
                request.closed.set()
                raise
            if writer.is_closing():
                request.closed.set()
                return

    async def _echo(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        await read_body(reader, request)
        body = b"" if request.method == "HEAD" else json.dumps({"target": request.target}).encode()
        kind = [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff")]
        writer.write(self.fixed or response(200, body, kind))

    async def _early_413(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        """As MLflow and nginx do: answer at once, then throw the rest of the upload away."""
        writer.write(response(413, b"too large", [("Connection", "close")]))
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.close()

    async def _die(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        writer.transport.abort()

    async def _die_mid_upload(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        await read_body(reader, request, limit=100_000)
        writer.transport.abort()

    async def _die_mid_response(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
        await writer.drain()
        writer.close()

    async def _endless(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"4\r\ntick\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def _flaky(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        """The first one dies, the next ones are answered."""
        self.flaky += 1
        await (self._die if self.flaky == 1 else self._echo)(request, reader, writer)

    async def _gzip(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        await read_body(reader, request)
        writer.write(response(200, GZIPPED, [("Content-Encoding", "gzip"), ("Content-Type", "text/plain")]))

    async def _hang(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        """Never answer; return when the other side closes."""
        while await reader.read(65536):
            pass
        writer.close()

    async def _hold(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        """Read nothing of the body for longer than a test waits for room."""
        await asyncio.sleep(1)
        writer.close()

    async def _large(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        await read_body(reader, request)
        size = int(request.value("x-size"))
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        while self.sent < size:
            writer.write(bytes(min(65536, size - self.sent)))
            await writer.drain()
            self.sent += min(65536, size - self.sent)

    async def _multi(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        headers = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Keep-Alive", "timeout=5")]
        headers += [
            ("Connection", "X-Hop"),
            ("X-Hop", "here only"),
            ("Content-Disposition", 'attachment; filename="a"'),
        ]
        writer.write(response(200, b"{}", headers))

    async def _not_modified(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        writer.write(b'HTTP/1.1 304 Not Modified\r\nContent-Length: 17\r\nETag: "x"\r\n\r\n')

    async def _partial(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        writer.write(response(206, b"345", [("Content-Range", "bytes 3-5/10")]))

    async def _redirect(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        location = request.value("x-location").replace("UPSTREAM", self.url)
        writer.write(response(307, b"", [("Location", location)]))

    async def _trickle(self, request: Recorded, reader: Reader, writer: Writer) -> None:
        """Ten bytes, one every 0.12 s: slow, but alive."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.12)
