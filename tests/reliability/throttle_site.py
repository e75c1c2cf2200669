"""`site.yml` while AWS throttles: the repair of the incident must be as complete as when nothing is in its way.

    python -m tests.reliability.throttle_site [--runs N] [--chance P] [--seed N]

Each run begins at the incident, to which the one before is rolled back. Converged is: it ended by itself, once nothing
is throttled any more a check run finds nothing to do, and what there is is what an unthrottled run leaves. A run that
stopped must say by which call and how, and the next one, unthrottled, ends in that state too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.harness import Run, Sandbox, play, running_sandbox
from tests.reliability.counts import THROTTLED_SITES
from tests.reliability.describe import describe, nameless, unlike
from tests.reliability.kill import Trial, reference
from tests.reliability.throttle import CODES

UNLIKELY = 0.5
"""From this chance of a throttled call on a run may stop."""


@dataclass(frozen=True)
class Outcome:
    stopped: bool
    seconds: float
    wrong: tuple[str, ...]


@contextmanager
def throttling(sandbox: Sandbox, chance: float, seed: int) -> Iterator[None]:
    sandbox.command("inject", "throttle", "--probability", str(chance), "--seed", str(seed)).wanted()
    try:
        yield
    finally:
        requests.post(f"{sandbox.environment['AWS_ENDPOINT_URL']}/_sandbox/faults", json={"faults": []}, timeout=60)


def throttled(trial: Trial, chance: float, seed: int) -> Outcome:
    began = time.monotonic()
    with throttling(trial.sandbox, chance, seed):
        ended = play("playbooks/site.yml", extra=trial.at)
    seconds = time.monotonic() - began
    runs = [trial.newest()]
    wrong = list(unclear(ended))
    if ended.code:
        wrong += unclear_end(trial)
        runs.append(trial.newest())
    if steps := play("playbooks/site.yml", "--check", extra=trial.at).wanted().steps:
        wrong.append(f"it is not complete: {steps}")
    wrong += unlike(trial.shape, nameless(describe(trial.sandbox)))
    left: list[str] = []
    for run_id in reversed(runs):
        left = trial.back(run_id)
    return Outcome(ended.code != 0, seconds, (*wrong, *left))


def unclear(ended: Run) -> Iterator[str]:
    if ended.code and not any(code in ended.output for code in CODES):
        yield f"no clean stop: {ended.output[-2000:]}"


def unclear_end(trial: Trial) -> Iterator[str]:
    """The next run, which may find the lock of the one that stopped."""
    again = trial.again()
    if again.code:
        yield f"unthrottled, it still fails: {again.output[-2000:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=THROTTLED_SITES)
    parser.add_argument("--chance", type=float, default=0.3, help="of each call to be throttled (0.3)")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, running_sandbox(Path(home) / "sandbox", "--incident") as sandbox:
        trial = Trial(sandbox, describe(sandbox))
        if wrong := reference(trial):
            print("An uninterrupted run cannot be taken back:", *wrong, sep="\n    ")
            return 1
        outcomes = []
        for seed in range(given.seed, given.seed + given.runs):
            outcomes.append(throttled(trial, given.chance, seed))
            verdict = "BAD " if outcomes[-1].wrong else "stopped, went on" if outcomes[-1].stopped else "converged"
            print(f"{verdict} seed {seed}, {outcomes[-1].seconds:.0f} s", *outcomes[-1].wrong, sep="\n    ", flush=True)
    good, stopped = sum(not each.wrong for each in outcomes), sum(each.stopped for each in outcomes)
    print(f"{given.chance:.0%} throttled: {good} of {len(outcomes)} runs of site.yml good, {stopped} stopped")
    return 0 if good == len(outcomes) and (given.chance > UNLIKELY or not stopped) else 1


if __name__ == "__main__":
    sys.exit(main())
