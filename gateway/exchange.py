"""One request and what became of it."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Awaitable, Callable

from gateway.body import Message, Receive
from gateway.credentials import CREDENTIAL_HEADERS, shares
from gateway.errors import GatewayError
from gateway.headers import Headers, first
from gateway.trace import trace_context
from gateway.turn import EXTENSION, Turn

Scope = Message
Send = Callable[[Message], Awaitable[None]]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._=:-][A-Za-z0-9._=:-]{0,127}")
_quoted = json.encoder.encode_basestring_ascii
_SERVER = (b"server", b"hokusai-gateway")


class Exchange:
    """Reads a request's head, sends its answer, and keeps what the access log and the metrics say about both."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.raw_path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.trace_id, self.headers = trace_context(scope["headers"])
        self.scheme: str = scope["scheme"]
        self.peer: str = scope["client"][0] if scope.get("client") else "127.0.0.1"
        self._turn: Turn | None = scope.get("extensions", {}).get(EXTENSION)  # none under another ASGI server
        self.receive = receive
        self._send = send
        self.began = time.monotonic()  # the event loop's clock, without asking which loop that is
        self.request_id = _request_id(self.headers)
        self.status = 0
        self.sent = 0
        self.family = "other"
        self.emitter = "gateway"
        self.hop = ""
        self.key_id = ""
        self.reason = ""
        self.held = 0
        self.upstream_ms: float | None = None
        self.tries = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def received(self) -> int:
        """Bytes of the request's body."""
        return self._turn.received if self._turn is not None else 0

    @property
    def choked(self) -> bool:
        return self._turn is not None and self._turn.choked

    @property
    def taken(self) -> int:
        """Bytes of the answer that are the client's system's by now. Takes a system call."""
        return self.sent - (self._turn.unsent if self._turn is not None else 0)

    @property
    def refusal(self) -> GatewayError | None:
        """Why the bytes that came are not a request, or its body not a body."""
        return self._turn.refusal if self._turn is not None else None

    @property
    def started(self) -> bool:
        """True once the head of an answer is on its way: from then on nothing else can be said."""
        return self.status != 0

    async def start(self, status: int, headers: Headers) -> None:
        self.status = status
        head = [*headers, (b"x-request-id", self.request_id.encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": head})

    async def write(self, chunk: bytes, *, more: bool) -> None:
        """Waits while the client does not read."""
        self.sent += len(chunk)
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def answer(self, status: int, body: bytes, headers: Headers, kind: bytes = b"application/json") -> None:
        """A whole answer of the gateway's own."""
        head = [_SERVER, *headers]
        if status != 204:
            head += [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        await self.start(status, head)
        await self.write(body, more=False)

    async def fail(self, error: GatewayError) -> None:
        self.emitter = error.emitter
        self.hop = error.hop
        self.tries = error.tries or self.tries
        self.reason = error.message
        await self.answer(error.status, error.body(self.request_id), error.headers())

    def record(self) -> str:
        """The access log's line, as members of a JSON object; written by hand, which takes a third of the time.

        Neither path nor query: both are the client's, and may hold anything.
        """
        upstream = "null" if self.upstream_ms is None else f"{self.upstream_ms:.1f}"
        line = (
            f'"request_id": "{self.request_id}", "method": "{self.method}", "family": "{self.family}", '
            f'"status": {self.status}, "emitter": "{self.emitter}", "key_id": {_quoted(self.key_id)}, '
            f'"bytes_in": {self.received}, "bytes_out": {self.sent}, "ms": {self.seconds * 1000:.1f}, '
            f'"upstream_ms": {upstream}, "tries": {self.tries}'
        )
        if self.trace_id:
            line += f', "trace_id": "{self.trace_id}"'
        if self.hop:
            line += f', "hop": "{self.hop}"'
        return f'{line}, "reason": {_quoted(self.reason)}' if self.reason else line


def _request_id(headers: Headers) -> str:
    """The caller's id when it can be trusted with a place in a log line, else a new one. Never a part of its key."""
    given = first(headers, b"x-request-id")
    if given and _REQUEST_ID.fullmatch(value := given.decode("latin-1")):
        secrets = [secret.decode("latin-1") for name, secret in headers if name in CREDENTIAL_HEADERS]
        if not any(shares(value, secret) for secret in secrets or [""]):
            return value
    return f"{random.getrandbits(128):032x}"
