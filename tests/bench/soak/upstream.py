"""An upstream that behaves like `mlflow server` under uvicorn at the moments that matter: it closes a connection that
was idle for 5 s, restarts gracefully or dies, and remembers what it was asked to create."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from typing import cast

import httptools

KEEP_ALIVE = 5.0
"""Seconds; uvicorn's default."""

WRITE_SECONDS = 0.005
"""How long a write takes, so that a restart finds some under way."""

ANSWER = json.dumps({"run": {"info": {"run_id": "0" * 32, "status": "RUNNING"}}}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s\r\n"


@dataclass
class Outage:
    """From the moment the upstream began to stop until it listened again, on the loop's clock."""

    began: float
    ended: float = float("inf")


class Upstream:
    """Every outage is kept, and how often each id arrived in a body of a POST to `.../create`."""

    def __init__(self) -> None:
        self.port = 0
        self.created: Counter[str] = Counter()
        self.requests = 0
        self.outages: list[Outage] = []
        self.connections: set[Connection] = set()
        self.stopping = False

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def restart(self, away: float, *, graceful: bool) -> None:
        """SIGTERM, or SIGKILL, and a new process after `away` seconds."""
        loop = asyncio.get_running_loop()
        outage = Outage(loop.time())
        self.outages.append(outage)
        self.stopping = True
        self._server.close()
        for connection in list(self.connections):
            connection.leave(graceful=graceful)
        await asyncio.sleep(away)
        self.stopping = False
        await self.start()
        outage.ended = loop.time()

    def stop(self) -> None:
        self._server.close()
        for connection in list(self.connections):
            connection.leave(graceful=False)


class Connection(asyncio.Protocol):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._url = self._body = b""
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._timer = self._loop.call_later(KEEP_ALIVE, self._transport.close)
        self._upstream.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._upstream.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._timer.cancel()
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = self._body = b""
        self._busy = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._upstream.requests += 1
        if self._url.endswith(b"/create"):
            self._upstream.created[json.loads(self._body)["run_name"]] += 1
            self._loop.call_later(WRITE_SECONDS, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        if self._transport.is_closing():
            return
        self._busy = False
        last = self._upstream.stopping
        self._transport.write(HEAD % (len(ANSWER), b"connection: close\r\n" if last else b"") + ANSWER)
        if last:
            self._transport.close()
        else:
            self._timer = self._loop.call_later(KEEP_ALIVE, self._transport.close)

    def leave(self, *, graceful: bool) -> None:
        """Gracefully means that a request under way is still answered."""
        if not graceful:
            self._transport.abort()
        elif not self._busy:
            self._transport.close()
