"""Outbound connections: one session per hop, and what a failed one means in words."""

from __future__ import annotations

import errno
import os
import ssl
from dataclasses import dataclass

import aiohttp
import aiohttp_socks

from gateway.config import Config

KEEP_ALIVE = 3.0
"""Seconds an idle connection is kept. Below the 5 s after which uvicorn (MLflow's and the auth service's server)
closes its end: a request sent into a closing connection fails, and a POST must not be repeated."""

DNS_TTL = 10
"""Seconds; the TTL of Cloud Map's A records."""

MAX_HEAD = 65_536
"""Bytes of one line of a response's head; aiohttp's default of 8,190 is less than MLflow's Location headers reach."""

_READ_BUFFER = 128 * 1024

FAILURES = (
    aiohttp.ClientError,
    aiohttp_socks.ProxyError,
    aiohttp_socks.ProxyConnectionError,
    aiohttp_socks.ProxyTimeoutError,
    aiohttp.http_exceptions.HttpProcessingError,
    OSError,
    TimeoutError,
    ssl.SSLError,
)
"""Everything a request on such a session can raise because of the other end (and not because of us)."""


def open_session(config: Config, total: float | None = None) -> aiohttp.ClientSession:
    """A session that adds nothing, follows nothing, stores nothing and repeats nothing by itself."""
    session = aiohttp.ClientSession(
        connector=_connector(config),
        timeout=aiohttp.ClientTimeout(total=total, sock_connect=config.connect_timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        read_bufsize=_READ_BUFFER,
        max_line_size=MAX_HEAD,
        max_field_size=MAX_HEAD,
    )
    # aiohttp repeats PUT and DELETE on a lost connection, and offers no public way to say no.
    session._retry_connection = False
    return session


def _connector(config: Config) -> aiohttp.BaseConnector:
    proxy = config.outbound_proxy
    if proxy is None:
        return aiohttp.TCPConnector(limit=config.max_connections, keepalive_timeout=KEEP_ALIVE, ttl_dns_cache=DNS_TTL)
    connector: aiohttp.BaseConnector = aiohttp_socks.ProxyConnector(
        host=proxy.host,
        port=proxy.port,
        username=proxy.username or None,
        password=proxy.password or None,
        rdns=True,
        limit=config.max_connections,
        keepalive_timeout=KEEP_ALIVE,
    )
    return connector


@dataclass(frozen=True)
class Failure:
    """Why no answer came. ``timed_out`` is a 504, anything else a 502; ``stale`` means a retry may help."""

    reason: str
    timed_out: bool = False
    stale: bool = False


def explain(error: BaseException, connect_timeout: float) -> Failure:
    """Put a connection failure in words that name its likely cause. Never contains headers or proxy credentials."""
    if isinstance(error, (aiohttp.ConnectionTimeoutError, aiohttp_socks.ProxyTimeoutError)):
        reason = f"no connection within {connect_timeout:g} s: packets are dropped (security group, or a dead address)"
        return Failure(reason, timed_out=True)
    if isinstance(error, aiohttp_socks.ProxyError):
        return _explain_socks(error.error_code)
    for kind, failure in _REASONS:
        if isinstance(error, kind):
            return failure
    if isinstance(error, aiohttp.ClientConnectorError):
        return _explain_connect(error.os_error)
    if isinstance(error, (aiohttp.ClientConnectionError, OSError)):
        return Failure("the connection was closed before an answer came", stale=True)
    return Failure("the answer was not valid HTTP")


_REASONS: tuple[tuple[type[BaseException], Failure], ...] = (
    (TimeoutError, Failure("no answer in time", timed_out=True)),
    (aiohttp_socks.ProxyConnectionError, Failure("the outbound proxy (ALL_PROXY) cannot be reached")),
    (aiohttp.ClientConnectorDNSError, Failure("cannot resolve or reach the host name")),
    (aiohttp.ClientSSLError, Failure("the TLS handshake failed")),
    (ssl.SSLError, Failure("the TLS handshake failed")),
)
"""From the special to the general: most of these are kinds of what ``explain`` looks at last."""


def _explain_connect(error: OSError) -> Failure:
    if error.errno == errno.ECONNREFUSED:
        return Failure("connection refused", stale=True)
    reason = os.strerror(error.errno).lower() if error.errno else "unknown reason"
    return Failure(f"cannot connect: {reason}")


def _explain_socks(code: int | None) -> Failure:
    """Reply codes of RFC 1928, section 6."""
    if code == 5:
        return Failure("connection refused", stale=True)
    if code == 2:
        return Failure("the outbound proxy does not allow the connection")
    return Failure(f"cannot resolve or reach the host (SOCKS reply {code})")
