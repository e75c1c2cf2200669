"""The load, from a process of its own: keep-alive connections that each send a request as soon as they are answered.

    python -m tests.bench.proxies.load requests '{"port": ..., "key": ..., "connections": 32, "seconds": 3}'
    python -m tests.bench.proxies.load upload|download '{"port": ..., "key": ..., "bytes": ...}'

Prints what it saw as JSON. Any answer other than a 200 of the announced length ends it with an error. On one core with
the upstream it makes about 60,000 requests a second (32 connections, no proxy), so one core of nginx is what gives in.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import uvloop

WARM_SECONDS = 0.3
CHUNK = bytes(256 * 1024)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SEARCH_BODY = b'{"max_results": 4, "view_type": "ACTIVE_ONLY", "order_by": ["name"]}'


class UnexpectedError(Exception):
    """The other side did not answer as it must."""


def head(method: str, target: str, key: str, length: int | None = None) -> bytes:
    """As mlflow's client writes it."""
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: registry.hokus.ai",
        "User-Agent: mlflow-python-client/3.17.2",
        "Accept-Encoding: gzip, deflate",
        "Accept: */*",
        "Connection: keep-alive",
        f"Authorization: Bearer {key}",
        *([f"Content-Length: {length}", "Content-Type: application/json"] if length is not None else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def request(kind: str, key: str) -> bytes:
    if kind == "get":
        return head("GET", "/api/2.0/mlflow/experiments/get?experiment_id=000000000000000001", key)
    return head("POST", "/api/2.0/mlflow/experiments/search", key, len(SEARCH_BODY)) + SEARCH_BODY


class Tally:
    """When requests were answered, and how long each took."""

    def __init__(self) -> None:
        self.total = 0
        self.measuring = False
        self.over = False
        self.seconds: list[float] = []
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, why: str) -> None:
        if not self.failure.done() and not self.over:
            self.failure.set_exception(UnexpectedError(why))


class Connection(asyncio.Protocol):
    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request = request
        self._tally = tally
        self._seen = 0
        self._expected = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        self._seen = self._expected = 0
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._expected:
            end = data.find(b"\r\n\r\n")
            length = LENGTH.search(data)
            if end < 0 or length is None or data[9:12] != b"200":
                self._tally.fail(f"an answer begins with {data[:300]!r}")
                self._transport.abort()
                return
            self._expected = end + 4 + int(length[1])
        self._seen += len(data)
        if self._seen >= self._expected:
            self._answered()

    def _answered(self) -> None:
        tally = self._tally
        tally.total += 1
        if tally.measuring:
            tally.seconds.append(time.perf_counter() - self._began)
        if tally.over:
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.fail(f"the connection was closed: {exc}")


async def drive(port: int, key: str, connections: int, seconds: float, kind: str = "search") -> dict[str, float]:
    """Requests a second and latencies of a window that begins when all connections are warm."""
    loop, tally = asyncio.get_running_loop(), Tally()
    sent = request(kind, key)
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(sent, tally), "127.0.0.1", port)
    await asyncio.wait([tally.failure], timeout=WARM_SECONDS)
    tally.measuring, began = True, time.perf_counter()
    await asyncio.wait([tally.failure], timeout=seconds)
    elapsed = time.perf_counter() - began
    tally.measuring, tally.over = False, True
    if tally.failure.done():
        tally.failure.result()
    if not tally.seconds:
        raise UnexpectedError("no request was answered in time")
    taken = sorted(tally.seconds)
    return {
        "total": tally.total,
        "seconds": elapsed + WARM_SECONDS,
        "rps": len(taken) / elapsed,
        "p50_ms": taken[len(taken) // 2] * 1000,
        "p99_ms": taken[int(len(taken) * 0.99)] * 1000,
    }


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def read_head(connection: socket.socket) -> tuple[int, bytes]:
    """The announced length of a 200, and what came of its body with the head."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise UnexpectedError("the connection was closed without an answer")
        data += more
    start, _, body = data.partition(b"\r\n\r\n")
    length = LENGTH.search(start + b"\r\n")
    if data[9:12] != b"200" or length is None:
        raise UnexpectedError(f"the answer begins with {data[:300]!r}")
    return int(length[1]), body


def upload(port: int, key: str, size: int) -> None:
    with connect(port) as connection:
        connection.sendall(head("PUT", "/api/2.0/mlflow-artifacts/artifacts/bench/upload.bin", key, size))
        left = size
        while left:
            part = memoryview(CHUNK)[:left]
            connection.sendall(part)
            left -= len(part)
        read_head(connection)


def download(port: int, key: str, size: int) -> None:
    buffer = bytearray(len(CHUNK))
    with connect(port) as connection:
        connection.sendall(head("GET", f"/api/2.0/mlflow-artifacts/artifacts/bench/{size}.bin", key))
        announced, begun = read_head(connection)
        left = announced - len(begun)
        while left:
            got = connection.recv_into(buffer)
            if not got:
                raise UnexpectedError(f"the answer ended {left} bytes early")
            left -= got
    if announced != size:
        raise UnexpectedError(f"{announced} bytes were announced, not {size}")


def stream(transfer: Callable[[int, str, int], None], port: int, key: str, size: int) -> dict[str, float]:
    began = time.perf_counter()
    transfer(port, key, size)
    return {"mb_s": size / 1e6 / (time.perf_counter() - began)}


def main() -> int:
    what, options = sys.argv[1], cast("dict[str, Any]", json.loads(sys.argv[2]))
    gc.disable()
    try:
        if what == "requests":
            seen = uvloop.run(drive(**options))
        else:
            seen = stream({"upload": upload, "download": download}[what], **options)
    except (OSError, UnexpectedError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
