"""Cloud Map's errors, with the members their shapes have."""

from __future__ import annotations

import json
from typing import Any

from moto.core.exceptions import JsonRESTError


class CloudMapError(JsonRESTError):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """An error with a message and further members: `NamespaceId`, `ServiceId`."""

    def __init__(self, code: str, message: str, **members: Any) -> None:
        super().__init__(code, message)
        self.description = json.dumps({"__type": code, "Message": message, **members})


def invalid(message: str) -> CloudMapError:
    return CloudMapError("InvalidInput", message)
