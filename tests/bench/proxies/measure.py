"""What is measured of one proxy, one round at a time, so that the proxies can take turns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench.proxies.peers import ROOT, Peer, on_core

GIGABYTE = 2**30
CONNECTIONS = 32
HEALTHY = 8
CROWD = {"idle": 250, "senders": 125, "readers": 125}
LIMIT_SECONDS = 120.0
GREATER_IS_BETTER = ("rps", "rps_1", "mb_s", "busy_pct")

Round = dict[str, float]


class RunError(Exception):
    """The load ended without a result; the message says on which proxy, and why."""


class Bench:
    """The side of the measurement that makes the load: its core, and the key it sends."""

    def __init__(self, key: str, core: int, seconds: float) -> None:
        self._key = key
        self._core = core
        self._seconds = seconds

    def load(self, peer: Peer, what: str, **options: object) -> dict[str, Any]:
        given = json.dumps({"port": peer.port, "key": self._key, **options})
        command = [sys.executable, "-m", "tests.bench.proxies.load", what, given]
        with on_core(self._core):
            process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            output, errors = process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise RunError(f"{peer.name}, {what}: no end after {LIMIT_SECONDS:.0f} s") from None
        if process.returncode:
            raise RunError(f"{peer.name}, {what} {options}: {errors.strip()}")
        seen: dict[str, Any] = json.loads(output)
        return seen

    def requests(self, peer: Peer, connections: int, kind: str = "search") -> Round:
        """rps, p50_ms, p99_ms, and CPU by all requests, those of the warm-up included.

        A proxy whose core is not busy while many connections wait is slowed down by something else: its `busy_pct`
        says how far the load, or other work on the machine, is what was measured.
        """
        before = peer.cpu_seconds()
        seen = self.load(peer, "requests", connections=connections, seconds=self._seconds, kind=kind)
        spent = peer.cpu_seconds() - before
        cost = {"cpu_us": spent * 1e6 / seen["total"], "busy_pct": spent * 100 / seen["seconds"]}
        return {name: seen[name] for name in ("rps", "p50_ms", "p99_ms")} | cost

    def requests_round(self, peer: Peer) -> Round:
        many = self.requests(peer, CONNECTIONS)
        one = self.requests(peer, 1)
        gets = self.requests(peer, CONNECTIONS, "get")
        return many | {
            "rss_mb": peer.rss_mb(),
            "rps_1": one["rps"],
            "p50_1_ms": one["p50_ms"],
            "p99_1_ms": one["p99_ms"],
            "get_rps": gets["rps"],
            "get_cpu_us": gets["cpu_us"],
        }

    def stream_round(self, peer: Peer) -> Round:
        peer.forget_peak()
        before = peer.rss_mb()
        up = self.load(peer, "upload", size=GIGABYTE)["mb_s"]
        down = self.load(peer, "download", size=GIGABYTE)["mb_s"]
        growth = max(0.0, peer.peak_rss_mb() - before)
        return {"upload_mb_s": up, "download_mb_s": down, "stream_rss_growth_mb": growth}

    def crowd_round(self, peer: Peer) -> Round:
        """The p99 of a few healthy clients, alone and beside the crowd."""
        alone = self.requests(peer, HEALTHY)
        with self._crowd(peer):
            beside = self.requests(peer, HEALTHY)
        return {"p99_8_ms": alone["p99_ms"], "p99_8_crowd_ms": beside["p99_ms"]}

    @contextmanager
    def _crowd(self, peer: Peer) -> Iterator[None]:
        given = json.dumps({"port": peer.port, "key": self._key, **CROWD})
        command = [sys.executable, "-m", "tests.bench.proxies.crowd", given]
        with on_core(self._core):
            process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        try:
            if process.stdout.readline().strip() != "ready":
                raise RunError(f"{peer.name}: the idle and slow clients could not settle")
            yield
            output, _ = process.communicate("", timeout=LIMIT_SECONDS)
            if int(output) != sum(CROWD.values()):
                raise RunError(f"{peer.name} kept {output.strip()} of {sum(CROWD.values())} idle and slow clients")
        finally:
            process.kill()
            process.communicate()


def quietest(rounds: list[Round]) -> Round:
    """Figure by figure the best of the rounds, for every proxy alike; the growth of memory is the worst there was.

    Other work on the machine only ever makes a proxy slower, so that what is least disturbed is nearest to what the
    proxy itself costs (as Python's `timeit` argues for the minimum).
    """
    pick = {name: max if name.endswith(GREATER_IS_BETTER) else min for name in rounds[0]}
    pick |= {"stream_rss_growth_mb": max, "rss_mb": max}
    return {name: pick[name](each[name] for each in rounds) for name in rounds[0]}
