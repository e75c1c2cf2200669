"""Which headers pass, and which end here.

Hop-by-hop headers are RFC 9110, 7.6.1. Everything else passes unchanged and in order, repeated ones too, except what
a client must not say about itself: its key, who it is, and where it comes from.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from gateway.identity import Identity

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
WAY = frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-real-ip",
    }
)
"""What proxies say about the way that a request came."""

_SET_HERE = WAY | {b"authorization", b"expect", b"host", b"x-api-key", b"x-request-id"}
_DROPPED = HOP_BY_HOP | _SET_HERE
_IDENTITY_PREFIX = b"x-hokusai-"
_NOTHING = frozenset[bytes]()
_PLAIN = frozenset({b"keep-alive", b"close"})
_NOT_ANSWERED = HOP_BY_HOP | {b"date", b"x-request-id"}
_NEVER_NAMED = frozenset({b"content-length", b"content-type", b"content-encoding", b"host"})
"""A Connection header that names one of these would change what the message means; it is ignored."""


def first(headers: Headers, name: bytes) -> bytes | None:
    for header, value in headers:
        if header == name:
            return value
    return None


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    """What the Connection header names; ``keep-alive`` and ``close`` alone name nothing."""
    named = _NOTHING
    for name, value in headers:
        if name == b"connection" and value not in _PLAIN and value.lower() not in _PLAIN:
            named |= frozenset(token.strip().lower() for token in value.split(b",")) - _NEVER_NAMED
    return named


class Origin(NamedTuple):
    """Where a request came from, as told to the auth service and to MLflow."""

    client_ip: str
    forwarded_for: str
    proto: str
    host: str

    @classmethod
    def of(cls, headers: Headers, peer: str, scheme: str, trusted_proxies: int) -> Origin:
        """Believe the last ``trusted_proxies`` entries of X-Forwarded-For, and nothing further left.

        Each trusted proxy appends the address it saw, so the client's is that many from the right.
        """
        said: list[str] = []
        proto = host = ""
        for name, value in headers:
            if name == b"x-forwarded-for":
                said += [part.strip() for part in _text(value).split(",") if part.strip()]
            elif name == b"x-forwarded-proto":
                proto = proto or _text(value).lower()
            elif name == b"host":
                host = host or _text(value)
        client_ip = said[-trusted_proxies] if 0 < trusted_proxies <= len(said) else peer
        return cls(
            client_ip=client_ip if _is_address(client_ip) else peer,
            forwarded_for=", ".join([*said, peer]),
            proto=proto if trusted_proxies and proto in {"http", "https"} else scheme,
            host=host,
        )


@lru_cache(maxsize=4096)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def to_upstream(headers: Headers, identity: Identity, origin: Origin, request_id: str) -> Headers:
    """The headers MLflow gets. ``Host`` and framing are the upstream's to add."""
    named = _named_by_connection(headers)
    dropped = _DROPPED | named if named else _DROPPED
    passed = [
        (name, value)
        for name, value in headers
        if name not in dropped
        and not (name.startswith(b"x") and name.replace(b"_", b"-").startswith(_IDENTITY_PREFIX))
        and not (name == b"origin" and _is_same_origin(value, origin))
    ]
    return [*passed, *_identity(identity), *_forwarded(origin), (b"x-request-id", request_id.encode())]


def _is_same_origin(value: bytes, origin: Origin) -> bool:
    """MLflow compares Origin with its own list, not with Host, so it would refuse the writes of its own UI."""
    try:
        return urlsplit(_text(value)).netloc.lower() == origin.host.lower()
    except ValueError:  # an address in brackets that is none: nobody's origin, and MLflow may judge it
        return False


@lru_cache(maxsize=1024)
def _identity(identity: Identity) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"x-hokusai-user-id", _visible(identity.user_id)),
        (b"x-hokusai-key-id", _visible(identity.key_id)),
        (b"x-hokusai-service-id", _visible(identity.service_id)),
        (b"x-hokusai-scopes", _visible(" ".join(sorted(identity.scopes)))),
    )


def _forwarded(origin: Origin) -> Iterable[tuple[bytes, bytes]]:
    yield b"x-forwarded-for", origin.forwarded_for.encode("latin-1")
    yield b"x-forwarded-proto", origin.proto.encode()
    if origin.host:
        yield b"x-forwarded-host", origin.host.encode("latin-1")


def _visible(text: str) -> bytes:
    """Keep a header one line of ASCII whatever the auth service put in."""
    return quote(text, safe=" !#$&'()*+,/:;=?@[]{}|~-._").encode()


def _text(value: bytes) -> str:
    """Every byte has a character: what is not ASCII arrives as it was sent."""
    return value.decode("latin-1")


def to_client(headers: Headers, status: int) -> Headers:
    """The upstream's headers without those of its connection to us; ``Date`` is set by our own server.

    A 204 or 304 has no body, and uvicorn counts the missing bytes of a Content-Length as a broken answer.
    """
    named = _named_by_connection(headers)
    dropped = _NOT_ANSWERED | named if named else _NOT_ANSWERED
    if status in {204, 304}:
        dropped |= {b"content-length"}
    return [(name, value) for name, value in headers if name not in dropped]
