"""The verbs of the command line that break and mend. What they do is in `commands.py`, imported when it is asked for:
boto3 takes longer than all that the other verbs do."""

from __future__ import annotations

import argparse
from typing import Any

KINDS = ("throttle", "5xx", "expired", "denied", "latency", "stale", "lost", "hold", "pages")


def add_verbs(verbs: Any, run: Any) -> None:
    """Put them beside the others; all are `run`, which finds the name in `options.verb`."""

    def add(name: str, text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
        made.set_defaults(run=run, verb=name)
        return made

    listing = add("faults", "list the faults that can be made, and which are")
    listing.add_argument("--json", action="store_true", help="print JSON")
    add("break", "make faults").add_argument("ids", nargs="+", metavar="ID", help="as `faults` lists them")
    add("heal", "take faults and injections back, all by default").add_argument("ids", nargs="*", metavar="ID")
    add_injection(add("inject", "let API calls fail, by API and by chance"))
    held = add("held", "show the calls that `inject hold` or O03 holds, or release them")
    held.add_argument("--release", choices=("proceed", "drop"), help="let them go on, or close their connections")
    writes = add("writes", "show the writes since `up` or `calls --reset`, in the order of their effect")
    writes.add_argument("--json", action="store_true", help="print JSON")


def add_injection(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("kind", choices=KINDS)
    verb.add_argument("--api", default=".*", help="regular expression for service:Action, such as elbv2:.*")
    verb.add_argument("--probability", type=float, default=1.0, help="of each call, 0 to 1")
    verb.add_argument("--times", type=int, default=-1, help="how many calls at most; all by default")
    verb.add_argument("--skip", type=int, default=0, help="how many calls to let pass first")
    verb.add_argument("--seed", type=int, help="draw the same calls again")
    verb.add_argument("--only", choices=("reads", "writes"), help="calls of this sort")
    verb.add_argument("--seconds", type=float, default=1.0, help="of latency, or for which reads stay stale")
    verb.add_argument("--after", action="store_true", help="hold: once the write has taken effect")
    verb.add_argument("--size", type=int, default=2, help="pages: how many items")
