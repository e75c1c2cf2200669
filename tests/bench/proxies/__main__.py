"""Measure the gateway (authentication on), nginx, haproxy and a naive proxy in one run against one upstream.

The proxy that is measured has one core to itself (the proxies take turns, and idle ones cost nothing); load and
upstream share another. Each figure is the best of the rounds, because a machine is rarely quiet. It measures and
judges, but a bar that is not met is no failure of this program: it ends with 0 if everything could be measured.

    python -m tests.bench.proxies [--seconds S] [--rounds N] [--only NAME ...] [--profile]

--profile runs the gateway alone at 32 connections under cProfile and prints where its time goes. cProfile slows small
functions down most; py-spy (`py-spy record --duration 10 --pid PID`) distorts less.
"""

from __future__ import annotations

import argparse
import os
import pstats
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench.proxies import report
from tests.bench.proxies.measure import CONNECTIONS, Bench, Round, RunError, quietest
from tests.bench.proxies.peers import ROOT, Kind, Peer, StartError, free_port, kinds, start, started
from tests.bench.report import machine, write

OUTPUT = ROOT / "build" / "bench" / "gateway.json"
PROFILE = ROOT / "build" / "bench" / "gateway.prof"
STREAM_ROUNDS = 2
CROWDED = ("gateway", "nginx")
PROFILED = 25


def new_key() -> str:
    return f"hk_test_{secrets.token_hex(16)}"


def cores() -> tuple[int, int]:
    """The proxy's, and the load's and the upstream's."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) == 1:
        print("Only one core: proxy, load and upstream share it, so that no figure is the proxy's alone.")
    return allowed[-1], allowed[0]


class Run:
    """An upstream and the proxies in front of it, for as long as the stack is open."""

    def __init__(self, stack: ExitStack, seconds: float, wanted: tuple[Kind, ...]) -> None:
        key = new_key()
        proxy_core, load_core = cores()
        home = Path(tempfile.mkdtemp(prefix="hokusai-bench-"))
        stack.callback(shutil.rmtree, home)
        port = free_port()
        command = (sys.executable, "-m", "tests.bench.proxies.upstream", str(port), key)
        self.upstream = stack.enter_context(started("direct", command, port, load_core, home / "upstream.out"))
        self.peers = [start(stack, kind, port, proxy_core, home) for kind in wanted]
        self.bench = Bench(key, load_core, seconds)

    def measure(self, rounds: int) -> report.Figures:
        bench = self.bench
        figures: report.Figures = {peer.name: {} for peer in self.peers}
        crowded = [peer for peer in self.peers if peer.name in CROWDED]
        for what, measure, peers, times in (
            ("requests", bench.requests_round, self.peers, rounds),
            ("1 GB up and down", bench.stream_round, self.peers, STREAM_ROUNDS),
            ("idle and slow clients", bench.crowd_round, crowded, rounds),
        ):
            for name, measured in in_turns(what, measure, peers, times).items():
                figures[name] |= measured
        return figures


def in_turns(what: str, measure: Callable[[Peer], Round], peers: Sequence[Peer], rounds: int) -> report.Figures:
    seen: dict[str, list[Round]] = {peer.name: [] for peer in peers}
    for number in range(1, rounds + 1):
        print(f"{what}, round {number} of {rounds}: {', '.join(seen)}", flush=True)
        for peer in peers:
            seen[peer.name].append(measure(peer))
    return {name: quietest(measured) for name, measured in seen.items()}


def available(names: Sequence[str]) -> tuple[Kind, ...]:
    """The wanted proxies that can run here; says which cannot, and what to install."""
    wanted = tuple(kind for kind in kinds() if kind.name in names)
    for kind in wanted:
        if not kind.installed:
            print(f"{kind.name} is not installed and is left out: on Debian, apt-get install {kind.package}")
    return tuple(kind for kind in wanted if kind.installed)


def measure(options: argparse.Namespace) -> None:
    before = machine()
    with ExitStack() as stack:
        run = Run(stack, options.seconds, available(options.only))
        ceiling = run.bench.requests(run.upstream, CONNECTIONS)["rps"]
        print(f"Load and upstream on one core, without a proxy: {ceiling:,.0f} requests a second", flush=True)
        figures = run.measure(options.rounds)
    bars = list(report.bars(figures))
    write(options.output, report.rounded(figures), bars, before)
    print("", *report.table(figures), "", *report.crowds(figures), "", sep="\n")
    print(f"{CONNECTIONS} connections and POST experiments/search, where not said; also in {options.output}")
    print("Bars, for the gateway:", *(bar.line() for bar in bars), sep="\n")


def profile(seconds: float) -> None:
    PROFILE.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        run = Run(stack, seconds, (next(kind for kind in kinds(PROFILE) if kind.name == "gateway"),))
        run.bench.requests(run.peers[0], CONNECTIONS)
    pstats.Stats(str(PROFILE)).sort_stats("tottime").print_stats(PROFILED)


def main() -> int:
    names = [kind.name for kind in kinds()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one measurement (1.5)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each figure (5)")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="proxies to measure (all)")
    parser.add_argument("--profile", action="store_true", help="only show where the gateway's time goes")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE", help="(build/bench/gateway.json)")
    options = parser.parse_args()
    try:
        if options.profile:
            profile(options.seconds)
        else:
            measure(options)
    except (RunError, StartError) as error:
        print(f"The measurement failed. {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
