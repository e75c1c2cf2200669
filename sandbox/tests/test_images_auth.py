from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from sandbox.images.auth import AuthService
from sandbox.images.keystore import KeyStore, digest, make_key

Client = TestClient[Request, Application]
ADMIN = make_key("live")
WANTED: dict[str, Any] = {"name": "ci", "service_id": "platform", "scopes": ["read", "write"], "environment": "test"}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "keys.sqlite"


@pytest.fixture
async def auth(database: Path) -> AsyncIterator[Client]:
    application = AuthService(KeyStore(database), digest(ADMIN), rate_limit=5).application()
    async with TestClient(TestServer(application)) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def mint(auth: Client, **changes: Any) -> dict[str, Any]:
    response = await auth.post("/api/v1/keys", json=WANTED | changes, headers=bearer(ADMIN))
    assert response.status == 201
    body: dict[str, Any] = await response.json()
    return body


async def validate(auth: Client, key: str, service_id: str = "platform") -> dict[str, Any]:
    question = {"service_id": service_id, "client_ip": "10.0.1.4"}
    response = await auth.post("/api/v1/keys/validate", json=question, headers=bearer(key))
    assert response.status == 200
    body: dict[str, Any] = await response.json()
    return body


async def test_a_minted_key_is_valid_for_its_service_and_carries_its_scopes(auth: Client) -> None:
    minted = await mint(auth)
    answer = await validate(auth, minted["key"])
    assert answer["is_valid"] is True
    assert answer["scopes"] == ["read", "write"]
    assert answer["key_id"] == minted["key_id"]
    assert set(answer) == {
        "is_valid",
        "user_id",
        "email",
        "key_id",
        "service_id",
        "scopes",
        "roles",
        "is_admin",
        "rate_limit_per_hour",
        "has_sufficient_balance",
    }


@pytest.mark.parametrize("environment", ["live", "test", "dev"])
async def test_keys_have_the_platforms_form(auth: Client, environment: str) -> None:
    minted = await mint(auth, environment=environment)
    assert re.fullmatch(f"hk_{environment}_[A-Za-z0-9]{{32}}", minted["key"])


async def test_a_key_of_another_service_is_refused_with_the_reason(auth: Client) -> None:
    minted = await mint(auth)
    assert await validate(auth, minted["key"], "ml-platform") == {"is_valid": False, "reason": "wrong_service"}


async def test_an_unknown_key_is_refused_with_the_reason(auth: Client) -> None:
    assert await validate(auth, make_key("live")) == {"is_valid": False, "reason": "unknown"}


async def test_a_revoked_key_is_refused_and_revoking_it_again_is_fine(auth: Client) -> None:
    minted = await mint(auth)
    for _ in range(2):
        response = await auth.delete(f"/api/v1/keys/{minted['key_id']}", headers=bearer(ADMIN))
        assert response.status == 204
    assert await validate(auth, minted["key"]) == {"is_valid": False, "reason": "revoked"}
    response = await auth.get(f"/api/v1/keys/{minted['key_id']}", headers=bearer(ADMIN))
    assert (await response.json())["is_active"] is False


async def test_the_key_is_in_no_answer_but_the_first_and_not_in_the_database(auth: Client, database: Path) -> None:
    minted = await mint(auth)
    response = await auth.get(f"/api/v1/keys/{minted['key_id']}", headers=bearer(ADMIN))
    assert minted["key"] not in await response.text()
    with sqlite3.connect(database) as connection:
        rows = str(connection.execute("SELECT * FROM api_keys").fetchall())
    assert minted["key"] not in rows
    assert digest(minted["key"]) in rows


async def test_keys_outlive_the_service_that_minted_them(auth: Client, database: Path) -> None:
    minted = await mint(auth)
    found = KeyStore(database).by_key(minted["key"])
    assert found is not None
    assert found.key_id == minted["key_id"]


async def test_validation_without_a_key_is_401(auth: Client) -> None:
    response = await auth.post("/api/v1/keys/validate", json={"service_id": "platform"})
    assert response.status == 401


async def test_too_many_validations_of_a_key_are_429_with_a_time_to_retry(auth: Client) -> None:
    key = make_key("live")
    for _ in range(5):
        await validate(auth, key)
    response = await auth.post("/api/v1/keys/validate", json={"service_id": "platform"}, headers=bearer(key))
    assert response.status == 429
    assert "Retry-After" in response.headers
    assert (await validate(auth, make_key("live")))["reason"] == "unknown"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), (bearer(make_key("live")), 403), ({"Authorization": f"Basic {ADMIN}"}, 401)],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/v1/keys"), ("GET", "/api/v1/keys/x"), ("DELETE", "/api/v1/keys/x")]
)
async def test_only_the_admin_key_administers(
    auth: Client, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    response = await auth.request(method, path, json=WANTED, headers=headers)
    assert response.status == status


@pytest.mark.parametrize(
    "body",
    [
        [],
        WANTED | {"scopes": []},
        WANTED | {"scopes": "read"},
        WANTED | {"name": ""},
        WANTED | {"service_id": None},
        WANTED | {"environment": "production"},
        WANTED | {"user_id": 7},
    ],
)
async def test_a_bad_request_for_a_key_is_422_and_says_what_is_wrong(auth: Client, body: Any) -> None:
    response = await auth.post("/api/v1/keys", json=body, headers=bearer(ADMIN))
    assert response.status == 422
    assert (await response.json())["detail"]


async def test_an_unknown_key_id_is_404(auth: Client) -> None:
    for method in ("GET", "DELETE"):
        response = await auth.request(method, "/api/v1/keys/key_none", headers=bearer(ADMIN))
        assert response.status == 404


@pytest.mark.parametrize("path", ["/", "/health"])
async def test_health_needs_no_key(auth: Client, path: str) -> None:
    assert (await auth.get(path)).status == 200


async def test_a_delay_makes_every_validation_slow(database: Path) -> None:
    application = AuthService(KeyStore(database), digest(ADMIN), delay=0.2).application()
    async with TestClient(TestServer(application)) as slow:
        minted = await mint(slow)
        begun = time.monotonic()
        assert (await validate(slow, minted["key"]))["is_valid"]
        assert time.monotonic() - begun >= 0.2
