"""Request smuggling over real sockets: a gateway process between raw bytes and an upstream that forgives nothing."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator

import pytest

from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.process import GatewayProcess, running_gateway
from gateway.tests.raw_upstream import RawUpstream
from gateway.tests.smuggling_corpus import CORPUS, SMUGGLED, STAND_IN, Case

NEXT = SMUGGLED.replace(b"smuggled", b"next")
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n")


@pytest.fixture(scope="module")
def raw_upstream() -> Iterator[RawUpstream]:
    server = RawUpstream()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def raw_gateway(shared_auth: AuthStandIn, raw_upstream: RawUpstream) -> Iterator[GatewayProcess]:
    with running_gateway(**settings(shared_auth, raw_upstream.url)) as process:
        yield process


@pytest.fixture
def upstream_seen(raw_upstream: RawUpstream) -> RawUpstream:
    raw_upstream.reset()
    return raw_upstream


def read_answer(client: socket.socket, data: bytes) -> tuple[int, bytes, bytes]:
    """Status, body and what follows; status 0 when the connection ended instead."""
    while b"\r\n\r\n" not in data:
        piece = client.recv(65536)
        if not piece:
            assert data == b"", "an answer that is cut short"
            return 0, b"", b""
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    status, length = _STATUS.match(head), _LENGTH.search(head + b"\r\n")
    assert status, head
    if status[1] == b"100":
        return read_answer(client, rest)
    assert length, head
    size = int(length[1])
    while len(rest) < size:
        piece = client.recv(65536)
        assert piece, "an answer that is cut short"
        rest += piece
    return int(status[1]), rest[:size], rest[size:]


def all_at_once(client: socket.socket, data: bytes) -> None:
    client.sendall(data)


def in_pieces(client: socket.socket, data: bytes) -> None:
    """So that every line is cut somewhere; the gateway may stop listening half-way."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    size = 7 if len(data) < 5000 else 4001
    try:
        for at in range(0, len(data), size):
            client.sendall(data[at : at + size])
    except ConnectionError:
        pass


def talk(client: socket.socket) -> list[tuple[int, bytes]]:
    """Answers until the connection ends or two have come."""
    answers: list[tuple[int, bytes]] = []
    rest = b""
    while len(answers) < 2:
        status, body, rest = read_answer(client, rest)
        if not status:
            break
        answers.append((status, body))
    assert rest == b""
    return answers


@pytest.mark.parametrize("send", [all_at_once, in_pieces])
@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_a_request_is_refused_or_arrives_as_one(
    raw_gateway: GatewayProcess,
    auth: AuthStandIn,
    upstream_seen: RawUpstream,
    keys: Keys,
    case: Case,
    send: Callable[[socket.socket, bytes], None],
) -> None:
    """And the request after it on its connection gets its own answer, or none."""
    key = keys()["Authorization"].removeprefix("Bearer ").encode()
    with raw_gateway.connect() as client:
        send(client, (case.raw + NEXT).replace(STAND_IN, key))
        answers = talk(client)

    expected = [*case.statuses] if case.closes else [*case.statuses, 200]
    assert [status for status, _ in answers] == expected
    assert upstream_seen.ambiguous == []
    targets = [request.target.partition("?")[2] for request in upstream_seen.requests]
    if case.arrives is None:
        assert targets == []
        assert b'"error_code": "BAD_REQUEST"' in answers[0][1]
        assert b'"request_id": "' in answers[0][1]
        return
    assert targets == ["case", "next"]
    assert upstream_seen.requests[0].body == case.arrives.replace(STAND_IN, key)
    assert [body for _, body in answers] == [request.target.encode() for request in upstream_seen.requests]
    assert all("root" not in request.values("x-hokusai-user-id") for request in upstream_seen.requests)


def test_the_corpus_has_its_size_and_no_case_twice() -> None:
    assert len(CORPUS) >= 60
    assert len({case.name for case in CORPUS}) == len({case.raw for case in CORPUS}) == len(CORPUS)
