"""Send requests through the gateway while its upstream restarts and clients pause, and count what that must not cause.

In a round all clients pause for about one of the gaps (2 s is an ordinary think time, at 5 s uvicorn closes an idle
connection, at 60 s an ALB does) and then send requests by their keep-alive connections: reads by GET and by POST, and
writes. Amid these the upstream restarts, in turns gracefully and by dying; in every third pause it does so too, seen
by nobody.

    python -m tests.bench.soak [--requests N] [--gaps SECONDS ...] [--repeats N] [--seed N]

Ends with 1 if a request failed while the upstream was there, if a write reached the upstream twice, or if the gateway
holds more memory, sockets or tasks at the end than after its first round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import uvloop

from tests.bench.proxies.peers import ROOT, Peer, StartError, free_port, started
from tests.bench.proxies.upstream import Service
from tests.bench.soak.client import Client, Ledger
from tests.bench.soak.upstream import KEEP_ALIVE, Upstream
from tests.bench.soak.verdict import Held, excused, verdicts

OUTPUT = ROOT / "build" / "bench" / "soak.json"
CLIENTS = 32
GAP_BUDGET = 100.0
MOST_REPEATS = 10
JITTER = 0.015
"""Seconds round a gap: connections close within these after a burst, and requests must come before, amid and after."""

AWAY = (0.2, 0.8)
RECOVERY = 1.0
"""Seconds until the breaker tries again; the default of 60 would turn every restart into a minute without requests."""

ROUND_SECONDS = 300.0
"""After this a round is given up: no request is answered any more."""

SETTLE_SECONDS = KEEP_ALIVE + 1
"""After this without a request the upstream has closed every idle connection."""


def schedule(gaps: Sequence[float], repeats: int | None, chance: random.Random) -> list[float]:
    """Every gap as often as asked, or so often that each kind takes about the same time."""
    rounds = [gap for gap in gaps for _ in range(repeats or min(MOST_REPEATS, round(GAP_BUDGET / gap + 0.5)))]
    chance.shuffle(rounds)
    return rounds


class Soak:
    """The clients and what they do; the upstream's restarts are among it, so that they come when requests are sent."""

    def __init__(self, gateway: Peer, upstream: Upstream, key: str, tasks_file: Path, chance: random.Random) -> None:
        self._gateway = gateway
        self._upstream = upstream
        self._tasks_file = tasks_file
        self._chance = chance
        self.ledger = Ledger()
        self._clients = [Client(gateway.port, key, self.ledger) for _ in range(CLIENTS)]

    async def run(self, requests: int, gaps: Sequence[float]) -> tuple[Held, Held]:
        """What the gateway held after the first round, and at the end."""
        shares = [requests // len(gaps) + (number < requests % len(gaps)) for number in range(len(gaps))]
        await self._round(0, gaps[0], shares[0])
        first = await self._held()
        for number in range(1, len(gaps)):
            await self._round(number, gaps[number], shares[number])
        last = await self._held()
        await asyncio.gather(*(client.close() for client in self._clients))
        return first, last

    async def _round(self, number: int, gap: float, requests: int) -> None:
        began, before = time.monotonic(), len(self.ledger.failures)
        goal, halfway = self.ledger.succeeded + requests, asyncio.Event()
        unseen = number % 3 == 2
        async with asyncio.timeout(gap + ROUND_SECONDS), asyncio.TaskGroup() as group:
            if unseen:
                group.create_task(self._restart_in(gap / 2, number))
            group.create_task(self._restart_at(halfway, number))
            for client in self._clients:
                group.create_task(self._burst(client, gap, goal, halfway, requests // 2))
        failed = len(self.ledger.failures) - before
        paused = f"{gap:g} s of pause{' with a restart' if unseen else ''}"
        print(
            f"  {number:3}: {paused}, {requests} requests, {failed} failures, {time.monotonic() - began:.1f} s",
            flush=True,
        )

    async def _burst(self, client: Client, gap: float, goal: int, halfway: asyncio.Event, half: int) -> None:
        """Failures come on top, or an outage would use up the requests."""
        await asyncio.sleep(gap + self._chance.uniform(-JITTER, JITTER))
        while self.ledger.succeeded < goal:
            await client.send()
            if self.ledger.succeeded >= goal - half:
                halfway.set()

    async def _restart_at(self, moment: asyncio.Event, number: int) -> None:
        await moment.wait()
        await self._upstream.restart(self._chance.uniform(*AWAY), graceful=number % 2 == 0)

    async def _restart_in(self, seconds: float, number: int) -> None:
        await asyncio.sleep(seconds)
        await self._upstream.restart(min(self._chance.uniform(*AWAY), seconds / 2), graceful=number % 2 == 1)

    async def _held(self) -> Held:
        await asyncio.sleep(SETTLE_SECONDS)
        self._tasks_file.unlink(missing_ok=True)
        os.kill(self._gateway.pid, signal.SIGUSR1)
        tasks = await asyncio.to_thread(told, self._tasks_file)
        return Held(self._gateway.rss_mb(), self._gateway.descriptors(), tasks)


def told(file: Path) -> int:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)
    return int(file.read_text())


def gateway(stack: ExitStack, upstream: int, auth: int, home: Path) -> Peer:
    port = free_port()
    command = (sys.executable, "-m", "tests.bench.soak.watched", str(home / "tasks"))
    variables = {
        "MLFLOW_SERVER_URL": f"http://127.0.0.1:{upstream}",
        "HOKUSAI_AUTH_SERVICE_URL": f"http://127.0.0.1:{auth}",
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MLFLOW_CB_RECOVERY_TIMEOUT": str(RECOVERY),
    }
    return stack.enter_context(started("gateway", command, port, None, home / "gateway.out", variables))


async def soak(options: argparse.Namespace) -> bool:
    chance, key = random.Random(options.seed), f"hk_test_{secrets.token_hex(16)}"
    gaps = schedule(options.gaps, options.repeats, chance)
    print(f"{options.requests} requests in {len(gaps)} rounds, {CLIENTS} clients, seed {options.seed}", flush=True)
    upstream = Upstream()
    await upstream.start()
    auth = await asyncio.get_running_loop().create_server(lambda: Service(key.encode(), b""), "127.0.0.1", 0)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hokusai-soak-")))
        peer = gateway(stack, upstream.port, auth.sockets[0].getsockname()[1], home)
        run = Soak(peer, upstream, key, home / "tasks", chance)
        first, last = await run.run(options.requests, gaps)
    upstream.stop()
    auth.close()
    found = list(verdicts(run.ledger, upstream, first, last, RECOVERY))
    tell(run.ledger, upstream, options.output)
    print(*(verdict.line() for verdict in found), sep="\n")
    return all(verdict.good for verdict in found)


def tell(ledger: Ledger, upstream: Upstream, output: Path) -> None:
    """What happened at all, the excused failures included; also in a file."""
    statuses = Counter(str(failure.status or "closed") for failure in ledger.failures)
    away = sum(outage.ended - outage.began for outage in upstream.outages)
    figures = {
        "answered": ledger.succeeded,
        "failures": dict(statuses),
        "unexcused": sum(not excused(failure, upstream.outages, RECOVERY) for failure in ledger.failures),
        "restarts": len(upstream.outages),
        "seconds_away": round(away, 1),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figures, indent=2) + "\n")
    print(
        f"{ledger.succeeded} answered; {len(upstream.outages)} restarts, {away:.1f} s away; failures {dict(statuses)}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000, help="requests to be answered (200,000)")
    parser.add_argument("--gaps", type=float, nargs="+", default=[2.0, 5.0, 60.0], metavar="SECONDS", help="(2 5 60)")
    parser.add_argument("--repeats", type=int, help="rounds with each gap (1 to 10, about 100 s for each gap)")
    parser.add_argument("--seed", type=int, default=3, help="of the order of gaps and the moments of restarts (3)")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE", help="(build/bench/soak.json)")
    try:
        good = uvloop.run(soak(parser.parse_args()))
    except (StartError, TimeoutError) as error:
        print(f"The soak failed: {error or 'a round does not end, or the gateway does not answer'}", file=sys.stderr)
        return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
