"""MLflow below a static prefix (``mlflow server --static-prefix /mlflow``): where its routes are by then.

Not all of them move, and which ones do depends on MLflow's version. Measured on the url maps of MLflow 3.4 to 3.17:
the UI, ``/ajax-api``, ``/graphql`` and ``/get-artifact`` have always been prefixed, and the rest as ``_MOVED`` says.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Protocol

from gateway.errors import BreakerOpenError, BusyError, UpstreamError
from gateway.mounts import Target

Version = tuple[int, int]


class Ask(Protocol):
    """GET of a path on MLflow, soon answered: status and body. A ``probe`` is sent while the breaker is open too.

    Raises UpstreamError or BusyError.
    """

    async def __call__(self, path: bytes, *, probe: bool) -> tuple[int, bytes]: ...


MEMORY = 60.0
"""Seconds the version is believed: an upgrade moves routes."""

FAILURE_MEMORY = 1.0
"""Seconds until MLflow is asked again after it could not be: not each of the requests that wait is to wait in turn."""

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
    """The paths of an MLflow below ``prefix``.

    Its version is asked when it is first needed, by one question that all wait for, and then now and again beside the
    requests, which go on with what is known: an MLflow that cannot be asked now is the one it was.
    """

    def __init__(self, prefix: str, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._prefix = prefix.encode()
        self._ask = ask
        self._clock = clock
        self._version: Version | None = None
        self._failure: UpstreamError | BusyError | None = None
        self._ask_again = 0.0
        self._question: asyncio.Task[None] | None = None

    async def locate(self, target: Target, *, probe: bool = False) -> Target:
        """Raises UpstreamError or BusyError when the version has never been learnt and cannot be."""
        if not self._prefix:
            return target
        path = upstream_path(target.path, self._prefix, self._version or await self._first(probe))
        if self._clock() >= self._ask_again:
            self._start(probe)
        return target._replace(path=path, below=self._prefix)

    async def _first(self, probe: bool) -> Version:
        if self._clock() >= self._ask_again:
            await asyncio.shield(self._start(probe))
        if self._version is None:
            raise self._again()
        return self._version

    def _again(self) -> Exception:
        """The last failure, as an error of its own: one that is raised twice collects the traces of both."""
        failure = self._failure
        if failure is not None:
            return type(failure)(failure.message, failure.retry_after, failure.tries)
        return UpstreamError(
            f"MLflow does not tell its version at {self._prefix.decode()}/version or /version: "
            "MLFLOW_STATIC_PREFIX is not the prefix it runs with."
        )

    def _start(self, probe: bool) -> asyncio.Task[None]:
        if self._question is None:
            self._question = asyncio.get_running_loop().create_task(self._learn(probe))
        return self._question

    async def _learn(self, probe: bool) -> None:
        try:
            version = await self._asked(probe)
            self._failure = None
            self._version = version or self._version
            self._ask_again = self._clock() + (MEMORY if version else FAILURE_MEMORY)
        except (UpstreamError, BusyError) as error:
            self._failure = error.with_traceback(None)
            # a breaker that refuses costs nothing, and those who know no version may be its probe
            free = isinstance(error, BreakerOpenError) and self._version is None
            self._ask_again = self._clock() + (0 if free else FAILURE_MEMORY)
        finally:
            self._question = None

    async def _asked(self, probe: bool) -> Version | None:
        for path in (self._prefix + b"/version", b"/version"):
            status, answer = await self._ask(path, probe=probe)
            if status == 200 and (found := _VERSION.match(answer)):
                return int(found[1]), int(found[2])
        return None
