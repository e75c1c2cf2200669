"""An upstream that tells requests apart by one rule each: nothing is forgiven, so nothing hides."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from gateway.tests.wire import ThreadedServer

_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[!-~]*) HTTP/1\.1")
_FIELD = re.compile(rb"([A-Za-z0-9!#$%&'*+.^_`|~-]+): ?([\t\x20-\x7e\x80-\xff]*)")
_SIZE = re.compile(rb"([0-9a-f]+)\r\n")


class AmbiguousError(Exception):
    """Bytes that two servers might read in two ways."""


class IncompleteError(Exception):
    """More bytes must come."""


@dataclass(frozen=True)
class Seen:
    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for field_name, value in self.fields if field_name == name]


def split_request(data: bytes) -> tuple[Seen, bytes]:
    """The first request and what follows it. Raises AmbiguousError or IncompleteError."""
    head, empty_line, rest = data.partition(b"\r\n\r\n")
    if not empty_line:
        raise IncompleteError
    line, *lines = head.split(b"\r\n")
    request_line = _REQUEST_LINE.fullmatch(line)
    fields = [_FIELD.fullmatch(each) for each in lines]
    if request_line is None or None in fields:
        raise AmbiguousError(head)
    pairs = tuple((found[1].decode().lower(), found[2].decode("latin-1")) for found in fields if found)
    body, rest = _split_body(pairs, rest)
    return Seen(request_line[1].decode(), request_line[2].decode(), pairs, body), rest


def _split_body(fields: tuple[tuple[str, str], ...], data: bytes) -> tuple[bytes, bytes]:
    framing = [field for field in fields if field[0] in {"content-length", "transfer-encoding"}]
    if len(framing) > 1 or len([1 for name, _ in fields if name == "host"]) != 1:
        raise AmbiguousError(framing)
    if not framing:
        return b"", data
    name, value = framing[0]
    if name == "transfer-encoding":
        if value != "chunked":
            raise AmbiguousError(framing)
        return _split_chunks(data)
    if not re.fullmatch(r"0|[1-9][0-9]*", value):
        raise AmbiguousError(framing)
    if len(data) < int(value):
        raise IncompleteError
    return data[: int(value)], data[int(value) :]


def _split_chunks(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        if b"\r\n" not in data[:18]:
            raise IncompleteError
        match = _SIZE.match(data)
        if match is None:
            raise AmbiguousError(data[:18])
        size, data = int(match[1], 16), data[match.end() :]
        if len(data) < size + 2:
            raise IncompleteError
        if data[size : size + 2] != b"\r\n":
            raise AmbiguousError(data[size : size + 2])
        body, data = body + data[:size], data[size + 2 :]
        if not size:
            return body, data


class RawUpstream(ThreadedServer):
    """``script`` holds the raw answers to the next requests; else each is answered with its own target.

    A connection outlives a test when it is pooled, so requests are kept here and not with it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.connections = 0
        self.requests: list[Seen] = []
        self.ambiguous: list[str] = []
        self.script: list[list[bytes]] = []

    def reset(self) -> None:
        self.connections = 0
        self.requests.clear()
        self.ambiguous.clear()
        self.script.clear()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        rest = b""
        while data := await reader.read(65536):
            rest += data
            try:
                while rest:
                    request, rest = split_request(rest)
                    self.requests.append(request)
                    await self._answer(request, writer)
            except IncompleteError:
                continue
            except AmbiguousError as error:
                self.ambiguous.append(repr(error))
                return

    async def _answer(self, request: Seen, writer: asyncio.StreamWriter) -> None:
        if self.script:
            for piece in self.script.pop(0):
                if piece == b"":
                    await writer.drain()
                    await asyncio.sleep(0.05)
                elif piece == CLOSE:
                    writer.close()
                else:
                    writer.write(piece)
            return
        body = b"" if request.method == "HEAD" else request.target.encode()
        length = f"Content-Length: {len(request.target)}\r\n\r\n".encode()
        writer.write(b"HTTP/1.1 200 OK\r\n" + length + body)


CLOSE = b"<close>"
"""In a script: end the connection here. ``b""`` is a short pause."""
