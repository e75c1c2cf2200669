"""A request's objects go with the request, by their counts: what waits for a collection costs time and memory."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from uvicorn.server import ServerState

from gateway.app import Gateway
from gateway.body import Message
from gateway.client_connection import ClientConnection, Clients, Settings
from gateway.config import load
from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.upstream import RecordingUpstream

SEARCH = "/api/mlflow/api/2.0/mlflow/runs/search"


@asynccontextmanager
async def lifespan(gateway: Gateway) -> AsyncIterator[None]:
    heard: asyncio.Queue[Message] = asyncio.Queue()
    said: asyncio.Queue[Message] = asyncio.Queue()
    heard.put_nowait({"type": "lifespan.startup"})
    whole = asyncio.create_task(gateway({"type": "lifespan"}, heard.get, said.put))
    await said.get()
    yield
    heard.put_nowait({"type": "lifespan.shutdown"})
    await whole
    gc.unfreeze()


async def ask(port: int, key: str, times: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"max_results": 4}'
    head = f"POST {SEARCH} HTTP/1.1\r\nHost: g\r\nAuthorization: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    for _ in range(times):
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
    writer.close()
    await writer.wait_closed()


@pytest.fixture
def garbage() -> Iterator[list[object]]:
    """What collections find is kept, to be looked at."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()


async def test_a_forwarded_request_leaves_nothing_to_collect(
    auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys, garbage: list[object]
) -> None:
    gateway = Gateway(load(settings(auth, upstream.url)))
    server_settings = Settings(gateway, Clients())
    server_settings.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ClientConnection(server_settings, ServerState(), {}), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    key = keys()["Authorization"]
    async with lifespan(gateway), server:
        await ask(port, key, 3)
        gc.collect()
        garbage.clear()
        await ask(port, key, 20)
        gc.collect()
    left = Counter(
        type(thing).__name__ for thing in garbage if type(thing).__module__.startswith(("gateway", "httptools"))
    )
    assert not {name: count for name, count in left.items() if count >= 20}
