"""What is broken and the way back, in the state directory: it outlives the command, and goes with the sandbox."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass
class Broken:
    """`undo` are the steps back, in the order in which they were recorded; `touched` what nobody else may change."""

    undo: list[Json] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    since: float = field(default_factory=time.time)


@dataclass
class Revised:
    """An ECS service whose revision faults changed: `overlays` by fault's ID, on top of the revision `base`.

    `registered` are the revisions that were made for that.
    """

    base: str
    overlays: dict[str, Json] = field(default_factory=dict)
    registered: list[str] = field(default_factory=list)


class Memory:
    """Every change is written at once, whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.broken: dict[str, Broken] = {}
        self.revised: dict[str, Revised] = {}
        with contextlib.suppress(FileNotFoundError):
            kept = json.loads(path.read_text())
            self.broken = {name: Broken(**value) for name, value in kept["broken"].items()}
            self.revised = {name: Revised(**value) for name, value in kept["revised"].items()}

    def save(self) -> None:
        kept = {
            "broken": {name: asdict(value) for name, value in self.broken.items()},
            "revised": {name: asdict(value) for name, value in self.revised.items()},
        }
        unfinished = self._path.with_suffix(".new")
        unfinished.write_text(json.dumps(kept, indent=1))
        unfinished.replace(self._path)

    def toucher(self, touched: str) -> str:
        """The ID of the broken fault that has changed this; empty if none has."""
        return next((name for name, value in self.broken.items() if touched in value.touched), "")


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[Memory]:
    """The memory in this file, for one command at a time."""
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield Memory(path)
    finally:
        os.close(descriptor)
