"""Ends an exchange when its client leaves or when nothing has moved for too long.

Inactivity and not a total time: a healthy transfer of 1 GB takes as long as it takes, while a call that gets no byte
ends before the load balancer's idle timeout. ``touch`` is called for every chunk either way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self

from gateway.errors import ClientGoneError, GatewayError

UNWATCHED = 0.2
"""Seconds before somebody looks whether the client is still there: most requests are over by then, and whoever leaves
a longer one is noticed within a second."""


class Guard:
    """Use it in a ``with``, in the task that it may interrupt. Raises ClientGoneError or TimeoutError in place of the
    cancellation it causes.

    What is cancelled may look at ``cause`` and raise a GatewayError of its own instead: it knows what it waited for.

    :param loop: the running one; asking for it costs a system call in Python 3.11.
    :param patience: seconds without a byte, counted first from ``since`` (``time.monotonic``, the loop's clock too).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float, since: float) -> None:
        self._loop = loop
        self.patience = patience
        self.cause: Exception | None = None
        self._last = since
        self._gone: Callable[[], Coroutine[None, None, None]] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._ended = False

    def watch(self, gone: Callable[[], Coroutine[None, None, None]]) -> None:
        """End the exchange when ``gone()`` returns."""
        self._gone = gone

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._loop)
        assert task is not None, "an ASGI application runs in a task"  # noqa: S101 - for the type checker
        self._task = task
        self._timer = self._loop.call_later(min(UNWATCHED, self.patience), self._look)
        return self

    def touch(self) -> None:
        self._last = time.monotonic()

    def _look(self) -> None:
        if self._gone is not None and self._watcher is None:
            self._watcher = self._loop.create_task(self._gone())
            self._watcher.add_done_callback(self._left)
        left = self._last + self.patience - time.monotonic()
        if left <= 0:
            self._interrupt(TimeoutError())
        else:
            self._timer = self._loop.call_later(left, self._look)

    def _left(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled():
            self._interrupt(ClientGoneError())

    def _interrupt(self, cause: Exception) -> None:
        if self.cause is None and not self._ended:
            self.cause = cause
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self.cause is None or self._task.uncancel() > 0:
            return
        if not isinstance(error, GatewayError):
            raise self.cause from None
