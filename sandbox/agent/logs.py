"""Carries what tasks print to `logs/<service>.log` and to CloudWatch Logs."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from sandbox.agent.seam import REFUSED, ControlPlane

CHUNK = 1 << 20
EVENTS_KEPT = 10_000
"""Per stream: CloudWatch here lives in the daemon's memory; the files keep everything."""


class LogShipper:
    """Follows one task's log file. `stream` is (log group, stream name), or None without awslogs."""

    def __init__(self, control_plane: ControlPlane, source: Path, target: Path, stream: tuple[str, str] | None) -> None:
        self._control_plane, self._source, self._target, self._stream = control_plane, source, target, stream
        self._position = 0

    def ship(self, *, is_last: bool = False) -> None:
        """Carry over what is new: whole lines, and at last the rest; the file is then no longer needed."""
        while lines := self._read(is_last=is_last):
            self._carry(lines)
        if is_last:
            self._source.unlink(missing_ok=True)

    def _carry(self, lines: bytes) -> None:
        with self._target.open("ab") as target:
            target.write(lines)
        if self._stream:
            self._put(*self._stream, lines.decode("utf-8", "replace").splitlines())

    def _read(self, *, is_last: bool) -> bytes:
        with contextlib.suppress(FileNotFoundError), self._source.open("rb") as source:
            source.seek(self._position)
            found = source.read(CHUNK)
            is_whole = is_last or len(found) == CHUNK
            end = found.rfind(b"\n") + 1 or (len(found) if is_whole else 0)
            self._position += end
            return found[:end]
        return b""

    def _put(self, group: str, stream: str, lines: list[str]) -> None:
        """A missing log group loses the lines, as a removed one does on AWS."""
        stamp = int(time.time() * 1000)
        events: list[dict[str, Any]] = [{"timestamp": stamp, "message": line} for line in lines if line]
        with self._control_plane.lock, contextlib.suppress(*REFUSED):
            logs = self._control_plane.backend("logs")
            if group not in logs.groups:
                return
            if stream not in logs.groups[group].streams:
                logs.create_log_stream(group, stream)
            if events:
                logs.put_log_events(group, stream, events)
            del logs.groups[group].streams[stream].events[:-EVENTS_KEPT]
