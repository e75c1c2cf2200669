"""Bodies on their way through a load balancer: streams, back-pressure, and clients that hang up."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from pathlib import Path

import pytest

from sandbox.tests.dataplane_bench import Bench, eventually, talk

BASE = "https://registry.hokus.ai"
MEGABYTE = 1024 * 1024


def test_fifty_megabytes_stream_down_and_up_unchanged_without_being_held(bench: Bench) -> None:
    block = hashlib.sha256(b"seed").digest() * (MEGABYTE // 32)
    received = hashlib.sha256()

    def both(connection: socket.socket) -> None:
        with connection.makefile("rb") as file:
            while file.readline().strip():
                pass
            for _ in range(50):
                received.update(file.read(MEGABYTE))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (50 * MEGABYTE))
        for _ in range(50):
            connection.sendall(block)

    bench.one_target(bench.raw(both))
    before = resident()
    client = bench.session()
    with client.put(BASE, data=Repeated(block, 50), stream=True) as answer:
        sent = hashlib.sha256()
        for data in answer.iter_content(MEGABYTE):
            sent.update(data)
    expected = hashlib.sha256(block * 50).hexdigest()
    assert (received.hexdigest(), sent.hexdigest()) == (expected, expected)
    assert resident() - before < 40 * MEGABYTE + len(block)


class Repeated:
    """A file of `count` blocks, so that the client does not hold it either."""

    def __init__(self, block: bytes, count: int) -> None:
        self._block, self._left = block, count
        self.len = len(block) * count

    def read(self, _: int = -1) -> bytes:
        self._left -= 1
        return self._block if self._left >= 0 else b""


def resident() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096


def test_a_reader_that_stops_reading_stops_the_target(bench: Bench) -> None:
    sent: list[int] = []

    def pour(connection: socket.socket) -> None:
        talk(b"HTTP/1.1 200 OK\r\n\r\n")(connection)
        while True:
            sent.append(connection.send(b"x" * MEGABYTE))

    bench.one_target(bench.raw(pour))
    with bench.session().get(BASE, stream=True):
        eventually(lambda: sent)
        eventually(lambda: at_rest(sent))
        assert sum(sent) < 40 * MEGABYTE


def at_rest(sent: list[int]) -> bool:
    before = len(sent)
    time.sleep(0.4)
    return len(sent) == before


def test_chunks_arrive_as_they_are_sent(bench: Bench) -> None:
    proceed = threading.Event()

    def two_parts(connection: socket.socket) -> None:
        talk(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")(connection)
        proceed.wait(10)
        connection.sendall(b"3\r\ntwo\r\n0\r\n\r\n")

    bench.one_target(bench.raw(two_parts))
    with bench.session().get(BASE, stream=True) as answer:
        parts = answer.iter_content(None)
        assert next(parts) == b"one"
        proceed.set()
        assert b"".join(parts) == b"two"


def test_a_chunked_upload_stays_chunked(bench: Bench) -> None:
    heads = []

    def read(connection: socket.socket) -> None:
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(65536)
        heads.append(data)
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    bench.one_target(bench.raw(read))
    assert bench.session().post(BASE, data=iter([b"one", b"two"])).status_code == 204
    assert b"transfer-encoding: chunked" in heads[0].lower()
    assert b"one" in heads[0]


@pytest.mark.parametrize("upload", [False, True], ids=["waiting", "uploading"])
def test_a_client_that_hangs_up_ends_the_targets_connection(bench: Bench, upload: bool) -> None:
    asked, ended = threading.Event(), threading.Event()

    def wait(connection: socket.socket) -> None:
        connection.recv(65536)
        asked.set()
        while connection.recv(65536):
            pass
        ended.set()

    bench.one_target(bench.raw(wait))
    head = f"{'PUT' if upload else 'GET'} / HTTP/1.1\r\nHost: registry.hokus.ai\r\n"
    length = "Content-Length: 1000000\r\n\r\nstart" if upload else "\r\n"
    with bench.tunnel("registry.hokus.ai:443") as connection:
        connection.sendall((head + length).encode())
        assert asked.wait(10)
    assert ended.wait(2)
    assert (bench.log()[0]["status"], bench.log()[0]["emitter"]) == (460, "load_balancer")
