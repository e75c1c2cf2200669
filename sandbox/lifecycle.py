"""Starting and ending the daemon: one per state directory, and nothing left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from sandbox.agent.process import OWNER_VARIABLE, end_all, signal_one
from sandbox.environment import HOME_VARIABLE, Home, foreign
from sandbox.images.catalogue import ROOT

START_LIMIT = 240.0
GOING_DOWN = 20.0
TAIL = 25
OWNER = re.compile("[0-9a-f]{32}")


class LifecycleError(Exception):
    """The daemon could not be started or ended, or is there already."""


def up(home: Home, state: str, pace: float) -> None:
    """Start the daemon and return when the platform is ready; raises with the end of its log otherwise.

    Raises LifecycleError, too, when the state directory is in use, or is not a sandbox's and not empty.
    """
    claim(home)
    with opened(home) as lock:
        if not take(lock):
            raise LifecycleError(
                f"a sandbox is up in {home.path} (pid {daemon_pid(home)}); end it with `python -m sandbox down`"
            )
        clear(home, lock)
        daemon = spawn(home, state, pace, lock)
    try:
        wait_until_ready(home, daemon)
    except BaseException:
        down(home)
        raise


def down(home: Home) -> bool:
    """End the daemon and every process of its; false when there was none. Works after a kill -9 of the daemon too.

    Whoever starts or is the daemon holds the lock, so once it is ours nobody is left that could start a process.
    """
    if not home.marker.exists():
        return False
    asked, was_up, deadline = "", False, time.monotonic() + GOING_DOWN
    with opened(home) as lock:
        while not take(lock):
            owner, pid = owner_of(home), daemon_pid(home)
            if owner and pid.isdigit() and pid != asked and signal_one(int(pid), owner, signal.SIGTERM):
                asked, was_up = pid, True
            if time.monotonic() > deadline:
                force(home, owner)
                was_up = True
            time.sleep(0.05)
        return finish(home, lock) or was_up


def force(home: Home, owner: str) -> None:
    """End a daemon that does not end when asked to, or never said who it is."""
    if not owner or not end_all(owner):
        raise LifecycleError(f"{home.marker} is locked by a process that is no sandbox's; see `fuser {home.marker}`")


def claim(home: Home) -> None:
    """Take the state directory, the content of which is ours to delete from then on."""
    home.path.mkdir(parents=True, exist_ok=True)
    is_empty = not any(home.path.iterdir())
    if is_empty:
        home.marker.touch(0o600)
    elif not home.marker.exists():
        raise LifecycleError(
            f"{home.path} is not empty and not a sandbox's state directory; "
            f"name another, absent or empty, in {HOME_VARIABLE}, or empty this one"
        )


@contextlib.contextmanager
def opened(home: Home) -> Iterator[int]:
    descriptor = os.open(home.marker, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def take(lock: int) -> bool:
    """The lock goes over to the daemon, which inherits the descriptor and so holds it for as long as it lives."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def owner_of(home: Home) -> str:
    """The mark of this sandbox's processes; empty when it has none. Raises LifecycleError for anything else."""
    owner = home.marker.read_text("utf-8", "replace")
    if owner and not OWNER.fullmatch(owner):
        raise LifecycleError(f"{home.marker} does not hold a sandbox's mark; delete {home.path} if nothing uses it")
    return owner


def daemon_pid(home: Home) -> str:
    with contextlib.suppress(FileNotFoundError):
        return home.pid.read_text()
    return "unknown"


def finish(home: Home, lock: int) -> bool:
    """End what a daemon left running and forget it; true when there was something. Only under the lock."""
    owner = owner_of(home)
    found = bool(owner) and end_all(owner) > 0
    home.environment.unlink(missing_ok=True)
    home.key.unlink(missing_ok=True)
    home.pid.unlink(missing_ok=True)
    for kept in (home.faults, home.faults.with_suffix(".lock")):
        kept.unlink(missing_ok=True)
    shutil.rmtree(home.tasks, ignore_errors=True)
    os.ftruncate(lock, 0)
    return found


def clear(home: Home, lock: int) -> None:
    """Begin with an empty account, empty databases and empty logs; end what a killed daemon left running."""
    finish(home, lock)
    for directory in (home.data, home.logs):
        shutil.rmtree(directory, ignore_errors=True)
    home.logs.mkdir()


def spawn(home: Home, state: str, pace: float, lock: int) -> subprocess.Popen[bytes]:
    """The mark is written before there is a process that bears it; the daemon writes `daemon.pid` itself."""
    owner = secrets.token_hex(16)
    os.pwrite(lock, owner.encode(), 0)
    inherited = {name: value for name, value in os.environ.items() if not foreign(name)}
    variables = {**inherited, OWNER_VARIABLE: owner, HOME_VARIABLE: str(home.path), "PYTHONPATH": str(ROOT)}
    with (home.logs / "daemon.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "sandbox.daemon", state, str(pace)],
            env=variables,
            cwd=home.path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock],
        )


def wait_until_ready(home: Home, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_LIMIT
    while not home.environment.exists():
        if daemon.poll() is not None:
            raise LifecycleError(f"the sandbox did not start (exit code {daemon.returncode}):\n{log_tail(home)}")
        if time.monotonic() > deadline:
            raise LifecycleError(f"the sandbox is not ready after {START_LIMIT:.0f} s:\n{log_tail(home)}")
        time.sleep(0.1)


def log_tail(home: Home) -> str:
    lines = (home.logs / "daemon.log").read_text("utf-8", "replace").splitlines()
    return "\n".join(lines[-TAIL:])
