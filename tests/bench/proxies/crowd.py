"""Clients that take up room and do next to nothing, from a process of their own, until its standard input ends.

    python -m tests.bench.proxies.crowd '{"port": ..., "key": ..., "idle": 250, "senders": 125, "readers": 125}'

An idle client was answered once and keeps its connection; a sender sends its body a byte a second; a reader takes
a long answer a kilobyte at a time, five times a second. "ready" is printed once all of them are in that state, and at
the end how many of their connections were still open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import Callable, Coroutine

import uvloop

from tests.bench.proxies.load import SEARCH_BODY, head, request

ARRIVAL_SECONDS = 0.005
LARGE = 50_000_000
STARTED_BYTES = 1024
SETTLE_SECONDS = 15.0


class Crowd:
    def __init__(self, port: int, key: str) -> None:
        self._address = ("127.0.0.1", port)
        self._key = key
        self._absent = 0
        self._complete = asyncio.Event()
        self._members: list[asyncio.Task[None]] = []

    async def gather(self, idle: int, senders: int, readers: int) -> None:
        """Come one by one, as clients do, and return when everybody is settled."""
        self._absent = idle + senders + readers
        kinds = ((self._idle, idle), (self._send, senders), (self._read, readers))
        for kind, count in kinds:
            for _ in range(count):
                self._members.append(asyncio.create_task(self._live(kind)))
                await asyncio.sleep(ARRIVAL_SECONDS)
        async with asyncio.timeout(SETTLE_SECONDS):
            await self._complete.wait()

    @property
    def alive(self) -> int:
        return sum(not member.done() for member in self._members)

    def _settled(self) -> None:
        self._absent -= 1
        if self._absent == 0:
            self._complete.set()

    async def leave(self) -> None:
        for member in self._members:
            member.cancel()
        await asyncio.gather(*self._members, return_exceptions=True)

    async def _live(self, kind: Callable[[socket.socket], Coroutine[None, None, None]]) -> None:
        """Ends only when the other side closes, and must not before the crowd leaves."""
        with socket.socket() as connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, self._address)
            await kind(connection)

    async def _idle(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, request("get", self._key))
        await loop.sock_recv(connection, 4096)
        self._settled()
        while await loop.sock_recv(connection, 4096):
            continue

    async def _send(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        start = head("POST", "/api/2.0/mlflow/runs/search", self._key, STARTED_BYTES * 2)
        await loop.sock_sendall(connection, start + SEARCH_BODY.ljust(STARTED_BYTES))
        self._settled()
        while True:
            await asyncio.sleep(1)
            await loop.sock_sendall(connection, b" ")

    async def _read(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        target = f"/api/2.0/mlflow-artifacts/artifacts/bench/{LARGE}.bin"
        await loop.sock_sendall(connection, head("GET", target, self._key))
        if await loop.sock_recv(connection, STARTED_BYTES):
            self._settled()
        while True:
            if not await loop.sock_recv(connection, STARTED_BYTES):
                return
            await asyncio.sleep(0.2)


async def main(port: int, key: str, **counts: int) -> None:
    crowd = Crowd(port, key)
    await crowd.gather(**counts)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(crowd.alive, flush=True)
    await crowd.leave()


if __name__ == "__main__":
    uvloop.run(main(**json.loads(sys.argv[1])))
