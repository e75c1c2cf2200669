"""Starting and ending the daemon: one per state directory, and nothing left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from sandbox.agent.process import OWNER_VARIABLE, end_all, owned_by, signal_one
from sandbox.environment import HOME_VARIABLE, Home
from sandbox.images.catalogue import ROOT

START_LIMIT = 240.0
GOING_DOWN = 20.0
TAIL = 25


class LifecycleError(Exception):
    """The daemon could not be started or is there already."""


def up(home: Home, state: str, pace: float) -> None:
    """Start the daemon and return when the platform is ready; raises with the end of its log otherwise."""
    home.path.mkdir(parents=True, exist_ok=True)
    with locked(home) as lock:
        clear(home)
        daemon = spawn(home, state, pace, lock)
    try:
        wait_until_ready(home, daemon)
    except BaseException:
        down(home)
        raise


def down(home: Home) -> bool:
    """End the daemon and every process of its; false when there was none. Works after a kill -9 of the daemon too."""
    try:
        owner = home.owner.read_text()
    except FileNotFoundError:
        return False
    pid = daemon_pid(home)
    was_up = pid.isdigit() and signal_one(int(pid), owner, signal.SIGTERM)
    deadline = time.monotonic() + GOING_DOWN
    while was_up and any(owned_by(owner)) and time.monotonic() < deadline:
        time.sleep(0.05)
    was_up = end_all(owner) > 0 or was_up
    for path in (home.environment, home.pid, home.owner):
        path.unlink(missing_ok=True)
    shutil.rmtree(home.tasks, ignore_errors=True)
    return was_up


def daemon_pid(home: Home) -> str:
    with contextlib.suppress(FileNotFoundError):
        return home.pid.read_text()
    return "unknown"


@contextlib.contextmanager
def locked(home: Home) -> Iterator[int]:
    """The lock goes over to the daemon, which inherits the descriptor and so holds it for as long as it lives."""
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = daemon_pid(home)
            raise LifecycleError(
                f"a sandbox is up in {home.path} (pid {pid}); end it with `python -m sandbox down`"
            ) from None
        yield descriptor
    finally:
        os.close(descriptor)


def clear(home: Home) -> None:
    """Begin with an empty account, empty databases and empty logs; end what a killed daemon left running."""
    down(home)
    for directory in (home.data, home.logs, home.tasks):
        shutil.rmtree(directory, ignore_errors=True)
    home.logs.mkdir()


def spawn(home: Home, state: str, pace: float, lock: int) -> subprocess.Popen[bytes]:
    owner = secrets.token_hex(16)
    home.owner.write_text(owner)
    inherited = {name: value for name, value in os.environ.items() if not foreign(name)}
    variables = {**inherited, OWNER_VARIABLE: owner, HOME_VARIABLE: str(home.path), "PYTHONPATH": str(ROOT)}
    with (home.logs / "daemon.log").open("ab") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "sandbox.daemon", state, str(pace)],
            env=variables,
            cwd=home.path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock],
        )
    home.pid.write_text(str(daemon.pid))
    return daemon


def foreign(name: str) -> bool:
    """The user's own AWS account, proxies, MLflow and trust (an earlier sandbox's, it may be) have no business here."""
    named = name in {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} or name.lower().endswith("_proxy")
    return named or name.startswith(("AWS_", "MLFLOW_", "HOKUSAI_"))


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
