"""The load balancers' listeners as servers on loopback, kept equal to what the control plane says."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from sandbox.dataplane.fabric import LOCALHOST, ListenerPorts
from sandbox.dataplane.front import Front, Place, Site
from sandbox.dataplane.seam import World
from sandbox.dataplane.tls import CertificateChooser
from sandbox.model import Certificate, Listener, LoadBalancer

logger = logging.getLogger(__name__)

BACKLOG = 1024
HANDSHAKE_SECONDS = 10.0


class HttpServer:
    """uvicorn's HTTP protocol on a loopback port of its own, without uvicorn's process handling.

    `uvicorn.Server` wants signals and a ticking main loop; a listener needs neither.
    """

    def __init__(self, app: object, keep_alive: float, tls: CertificateChooser | None = None) -> None:
        self.tls = tls
        self._config = quiet_config(app, keep_alive)
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        context = self.tls.context if self.tls else None
        loop = asyncio.get_running_loop()
        handshake = HANDSHAKE_SECONDS if context else None
        self._server = await loop.create_server(
            self.protocol, LOCALHOST, 0, ssl=context, ssl_handshake_timeout=handshake, backlog=BACKLOG
        )
        return int(self._server.sockets[0].getsockname()[1])

    def protocol(self) -> HttpToolsProtocol:
        """A new connection's protocol; also for connections that were accepted elsewhere."""
        return HttpToolsProtocol(config=self._config, server_state=self._state, app_state={})

    async def stop(self) -> None:
        """Stop listening and end every connection, idle or not."""
        if self._server:
            self._server.close()
        tasks = tuple(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in tuple(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()


def quiet_config(app: object, keep_alive: float) -> Config:
    """uvicorn as a parser only: our own logs, our own headers, no extra protocols."""
    config = Config(
        app,  # type: ignore[arg-type]
        http=HttpToolsProtocol,
        ws="none",
        loop="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=max(1, round(keep_alive)),
    )
    config.load()
    return config


class LoadBalancers:
    """All listeners of all load balancers; `ports` tells the fabric where they are."""

    def __init__(self, world: World, ports: ListenerPorts, site: Site) -> None:
        self._world = world
        self._ports = ports
        self._site = site
        self._servers: dict[tuple[str, str], tuple[HttpServer, int]] = {}
        self._seen: tuple[LoadBalancer, ...] = ()
        self._places: dict[str, Place] = {}

    async def reconcile(self) -> None:
        """Start, update and stop servers until they are the listeners that exist."""
        wanted = {(listener.arn, listener.protocol): listener for _, listener in self._current().values()}
        for key in self._servers.keys() - wanted.keys():
            server, _ = self._servers.pop(key)
            await server.stop()
        for key, listener in wanted.items():
            await self._provide(key, listener)
        ports = {
            (balancer.arn, listener.port): self._servers[listener.arn, listener.protocol][1]
            for balancer, listener in self._current().values()
            if (listener.arn, listener.protocol) in self._servers
        }
        self._ports.clear()
        self._ports.update(ports)

    async def stop(self) -> None:
        self._ports.clear()
        for server, _ in self._servers.values():
            await server.stop()
        self._servers.clear()

    def _current(self) -> dict[str, Place]:
        balancers = self._world.load_balancers()
        if balancers is not self._seen:
            self._places = {listener.arn: (item, listener) for item in balancers for listener in item.listeners}
            self._seen = balancers
        return self._places

    def _place(self, arn: str) -> Place | None:
        return self._current().get(arn)

    async def _provide(self, key: tuple[str, str], listener: Listener) -> None:
        certificates = self._certificates(listener) if listener.protocol == "HTTPS" else ()
        running = self._servers.get(key)
        if running is not None:
            if running[0].tls and certificates:
                running[0].tls.certificates = certificates
            return
        if listener.protocol == "HTTPS" and not certificates:
            return
        place = self._place(listener.arn)
        keep_alive = place[0].idle_timeout if place else 60.0
        tls = CertificateChooser(certificates) if certificates else None
        server = HttpServer(Front(self._site, partial(self._place, listener.arn)), keep_alive, tls)
        self._servers[key] = (server, await server.start())
        logger.info("listener %s on loopback port %d", listener.arn, self._servers[key][1])

    def _certificates(self, listener: Listener) -> tuple[Certificate, ...]:
        found = []
        for arn in listener.certificates:
            try:
                found.append(self._world.certificate(arn))
            except LookupError:
                logger.warning("listener %s: certificate %s does not exist", listener.arn, arn)
        return tuple(found)
