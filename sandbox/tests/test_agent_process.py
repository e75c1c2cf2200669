from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.agent.process import OWNER_VARIABLE, Process, end_all, listens, owned_by

PARENT = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); {then}"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('set', flush=True); time.sleep(60)"
)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def spawn(code: str, tmp_path: Path, owner: str) -> Process:
    environment = {OWNER_VARIABLE: owner, "PATH": os.defpath}
    return Process((sys.executable, "-c", code), environment, tmp_path / "log", tmp_path / "work")


def count(owner: str) -> int:
    return len(list(owned_by(owner)))


def test_an_orphaned_grandchild_is_found_by_its_owner_and_ended(tmp_path: Path) -> None:
    owner = secrets.token_hex(8)
    parent = spawn(PARENT.format(then="sys.exit(0)"), tmp_path, owner)
    until(lambda: parent.exit_code == 0 and count(owner) == 1)
    assert end_all(owner) == 1
    assert count(owner) == 0


def test_a_process_that_ignores_being_asked_is_killed(tmp_path: Path) -> None:
    owner = secrets.token_hex(8)
    process = spawn(STUBBORN, tmp_path, owner)
    until(lambda: "set" in (tmp_path / "log").read_text())
    end_all(owner, patience=0.2)
    until(lambda: process.exit_code == 137)


def test_processes_of_another_owner_are_left_alone(tmp_path: Path) -> None:
    mine, other = secrets.token_hex(8), secrets.token_hex(8)
    bystander = spawn("import time; time.sleep(60)", tmp_path, other)
    until(lambda: count(other) == 1)
    assert end_all(mine) == 0
    assert bystander.exit_code is None
    bystander.kill()


def test_killing_a_process_takes_its_children_along(tmp_path: Path) -> None:
    owner = secrets.token_hex(8)
    process = spawn(PARENT.format(then="time.sleep(60)"), tmp_path, owner)
    until(lambda: count(owner) == 2)
    process.kill()
    until(lambda: count(owner) == 0)


def test_the_exit_code_is_a_shells(tmp_path: Path) -> None:
    process = spawn("raise SystemExit(7)", tmp_path, "nobody")
    until(lambda: process.exit_code is not None)
    assert process.exit_code == 7


def test_a_port_listens_only_once_somebody_accepts() -> None:
    address = "127.99.99.99"
    assert not listens(address, 9)
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", "18997", "--bind", address], stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: listens(address, 18997))
    finally:
        server.kill()
        server.wait()
