"""kill -9 at the writes of `site.yml`, and what becomes of the platform.

    python -m tests.reliability.kill [--writes N ...] [--moments MOMENT ...] [--then WHAT ...] [--workers N]
                                     [--home DIRECTORY] [--log FILE]

For every write and every moment of it (before the call, answered but unheard, before the journal's line) a run on the
incident is killed with everything below it. Then either it is rolled back, and AWS must describe the incident again,
byte for byte but for `describe.VOLATILE`; or it is run again, and must end as an uninterrupted run ends but for the ids
that AWS gives: with nothing there twice and, as after that one, with nothing left to do. Without --writes, all of them:
some hours. Each worker has a sandbox of its own (a new one after something bad), and each run that is run again a new
one. With --log what was good is written down, and left out the next time, as long as what runs is the same to the byte.
The writes of the lock are not among them: they change nothing that a run is about, and `schedules` has every order of
them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

from tests.harness import ROOT, Run, Sandbox, play, run, running_sandbox
from tests.reliability.describe import Document, describe, differences, nameless, unlike

KILLER = ROOT / "tests" / "reliability" / "killer"
MOMENTS = ("call", "response", "journal")
FOLLOWING = ("rollback", "again")
DEAD = {137, -9}
PAST_THE_END = 1000
RUNS = ("plugins", "roles", "playbooks", "inventories", "sandbox", "gateway")
"""What a verdict of the log is about."""
Cell = tuple[int, str, str]
"""The number of a write, a moment of it, and what follows."""
SHELL = ("sh", "-c", 'export HOKUSAI_KILL_ROOT=$$; exec "$@"', "sh")


class Log:
    """The cells that were good before, of the code as it is committed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        told = run(["git", "rev-parse", *(f"HEAD:{each}" for each in RUNS)]).wanted().output
        self.code = hashlib.sha256(told.encode()).hexdigest()[:12]
        self.known = set(file.read_text().splitlines()) if file.exists() else set()

    def line(self, cell: Cell) -> str:
        number, moment, then = cell
        return f"{self.code} {number} {moment} {then}"

    def good(self, cell: Cell) -> None:
        with self.file.open("a") as file:
            file.write(self.line(cell) + "\n")

    def left(self, cells: Iterable[Cell]) -> list[Cell]:
        return [cell for cell in cells if self.line(cell) not in self.known]


class Killed(NamedTuple):
    """A run, how many writes it began, and the operation of AWS at which it was to die."""

    run: Run
    writes: int
    verb: str

    @property
    def survived(self) -> list[str]:
        return [] if self.run.code in DEAD else [f"it was not killed: exit code {self.run.code}"]


@dataclass
class Trial:
    """A sandbox in the state of the incident, and what is known of it."""

    sandbox: Sandbox
    before: Document
    writes: int = 0
    shape: Counter[str] = field(default_factory=Counter)

    @property
    def at(self) -> dict[str, str]:
        return {"HOKUSAI_SANDBOX_HOME": str(self.sandbox.home)}

    def newest(self) -> str:
        runs = self.sandbox.home / "runs" / "sandbox"
        return max(path.name for path in runs.iterdir() if path.is_dir())

    def killed(self, number: int, moment: str) -> Killed:
        """The run that was to die at this write."""
        with tempfile.TemporaryDirectory() as place:
            count, verb = Path(place) / "count", Path(place) / "verb"
            given = json.dumps({"at": number, "moment": moment, "count": str(count), "verb": str(verb)})
            command = [*SHELL, "ansible-playbook", "playbooks/site.yml", "-i", "inventories/sandbox"]
            ended = run(command, self.at | {"HOKUSAI_KILL": given, "PYTHONPATH": str(KILLER)})
            told = verb.read_text() if verb.exists() else "none"
            return Killed(ended, count.stat().st_size if count.exists() else 0, told)

    def again(self) -> Run:
        return play("playbooks/site.yml", "-e", f"hokusai_break_lock={self.newest()}", extra=self.at)

    def back(self, run_id: str) -> list[str]:
        """What is not as the incident was, once this run is taken back; its lock is broken if it died with it."""
        arguments = ["-e", f"run_id={run_id}", "-e", "hokusai_allow_bypass=true", "-e", f"hokusai_break_lock={run_id}"]
        play("playbooks/rollback.yml", *arguments, extra=self.at).wanted()
        return differences(self.before, describe(self.sandbox))


def reference(trial: Trial) -> list[str]:
    """An uninterrupted run: how many writes it makes, what there is afterwards, and nothing left to do. Then back."""
    ended = trial.killed(PAST_THE_END, "call")
    ended.run.wanted()
    trial.writes = ended.writes
    trial.shape = nameless(describe(trial.sandbox))
    run_id = trial.newest()
    if steps := play("playbooks/site.yml", "--check", extra=trial.at).wanted().steps:
        return [f"it is not complete: {steps}"]
    return trial.back(run_id)


def run_again(trial: Trial) -> list[str]:
    again = trial.again()
    if again.code:
        return [f"the second run ended with {again.code}: {again.output[-2000:]}"]
    return unlike(trial.shape, nameless(describe(trial.sandbox)))


def tried(trial: Trial, number: int, moment: str, then: str) -> tuple[str, list[str]]:
    """At which operation a run was killed, and what is wrong after this followed. One that survived is taken back."""
    if then == "again":
        with running_sandbox(trial.sandbox.home.with_name(f"again-{number}-{moment}"), "--incident") as sandbox:
            stage = replace(trial, sandbox=sandbox)
            ended = stage.killed(number, moment)
            return ended.verb, ended.survived or run_again(stage)
    ended = trial.killed(number, moment)
    return ended.verb, [*ended.survived, *trial.back(trial.newest())]


def is_good(trial: Trial, number: int, moment: str, then: str) -> bool:
    began = time.monotonic()
    try:
        verb, wrong = tried(trial, number, moment, then)
    except AssertionError as error:
        verb, wrong = "", [str(error)]
    verdict = "good" if not wrong else "BAD "
    what = f"write {number:3}, {moment:8}, {then:8} {time.monotonic() - began:5.0f} s  {verb}"
    print(f"{verdict} {what}", *wrong, sep="\n    ", flush=True)
    return not wrong


def trials(trial: Trial, left: deque[Cell], log: Log) -> Iterator[bool]:
    """Up to the first that is bad: the sandbox is not as it was then."""
    while left:
        cell = left.popleft()
        good = is_good(trial, *cell)
        yield good
        if not good:
            return
        log.good(cell)


def work(options: argparse.Namespace, home: Path, log: Log, worker: int) -> list[bool]:
    """This worker's share of the matrix."""
    verdicts: list[bool] = []
    left: deque[Cell] | None = None
    while left is None or left:
        with running_sandbox(home / f"sandbox-{worker}-{len(verdicts)}", "--incident") as sandbox:
            trial = Trial(sandbox, describe(sandbox))
            needed = not options.writes or "again" in options.then
            if needed and (wrong := reference(trial)):
                print("After an uninterrupted run:", *wrong, sep="\n    ", flush=True)
                return [*verdicts, False]
            if left is None:
                matrix = product(options.writes or range(1, trial.writes + 1), options.moments, options.then)
                left = deque(log.left(matrix)[worker :: options.workers])
            verdicts += trials(trial, left, log)
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writes", type=int, nargs="+", default=[], metavar="N", help="(all)")
    parser.add_argument("--moments", nargs="+", choices=MOMENTS, default=list(MOMENTS), help="(all)")
    parser.add_argument("--then", nargs="+", choices=FOLLOWING, default=list(FOLLOWING), help="(both)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="runs at the same time (1)")
    parser.add_argument("--home", type=Path, help="keep the sandboxes and their runs here")
    parser.add_argument(
        "--log", type=Path, default=Path(os.devnull), metavar="FILE", help="remember what was good, and leave it out"
    )
    options = parser.parse_args()
    place = nullcontext(options.home) if options.home else tempfile.TemporaryDirectory()
    with place as home, ThreadPoolExecutor(options.workers) as pool:
        shares = pool.map(partial(work, options, Path(home), Log(options.log)), range(options.workers))
        verdicts = [verdict for share in shares for verdict in share]
    print(f"{sum(verdicts)} of {len(verdicts)} good")
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
