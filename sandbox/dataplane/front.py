"""What a listener does with one request: rule, action, target, and the statuses that are the ALB's own."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from sandbox.dataplane import answers, routing, stickiness
from sandbox.dataplane.accesslog import AccessLog, Entry, now
from sandbox.dataplane.balancing import Balancer, candidates
from sandbox.dataplane.fabric import DroppedError, Endpoint, Fabric
from sandbox.dataplane.metrics import Happened, Metrics
from sandbox.dataplane.relay import (
    CONNECT_SECONDS,
    ClientGoneError,
    Exchange,
    GatewayTimeoutError,
    Outgoing,
    Receive,
    RelayError,
    Scope,
    Send,
    end_to_end,
    has_body,
    relay,
)
from sandbox.dataplane.seam import World
from sandbox.model import Listener, LoadBalancer, Rule, Target, TargetGroup

MAX_REQUEST_LINE = 16 * 1024
MAX_HEADER_LINE = 16 * 1024
MAX_HEADERS = 64 * 1024
MAX_FORWARDED_FOR = 30
FORWARDED_FOR = b"x-forwarded-for"
TRACE_ID = b"x-amzn-trace-id"
ADDED = (FORWARDED_FOR, b"x-forwarded-proto", b"x-forwarded-port", TRACE_ID, b"host")


class RefusedRequestError(RelayError):
    """The ALB refuses the request itself (400, 414, 463)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class NoTargetError(RelayError):
    """There is no target to send the request to."""

    status = 503


class UnservedActionError(RelayError):
    """The rule's action is of a kind the sandbox does not have (authentication)."""

    status = 501


@dataclass(frozen=True)
class Site:
    """What all listeners share."""

    world: World
    fabric: Fabric
    session: aiohttp.ClientSession
    balancer: Balancer
    log: AccessLog
    metrics: Metrics


Place = tuple[LoadBalancer, Listener]


class Front:
    """The ASGI application of one listener; `place` finds the listener as it is now, None once it is gone."""

    def __init__(self, site: Site, place: Callable[[], Place | None]) -> None:
        self._site = site
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = self._place()
        if place is None:
            await answers.error(send, 503)
            return
        visit = Visit(self._site, *place, scope)
        await visit.run(receive, send)


class Visit:
    """One request at one listener, from its rules to its line in the access log."""

    def __init__(self, site: Site, load_balancer: LoadBalancer, listener: Listener, scope: Scope) -> None:
        self._site = site
        self._load_balancer = load_balancer
        self._listener = listener
        self._raw: list[tuple[bytes, bytes]] = scope["headers"]
        self._request = _request(scope, listener, site.fabric.origin(tuple(scope["client"])))
        self._trace = _trace_id(self._raw)
        self._exchange = Exchange()
        self._group: TargetGroup | None = None
        self._sent_at = 0.0
        self._failed: RelayError | None = None
        self._entry = self._opened()
        self._sticky = stickiness.Stickiness(self._raw)

    async def run(self, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        try:
            await self._serve(receive, send)
        except RelayError as error:
            self._entry.reason, self._failed = str(error), error
            if not self._exchange.started:
                self._entry.status = error.status
                await self._apologise(error, send)
        finally:
            self._close(time.monotonic() - began)

    async def _serve(self, receive: Receive, send: Send) -> None:
        self._refuse_oversized()
        rule = routing.select(self._listener, self._request)
        action = routing.action(rule, self._request) if rule else None
        if rule is None or action is None:
            raise UnservedActionError("the rule has no action that the sandbox serves")
        self._entry.rule_priority = rule.priority or 0
        self._entry.action = type(action).__name__.lower()
        if isinstance(action, routing.Forward):
            await self._forward(rule, action, receive, send)
            return
        self._entry.status = action.status
        if isinstance(action, routing.Redirect):
            await answers.redirect(send, action)
        else:
            await answers.fixed(send, action)

    async def _forward(self, rule: Rule, action: routing.Forward, receive: Receive, send: Send) -> None:
        group, target = self._choose(rule, action)
        endpoint = await self._reach(target)
        host, path_and_query = routing.rewritten(rule, self._request.host, _target(self._request))
        outgoing = Outgoing(
            self._request.method,
            f"{group.protocol.lower()}://{endpoint.host}:{endpoint.port}{path_and_query}",
            self._headers(host),
            has_body(self._raw),
        )
        answering = self._sticky.adding(send)
        await relay(self._site.session, outgoing, receive, answering, self._load_balancer.idle_timeout, self._exchange)

    def _choose(self, rule: Rule, action: routing.Forward) -> tuple[TargetGroup, Target]:
        arn = self._choose_group(rule, action)
        if arn is None:
            raise NoTargetError("all target groups of the rule have weight 0")
        try:
            group = self._site.world.target_group(arn)
        except LookupError as error:
            raise NoTargetError(f"target group {arn} does not exist") from error
        self._entry.target_group = group.name
        target = self._choose_target(group)
        if target is None:
            raise NoTargetError(f"target group {group.name} has no registered target")
        self._entry.target = f"{target.address}:{target.port}"
        self._group, self._sent_at = group, time.monotonic()
        return group, target

    def _choose_group(self, rule: Rule, action: routing.Forward) -> str | None:
        if not action.sticky_seconds:
            return self._site.balancer.group(rule.arn, action)
        held = self._sticky.held(stickiness.GROUP, (arn for arn, _weight in action.groups))
        chosen = held or self._site.balancer.group(rule.arn, action)
        if chosen:
            self._sticky.keep(stickiness.GROUP, chosen, action.sticky_seconds)
        return chosen

    def _choose_target(self, group: TargetGroup) -> Target | None:
        seconds = stickiness.seconds(group)
        if not seconds:
            return self._site.balancer.target(group)
        among = {stickiness.identity(group, target): target for target in candidates(group)}
        held = self._sticky.held(stickiness.TARGET, among)
        chosen = among[held] if held else self._site.balancer.target(group)
        if chosen:
            self._sticky.keep(stickiness.TARGET, stickiness.identity(group, chosen), seconds)
        return chosen

    async def _reach(self, target: Target) -> Endpoint:
        source = self._site.fabric.balancer_source(self._load_balancer)
        try:
            return self._site.fabric.locate(source, target.address, target.port)
        except DroppedError as dropped:
            await asyncio.sleep(CONNECT_SECONDS)
            raise GatewayTimeoutError(f"connection timeout: {dropped}") from dropped

    def _headers(self, host: str) -> list[tuple[bytes, bytes]]:
        request = self._request
        chain = [value for name, value in self._raw if name == FORWARDED_FOR]
        kept = [pair for pair in end_to_end(self._raw) if pair[0] not in ADDED]
        return [
            (b"host", host.encode("latin-1")),
            *kept,
            (FORWARDED_FOR, b", ".join((*chain, request.source.encode()))),
            (b"x-forwarded-proto", request.scheme.encode()),
            (b"x-forwarded-port", str(request.port).encode()),
            (TRACE_ID, self._trace.encode("latin-1")),
        ]

    def _refuse_oversized(self) -> None:
        """User guide, "HTTP 400", "HTTP 414" and "HTTP 463"."""
        sizes = [len(name) + len(value) + 4 for name, value in self._raw]
        if len(_target(self._request)) > MAX_REQUEST_LINE:
            raise RefusedRequestError(414, "the request line exceeds 16 K")
        if max(sizes, default=0) > MAX_HEADER_LINE or sum(sizes) > MAX_HEADERS:
            raise RefusedRequestError(400, "the request headers exceed 16 K for one or 64 K for all")
        forwarded = sum(value.count(b",") + 1 for name, value in self._raw if name == FORWARDED_FOR)
        if forwarded > MAX_FORWARDED_FOR:
            raise RefusedRequestError(463, f"X-Forwarded-For has more than {MAX_FORWARDED_FOR} addresses")

    async def _apologise(self, error: RelayError, send: Send) -> None:
        if not isinstance(error, ClientGoneError):
            await answers.error(send, error.status)

    def _opened(self) -> Entry:
        request = self._request
        return Entry(
            time=now(),
            load_balancer=self._load_balancer.name,
            listener_port=request.port,
            scheme=request.scheme,
            client=request.source,
            method=request.method,
            host=request.host,
            path=request.path,
            trace_id=self._trace,
        )

    def _close(self, seconds: float) -> None:
        exchange, entry = self._exchange, self._entry
        entry.target_status = exchange.target_status
        if exchange.started:
            entry.emitter = "target"
            entry.status = exchange.target_status or 0
        entry.received_bytes, entry.sent_bytes = exchange.received_bytes, exchange.sent_bytes
        entry.seconds = round(seconds, 6)
        self._site.log.write(entry)
        self._site.metrics.count(self._happened())

    def _happened(self) -> Happened:
        exchange, own = self._exchange, self._failed if not self._exchange.started else None
        return Happened(
            self._load_balancer.arn,
            self._group,
            exchange.target_status,
            None if exchange.answered_at is None else exchange.answered_at - self._sent_at,
            own.status if own else 0,
            isinstance(own.__cause__ if own else None, (DroppedError, aiohttp.ClientConnectorError)),
        )


def _request(scope: Scope, listener: Listener, source: str) -> routing.Request:
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    return routing.Request(
        method=scope["method"],
        host=next((value for name, value in headers if name == "host"), ""),
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        source=source,
        scheme=scope["scheme"],
        port=listener.port,
    )


def _target(request: routing.Request) -> str:
    return f"{request.path}?{request.query}" if request.query else request.path


def _trace_id(headers: list[tuple[bytes, bytes]]) -> str:
    """A new root, or the client's with this hop's own id in front (user guide, "Request tracing")."""
    own = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    given = next((value.decode("latin-1") for name, value in headers if name == TRACE_ID), "")
    return f"Self={own};{given}" if given else f"Root={own}"
