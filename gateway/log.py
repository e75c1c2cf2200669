"""Log lines: one JSON object each, on standard output.

What goes in is chosen field by field (see Exchange.record); no header, no body and no URL of a client's is among it.
While the event loop runs, lines are collected and written together a moment later: a write for each request would
cost more than making its line. Warnings do not wait, and neither does the end of the process.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

LOG = logging.getLogger("gateway")

DELAY = 0.05
"""Seconds for which a line may wait."""

_encode = json.JSONEncoder(default=str).encode


class Lines:
    """Lines on their way out, in order. ``flush`` on the way out of the process: what is held is lost otherwise."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._held: list[str] = []
        self._second = 0
        self._prefix = ""

    def write(self, when: float, level: str, message: str, fields: Mapping[str, object]) -> None:
        rest = _encode(fields)[1:-1]
        self.write_members(when, level, message, rest)

    def write_members(self, when: float, level: str, message: str, members: str) -> None:
        """``members`` are those of a JSON object, without its braces."""
        said = f', "message": {_encode(message)}' + (f", {members}}}" if members else "}")
        self._held.append(f'{{"time": "{self._stamp(when)}", "level": "{level}"{said}')
        if len(self._held) == 1:
            self._flush_soon()

    def flush(self) -> None:
        if not self._held:
            return
        lines, self._held = self._held, []
        self._stream.write("\n".join([*lines, ""]))
        self._stream.flush()

    def _flush_soon(self) -> None:
        try:
            asyncio.get_running_loop().call_later(DELAY, self.flush)
        except RuntimeError:  # no loop: nothing to wait for
            self.flush()

    def _stamp(self, when: float) -> str:
        second = int(when)
        if second != self._second:
            self._second = second
            self._prefix = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._prefix}.{int((when - second) * 1000):03d}+00:00"


class LinesHandler(logging.Handler):
    """What is logged the usual way, in the same order as what is not."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        fields = dict(record.__dict__.get("fields") or {})
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        self._lines.write(record.created, record.levelname.lower(), record.getMessage(), fields)
        if record.levelno >= logging.WARNING:
            self._lines.flush()


LINES = Lines(sys.stdout)


def configure(*, debug: bool) -> None:
    logging.basicConfig(level=logging.WARNING, handlers=[LinesHandler(LINES)], force=True)
    LOG.setLevel(logging.DEBUG if debug else logging.INFO)
    atexit.register(LINES.flush)


def event(message: str, fields: Mapping[str, object] | None = None, level: int = logging.INFO) -> None:
    LOG.log(level, message, extra={"fields": fields})


def access(members: str) -> None:
    """A request's line, without the detours of ``logging``; see Exchange.record."""
    LINES.write_members(time.time(), "info", "request", members)
