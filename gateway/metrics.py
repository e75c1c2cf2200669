"""Counters in Prometheus's text format (version 0.0.4)."""

from __future__ import annotations

from collections import Counter

from gateway.authenticator import Authenticator
from gateway.breaker import CLOSED, HALF_OPEN, OPEN, Breaker
from gateway.exchange import Exchange

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Label values come from small fixed sets: families, statuses, emitters."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int, str]] = Counter()
        self.in_flight = 0

    def count(self, exchange: Exchange) -> None:
        self.requests[exchange.family, exchange.status, exchange.emitter] += 1

    def render(self, breaker: Breaker, authenticator: Authenticator) -> bytes:
        lines = ["# TYPE gateway_requests_total counter"]
        for (family, status, emitter), count in sorted(self.requests.items()):
            labels = f'family="{family}",status="{status}",emitter="{emitter}"'
            lines.append(f"gateway_requests_total{{{labels}}} {count}")
        lines += ["# TYPE gateway_requests_in_flight gauge", f"gateway_requests_in_flight {self.in_flight}"]
        lines.append("# TYPE gateway_breaker_state gauge")
        lines += [f'gateway_breaker_state{{state="{state}"}} {int(breaker.state == state)}' for state in _STATES]
        lines += ["# TYPE gateway_auth_cache_entries gauge", f"gateway_auth_cache_entries {authenticator.entries}"]
        lines.append("# TYPE gateway_auth_cache_lookups_total counter")
        lines.append(f'gateway_auth_cache_lookups_total{{result="hit"}} {authenticator.hits}')
        lines.append(f'gateway_auth_cache_lookups_total{{result="miss"}} {authenticator.misses}')
        return "\n".join([*lines, ""]).encode()


_STATES = (CLOSED, HALF_OPEN, OPEN)
