"""The data plane as one thing to start and stop: one event loop in one thread."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path

from sandbox.dataplane.accesslog import AccessLog
from sandbox.dataplane.alb import LoadBalancers
from sandbox.dataplane.balancing import Balancer
from sandbox.dataplane.fabric import LOCALHOST, Fabric, ListenerPorts
from sandbox.dataplane.front import Site
from sandbox.dataplane.internet import InternetProxy
from sandbox.dataplane.metrics import Metrics
from sandbox.dataplane.prober import Prober
from sandbox.dataplane.relay import client_session
from sandbox.dataplane.seam import World
from sandbox.dataplane.socks import SocksServer

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.2
START_SECONDS = 30.0


class DataPlane:
    """Fabric, load balancers, prober and internet of one sandbox.

    `pace` divides the control loops' periods (health checks, draining); traffic keeps real time.
    Started once and stopped once; both calls block until done.
    """

    def __init__(self, world: World, pace: float, state_dir: Path | str) -> None:
        self._world = world
        self._pace = pace
        self._state_dir = Path(state_dir)
        self._token = secrets.token_urlsafe(24)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finish = asyncio.Event()
        self._ready: Future[tuple[int, int]] = Future()

    @property
    def proxy_url(self) -> str:
        """For `HTTP_PROXY` and `HTTPS_PROXY`: the internet."""
        return f"http://{LOCALHOST}:{self._ports()[1]}"

    def fabric_url(self, interface_address: str) -> str:
        """For `ALL_PROXY` of the task whose network interface has this address."""
        return f"socks5h://{interface_address}:{self._token}@{LOCALHOST}:{self._ports()[0]}"

    def start(self) -> None:
        """Returns when everything listens; raises what kept it from listening."""
        self._thread = threading.Thread(target=self._run, name="data-plane", daemon=True)
        self._thread.start()
        self._ports()

    def stop(self) -> None:
        """Ends every connection, task and socket; harmless when it is not running."""
        if self._thread is None or self._loop is None:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._finish.set)
            self._thread.join()
        self._thread = None

    def _ports(self) -> tuple[int, int]:
        return self._ready.result(START_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=_new_loop()) as runner:
            self._loop = runner.get_loop()
            try:
                runner.run(self._live())
            except Exception as error:
                if self._ready.done():
                    raise
                self._ready.set_exception(error)

    async def _live(self) -> None:
        async with AsyncExitStack() as stack:
            log = AccessLog(self._state_dir / "logs" / "alb.jsonl")
            stack.callback(log.close)
            session = await stack.enter_async_context(client_session())
            ports: ListenerPorts = {}
            fabric = Fabric(self._world, ports)
            metrics = Metrics(self._world, self._pace)
            balancers = LoadBalancers(self._world, ports, Site(self._world, fabric, session, Balancer(), log, metrics))
            prober = Prober(self._world, fabric, session, self._pace)
            socks = SocksServer(fabric, self._token)
            internet = InternetProxy(fabric, session)
            for part in (balancers, prober, socks, internet):
                stack.push_async_callback(part.stop)
            await balancers.reconcile()
            self._ready.set_result((await socks.start(), await internet.start()))
            await self._keep(
                balancers.reconcile, *map(_as_async, (prober.reconcile, socks.reconcile, metrics.reconcile))
            )

    async def _keep(self, *duties: Callable[[], Awaitable[None]]) -> None:
        """Let each part follow the world, until told to finish; one that fails is tried again."""
        while not self._finish.is_set():
            for duty in duties:
                try:
                    await duty()
                except Exception:
                    logger.exception("the data plane could not follow the control plane")
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._finish.wait()
            except TimeoutError:
                continue


def _as_async(duty: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        duty()

    return run


def _new_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
