"""A container as a process of this machine, and the way to find such processes again when all else is lost."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

OWNER_VARIABLE = "HOKUSAI_SANDBOX_OWNER"


class Process:
    """A started program in a session of its own, so that its children end with it."""

    def __init__(self, argv: tuple[str, ...], environment: Mapping[str, str], log: Path, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                argv,
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """None while running; what a shell would report for a signal: 128 and its number."""
        code = self._popen.poll()
        return code if code is None or code >= 0 else 128 - code

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the whole group and reap the leader."""
        self._signal(signal.SIGKILL)
        self._popen.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, number)


def listens(address: str, port: int) -> bool:
    """Whether something accepts connections there; loopback answers at once."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=0.2):
        return True
    return False


def owned_by(owner: str) -> Iterator[int]:
    """Pids of the processes whose environment carries this owner's mark, whoever their parent is now."""
    mark = f"{OWNER_VARIABLE}={owner}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)


def end_all(owner: str, patience: float = 5.0) -> int:
    """Ask every process of `owner` to end, kill what has not after `patience` seconds; return how many there were."""
    asked = set(signal_all(owner, signal.SIGTERM))
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and any(owned_by(owner)):
        time.sleep(0.05)
    while killed := signal_all(owner, signal.SIGKILL):
        asked |= killed
        time.sleep(0.02)
    return len(asked)


def signal_all(owner: str, number: signal.Signals) -> set[int]:
    return {pid for pid in owned_by(owner) if signal_one(pid, owner, number)}


def signal_one(pid: int, owner: str, number: signal.Signals) -> bool:
    """Signal by file descriptor and look again at whom it names: a pid may be another's by now."""
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            exited, _, _ = select.select([descriptor], [], [], 0)
            if exited or f"{OWNER_VARIABLE}={owner}".encode() not in Path(f"/proc/{pid}/environ").read_bytes():
                return False
            signal.pidfd_send_signal(descriptor, number)
            return True
        finally:
            os.close(descriptor)
    return False
