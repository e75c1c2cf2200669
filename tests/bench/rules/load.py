"""Clients of the load balancer, in a process of their own: so many requests a second, whatever becomes of them.

    python -m tests.bench.rules.load '{"proxy": PORT, "authority": "name:80", "host": "bench.test", "rate": 200,
                                       "answers": {"/path": ["one", "default"]}}'

Says `ready` when every path was answered once, goes on until its standard input ends, then prints what it saw as JSON:
how many requests were sent; how many were lost (no answer, or one of the load balancer's own errors) and how many
misrouted (an answer that the path is to get neither before nor after the change), with the first few of them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

CONNECTIONS = 24
PATIENCE = 10.0
EXAMPLES = 5
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Seen:
    sent: int = 0
    lost: int = 0
    misrouted: int = 0
    examples: list[str] = field(default_factory=list)

    def take(self, path: str, answer: str, allowed: list[str]) -> None:
        self.sent += 1
        if answer in allowed:
            return
        if answer in ("one", "two", "default"):
            self.misrouted += 1
        else:
            self.lost += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{path} got {answer}, not {' or '.join(allowed)}")


class Client:
    """One keep-alive connection at a time, through the sandbox's internet to the listener."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._streams: Streams | None = None

    async def ask(self, path: str) -> str:
        """The body of the answer, or in words what came instead of one."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._exchange(path)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            self.close()
            return f"{type(error).__name__} {error}"

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
        self._streams = None

    async def _exchange(self, path: str) -> str:
        reader, writer = self._streams or await self._connect()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._config['host']}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        body = (await reader.readexactly(int(headers["content-length"]))).decode()
        if headers.get("connection") == "close":
            self.close()
        return body if body in ("one", "two", "default") else f"{lines[0]}: {body[:40]}"

    async def _connect(self) -> Streams:
        self._streams = await asyncio.open_connection("127.0.0.1", self._config["proxy"])
        reader, writer = self._streams
        authority = self._config["authority"]
        writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0] + b" ":
            raise ValueError(f"no tunnel: {head!r}")
        return self._streams


async def serve(client: Client, waiting: asyncio.Queue[str], seen: Seen, answers: dict[str, list[str]]) -> None:
    while True:
        path = await waiting.get()
        seen.take(path, await client.ask(path), answers[path])
        waiting.task_done()


async def drive(config: dict[str, Any]) -> Seen:
    """Requests at an even pace, each on the next free connection; those that are waited for at the end count too."""
    answers, seen = config["answers"], Seen()
    waiting: asyncio.Queue[str] = asyncio.Queue()
    clients = [Client(config) for _ in range(CONNECTIONS)]
    workers = [asyncio.create_task(serve(client, waiting, seen, answers)) for client in clients]
    for path in answers:
        waiting.put_nowait(path)
    await waiting.join()
    print("ready", flush=True)
    over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    began = time.monotonic()
    for number, path in enumerate(itertools.cycle(answers)):
        if over.done():
            break
        await asyncio.sleep(max(0.0, began + number / config["rate"] - time.monotonic()))
        waiting.put_nowait(path)
    await waiting.join()
    for worker in workers:
        worker.cancel()
    for client in clients:
        client.close()
    return seen


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(drive(json.loads(sys.argv[1]))))))
