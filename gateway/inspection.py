"""The few bodies that are read before they are forwarded: JSON that names paths, and GraphQL.

Such a body is held whole, up to a small size, and then handed on as if it had just arrived; every other body stays a
stream that nobody here looks at. A held body must be plain UTF-8 JSON without a key twice: what two parsers may read
differently is refused, not judged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.body import Message, Receive
from gateway.errors import (
    BadRequestError,
    BodyTooLargeError,
    ClientGoneError,
    ClientStalledError,
    CodedBodyError,
)
from gateway.exchange import Exchange
from gateway.graphql_query import check_query
from gateway.headers import first
from gateway.paths import check_location, check_name, check_source

KILOBYTE = 1024
MEGABYTE = 1024 * KILOBYTE
_WHERE = "the request's JSON"


@dataclass(frozen=True)
class Kind:
    """How a body is judged: ``cap`` in bytes is what a client of MLflow may need, and more.

    ``absolute`` allows ``path`` to be absolute; ``judge`` sees the whole once its paths are known to be good.
    """

    cap: int
    absolute: bool = False
    judge: Callable[[dict[str, Any]], None] | None = None


KINDS = {
    "json": Kind(64 * KILOBYTE),
    # Tags hold prompts of 100,000 characters, a model's JSON its signature.
    "json-large": Kind(MEGABYTE),
    # A multipart upload names the client's own file, of which MLflow takes the last part, and ends with the presigned
    # URLs of all its parts.
    "multipart": Kind(4 * MEGABYTE, absolute=True),
    "graphql": Kind(64 * KILOBYTE, judge=check_query),
}


async def inspect(exchange: Exchange, kind: Kind, patience: float) -> None:
    """Read the body, judge it, and leave the exchange as if nobody had read it.

    ``patience`` is the seconds it may take to arrive, from the request's own arrival. Raises BadRequestError,
    BodyTooLargeError, CodedBodyError, ClientStalledError or ClientGoneError.
    """
    coding = (first(exchange.headers, b"content-encoding") or b"identity").strip().lower()
    if coding not in {b"identity", b""}:
        raise CodedBodyError("This route's body names paths and must not be compressed.")
    declared = first(exchange.headers, b"content-length") or b"0"
    if declared.strip().isdigit() and int(declared) > kind.cap:
        raise _too_large(kind)
    try:
        async with asyncio.timeout_at(exchange.began + patience):
            body = await _whole(exchange.receive, kind)
    except TimeoutError:
        raise ClientStalledError(f"The request's body did not arrive within {patience:g} s.") from None
    exchange.receive = _again(body, exchange.receive)
    if body or kind.judge:
        parsed = _parse(body, kind)
        if kind.judge:
            kind.judge(parsed)


def _too_large(kind: Kind) -> BodyTooLargeError:
    return BodyTooLargeError(f"This route's body is judged before it is forwarded, and is over {kind.cap} bytes.")


async def _whole(receive: Receive, kind: Kind) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body += message.get("body", b"")
        if len(body) > kind.cap:
            raise _too_large(kind)
        more = message.get("more_body", False)
    return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """``receive`` as it was before ``body`` was read from it."""
    read: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return read.pop() if read else await receive()

    return receive_again


def _parse(body: bytes, kind: Kind) -> dict[str, Any]:
    def seen(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Called for every object, the innermost first."""
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise BadRequestError("The request's JSON has a key twice.")
        for key, value in pairs:
            _check_field(_plain(key), value, kind)
        return fields

    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=seen)
    except (ValueError, RecursionError):
        raise BadRequestError("The request's body is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise BadRequestError("The request's body is not one JSON object.")
    return value


def _plain(key: str) -> str:
    """Protobuf reads ``artifactLocation`` and ``artifact_location`` as one field."""
    return key.replace("_", "").lower()


def _check_field(field: str, value: object, kind: Kind) -> None:
    texts = value if isinstance(value, list) else [value]
    for text in (one.encode("utf-8", "surrogatepass") for one in texts if isinstance(one, str)):
        if field in _NAMES:
            check_name(text, _WHERE, absolute=kind.absolute and field == "path")
        elif field in _LOCATIONS:
            check_location(text, _WHERE)
        elif field == "source":
            check_source(text, _WHERE)


_NAMES = frozenset({"path", "artifactpath", "artifactdirectorypath", "artifactfilepath", "runid", "runuuid", "modelid"})
_LOCATIONS = frozenset({"artifactlocation", "defaultartifactroot"})
