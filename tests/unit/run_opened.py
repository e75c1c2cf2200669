"""A run that is open, as the modules see it, and what its journal says; for the tests of what writes."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import run_session, run_store, snapshot
from ansible_collections.hokusai.platform.plugins.module_utils.archive import Archive
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.lock import Lock
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import Contents
from ansible_collections.hokusai.platform.plugins.modules import platform_snapshot

READS = ("Describe", "List", "Get", "Discover", "Search")
RunModule = Callable[..., dict[str, Any]]
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def name_in_order(patch: pytest.MonkeyPatch) -> None:
    """Let run ids be in the order of the runs, of which no two begin in one second where people start them."""
    numbers = count(1)
    patch.setattr(run_session, "new_run_id", lambda _now: f"20261121T150000Z-{next(numbers):06x}")


@contextmanager
def ending_in(patch: pytest.MonkeyPatch, name: str, end: BaseException = FULL) -> Iterator[None]:
    """While inside, the disk is full, or the process ends, when half of the file of this name is on it."""
    write = run_store.write

    def fill(path: Path, data: bytes, flags: int) -> None:
        if name not in path.name:
            write(path, data, flags)
            return
        write(path, data[: len(data) // 2], flags)
        raise end

    with patch.context() as only_now:
        only_now.setattr(run_store, "write", fill)
        yield


@dataclass
class Opened:
    """A run of the environment `development` with its records below `directory`."""

    aws: Any
    run_module: RunModule
    directory: Path
    context: str = ""
    run_id: str = ""

    def open(self, **options: Any) -> dict[str, Any]:
        given = {"environment": "development", "runs": {"directory": str(self.directory)}, "scope": {}, **options}
        result = self.run_module(platform_snapshot.main, moment="before", **given)
        if "context" in result:
            self.context, self.run_id = result["context"], result["run_id"]
        return result

    def cut_off(self, patch: pytest.MonkeyPatch, **options: Any) -> None:
        """End a run after its `run.json` and before its `before.json`; the lock, which would run out, is taken away."""

        def killed(*_given: Any) -> Any:
            raise KeyboardInterrupt

        known = set(self.archive().ids())
        with patch.context() as only_now:
            only_now.setattr(snapshot, "read", killed)
            with pytest.raises(KeyboardInterrupt):
                self.open(**options)
        (self.run_id,) = set(self.archive().ids()) - known
        self.lock.delete()

    def close(self, **options: Any) -> dict[str, Any]:
        given = {"verdict": "succeeded", "run": self.context, **options}
        return self.run_module(platform_snapshot.main, moment="after", **given)

    @property
    def lock(self) -> Lock:
        return Lock(self.aws, "development")

    @property
    def path(self) -> Path:
        return Path(self.context).parent

    def archive(self, **options: Any) -> Archive:
        params = {"environment": "development", "runs": {"directory": str(self.directory)}, "key": None, **options}
        return Archive(self.aws, params)

    def verified(self) -> Contents:
        return self.archive().open(self.run_id).verify()

    def lines(self) -> list[dict[str, Any]]:
        """The journal as it is on disk, unverified."""
        file = self.path / "journal.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def intents(self) -> list[str]:
        return [entry["why"] for entry in self.lines() if entry["kind"] == "intent"]

    def outcomes(self) -> list[str]:
        return [entry["result"] for entry in self.lines() if entry["kind"] == "outcome"]

    def text(self) -> str:
        """All that the record holds."""
        return "".join(file.read_text() for file in sorted(self.path.iterdir()))

    def broken(self) -> None:
        """Another run breaks the lock."""
        lock = self.lock
        lock.acquire(lock.look().holder.__class__("another", "bob", "laptop", 900), takes_over=self.run_id)


@dataclass
class Watch:
    """What is called before each write of a module, with the name of the call, `CreateRule`."""

    calls: list[str] = field(default_factory=list)
    told: Callable[[str], None] = lambda name: None

    def install(self, patch: pytest.MonkeyPatch) -> Watch:
        make = Aws._make_client

        def watched(aws: Aws, session: Any, service: str) -> Any:
            client = make(aws, session, service)
            if service != "ssm":
                client.meta.events.register("before-call", self.see)
            return client

        patch.setattr(Aws, "_make_client", watched)
        return self

    def see(self, model: Any, **_: Any) -> None:
        if not model.name.startswith(READS):
            self.told(model.name)
            self.calls.append(model.name)
