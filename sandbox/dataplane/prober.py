"""Target health: every registered target of every target group in use is asked, and the world is told.

Source: Elastic Load Balancing user guide, "Health checks for your target groups" (states, reason codes,
"a new target must pass one health check").
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp
from yarl import URL

from sandbox.dataplane import routing
from sandbox.dataplane.fabric import DroppedError, Fabric
from sandbox.dataplane.seam import World
from sandbox.model import HealthCheck, LoadBalancer, Target, TargetGroup

logger = logging.getLogger(__name__)

SHORTEST_PERIOD = 0.2
SHORTEST_PATIENCE = 2.0
"""A process that answers at all answers within this even on a loaded machine; paced timeouts would be shorter."""

UNUSED = ("unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer")
INITIAL = ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")


class Key(NamedTuple):
    group: str
    address: str
    port: int


class Failure(NamedTuple):
    reason: str
    description: str


TIMED_OUT = Failure("Target.Timeout", "Request timed out")
FAILED = Failure("Target.FailedHealthChecks", "Health checks failed")


@dataclass
class Record:
    """Checks passed, or failed, in a row."""

    passed: int = 0
    failed: int = 0

    def add(self, failure: Failure | None) -> None:
        self.passed = 0 if failure else self.passed + 1
        self.failed = self.failed + 1 if failure else 0


def in_use(load_balancers: tuple[LoadBalancer, ...]) -> dict[str, LoadBalancer]:
    """Target group ARNs that some rule can forward to, with the load balancer that does."""
    return {
        arn: balancer
        for balancer in load_balancers
        for listener in balancer.listeners
        for rule in listener.rules
        for arn in routing.groups(rule)
    }


def accepts(matcher: str, status: int) -> bool:
    """`matcher` is ELBv2's: `200`, `200,302` or `200-299`, mixed as one likes."""
    spans = (part.strip().partition("-") for part in matcher.split(","))
    return any(int(low) <= status <= int(high or low) for low, _, high in spans)


class Prober:
    def __init__(self, world: World, fabric: Fabric, session: aiohttp.ClientSession, pace: float) -> None:
        self._world = world
        self._fabric = fabric
        self._session = session
        self._pace = pace
        self._watches: dict[Key, asyncio.Task[None]] = {}

    def reconcile(self) -> None:
        """Watch the targets in use; those that drain are asked no more, and leave by the control plane's clock."""
        used = in_use(self._world.load_balancers())
        watched = set()
        for group in self._world.target_groups():
            for target in group.targets:
                key = Key(group.arn, target.address, target.port)
                if target.state == "draining":
                    continue
                if group.arn in used:
                    watched.add(key)
                    self._watch(key, target)
                else:
                    self._report(key, target, UNUSED)
        for key in self._watches.keys() - watched:
            self._watches.pop(key).cancel()

    async def stop(self) -> None:
        tasks = tuple(self._watches.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _watch(self, key: Key, target: Target) -> None:
        if target.state == "unused":
            self._report(key, target, INITIAL)
        running = self._watches.get(key)
        if running is None or running.done():
            self._watches[key] = asyncio.ensure_future(self._keep_asking(key))

    async def _keep_asking(self, key: Key) -> None:
        record = Record()
        while True:
            try:
                group = self._world.target_group(key.group)
                balancer = in_use(self._world.load_balancers())[key.group]
            except LookupError:
                return
            record_failure = await self._ask(balancer, group, key)
            record.add(record_failure)
            self._judge(key, group.health_check, record, record_failure)
            await asyncio.sleep(max(group.health_check.interval / self._pace, SHORTEST_PERIOD))

    def _judge(self, key: Key, check: HealthCheck, record: Record, failure: Failure | None) -> None:
        group = self._world.target_group(key.group)
        found = (item for item in group.targets if (item.address, item.port) == (key.address, key.port))
        target = next(found, None)
        if target is None or target.state == "draining":
            return
        if failure is None:
            enough = 1 if target.state == "initial" else check.healthy_threshold
            if record.passed >= enough:
                self._report(key, target, ("healthy", "", ""))
        elif record.failed >= check.unhealthy_threshold or target.state == "unhealthy":
            self._report(key, target, ("unhealthy", *failure))
        elif target.state == "initial":
            self._report(key, target, INITIAL)

    def _report(self, key: Key, target: Target, health: tuple[str, str, str]) -> None:
        if (target.state, target.reason, target.description) != health:
            self._world.set_target_health(*key, *health)

    async def _ask(self, balancer: LoadBalancer, group: TargetGroup, key: Key) -> Failure | None:
        check = group.health_check
        port = key.port if check.port == "traffic-port" else int(check.port)
        try:
            endpoint = self._fabric.locate(self._fabric.balancer_source(balancer), key.address, port)
        except DroppedError:
            await asyncio.sleep(max(check.timeout / self._pace, SHORTEST_PERIOD))
            return TIMED_OUT
        url = URL(f"{check.protocol.lower()}://{endpoint.host}:{endpoint.port}{check.path}", encoded=True)
        headers = {"Host": f"{key.address}:{port}", "User-Agent": "ELB-HealthChecker/2.0", "Connection": "close"}
        try:
            async with (
                asyncio.timeout(patience(check.timeout, self._pace)),
                self._session.get(url, headers=headers, allow_redirects=False, ssl=False) as response,
            ):
                return _verdict(check.matcher, response.status)
        except TimeoutError:
            return TIMED_OUT
        except (aiohttp.ClientError, OSError):
            return FAILED


def patience(timeout: float, pace: float) -> float:
    """Real seconds to wait for an answer: paced, but no shorter than a busy process needs."""
    return min(timeout, max(timeout / pace, SHORTEST_PATIENCE))


def _verdict(matcher: str, status: int) -> Failure | None:
    if accepts(matcher, status):
        return None
    return Failure("Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]")
