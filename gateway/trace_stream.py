"""OTLP's traces (``POST /v1/traces``), looked at as they pass.

A span's attribute ``mlflow.traceTag.<key>`` becomes a tag of its trace, in MLflow (3.17.2 tried, 3.18.0 by its source)
also the tag that says where the trace's files are: whoever writes it reads any directory of MLflow's. The bytes of such
an attribute's name are looked for in the stream, decompressed if need be, while its pieces go on as they came; a body
that has them is cut off before they are complete.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Iterator

from gateway.body import Message, Receive
from gateway.errors import BadRequestError, CodedBodyError

_REFUSED = (b"mlflow.tracetag.mlflow.artifactlocation", b"mlflow.tracetag.mlflow.trace.archivelocation")
_OVERLAP = 24 * max(map(len, _REFUSED))
"""Bytes before a piece that may belong to a name that ends in it: JSON may escape every character, and be UTF-32."""

_LOWER = bytes(range(256)).lower()
_ESCAPE = re.compile(rb"\\u00([2-7][0-9a-f])")
_STEP = 256 * 1024
_MOST_EXPANDED = 64 * 1024 * 1024
_WBITS = {b"gzip": (31,), b"deflate": (15, -15), b"identity": (), b"": ()}
"""How zlib is told of the formats a coding may mean; MLflow takes either for ``deflate``."""


class TraceScan:
    """``receive`` of a request, with a look at what it gives. ``coding`` is the Content-Encoding, in lower case.

    Raises CodedBodyError, and ``receive`` BadRequestError.
    """

    def __init__(self, coding: bytes, receive: Receive) -> None:
        if coding not in _WBITS:
            raise CodedBodyError("This route's body is looked at: it may be compressed by gzip or deflate alone.")
        self._receive = receive
        self._readings: list[_Plain | _Inflated] = [_Inflated(wbits) for wbits in _WBITS[coding]] or [_Plain()]

    async def receive(self) -> Message:
        message = await self._receive()
        if piece := message.get("body", b""):
            for reading in self._readings:
                for found in reading.read(piece):
                    if found:
                        raise BadRequestError("A span sets a tag that says where its trace is kept; only MLflow may.")
                    await asyncio.sleep(0)
            if all(reading.broken for reading in self._readings):
                raise BadRequestError("The request's body is not what its Content-Encoding says.")
        return message


class _Plain:
    broken = False

    def __init__(self) -> None:
        self._tail = b""

    def read(self, piece: bytes) -> Iterator[bool]:
        """Whether a refused name ends in this piece; said anew for each step of a long one."""
        for at in range(0, len(piece), _STEP):
            text = self._tail + piece[at : at + _STEP]
            self._tail = text[-_OVERLAP:]
            text = text.translate(_LOWER, b"\0")  # JSON may be UTF-16
            if b"\\u00" in text:
                text = _ESCAPE.sub(_character, text)
            found = any(name in text for name in _REFUSED)
            if found or len(piece) > _STEP:
                yield found


def _character(escape: re.Match[bytes]) -> bytes:
    return bytes([int(escape[1], 16)]).lower()


class _Inflated:
    """The same, of what the pieces are when they are decompressed."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inflate = zlib.decompressobj(wbits)
        self._plain = _Plain()
        self._room = _MOST_EXPANDED
        self._between = False
        self.broken = False

    def read(self, piece: bytes) -> Iterator[bool]:
        more = not self.broken
        while more:
            if self._between:  # Python's gzip passes over zeros before another member
                piece = piece.lstrip(b"\0")
                if not piece:
                    return
                self._between = False
                self._inflate = zlib.decompressobj(self._wbits)
            try:
                part = self._inflate.decompress(piece, _STEP)
            except zlib.error:
                self.broken = True
                return
            self._room -= len(part)
            if self._room < 0:
                raise BadRequestError(f"The request's body is over {_MOST_EXPANDED} bytes when it is decompressed.")
            yield from self._plain.read(part)
            self._between = self._inflate.eof
            piece = self._inflate.unused_data if self._between else self._inflate.unconsumed_tail
            more = bool(piece) or len(part) == _STEP
            yield False
