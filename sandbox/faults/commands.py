"""What the verbs of `verbs.py` do with a running sandbox."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from sandbox.environment import Home
from sandbox.faults import registry
from sandbox.faults.catalogue import NOT_MADE, all_faults
from sandbox.faults.live import FaultError, Json, Live
from sandbox.faults.session import opened

Say = Callable[[str], None]
INJECTED = "inject"
KINDS: dict[str, Callable[[argparse.Namespace], Json]] = {
    "throttle": lambda _: {"kind": "throttle"},
    "5xx": lambda _: {"kind": "5xx"},
    "expired": lambda _: {"kind": "expired"},
    "denied": lambda _: {"kind": "denied"},
    "latency": lambda given: {"delay": given.seconds},
    "stale": lambda given: {"lag": given.seconds},
    "lost": lambda _: {"after": True, "only": "writes"},
    "hold": lambda given: {"hold": True, "after": given.after, "only": "writes"},
    "pages": lambda given: {"page": given.size},
}


def work(verb: str, place: Home, values: dict[str, str], options: argparse.Namespace, say: Say) -> str:
    """Do what a verb asks of the sandbox with this environment; return what is wrong, empty when nothing is."""
    try:
        with opened(values, place.faults, place.data) as live:
            VERBS[verb](live, options, say)
    except FaultError as error:
        return str(error)
    return ""


def show_faults(live: Live, options: argparse.Namespace, say: Say) -> None:
    listed = [
        {
            "id": entry.id,
            "summary": entry.summary,
            "symptom": entry.symptom,
            "broken": entry.id in live.memory.broken,
            "cause": entry.cause or None,
            "recreates": entry.recreates,
            "api_only": entry.api_only,
        }
        for entry in all_faults()
    ]
    injected = live.control("faults", None)["faults"]
    if options.json:
        say(json.dumps({"faults": listed, "injected": injected, "not_made": NOT_MADE}, indent=2))
        return
    for one in listed:
        notes = [f"cause {one['cause']} of the incident"] if one["cause"] else []
        notes += [f"heal makes {one['recreates']} anew"] if one["recreates"] else []
        say(f"{'BROKEN' if one['broken'] else '      '} {one['id']}  {'; '.join([str(one['summary']), *notes])}")
    say(f"\nCannot be made here: {', '.join(f'{name} ({why})' for name, why in NOT_MADE.items())}")
    for fault in injected:
        say(f"injected: {shown(fault)}")


def shown(fault: Json) -> str:
    """An injection without what is at its default."""
    return ", ".join(f"{key} {value}" for key, value in fault.items() if value not in ("", 0, False, None, 1.0))


def break_(live: Live, options: argparse.Namespace, say: Say) -> None:
    for entry in registry.make(live, options.ids):
        say(f"{entry.id} broken: {entry.summary}. Shows as: {entry.symptom}")


def heal(live: Live, options: argparse.Namespace, say: Say) -> None:
    for entry in registry.heal(live, options.ids):
        say(f"{entry.id} healed{f', {entry.recreates} are new' if entry.recreates else ''}")
    if not options.ids:
        ended = live.control("faults/remove", {"owner": INJECTED})["removed"]
        say(f"{ended} injections ended")


def inject(live: Live, options: argparse.Namespace, say: Say) -> None:
    given = {name: getattr(options, name) for name in ("probability", "times", "skip", "seed")}
    fault = {"match": options.api, **given, **KINDS[options.kind](options), "owner": INJECTED}
    if options.only:
        fault["only"] = options.only
    live.control("faults/add", {"faults": [fault]})
    say(f"injected: {shown(fault)}. `python -m sandbox heal` ends it")


def show_held(live: Live, options: argparse.Namespace, say: Say) -> None:
    held = live.control("held", None)["held"]
    say(json.dumps(held, indent=2))
    if options.release:
        released = live.control("held/release", {"outcome": options.release})["released"]
        say(f"{released} released ({options.release})")


def show_writes(live: Live, options: argparse.Namespace, say: Say) -> None:
    writes = live.control("writes", None)["writes"]
    if options.json:
        say(json.dumps(writes, indent=2))
        return
    for write in writes:
        fate = "landed" if write["landed"] else f"refused {write['error']}"
        lost = "" if write["answered"] else ", response lost"
        say(f"{write['number']:5d}  {write['service']}:{write['action']}  {fate}{lost}")


VERBS: dict[str, Callable[[Live, argparse.Namespace, Say], None]] = {
    "faults": show_faults,
    "break": break_,
    "heal": heal,
    "inject": inject,
    "held": show_held,
    "writes": show_writes,
}
