"""Whether the services behind us answer, asked the way a client's request would ask.

MLflow's own ``/health`` is exempt from its Host check, so it is green while every call is refused; a search is not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gateway.auth_service import AuthService
from gateway.errors import BusyError, UpstreamError
from gateway.failure import HopError
from gateway.mounts import Target
from gateway.static_prefix import StaticPrefix
from gateway.upstream import Upstream, UpstreamRequest, milliseconds_since

PATIENCE = 8.0
"""Seconds for one probe: more than a connect timeout, less than what health checkers wait."""

MEMORY = 1.0
"""Seconds a result is reused: the paths are open to everybody, MLflow is not to be asked by everybody."""

READY_PATIENCE = 4.0
"""Seconds for readiness as a whole: whoever asks for it (ECS, a load balancer) gives up after 5."""

_MAX_BODY = 64 * 1024


@dataclass(frozen=True)
class Finding:
    """One hop's state; ``reason`` is empty when it is well."""

    hop: str
    reason: str
    latency_ms: float

    @property
    def well(self) -> bool:
        return not self.reason

    def as_json(self) -> dict[str, Any]:
        answer = {"status": "healthy" if self.well else "unhealthy", "hop": self.hop, "latency_ms": self.latency_ms}
        return answer if self.well else answer | {"reason": self.reason}


class Probe:
    """Runs a check at most once at a time and once in MEMORY seconds."""

    def __init__(self, hop: str, check: Callable[[], Awaitable[str]]) -> None:
        self._hop = hop
        self._check = check
        self._lock = asyncio.Lock()
        self._last: Finding | None = None
        self._at = 0.0

    async def run(self) -> Finding:
        async with self._lock:
            if self._last is None or time.monotonic() - self._at > MEMORY:
                self._last = await self._ask()
                self._at = time.monotonic()
            return self._last

    async def run_within(self, seconds: float) -> Finding:
        """As ``run``, for those who cannot wait for it."""
        try:
            async with asyncio.timeout(seconds):
                return await self.run()
        except TimeoutError:
            return Finding(self._hop, f"no answer within {seconds:g} s", seconds * 1000)

    async def _ask(self) -> Finding:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                reason = await self._check()
        except TimeoutError:
            reason = f"no answer within {PATIENCE:g} s"
        return Finding(self._hop, reason, milliseconds_since(started))


def mlflow_probe(upstream: Upstream, static_prefix: StaticPrefix) -> Probe:
    """Sent while the breaker is open too: this is how an operator's look closes it."""

    async def check() -> str:
        try:
            target = await static_prefix.locate(Target(b"/api/2.0/mlflow/experiments/search"), probe=True)
            with await upstream.ask(_search(target.path), probe=True) as answer:
                text = (await answer.read_all(_MAX_BODY)).decode("utf-8", "replace")
                return "" if answer.status == 200 else _refusal(upstream, answer.status, text)
        except (UpstreamError, BusyError) as error:
            return error.message
        except HopError:
            return "MLflow's answer stopped part-way"

    return Probe("mlflow", check)


def _search(path: bytes) -> UpstreamRequest:
    headers = [(b"accept", b"application/json"), (b"x-forwarded-for", b"127.0.0.1")]
    return UpstreamRequest("GET", path, b"max_results=1", headers, repeatable=True)


def _refusal(upstream: Upstream, status: int, text: str) -> str:
    if status == 403 and "host" in text.lower():
        return (
            f"MLflow refuses the Host header {upstream.host!r} (403): put exactly that, port included, into "
            "MLFLOW_SERVER_ALLOWED_HOSTS"
        )
    return f"MLflow answered {status} to experiments/search"


def auth_probe(service: AuthService) -> Probe:
    return Probe("auth", service.health)
