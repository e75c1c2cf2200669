"""Connections: how long they may take, how many there may be, and how they end with the process."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import statistics
import time
from collections.abc import Iterator

import pytest

from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.process import GatewayProcess, running_gateway
from gateway.tests.upstream import MEGABYTE, RecordingUpstream

RUN = "/api/mlflow/api/2.0/mlflow/runs/get"
ARTIFACT = "/api/mlflow/api/2.0/mlflow-artifacts/artifacts/1/a"


@pytest.fixture(scope="module")
def hasty(shared_auth: AuthStandIn, shared_upstream: RecordingUpstream) -> Iterator[GatewayProcess]:
    """Ends what waits after a second."""
    changes = {
        "GATEWAY_HEAD_TIMEOUT": "1",
        "GATEWAY_KEEP_ALIVE": "2",
        "GATEWAY_ALB_IDLE_TIMEOUT": "1.9",
        "MLFLOW_PROXY_TIMEOUT": "1.8",
        "GATEWAY_CONNECT_TIMEOUT": "1",
    }
    with running_gateway(**settings(shared_auth, shared_upstream.url, **changes)) as gateway:
        yield gateway


def until_closed(client: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(65536):
            data += piece
    return data


def answer_on(client: socket.socket) -> http.client.HTTPResponse:
    answer = http.client.HTTPResponse(client)
    answer.begin()
    return answer


def head(method: str, path: str, *fields: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: g", *fields, "", ""]).encode()


def test_a_head_that_drips_is_a_408_after_its_time(hasty: GatewayProcess) -> None:
    """However steadily it drips: every byte of a slow head is not a sign of life."""
    with hasty.connect() as client:
        client.settimeout(0.1)
        started = time.monotonic()
        data = b""
        for byte in head("GET", "/health", "X-Long: " + "a" * 1000):
            client.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                data = client.recv(65536)
                break

    assert 0.9 < time.monotonic() - started < 2.5
    assert data.startswith(b"HTTP/1.1 408 ")
    assert json.loads(data.partition(b"\r\n\r\n")[2])["error_code"] == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("asked", [True, False])
def test_an_idle_connection_is_closed_after_the_keep_alive_and_not_before(hasty: GatewayProcess, asked: bool) -> None:
    with hasty.connect() as client:
        if asked:
            client.sendall(head("GET", "/health"))
            assert answer_on(client).read()
        started = time.monotonic()
        assert until_closed(client) == b""

    assert 1.9 < time.monotonic() - started < 3.5


def test_a_connection_serves_on_after_an_idle_time(hasty: GatewayProcess) -> None:
    with hasty.connect() as client:
        for _ in range(3):
            client.sendall(head("GET", "/health"))
            assert answer_on(client).read()
            time.sleep(1.2)


def test_a_body_that_is_not_wanted_is_read_and_the_connection_kept(hasty: GatewayProcess) -> None:
    with hasty.connect() as client:
        client.sendall(head("PUT", ARTIFACT, f"Content-Length: {4 * MEGABYTE}"))
        refused = answer_on(client)
        assert (refused.status, refused.getheader("connection")) == (401, None)
        refused.read()
        client.sendall(bytes(4 * MEGABYTE) + head("GET", "/health"))
        assert answer_on(client).status == 200


def test_an_answer_to_http_1_0_ends_with_its_connection(
    hasty: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    """It knows no chunks, so what has no length has no other end."""
    key = f"Authorization: {keys()['Authorization']}"
    with hasty.connect() as client:
        client.sendall(head("GET", RUN, key, "Connection: keep-alive", version="1.0"))
        data = until_closed(client)
    upstream.fixed = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    try:
        with hasty.connect() as client:
            client.sendall(head("GET", RUN, key, version="1.0"))
            unframed = until_closed(client)
    finally:
        upstream.fixed = b""

    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close\r\n" in data
    assert (unframed.partition(b"\r\n\r\n")[2], b"chunked" in unframed) == (b"hello", False)


def test_too_many_connections_get_a_503_and_the_health_page_answers(
    auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    with (
        running_gateway(**settings(auth, upstream.url, GATEWAY_MAX_CLIENTS="3")) as gateway,
        contextlib.ExitStack() as all_,
    ):
        kept = [all_.enter_context(gateway.connect()) for _ in range(3)]
        for client in kept:
            client.sendall(head("GET", "/health"))
            assert answer_on(client).read()
        refused = gateway.ask("POST", RUN, keys(), b"{}")
        assert (refused.status, refused.value("retry-after"), refused.value("connection")) == (503, "5", "close")
        assert refused.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert gateway.ask("GET", "/health").status == 200

        kept.pop().close()
        until = time.monotonic() + 5
        while gateway.ask("GET", RUN, keys()).status == 503:
            assert time.monotonic() < until
        crowd = [all_.enter_context(gateway.connect()) for _ in range(5)]
        assert until_closed(crowd[-1]) == b""


def test_hundreds_of_idle_and_slow_clients_do_not_slow_the_others(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    def p50() -> float:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
        times = []
        with contextlib.closing(connection):
            for _ in range(60):
                started = time.perf_counter()
                connection.request("GET", RUN, headers=key)
                connection.getresponse().read()
                times.append(time.perf_counter() - started)
        return statistics.median(times)

    key = keys()
    alone = p50()
    with contextlib.ExitStack() as all_:
        for number in range(300):
            client = all_.enter_context(gateway.connect())
            if number % 2:
                client.sendall(b"GET /health HT")
        assert p50() < 3 * alone + 0.005


def test_sigterm_closes_idle_connections_at_once_and_says_close_on_the_others(
    auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    with running_gateway(**settings(auth, upstream.url)) as gateway:
        with gateway.connect() as idle, gateway.connect() as fresh, gateway.connect() as busy:
            idle.sendall(head("GET", "/health"))
            answer_on(idle).read()
            auth.delay = 0.5
            busy.sendall(head("GET", RUN, f"Authorization: {keys()['Authorization']}"))
            until = time.monotonic() + 5
            while not auth.questions:
                assert time.monotonic() < until
                time.sleep(0.01)
            started = time.monotonic()
            gateway.process.send_signal(signal.SIGTERM)

            assert (until_closed(idle), until_closed(fresh)) == (b"", b"")
            assert time.monotonic() - started < 0.45
            answer = answer_on(busy)
            assert (answer.status, answer.getheader("connection")) == (200, "close")
            assert json.loads(answer.read())["target"] == RUN.removeprefix("/api/mlflow")
            assert busy.recv(1) == b""
        assert gateway.process.wait(5) == 0
        with pytest.raises(ConnectionError):
            gateway.connect()


def test_what_is_not_answered_in_the_drain_time_gets_a_503(
    auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    with (
        running_gateway(**settings(auth, upstream.url, GATEWAY_DRAIN_TIMEOUT="0.6")) as gateway,
        gateway.connect() as busy,
    ):
        headers = ["X-Behave: hang", "X-Request-Id: too-late", f"Authorization: {keys()['Authorization']}"]
        busy.sendall(head("GET", RUN, *headers))
        assert upstream.arrived.wait(5)
        gateway.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        answer = answer_on(busy)
        said = json.loads(answer.read())

        assert time.monotonic() - started > 0.5
        assert (answer.status, answer.getheader("retry-after")) == (503, "1")
        assert (said["hop"], "stopping" in said["message"]) == ("gateway", True)
        assert gateway.process.wait(5) == 0
        assert gateway.access("too-late")["reason"].startswith("This service is stopping")


def test_a_client_that_leaves_while_its_request_is_refused_leaves_nothing_behind(gateway: GatewayProcess) -> None:
    def open_now() -> int:
        text = gateway.ask("GET", "/metrics").body.decode()
        return int(text.partition("\ngateway_client_connections ")[2].split("\n")[0])

    before = open_now()
    for _ in range(20):
        with gateway.connect() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(b"GET /\n" + bytes(100_000))
    until = time.monotonic() + 5
    while open_now() > before:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_long_pipeline_is_served_when_its_answers_come(hasty: GatewayProcess) -> None:
    request = head("GET", "/health", "X-Long: " + "a" * 2000)
    with hasty.connect() as client:
        client.sendall(request * 100 + head("GET", "/health", "Connection: close"))

        assert until_closed(client).count(b"HTTP/1.1 200 ") == 101


def test_too_much_behind_a_request_that_is_not_answered_ends_it(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    """Who does not read what comes does not hear, either, that the client has left."""
    ask = head("GET", RUN, f"Authorization: {keys()['Authorization']}", "X-Behave: hang")
    ahead = head("POST", RUN, "Content-Length: 100000") + bytes(100_000)
    with gateway.connect() as client:
        client.sendall(ask + ahead)
        refused = answer_on(client)
        assert (refused.status, refused.getheader("connection")) == (400, "close")
        assert b"65536 bytes" in refused.read()
    assert upstream.last.closed.wait(1)

    upstream.arrived.clear()
    with gateway.connect() as client:
        client.sendall(ask + ahead)
        assert upstream.arrived.wait(5)
    assert upstream.last.closed.wait(1.5)


def test_a_client_that_closes_its_sending_side_has_left(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    with gateway.connect() as client:
        ask = head("GET", RUN, f"Authorization: {keys()['Authorization']}", "X-Behave: hang")
        client.sendall(ask)
        client.shutdown(socket.SHUT_WR)
        assert until_closed(client) == b""
    until = time.monotonic() + 1
    while upstream.requests and not upstream.last.closed.is_set():
        assert time.monotonic() < until
