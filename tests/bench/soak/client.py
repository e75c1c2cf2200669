"""Clients of the soak: each has one keep-alive connection, as an ALB has, and repeats nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import uuid
from dataclasses import dataclass, field

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
BACK_OFF = 0.05
"""Seconds a client waits after a failure: a refused request costs nothing, and 200,000 are soon spent on an outage."""

CLOSED = 0
"""Instead of a status: the connection was closed without an answer. Behind an ALB that is a 502."""

API = "/api/mlflow/api/2.0/mlflow"


@dataclass(frozen=True)
class Failure:
    """Anything but a 200, and the time from sending to answer on the loop's clock."""

    sent: float
    ended: float
    status: int
    request: str
    answer: str


@dataclass
class Ledger:
    """What became of the requests. `acknowledged` are the ids of the writes that were answered 200."""

    succeeded: int = 0
    failures: list[Failure] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)


class Client:
    def __init__(self, port: int, key: str, ledger: Ledger) -> None:
        self._port = port
        self._head = f"Host: registry.hokus.ai\r\nAuthorization: Bearer {key}\r\n"
        self._ledger = ledger
        self._turn = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self) -> None:
        """One request, in turns a GET, a search and a write."""
        self._turn += 1
        if self._turn % 3 == 0:
            await self._ask("GET", f"{API}/runs/get?run_id={uuid.uuid4().hex}")
        elif self._turn % 3 == 1:
            await self._ask("POST", f"{API}/runs/search", {"experiment_ids": ["1"]})
        else:
            await self._ask("POST", f"{API}/runs/create", {"experiment_id": "1", "run_name": uuid.uuid4().hex})

    async def _ask(self, method: str, target: str, body: dict[str, object] | None = None) -> None:
        loop = asyncio.get_running_loop()
        sent = loop.time()
        status, answer = await self._exchange(self._request(method, target, body))
        if status == 200:
            self._ledger.succeeded += 1
            if body and "run_name" in body:
                self._ledger.acknowledged.add(str(body["run_name"]))
            return
        failure = Failure(sent, loop.time(), status, f"{method} {target}", answer)
        self._ledger.failures.append(failure)
        await asyncio.sleep(BACK_OFF)

    def _request(self, method: str, target: str, body: dict[str, object] | None) -> bytes:
        content = json.dumps(body).encode() if body else b""
        framing = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n" if body else ""
        return f"{method} {target} HTTP/1.1\r\n{self._head}{framing}\r\n".encode() + content

    async def _exchange(self, request: bytes) -> tuple[int, str]:
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
        except (OSError, asyncio.IncompleteReadError) as error:
            await self.close()
            return CLOSED, repr(error)
        if b"\r\nconnection: close" in head.lower():
            await self.close()
        return int(head[9:12]), body.decode(errors="replace")

    async def close(self) -> None:
        if self._streams is not None:
            writer, self._streams = self._streams[1], None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
