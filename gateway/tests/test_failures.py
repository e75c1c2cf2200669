"""What the client gets when MLflow does not answer, and how often MLflow is asked."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from gateway import pool
from gateway.config import Config
from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.process import GatewayProcess, running_gateway
from gateway.tests.upstream import MEGABYTE, RecordingUpstream
from gateway.upstream import Upstream, UpstreamRequest

RUN = "/api/mlflow/api/2.0/mlflow/runs/get"
CREATE = "/api/mlflow/api/2.0/mlflow/runs/create"
ARTIFACT = "/api/mlflow/api/2.0/mlflow-artifacts/artifacts/1/a"


@pytest.fixture(scope="module")
def refused_port() -> Iterator[int]:
    """A port that nobody listens on and nobody can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
def impatient(shared_auth: AuthStandIn, shared_upstream: RecordingUpstream) -> Iterator[GatewayProcess]:
    changes = {"MLFLOW_PROXY_TIMEOUT": "1", "GATEWAY_CONNECT_TIMEOUT": "0.9"}
    with running_gateway(**settings(shared_auth, shared_upstream.url, **changes)) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def fragile(shared_auth: AuthStandIn, shared_upstream: RecordingUpstream) -> Iterator[GatewayProcess]:
    """One failure of MLflow's opens the breaker for good: no test here may cause one."""
    changes = {
        "MLFLOW_CB_FAILURE_THRESHOLD": "1",
        "MLFLOW_PROXY_TIMEOUT": "1",
        "GATEWAY_CONNECT_TIMEOUT": "0.5",
        "GATEWAY_MAX_CONNECTIONS": "1",
    }
    with running_gateway(**settings(shared_auth, shared_upstream.url, **changes)) as gateway:
        yield gateway


def head(method: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {ARTIFACT} HTTP/1.1", "Host: gateway", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def test_an_upstream_that_refuses_is_a_502_that_names_it(auth: AuthStandIn, keys: Keys, refused_port: int) -> None:
    with running_gateway(**settings(auth, f"http://127.0.0.1:{refused_port}")) as gateway:
        answer = gateway.ask("POST", CREATE, keys(), b"{}")

        assert (answer.status, answer.json()["error_code"]) == (502, "TEMPORARILY_UNAVAILABLE")
        assert f"MLflow at 127.0.0.1:{refused_port}: connection refused" in answer.json()["message"]


def test_an_upstream_that_does_not_resolve_is_a_502(auth: AuthStandIn, keys: Keys) -> None:
    with running_gateway(**settings(auth, "http://mlflow.does-not-exist.invalid:5000")) as gateway:
        answer = gateway.ask("GET", RUN, keys())

        assert (answer.status, "cannot resolve or reach" in answer.json()["message"]) == (502, True)


def test_an_address_that_drops_packets_is_a_504_after_the_connect_timeout(auth: AuthStandIn, keys: Keys) -> None:
    """A listener whose queue is full drops SYNs, which is what a security group does."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        with running_gateway(**settings(auth, f"http://127.0.0.1:{port}", GATEWAY_CONNECT_TIMEOUT="0.5")) as gateway:
            started = time.monotonic()
            answer = gateway.ask("GET", RUN, keys())

    assert (answer.status, answer.json()["error_code"]) == (504, "DEADLINE_EXCEEDED")
    assert 0.4 < time.monotonic() - started < 3
    assert "packets are dropped" in answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("POST", CREATE),
        ("PUT", ARTIFACT),
        ("DELETE", ARTIFACT),
        ("PATCH", "/api/mlflow/api/2.0/mlflow/registered-models/update"),
    ],
)
def test_an_upstream_that_dies_is_a_502_and_a_write_is_not_repeated(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, method: str, route: str
) -> None:
    for body in (b"", b"{}"):
        upstream.reset()
        answer = gateway.ask(method, route, keys() | {"X-Behave": "die"}, body)

        assert (answer.status, len(upstream.requests)) == (502, 1)
        assert answer.json()["request_id"] == answer.value("x-request-id")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_is_repeated_twice_at_most(
    rested_gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, method: str
) -> None:
    assert rested_gateway.ask(method, RUN, keys() | {"X-Behave": "flaky"}).status == 200
    assert len(upstream.requests) == 2

    assert rested_gateway.ask(method, RUN, keys() | {"X-Behave": "die"}).status == 502
    assert len(upstream.requests) == 5


def test_a_search_is_repeated_though_it_is_a_post_and_says_how_often(
    rested_gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    """MLflow's searches change nothing, and a body that came in one piece can be sent again."""
    search = "/api/mlflow/api/2.0/mlflow/experiments/search"
    assert rested_gateway.ask("POST", search, keys() | {"X-Behave": "flaky"}, b'{"max_results": 1}').status == 200
    assert (len(upstream.requests), upstream.last.body) == (2, b'{"max_results": 1}')

    answer = rested_gateway.ask("POST", search, keys() | {"X-Behave": "die"}, b"{}")

    assert (answer.status, answer.json()["hop"], answer.json()["tries"]) == (502, "mlflow", 3)
    assert "(3 tries)" in answer.json()["message"]


def test_an_upstream_that_dies_during_an_upload_is_a_502(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    answer = gateway.ask("PUT", ARTIFACT, keys() | {"X-Behave": "die-mid-upload"}, bytes(8 * MEGABYTE))

    assert (answer.status, len(upstream.requests)) == (502, 1)


def test_an_answer_that_stops_half_way_is_aborted_and_not_completed(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    with pytest.raises(http.client.IncompleteRead):
        gateway.ask("GET", ARTIFACT, keys() | {"X-Behave": "die-mid-response", "X-Request-Id": "cut-short"})

    assert "stopped after 9 bytes" in gateway.access("cut-short")["reason"]


def test_an_upstream_that_says_nothing_is_a_504(
    impatient: GatewayProcess, auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    """Also after an upload that is complete: nobody waits for its client any more."""
    key = keys() | {"X-Behave": "hang"}
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(impatient.ask, "GET", RUN, key), pool.submit(impatient.ask, "PUT", ARTIFACT, key, b"data")]
    took = time.monotonic() - started

    for answer in (one.result() for one in asked):
        assert (answer.status, answer.json()["error_code"]) == (504, "DEADLINE_EXCEEDED")
        assert "did not answer within 1 s" in answer.json()["message"]
        assert (answer.json()["hop"], answer.json()["tries"]) == ("mlflow", 1)
        assert impatient.access(answer.value("x-request-id"))["tries"] == 1
    assert 0.9 < took < 2
    assert [request.closed.wait(1) for request in upstream.requests] == [True, True]


def test_a_slow_but_living_transfer_outlives_the_timeout(
    impatient: GatewayProcess, auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    def slowly() -> Iterator[bytes]:
        for _ in range(6):
            yield b"data"
            time.sleep(0.2)

    key = keys()
    with ThreadPoolExecutor(1) as aside:
        download = aside.submit(impatient.ask, "GET", ARTIFACT, key | {"X-Behave": "trickle"})
        assert impatient.ask("PUT", ARTIFACT, key, slowly()).status == 200

    assert download.result().body == b"." * 10
    assert {request.method: request.length for request in upstream.requests} == {"GET": 0, "PUT": 24}


def test_the_breaker_opens_says_when_to_return_and_closes_again(
    auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    changes = {"MLFLOW_CB_FAILURE_THRESHOLD": "2", "MLFLOW_CB_RECOVERY_TIMEOUT": "0.6"}
    with running_gateway(**settings(auth, upstream.url, **changes)) as gateway:
        key = keys()
        statuses = [gateway.ask("POST", CREATE, key | {"X-Behave": "die"}, b"").status for _ in range(2)]
        refused = gateway.ask("GET", RUN, key)

        assert (statuses, refused.status, len(upstream.requests)) == ([502, 502], 503, 2)
        assert refused.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert refused.value("retry-after") == "1"
        assert b'gateway_breaker_state{hop="mlflow",state="open"} 1' in gateway.ask("GET", "/metrics").body

        time.sleep(0.6)
        assert gateway.ask("POST", CREATE, key | {"X-Behave": "die"}, b"").status == 502
        assert gateway.ask("GET", RUN, key).status == 503
        time.sleep(0.6)
        assert [gateway.ask("GET", RUN, key).status for _ in range(2)] == [200, 200]


def test_a_probe_that_times_out_opens_the_breaker_again(
    auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    changes = {
        "MLFLOW_CB_FAILURE_THRESHOLD": "1",
        "MLFLOW_CB_RECOVERY_TIMEOUT": "0.5",
        "MLFLOW_CB_MAX_RECOVERY_ATTEMPTS": "1",
        "MLFLOW_PROXY_TIMEOUT": "1",
        "GATEWAY_CONNECT_TIMEOUT": "0.9",
    }
    with running_gateway(**settings(auth, upstream.url, **changes)) as gateway:
        key = keys()
        assert gateway.ask("POST", CREATE, key | {"X-Behave": "die"}, b"").status == 502
        assert gateway.ask("GET", RUN, key).status == 503
        time.sleep(0.5)
        assert gateway.ask("GET", RUN, key | {"X-Behave": "hang"}).status == 504

        assert (gateway.ask("GET", RUN, key).status, len(upstream.requests)) == (503, 2)
        time.sleep(0.5)
        assert [gateway.ask("GET", RUN, key).status for _ in range(2)] == [200, 200]


def test_a_client_that_drips_its_body_is_no_probe_and_holds_nobody_up(
    auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    changes = {"MLFLOW_CB_FAILURE_THRESHOLD": "1"}
    with running_gateway(**settings(auth, upstream.url, **changes)) as gateway, gateway.connect() as slow:
        key = keys()
        assert gateway.ask("POST", CREATE, key | {"X-Behave": "die"}, b"").status == 502
        time.sleep(1.05)
        slow.sendall(head("PUT", key | {"Content-Length": "1000"}) + bytes(10))
        refused = http.client.HTTPResponse(slow)
        refused.begin()

        assert (refused.status, refused.getheader("retry-after")) == (503, "1")
        assert gateway.ask("GET", RUN, key).status == 200


def test_clients_that_abort_their_uploads_do_not_open_the_breaker(
    fragile: GatewayProcess, auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    key = keys()
    for number in range(5):
        upstream.arrived.clear()
        headers = key | {"Content-Length": str(MEGABYTE), "X-Request-Id": f"aborted-{number}"}
        with fragile.connect() as client:
            client.sendall(head("PUT", headers) + bytes(100_000))
            assert upstream.arrived.wait(5)
        assert fragile.access(f"aborted-{number}")["status"] == 499

    assert fragile.ask("GET", RUN, key).status == 200


@pytest.mark.parametrize("sent", [0, 10])
def test_a_client_that_stalls_its_upload_is_a_408_and_not_mlflows_fault(
    fragile: GatewayProcess, auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys, sent: int
) -> None:
    key = keys()
    with fragile.connect() as client:
        client.sendall(head("PUT", key | {"Content-Length": "1000"}) + bytes(sent))
        answer = http.client.HTTPResponse(client)
        answer.begin()
        said = json.loads(answer.read())

        assert (answer.status, said["error_code"]) == (408, "DEADLINE_EXCEEDED")
        assert "body" in said["message"]
        assert (answer.getheader("connection"), client.recv(1)) == ("close", b"")
    assert fragile.ask("GET", RUN, key).status == 200


@pytest.mark.parametrize("spent", [0, 0.7], ids=["for long enough", "until the request's own time is over"])
def test_a_request_that_gets_no_connection_is_a_503_and_not_mlflows_fault(
    fragile: GatewayProcess, auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys, spent: float
) -> None:
    with fragile.connect() as client:
        client.sendall(head("GET", keys() | {"X-Behave": "endless"}))
        assert b"200" in client.recv(15)
        auth.delay = spent
        answer = fragile.ask("GET", RUN, keys())

        assert (answer.status, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        assert (answer.value("retry-after"), "in use" in answer.json()["message"]) == ("1", True)
        assert (answer.json()["hop"], answer.json()["tries"]) == ("gateway", 0)
    assert fragile.ask("GET", RUN, keys()).status == 200
    assert len(upstream.requests) == 2


def test_a_look_at_deep_health_closes_the_breaker(auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys) -> None:
    """After a repair nobody waits for the recovery time."""
    with running_gateway(**settings(auth, upstream.url, MLFLOW_CB_FAILURE_THRESHOLD="1")) as gateway:
        key = keys()
        gateway.ask("POST", CREATE, key | {"X-Behave": "die"}, b"")
        assert gateway.ask("GET", RUN, key).status == 503

        assert gateway.ask("GET", "/api/health/mlflow").status == 200
        assert gateway.ask("GET", RUN, key).status == 200


async def test_a_connection_mlflow_is_about_to_close_is_not_used_again(
    upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn closes after 5 idle seconds, and a POST that runs into that must not be repeated."""
    assert pool.KEEP_ALIVE <= 4
    monkeypatch.setattr(pool, "KEEP_ALIVE", 0.4)
    connections = []
    with closing(Upstream(Config(upstream.url, upstream.url))) as mlflow:
        for pause in (0, 0, 0.5):
            await asyncio.sleep(pause)
            with await mlflow.ask(UpstreamRequest("POST", b"/", b"", [])) as answer:
                await answer.read_all(1000)
            connections.append(upstream.connections)

    assert connections == [1, 1, 2]
