"""Bodies flow: never held whole, never faster than the other side, and never longer than somebody wants them."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from gateway.tests.conftest import Keys
from gateway.tests.process import GatewayProcess
from gateway.tests.upstream import MEGABYTE, RecordingUpstream

ARTIFACT = "/api/mlflow/api/2.0/mlflow-artifacts/artifacts/1/model.bin"
SIZE = 64 * MEGABYTE
MAX_GROWTH = 12 * MEGABYTE


def blocks(count: int = 64) -> Iterator[bytes]:
    for number in range(count):
        yield bytes([number % 251]) * MEGABYTE


def digest_of(count: int = 64) -> str:
    digest = hashlib.sha256()
    for block in blocks(count):
        digest.update(block)
    return digest.hexdigest()


def head(method: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {ARTIFACT} HTTP/1.1", "Host: gateway", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("framing", [{"Content-Length": str(SIZE)}, {}], ids=["content-length", "chunked"])
def test_a_64_mb_upload_arrives_whole_in_little_memory(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, framing: dict[str, str]
) -> None:
    before = gateway.rss()

    answer = gateway.ask("PUT", ARTIFACT, keys() | framing, blocks())

    assert (answer.status, upstream.last.length, upstream.last.digest) == (200, SIZE, digest_of())
    assert upstream.last.values("content-length") == list(framing.values())
    assert gateway.rss() - before < MAX_GROWTH


def test_a_64_mb_download_arrives_whole_in_little_memory(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    before = gateway.rss()

    answer = gateway.ask("GET", ARTIFACT, keys() | {"X-Behave": "large", "X-Size": str(SIZE)})

    assert (answer.status, len(answer.body)) == (200, SIZE)
    assert gateway.rss() - before < MAX_GROWTH


def test_a_client_that_does_not_read_holds_the_upstream_back(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    """The rest of the 64 MB waits in MLflow, not here."""
    before = gateway.rss()
    with gateway.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(head("GET", keys() | {"X-Behave": "large", "X-Size": str(SIZE)}))
        assert upstream.arrived.wait(5)
        time.sleep(0.5)
        assert 0 < upstream.sent < SIZE * 3 // 4  # sockets may take over 36 MB: net.ipv4.tcp_rmem and tcp_wmem
        assert gateway.rss() - before < MAX_GROWTH


def push(client: socket.socket, size: int) -> int:
    """Send until done or until there is no room for as long as the socket's timeout."""
    pushed = 0
    with contextlib.suppress(TimeoutError):
        while pushed < size:
            pushed += client.send(bytes(65536))
    return pushed


def test_an_upstream_that_does_not_read_holds_the_client_back(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    """What MLflow does not take stays with the client, not here."""
    before = gateway.rss()
    with gateway.connect(timeout=0.2) as client:
        client.sendall(head("PUT", keys() | {"X-Behave": "hold", "Content-Length": str(SIZE)}))

        assert push(client, SIZE) < SIZE // 2
        assert gateway.rss() - before < MAX_GROWTH


def test_an_answer_arrives_as_it_is_made(gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys) -> None:
    with gateway.connect(timeout=5) as client:
        client.sendall(head("GET", keys() | {"X-Behave": "endless"}))
        received = b""
        while received.count(b"tick") < 2:
            received += client.recv(4096)
    assert upstream.last.closed.wait(1)


@pytest.mark.parametrize("behaviour", ["hang", "endless"])
def test_a_client_that_leaves_takes_the_upstream_request_with_it(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, behaviour: str
) -> None:
    with gateway.connect() as client:
        client.sendall(head("GET", keys() | {"X-Behave": behaviour}))
        assert upstream.arrived.wait(5)
    assert upstream.last.closed.wait(1)


def test_a_client_that_is_reset_during_its_upload_takes_the_upstream_request_with_it(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    client = gateway.connect()
    client.sendall(head("PUT", keys() | {"Content-Length": str(SIZE), "X-Request-Id": "reset-1"}) + bytes(200_000))
    assert upstream.arrived.wait(5)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()

    assert upstream.last.closed.wait(1)
    assert not upstream.last.complete
    assert gateway.access("reset-1")["status"] == 499


def test_an_early_refusal_reaches_the_client_while_it_still_uploads(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    with gateway.connect() as client:
        client.sendall(head("PUT", keys() | {"X-Behave": "early-413", "Content-Length": str(SIZE)}) + bytes(100_000))
        answer = client.recv(65536)

        assert answer.startswith(b"HTTP/1.1 413")
        assert upstream.last.closed.wait(2)


def test_a_client_that_only_reads_after_its_upload_gets_the_early_refusal(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    headers = keys() | {"X-Behave": "early-413", "Content-Length": str(SIZE)}

    answer = gateway.ask("PUT", ARTIFACT, headers, blocks())

    assert (answer.status, answer.body) == (413, b"too large")


def test_a_refused_key_costs_no_upload(gateway: GatewayProcess, upstream: RecordingUpstream) -> None:
    """The client waits for ``100 Continue``, and gets a 401 in its place."""
    with gateway.connect() as client:
        client.sendall(head("PUT", {"Expect": "100-continue", "Content-Length": str(SIZE)}))

        assert client.recv(4096).startswith(b"HTTP/1.1 401")
    assert upstream.requests == []


def test_an_expected_100_continue_is_answered_here(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    with gateway.connect() as client:
        client.sendall(head("PUT", keys() | {"Expect": "100-continue", "Content-Length": "4"}))
        assert client.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"body")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")

    assert (upstream.last.body, upstream.last.values("expect")) == (b"body", [])


def test_a_connection_serves_one_request_after_another(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    """Also after a refusal whose upload was thrown away."""
    key = keys()
    client = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
    with contextlib.closing(client):
        for headers, status in ((key, 200), ({}, 401), (key, 200)):
            client.request("PUT", ARTIFACT, bytes(MEGABYTE), headers)
            answer = client.getresponse()
            port = client.sock.getsockname()[1]
            assert (answer.status, bool(answer.read())) == (status, True)
            assert client.sock.getsockname()[1] == port
    assert len(upstream.requests) == 2
