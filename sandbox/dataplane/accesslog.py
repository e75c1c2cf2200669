"""The ALBs' access log: one JSON object per request."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_BYTES = 20 * 1024 * 1024


@dataclass
class Entry:
    """One exchange. `rule_priority` is 0 for the default rule and -1 when no rule was evaluated, as in AWS's own log.

    `emitter` is `target` when the status is the target's and `load_balancer` when it is the ALB's.
    """

    time: str
    load_balancer: str
    listener_port: int
    scheme: str
    client: str
    method: str
    host: str
    path: str
    trace_id: str
    rule_priority: int = -1
    action: str = ""
    target_group: str = ""
    target: str = ""
    status: int = 0
    target_status: int | None = None
    emitter: str = "load_balancer"
    reason: str = ""
    received_bytes: int = 0
    sent_bytes: int = 0
    seconds: float = 0.0


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class AccessLog:
    """Appends to `path`, keeping one older file of MAX_BYTES at most."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handler = RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=1, encoding="utf-8")

    def write(self, entry: Entry) -> None:
        line = json.dumps(asdict(entry), separators=(",", ":"))
        self._handler.emit(logging.LogRecord("alb", logging.INFO, "", 0, "%s", (line,), None))

    def close(self) -> None:
        self._handler.close()
