"""The auth service's stand-in: validates, mints and revokes platform keys over the contract of the real one.

Run as `python -m sandbox.images.auth`. Environment: AUTH_DATABASE (path of the SQLite file), AUTH_ADMIN_KEY_HASH
(SHA-256 of the admin key, hexadecimal), AUTH_HOST, AUTH_PORT, AUTH_RATE_LIMIT (validations per key and minute; 0, the
default, is no limit), AUTH_DELAY (seconds that a validation takes, 0 by default: a fault).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

from aiohttp import web

from sandbox.images.keystore import ENVIRONMENTS, KeyStore, StoredKey, digest

RATE_WINDOW = 60.0


class AuthService:
    """The handlers, over one key store."""

    def __init__(self, keys: KeyStore, admin_key_hash: str, rate_limit: int = 0, delay: float = 0.0) -> None:
        self._keys = keys
        self._admin_key_hash = admin_key_hash
        self._rate_limit = rate_limit
        self._delay = delay
        self._recent: defaultdict[str, deque[float]] = defaultdict(deque)

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self.health)
        app.router.add_get("/health", self.health)
        app.router.add_post("/api/v1/keys/validate", self.validate)
        app.router.add_post("/api/v1/keys", self.mint)
        app.router.add_get("/api/v1/keys/{key_id}", self.describe)
        app.router.add_delete("/api/v1/keys/{key_id}", self.revoke)
        return app

    async def health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "healthy", "service": "hokusai-auth"})

    async def validate(self, request: web.Request) -> web.Response:
        """Answer 200 for a refusal too: `is_valid` is the answer, and `reason` says why it is false."""
        await asyncio.sleep(self._delay)
        key = bearer(request)
        if not key:
            return refusal(401, "An API key is required: Authorization: Bearer <key>.")
        body = await json_object(request)
        if body is None or not isinstance(body.get("service_id"), str):
            return refusal(422, "The body must be a JSON object with a service_id.")
        if self._limited(digest(key)):
            return refusal(429, "Too many validations of this key.", {"Retry-After": "1"})
        return web.json_response(verdict(self._keys.by_key(key), body["service_id"]))

    async def mint(self, request: web.Request) -> web.Response:
        if refused := self._refuse_stranger(request):
            return refused
        body = await json_object(request)
        problem = mint_problem(body)
        if body is None or problem:
            return refusal(422, problem)
        scopes = tuple(body["scopes"])
        key_id, key = self._keys.mint(
            body["name"],
            body["service_id"],
            scopes,
            body.get("environment", "live"),
            body.get("user_id", "user_" + body["name"]),
        )
        answer = {
            "key_id": key_id,
            "key": key,
            "service_id": body["service_id"],
            "scopes": scopes,
            "name": body["name"],
        }
        return web.json_response(answer, status=201)

    async def describe(self, request: web.Request) -> web.Response:
        if refused := self._refuse_stranger(request):
            return refused
        stored = self._keys.by_id(request.match_info["key_id"])
        return web.json_response(metadata(stored)) if stored else refusal(404, "No key has this id.")

    async def revoke(self, request: web.Request) -> web.Response:
        if refused := self._refuse_stranger(request):
            return refused
        found = self._keys.revoke(request.match_info["key_id"])
        return web.Response(status=204) if found else refusal(404, "No key has this id.")

    def _refuse_stranger(self, request: web.Request) -> web.Response | None:
        key = bearer(request)
        if not key:
            return refusal(401, "An admin key is required: Authorization: Bearer <key>.")
        if not hmac.compare_digest(digest(key), self._admin_key_hash):
            return refusal(403, "This key may not administer keys.")
        return None

    def _limited(self, identity: str) -> bool:
        if not self._rate_limit:
            return False
        recent, now = self._recent[identity], time.monotonic()
        while recent and recent[0] < now - RATE_WINDOW:
            recent.popleft()
        if len(recent) >= self._rate_limit:
            return True
        recent.append(now)
        return False


def verdict(stored: StoredKey | None, service_id: str) -> dict[str, Any]:
    """The body of a validation, with the fields of the platform's contract."""
    if stored is None:
        return {"is_valid": False, "reason": "unknown"}
    if stored.revoked_at:
        return {"is_valid": False, "reason": "revoked"}
    if stored.service_id != service_id:
        return {"is_valid": False, "reason": "wrong_service"}
    return {
        "is_valid": True,
        "user_id": stored.user_id,
        "email": f"{stored.user_id}@example.com",
        "key_id": stored.key_id,
        "service_id": stored.service_id,
        "scopes": stored.scopes,
        "roles": [],
        "is_admin": False,
        "rate_limit_per_hour": 100_000,
        "has_sufficient_balance": True,
    }


def metadata(stored: StoredKey) -> dict[str, Any]:
    return {
        "key_id": stored.key_id,
        "name": stored.name,
        "service_id": stored.service_id,
        "scopes": stored.scopes,
        "environment": stored.environment,
        "user_id": stored.user_id,
        "created_at": stored.created_at,
        "revoked_at": stored.revoked_at,
        "is_active": stored.revoked_at is None,
    }


def mint_problem(body: dict[str, Any] | None) -> str:
    """What is wrong with a request for a key; the empty string when nothing is."""
    if body is None:
        return "The body must be a JSON object."
    for field in ("name", "service_id"):
        if not isinstance(body.get(field), str) or not body[field]:
            return f"{field} must be a non-empty string."
    scopes = body.get("scopes")
    if not isinstance(scopes, list) or not scopes or not all(isinstance(scope, str) for scope in scopes):
        return "scopes must be a non-empty list of strings."
    if body.get("environment", "live") not in ENVIRONMENTS:
        return f"environment must be one of {', '.join(ENVIRONMENTS)}."
    if not isinstance(body.get("user_id", ""), str):
        return "user_id must be a string."
    return ""


def bearer(request: web.Request) -> str:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


async def json_object(request: web.Request) -> dict[str, Any] | None:
    try:
        body = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    return body if isinstance(body, dict) else None


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"detail": message}, status=status, headers=headers)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    service = AuthService(
        KeyStore(Path(os.environ["AUTH_DATABASE"])),
        os.environ["AUTH_ADMIN_KEY_HASH"],
        int(os.environ.get("AUTH_RATE_LIMIT", "0")),
        float(os.environ.get("AUTH_DELAY", "0")),
    )
    host, port = os.environ.get("AUTH_HOST", "0.0.0.0"), int(os.environ.get("AUTH_PORT", "8000"))  # noqa: S104 - a container's default
    web.run_app(service.application(), host=host, port=port, print=None)


if __name__ == "__main__":
    main()
