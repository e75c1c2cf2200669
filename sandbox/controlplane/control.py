"""The `/_sandbox/...` endpoints beside the AWS API: JSON in, JSON out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sandbox.controlplane.errors import Response

PREFIX = "/_sandbox/"
Handler = Callable[[Any], Any]


class ControlError(Exception):
    """A control request that cannot be served; its text is the answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ControlEndpoints:
    """Handlers by method and path below `/_sandbox/`; other parts of the sandbox add their own."""

    def __init__(self) -> None:
        self._handlers: dict[tuple[str, str], Handler] = {}

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Serve `method /_sandbox/<path>`: the handler gets the decoded JSON body (None when empty)."""
        self._handlers[method.upper(), path.strip("/")] = handler

    def serve(self, method: str, path: str, body: bytes) -> Response:
        handler = self._handlers.get((method, path.removeprefix(PREFIX).strip("/")))
        if handler is None:
            known = ", ".join(f"{verb} {PREFIX}{name}" for verb, name in sorted(self._handlers))
            return _json(404, {"error": f"no {method} {path}; there is {known}"})
        try:
            return _json(200, handler(json.loads(body) if body else None))
        except ControlError as error:
            return _json(error.status, {"error": str(error)})
        except ValueError as error:
            return _json(400, {"error": str(error)})


def _json(status: int, value: Any) -> Response:
    return Response(status, [("Content-Type", "application/json")], json.dumps(value, default=str).encode())
