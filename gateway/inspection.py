"""The few bodies that are judged before they are forwarded: JSON that names paths or tags, GraphQL, and OTLP's traces.

JSON is held whole, up to a small size, and then handed on as if it had just arrived; traces are looked at as they pass;
every other body stays a stream that nobody here looks at. A held body must be plain UTF-8 JSON without a key twice:
what two parsers may read differently is refused, not judged.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gateway.body import Message, Receive
from gateway.errors import (
    BodyTooLargeError,
    BusyError,
    ClientGoneError,
    ClientStalledError,
    CodedBodyError,
)
from gateway.exchange import Exchange
from gateway.graphql_query import check_query
from gateway.headers import first
from gateway.json_body import Rules, judge, parse
from gateway.trace_stream import TraceScan

KILOBYTE = 1024
MEGABYTE = 1024 * KILOBYTE

MOST_HELD = 64 * MEGABYTE
"""Bytes of bodies held at a time, of all requests; ``MOST_OF_A_KEY`` of them of one key's."""
MOST_OF_A_KEY = MOST_HELD // 4

_RETRY_AFTER = 1.0
NO_EXCEPTION = Rules()


@dataclass(frozen=True)
class Kind:
    """How a body is judged: ``cap`` in bytes is what a client of MLflow may need, and more.

    ``judge`` sees the whole as a dict, in which objects are dicts of tuples, once its fields are known to be good.
    """

    cap: int
    rules: Rules = NO_EXCEPTION
    judge: Callable[[dict[str, Any]], None] | None = None


_ARCHIVE = "mlflow.trace.archivelocation"

KINDS = {
    "json": Kind(64 * KILOBYTE),
    # Tags hold prompts of 100,000 characters, a model's JSON its signature.
    "json-large": Kind(MEGABYTE),
    # A multipart upload names the client's own file, of which MLflow takes the last part, and ends with the presigned
    # URLs of all its parts.
    "multipart": Kind(256 * KILOBYTE, Rules(absolute=True)),
    "multipart-end": Kind(4 * MEGABYTE, Rules(absolute=True)),
    # From MLflow 3.18 on a schedule is a tag of its experiment.
    "experiment": Kind(MEGABYTE, Rules(jobs=frozenset({"mlflow.issuedetection.schedule"}))),
    "graphql": Kind(64 * KILOBYTE, judge=check_query),
    # MLflow itself overwrites the other tags of a new trace, which a copy of an older one may well have.
    "trace": Kind(MEGABYTE, Rules(tags=frozenset({_ARCHIVE}))),
    "trace-tags": Kind(
        MEGABYTE, Rules(tags=frozenset({_ARCHIVE, "mlflow.artifactlocation", "mlflow.trace.spanslocation"}))
    ),
}
OTLP = "otlp"
"""The kind of a body that is not held."""


class Inspector:
    """``patience`` is the seconds a held body may take to arrive, from its request's own arrival; ``local`` allows
    artifacts on MLflow's own disk, and ``jobs`` tags that have the server run something."""

    def __init__(self, patience: float, *, local: bool, jobs: bool) -> None:
        self._patience = patience
        self._kinds = {name: replace(kind, rules=_allowing(kind.rules, local, jobs)) for name, kind in KINDS.items()}
        self._held: Counter[str] = Counter()
        self._held_of_all = 0

    async def inspect(self, exchange: Exchange, kind: str) -> None:
        """Read the body, judge it, and leave the exchange as if nobody had read it.

        Raises BadRequestError, FeatureDisabledError, BodyTooLargeError, CodedBodyError, BusyError, ClientStalledError
        or ClientGoneError. ``release`` must follow when the exchange is over.
        """
        codings = [value.strip().lower() for name, value in exchange.headers if name == b"content-encoding"]
        coding = b", ".join(codings)
        if kind == OTLP:
            exchange.receive = TraceScan(coding, exchange.receive).receive
            return
        if coding not in {b"identity", b""}:
            raise CodedBodyError("This route's body names paths and must not be compressed.")
        await self._judge(exchange, self._kinds[kind])

    async def _judge(self, exchange: Exchange, kind: Kind) -> None:
        declared = first(exchange.headers, b"content-length") or b"0"
        if declared.strip().isdigit() and int(declared) > kind.cap:
            raise _too_large(kind)
        try:
            async with asyncio.timeout_at(exchange.began + self._patience):
                body = await self._whole(exchange, kind)
        except TimeoutError:
            raise ClientStalledError(f"The request's body did not arrive within {self._patience:g} s.") from None
        exchange.receive = _again(body, exchange.receive)
        if body or kind.judge:
            fields = parse(body)
            await judge(fields, kind.rules)
            if kind.judge:
                kind.judge({key: dict(value) if isinstance(value, tuple) else value for key, value in fields})

    async def _whole(self, exchange: Exchange, kind: Kind) -> bytes:
        body = bytearray()
        more = True
        while more:
            message = await exchange.receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            piece = message.get("body", b"")
            body += piece
            if len(body) > kind.cap:
                raise _too_large(kind)
            more = message.get("more_body", False)
            self._hold(exchange, len(piece))
        return bytes(body)

    def _hold(self, exchange: Exchange, size: int) -> None:
        self._held_of_all += size
        self._held[exchange.key_id] += size
        exchange.held += size
        if self._held_of_all > MOST_HELD or self._held[exchange.key_id] > MOST_OF_A_KEY:
            raise BusyError("This service holds as many bodies to judge as it may.", _RETRY_AFTER)

    def release(self, exchange: Exchange) -> None:
        """The exchange is over, and nobody holds its body any more."""
        if exchange.held:
            self._held_of_all -= exchange.held
            self._held[exchange.key_id] -= exchange.held
            if not self._held[exchange.key_id]:
                del self._held[exchange.key_id]


def _allowing(rules: Rules, local: bool, jobs: bool) -> Rules:
    return replace(rules, local=local, jobs=frozenset() if jobs else rules.jobs)


def _too_large(kind: Kind) -> BodyTooLargeError:
    return BodyTooLargeError(f"This route's body is judged before it is forwarded, and is over {kind.cap} bytes.")


def _again(body: bytes, receive: Receive) -> Receive:
    """``receive`` as it was before ``body`` was read from it."""
    read: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return read.pop() if read else await receive()

    return receive_again
