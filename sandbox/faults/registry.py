"""Every fault by its ID, and what `break` and `heal` do with them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from botocore.exceptions import ClientError

from sandbox.faults import revisions
from sandbox.faults.live import FaultError, Json, Live
from sandbox.faults.memory import Broken


@dataclass(frozen=True)
class Entry:
    """A fault: `cause` is its number among the causes of the incident (0: none of them).

    `symptom` says who emits what; `recreates` what heal cannot bring back under its old ARN. `api_only`: the sandbox's
    traffic does not show it, the API does.
    """

    id: str
    summary: str
    symptom: str
    apply: Callable[[Live], None]
    cause: int = 0
    recreates: str = ""
    api_only: bool = False


FAULTS: dict[str, Entry] = {}


def fault(
    name: str, summary: str, symptom: str, *, cause: int = 0, recreates: str = "", api_only: bool = False
) -> Callable[[Callable[[Live], None]], Callable[[Live], None]]:
    """Put a function into the list under its ID of the catalogue."""

    def keep(function: Callable[[Live], None]) -> Callable[[Live], None]:
        FAULTS[name] = Entry(name, summary, symptom, function, cause, recreates, api_only)
        return function

    return keep


def find(name: str) -> Entry:
    """By ID, in either case; FaultError names those that are near."""
    wanted = name.upper()
    if wanted in FAULTS:
        return FAULTS[wanted]
    near = difflib.get_close_matches(wanted, FAULTS, 4, 0.6) or [each for each in FAULTS if each[:1] == wanted[:1]]
    hint = f"; near it: {', '.join(near)}" if near else ""
    raise FaultError(f"no fault is called {name}{hint} (`python -m sandbox faults` lists them)")


def make(live: Live, names: Iterable[str]) -> list[Entry]:
    """Break these; all or none. FaultError for an unknown ID, and for one that is broken already."""
    entries = [find(name) for name in dict.fromkeys(names)]
    there = [entry.id for entry in entries if entry.id in live.memory.broken]
    if there:
        raise FaultError(f"{', '.join(there)}: broken already; heal with `python -m sandbox heal {' '.join(there)}`")
    made: list[Entry] = []
    try:
        for entry in entries:
            live.fault = entry.id
            made.append(entry)
            live.memory.broken[entry.id] = Broken()
            live.memory.save()
            entry.apply(live)
        revisions.flush(live)
    except BaseException:
        heal(live, [entry.id for entry in made])
        raise
    return entries


def heal(live: Live, names: Iterable[str] = ()) -> list[Entry]:
    """Take these back, the last first; without any, all. FaultError with what could not be, which stays broken."""
    wanted = [find(name).id for name in dict.fromkeys(names)] or list(live.memory.broken)
    well = [name for name in wanted if name not in live.memory.broken]
    if well:
        raise FaultError(f"{', '.join(well)}: not broken")
    failures: list[str] = []
    healed = []
    for name in sorted(wanted, key=list(live.memory.broken).index, reverse=True):
        failures += undo(live, name)
        healed.append(FAULTS[name])
    revisions.flush(live)
    if failures:
        raise FaultError("not all could be healed:\n" + "\n".join(failures))
    return healed


def undo(live: Live, name: str) -> list[str]:
    """Go the steps back; return those that failed, one line each, and keep them."""
    live.fault = name
    broken = live.memory.broken[name]
    failures: list[str] = []
    remaining: list[Json] = []
    for step in reversed(broken.undo):
        try:
            live.do(step)
        except (ClientError, FaultError, OSError) as error:
            failures.append(f"{name}: {error}")
            remaining.insert(0, step)
    broken.undo = remaining
    if not remaining:
        del live.memory.broken[name]
    live.memory.save()
    return failures
