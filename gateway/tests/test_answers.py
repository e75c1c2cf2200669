"""Answers of MLflow's that two readers might take in two ways: the client gets a 502, or sees that it was cut off.

Whatever the answer was, the connection it came over is not used again, and the next request gets an answer of its own.
"""

from __future__ import annotations

import http.client
import json
import time

import pytest

from gateway.tests.conftest import Keys
from gateway.tests.process import GatewayProcess
from gateway.tests.raw_upstream import CLOSE, RawUpstream

RUN = "/api/mlflow/api/2.0/mlflow/runs/get"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PAUSE = b""
NO_ANSWER = {
    "a Content-Length and a Transfer-Encoding": [
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ],
    "a Transfer-Encoding and a Content-Length": [
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    ],
    "two lengths": [OK + b"Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello" + EVIL],
    "two equal lengths": [OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"],
    "two lengths in one": [OK + b"Content-Length: 5, 5\r\n\r\nhello"],
    "a length with a sign": [OK + b"Content-Length: +5\r\n\r\nhello"],
    "a negative length": [OK + b"Content-Length: -5\r\n\r\nhello"],
    "a length in hexadecimal": [OK + b"Content-Length: 0x5\r\n\r\nhello"],
    "a length over 64 bits": [OK + b"Content-Length: 99999999999999999999999\r\n\r\nhello"],
    "an unknown Transfer-Encoding": [OK + b"Transfer-Encoding: xchunked\r\n\r\nhello", CLOSE],
    "a Transfer-Encoding that is not last": [OK + b"Transfer-Encoding: chunked, a\r\n\r\nhello", CLOSE],
    "two Transfer-Encodings": [CHUNKED[:-2] + b"Transfer-Encoding: identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n", CLOSE],
    "a folded header": [OK + b"X-A: 1\r\n folded: 2\r\nContent-Length: 5\r\n\r\nhello"],
    "a space before a colon": [OK + b"Content-Length : 5\r\n\r\nhello", CLOSE],
    "a bare CR in a value": [OK + b"X-A: 1\rSet-Cookie: evil=1\r\nContent-Length: 5\r\n\r\nhello"],
    "a bare LF in a value": [OK + b"X-A: 1\nSet-Cookie: evil=1\r\nContent-Length: 5\r\n\r\nhello"],
    "a NUL in a value": [OK + b"X-A: 1\x00\r\nContent-Length: 5\r\n\r\nhello"],
    "a NUL in a name": [OK + b"X\x00A: 1\r\nContent-Length: 5\r\n\r\nhello"],
    "no colon": [OK + b"X-A\r\nContent-Length: 5\r\n\r\nhello"],
    "line feeds only": [b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"],
    "another protocol": [b"ICY 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
    "another version": [b"HTTP/3.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
    "a status of four digits": [b"HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello"],
    "a status of two digits": [b"HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello"],
    "no status line": [b"hello\r\n\r\n"],
    "a switch of protocols": [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + EVIL
    ],
    "a storm of interim answers": [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 200 + EVIL],
    "a head without an end": [OK + b"X-A: " + b"a" * 600_000],
    "nothing": [CLOSE],
}
CUT_OFF = {
    "a chunk size that is none": [CHUNKED + b"5\r\nhello\r\n", PAUSE, b"zz\r\nhello\r\n0\r\n\r\n"],
    "a chunk longer than its size": [CHUNKED + b"5\r\nhello\r\n", PAUSE, b"5\r\nhello!\r\n0\r\n\r\n"],
    "a chunk size over 64 bits": [CHUNKED + b"5\r\nhello\r\n", PAUSE, b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n"],
    "no last chunk": [CHUNKED + b"5\r\nhello\r\n", PAUSE, CLOSE],
    "less than its length": [OK + b"Content-Length: 50\r\n\r\nhello", PAUSE, CLOSE],
}
CLEAN = {
    "more than its length": ([OK + b"Content-Length: 5\r\n\r\nhello" + b"more"], b"hello"),
    "a second answer": ([OK + b"Content-Length: 5\r\n\r\nhello" + EVIL], b"hello"),
    "a second answer a little later": ([OK + b"Content-Length: 5\r\n\r\nhello", PAUSE, EVIL], b"hello"),
    "a second answer after chunks": ([CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + EVIL], b"hello"),
    "a 204 with a body": ([b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nevil!"], b""),
    "a 204 with an answer behind": ([b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL], b""),
    "a 304 with a body": ([b"HTTP/1.1 304 Not Modified\r\n\r\n" + EVIL], b""),
    "the end as its end": ([OK + b"\r\nhello", PAUSE, CLOSE], b"hello"),
    "HTTP/1.0": ([b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"], b"hello"),
    "a wish to close": ([OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello"], b"hello"),
}


def ask(gateway: GatewayProcess, key: dict[str, str], method: str = "POST") -> tuple[int, bytes]:
    """POST, since nobody repeats it; status 0 for an answer that was cut off."""
    try:
        answer = gateway.ask(method, RUN, key)
    except (http.client.HTTPException, ConnectionError):
        return 0, b""
    return answer.status, answer.body


def ask_twice(
    gateway: GatewayProcess, upstream: RawUpstream, key: dict[str, str], answer: list[bytes], method: str = "POST"
) -> tuple[int, bytes]:
    """What came of a request that gets ``answer``; the one after it must go well, over a connection of its own."""
    upstream.script = [[b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", CLOSE]]
    assert ask(gateway, key) == (200, b"")
    before = upstream.connections
    upstream.script = [answer]
    first = ask(gateway, key, method)
    if PAUSE in answer:
        time.sleep(0.1)
    assert ask(gateway, key) == (200, RUN.removeprefix("/api/mlflow").encode())
    assert upstream.connections == before + 2
    assert len(upstream.requests) == 3
    return first


@pytest.mark.parametrize("name", NO_ANSWER)
def test_an_answer_that_cannot_be_told_from_another_is_a_502(
    raw_gateway: GatewayProcess, raw_upstream: RawUpstream, keys: Keys, name: str
) -> None:
    status, body = ask_twice(raw_gateway, raw_upstream, keys(), NO_ANSWER[name])

    assert status == 502
    assert json.loads(body)["error_code"] == "TEMPORARILY_UNAVAILABLE"


@pytest.mark.parametrize("name", CUT_OFF)
def test_an_answer_that_goes_wrong_on_its_way_is_cut_off(
    raw_gateway: GatewayProcess, raw_upstream: RawUpstream, keys: Keys, name: str
) -> None:
    assert ask_twice(raw_gateway, raw_upstream, keys(), CUT_OFF[name]) == (0, b"")


@pytest.mark.parametrize("name", CLEAN)
def test_what_comes_behind_an_answer_reaches_nobody(
    raw_gateway: GatewayProcess, raw_upstream: RawUpstream, keys: Keys, name: str
) -> None:
    pieces, expected = CLEAN[name]

    status, body = ask_twice(raw_gateway, raw_upstream, keys(), pieces)

    assert (status, body) == (int(pieces[0].split()[1]), expected)


def test_an_answer_to_head_has_no_body(raw_gateway: GatewayProcess, raw_upstream: RawUpstream, keys: Keys) -> None:
    assert ask_twice(raw_gateway, raw_upstream, keys(), [EVIL], "HEAD") == (200, b"")


def test_interim_answers_are_passed_over(raw_gateway: GatewayProcess, raw_upstream: RawUpstream, keys: Keys) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    raw_upstream.script = [[interim + OK + b"Content-Length: 5\r\n\r\nhello"]]

    answer = raw_gateway.ask("POST", RUN, keys())

    assert (answer.status, answer.body, answer.value("link")) == (200, b"hello", "")
