"""New connections to one server: name, address, outbound proxy, TLS.

The name is resolved for every connection and no answer is kept, so that a task that moved is found as soon as Cloud Map
says so; the pool lets no connection grow older than the record's time to live.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
from python_socks.async_.asyncio import Proxy

from gateway.config import SocksProxy
from gateway.failure import HANDSHAKE, PROXY_FORBIDS, PROXY_GONE, REFUSED, UNRESOLVED, Failure, HopError, dropped
from gateway.upstream_connection import Connection


@dataclass(frozen=True)
class Origin:
    """``authority`` is what goes into ``Host``: with a port when the URL has one."""

    scheme: str
    host: str
    port: int
    authority: str

    @classmethod
    def of(cls, url: str) -> Origin:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(parts.scheme, parts.hostname or "", port, parts.netloc)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


class Dialer:
    """``timeout`` is what a connection may take in all: seconds, TLS and outbound proxy included."""

    def __init__(
        self, origin: Origin, timeout: float, proxy: SocksProxy | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.origin = origin
        self.timeout = timeout
        self._proxy = proxy
        self._tls = (tls or ssl.create_default_context()) if origin.scheme == "https" else None

    async def dial(self) -> Connection:
        """Raises HopError."""
        try:
            async with asyncio.timeout(self.timeout):
                return await (self._through_proxy(self._proxy) if self._proxy else self._direct())
        except TimeoutError:
            raise HopError(dropped(self.timeout)) from None
        except OSError as error:
            raise HopError(_explain(error)) from None

    async def _direct(self) -> Connection:
        """Each address has its share of the time: one that is dead must not use up that of the others."""
        addresses = await self._addresses()
        share = self.timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                async with asyncio.timeout(share):
                    return await self._connect(host=address, port=self.origin.port)
            except (TimeoutError, OSError):
                continue
        return await self._connect(host=addresses[-1], port=self.origin.port)

    async def _addresses(self) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.origin.host, self.origin.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise HopError(UNRESOLVED) from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        random.shuffle(addresses)  # every task of several is to get its part
        return addresses

    async def _connect(self, **where: Any) -> Connection:
        loop = asyncio.get_running_loop()
        name = self.origin.host if self._tls else None
        _, connection = await loop.create_connection(Connection, ssl=self._tls, server_hostname=name, **where)
        return connection

    async def _through_proxy(self, proxy: SocksProxy) -> Connection:
        """The proxy resolves the name: in a private network nobody else can."""
        socks = Proxy(
            ProxyType.SOCKS5, proxy.host, proxy.port, proxy.username or None, proxy.password or None, rdns=True
        )
        try:
            sock = await socks.connect(self.origin.host, self.origin.port)
        except ProxyTimeoutError:
            raise HopError(dropped(self.timeout)) from None
        except ProxyConnectionError:
            raise HopError(PROXY_GONE) from None
        except ProxyError as error:
            raise HopError(_explain_socks(error.error_code)) from None
        return await self._connect(sock=sock)


def _explain(error: OSError) -> Failure:
    if isinstance(error, ssl.SSLError):
        return HANDSHAKE
    if error.errno == errno.ECONNREFUSED:
        return REFUSED
    reason = os.strerror(error.errno).lower() if error.errno else "unknown reason"
    return Failure(f"cannot connect: {reason}")


def _explain_socks(code: int | None) -> Failure:
    """Reply codes of RFC 1928, section 6."""
    if code == 5:
        return REFUSED
    if code == 2:
        return PROXY_FORBIDS
    return Failure(f"cannot resolve or reach the host (SOCKS reply {code})")
