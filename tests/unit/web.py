"""Real HTTP servers on loopback for the tests of what makes requests, and the auth service's contract in small."""

from __future__ import annotations

import base64
import json
import secrets
import string
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

ALPHABET = string.ascii_letters + string.digits


def make_key(environment: str = "test") -> str:
    return f"hk_{environment}_" + "".join(secrets.choice(ALPHABET) for _ in range(32))


def traces(text: str, key: str) -> list[str]:
    """Every form of the key, whole or eight characters of it, that the text holds; no news is good news."""
    tail = key[8:]
    forms = [key, quote(key, safe=""), key[::-1], key.encode().hex()]
    forms += [tail[start : start + 8] for start in range(len(tail) - 7)]
    for before in ("", "x", "xx"):
        encoded = base64.b64encode((before + key).encode()).decode()
        forms += [encoded[start : start + 10] for start in range(14, len(encoded) - 14)]
    return [form for form in forms if form in text]


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


Respond = Callable[[Seen], Reply]


@dataclass
class Web:
    """A running server: where it is, and what it was asked."""

    url: str
    seen: list[Seen] = field(default_factory=list)


@contextmanager
def serving(respond: Respond) -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen = Seen(self.command, self.path, headers, body)
            web.seen.append(seen)
            reply = respond(seen)
            self.send_response_only(reply.status)
            kind = "text/plain" if isinstance(reply.body, str) else "application/json"
            for name, value in {"Content-Type": kind, **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            if self.command != "HEAD":
                with suppress(BrokenPipeError, ConnectionResetError):  # some clients are tested for leaving early
                    self.wfile.write(reply.content)

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self.answer
            raise AttributeError(name)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    web = Web(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Auth:
    """The auth service's contract, over a dictionary; `outage` is what it answers instead of working."""

    admin: str = field(default_factory=make_key)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    outage: Reply | None = None
    mints: Callable[[str], str] = make_key

    def add(
        self, service_id: str = "platform", scopes: tuple[str, ...] = ("read", "write"), environment: str = "test"
    ) -> str:
        key = self.mints(environment)
        key_id = f"key_{secrets.token_hex(4)}"
        self.keys[key] = {"key_id": key_id, "service_id": service_id, "scopes": list(scopes), "is_active": True}
        return key

    def by_id(self, key_id: str) -> dict[str, Any] | None:
        return next((held for held in self.keys.values() if held["key_id"] == key_id), None)

    @property
    def active(self) -> list[str]:
        return [key for key, held in self.keys.items() if held["is_active"]]

    def respond(self, seen: Seen) -> Reply:
        if self.outage:
            return self.outage
        if seen.path == "/api/v1/keys/validate":
            return Reply(200, self.verdict(seen.key, json.loads(seen.body)["service_id"]))
        if seen.key != self.admin:
            return Reply(403, {"detail": f"{seen.key} may not administer keys."})
        return self.administer(seen)

    def administer(self, seen: Seen) -> Reply:
        if seen.method == "POST":
            asked = json.loads(seen.body)
            key = self.add(asked["service_id"], tuple(asked["scopes"]), asked["environment"])
            return Reply(201, {"key": key, "name": asked["name"], **self.keys[key]})
        held = self.by_id(seen.path.rsplit("/", 1)[1])
        if held is None:
            return Reply(404, {"detail": "No key has this id."})
        if seen.method == "DELETE":
            held["is_active"] = False
            return Reply(204)
        return Reply(200, held)

    def verdict(self, key: str, service_id: str) -> dict[str, Any]:
        held = self.keys.get(key)
        if held is None:
            return {"is_valid": False, "reason": f"unknown: {key[:14]}..."}
        if not held["is_active"]:
            return {"is_valid": False, "reason": "revoked"}
        if held["service_id"] != service_id:
            return {"is_valid": False, "reason": "wrong_service"}
        return {"is_valid": True, "user_id": "u", **held}
