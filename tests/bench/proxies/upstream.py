"""The upstream of the measurements: answers like MLflow's at a small cost, so that what is measured is the proxy.

    python -m tests.bench.proxies.upstream PORT KEY

Any request without one of the paths below is answered with 1 kB of JSON, as a search of experiments is. An artifact
is taken in and thrown away (PUT), or sent (GET `.../SIZE.bin`), in constant memory. The auth service's validation is
answered too: KEY may read and write, every other key is unknown. Heads are found, not checked: only the proxies that
are measured talk to this, and requests carry Content-Length or no body.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import cast

import uvloop

CHUNK = memoryview(bytes(256 * 1024))
BUFFER_BYTES = 256 * 1024
ARTIFACTS = b"/api/2.0/mlflow-artifacts/artifacts/"
VALIDATE = b"/api/v1/keys/validate"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SIZE = re.compile(rb"/(\d+)\.bin ")


def answer(body: bytes) -> bytes:
    """With the response headers of an `mlflow server`."""
    head = (
        "HTTP/1.1 200 OK\r\n"
        "date: Mon, 16 Nov 2026 09:00:00 GMT\r\n"
        "server: uvicorn\r\n"
        "x-content-type-options: nosniff\r\n"
        "x-frame-options: SAMEORIGIN\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def experiments(count: int = 4) -> bytes:
    found = [
        {
            "experiment_id": f"{number:018d}",
            "name": f"fraud-detection/nightly-{number}",
            "artifact_location": f"mlflow-artifacts:/{number:018d}",
            "lifecycle_stage": "active",
            "last_update_time": 1794819600000,
            "creation_time": 1794819600000,
        }
        for number in range(count)
    ]
    return json.dumps({"experiments": found}, indent=2).encode()


def verdict(head: bytes, key: bytes) -> bytes:
    """The auth service's answer (platform.md, "Contracts")."""
    if b"Bearer " + key + b"\r\n" not in head:
        return answer(b'{"is_valid": false, "reason": "unknown key"}')
    granted = {
        "is_valid": True,
        "user_id": "bench",
        "key_id": "bench",
        "service_id": "platform",
        "scopes": ["read", "write"],
        "rate_limit_per_hour": None,
        "has_sufficient_balance": True,
    }
    return answer(json.dumps(granted).encode())


class Service(asyncio.BufferedProtocol):
    """One connection. All of them are read into one buffer, which is used up before the next read."""

    _buffer = memoryview(bytearray(BUFFER_BYTES))

    def __init__(self, key: bytes, search: bytes) -> None:
        self._key = key
        self._search = search
        self._head = b""
        self._body_left = 0
        self._to_send = 0
        self._reply = b""
        self._writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=BUFFER_BYTES)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._body_left:
            self._took(nbytes)
            return
        data = self._head + bytes(self._buffer[:nbytes])
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            self._head = data
            return
        self._head = b""
        self._begin(data[:end])
        self._took(len(data) - end)

    def _begin(self, head: bytes) -> None:
        declared = LENGTH.search(head)
        self._body_left = int(declared[1]) if declared else 0
        self._reply = self._search
        if VALIDATE in head:
            self._reply = verdict(head, self._key)
        elif head.startswith(b"GET " + ARTIFACTS) and (size := SIZE.search(head)):
            self._to_send = int(size[1])
            self._reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %d\r\n\r\n" % (
                self._to_send
            )

    def _took(self, size: int) -> None:
        self._body_left -= size
        if self._body_left == 0:
            self._transport.write(self._reply)
            self._send()

    def _send(self) -> None:
        while self._to_send and self._writable:
            part = CHUNK[: self._to_send]
            self._to_send -= len(part)
            self._transport.write(part)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._send()


async def serve(port: int, key: bytes) -> None:
    search = answer(experiments())
    server = await asyncio.get_running_loop().create_server(lambda: Service(key, search), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2].encode()))
