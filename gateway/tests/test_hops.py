"""Connections to the servers behind: which is used, for how long, and what is tried again."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from gateway import pool
from gateway.config import Config, SocksProxy
from gateway.dialer import Dialer, Origin
from gateway.failure import CLOSED, INVALID, REFUSED, Failure, HopError
from gateway.pool import NoPlaceError, NoShareError, Pool
from gateway.retries import TRIES, Retries, pause
from gateway.tests.socks import SocksServer
from gateway.tests.upstream import RecordingUpstream
from gateway.upstream import Upstream, UpstreamRequest
from gateway.upstream_connection import Connection

Once = Callable[[int], Awaitable[str]]


def failing(times: int, failure: Failure) -> tuple[Once, list[int]]:
    """A try that fails so many times and then goes well, and the record of its calls."""
    calls: list[int] = []

    async def once(number: int) -> str:
        calls.append(number)
        if len(calls) <= times:
            raise HopError(failure)
        return "answer"

    return once, calls


@pytest.mark.parametrize(
    ("failure", "repeatable", "tries"),
    [(REFUSED, False, TRIES), (CLOSED, True, TRIES), (CLOSED, False, 1), (INVALID, True, 1)],
    ids=["nothing was sent", "sent, and may be repeated", "sent, and may not", "what will not pass"],
)
async def test_what_is_tried_again(failure: Failure, repeatable: bool, tries: int) -> None:
    once, calls = failing(99, failure)

    with pytest.raises(HopError):
        await Retries().run(once, lambda: repeatable)

    assert calls == list(range(1, tries + 1))


async def test_a_try_that_goes_well_ends_the_retries() -> None:
    once, calls = failing(1, REFUSED)
    retries = Retries()

    assert await retries.run(once, lambda: False) == "answer"
    assert (len(calls), retries.made) == (2, 1)


async def test_the_budget_is_one_retry_in_ten_requests_once_the_reserve_is_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.retries.pause", lambda _tries: 0)
    retries = Retries()
    for _ in range(1000):
        once, _calls = failing(99, REFUSED)
        with pytest.raises(HopError):
            await retries.run(once, lambda: True)

    assert 100 <= retries.made <= 115


def test_pauses_grow_and_are_random() -> None:
    first = [pause(1) for _ in range(200)]
    third = [pause(3) for _ in range(200)]

    assert (max(first) <= 0.05, max(third) <= 0.2, max(third) > 0.05) == (True, True, True)
    assert len(set(first)) > 100


@pytest.fixture
def dead_address() -> Iterator[int]:
    """A port of 127.0.0.3 where packets are dropped, as at an address that nobody has any more."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.3", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_a_dead_address_does_not_use_up_the_time_of_the_living_one(
    dead_address: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def both(*_question: Any, **_more: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, dead_address)) for address in ("127.0.0.3", "127.0.0.4")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.4", dead_address)
    dialer = Dialer(Origin.of(f"http://mlflow.test:{dead_address}"), timeout=1)
    async with server:
        started = time.monotonic()
        connections = [await dialer.dial() for _ in range(6)]

    assert all(isinstance(connection, Connection) for connection in connections)
    assert time.monotonic() - started < 6 * 0.8
    for connection in connections:
        connection.close()


async def test_a_name_is_asked_again_when_its_time_to_live_is_over(
    upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy connection, too, does not outlive the record of the task that it leads to."""
    monkeypatch.setattr(pool, "MAX_AGE", 0.3)
    fabric = SocksServer("10.0.1.7", "token")
    fabric.start()
    fabric.names = {"mlflow.test": upstream.port}
    proxy = SocksProxy("127.0.0.1", fabric.port, "10.0.1.7", "token")
    config = Config("http://mlflow.test:5000", "http://auth.test", outbound_proxy=proxy)
    with closing(Upstream(config)) as mlflow:
        began = time.monotonic()
        while len(fabric.asked) < 2 and time.monotonic() < began + 10:
            with await mlflow.ask(UpstreamRequest("GET", b"/", b"", [])) as answer:
                await answer.read_all(1000)
            await asyncio.sleep(0.01)
        took, opened = time.monotonic() - began, mlflow.pool.opened
    fabric.stop()

    assert opened == len(fabric.asked) == 2
    assert took >= 0.3


async def test_idle_connections_are_closed_though_nobody_asks_for_them(
    upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "KEEP_ALIVE", 0.1)
    with closing(Upstream(Config(upstream.url, upstream.url))) as mlflow:
        with await mlflow.ask(UpstreamRequest("GET", b"/", b"", [])) as answer:
            await answer.read_all(1000)
        idle = mlflow.pool.idle
        await asyncio.sleep(0.3)

        assert (idle, mlflow.pool.idle) == (1, 0)


async def test_a_connection_whose_answer_was_not_read_is_not_used_again(upstream: RecordingUpstream) -> None:
    with closing(Upstream(Config(upstream.url, upstream.url))) as mlflow:
        for _ in range(2):
            with await mlflow.ask(UpstreamRequest("GET", b"/", b"", [(b"x-behave", b"endless")])) as answer:
                await answer.read()

        assert (mlflow.pool.opened, mlflow.pool.idle, mlflow.pool.in_use) == (2, 0, 0)


async def test_no_more_connections_are_open_than_there_may_be(upstream: RecordingUpstream) -> None:
    places = Pool(Dialer(Origin.of(upstream.url), 1), 1)
    await places.enter(0.1)

    with pytest.raises(NoPlaceError):
        await places.enter(0.05)
    places.leave()
    await places.enter(0.05)

    assert (places.in_use, places.waiting) == (1, 0)


async def test_one_holder_has_no_more_than_its_share_also_of_the_queue(upstream: RecordingUpstream) -> None:
    places = Pool(Dialer(Origin.of(upstream.url), 1), 3, share=2)
    for _ in range(2):
        await places.enter(0.05, "greedy")
    with pytest.raises(NoShareError):
        await places.enter(0.05, "greedy")
    await places.enter(0.05, "other")
    for _ in range(2):  # a wait in vain takes nothing from what one may have
        with pytest.raises(NoPlaceError):
            await places.enter(0.01, "other")
    places.leave("greedy")
    await places.enter(0.05, "greedy")

    assert (places.in_use, places.waiting) == (3, 0)
