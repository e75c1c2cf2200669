"""Requests per hour and key, as the auth service grants them (``rate_limit_per_hour``).

A token bucket per key id that holds an hour's worth and refills evenly. It lives in this process: several tasks
grant the limit each.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.errors import RateLimitError
from gateway.identity import Identity

_HOUR = 3600.0
_MAX_KEYS = 10_000


class RateLimiter:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, identity: Identity) -> None:
        """Take one request from the key's hour. Raises RateLimitError with the seconds until the next one."""
        limit = identity.rate_limit_per_hour
        if limit is None:
            return
        now = self._clock()
        tokens, since = self._buckets.pop(identity.key_id, (float(limit), now))
        tokens = min(float(limit), tokens + (now - since) * limit / _HOUR)
        spent = tokens >= 1
        self._buckets[identity.key_id] = (tokens - 1 if spent else tokens, now)
        if len(self._buckets) > _MAX_KEYS:
            self._buckets.popitem(last=False)
        if not spent:
            raise RateLimitError(f"The API key is limited to {limit} requests an hour.", (1 - tokens) * _HOUR / limit)
