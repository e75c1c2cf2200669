"""Requests that two servers might read in two ways, and what becomes of each here.

``STAND_IN`` becomes a good key of the same length. ``SMUGGLED`` is a request of its own that must never arrive as one.
"""

from __future__ import annotations

from dataclasses import dataclass

STAND_IN = b"hk_test_" + b"k" * 32
RUN = b"/api/mlflow/api/2.0/mlflow/runs/get?case"
KEY = b"Authorization: Bearer " + STAND_IN
SMUGGLED = b"GET /api/mlflow/api/2.0/mlflow/runs/get?smuggled HTTP/1.1\r\nHost: g\r\n" + KEY + b"\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """``statuses`` are those of the answers to the case itself, not to what follows it. ``arrives`` is the body that
    the upstream gets with its one request; None means that it gets none."""

    name: str
    raw: bytes
    statuses: tuple[int, ...]
    arrives: bytes | None

    @property
    def closes(self) -> bool:
        return 400 in self.statuses


def request(
    *fields: bytes, line: bytes = b"POST " + RUN + b" HTTP/1.1", body: bytes = b"", host: bytes = b"Host: g"
) -> bytes:
    lines = [line, *([host] if host else []), KEY, *fields]
    return b"\r\n".join([*lines, b"", b""]) + body


def refused(name: str, raw: bytes) -> Case:
    return Case(name, raw, (400,), None)


def passed(name: str, raw: bytes, arrives: bytes = b"") -> Case:
    return Case(name, raw, (200,), arrives)


CL5 = b"Content-Length: 5"
TE = b"Transfer-Encoding: chunked"
END = b"0\r\n\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"


def chunked(body: bytes) -> bytes:
    return request(TE, body=body)


def length(value: bytes, body: bytes = b"hello") -> bytes:
    return request(b"Content-Length: " + value, body=body)


def encoding(value: bytes) -> bytes:
    return request(b"Transfer-Encoding:" + value, body=END + SMUGGLED)


def target(value: bytes, method: bytes = b"GET") -> bytes:
    return request(line=method + b" " + value + b" HTTP/1.1")


def version(value: bytes) -> bytes:
    return request(line=b"GET " + RUN + b" " + value)


TWO_FRAMINGS = (
    refused("CL.TE", request(b"Content-Length: %d" % len(END + SMUGGLED), TE, body=END + SMUGGLED)),
    refused("TE.CL", request(TE, b"Content-Length: 4", body=b"5c\r\n" + SMUGGLED)),
    refused("CL 0 and TE", request(b"Content-Length: 0", TE, body=END)),
    refused("TE in lower case and CL", request(CL5, b"transfer-encoding: chunked", body=END)),
    refused("TE.TE, the second unknown", request(TE, b"Transfer-Encoding: cow", body=END + SMUGGLED)),
    refused("TE.TE, the first unknown", request(b"Transfer-Encoding: cow", TE, body=END + SMUGGLED)),
    refused("TE twice", request(TE, TE, body=END)),
    refused("TE twice, once in a name with a space", request(TE, b"Transfer-Encoding : chunked", body=END)),
    refused("two equal CLs", request(CL5, CL5, body=b"hello")),
    refused("two different CLs", request(CL5, b"Content-Length: 0", body=b"hello")),
    refused("two CLs in two cases", request(CL5, b"content-length: 6", body=b"hello!")),
    refused("CL hidden behind underscores", request(b"Content_Length: 50", body=SMUGGLED)),
    refused("TE hidden behind underscores", request(b"Transfer_Encoding: chunked", CL5, body=b"hello")),
)

LENGTHS = tuple(
    refused(f"CL {value!r}", length(value))
    for value in (
        b"+5",
        b"-5",
        b"-0",
        b"0x5",
        b"5, 5",
        b"5,6",
        b"5 5",
        b"5;",
        b"5.0",
        b"1e1",
        b"05",
        b"five",
        b"",
        b" ",
        b"5_0",
        b"\xb2",
        b"5 ",
        b"5\t",
        b"18446744073709551621",
        b"99999999999999999999999999",
        b"\x0b5",
        b"5\x00",
    )
)

ENCODINGS = tuple(
    refused(f"TE {value!r}", encoding(value))
    for value in (
        b" xchunked",
        b" chunkedx",
        b" chunked chunked",
        b" chunked, identity",
        b" identity, chunked",
        b" identity",
        b" gzip",
        b" gzip, chunked",
        b" chunked ",
        b" chunked,",
        b" ,chunked",
        b" chunked;q=1",
        b' "chunked"',
        b"\x0bchunked",
        b" chunked\x0b",
        b" chun\x00ked",
        b"",
        b" chunked\x00",
        b" chunked\xa0",
        b"\r\n chunked",
        b" \r\n\tchunked",
    )
)

LINES = (
    refused("a folded header", request(b"X-A: 1\r\n folded: yes", CL5, body=b"hello")),
    refused("a folded framing header", request(b"X-A: 1\r\n Content-Length: 60", body=SMUGGLED)),
    refused("a folded first header", request(line=b"GET " + RUN + b" HTTP/1.1\r\n X: 1")),
    refused("bare LF after a header", request(b"X-A: 1\nContent-Length: 5", body=b"hello")),
    refused("bare LF after the request line", request(line=b"GET " + RUN + b" HTTP/1.1\nX: 1")),
    refused("bare LFs everywhere", request(CL5, body=b"hello").replace(b"\r\n", b"\n")),
    refused("bare LF ends the head", request().replace(b"\r\n\r\n", b"\r\n\n") + SMUGGLED),
    refused("bare CR after a header", request(b"X-A: 1\rContent-Length: 5", body=b"hello")),
    refused("bare CR in a name", request(b"X\r-A: 1")),
    refused("CR CR LF", request(b"X-A: 1\r")),
    refused("space before the colon", request(b"Content-Length : 5", body=b"hello")),
    refused("tab before the colon", request(b"Content-Length\t: 5", body=b"hello")),
    refused("space before the name", request(line=b"GET " + RUN + b" HTTP/1.1\r\n Content-Length: 5")),
    refused("no colon", request(b"X-A")),
    refused("no name", request(b": 5")),
    refused("NUL in a name", request(b"X\x00A: 1")),
    refused("NUL in a value", request(b"X-A: 1\x00")),
    refused("escape in a value", request(b"X-A: \x1b[0m")),
    refused("DEL in a value", request(b"X-A: \x7f")),
    refused("not ASCII in a name", request(b"Content-L\xc3\xa9ngth: 5")),
    refused("brackets in a name", request(b"X[A]: 1")),
    refused("an empty line first", b"\r\n" + request()),
    refused("a space first", b" " + request()),
    refused("a head longer than any", request(*[b"X-A: " + b"a" * 8000] * 17)),
    refused("a head without an end", request(b"X-A: " + b"a" * 140_000)),
    refused("more headers than any", request(*[b"X-A: 1"] * 101)),
)

HOSTS = (
    refused("no Host", request(host=b"")),
    refused("an empty Host", request(host=b"Host:")),
    refused("two Hosts", request(b"Host: other")),
    refused("two equal Hosts", request(b"Host: g")),
    refused("a Host hidden behind an underscore", request(b"X_Forwarded_Host: evil")),
    refused("two Hosts in one", request(host=b"Host: g, other")),
    refused("a Host with a path", request(host=b"Host: g/x")),
    refused("a Host with credentials", request(host=b"Host: a@g")),
    refused("a Host with a space", request(host=b"Host: g other")),
    refused("a Host with a long port", request(host=b"Host: g:123456")),
    refused("two Authorizations", request(KEY)),
    refused("two Authorizations in two cases", request(KEY.replace(b"A", b"a", 1))),
    refused("two X-API-Keys", request(*[b"X-API-Key: " + STAND_IN] * 2).replace(KEY + b"\r\n", b"")),
)

TARGETS = (
    refused("absolute form", target(b"http://g" + RUN)),
    refused("absolute form of another host", target(b"http://other" + RUN)),
    refused("absolute form, https", target(b"https://g" + RUN)),
    refused("authority form", target(b"g:80", b"CONNECT")),
    refused("CONNECT to a path", target(RUN, b"CONNECT")),
    refused("asterisk form", target(b"*", b"OPTIONS")),
    refused("asterisk form of a GET", target(b"*")),
    refused("no slash", target(b"api/mlflow")),
    refused("no target", request(line=b"GET HTTP/1.1")),
    refused("an empty target", request(line=b"GET  HTTP/1.1")),
    refused("two spaces before the version", request(line=b"GET " + RUN + b"  HTTP/1.1")),
    refused("a space in the target", target(RUN + b" x")),
    refused("a tab in the target", target(RUN + b"\tx")),
    refused("a NUL in the target", target(RUN + b"\x00")),
    refused("a CR in the target", target(RUN + b"\rX")),
    refused("a fragment", target(RUN + b"#x")),
    refused("not ASCII in the target", target(RUN + "é".encode())),
    refused("a method in lower case", target(RUN, b"get")),
    refused("a method that nobody knows", target(RUN, b"FROB")),
    refused("a method with a control character", target(RUN, b"GET\x00")),
    refused("a method with a colon", target(RUN, b"GE:T")),
)

VERSIONS = (
    refused("HTTP/0.9", b"GET " + RUN + b"\r\n"),
    refused("HTTP/0.9, named", version(b"HTTP/0.9")),
    refused("HTTP/1.2", version(b"HTTP/1.2")),
    refused("HTTP/2.0", version(b"HTTP/2.0")),
    refused("HTTP/1.1 x", version(b"HTTP/1.1 x")),
    refused("HTTP/1.10", version(b"HTTP/1.10")),
    refused("HTTP/1", version(b"HTTP/1")),
    refused("http/1.1", version(b"http/1.1")),
    refused("HTTPS/1.1", version(b"HTTPS/1.1")),
    refused("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    refused("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    refused("TE in HTTP/1.0", request(TE, line=b"POST " + RUN + b" HTTP/1.0", body=END + SMUGGLED)),
    refused(
        "an upgrade to h2c", request(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA")
    ),
    refused("an upgrade with a body", request(b"Connection: upgrade", b"Upgrade: h2c", CL5, body=b"hello" + SMUGGLED)),
    refused("an upgrade to websocket", request(b"Connection: Upgrade", b"Upgrade: websocket")),
)

CHUNKS = (
    refused("chunk size 0x5", chunked(b"0x5\r\nhello\r\n" + END)),
    refused("chunk size +5", chunked(b"+5\r\nhello\r\n" + END)),
    refused("chunk size -5", chunked(b"-5\r\nhello\r\n" + END)),
    refused("no chunk size", chunked(b"\r\nhello\r\n" + END)),
    refused("space after a chunk size", chunked(b"5 \r\nhello\r\n" + END)),
    refused("space before a chunk size", chunked(b" 5\r\nhello\r\n" + END)),
    refused("garbage after a chunk size", chunked(b"5x\r\nhello\r\n" + END)),
    refused("a chunk extension", chunked(b"5;a=b\r\nhello\r\n" + END)),
    refused("a chunk extension with a LF", chunked(b"5;\n0\r\n\r\n" + SMUGGLED)),
    refused("an extension of the last chunk", chunked(b"0;a\r\n\r\n" + SMUGGLED)),
    refused("bare LF after a chunk size", chunked(b"5\nhello\r\n" + END)),
    refused("bare LF after a chunk", chunked(b"5\r\nhello\n" + END)),
    refused("bare CR after a chunk size", chunked(b"5\rhello\r\n" + END)),
    refused("nothing after a chunk", chunked(b"5\r\nhello" + END)),
    refused("a chunk longer than its size", chunked(b"5\r\nhello!\r\n" + END)),
    refused("a chunk size over 64 bits", chunked(b"10000000000000005\r\nhello\r\n" + END)),
    refused("a chunk size of 64 bits", chunked(b"ffffffffffffffff\r\nhello\r\n" + END)),
    refused("a chunk size with many zeros", chunked(b"0" * 40 + b"5\r\nhello\r\n" + END)),
    refused("a last chunk with a bare LF", chunked(b"0\n\n" + SMUGGLED)),
    refused("a trailer with a bare LF", chunked(b"0\r\nX-A: 1\n\r\n" + SMUGGLED)),
    refused("a trailer that is folded", chunked(b"0\r\nX-A: 1\r\n b: 2\r\n\r\n")),
    refused("a trailer without a colon", chunked(b"0\r\nX-A\r\n\r\n")),
    refused("a trailer longer than any", chunked(b"0\r\nX-A: " + b"a" * 9000 + b"\r\n\r\n")),
    refused("a Content-Length in the trailer", chunked(b"0\r\nContent-Length: 5\r\n\r\n")),
    refused("a Transfer-Encoding in the trailer", chunked(b"0\r\nTransfer-Encoding: chunked\r\n\r\n")),
    refused("an Authorization in the trailer", chunked(b"0\r\nAuthorization: Bearer other\r\n\r\n")),
    refused("a Host in the trailer", chunked(b"0\r\nHost: other\r\n\r\n")),
)

PASSED = (
    passed("a plain POST", length(b"5"), b"hello"),
    passed("a plain chunked POST", chunked(HELLO), b"hello"),
    passed(
        "chunks with sizes in both cases",
        chunked(b"A\r\n" + b"a" * 10 + b"\r\nb\r\n" + b"b" * 11 + b"\r\n" + END),
        b"a" * 10 + b"b" * 11,
    ),
    passed("chunk sizes with a few zeros", chunked(b"0005\r\nhello\r\n000\r\n\r\n"), b"hello"),
    passed("no length at all", request()),
    passed("a request in a body", length(b"%d" % len(SMUGGLED), SMUGGLED), SMUGGLED),
    passed("a request in a chunk", chunked(b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n" + END), SMUGGLED),
    passed("the end of chunks in a body", length(b"10", END + END), END + END),
    passed("Chunked in upper case", request(b"Transfer-Encoding: CHUNKED", body=HELLO), b"hello"),
    passed("TE behind a tab", request(b"Transfer-Encoding:\tchunked", body=HELLO), b"hello"),
    passed("no space after the colon", request(b"Content-Length:5", body=b"hello"), b"hello"),
    passed("spaces before a length", request(b"Content-Length:  5", body=b"hello"), b"hello"),
    passed("a length in odd case", request(b"cOnTeNt-LeNgTh: 5", body=b"hello"), b"hello"),
    passed("a GET with a body", request(CL5, line=b"GET " + RUN + b" HTTP/1.1", body=b"hello"), b"hello"),
    passed("a GET with chunks", request(TE, line=b"GET " + RUN + b" HTTP/1.1", body=HELLO), b"hello"),
    passed(
        "a GET with a request as its body",
        request(b"Content-Length: %d" % len(SMUGGLED), line=b"GET " + RUN + b" HTTP/1.1", body=SMUGGLED),
        SMUGGLED,
    ),
    passed("a DELETE with a body", request(CL5, line=b"DELETE " + RUN + b" HTTP/1.1", body=b"hello"), b"hello"),
    passed("a Connection that names the length", request(b"Connection: content-length", CL5, body=b"hello"), b"hello"),
    passed("a Connection that names the encoding", request(b"Connection: transfer-encoding", TE, body=HELLO), b"hello"),
    passed("an Upgrade that nobody connects", request(b"Upgrade: h2c", CL5, body=b"hello"), b"hello"),
    passed("a trailer", chunked(b"5\r\nhello\r\n0\r\nX-Checksum: 1\r\n\r\n"), b"hello"),
    passed(
        "a trailer that forges an identity", chunked(b"5\r\nhello\r\n0\r\nX-Hokusai-User-Id: root\r\n\r\n"), b"hello"
    ),
    passed("an expectation, and its body at once", request(b"Expect: 100-continue", CL5, body=b"hello"), b"hello"),
    passed("an unknown expectation", request(b"Expect: miracles", CL5, body=b"hello"), b"hello"),
    passed("a TE header", request(b"TE: trailers, chunked", CL5, body=b"hello"), b"hello"),
    passed("an override of the method", request(b"X-HTTP-Method-Override: PUT", CL5, body=b"hello"), b"hello"),
    passed(
        "a header of another server's framing", request(b"X-Transfer-Encoding: chunked", CL5, body=b"hello"), b"hello"
    ),
)

CORPUS = (*TWO_FRAMINGS, *LENGTHS, *ENCODINGS, *LINES, *HOSTS, *TARGETS, *VERSIONS, *CHUNKS, *PASSED)
