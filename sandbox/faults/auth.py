"""Faults of authentication: the key itself, and the service that is asked about it."""

from __future__ import annotations

from typing import Any

from sandbox.faults.live import FaultError, Json, Live
from sandbox.faults.registry import fault
from sandbox.faults.revisions import revise, update
from sandbox.images.keystore import KeyStore, digest
from sandbox.platform.description import AUTH


@fault("A04", "the user's key is revoked", "API: 401 for this key, 200 for another")
def key_is_revoked(live: Live) -> None:
    change_key(live, revoked_at="2026-01-01T00:00:00+00:00")


@fault("A05", "the user's key has no scope", "API: 403 for this key")
def key_lacks_scopes(live: Live) -> None:
    change_key(live, scopes="[]")


@fault("A06", "the auth service runs no task", "API: 503")
def auth_is_down(live: Live) -> None:
    update(live, AUTH, desiredCount=0)


@fault("A07", "the auth service takes 20 s to answer", "API: 503 or 504")
def auth_is_slow(live: Live) -> None:
    revise(live, AUTH, environment={"AUTH_DELAY": "20"})


def change_key(live: Live, **columns: Any) -> None:
    """In the auth service's database, for its API can only revoke."""
    key = digest(live.api_key)
    held = KeyStore(live.data / "auth" / "keys.sqlite").columns(key)
    if held is None:
        raise FaultError(f"{live.fault} needs the sandbox's own API key in the auth service's database")
    old = {name: held[name] for name in columns}
    step: Json = {"do": "key", "digest": key}
    live.change(f"{', '.join(columns)} of the key", {**step, "columns": columns}, {**step, "columns": old})
