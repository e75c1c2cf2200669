"""From a key to an identity: a bounded cache and single flight in front of the auth service.

Entries are keyed by a SHA-256 of key, service and scope class, so that no key is kept in memory longer than its
request, and a first write is not judged by what was answered while the key only read. One answer serves every address
the key comes from. Refusals live in a cache of their own, or somebody guessing keys would push the good ones out.
Outages are never remembered: while one lasts, cached keys go on until their time ends and every other key gets a 503.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.auth_service import AuthService
from gateway.config import Config
from gateway.errors import AuthUnavailableError, BalanceError, KeyRefusedError
from gateway.identity import Identity

MAX_ENTRIES = 10_000

Value = TypeVar("Value")


@dataclass(frozen=True)
class Refusal:
    """What is remembered of a refusal. Not the exception itself: its traceback holds frames, and those hold the key."""

    kind: type[KeyRefusedError | BalanceError]
    message: str


class ExpiringCache(Generic[Value]):
    """At most ``capacity`` entries, each for ``ttl`` seconds from ``since``; the oldest goes first."""

    def __init__(self, ttl: float, capacity: int = MAX_ENTRIES, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl
        self._capacity = capacity
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[float, Value]] = OrderedDict()

    def get(self, key: bytes) -> Value | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock():
            del self._entries[key]
            return None
        return entry[1]

    def put(self, key: bytes, value: Value, since: float) -> None:
        self._drop_expired()
        self._entries[key] = (since + self._ttl, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def _drop_expired(self) -> None:
        """From the oldest on: entries were put in nearly in the order in which they end."""
        now = self._clock()
        while self._entries and next(iter(self._entries.values()))[0] <= now:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


class Authenticator:
    """The only caller of the auth service."""

    def __init__(self, service: AuthService, config: Config) -> None:
        self._service = service
        self._service_id = config.service_id
        self._identities: ExpiringCache[Identity] = ExpiringCache(config.auth_cache_ttl)
        self._refusals: ExpiringCache[Refusal] = ExpiringCache(config.auth_refusal_ttl)
        self._flights: dict[bytes, asyncio.Task[Identity]] = {}
        self.hits = 0
        self.misses = 0
        self.outages = 0

    @property
    def entries(self) -> int:
        return len(self._identities) + len(self._refusals)

    async def identify(self, key: str, scope_class: str, client_ip: str) -> Identity:
        """``scope_class`` is the scope that the route needs, "" for none.

        Raises KeyRefusedError, BalanceError or AuthUnavailableError.
        """
        digest = hashlib.sha256(f"{key}\0{self._service_id}\0{scope_class}".encode()).digest()
        known = self._identities.get(digest)
        refusal = None if known else self._refusals.get(digest)
        if known or refusal:
            self.hits += 1
        if known:
            return known
        if refusal:
            raise refusal.kind(refusal.message)
        self.misses += 1
        return await asyncio.shield(self._flight(digest, key, client_ip))

    def _flight(self, digest: bytes, key: str, client_ip: str) -> asyncio.Task[Identity]:
        """One question at a time per key and class, however many requests wait for its answer."""
        flight = self._flights.get(digest)
        if flight is None:
            flight = asyncio.create_task(self._ask(digest, key, client_ip))
            self._flights[digest] = flight
            flight.add_done_callback(lambda done: self._landed(digest, done))
        return flight

    def _landed(self, digest: bytes, flight: asyncio.Task[Identity]) -> None:
        del self._flights[digest]
        if not flight.cancelled():
            flight.exception()  # seen, also when every request that waited for it is gone

    async def _ask(self, digest: bytes, key: str, client_ip: str) -> Identity:
        asked = time.monotonic()  # before the question: a key revoked while it is answered must not live longer
        try:
            identity = await self._service.validate(key, client_ip)
        except (KeyRefusedError, BalanceError) as error:
            self._refusals.put(digest, Refusal(type(error), error.message), asked)
            raise
        except AuthUnavailableError:
            self.outages += 1
            raise
        self._identities.put(digest, identity, asked)
        return identity
