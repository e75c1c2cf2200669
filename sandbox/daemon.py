"""The sandbox itself: control plane, data plane and ECS agent in one background process.

Started by `python -m sandbox up` as `python -m sandbox.daemon STATE PACE`; ends on SIGTERM, taking every task along.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Any

from sandbox import environment
from sandbox.agent.agent import Agent
from sandbox.agent.process import OWNER_VARIABLE
from sandbox.agent.seam import Host
from sandbox.agent.status import snapshot
from sandbox.controlplane import ControlPlane
from sandbox.dataplane import CertificateAuthority, DataPlane
from sandbox.dataplane.ca import LIFETIME
from sandbox.environment import Home
from sandbox.images.keystore import digest, make_key
from sandbox.monitoring import Monitoring
from sandbox.platform import edge, keys
from sandbox.platform.build import build
from sandbox.platform.clients import Clients
from sandbox.platform.description import CLUSTER, DOMAIN, Platform, healthy
from sandbox.platform.incident import DEAD_ADDRESSES, incident
from sandbox.world import World

STATES: dict[str, Callable[[Platform], Platform]] = {"healthy": lambda platform: platform, "incident": incident}
CLAIM_PORT, CLAIM_ATTEMPTS = 27127, 50
ROLLOUT_LIMIT, SYMPTOMS_LIMIT = 120.0, 60.0
LOGGER = logging.getLogger("sandbox")


class SandboxError(Exception):
    """The platform did not become what was asked for."""


def loopback_prefix() -> str:
    return f"127.{64 + secrets.randbelow(128)}.{1 + secrets.randbelow(254)}"


@dataclass(frozen=True)
class Running:
    """The parts of a started sandbox."""

    home: Home
    control_plane: ControlPlane
    data_plane: DataPlane
    authority: CertificateAuthority


def serve(home: Home, state: str, pace: float, finished: threading.Event) -> None:
    """Bring everything up, say so by writing env.json, and keep it up until `finished`."""
    with ExitStack() as stack:
        running = start(home, pace, stack)
        LOGGER.info("AWS endpoint %s, internet proxy %s", running.control_plane.url, running.data_plane.proxy_url)
        environment.write(home, populate(running, state, finished))
        running.control_plane.forget_calls()
        LOGGER.info("ready: %s", state)
        finished.wait()
        LOGGER.info("going down")


def start(home: Home, pace: float, stack: ExitStack) -> Running:
    """Start the three planes on an empty account; `stack` ends them in reverse."""
    control_plane = ControlPlane(pace=pace)
    control_plane.start()
    stack.callback(control_plane.stop)
    world = World(control_plane)
    for address in DEAD_ADDRESSES:
        world.reserve_address(address)
    data_plane = DataPlane(world, pace, home.path)
    data_plane.start()
    stack.callback(data_plane.stop)
    authority = CertificateAuthority()
    authority.write_bundle(home.trust)
    prefix = claim_loopback(stack)
    host = Host(home.path, prefix, os.environ[OWNER_VARIABLE], home.trust, pace, data_plane.fabric_url)
    agent = Agent(control_plane, world, host)
    agent.start()
    stack.callback(agent.stop)
    monitoring = Monitoring(world, pace)
    monitoring.start()
    stack.callback(monitoring.stop)
    control_plane.endpoints.add("GET", "status", lambda _: snapshot(control_plane, world.target_groups()))
    control_plane.endpoints.add("POST", "certificates", lambda body: issued(authority, **body))
    return Running(home, control_plane, data_plane, authority)


def issued(authority: CertificateAuthority, names: list[str], days: float = LIFETIME.days) -> dict[str, str]:
    """A certificate that the sandbox's clients trust, as ACM's ImportCertificate takes it."""
    made = authority.issue(*names, lifetime=timedelta(days=days))
    return {"Certificate": made.body, "CertificateChain": made.chain, "PrivateKey": made.private_key}


def claim_loopback(stack: ExitStack, draw: Callable[[], str] = loopback_prefix) -> str:
    """A prefix `127.x.y` that no other sandbox of this machine uses for as long as `stack` is open.

    Whose it is shows in a port of its first address, which no task gets. Raises SandboxError.
    """
    for _ in range(CLAIM_ATTEMPTS):
        prefix, claim = draw(), socket.socket()
        try:
            claim.bind((f"{prefix}.1", CLAIM_PORT))
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            stack.enter_context(claim)
            return prefix
    raise SandboxError(f"no loopback prefix is free: port {CLAIM_PORT} is in use on {CLAIM_ATTEMPTS} of them")


def populate(running: Running, state: str, finished: threading.Event) -> dict[str, str]:
    """Build the platform, wait until it is what it should be, and return its users' environment."""
    home, admin_key = running.home, make_key("live")
    for directory in (home.data / "mlflow", home.data / "auth"):
        directory.mkdir(parents=True)
    platform = STATES[state](healthy(home.data, digest(admin_key)))
    aws = Clients(running.control_plane.url, "sandbox", "sandbox")
    groups = build(aws, platform, running.authority.issue(f"*.{DOMAIN}", DOMAIN))
    LOGGER.info("platform built; its services are starting")
    wait(lambda: unsteady(aws, platform), ROLLOUT_LIMIT, finished)
    edge.drift(aws, platform, groups)
    wait(lambda: untrue(aws, platform, groups), SYMPTOMS_LIMIT, finished)
    api_key = keys.mint(running.data_plane.proxy_url, home.trust, admin_key)
    return environment.variables(home, running.control_plane.url, running.data_plane.proxy_url, api_key, admin_key)


def unsteady(aws: Clients, platform: Platform) -> list[str]:
    """What keeps the services from a steady state, one line each; a failed roll-out raises."""
    names = [service.name for service in platform.services]
    found = aws.ecs.describe_services(cluster=CLUSTER, services=names)["services"]
    failed = [service for service in found if service["deployments"][0].get("rolloutState") == "FAILED"]
    if failed:
        raise SandboxError("a deployment failed:\n" + "\n".join(map(describe, failed)))
    waiting = [
        service
        for service in found
        if len(service["deployments"]) > 1 or service["deployments"][0].get("rolloutState") != "COMPLETED"
    ]
    return [describe(service) for service in waiting]


def describe(service: dict[str, Any]) -> str:
    """A service in ECS's own words."""
    deployment, events = service["deployments"][0], [event["message"] for event in service["events"][:5]]
    counts = f"{service['runningCount']} of {service['desiredCount']} running"
    return "\n    ".join([f"{service['serviceName']}: {counts}, {deployment['rolloutStateReason']}", *events])


def untrue(aws: Clients, platform: Platform, groups: dict[str, str]) -> list[str]:
    """Target groups that do not yet show the health which the description implies."""
    bound = {name for service in platform.services for name in service.target_groups}
    routed = {rule.target_group for balancer in platform.load_balancers for rule in balancer.rules}
    routed |= {balancer.default for balancer in platform.load_balancers if balancer.default}
    lines = []
    for group in platform.target_groups:
        if group.name not in bound or group.name not in routed:
            continue
        expected = "healthy" if group.health_path == group.path_at_rollout else "unhealthy"
        targets = aws.elbv2.describe_target_health(TargetGroupArn=groups[group.name])["TargetHealthDescriptions"]
        states = [target["TargetHealth"]["State"] for target in targets]
        if expected not in states:
            lines.append(f"{group.name}: expected {expected}, targets are {states or 'none'}")
    return lines


def wait(problems: Callable[[], list[str]], limit: float, finished: threading.Event) -> None:
    """Until there are no problems left; raises with those that remain."""
    deadline = time.monotonic() + limit
    while remaining := problems():
        if finished.is_set():
            raise SandboxError("asked to end while still starting")
        if time.monotonic() > deadline:
            raise SandboxError(f"not ready after {limit:.0f} s:\n" + "\n".join(remaining))
        time.sleep(0.2)


def main() -> int:
    state, pace = sys.argv[1], float(sys.argv[2])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("botocore", "urllib3", "werkzeug"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    finished = threading.Event()

    def finish(_number: int, _frame: FrameType | None) -> None:
        finished.set()

    signal.signal(signal.SIGTERM, finish)
    signal.signal(signal.SIGINT, finish)
    home = environment.home()
    home.pid.write_text(str(os.getpid()))
    try:
        serve(home, state, pace, finished)
    except SandboxError as error:
        LOGGER.error("%s", error)  # noqa: TRY400 - its message says all; a traceback would bury it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
