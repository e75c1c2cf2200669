"""Request smuggling over real sockets: a gateway process between raw bytes and an upstream that forgives nothing."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import pytest

from gateway.tests.conftest import Keys
from gateway.tests.process import GatewayProcess
from gateway.tests.raw_upstream import RawUpstream
from gateway.tests.smuggling_corpus import CL5, CORPUS, END, SMUGGLED, STAND_IN, TE, Case, request

NEXT = SMUGGLED.replace(b"smuggled", b"next")
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n")


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
    raw_upstream: RawUpstream,
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
    assert raw_upstream.ambiguous == []
    targets = [request.target.partition("?")[2] for request in raw_upstream.requests]
    if case.arrives is None:
        assert targets == []
        assert b'"error_code": "BAD_REQUEST"' in answers[0][1]
        assert b'"request_id": "' in answers[0][1]
        return
    assert targets == ["case", "next"]
    assert raw_upstream.requests[0].body == case.arrives.replace(STAND_IN, key)
    assert [body for _, body in answers] == [request.target.encode() for request in raw_upstream.requests]
    assert all("root" not in request.values("x-hokusai-user-id") for request in raw_upstream.requests)


def test_the_corpus_has_its_size_and_no_case_twice() -> None:
    assert len(CORPUS) >= 60
    assert len({case.name for case in CORPUS}) == len({case.raw for case in CORPUS}) == len(CORPUS)


def test_who_waits_for_a_100_gets_it_once_the_body_is_wanted(
    raw_gateway: GatewayProcess, raw_upstream: RawUpstream, keys: Keys
) -> None:
    key = keys()["Authorization"].removeprefix("Bearer ").encode()
    with raw_gateway.connect() as client:
        client.sendall(request(CL5, b"Expect: 100-continue").replace(STAND_IN, key))
        assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hello")
        assert read_answer(client, b"")[0] == 200

    assert [seen.body for seen in raw_upstream.requests] == [b"hello"]


def test_after_an_answer_in_place_of_a_100_nothing_more_is_read(
    raw_gateway: GatewayProcess, raw_upstream: RawUpstream, keys: Keys
) -> None:
    """The client may leave its body out then, or not: its next bytes could be either."""
    key = keys()["Authorization"].removeprefix("Bearer ").encode()
    with raw_gateway.connect() as client:
        client.sendall(request(CL5, b"Expect: 100-continue").replace(STAND_IN, b"unknown"))
        status, _, rest = read_answer(client, b"")
        client.sendall((b"hello" + NEXT).replace(STAND_IN, key))

        assert (status, read_answer(client, rest)[0]) == (401, 0)
    assert raw_upstream.requests == []


def test_pipelined_requests_are_answered_one_after_another(
    raw_gateway: GatewayProcess, raw_upstream: RawUpstream, keys: Keys
) -> None:
    """Also more of them than are read ahead, with bodies between, and none after one that is refused."""
    key = keys()["Authorization"].removeprefix("Bearer ").encode()
    whole = request(TE, body=b"%x\r\n" % 60_000 + bytes(60_000) + b"\r\n" + END)
    with raw_gateway.connect() as client:
        client.sendall((whole + NEXT + whole + whole + NEXT + b"GET /\n" + NEXT).replace(STAND_IN, key))
        statuses: list[int] = []
        rest = b""
        while not statuses or statuses[-1]:
            status, _, rest = read_answer(client, rest)
            statuses.append(status)

    assert statuses == [200] * 5 + [400, 0]
    assert [(seen.method, len(seen.body)) for seen in raw_upstream.requests] == [
        ("POST", 60_000),
        ("GET", 0),
        ("POST", 60_000),
        ("POST", 60_000),
        ("GET", 0),
    ]
