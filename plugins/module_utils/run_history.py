# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the records of an environment tell: who, when, what was written, how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.archive import Archive
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadRecord
from ansible_collections.hokusai.platform.plugins.module_utils.lock import FORMAT, View
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import Contents, Record, changes

Run = dict[str, Any]
UNKNOWN: Run = {
    "reason": "",
    "owner": "",
    "host": "",
    "caller": "",
    "began": "",
    "finished": "",
    "score_before": None,
    "score_after": None,
    "rollback_of": "",
    "took_over": "",
    "writes": [],
}


def history(archive: Archive, running: str, limit: int) -> list[Run]:
    """The runs, newest first; `running` is the id of the one that holds the lock."""
    return [run(archive, run_id, running) for run_id in islice(archive.ids(), limit)]


def run(archive: Archive, run_id: str, running: str) -> Run:
    at_work = {"verdict": "running"} if run_id == running else {"verdict": "opened", "reason": "nothing written"}
    try:
        if archive.is_empty(run_id):
            return {"run_id": run_id, **UNKNOWN, **at_work}
        record = archive.open(run_id)
        if record.was_only_opened():
            return {**UNKNOWN, **who(record), **at_work}
        contents = record.verify()
    except BadRecord as error:
        return {"run_id": run_id, "verdict": "refused", **UNKNOWN, "reason": error.message}
    return {**UNKNOWN, **who(record), **what(contents), **ended(contents, running)}


def who(record: Record) -> Run:
    told = {name: record.context[name] for name in ("owner", "host", "caller", "began", "rollback_of")}
    return {"run_id": record.identity.run_id, **told}


def what(contents: Contents) -> Run:
    taken = [entry["holder"]["run_id"] for entry in contents.entries if entry["kind"].startswith("lock_")]
    return {"took_over": taken[0] if taken else "", "writes": changes(contents.entries)}


def ended(contents: Contents, running: str) -> Run:
    if contents.result is None:
        return {"verdict": "running" if contents.identity.run_id == running else "interrupted"}
    result = contents.result
    return {
        "verdict": result["verdict"],
        "reason": result["reason"] or "",
        **{name: result[name] for name in ("finished", "score_before", "score_after")},
    }


def lock_told(seen: View) -> Iterator[str]:
    """Who holds the lock, and who took it from its holder last, as lines to read."""
    if (holder := seen.holder) and seen.until:
        now = "was locked" if seen.expired else "is locked"
        who = f"{holder.run_id} of {holder.owner} on {holder.host}"
        yield f"{now} by {who} since {holder.acquired}, until {seen.until.strftime(FORMAT)}"
    if seen.takeover:
        yield str(seen.takeover)


def told(run: Run) -> Iterator[str]:
    """A run as lines to read: the first says how it went, the others what was written."""
    facts = [f"{run['owner']} on {run['host']}, {run['began']}" + f" to {run['finished']}" * bool(run["finished"])]
    if not run["owner"]:
        facts = []
    if run["score_before"] is not None or run["score_after"] is not None:
        facts.append(f"score {percent(run['score_before'])} -> {percent(run['score_after'])}")
    facts += [f"took back {run['rollback_of']}"] * bool(run["rollback_of"])
    facts += [f"took the lock of {run['took_over']}"] * bool(run["took_over"])
    facts += [run["reason"]] * bool(run["reason"])
    yield f"{run['run_id']}  {run['verdict']}  {', '.join(facts)}"
    for each in run["writes"]:
        became = "" if each["result"] == "done" else f" ({each['result']})"
        yield f"    {each['service']} {each['verb']}: {each['why']}{became}"


def percent(score: float | None) -> str:
    return "not taken" if score is None else f"{score} %"
