"""Run the stages of `make test`, all of them even if one fails, and say at the end what passed and how long it took.

    python tests/stages.py              every stage
    python tests/stages.py lint unit    only these

A stage must leave no process behind. This program makes itself the subreaper of all its descendants (prctl(2)), so a
daemon that outlives its stage, whatever its session or environment, becomes a child of this process, is named, ended,
and counted as a failure. The last line is `N passed, N failed`; the exit code is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
REPORTS = ROOT / "build" / "reports"
HOME = ROOT / "build" / "home"
"""The home of the checks, empty at the start: nothing of the user's, and no molecule state of a broken-off run."""

PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 10.0
"""How long a process may take to end after its stage has."""

FOREIGN = ("AWS_", "ANSIBLE_", "HOKUSAI_", "MLFLOW_", "MOLECULE_", "PYTEST_")
FOREIGN_NAMES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "requests_ca_bundle"}
"""Settings of the caller's shell (a sandbox's `env`, say) that would change what the checks measure."""


@dataclass(frozen=True)
class Stage:
    """`commands` run one after the other, all of them; `reports` says that they are pytest, whose tests are counted.

    Consecutive stages of one `batch` run at the same time, but those of one `lane` one after the other; their output is
    shown when they have ended.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    reports: bool = False
    limit: float = 900.0
    batch: str = ""
    lane: str = ""


@dataclass
class Result:
    stage: Stage
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    left_behind: list[str] = field(default_factory=list)


def pytest(*arguments: str) -> tuple[str, ...]:
    return ("python", "-m", "pytest", "--quiet", "--durations=5", *arguments)


SCRIPTS = "roles/verification/files"
BIG = "whole platform"
OWN = "sandboxes of their own"
SHORTER = "integration"
"""The lane that has time left."""
INPUT = "tests/integration/test_a_bad_input.py"
"""Needs the incident alone, and so a sandbox beside that which the other integration tests repair."""
CANARY = "tests/integration/test_h_canary.py"
"""Begins with a healthy platform, and so needs no repair to wait for."""
MONITORING = "tests/integration/test_h_monitoring.py"
"""The same."""
SECRETS = "tests/integration/test_h_secrets.py"
"""The same."""
PERMISSIONS = "tests/integration/test_j_permissions.py"
"""Begins with the incident, and goes back to it."""

LONG = ("tests/story", "tests/bench", "tests/reliability")
APART = (INPUT, CANARY, MONITORING, SECRETS, PERMISSIONS)
IGNORED = tuple(part for file in APART for part in ("--ignore", file))
PLUGINS = "ansible_collections.hokusai.platform.plugins"
STAGES = (
    Stage("lint", (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("lint-imports",))),
    Stage(
        "types",
        (
            ("mypy", "-p", "gateway", "-p", "sandbox"),
            (
                "mypy",
                "tests/stages.py",
                "tests/sanity.py",
                "tests/release.py",
                "tests/demo.py",
                "tests/integration",
                "tests/story",
                "tests/bench",
                "tests/docs",
                "tests/docsite",
                "tests/iam",
            ),
            ("env", "MYPYPATH=.collections", "mypy", "--exclude", "killer", "tests/reliability"),
            ("env", f"MYPYPATH={SCRIPTS}", "mypy", SCRIPTS),
            ("env", "--chdir=.collections", "mypy", "--config-file", "../pyproject.toml", "-p", PLUGINS),
        ),
    ),
    Stage("ansible-lint", (("ansible-lint", "--offline", "--strict", "--profile", "production"),)),
    Stage("sanity", (("python", "tests/sanity.py"),)),
    Stage("release", (("antsibull-changelog", "lint"), ("python", "tests/release.py", "--dry-run"))),
    Stage(
        "unit", (pytest("-n", "2", "--dist", "loadfile", "tests/unit", "gateway/tests", "sandbox/tests"),), True, 1500
    ),
    Stage(
        "integration",
        (pytest("--timeout", "900", "tests/integration", *IGNORED),),
        True,
        3000,
        BIG,
        SHORTER,
    ),
    Stage("molecule", (("molecule", "test", "--all"),), limit=1800, batch=BIG, lane=OWN),
    Stage("input", (pytest("--timeout", "300", INPUT),), True, 900, BIG, OWN),
    Stage("docs", (pytest("--timeout", "2400", "tests/docs"),), True, 3000, BIG, OWN),
    Stage("canary", (pytest("--timeout", "600", CANARY),), True, 1500, BIG, OWN),
    Stage("monitoring", (pytest("--timeout", "900", MONITORING),), True, 1500, BIG, OWN),
    Stage("secrets", (pytest("--timeout", "1800", SECRETS),), True, 2700, BIG, SHORTER),
    Stage("permissions", (pytest("--timeout", "900", PERMISSIONS),), True, 1500, BIG, SHORTER),
    Stage("story", (pytest("--timeout", "300", *LONG),), True, 900, BIG, OWN),
)


def environment() -> dict[str, str]:
    """The caller's environment without what would leak into the checks, and a home of the checks' own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN) and name.lower() not in FOREIGN_NAMES
    }
    return {
        **kept,
        "GIT_CONFIG_GLOBAL": str(Path.home() / ".gitconfig"),
        "HOME": str(HOME),
        "LC_ALL": "C.UTF-8",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / '.collections'}{os.pathsep}{ROOT}",
        "PY_COLORS": "0",
    }


def run(batch: Sequence[Stage]) -> list[Result]:
    """The results of stages that run at the same time; what they left behind counts for the last of them."""
    if len(batch) == 1:
        results = [measure(batch[0], None)]
    else:
        print(f"\n=== {' and '.join(stage.name for stage in batch)}, at the same time", flush=True)
        lanes: dict[str, list[Stage]] = {}
        for stage in batch:
            lanes.setdefault(stage.lane or stage.name, []).append(stage)
        with ThreadPoolExecutor(len(lanes)) as pool:
            ended = pool.map(lambda lane: [measure_aside(stage) for stage in lane], lanes.values())
            results = [result for lane in ended for result in lane]
    results[-1].left_behind = end(left_behind())
    results[-1].failed += len(results[-1].left_behind)
    return results


def measure_aside(stage: Stage) -> Result:
    """Run a stage with its output in a file, and show that at the end."""
    log = REPORTS / f"{stage.name}.log"
    with log.open("w") as output:
        result = measure(stage, output)
    print(log.read_text(), end="", flush=True)
    return result


def measure(stage: Stage, output: TextIO | None) -> Result:
    print(f"\n=== {stage.name}", file=output, flush=True)
    result = Result(stage)
    started = time.monotonic()
    for command in stage.commands:
        report = REPORTS / f"{stage.name}.xml"
        report.unlink(missing_ok=True)
        code = execute((*command, f"--junitxml={report}") if stage.reports else command, stage, output)
        passed, failed = counts(report) if stage.reports else (int(code == 0), 0)
        result.passed += passed
        result.failed += failed or int(code != 0)
    result.seconds = time.monotonic() - started
    return result


def execute(command: Sequence[str], stage: Stage, output: TextIO | None) -> int:
    """The command's exit code; 124 when it was ended because the stage's time was over."""
    print("$", *command, file=output, flush=True)
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output and subprocess.STDOUT,
    )
    try:
        return process.wait(timeout=stage.limit)
    except subprocess.TimeoutExpired:
        print(f"{stage.name} took longer than {stage.limit:.0f} s and is interrupted", file=output, flush=True)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_SECONDS * 3)
        return 124


def counts(report: Path) -> tuple[int, int]:
    """Tests passed and failed according to pytest's report; none of either when it could not even write one."""
    if not report.exists():
        return 0, 0
    passed = failed = 0
    for case in ET.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        failed += bool(kinds & {"failure", "error"})
        passed += not kinds & {"failure", "error", "skipped"}
    return passed, failed


def descendants() -> Iterator[tuple[int, str]]:
    """Process id and command line of every living process under this one."""
    family = {os.getpid()}
    alive: list[tuple[int, int]] = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                alive.append((int(entry.name), int(parent)))
    grown = True
    while grown:
        more = {pid for pid, parent in alive if parent in family} - family
        grown = bool(more)
        family |= more
    for pid in sorted(family - {os.getpid()}):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if command:  # a process that is just ending has none any more
                yield pid, command


def left_behind() -> list[tuple[int, str]]:
    """The descendants that still live after the grace; ended ones are reaped."""
    deadline = time.monotonic() + GRACE_SECONDS
    while (living := list(descendants())) and time.monotonic() < deadline:
        time.sleep(0.2)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
    return living


def end(processes: Sequence[tuple[int, str]]) -> list[str]:
    for pid, command in processes:
        print(f"left behind: process {pid}: {command}", flush=True)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return [f"{pid}: {command[:120]}" for pid, command in processes]


def summary(results: Sequence[Result], seconds: float) -> int:
    print(f"\n{'stage':<14} {'result':<6} {'passed':>7} {'failed':>7} {'seconds':>8}")
    for result in results:
        verdict = "FAIL" if result.failed else "ok"
        print(f"{result.stage.name:<14} {verdict:<6} {result.passed:>7} {result.failed:>7} {result.seconds:>8.1f}")
    print(f"{'all':<14} {'':<6} {'':>7} {'':>7} {seconds:>8.1f}")
    for result in results:
        for process in result.left_behind:
            print(f"left behind by {result.stage.name}: {process}")
    failed = sum(result.failed for result in results)
    print(f"{sum(result.passed for result in results)} passed, {failed} failed", flush=True)
    return int(failed > 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="STAGE", help=", ".join(stage.name for stage in STAGES))
    names = parser.parse_args().names
    unknown = set(names) - {stage.name for stage in STAGES}
    if unknown:
        parser.error(f"no such stage: {', '.join(sorted(unknown))}")
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise SystemExit("This system cannot say which processes are left behind (prctl failed): Linux is needed")
    for directory in (REPORTS, HOME):
        if not names:  # others may be at work with them: a commit's hooks beside all the stages
            shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        batches = groupby((stage for stage in STAGES if not names or stage.name in names), lambda s: s.batch or s.name)
        results = [result for _batch, stages in batches for result in run(tuple(stages))]
    finally:
        end(list(descendants()))
    return summary(results, time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main())
