"""The ASGI application: which answer a request gets, in the order the questions are asked."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, closing

from gateway import __version__, openapi
from gateway.auth_service import AuthService
from gateway.authenticator import Authenticator
from gateway.authorisation import Authorisation
from gateway.body import Receive
from gateway.client_connection import Clients
from gateway.config import Config
from gateway.credentials import presented_key, presents_any
from gateway.errors import (
    BrokenResponseError,
    BusyError,
    ClientGoneError,
    GatewayError,
    MethodNotAllowedError,
    NotFoundError,
)
from gateway.exchange import Exchange, Scope, Send
from gateway.headers import Headers, Origin
from gateway.health import READY_PATIENCE, Finding, auth_probe, mlflow_probe
from gateway.log import LOG, access, event
from gateway.metrics import CONTENT_TYPE, Hop, Metrics
from gateway.mounts import PREFIX, Target, find_target
from gateway.paths import check_target
from gateway.proxy import Proxy
from gateway.rate_limit import RateLimiter
from gateway.routes import READ
from gateway.static_prefix import StaticPrefix
from gateway.upstream import Upstream, UpstreamRequest

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CLIENT_GONE = 499
OPEN_BUT_ABSENT = frozenset({b"/health/alb", b"/docs", b"/favicon.ico"})
"""Paths that need no key (platform.md) and that this service does not serve."""

_DESCRIPTION = openapi.text().encode()
_PREFLIGHT: Headers = [(b"allow", ", ".join(sorted(METHODS)).encode())]
Page = Callable[[Exchange], Awaitable[None]]


class Gateway:
    """Built once the event loop runs (ASGI lifespan), since its connections belong to a loop."""

    def __init__(self, config: Config, clients: Clients | None = None) -> None:
        self._config = config
        self._clients = clients or Clients()
        self._metrics = Metrics()
        self._authorisation = Authorisation(config)
        self._resources = ExitStack()
        self._pages: dict[bytes, Page] = {
            b"/health": self._alive,
            b"/live": self._alive,
            b"/ready": self._ready,
            b"/version": self._version,
            b"/metrics": self._measures,
            b"/api/health/mlflow": self._mlflow_health,
            b"/openapi.json": self._description,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        exchange = Exchange(scope, receive, send)
        self._metrics.in_flight += 1
        try:
            await self._handle(exchange)
        finally:
            self._metrics.in_flight -= 1
            self._metrics.count(exchange)
            access(exchange.record())

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._connect()
        gc.collect()
        gc.freeze()  # what is here by now stays; a collection need not look at it again
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._resources.close()
        await send({"type": "lifespan.shutdown.complete"})

    def _connect(self) -> None:
        config = self._config
        self._upstream = self._resources.enter_context(closing(Upstream(config)))
        self._auth_service = self._resources.enter_context(closing(AuthService(config)))
        self._proxy = Proxy(self._upstream, config)
        self._authenticator = Authenticator(self._auth_service, config)
        self._limiter = RateLimiter()
        self._static_prefix = StaticPrefix(config.static_prefix, self._ask_mlflow)
        self._mlflow = mlflow_probe(self._upstream, self._static_prefix)
        self._auth = auth_probe(self._auth_service)

    async def _ask_mlflow(self, path: bytes) -> tuple[int, bytes]:
        question = UpstreamRequest("GET", path, b"", [(b"accept", b"text/plain")], repeatable=True)
        with await self._upstream.ask(question, probe=True) as answer:
            return answer.status, await answer.read()

    async def _handle(self, exchange: Exchange) -> None:
        """Turn every outcome into an answer, or into an aborted connection when an answer has begun."""
        try:
            await self._answer(exchange)
        except GatewayError as error:
            await exchange.fail(error)
        except ClientGoneError:
            await self._left(exchange)
        except asyncio.CancelledError:
            exchange.reason = "the service stopped first"
            if not exchange.started:
                await exchange.fail(BusyError("This service is stopping, and the answer was not there in time.", 1))
            raise
        except BrokenResponseError as error:
            exchange.hop, exchange.reason = "mlflow", str(error)
        except Exception:  # noqa: BLE001 - the last resort: a 500 with an id instead of a dropped connection
            LOG.exception("unexpected error", extra={"fields": {"request_id": exchange.request_id}})
            exchange.reason = "unexpected error"
            if not exchange.started:
                await exchange.fail(GatewayError("The gateway failed; its log has the reason under this request id."))

    async def _left(self, exchange: Exchange) -> None:
        """A client whose body stopped being HTTP half-way has left too, but still listens."""
        if exchange.refusal is not None and not exchange.started:
            await exchange.fail(exchange.refusal)
            return
        exchange.status = CLIENT_GONE
        exchange.reason = "the client closed the connection"

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.refusal is not None:
            exchange.family = "refused"
            raise exchange.refusal
        check_target(exchange.raw_path, exchange.query)
        if exchange.method not in METHODS:
            raise MethodNotAllowedError(f"The method is not one of {', '.join(sorted(METHODS))}.")
        if exchange.method == "OPTIONS":
            exchange.family = "open"
            await exchange.answer(204, b"", _PREFLIGHT)
            return
        if page := self._page(exchange):
            exchange.family = "open"
            if exchange.method not in {"GET", "HEAD"}:
                raise MethodNotAllowedError("Only GET and HEAD are allowed here.")
            await page(exchange)
            return
        await self._authenticated(exchange)

    def _page(self, exchange: Exchange) -> Page | None:
        """The open page of a path. ``/version`` with a key is MLflow's: its client asks for it below a bare root."""
        if exchange.raw_path in OPEN_BUT_ABSENT:
            return self._absent
        if exchange.raw_path == b"/version" and presents_any(exchange.headers):
            return None
        return self._pages.get(exchange.raw_path)

    async def _authenticated(self, exchange: Exchange) -> None:
        config = self._config
        key = presented_key(exchange.headers)
        target = Target(b"/version") if exchange.raw_path == b"/version" else find_target(exchange.raw_path)
        route = self._authorisation.route(exchange, target)
        origin = Origin.of(exchange.headers, exchange.peer, exchange.scheme, config.trusted_proxies)
        identity = await self._authenticator.identify(key, route.scope if route else "", origin.client_ip)
        exchange.key_id = identity.key_id
        self._limiter.spend(identity)
        if exchange.raw_path == PREFIX:
            await self._redirect(exchange)
            return
        target = await self._authorisation.admit(exchange, target, route, identity)
        if config.debug and route:
            event("forward", {"request_id": exchange.request_id, "scope": route.scope, "to": self._upstream.origin})
        target = await self._static_prefix.locate(target)
        repeatable = route is not None and route.scope == READ
        await self._proxy.forward(exchange, target, identity, origin, repeatable=repeatable)

    async def _redirect(self, exchange: Exchange) -> None:
        """MLflow's UI uses relative links, which only work below the slash."""
        query = b"?" + exchange.query if exchange.query else b""
        await exchange.answer(308, b"", [(b"location", PREFIX + b"/" + query)])

    async def _alive(self, exchange: Exchange) -> None:
        await _json(exchange, 200, {"status": "healthy", "version": __version__})

    async def _absent(self, _exchange: Exchange) -> None:
        raise NotFoundError("Nothing is served at this path.")

    async def _version(self, exchange: Exchange) -> None:
        await _json(exchange, 200, {"service": "hokusai-gateway", "version": __version__})

    async def _ready(self, exchange: Exchange) -> None:
        findings = await asyncio.gather(*(probe.run_within(READY_PATIENCE) for probe in (self._auth, self._mlflow)))
        well = all(finding.well for finding in findings)
        dependencies = {finding.hop: self._finding(finding) for finding in findings}
        answer = {"status": "ready" if well else "not ready", "dependencies": dependencies}
        await _json(exchange, 200 if well else 503, answer)

    async def _mlflow_health(self, exchange: Exchange) -> None:
        finding = await self._mlflow.run()
        await _json(exchange, 200 if finding.well else 503, self._finding(finding))

    def _finding(self, finding: Finding) -> dict[str, object]:
        if finding.hop != "mlflow":
            return finding.as_json()
        breaker = self._upstream.breaker
        state = {"upstream": self._upstream.origin, "breaker": breaker.state}
        return finding.as_json() | state | ({"breaker_exhausted": True} if breaker.exhausted else {})

    async def _description(self, exchange: Exchange) -> None:
        await exchange.answer(200, _DESCRIPTION, [])

    async def _measures(self, exchange: Exchange) -> None:
        hops: dict[str, Hop] = {"mlflow": self._upstream, "auth": self._auth_service}
        body = self._metrics.render(hops, self._authenticator, self._clients)
        await exchange.answer(200, body, [], CONTENT_TYPE)


async def _json(exchange: Exchange, status: int, answer: object) -> None:
    await exchange.answer(status, json.dumps(answer).encode(), [(b"cache-control", b"no-store")])
