# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A canary: what AWS holds of it, what that means, and what comes next. No client and no clock in here.

AWS holds all there is to know: each rule's weights, and a tag on it that says whose canary it carries, in which phase,
since when, and what stickiness it had. So a canary that was cut off is found again from any machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput

BAKE, PROMOTE, RETREAT = "bake", "promote", "back"
WHOLE = 100
"""The weights of stable and canary together; so a weight is a percentage."""

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"
HOLD, ADVANCE, BACK = "hold", "advance", "back"

NONE, LEFTOVER, STARTING, RUNNING, PROMOTING = "none", "leftover", "starting", "running", "promoting"
UNDOING, STRANGE, FOREIGN = "undoing", "strange", "foreign"
NOTHING, START, RESUME, FINISH, UNDO, CLEAN, REFUSE = "nothing", "start", "resume", "finish", "undo", "clean", "refuse"

MARK_FORM = re.compile(r"(?P<canary>\S+) phase=(?P<phase>\w+) since=(?P<since>\S*) stickiness=(?P<stickiness>\d+)")


@dataclass(frozen=True)
class Mark:
    """The tag of a rule that carries a canary: `since` (ISO 8601, UTC) is when its present step began, `stickiness`
    the seconds for which the rule kept a client with its target group before."""

    canary: str
    phase: str = BAKE
    since: str = ""
    stickiness: int = 0

    def __str__(self) -> str:
        """As the tag's value, in the characters that tags may have."""
        return f"{self.canary} phase={self.phase} since={self.since} stickiness={self.stickiness}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        """Raises `BadInput` for a tag that this collection did not write."""
        found = MARK_FORM.fullmatch(text)
        if found is None:
            raise BadInput(
                f"The tag of a canary says {text}, which nobody understands",
                "put the rule's weights right by hand, then remove its tag hokusai:canary",
            )
        return cls(found["canary"], found["phase"], found["since"], int(found["stickiness"]))


@dataclass(frozen=True)
class Step:
    """`weight` percent of the requests, held for `bake` seconds."""

    weight: int
    bake: float


@dataclass(frozen=True)
class Route:
    """What a rule that forwards to the stable group says: `weights` of stable and canary, None where it has no part."""

    rule: str
    stable: int | None
    canary: int | None = None
    mark: Mark | None = None


@dataclass(frozen=True)
class Seen:
    """`service` is whether the canary's service exists, `groups` which of its target groups do.

    `is_new`: what is asked for is not what the stable service runs. `is_other`: nor what the canary runs.
    `is_promoted`: the stable service runs the canary's revision.
    """

    routes: tuple[Route, ...] = ()
    groups: tuple[str, ...] = ()
    service: bool = False
    is_new: bool = False
    is_other: bool = False
    is_promoted: bool = False


@dataclass(frozen=True)
class State:
    """`step` counts from 0 and is that of a running or promoting canary; `since` is empty when its bake begins anew."""

    kind: str
    step: int = 0
    since: str = ""
    why: str = ""


@dataclass(frozen=True)
class Decision:
    move: str
    why: str


def steps(given: Iterable[tuple[int, float]]) -> tuple[Step, ...]:
    """The steps, or `BadInput` for a sequence that does not lead up to all requests."""
    found = tuple(Step(weight, bake) for weight, bake in given)
    weights = [step.weight for step in found]
    if weights != sorted(set(weights)) or not weights or weights[0] < 1 or weights[-1] != WHOLE:
        raise BadInput(
            f"The weights of the steps are {', '.join(map(str, weights)) or 'none'}",
            "let them rise from 1 or more to 100",
        )
    if any(step.bake < 0 for step in found):
        raise BadInput("A step is held for less than no time", "give bake as seconds")
    return found


def state(seen: Seen, name: str, steps: Sequence[Step]) -> State:
    """What the canary `name` is doing, from the weights and marks of all rules together."""
    settled = next(_settled(seen, name), None)
    if settled:
        return settled
    marks = [route.mark for route in seen.routes if route.mark]
    without = [route.rule for route in seen.routes if route.canary is None]
    if not marks:
        return State(LEFTOVER, why="no rule forwards to it") if seen.service or seen.groups else State(NONE)
    if any(mark.phase in {PROMOTE, RETREAT} for mark in marks):
        # Rules lose their part after a promotion, and before there is one only where it is aborted.
        if without and not seen.is_promoted:
            return _undoing(without)
        return State(PROMOTING, len(steps) - 1, _since(marks))
    weights = {route.canary or 0 for route in seen.routes}
    if without and (seen.service or weights != {0}):
        # A start gives every rule its weight of 0 before the service is made.
        return _undoing(without)
    return State(STARTING) if weights == {0} else _running(weights, marks, steps)


def _undoing(without: Sequence[str]) -> State:
    return State(UNDOING, why=f"{', '.join(without)} does not forward to it any more")


def _running(weights: set[int], marks: Sequence[Mark], steps: Sequence[Step]) -> State:
    """Where rules differ the change from one step to the next was cut off: the lower one is held once more."""
    known = {step.weight: number for number, step in enumerate(steps)}
    unknown = sorted(weights - {0} - known.keys())
    if unknown:
        return State(STRANGE, why=f"weight {', '.join(map(str, unknown))} is of no step")
    lowest = known.get(min(weights), 0)
    return State(RUNNING, lowest, _since(marks) if len(weights) == 1 else "")


def _since(marks: Sequence[Mark]) -> str:
    return max(mark.since for mark in marks)


def _settled(seen: Seen, name: str) -> Iterator[State]:
    """What is so whatever the steps are, the weightiest first."""
    for route in seen.routes:
        if route.mark and route.mark.canary != name:
            yield State(FOREIGN, why=f"{route.rule} carries the canary {route.mark.canary}")
        elif route.canary is not None and route.mark is None:
            yield State(FOREIGN, why=f"{route.rule} forwards to the canary's group and has no mark of this collection")
    for route in seen.routes:
        # The end of a promotion begins so as well.
        if route.mark and route.mark.phase == RETREAT and not seen.is_promoted:
            yield State(UNDOING, why=f"the mark of {route.rule} says so")
    for route in seen.routes:
        if route.canary is not None and (route.stable or 0) + route.canary != WHOLE:
            yield State(STRANGE, why=f"{route.rule} has the weights {route.stable} and {route.canary}")


def decide(state: State, seen: Seen, action: str) -> Decision:
    """What to do about the canary. `action` is `auto`, `start`, `finish` or `abort`."""
    if state.kind == FOREIGN:
        return Decision(REFUSE, state.why)
    if state.kind == NONE:
        wanted = seen.is_new and action in ("auto", "start")
        what = "something new to try" if wanted else "nothing to do"
        return Decision(START if wanted else NOTHING, f"there is no canary, and {what}")
    if state.kind == LEFTOVER:
        return Decision(CLEAN, "what is left of a canary is removed")
    if action == "abort":
        return _abort(state, seen)
    if action == "start":
        return Decision(REFUSE, f"a canary is there already ({state.kind})")
    return _go_on(state, seen)


def _abort(state: State, seen: Seen) -> Decision:
    if state.kind == PROMOTING and seen.is_promoted:
        return Decision(REFUSE, "the stable service runs the canary's revision already: finish it, then roll back")
    return Decision(UNDO, "it is to be aborted")


def _go_on(state: State, seen: Seen) -> Decision:
    if state.kind == UNDOING:
        return Decision(UNDO, f"it was being taken back: {state.why}")
    if state.kind == STRANGE:
        return Decision(REFUSE, f"{state.why}: somebody else changed the weights, or the steps were changed")
    if seen.is_other and not seen.is_promoted:
        return Decision(REFUSE, "the canary that is there runs something else than is asked for")
    if state.kind == STARTING and not (seen.service or seen.is_new):
        return Decision(UNDO, "its start was cut off, and it is not known what it was to run")
    if state.kind == PROMOTING and not seen.is_promoted:
        # Nobody has watched it since: it stays at its last step until the gates pass once more.
        return Decision(RESUME, "its promotion was cut off or failed, and the gates are asked once more")
    return {
        STARTING: Decision(START, "its start was cut off"),
        RUNNING: Decision(RESUME, f"it was cut off at step {state.step + 1}"),
        PROMOTING: Decision(FINISH, "the stable service runs the canary's revision already"),
    }[state.kind]


@dataclass(frozen=True)
class Finding:
    """What one gate says, why, and what it saw."""

    gate: str
    verdict: str
    why: str


def verdict(findings: Sequence[Finding]) -> str:
    """One failure fails; else one open question leaves all open; nothing asked is nothing known."""
    found = {finding.verdict for finding in findings}
    if FAIL in found:
        return FAIL
    return PASS if found == {PASS} else INCONCLUSIVE


def after(verdict: str, *, is_baked: bool, has_patience: bool) -> str:
    """What a verdict leads to. A failure goes back at once; only a pass after the whole bake advances."""
    if verdict == FAIL:
        return BACK
    if not is_baked:
        return HOLD
    if verdict == PASS:
        return ADVANCE
    return HOLD if has_patience else BACK
