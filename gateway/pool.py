"""The connections to one server: how many there may be, and which of them is used next."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from gateway.dialer import Dialer
from gateway.upstream_connection import Connection

KEEP_ALIVE = 3.0
"""Seconds an idle connection is kept. Below the 5 s after which uvicorn (MLflow's and the auth service's server)
closes its end: a request sent into a closing connection fails, and a POST must not be repeated."""

MAX_AGE = 10.0
"""Seconds a connection is used for: the time to live of Cloud Map's A records."""


class NoPlaceError(Exception):
    """Every connection that there may be is in use."""


class NoShareError(Exception):
    """One holder has all the connections that one may have."""


class Pool:
    """At most ``size`` connections, of which one holder may have ``share``. The one used last is used next, so that
    those nobody needs grow old and go."""

    def __init__(self, dialer: Dialer, size: int, share: int | None = None) -> None:
        self.dialer = dialer
        self.opened = 0
        self.in_use = 0
        self.waiting = 0
        self._places = asyncio.Semaphore(size)
        self._share = size if share is None else share
        self._held: dict[str, int] = {}
        self._idle: deque[Connection] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> int:
        return len(self._idle)

    async def enter(self, patience: float, holder: str = "") -> None:
        """Take the right to one connection; "" is a holder without a share.

        Raises NoPlaceError when none is free within ``patience`` seconds, and NoShareError, at once, when the holder
        has or waits for as many as it may have: a queue that one of them fills is as full as the pool itself.
        """
        held = self._held
        if holder:
            had = held.get(holder, 0)
            if had >= self._share:
                raise NoShareError
            held[holder] = had + 1
        if self._places.locked():
            try:
                await self._wait_for_place(patience)
            except BaseException:
                self._put_down(holder)
                raise
        else:
            await self._places.acquire()
        self.in_use += 1

    def leave(self, holder: str = "") -> None:
        self.in_use -= 1
        self._places.release()
        self._put_down(holder)

    def _put_down(self, holder: str) -> None:
        if holder:
            left = self._held[holder] - 1
            if left:
                self._held[holder] = left
            else:
                del self._held[holder]

    async def _wait_for_place(self, patience: float) -> None:
        """Waited for here: a wait for ourselves must never pass for a wait for the server."""
        self.waiting += 1
        try:
            async with asyncio.timeout(patience):
                await self._places.acquire()
        except TimeoutError:
            raise NoPlaceError from None
        finally:
            self.waiting -= 1

    async def connection(self) -> Connection:
        """An idle connection or a new one; give it back or close it. Raises HopError."""
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if self._is_fresh(connection, now):
                return connection
            connection.close()
        connection = await self.dialer.dial()
        connection.born = time.monotonic()
        self.opened += 1
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep it if the request before left it clean, else close it."""
        if not connection.reusable:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        connection.rest()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(KEEP_ALIVE, self._sweep)

    def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        while self._idle:
            self._idle.pop().close()

    def _sweep(self) -> None:
        now = time.monotonic()
        held, self._idle = self._idle, deque()
        for connection in held:
            if self._is_fresh(connection, now):
                self._idle.append(connection)
            else:
                connection.close()
        again = asyncio.get_running_loop().call_later
        self._sweeper = again(KEEP_ALIVE, self._sweep) if self._idle else None

    def _is_fresh(self, connection: Connection, now: float) -> bool:
        return connection.reusable and now - connection.idle_since < KEEP_ALIVE and now - connection.born < MAX_AGE
