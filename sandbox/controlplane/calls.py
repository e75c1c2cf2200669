"""Counts API calls, so that a test can say "the second run wrote nothing"."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from sandbox.controlplane.request import Call


class CallCounter:
    """Calls that reached the endpoint since the last reset, by `service:Action`. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reads: Counter[str] = Counter()
        self._writes: Counter[str] = Counter()

    def add(self, call: Call) -> None:
        with self._lock:
            (self._reads if call.is_read else self._writes)[call.name] += 1

    def reset(self) -> None:
        with self._lock:
            self._reads.clear()
            self._writes.clear()

    @property
    def reads(self) -> int:
        with self._lock:
            return self._reads.total()

    @property
    def writes(self) -> int:
        with self._lock:
            return self._writes.total()

    def count(self, name: str) -> int:
        """How often one action was called: `count("elbv2:CreateRule")`."""
        with self._lock:
            return self._reads[name] + self._writes[name]

    def as_dict(self) -> dict[str, Any]:
        """`{"reads": n, "writes": n, "actions": {"elbv2:CreateRule": 3}}`."""
        with self._lock:
            actions = dict(sorted((self._reads + self._writes).items()))
            return {"reads": self._reads.total(), "writes": self._writes.total(), "actions": actions}
