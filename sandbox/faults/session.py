"""One command's hold of a running sandbox: its AWS API, its control endpoint, and what is broken there."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sandbox.environment import OWN_AGENT
from sandbox.faults.live import FaultError, Live
from sandbox.faults.memory import exclusive
from sandbox.platform.clients import Clients

TIMEOUT = 10.0


@contextlib.contextmanager
def opened(values: dict[str, str], path: Path, data: Path) -> Iterator[Live]:
    """`values` are the sandbox's environment (`env.json`), `path` the file of what is broken."""
    endpoint = values["AWS_ENDPOINT_URL"]
    with exclusive(path) as memory:
        aws = Clients(endpoint, values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"], OWN_AGENT)
        yield Live(aws, controller(endpoint), memory, data, values.get("HOKUSAI_API_KEY", ""))


def controller(endpoint: str) -> Callable[[str, Any], Any]:
    """Asks `/_sandbox/PATH` with a body (POST) or without (GET); None when there is no such endpoint."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{endpoint}/_sandbox/{path}", data=data)  # noqa: S310 - our own http endpoint
        try:
            with opener.open(request, timeout=TIMEOUT) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise FaultError(json.load(error)["error"]) from None

    return ask
