"""The process's server: uvicorn's loop, signals and drain around this package's own connections."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from email.utils import formatdate

import uvicorn

from gateway.client_connection import Settings
from gateway.errors import ConfigError
from gateway.log import event

SWEEP_EVERY = 5
"""Ticks of uvicorn's main loop (0.1 s each) between two looks at the connections' deadlines."""


class Server(uvicorn.Server):
    config: Settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say where it listens once it does; with GATEWAY_PORT=0 nobody else knows."""
        await super().startup(sockets)
        for listener in (found for server in self.servers for found in server.sockets):
            address = listener.getsockname()
            event("listening", {"host": address[0], "port": address[1]})

    async def on_tick(self, counter: int) -> bool:
        clients = self.config.clients
        if counter % 10 == 0:
            clients.date = date_line(time.time())
        if counter % SWEEP_EVERY == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(clients.open):
                connection.sweep(now)
        return await super().on_tick(counter)


def check_address(host: str) -> None:
    """Raises ConfigError when this machine cannot listen there, whatever the port."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as trial:
                trial.bind(address)
    except (OSError, UnicodeError):
        raise ConfigError("GATEWAY_HOST is not an address of this machine's") from None


def allow_files(wanted: int) -> str:
    """Raise this process's limit of open files to ``wanted`` as far as it may; what is missing, in words."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = wanted
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        if soft < wanted:
            return f"{soft} files may be open, and {wanted} may be wanted: lower GATEWAY_MAX_CLIENTS or raise nofile"
    return ""


def date_line(now: float) -> bytes:
    return f"date: {formatdate(now, usegmt=True)}\r\n".encode()
