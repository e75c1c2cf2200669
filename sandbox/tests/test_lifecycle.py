"""What `up` and `down` may delete and end, without starting a sandbox."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox import lifecycle
from sandbox.agent.process import OWNER_VARIABLE, owned_by
from sandbox.daemon import SandboxError, claim_loopback
from sandbox.environment import Home, script
from sandbox.lifecycle import LifecycleError

BELONGINGS = ("data/thesis.tex", "logs/diary.txt", "tasks/list.txt", "env.json", "daemon.pid", "owner")


@pytest.fixture
def owner() -> Iterator[str]:
    """The mark of this test's processes, none of which outlives it."""
    mark = secrets.token_hex(16)
    yield mark
    for pid in owned_by(mark):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def belongings(tmp_path: Path) -> Home:
    """A directory of the user's own, with names in it that a sandbox has too."""
    for name in BELONGINGS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    return Home(tmp_path)


def left(home: Home) -> set[str]:
    return {name for name in BELONGINGS if (home.path / name).exists()}


def sleeper(owner: str, *descriptors: int) -> subprocess.Popen[bytes]:
    """A process that bears the mark and keeps the descriptors open."""
    return subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={OWNER_VARIABLE: owner}, pass_fds=descriptors
    )


def test_up_refuses_a_directory_that_is_the_users_own_and_touches_nothing(belongings: Home) -> None:
    with pytest.raises(LifecycleError, match="is not empty and not a sandbox's state directory; name another"):
        lifecycle.up(belongings, "healthy", 30.0)
    assert left(belongings) == set(BELONGINGS)
    assert not belongings.marker.exists()


def test_down_touches_nothing_in_a_directory_that_is_the_users_own(belongings: Home) -> None:
    assert not lifecycle.down(belongings)
    assert left(belongings) == set(BELONGINGS)


def test_a_directory_that_is_absent_or_empty_is_claimed_and_may_then_hold_anything(tmp_path: Path) -> None:
    for home in (Home(tmp_path / "deep" / "absent"), Home(tmp_path / "empty")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        lifecycle.claim(home)
        assert home.marker.exists()
        home.logs.mkdir()
        lifecycle.claim(home)


@pytest.mark.parametrize("content", ["mine", "0" * 31, "0" * 33, "g" * 32, "0" * 32 + "\n"])
def test_a_mark_that_no_sandbox_wrote_is_refused_before_anything_is_deleted(belongings: Home, content: str) -> None:
    belongings.marker.write_text(content)
    with pytest.raises(LifecycleError, match="does not hold a sandbox's mark"):
        lifecycle.down(belongings)
    with pytest.raises(LifecycleError, match="does not hold a sandbox's mark"):
        lifecycle.up(belongings, "healthy", 30.0)
    assert left(belongings) == set(BELONGINGS)


def test_down_ends_what_bears_the_mark_and_leaves_the_marker_empty(tmp_path: Path, owner: str) -> None:
    home = Home(tmp_path)
    home.marker.write_text(owner)
    with sleeper(owner) as process:
        assert lifecycle.down(home)
        assert process.wait() == -signal.SIGTERM
    assert home.marker.read_text() == ""
    assert not lifecycle.down(home)


def test_down_waits_for_an_up_that_has_not_yet_started_its_daemon(
    tmp_path: Path, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "GOING_DOWN", 0.5)
    home = Home(tmp_path)
    lifecycle.claim(home)
    with ThreadPoolExecutor() as background:
        with lifecycle.opened(home) as lock:
            assert lifecycle.take(lock)
            ending = background.submit(lifecycle.down, home)
            with pytest.raises(TimeoutError):
                ending.result(0.2)
            os.pwrite(lock, owner.encode(), 0)
            daemon = sleeper(owner, lock)
        assert ending.result(10)
    assert daemon.wait() == -signal.SIGTERM
    assert list(owned_by(owner)) == []


def test_down_says_so_when_a_stranger_holds_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "GOING_DOWN", 0.1)
    home = Home(tmp_path)
    lifecycle.claim(home)
    with lifecycle.opened(home) as lock:
        assert lifecycle.take(lock)
        with pytest.raises(LifecycleError, match="is locked by a process that is no sandbox's"):
            lifecycle.down(home)


def test_of_the_variables_that_are_present_only_foreign_ones_are_unset() -> None:
    lines = script({"AWS_ENDPOINT_URL": "http://x"}, ["AWS_PROFILE", "AWS_ENDPOINT_URL", "HOME", "AWS_not a name"])
    assert lines.splitlines() == ["unset AWS_PROFILE", "export AWS_ENDPOINT_URL=http://x"]


def test_two_sandboxes_never_share_a_loopback_prefix() -> None:
    first, second = (f"127.{250 + secrets.randbelow(4)}.{number}" for number in (1 + secrets.randbelow(99), 200))
    with ExitStack() as one, ExitStack() as other:
        assert claim_loopback(one, lambda: first) == first
        drawn = iter((first, first, second))
        assert claim_loopback(other, lambda: next(drawn)) == second
        with pytest.raises(SandboxError, match="no loopback prefix is free"):
            claim_loopback(other, lambda: first)
    with ExitStack() as later:
        assert claim_loopback(later, lambda: first) == first
