"""Where a request begins and ends: RFC 9112 without its tolerances.

Requests are smuggled where two readers of the same bytes disagree about them, so what any reader might take in two ways
is refused here. This is the gate before llhttp, which parses what passes: a request is served when both read it alike.
llhttp alone lets through chunk extensions, the targets ``*`` and ``http://...``, a second ``Host``, and trailers as if
they were headers.
"""

from __future__ import annotations

import re
from collections import Counter

from gateway.errors import BadRequestError
from gateway.headers import WAY, Headers

MAX_HEAD = 128 * 1024
"""Bytes; twice a request line's 65,000 (see paths.py), which MLflow's searches make long."""

MAX_FIELDS = 100
CHUNKED = -1
_MAX_TRAILER = 8 * 1024
_MAX_SIZE_LINE = 18

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"
_REQUEST_LINE = rb"([A-Z]{1,16}+) (/[!\"$-~]*+) HTTP/1\.([01])\r\n"
_FIELDS = rb"((?:" + _TOKEN + rb":" + _VALUE + rb"\r\n)*+)"

_HEAD = re.compile(_REQUEST_LINE + _FIELDS + rb"\r\n")
_FIRST_LINE = re.compile(_REQUEST_LINE)
_TRAILER = re.compile(_FIELDS + rb"\r\n")
_BARE_END = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,14}")
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
ANSWER_FIELDS = re.compile(_FIELDS)

_ONCE = frozenset({b"authorization", b"content-length", b"host", b"transfer-encoding", b"x-api-key"})
_MEANINGFUL = (
    _ONCE
    | WAY
    | {
        b"connection",
        b"content-encoding",
        b"content-type",
        b"expect",
        b"te",
        b"trailer",
        b"upgrade",
    }
)
"""Fields that change what a request means or where it comes from: never in a trailer, and never spelt with underscores,
which a CGI-like server behind us (MLflow's WSGI half) takes for dashes."""


def check_head(head: bytes) -> re.Match[bytes]:
    """A whole head, its empty line included: method, target, minor version and fields as groups.

    Raises BadRequestError.
    """
    match = _HEAD.fullmatch(head)
    if match is None:
        raise BadRequestError(_explain(head))
    return match


def split_fields(block: bytes) -> Headers:
    """The fields of a head that has passed the gate."""
    pairs = (line.partition(b":") for line in block.split(b"\r\n") if line)
    return [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]


def check_partial_head(data: bytes, since: int) -> None:
    """What can be refused before the empty line has come; bytes before ``since`` were looked at already."""
    if len(data) > MAX_HEAD:
        raise BadRequestError(f"The request's head is longer than {MAX_HEAD} bytes.")
    if not data[:1].isupper():
        raise BadRequestError("The request does not begin with a method.")
    if _BARE_END.search(data, max(0, since - 1)):
        raise BadRequestError("A line of the request's head does not end with CR LF.")
    end = data.find(b"\r\n")
    if end >= 0 and not _FIRST_LINE.match(data, 0, end + 2):
        raise BadRequestError(_explain(data))


def _explain(head: bytes) -> str:
    if not _FIRST_LINE.match(head):
        return "The request line is not 'METHOD /path HTTP/1.1'; targets are paths, and versions 1.0 and 1.1."
    return next((words for pattern, words in _FAULTS if pattern.search(head)), "A header line is not 'name: value'.")


_FAULTS = (
    (_BARE_END, "A line of the request's head does not end with CR LF."),
    (re.compile(rb"\r\n[ \t]"), "A header is folded over several lines."),
    (re.compile(rb"\n[^\r\n:]*[ \t]:"), "There is a space before a header's colon."),
    (re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"), "The request's head contains a control character."),
)


def body_length(minor: int, fields: Headers) -> int:
    """Bytes of the request's body, or CHUNKED. ``fields`` have names in lower case. Raises BadRequestError."""
    if len(fields) > MAX_FIELDS:
        raise BadRequestError(f"The request has more than {MAX_FIELDS} headers.")
    named = dict(fields)
    if len(named) < len(fields):
        _refuse_repeated(fields)
    for name in named:
        if b"_" in name and name.replace(b"_", b"-") in _MEANINGFUL:
            raise BadRequestError("A header's name has underscores in place of dashes.")
    _check_host(minor, named.get(b"host"))
    encoding, length = named.get(b"transfer-encoding"), named.get(b"content-length")
    if encoding is None:
        return 0 if length is None else _checked_length(length)
    if length is not None:
        raise BadRequestError("The request has both a Content-Length and a Transfer-Encoding.")
    if minor == 0 or encoding.lower() != b"chunked":
        raise BadRequestError("The only Transfer-Encoding known here is 'chunked', and in HTTP/1.1.")
    return CHUNKED


def _refuse_repeated(fields: Headers) -> None:
    for name, count in Counter(name for name, _ in fields).items():
        if count > 1 and name in _ONCE:
            raise BadRequestError(f"The header {name.decode()} was sent more than once.")


def _check_host(minor: int, host: bytes | None) -> None:
    if host is None and minor == 1:
        raise BadRequestError("The request has no Host header.")
    if host is not None and not _HOST.fullmatch(host):
        raise BadRequestError("The Host header is not a name or address with an optional port.")


def _checked_length(value: bytes) -> int:
    if not _LENGTH.fullmatch(value):
        raise BadRequestError("The Content-Length is not a plain decimal number.")
    return int(value)


class Chunks:
    """Finds the end of a chunked body; extensions are refused, and trailers checked and passed over."""

    def __init__(self) -> None:
        self.done = False
        self._left = 0
        self._step = self._take_size

    def take(self, data: bytes) -> int:
        """How many of these bytes are complete elements of the body; give the rest again, with more behind it.

        Raises BadRequestError.
        """
        at, before = 0, -1
        while at != before and not self.done:
            before = at
            at = self._step(data, at)
        return at

    def _take_size(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at, at + _MAX_SIZE_LINE) + 1
        if not end and len(data) - at < _MAX_SIZE_LINE:
            return at
        match = _CHUNK_SIZE.fullmatch(data, at, end)
        if match is None:
            raise BadRequestError("A chunk's size is not a plain hexadecimal number followed by CR LF.")
        self._left = int(match[1], 16)
        if self._left >= 1 << 53:
            raise BadRequestError("A chunk is larger than any.")
        self._step = self._take_data if self._left else self._take_trailer
        return end

    def _take_data(self, data: bytes, at: int) -> int:
        taken = min(self._left, len(data) - at)
        self._left -= taken
        if not self._left:
            self._step = self._take_end
        return at + taken

    def _take_end(self, data: bytes, at: int) -> int:
        end = data[at : at + 2]
        if not b"\r\n".startswith(end):
            raise BadRequestError("A chunk does not end where its size says.")
        if len(end) < 2:
            return at
        self._step = self._take_size
        return at + 2

    def _take_trailer(self, data: bytes, at: int) -> int:
        """All of it at once, so that llhttp never sees a part of what is then refused."""
        end = at + 2 if data.startswith(b"\r\n", at) else data.find(b"\r\n\r\n", at, at + _MAX_TRAILER) + 4
        if end < 4 and end != at + 2:
            if len(data) - at > _MAX_TRAILER or _BARE_END.search(data, at):
                raise BadRequestError("The request's trailer is too long or has a line that does not end with CR LF.")
            return at
        trailer = data[at:end]
        names = [line.partition(b":")[0].lower().replace(b"_", b"-") for line in trailer.split(b"\r\n")]
        if not _TRAILER.fullmatch(trailer) or not _MEANINGFUL.isdisjoint(names):
            raise BadRequestError("The request's trailer is malformed or holds a field that belongs in the head.")
        self.done = True
        return end
