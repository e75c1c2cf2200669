"""MLflow below a static prefix (``mlflow server --static-prefix /mlflow``): where its routes are by then.

Not all of them move, and which ones do depends on MLflow's version. Measured on the url maps of MLflow 3.4 to 3.17:
the UI, ``/ajax-api``, ``/graphql`` and ``/get-artifact`` have always been prefixed, and the rest as ``_MOVED`` says.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from collections.abc import Awaitable, Callable

from gateway.errors import UpstreamError
from gateway.mounts import Target

Version = tuple[int, int]
Ask = Callable[[bytes], Awaitable[tuple[int, bytes]]]
"""GET of a path on MLflow: its status, and the first bytes of its answer."""

MEMORY = 60.0
"""Seconds the version is believed: an upgrade moves routes."""

_MOVED: tuple[tuple[bytes, Version], ...] = (
    (b"/health", (3, 7)),
    (b"/version", (3, 7)),
    (b"/api/", (3, 12)),
    (b"/v1/", (3, 16)),
    (b"/gateway/", (3, 16)),
    (b"/ajax-api/3.0/jobs/", (3, 16)),
    (b"/ajax-api/3.0/mlflow/assistant/", (3, 16)),
    (b"/build/", (9999, 0)),  # never
)
_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_VERSION = re.compile(rb"(\d{1,4})\.(\d{1,4})\.")


def parse_prefix(text: str) -> str:
    """``/mlflow`` of ``/mlflow`` or ``/mlflow/``. Raises ValueError."""
    prefix = text.rstrip("/")
    if prefix and not _PREFIX.fullmatch(prefix):
        raise ValueError("is not a path such as /mlflow")
    return prefix


def upstream_path(path: bytes, prefix: bytes, version: Version) -> bytes:
    """Where MLflow of this version serves ``path`` (raw, as without a prefix)."""
    since = next((moved for start, moved in _MOVED if path.startswith(start)), (0, 0))
    return path if version < since else prefix + path


class StaticPrefix:
    """The paths of an MLflow below ``prefix``; its version is asked when it is first needed and then now and again."""

    def __init__(self, prefix: str, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._prefix = prefix.encode()
        self._ask = ask
        self._clock = clock
        self._version: Version | None = None
        self._asked = 0.0
        self._lock = asyncio.Lock()

    async def locate(self, target: Target) -> Target:
        """Raises UpstreamError when the version has never been learnt and cannot be."""
        if not self._prefix:
            return target
        path = upstream_path(target.path, self._prefix, await self._current())
        return dataclasses.replace(target, path=path, below=self._prefix)

    async def _current(self) -> Version:
        async with self._lock:
            if self._version is None or self._clock() - self._asked > MEMORY:
                self._version = await self._learn()
                self._asked = self._clock()
        if self._version is None:
            raise UpstreamError(
                f"MLflow does not tell its version at {self._prefix.decode()}/version or /version: "
                "MLFLOW_STATIC_PREFIX is not the prefix it runs with."
            )
        return self._version

    async def _learn(self) -> Version | None:
        """An MLflow that cannot be asked now is the one it was, if it ever was one."""
        try:
            for path in (self._prefix + b"/version", b"/version"):
                status, answer = await self._ask(path)
                if status == 200 and (found := _VERSION.match(answer)):
                    return int(found[1]), int(found[2])
        except UpstreamError:
            if self._version is None:
                raise
        return self._version
