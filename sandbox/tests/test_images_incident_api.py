"""The faults of the old API program are what the incident is measured by: each must really be there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sandbox.images.incident_api import IncidentApi

Client = TestClient[web.Request, web.Application]
KEY = {"Authorization": "Bearer hk_test_key"}


class Backends:
    """MLflow and auth in one server, remembering what they were asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.forwarded: list[web.Request] = []
        self.is_valid = True

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/api/v1/keys/validate", self.validate)
        app.router.add_route("*", "/{path:.*}", self.mlflow)
        return app

    async def validate(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        return web.json_response({"is_valid": self.is_valid})

    async def mlflow(self, request: web.Request) -> web.Response:
        self.forwarded.append(request)
        return web.json_response({"path": request.raw_path})


@pytest.fixture
def backends() -> Backends:
    return Backends()


@pytest.fixture
async def api(backends: Backends) -> AsyncIterator[Client]:
    async with TestServer(backends.application()) as server:
        url = str(server.make_url("")).rstrip("/")
        program = IncidentApi({"MLFLOW_SERVER_URL": url, "HOKUSAI_AUTH_SERVICE_URL": url})
        async with TestClient(TestServer(program.application())) as client:
            yield client


async def test_health_is_green_whatever_happens_behind_it(api: Client) -> None:
    assert (await api.get("/health")).status == 200


async def test_the_load_balancers_health_path_is_not_served(api: Client) -> None:
    assert (await api.get("/health/alb")).status == 404


async def test_the_mount_of_the_tracking_uri_is_gone(api: Client, backends: Backends) -> None:
    assert (await api.get("/api/mlflow/version", headers=KEY)).status == 404
    assert backends.forwarded == []


async def test_the_old_mount_forwards_but_does_not_hand_the_key_on(api: Client, backends: Backends) -> None:
    response = await api.post("/mlflow/api/2.0/mlflow/experiments/search?a=b", json={}, headers=KEY)
    assert await response.json() == {"path": "/api/2.0/mlflow/experiments/search?a=b"}
    assert "Authorization" not in backends.forwarded[0].headers


async def test_it_asks_for_the_wrong_service_unless_told(api: Client, backends: Backends) -> None:
    await api.get("/mlflow/version", headers=KEY)
    assert backends.asked[0]["service_id"] == "ml-platform"


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "hk_test_key"}, {"Authorization": "ApiKey hk_test_key"}])
async def test_it_knows_one_way_only_to_present_a_key(api: Client, headers: dict[str, str]) -> None:
    assert (await api.get("/mlflow/version", headers=headers)).status == 401


async def test_a_refused_key_is_401(api: Client, backends: Backends) -> None:
    backends.is_valid = False
    assert (await api.get("/mlflow/version", headers=KEY)).status == 401


async def test_an_unreachable_mlflow_is_502(backends: Backends) -> None:
    async with TestServer(backends.application()) as server:
        url = str(server.make_url("")).rstrip("/")
        program = IncidentApi({"MLFLOW_SERVER_URL": "http://127.99.99.98:9", "HOKUSAI_AUTH_SERVICE_URL": url})
        async with TestClient(TestServer(program.application())) as client:
            assert (await client.get("/mlflow/version", headers=KEY)).status == 502
