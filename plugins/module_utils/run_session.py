# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The two ends of a run: it is opened before the first write, and closed whatever became of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.archive import Archive
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.clock import server_time
from ansible_collections.hokusai.platform.plugins.module_utils.errors import (
    AwsError,
    LockLost,
    PlatformError,
    Unrecorded,
)
from ansible_collections.hokusai.platform.plugins.module_utils.lock import FORMAT, Claim, Lock, View
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import Record, changes, new_run_id

World = dict[str, Any]


@dataclass(frozen=True)
class Session:
    """A run that is open. `took_over` is the lock that was broken or had expired."""

    run_id: str
    context_file: Path
    before: World
    took_over: dict[str, Any] | None


def open_run(
    aws: Aws, params: Params, claim: Callable[[str], Claim], look: Callable[[], World], about: Mapping[str, Any]
) -> Session:
    """Open a run: prove the place and the key, take the lock, record what there is, read it all back.

    `claim` is the claim to the lock of the run with this id. Until the lock is taken nothing is written to AWS; what
    fails after that releases it again.
    """
    archive = Archive(aws, params)
    archive.prove()
    run_id = new_run_id(server_time(archive.caller))
    archive.seal(run_id)
    lock = Lock(aws, archive.environment)
    mine, seen = lock.acquire(claim(run_id), params["break_lock"] or "")
    try:
        return begun(archive, mine, seen, look, about)
    except PlatformError:
        with contextlib.suppress(PlatformError):
            lock.release(mine)
        raise


def begun(archive: Archive, mine: Claim, seen: View, look: Callable[[], World], about: Mapping[str, Any]) -> Session:
    context = {
        "owner": mine.owner,
        "host": mine.host,
        "caller": archive.caller["Arn"],
        "began": mine.acquired,
        "lock": asdict(mine),
        "runs": archive.runs.as_data(),
        "key": archive.key,
        **about,
    }
    record = archive.create(mine.run_id, context)
    file = archive.keep_context(mine.run_id)
    took_over = seen.as_data()
    if took_over:
        record.append({"kind": "lock_taken_over" if seen.expired else "lock_broken", "holder": took_over})
    before = look()
    record.write("before", before)
    record.verify()
    return Session(mine.run_id, file, before, took_over)


def close_run(
    record: Record, look: Callable[[], World], told: Mapping[str, Any], held: Callable[[], object]
) -> tuple[dict[str, Any], World | None, str]:
    """Close a run: its result, what there is now, and what kept that from being recorded. A closed one stays.

    `held` raises `LockLost` unless the run has its lock.
    """
    if record.has("result"):
        record.end()
        return record.read("result"), None, ""
    after, problem = world_after(record, look, held)
    result = {
        **told,
        "finished": time.strftime(FORMAT, time.gmtime()),
        "rollback_of": record.context.get("rollback_of", ""),
        "writes": changes(record.entries()),
    }
    record.close(result)
    return result, after, problem


def world_after(record: Record, look: Callable[[], World], held: Callable[[], object]) -> tuple[World | None, str]:
    """Record what there is now, unless an earlier try to close the run did; and what kept that from being recorded.

    Once the lock is lost there may be what another run wrote, and a rollback would take that for this one's.
    """
    if record.has("after"):
        return record.read("after"), ""
    try:
        after = look()
        held()
        record.write("after", after)
    except (AwsError, LockLost, Unrecorded) as error:
        return None, f"What there is after the run is not in its record: {error.message}"
    return after, ""
