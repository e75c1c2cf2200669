"""How much the tests that draw by chance draw: a little in `make test`, all of it in `make reliability`.

`HOKUSAI_COUNTS=full` asks for all of it, and each count can be set by a variable of its own.
"""

from __future__ import annotations

import os

FULL = {"HOKUSAI_COUNTS": "full"}


def count(name: str, few: int, full: int) -> int:
    wanted = full if os.environ.get("HOKUSAI_COUNTS") == "full" else few
    return int(os.environ.get(name, wanted))


RULE_SETS = count("HOKUSAI_RULE_SETS", 300, 5_000)
"""Rule sets, each with requests, that the routing tests compare and prove."""
RECORD_DAMAGES = count("HOKUSAI_RECORD_DAMAGES", 400, 10_000)
"""Bit flips and cuts of a run's record in a directory."""
BUCKET_DAMAGES = count("HOKUSAI_BUCKET_DAMAGES", 40, 1_000)
"""Those of a record in a bucket, where each is read by a dozen calls."""
MODULE_DAMAGES = count("HOKUSAI_MODULE_DAMAGES", 40, 400)
"""Those of a record, in either, that a whole rollback is then made from."""
LOCK_SCHEDULES = count("HOKUSAI_LOCK_SCHEDULES", 25, 1_000)
"""Orders in which the holders of one lock make their calls."""
RUN_SCHEDULES = count("HOKUSAI_RUN_SCHEDULES", 3, 100)
"""Orders in which whole runs make theirs."""
THROTTLED_TASKS = count("HOKUSAI_THROTTLED_TASKS", 11, 330)
"""Tasks that are run while AWS throttles."""
THROTTLED_SITES = count("HOKUSAI_THROTTLED_SITES", 1, 5)
"""Whole runs of `site.yml` while AWS throttles."""
