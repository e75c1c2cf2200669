"""Servers that answer every request with their name, in a process of their own until its standard input ends.

    python -m tests.bench.rules.targets '{"one": "127.93.7.1", "two": "127.93.7.2"}'

Prints the port of each as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys


def serving(name: str) -> type[asyncio.Protocol]:
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\nContent-Type: text/plain\r\n\r\n{name}".encode()

    class Server(asyncio.Protocol):
        """Requests have no body, so each ends where its head does."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self._transport, self._seen = transport, b""

        def data_received(self, data: bytes) -> None:
            *heads, self._seen = (self._seen + data).split(b"\r\n\r\n")
            self._transport.write(answer * len(heads))

    return Server


async def main(addresses: dict[str, str]) -> None:
    loop = asyncio.get_running_loop()
    servers = {name: await loop.create_server(serving(name), address, 0) for name, address in addresses.items()}
    print(json.dumps({name: each.sockets[0].getsockname()[1] for name, each in servers.items()}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    for each in servers.values():
        each.close()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
