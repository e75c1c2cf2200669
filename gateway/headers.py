"""Which headers pass, and which end here.

Hop-by-hop headers are RFC 9110, 7.6.1. Everything else passes unchanged and in order, repeated ones too, except what
a client must not say about itself: its key, who it is, and where it comes from.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from gateway.errors import BadRequestError
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
_SET_HERE = frozenset(
    {
        b"authorization",
        b"expect",
        b"forwarded",
        b"host",
        b"x-api-key",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-real-ip",
        b"x-request-id",
    }
)
_IDENTITY_PREFIX = b"x-hokusai-"
_NEVER_NAMED = frozenset({b"content-length", b"content-type", b"content-encoding", b"host"})
"""A Connection header that names one of these would change what the message means; it is ignored."""


def first(headers: Headers, name: bytes) -> bytes | None:
    return next((value for header, value in headers if header == name), None)


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    values = [value for name, value in headers if name == b"connection"]
    if not values:
        return frozenset()
    tokens = {token.strip().lower() for value in values for token in value.split(b",")}
    return frozenset(tokens) - _NEVER_NAMED


@dataclass(frozen=True)
class Origin:
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
        said = [
            part.strip() for name, value in headers if name == b"x-forwarded-for" for part in _text(value).split(",")
        ]
        said = [part for part in said if part]
        client_ip = said[-trusted_proxies] if 0 < trusted_proxies <= len(said) else peer
        proto = _text(first(headers, b"x-forwarded-proto") or b"").lower() if trusted_proxies else ""
        return cls(
            client_ip=client_ip if _is_address(client_ip) else peer,
            forwarded_for=", ".join([*said, peer]),
            proto=proto if proto in {"http", "https"} else scheme,
            host=_text(first(headers, b"host") or b""),
        )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def to_upstream(headers: Headers, identity: Identity, origin: Origin, request_id: str) -> list[tuple[str, str]]:
    """The headers MLflow gets. ``Host`` is left to the client library: the upstream's own host and port."""
    dropped = HOP_BY_HOP | _SET_HERE | _named_by_connection(headers)
    passed = [
        (_text(name), _text(value))
        for name, value in headers
        if name not in dropped
        and not name.replace(b"_", b"-").startswith(_IDENTITY_PREFIX)
        and not (name == b"origin" and _is_same_origin(value, origin))
    ]
    return [*passed, *_identity(identity), *_forwarded(origin), ("X-Request-Id", request_id)]


def _is_same_origin(value: bytes, origin: Origin) -> bool:
    """MLflow compares Origin with its own list, not with Host, so it would refuse the writes of its own UI."""
    try:
        return urlsplit(_text(value)).netloc.lower() == origin.host.lower()
    except ValueError:  # an address in brackets that is none: nobody's origin, and MLflow may judge it
        return False


def _identity(identity: Identity) -> Iterable[tuple[str, str]]:
    yield "X-Hokusai-User-Id", _visible(identity.user_id)
    yield "X-Hokusai-Key-Id", _visible(identity.key_id)
    yield "X-Hokusai-Service-Id", _visible(identity.service_id)
    yield "X-Hokusai-Scopes", _visible(" ".join(sorted(identity.scopes)))


def _forwarded(origin: Origin) -> Iterable[tuple[str, str]]:
    yield "X-Forwarded-For", origin.forwarded_for
    yield "X-Forwarded-Proto", origin.proto
    if origin.host:
        yield "X-Forwarded-Host", origin.host


def _visible(text: str) -> str:
    """Keep a header one line of ASCII whatever the auth service put in."""
    return quote(text, safe=" !#$&'()*+,/:;=?@[]{}|~-._")


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequestError("A request header is not UTF-8.") from None


def to_client(headers: Iterable[tuple[bytes, bytes]], status: int) -> Headers:
    """The upstream's headers without those of its connection to us; ``Date`` is set by our own server.

    A 204 or 304 has no body, and uvicorn counts the missing bytes of a Content-Length as a broken answer.
    """
    lower = [(name.lower(), value) for name, value in headers]
    dropped = HOP_BY_HOP | _named_by_connection(lower) | {b"date", b"x-request-id"}
    if status in {204, 304}:
        dropped |= {b"content-length"}
    return [(name, value) for name, value in lower if name not in dropped]
