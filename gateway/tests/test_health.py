"""Health pages tell the truth about the hop that is broken."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway import app, health
from gateway.config import Config
from gateway.tests.auth import AuthStandIn
from gateway.tests.process import GatewayProcess
from gateway.tests.upstream import RecordingUpstream
from gateway.tests.wire import response

Ask = Callable[[str], Awaitable[tuple[int, Any]]]


@contextlib.asynccontextmanager
async def in_process(auth_url: str, mlflow_url: str) -> AsyncIterator[Ask]:
    """A gateway of its own, since one remembers what it found; without a process, which takes longer than its test."""
    gateway = app.Gateway(Config(mlflow_url, auth_url))
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()

    async def ask(path: str) -> tuple[int, Any]:
        scope = {"type": "http", "method": "GET", "raw_path": path.encode(), "query_string": b"", "headers": []}
        await gateway(scope | {"scheme": "http"}, inbox.get, outbox.put)
        return (await outbox.get())["status"], json.loads((await outbox.get())["body"])

    life = asyncio.create_task(gateway({"type": "lifespan"}, inbox.get, outbox.put))
    inbox.put_nowait({})
    await outbox.get()
    yield ask
    inbox.put_nowait({})
    await life


def test_everything_well(gateway: GatewayProcess, upstream: RecordingUpstream) -> None:
    ready = gateway.ask("GET", "/ready")
    deep = gateway.ask("GET", "/api/health/mlflow")

    assert (ready.status, ready.json()["status"]) == (200, "ready")
    assert {name: hop["status"] for name, hop in ready.json()["dependencies"].items()} == {
        "auth": "healthy",
        "mlflow": "healthy",
    }
    assert (deep.status, deep.json()["hop"], deep.json()["upstream"]) == (200, "mlflow", upstream.url)


async def test_deep_health_asks_what_a_client_would_ask(auth: AuthStandIn, upstream: RecordingUpstream) -> None:
    async with in_process(auth.url, upstream.url) as ask:
        await ask("/api/health/mlflow")

    assert upstream.last.target == "/api/2.0/mlflow/experiments/search?max_results=1"
    assert upstream.last.value("host") == f"127.0.0.1:{upstream.port}"


async def test_many_looks_at_deep_health_are_one_question(auth: AuthStandIn, upstream: RecordingUpstream) -> None:
    async with in_process(auth.url, upstream.url) as ask:
        for _ in range(10):
            assert (await ask("/api/health/mlflow"))[0] == 200

    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (response(403, b"Invalid Host header - possible DNS rebinding attack detected"), "MLFLOW_SERVER_ALLOWED_HOSTS"),
        (response(500, b"{}"), "answered 500"),
        (response(404, b"<html>"), "answered 404"),
    ],
)
async def test_an_mlflow_that_refuses_calls_is_unhealthy(auth: AuthStandIn, answer: bytes, words: str) -> None:
    upstream = RecordingUpstream()
    upstream.fixed = answer
    upstream.start()
    async with in_process(auth.url, upstream.url) as ask:
        deep, told = await ask("/api/health/mlflow")
        ready, said = await ask("/ready")

        assert (deep, words in told["reason"]) == (503, True)
        assert (ready, said["dependencies"]["mlflow"]["status"]) == (503, "unhealthy")
        assert said["dependencies"]["auth"]["status"] == "healthy"
        assert (await ask("/health"))[0] == 200
    upstream.stop()


async def test_an_auth_outage_makes_the_service_unready(auth: AuthStandIn, upstream: RecordingUpstream) -> None:
    auth.outage = 500
    async with in_process(auth.url, upstream.url) as ask:
        ready, said = await ask("/ready")

    assert (ready, "answered 500" in said["dependencies"]["auth"]["reason"]) == (503, True)


async def test_readiness_asks_both_at_once_and_does_not_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert health.READY_PATIENCE < 5
    monkeypatch.setattr(app, "READY_PATIENCE", 0.6)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with in_process(url, url) as ask:
            started = time.monotonic()
            status, said = await ask("/ready")
            took = time.monotonic() - started

    assert (status, took < 1.15) == (503, True)
    assert {hop["reason"] for hop in said["dependencies"].values()} == {"no answer within 0.6 s"}


def test_metrics_count_by_family_status_and_emitter(gateway: GatewayProcess) -> None:
    gateway.ask("GET", "/api/mlflow/api/2.0/mlflow/runs/get")

    text = gateway.ask("GET", "/metrics").body.decode()

    assert 'gateway_requests_total{family="other",status="401",emitter="gateway"}' in text
    assert 'gateway_breaker_state{hop="mlflow",state="closed"} 1' in text
