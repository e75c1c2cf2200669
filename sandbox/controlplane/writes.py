"""The writes in the order in which they took effect, for tests of the order of calls and of kills between them."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.controlplane.errors import Response
from sandbox.controlplane.request import Call

_CODE = re.compile(rb'<Code>([^<]+)</Code>|"__type": ?"(?:[^"]*#)?([^"#]+)"')


@dataclass
class Write:
    """One call that changes something, or would have.

    `landed`: it took effect. `answered`: its client was sent the answer. `error`: the code, when AWS (or a fault)
    refused it. `request_id` is that of the answer's `x-amzn-requestid` header.
    """

    number: int
    service: str
    action: str
    region: str
    request_id: str
    status: int
    error: str
    landed: bool
    answered: bool = True
    time: float = field(default_factory=time.time)


class WriteLog:
    """Thread-safe; numbers start at 1 again after a reset."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writes: list[Write] = []

    def add(self, call: Call, response: Response, *, landed: bool) -> Write:
        """Call it under the control plane's lock for a call that took effect: the order is that of the effects."""
        headers = {name.lower(): value for name, value in response.headers}
        with self._lock:
            write = Write(
                number=len(self._writes) + 1,
                service=call.service,
                action=call.action,
                region=call.region,
                request_id=headers.get("x-amzn-requestid", headers.get("x-amz-request-id", "")),
                status=response.status,
                error=_error(response),
                landed=landed and response.status < 400,
            )
            self._writes.append(write)
            return write

    def reset(self) -> None:
        with self._lock:
            self._writes.clear()

    def as_list(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(write) for write in self._writes]


def _error(response: Response) -> str:
    if response.status < 400:
        return ""
    found = _CODE.search(response.body)
    return next(group for group in found.groups() if group).decode() if found else str(response.status)
