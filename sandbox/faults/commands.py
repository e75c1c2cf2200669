"""The verbs of the command line that break and mend: faults, break, heal, inject, held, writes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sandbox.environment import Home
from sandbox.faults import registry
from sandbox.faults.catalogue import NOT_MADE, all_faults
from sandbox.faults.live import FaultError, Json, Live

Open = Callable[[Home], AbstractContextManager[Live]]
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


class FaultUsageError(Exception):
    """Cannot be done as asked; the text is all the user needs."""


def add_verbs(verbs: Any, open_live: Open, say: Say) -> None:
    """Put the verbs beside the others; `open_live` raises when no sandbox is up."""

    def add(name: str, run: Callable[[Live, argparse.Namespace, Say], None], text: str) -> argparse.ArgumentParser:
        def work(place: Home, options: argparse.Namespace) -> int:
            with open_live(place) as live:
                try:
                    run(live, options, say)
                except FaultError as error:
                    raise FaultUsageError(str(error)) from None
            return 0

        made: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
        made.set_defaults(run=work)
        return made

    listing = add("faults", show_faults, "list the faults that can be made, and which are")
    listing.add_argument("--json", action="store_true", help="print JSON")
    add("break", break_, "make faults").add_argument("ids", nargs="+", metavar="ID", help="as `faults` lists them")
    add("heal", heal, "take faults and injections back, all by default").add_argument("ids", nargs="*", metavar="ID")
    add_injection(add("inject", inject, "let API calls fail, by API and by chance"))
    held = add("held", show_held, "show the calls that `inject hold` or O03 holds, or release them")
    held.add_argument("--release", choices=("proceed", "drop"), help="let them go on, or close their connections")
    writes = add("writes", show_writes, "show the writes since `up` or `calls --reset`, in the order of their effect")
    writes.add_argument("--json", action="store_true", help="print JSON")


def add_injection(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("kind", choices=sorted(KINDS))
    verb.add_argument("--api", default=".*", help="regular expression for service:Action, such as elbv2:.*")
    verb.add_argument("--probability", type=float, default=1.0, help="of each call, 0 to 1")
    verb.add_argument("--times", type=int, default=-1, help="how many calls at most; all by default")
    verb.add_argument("--skip", type=int, default=0, help="how many calls to let pass first")
    verb.add_argument("--seed", type=int, help="draw the same calls again")
    verb.add_argument("--only", choices=("reads", "writes"), help="calls of this sort")
    verb.add_argument("--seconds", type=float, default=1.0, help="of latency, or for which reads stay stale")
    verb.add_argument("--after", action="store_true", help="hold: once the write has taken effect")
    verb.add_argument("--size", type=int, default=2, help="pages: how many items")


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
