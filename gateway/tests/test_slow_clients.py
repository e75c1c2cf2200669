"""Clients that take their time: the honest ones on a bad line get through, and the others do not keep a place."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator

import pytest

from gateway.guard import Guard, Limits, Pace
from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.process import GatewayProcess, running_gateway
from gateway.tests.upstream import MEGABYTE, RecordingUpstream

RUN = "/api/mlflow/api/2.0/mlflow/runs/get"
BATCH = "/api/mlflow/api/2.0/mlflow/runs/log-batch"
ARTIFACT = "/api/mlflow/api/2.0/mlflow-artifacts/artifacts/1/a"
RATE = 10_000
TOTAL = 2.0


@pytest.fixture(scope="module")
def strict(shared_auth: AuthStandIn, shared_upstream: RecordingUpstream) -> Iterator[GatewayProcess]:
    changes = {
        "MLFLOW_PROXY_TIMEOUT": "1",
        "GATEWAY_CONNECT_TIMEOUT": "0.9",
        "GATEWAY_TOTAL_TIMEOUT": str(TOTAL),
        "GATEWAY_MIN_RATE": str(RATE),
        "GATEWAY_MAX_CONNECTIONS": "4",
    }
    with running_gateway(**settings(shared_auth, shared_upstream.url, **changes)) as gateway:
        yield gateway


def follow(pace: Pace, seconds: int, rate: float, start: int = 0, moved: float = 0) -> tuple[int | None, float]:
    """When the client is too slow, if it is, and what it has moved by then; looked at once a second."""
    for second in range(start + 1, start + seconds + 1):
        moved += rate
        if pace.too_slow(second, int(moved), waiting=True):
            return second, moved
    return None, moved


@pytest.mark.parametrize(
    ("rate", "ends"),
    [(0, 57), (RATE * 0.5, 112), (RATE * 0.9, 551), (RATE, None), (RATE * 2, None)],
)
def test_the_slower_a_client_the_sooner_it_ends_and_the_least_rate_never_does(rate: float, ends: int | None) -> None:
    assert follow(Pace(RATE, 55, 0), 3600, rate)[0] == ends


def test_a_fast_beginning_does_not_pay_for_a_stall() -> None:
    pace = Pace(RATE, 55, 0)
    _, moved = follow(pace, 10, 100_000_000)

    assert follow(pace, 3600, 0, start=10, moved=moved)[0] == 10 + 56


def test_stalls_that_are_made_up_for_are_forgiven() -> None:
    """A line that is away for 50 s in every 110, and carries little more than the least rate on the average."""
    pace = Pace(RATE, 55, 0)
    at, moved = 0, 0.0
    for _ in range(30):
        for seconds, rate in ((50, 0.0), (60, RATE * 2.0)):
            ended, moved = follow(pace, seconds, rate, at, moved)
            assert ended is None
            at += seconds


def test_what_mlflow_makes_others_wait_is_not_the_clients_doing() -> None:
    pace = Pace(RATE, 55, 0)

    assert not any(pace.too_slow(second, 0, waiting=bool(second % 20)) for second in range(0, 60, 10))


class Backlog:
    """A client that takes ``rate`` bytes a second of what has long been written."""

    choked = True
    received = 0
    waiting = False
    moved = 0.0

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._began = time.monotonic()

    @property
    def taken(self) -> int:
        return int((time.monotonic() - self._began) * self._rate)

    async def gone(self) -> None:
        await asyncio.Event().wait()


async def wait_behind(backlog: Backlog, seconds: float) -> None:
    with Guard(asyncio.get_running_loop(), Limits(0.4, rate=1000), time.monotonic()) as guard:
        guard.watch(backlog, backlog)
        await asyncio.sleep(seconds)


async def test_what_a_client_takes_of_a_backlog_moves_although_nothing_is_written() -> None:
    await wait_behind(Backlog(1500), 1.5)


@pytest.mark.parametrize(("rate", "why"), [(500, "less than 1000 bytes a second"), (0, "nothing moved for 0.4 s")])
async def test_a_client_that_takes_too_little_of_it_is_told_from_one_that_takes_nothing(rate: int, why: str) -> None:
    with pytest.raises(TimeoutError, match=why):
        await wait_behind(Backlog(rate), 3)


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def drip(client: socket.socket, piece: bytes, every: float, times: int) -> float:
    """Send until there is an answer; the seconds it took."""
    started = time.monotonic()
    client.settimeout(every)
    for _ in range(times):
        with contextlib.suppress(TimeoutError, ConnectionError):
            if client.recv(1, socket.MSG_PEEK):
                break
        with contextlib.suppress(ConnectionError):
            client.sendall(piece)
    client.settimeout(5)
    return time.monotonic() - started


def answer_on(client: socket.socket) -> tuple[int, str]:
    answer = http.client.HTTPResponse(client)
    answer.begin()
    return answer.status, answer.read().decode()


def test_an_upload_below_the_least_rate_is_a_408_and_not_mlflows_fault(
    strict: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    with strict.connect() as client:
        client.sendall(head("PUT", ARTIFACT, keys() | {"Content-Length": "10000", "X-Request-Id": "dripped"}))
        took = drip(client, b"x", 0.1, 100)
        status, said = answer_on(client)

    assert (status, json.loads(said)["error_code"]) == (408, "DEADLINE_EXCEEDED")
    assert "less than 10000 bytes a second" in said
    assert 1 < took < 2.5
    assert upstream.last.closed.wait(1)


def test_a_slow_upload_at_the_least_rate_gets_through_however_long_it_takes(
    strict: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    """With a pause of half the patience in it."""
    with strict.connect() as client:
        client.sendall(head("PUT", ARTIFACT, keys() | {"Content-Length": "72000"}))
        took = drip(client, bytes(4000), 0.2, 9)
        time.sleep(0.5)
        took += drip(client, bytes(4000), 0.2, 9)

        assert answer_on(client)[0] == 200
    assert took + 0.5 > TOTAL
    assert upstream.last.length == 72_000


def test_a_call_that_is_not_a_stream_has_a_time_in_all(
    strict: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    """Whatever moves: the place it takes is wanted."""
    with strict.connect() as client:
        client.sendall(head("POST", BATCH, keys() | {"Content-Length": "1000000"}))
        took = drip(client, bytes(5000), 0.1, 100)
        status, said = answer_on(client)

    assert (status, json.loads(said)["error_code"]) == (408, "DEADLINE_EXCEEDED")
    assert "not over after 2 s" in said
    assert TOTAL - 0.1 < took < TOTAL + 1
    assert upstream.last.closed.wait(1)


def test_a_body_that_is_whole_just_before_the_time_is_over_leaves_mlflow_without_blame(
    strict: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    """It had no more than a moment; five of these must not open its breaker."""
    with strict.connect() as client:
        client.sendall(head("POST", BATCH, keys() | {"Content-Length": "16", "X-Behave": "hang"}))
        drip(client, b" ", 0.11, 16)
        status, said = answer_on(client)

    assert (status, "not over after 2 s" in said) == (408, True)


def test_an_answer_that_is_not_a_stream_is_cut_off_in_time(
    strict: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    started = time.monotonic()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        strict.ask("GET", RUN, keys() | {"X-Behave": "endless", "X-Request-Id": "no-end"})

    assert TOTAL - 0.1 < time.monotonic() - started < TOTAL + 1
    assert "not over after 2 s" in strict.access("no-end")["reason"]


def read_slowly(client: socket.socket, piece: int, every: float, seconds: float) -> float:
    """Until the other side ends it or the time is over; how long that was."""
    started = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - started < seconds and client.recv(piece):
            time.sleep(every)
    return time.monotonic() - started


@pytest.mark.parametrize(("piece", "ends"), [(5000, False), (1000, True)], ids=["at the least rate", "below it"])
def test_a_download_goes_on_at_the_least_rate_and_ends_below_it(
    strict: GatewayProcess, upstream: RecordingUpstream, keys: Keys, piece: int, ends: bool
) -> None:
    """Megabytes wait here and in the kernel meanwhile, so that nothing is written for longer than the patience."""
    name = f"download-{piece}"
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(5)
        client.connect(("127.0.0.1", strict.port))
        headers = {"X-Behave": "large", "X-Size": str(64 * MEGABYTE), "X-Request-Id": name}
        client.sendall(head("GET", ARTIFACT, keys() | headers))
        assert read_slowly(client, piece, 0.2, 4) > 3.9 or ends
        assert upstream.last.closed.wait(0.1) is ends

    assert upstream.last.closed.wait(2)
    assert ("cut off" in strict.access(name)["reason"]) is ends


def test_one_key_cannot_take_all_connections(strict: GatewayProcess, upstream: RecordingUpstream, keys: Keys) -> None:
    greedy = keys()
    with strict.connect() as first, strict.connect() as second:
        for client in (first, second):
            client.sendall(head("GET", ARTIFACT, greedy | {"X-Behave": "endless"}))
            assert client.recv(15)
        refused = strict.ask("GET", RUN, greedy)

        assert (refused.status, refused.json()["error_code"]) == (429, "REQUEST_LIMIT_EXCEEDED")
        assert refused.value("retry-after") == "1"
        assert strict.ask("GET", RUN, keys()).status == 200
    until = time.monotonic() + 5
    while strict.ask("GET", RUN, greedy).status == 429:
        assert time.monotonic() < until
