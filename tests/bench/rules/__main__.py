"""What managing N listener rules costs, with alb_rules and with amazon.aws' elb_application_lb, and what the load
balancer's clients notice meanwhile.

Both bring the same rules, in turn, to a listener of one sandbox: create all, find nothing to do, change one, put all in
another order, replace all by others that give every path the answer it has; each without and with a delay of a call.
Beside them plain boto3, in the fewest calls there can be and with no thought of their order.
All the while clients send requests through the sandbox's load balancer to targets that say who they are. A request is
lost when no target answers that should, and misrouted when one does that is not to answer it, neither before the change
nor after. It ends with 1 where a bar of alb_rules that could be measured is not met.

    python -m tests.bench.rules [--peer PYTHON] [--delay SECONDS ...] [--rate PER_SECOND] [--output FILE] [N ...]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from tests.bench.report import machine, write
from tests.bench.rules import report, scene
from tests.bench.rules.edge import Edge, paths
from tests.bench.rules.tasks import Way, ways

OUTPUT = Path(__file__).resolve().parents[3] / "build" / "bench" / "rules.json"
AROUND_SECONDS = 0.3
"""How long clients send before and after the change."""


def measure(edge: Edge, way: Way, count: int, delay: float, rate: float) -> Iterator[report.Figure]:
    edge.fresh()
    for operation, before, after in scene.stages(count):
        with edge.traffic(before, after, rate) as seen, edge.delayed(delay):
            time.sleep(AROUND_SECONDS)
            taken = way.bring(edge, before, after)
            time.sleep(AROUND_SECONDS)
        yield report.Figure(
            way.name,
            count,
            delay,
            operation,
            round(taken.seconds, 3),
            round(taken.api_seconds, 3),
            taken.calls,
            seen["sent"],
            seen["lost"],
            seen["misrouted"],
            edge.served() == paths(after) and not taken.error,
            taken.error,
            tuple(seen["examples"]),
        )
        if taken.error:
            set_by_hand(edge, after)


def set_by_hand(edge: Edge, rules: list[scene.Rule]) -> None:
    """What the next operation starts from, when a module has failed to bring it about."""
    edge.fresh()
    for rule in rules:
        edge.create(rule)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", metavar="N", type=int, nargs="*", default=[1, 20, 100], help="rules (1 20 100)")
    parser.add_argument("--peer", type=Path, help="a Python that has the ansible package; without, ours alone")
    parser.add_argument("--delay", type=float, nargs="+", default=[0.0, 0.08], help="more seconds of a call (0 0.08)")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (200)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the figures go as JSON")
    options = parser.parse_args()
    figures: list[report.Figure] = []
    before = machine()
    print(f"{before['cores']} cores, load {before['load']} before", flush=True)
    with ExitStack() as stack:
        edge = Edge(stack, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hokusai-bench-"))))
        for count in options.counts:
            for delay in options.delay:
                for way in ways(options.peer):
                    for figure in measure(edge, way, count, delay, options.rate):
                        figures.append(figure)
                        print(figure.line(), flush=True)
    print(f"\nBars of alb_rules (load {machine()['load']} in the end):")
    bars = list(report.bars(figures))
    for bar in bars:
        print(bar.line())
    write(options.output, [asdict(each) for each in figures], bars, before)
    print(f"\nAll figures: {options.output}")
    return 1 if any(bar.measured is not None and not bar.met for bar in bars) else 0


if __name__ == "__main__":
    sys.exit(main())
