"""Measures in Prometheus's text format (version 0.0.4).

Written by hand: counting a request costs a fifth of what prometheus_client takes for the same (2 and 10 us as
measured), whose parser checks the text in the tests.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway import __version__
from gateway.breaker import CLOSED, HALF_OPEN, OPEN, Breaker
from gateway.exchange import Exchange

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds."""

STATES = (CLOSED, HALF_OPEN, OPEN)
Labels = Mapping[str, str]
Sample = tuple[Labels, float]


class PoolState(Protocol):
    opened: int
    in_use: int
    waiting: int

    @property
    def idle(self) -> int: ...


class RetryState(Protocol):
    made: int


class Hop(Protocol):
    """What is known about a service behind us."""

    @property
    def pool(self) -> PoolState: ...
    @property
    def retries(self) -> RetryState: ...
    @property
    def breaker(self) -> Breaker: ...


class AuthCache(Protocol):
    hits: int
    misses: int
    outages: int

    @property
    def entries(self) -> int: ...


class ClientsState(Protocol):
    opened: int
    turned_away: int

    @property
    def now_open(self) -> int: ...


@dataclass
class Histogram:
    """Seconds by family."""

    counts: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * (len(BUCKETS) + 1)))
    sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def observe(self, family: str, seconds: float) -> None:
        self.counts[family][bisect_left(BUCKETS, seconds)] += 1
        self.sums[family] += seconds

    def samples(self) -> Iterator[tuple[str, Labels, float]]:
        for family, counts in sorted(self.counts.items()):
            so_far = 0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                so_far += count
                yield "_bucket", {"family": family, "le": bound}, so_far
            yield "_sum", {"family": family}, self.sums[family]
            yield "_count", {"family": family}, so_far


class Metrics:
    """Label values come from small fixed sets: families, statuses, emitters, hops."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int, str]] = Counter()
        self.durations = Histogram()
        self.upstream_durations = Histogram()
        self.in_flight = 0

    def count(self, exchange: Exchange) -> None:
        self.requests[exchange.family, exchange.status, exchange.emitter] += 1
        self.durations.observe(exchange.family, exchange.seconds)
        if exchange.upstream_ms is not None:
            self.upstream_durations.observe(exchange.family, exchange.upstream_ms / 1000)

    def render(self, hops: Mapping[str, Hop], cache: AuthCache, clients: ClientsState) -> bytes:
        lines = [*self._requests(), *_hops(hops), *_auth(cache), *_clients(clients)]
        return "\n".join([*lines, ""]).encode()

    def _requests(self) -> Iterator[str]:
        answered = [
            ({"family": family, "status": str(status), "emitter": emitter}, float(count))
            for (family, status, emitter), count in sorted(self.requests.items())
        ]
        yield from _family("requests_total", "counter", "Requests answered, or left by their clients (499).", answered)
        yield from _gauge("requests_in_flight", "Requests that are not answered yet.", self.in_flight)
        yield from _histogram("request_duration_seconds", "From a request's head to its answer's end.", self.durations)
        yield from _histogram(
            "upstream_duration_seconds",
            "From the question to MLflow to the head of its answer.",
            self.upstream_durations,
        )
        build = {"version": __version__, "python": platform.python_version()}
        yield from _family("build_info", "gauge", "Always 1.", [(build, 1)])


def _hops(hops: Mapping[str, Hop]) -> Iterator[str]:
    def each(value: str) -> list[Sample]:
        return [({"hop": name}, float(getattr(hop.pool, value))) for name, hop in hops.items()]

    yield from _family("pool_in_use", "gauge", "Connections with a request on them.", each("in_use"))
    yield from _family("pool_idle", "gauge", "Connections kept for the next request.", each("idle"))
    yield from _family("pool_waiting", "gauge", "Requests that wait for a connection.", each("waiting"))
    yield from _family("pool_opened_total", "counter", "Connections that were made.", each("opened"))
    retries = [({"hop": name}, float(hop.retries.made)) for name, hop in hops.items()]
    yield from _family("retries_total", "counter", "Requests that were sent once more.", retries)
    states = [
        ({"hop": name, "state": state}, float(hop.breaker.state == state))
        for name, hop in hops.items()
        for state in STATES
    ]
    yield from _family("breaker_state", "gauge", "1 for the state the breaker is in.", states)
    turns = [
        ({"hop": name, "to": state}, float(hop.breaker.transitions[state]))
        for name, hop in hops.items()
        for state in STATES
    ]
    yield from _family("breaker_transitions_total", "counter", "How often the breaker went to a state.", turns)


def _auth(cache: AuthCache) -> Iterator[str]:
    yield from _gauge("auth_cache_entries", "Answers about keys that are remembered.", cache.entries)
    lookups = [({"result": "hit"}, float(cache.hits)), ({"result": "miss"}, float(cache.misses))]
    yield from _family("auth_cache_lookups_total", "counter", "Keys looked up.", lookups)
    yield from _counter("auth_outages_total", "Questions the auth service could not answer.", cache.outages)


def _clients(clients: ClientsState) -> Iterator[str]:
    yield from _gauge("client_connections", "Clients' connections that are open.", clients.now_open)
    yield from _counter("client_connections_opened_total", "Clients' connections that were opened.", clients.opened)
    yield from _counter("client_connections_turned_away_total", "Those over the limit.", clients.turned_away)


def _gauge(name: str, words: str, value: float) -> Iterator[str]:
    return _family(name, "gauge", words, [({}, value)])


def _counter(name: str, words: str, value: float) -> Iterator[str]:
    return _family(name, "counter", words, [({}, value)])


def _histogram(name: str, words: str, histogram: Histogram) -> Iterator[str]:
    yield from _head(name, "histogram", words)
    yield from (_line(name + suffix, labels, value) for suffix, labels, value in histogram.samples())


def _family(name: str, kind: str, words: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield from _head(name, kind, words)
    yield from (_line(name, labels, value) for labels, value in samples)


def _head(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP gateway_{name} {words}"
    yield f"# TYPE gateway_{name} {kind}"


def _line(name: str, labels: Labels, value: float) -> str:
    """No label value needs escaping: none is a client's, or an upstream's."""
    inside = ",".join(f'{label}="{said}"' for label, said in labels.items())
    return f"gateway_{name}{{{inside}}} {value:.12g}" if inside else f"gateway_{name} {value:.12g}"
