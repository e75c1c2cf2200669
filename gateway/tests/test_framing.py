"""The gate against two other parsers: what it lets through, llhttp and h11 read as it does."""

from __future__ import annotations

import random
from collections.abc import Iterator

import h11
import httptools
import pytest

from gateway.errors import BadRequestError
from gateway.framing import CHUNKED, Chunks, body_length, check_head, check_partial_head, split_fields
from gateway.headers import Headers
from gateway.tests.smuggling_corpus import CHUNKS, CORPUS, END, HELLO, PASSED, TE, Case, request

TRIES = 6000
PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b":",
    b";",
    b",",
    b"0",
    b"5",
    b"f",
    b"x",
    b"-",
    b"+",
    b"\x7f",
    b"\xff",
    b"_",
]
PIECES += [
    b"Content-Length: 7\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: h\r\n",
    b"HTTP/1.1",
    b"0\r\n\r\n",
    b"chunked",
]


class Llhttp:
    """What llhttp makes of a message: fields of the head, the body, and whether it is complete."""

    def __init__(self, data: bytes) -> None:
        self.url = self.body = b""
        self.fields: Headers = []
        self.head = self.complete = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head:
            self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.head = True

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


def mutated(samples: list[bytes], seed: int) -> Iterator[bytes]:
    """The same each time for a seed."""
    chance = random.Random(seed)
    for _ in range(TRIES):
        data = chance.choice(samples)
        for _ in range(chance.randint(1, 3)):
            at, cut = chance.randint(0, len(data)), chance.choice((0, 0, 1, 2))
            data = data[:at] + chance.choice([*PIECES, b""]) + data[at + cut :]
        yield data


def read_by_h11(data: bytes) -> tuple[h11.Request, bytes, bytes]:
    """Head, body and what is behind the body."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1_000_000)
    connection.receive_data(data)
    head = connection.next_event()
    assert isinstance(head, h11.Request)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    return head, body, connection.trailing_data[0]


def test_a_head_that_passes_is_read_alike_by_others() -> None:
    passed = 0
    for data in mutated(
        [case.raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" for case in CORPUS if len(case.raw) < 1000], 7
    ):
        head = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        try:
            match = check_head(head)
            length = body_length(int(match[3]), split_fields(match[4]))
            theirs = Llhttp(head)
        except (BadRequestError, httptools.HttpParserError, httptools.HttpParserUpgrade):
            continue
        passed += 1
        body = HELLO if length == CHUNKED else bytes(length) if length < 1000 else None
        if body is None:
            continue
        event, content, rest = read_by_h11(head + body + b"next")
        fields = [(name, value.strip(b" \t")) for name, value in theirs.fields]
        assert split_fields(match[4]) == fields
        assert [(name, value.lower()) for name, value in fields] == [
            (name, value.lower()) for name, value in event.headers
        ]
        assert (match[1], match[2]) == (event.method, event.target) == (match[1], theirs.url)
        assert (content, rest) == (b"hello" if length == CHUNKED else body, b"next")

    assert passed > TRIES / 50


def test_a_chunked_body_that_passes_is_read_alike_by_others() -> None:
    bodies = [case.raw.partition(b"\r\n\r\n")[2] for case in (*CHUNKS, *PASSED) if TE in case.raw]
    head = request(TE)
    passed = 0
    for data in mutated(bodies, 8):
        chunks = Chunks()
        try:
            end = chunks.take(data)
            if not chunks.done:
                continue
            theirs = Llhttp(head + data[:end])
        except (BadRequestError, httptools.HttpParserError):
            continue
        passed += 1
        _, content, rest = read_by_h11(head + data)
        assert (theirs.complete, theirs.body) == (True, content)
        assert rest == data[end:]

    assert passed > TRIES / 50


@pytest.mark.parametrize("case", [case for case in (*CHUNKS, *PASSED) if TE in case.raw], ids=lambda case: case.name)
def test_a_chunked_body_is_judged_alike_wherever_it_is_cut(case: Case) -> None:
    def judge(pieces: list[bytes]) -> object:
        chunks, rest, used = Chunks(), b"", 0
        try:
            for piece in pieces:
                rest += piece
                taken = chunks.take(rest)
                used, rest = used + taken, rest[taken:]
        except BadRequestError:
            return "refused"
        return chunks.done, used

    data = case.raw.partition(b"\r\n\r\n")[2]
    for at in range(0, len(data), 1 if len(data) < 1000 else 97):
        assert judge([data[:at], data[at:]]) == judge([data])
    assert judge([data[at : at + 1] for at in range(len(data))]) == judge([data])


def test_a_part_of_a_good_head_is_waited_for() -> None:
    for case in PASSED:
        head = case.raw.partition(b"\r\n\r\n")[0] + b"\r\n"
        for at in range(1, len(head)):
            check_partial_head(head[:at], max(0, at - 1))


def test_the_end_of_a_body_is_not_taken_for_more() -> None:
    chunks = Chunks()

    assert chunks.take(HELLO + END) == len(HELLO)
    assert (chunks.done, chunks.take(END)) == (True, 0)
