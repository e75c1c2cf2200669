"""Ends an exchange when its client leaves, when nothing has moved for too long, and when it takes too long in all.

What a stream may take is no time in all, because a healthy transfer of 1 GB takes as long as it takes, but what its
client makes others wait is limited by what it moves (``Pace``). All of it is looked at now and then: a request that is
over by the first look costs one timer.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from gateway.errors import ClientGoneError, GatewayError

UNWATCHED = 0.2
"""Seconds before somebody looks whether the client is still there: most requests are over by then, and whoever leaves
a longer one is noticed within a second."""

_LOOKS = 8
"""In the patience of an exchange, after the first."""


class Sender(Protocol):
    """A request's body. ``waiting`` is true while the next bytes are the client's to send, and ``moved`` is when the
    last ones came (``time.monotonic``, 0 before any)."""

    waiting: bool
    moved: float

    async def gone(self) -> None: ...


class Receiver(Protocol):
    """What is known of the bytes on the client's connection. ``choked`` is true while they are the client's to take."""

    @property
    def choked(self) -> bool: ...
    @property
    def received(self) -> int: ...
    @property
    def taken(self) -> int: ...


class TooLongError(TimeoutError):
    """The exchange went on, but too slowly: not for want of an answer of MLflow's."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds without a byte; seconds in all; and bytes a second that a client must move while it is waited for
    (0 for any)."""

    patience: float
    total: float = math.inf
    rate: int = 0


class Pace:
    """How long a client has been waited for beyond what its bytes excuse: each of them excuses 1/``rate`` seconds.

    Nothing can be saved up, so that a fast beginning does not pay for a slow end; and a stall of less than ``grace``
    seconds is forgiven by what follows it. A client that moves ``rate`` bytes a second goes on for ever.
    """

    def __init__(self, rate: int, grace: float, now: float) -> None:
        self._rate = rate
        self._grace = grace
        self._debt = 0.0
        self._at = now
        self._moved = 0
        self._waited = False

    def too_slow(self, now: float, moved: int, *, waiting: bool) -> bool:
        """``moved`` counts from the beginning; time counts when the client was waited for at both of its ends."""
        if waiting and self._waited:
            self._debt += now - self._at
        self._debt = max(0.0, self._debt - (moved - self._moved) / self._rate)
        self._at, self._moved, self._waited = now, moved, waiting
        return self._debt > self._grace


class Guard:
    """Use it in a ``with``, in the task that it may interrupt. Raises ClientGoneError or TimeoutError in place of the
    cancellation it causes.

    What is cancelled may look at ``cause`` and raise a GatewayError of its own instead: it knows what it waited for.

    :param loop: the running one; asking for it costs a system call in Python 3.11.
    :param since: when the exchange began (``time.monotonic``, the loop's clock too).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits, since: float) -> None:
        self._loop = loop
        self._limits = limits
        self.cause: Exception | None = None
        self._began = self._last = since
        self._sender: Sender | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._pace: Pace | None = None
        self._taken = 0
        self._choked = False
        self._ended = False

    @property
    def patience(self) -> float:
        return self._limits.patience

    def watch(self, sender: Sender, receiver: Receiver) -> None:
        """End the exchange when its client leaves, or is too slow."""
        self._sender = sender
        self._receiver = receiver

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._loop)
        assert task is not None, "an ASGI application runs in a task"  # noqa: S101 - for the type checker
        self._task = task
        self._timer = self._loop.call_later(min(UNWATCHED, self._limits.patience), self._look)
        return self

    def touch(self) -> None:
        self._last = time.monotonic()

    def _look(self) -> None:
        now = time.monotonic()
        limits = self._limits
        if self._sender is not None:
            self._last = max(self._last, self._sender.moved)
            self._follow(now, self._sender, self._receiver)
        left = self._last + limits.patience - now
        left_in_all = self._began + limits.total - now
        if left <= 0:
            self._interrupt(TimeoutError(f"nothing moved for {limits.patience:g} s"))
        elif left_in_all <= 0:
            self._interrupt(TooLongError(f"it was not over after {limits.total:g} s"))
        else:
            self._timer = self._loop.call_later(min(left, left_in_all, limits.patience / _LOOKS), self._look)

    def _follow(self, now: float, sender: Sender, receiver: Receiver) -> None:
        """See whether the client is there, and what it takes of a backlog: that moves, though nothing is written."""
        if self._watcher is None:
            self._watcher = self._loop.create_task(sender.gone())
            self._watcher.add_done_callback(self._left)
            self._pace = Pace(self._limits.rate, self._limits.patience, now) if self._limits.rate else None
        choked, taken = receiver.choked, receiver.taken
        if choked and self._choked and taken > self._taken:
            self._last = now
        self._choked, self._taken = choked, taken
        if self._pace is None:
            return
        if self._pace.too_slow(now, receiver.received + taken, waiting=choked or sender.waiting):
            self._interrupt(TooLongError(f"it moved less than {self._limits.rate} bytes a second"))

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
