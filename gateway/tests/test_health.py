"""Health pages tell the truth about the hop that is broken."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway import app, health
from gateway.config import Config
from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import settings
from gateway.tests.process import GatewayProcess, running_gateway
from gateway.tests.upstream import RecordingUpstream
from gateway.tests.wire import response


def test_everything_well(gateway: GatewayProcess, upstream: RecordingUpstream) -> None:
    ready = gateway.ask("GET", "/ready")
    deep = gateway.ask("GET", "/api/health/mlflow")

    assert (ready.status, ready.json()["status"]) == (200, "ready")
    assert {name: hop["status"] for name, hop in ready.json()["dependencies"].items()} == {
        "auth": "healthy",
        "mlflow": "healthy",
    }
    assert (deep.status, deep.json()["hop"], deep.json()["upstream"]) == (200, "mlflow", upstream.url)


def test_deep_health_asks_what_a_client_would_ask(auth: AuthStandIn, upstream: RecordingUpstream) -> None:
    with running_gateway(**settings(auth, upstream.url)) as gateway:
        gateway.ask("GET", "/api/health/mlflow")

    assert upstream.last.target == "/api/2.0/mlflow/experiments/search?max_results=1"
    assert upstream.last.value("host") == f"127.0.0.1:{upstream.port}"


def test_many_looks_at_deep_health_are_one_question(auth: AuthStandIn, upstream: RecordingUpstream) -> None:
    with running_gateway(**settings(auth, upstream.url)) as gateway:
        for _ in range(10):
            assert gateway.ask("GET", "/api/health/mlflow").status == 200

    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (response(403, b"Invalid Host header - possible DNS rebinding attack detected"), "MLFLOW_SERVER_ALLOWED_HOSTS"),
        (response(500, b"{}"), "answered 500"),
        (response(404, b"<html>"), "answered 404"),
    ],
)
def test_an_mlflow_that_refuses_calls_is_unhealthy(auth: AuthStandIn, answer: bytes, words: str) -> None:
    upstream = RecordingUpstream()
    upstream.fixed = answer
    upstream.start()
    with running_gateway(**settings(auth, upstream.url)) as gateway:
        deep = gateway.ask("GET", "/api/health/mlflow")
        ready = gateway.ask("GET", "/ready")

        assert (deep.status, words in deep.json()["reason"]) == (503, True)
        assert (ready.status, ready.json()["dependencies"]["mlflow"]["status"]) == (503, "unhealthy")
        assert ready.json()["dependencies"]["auth"]["status"] == "healthy"
        assert gateway.ask("GET", "/health").status == 200
    upstream.stop()


def test_an_auth_outage_makes_the_service_unready(auth: AuthStandIn, upstream: RecordingUpstream) -> None:
    auth.outage = 500
    with running_gateway(**settings(auth, upstream.url)) as gateway:
        ready = gateway.ask("GET", "/ready")

    assert ready.status == 503
    assert "answered 500" in ready.json()["dependencies"]["auth"]["reason"]


@contextlib.asynccontextmanager
async def living(gateway: app.Gateway) -> AsyncIterator[None]:
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()
    life = asyncio.create_task(gateway({"type": "lifespan"}, inbox.get, outbox.put))
    inbox.put_nowait({})
    await outbox.get()
    yield
    inbox.put_nowait({})
    await life


async def test_readiness_asks_both_at_once_and_does_not_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert health.READY_PATIENCE < 5
    monkeypatch.setattr(app, "READY_PATIENCE", 0.6)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        gateway = app.Gateway(Config(url, url))
        scope = {"type": "http", "method": "GET", "raw_path": b"/ready", "query_string": b"", "headers": []}
        async with living(gateway):
            started = time.monotonic()
            await gateway(scope | {"scheme": "http"}, receive, send)
            took = time.monotonic() - started

    dependencies = json.loads(sent[1]["body"])["dependencies"]
    assert (sent[0]["status"], took < 1.15) == (503, True)
    assert {hop["reason"] for hop in dependencies.values()} == {"no answer within 0.6 s"}


def test_metrics_count_by_family_status_and_emitter(gateway: GatewayProcess) -> None:
    gateway.ask("GET", "/api/mlflow/api/2.0/mlflow/runs/get")

    text = gateway.ask("GET", "/metrics").body.decode()

    assert 'gateway_requests_total{family="other",status="401",emitter="gateway"}' in text
    assert 'gateway_breaker_state{state="closed"} 1' in text
