"""The auth service's store: API keys in SQLite, kept as SHA-256 hashes only, so that a copy of it opens no door."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import string
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ENVIRONMENTS = ("live", "test", "dev")
ALPHABET = string.ascii_letters + string.digits
SCHEMA = """
CREATE TABLE IF NOT EXISTS api_keys (
    key_id TEXT PRIMARY KEY, key_hash TEXT UNIQUE NOT NULL, name TEXT NOT NULL, service_id TEXT NOT NULL,
    scopes TEXT NOT NULL, environment TEXT NOT NULL, user_id TEXT NOT NULL, created_at TEXT NOT NULL, revoked_at TEXT
)
"""
COLUMNS = "key_id, name, service_id, scopes, environment, user_id, created_at, revoked_at"
AMENDABLE = {"revoked_at", "scopes"}


@dataclass(frozen=True)
class StoredKey:
    """What is known of a key once it has been handed out: everything but the key."""

    key_id: str
    name: str
    service_id: str
    scopes: tuple[str, ...]
    environment: str
    user_id: str
    created_at: str
    revoked_at: str | None


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def make_key(environment: str) -> str:
    """A key of the platform's form: `hk_live_` (or test, dev) and 32 letters and digits."""
    return f"hk_{environment}_" + "".join(secrets.choice(ALPHABET) for _ in range(32))


class KeyStore:
    """One SQLite file, opened per call: two auth tasks share it while a deployment replaces one by the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._connect() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(SCHEMA)
            connection.commit()

    def mint(
        self, name: str, service_id: str, scopes: tuple[str, ...], environment: str, user_id: str
    ) -> tuple[str, str]:
        """Return (key id, key); the key exists nowhere else from now on."""
        key, key_id, now = make_key(environment), f"key_{secrets.token_hex(8)}", datetime.now(UTC).isoformat()
        row = (key_id, digest(key), name, service_id, json.dumps(scopes), environment, user_id, now)
        with self._connect() as connection, connection:
            connection.execute("INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", row)
        return key_id, key

    def by_key(self, key: str) -> StoredKey | None:
        return self._one("key_hash", digest(key))

    def by_id(self, key_id: str) -> StoredKey | None:
        return self._one("key_id", key_id)

    def revoke(self, key_id: str) -> bool:
        """False when the key is unknown; revoking twice is the same as once."""
        now = datetime.now(UTC).isoformat()
        with self._connect() as connection, connection:
            found = connection.execute(
                "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, ?) WHERE key_id = ?", (now, key_id)
            )
            return found.rowcount == 1

    def columns(self, key_hash: str) -> dict[str, Any] | None:
        """The row of a key as it is stored."""
        with self._connect() as connection:
            connection.row_factory = sqlite3.Row
            row = connection.execute("SELECT * FROM api_keys WHERE key_hash = ?", (key_hash,)).fetchone()
        return dict(row) if row else None

    def amend(self, key_hash: str, columns: dict[str, Any]) -> None:
        """Change what no API can: a fault's doing, and its undoing."""
        with self._connect() as connection, connection:
            for column in AMENDABLE & set(columns):
                connection.execute(
                    f"UPDATE api_keys SET {column} = ? WHERE key_hash = ?",  # noqa: S608 - one of AMENDABLE
                    (columns[column], key_hash),
                )

    def _one(self, column: str, value: str) -> StoredKey | None:
        with self._connect() as connection:
            row = connection.execute(
                f"SELECT {COLUMNS} FROM api_keys WHERE {column} = ?",  # noqa: S608 - both are constants of this file
                (value,),
            ).fetchone()
        if row is None:
            return None
        key_id, name, service_id, scopes, environment, user_id, created_at, revoked_at = row
        return StoredKey(
            key_id, name, service_id, tuple(json.loads(scopes)), environment, user_id, created_at, revoked_at
        )

    def _connect(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._path, timeout=10))
