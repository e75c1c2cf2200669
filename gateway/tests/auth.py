"""A small auth service: the contract of platform.md, and every way of breaking it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from gateway.tests.wire import Recorded, ThreadedServer, read_body, read_head, response


def grant(**changes: Any) -> dict[str, Any]:
    """A validation answer for a platform key that may read and write."""
    answer: dict[str, Any] = {
        "is_valid": True,
        "user_id": "user-1",
        "email": "user@example.org",
        "key_id": "key-1",
        "service_id": "platform",
        "scopes": ["read", "write"],
        "roles": [],
        "is_admin": False,
        "rate_limit_per_hour": None,
        "has_sufficient_balance": True,
    }
    return answer | changes


class AuthStandIn(ThreadedServer):
    """``answers`` maps a key to its JSON; ``outage`` is a status that replaces every answer."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Any] = {}
        self.questions: list[Recorded] = []
        self.outage = 0
        self.delay = 0.0

    def reset(self) -> None:
        self.answers.clear()
        self.questions.clear()
        self.outage = 0
        self.delay = 0.0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_head(reader):
            await read_body(reader, request)
            if request.target == "/health":
                writer.write(response(self.outage or 200, b"{}"))
            else:
                self.questions.append(request)
                await asyncio.sleep(self.delay)
                writer.write(self._judge(request))
            await writer.drain()

    def _judge(self, request: Recorded) -> bytes:
        if self.outage and request.target != "/moved":
            return response(self.outage, b"<html>out of order</html>", [("Location", "/moved")])
        key = request.value("authorization").removeprefix("Bearer ")
        answer = self.answers.get(key, {"is_valid": False, "reason": "unknown key"})
        return response(200, answer if isinstance(answer, bytes) else json.dumps(answer).encode())
