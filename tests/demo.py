"""`make demo`: start the sandbox in the state of the incident, repair it, register a model, and say what was done.

The sandbox stays up afterwards, to be looked at. Running the demo again starts from the incident again.
Exit code 0 only if the platform was as broken as it was then, and is as healthy as it should be now.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from tests.harness import ROOT, Run, Sandbox, play

HOME = Path(os.environ.get("HOKUSAI_SANDBOX_HOME") or ROOT / ".sandbox")
REGISTERED = re.compile(r"registered (\S+) version (\d+)")

LOOK = """\
The sandbox is still up. Look at it, and stop it when you are done:

  eval "$(.venv/bin/python -m sandbox env)"
  curl -s https://registry.hokus.ai/api/health/mlflow
  .venv/bin/python -m sandbox status
  make down
"""


class Disappointment(Exception):  # noqa: N818 - how a demo goes wrong
    """The demo did not show what it should; the message says what happened instead."""


def say(text: str = "") -> None:
    print(text, flush=True)


def headline(text: str) -> None:
    say(f"\n--- {text}")


def show(title: str, judged: dict[str, Any]) -> float:
    """Print a score check by check and return it, in percent."""
    if judged["failed"]:
        raise Disappointment(f"The score could not be taken: {judged.get('msg', judged)}")
    for check in judged["checks"]:
        mark = "pass" if check["passed"] else "fail"
        say(f"  {mark}  {check['name']}: expected {check['expected']}, observed {check['observed']}")
    say(f"\n  {title}: {judged['score']} %  ({judged['passed']} of {judged['total']} checks)")
    return float(judged["score"])


def demand(true: bool, otherwise: str) -> None:
    if not true:
        raise Disappointment(otherwise)


def begin(sandbox: Sandbox) -> None:
    headline("The sandbox, in the state of the incident")
    sandbox.down()
    started = sandbox.up("--incident")
    say(started.output)


def before(sandbox: Sandbox) -> None:
    headline("Score before, by the eleven checks of then (profile legacy)")
    score = show("Score before", sandbox.score("legacy"))
    demand(round(score, 1) == 54.5, f"The incident scored 54.5 %, this one scores {score} %")


def repair(sandbox: Sandbox) -> Run:
    headline("ansible-playbook playbooks/site.yml -i inventories/sandbox")
    ended = play("playbooks/site.yml", extra={"HOKUSAI_SANDBOX_HOME": str(sandbox.home)}, shown=True)
    demand(ended.code == 0, f"site.yml ended with exit code {ended.code}: its own diagnosis is above")
    demand(bool(ended.steps), "site.yml took no step, though the platform was broken")
    return ended


def after(sandbox: Sandbox) -> None:
    headline("Score after (profile connectivity)")
    score = show("Score after", sandbox.score("connectivity"))
    demand(score == 100, f"The repaired platform scores {score} %, not 100 %")


def recount(ended: Run, seconds: float) -> None:
    headline("What was done")
    roles = dict.fromkeys(role for role, _verb, _why in ended.steps)
    for role in roles:
        say(f"  steps of {role}: {sum(step[0] == role for step in ended.steps)}")
    registered = REGISTERED.search(ended.output)
    demand(registered is not None, "The play does not say which model it registered")
    assert registered is not None
    say(f"  registered through the repaired path: model {registered[1]} version {registered[2]}")
    say(f"  {seconds:.0f} seconds in all\n")


def main() -> int:
    started = time.monotonic()
    sandbox = Sandbox(HOME)
    try:
        begin(sandbox)
        before(sandbox)
        ended = repair(sandbox)
        after(sandbox)
        recount(ended, time.monotonic() - started)
    except (AssertionError, Disappointment) as error:
        say(f"\nThe demo failed. {error}\n\nThe state of the sandbox, {sandbox.home}:\n")
        say(sandbox.command("status").output)
        say("Its logs: .venv/bin/python -m sandbox logs [SERVICE]; to end it: make down")
        return 1
    say(LOOK)
    return 0


if __name__ == "__main__":
    sys.exit(main())
