"""A canary's core: what the live rules mean, what is done about it, and what a verdict leads to."""

from __future__ import annotations

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils.canary import (
    ADVANCE,
    BACK,
    CLEAN,
    FAIL,
    FINISH,
    FOREIGN,
    HOLD,
    INCONCLUSIVE,
    LEFTOVER,
    NONE,
    NOTHING,
    PASS,
    PROMOTE,
    PROMOTING,
    REFUSE,
    RESUME,
    RETREAT,
    RUNNING,
    START,
    STARTING,
    STRANGE,
    UNDO,
    UNDOING,
    Finding,
    Mark,
    Route,
    Seen,
    State,
    Step,
    after,
    decide,
    state,
    steps,
    verdict,
)
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput

NAME = "api-canary"
STEPS = (Step(5, 300), Step(25, 300), Step(50, 300), Step(100, 300))
MARK = Mark(NAME, since="2026-11-21T15:00:00Z")
LATER = Mark(NAME, since="2026-11-21T15:05:00Z")
DONE = Mark(NAME, PROMOTE, since=LATER.since)
BACKWARDS = Mark(NAME, RETREAT, since=MARK.since)


def route(rule: str, canary: int | None, mark: Mark | None = MARK, stable: int | None = None) -> Route:
    share = (1 if canary is None else 100 - canary) if stable is None else stable
    return Route(rule, share, canary, mark)


PLAIN = (route("a", None, None), route("b", None, None))
MADE = ("api-canary-group",)

STATES: dict[str, tuple[Seen, State]] = {
    "rules that forward to the stable group alone": (Seen(PLAIN), State(NONE)),
    "a group that nothing forwards to": (Seen(PLAIN, MADE), State(LEFTOVER)),
    "a service that nothing forwards to": (Seen(PLAIN, MADE, service=True), State(LEFTOVER)),
    "one rule has its part and the other not yet": (
        Seen((route("a", 0), route("b", None, None)), MADE),
        State(STARTING),
    ),
    "a rule is marked and nothing else is done": (
        Seen((route("a", None), route("b", None, None)), MADE),
        State(STARTING),
    ),
    "all rules have a weight of 0": (Seen((route("a", 0), route("b", 0)), MADE, service=True), State(STARTING)),
    "all rules are at the first step": (
        Seen((route("a", 5), route("b", 5)), MADE, True),
        State(RUNNING, 0, MARK.since),
    ),
    "all rules are at the last step": (Seen((route("a", 100),), MADE, True), State(RUNNING, 3, MARK.since)),
    "the last mark counts": (Seen((route("a", 25), route("b", 25, LATER)), MADE, True), State(RUNNING, 1, LATER.since)),
    "cut off between two steps": (Seen((route("a", 50), route("b", 25)), MADE, True), State(RUNNING, 1)),
    "cut off before the first step": (Seen((route("a", 0), route("b", 5)), MADE, True), State(RUNNING, 0)),
    "a rule lost its part, so it is being undone": (
        Seen((route("a", 25), route("b", None, None)), MADE, True),
        State(UNDOING),
    ),
    "all rules lost it and a mark is left": (
        Seen((route("a", None), route("b", None, None)), MADE, True),
        State(UNDOING),
    ),
    "it passed its last step": (
        Seen((route("a", 100, DONE), route("b", 100)), MADE, True),
        State(PROMOTING, 3, DONE.since),
    ),
    "it is finished in one rule": (
        Seen((route("a", None, None), route("b", 100, DONE)), MADE, True, is_promoted=True),
        State(PROMOTING, 3, DONE.since),
    ),
    "it is finished in all rules and a mark is left": (
        Seen((route("a", None, None), route("b", None, DONE)), MADE, True, is_promoted=True),
        State(PROMOTING, 3, DONE.since),
    ),
    "it passed its last step and is aborted in one rule": (
        Seen((route("a", None, DONE), route("b", 100, DONE)), MADE, True),
        State(UNDOING),
    ),
    "it passed its last step and is aborted in all rules": (
        Seen((route("a", None, DONE), route("b", None, DONE)), MADE, True),
        State(UNDOING),
    ),
    "its way back was cut off before the first weight": (
        Seen((route("a", 5, BACKWARDS), route("b", 5, BACKWARDS)), MADE, True),
        State(UNDOING),
    ),
    "its way back was cut off at the first of the marks": (
        Seen((route("a", 100, DONE), route("b", 100, BACKWARDS)), MADE, True),
        State(UNDOING),
    ),
    "it is aborted before it had its first share": (Seen((route("a", 0, BACKWARDS),), MADE, True), State(UNDOING)),
    "it is aborted at a weight of no step": (Seen((route("a", 5, BACKWARDS, stable=1),), MADE, True), State(UNDOING)),
    "it is promoted and its end was cut off": (
        Seen((route("a", 100, BACKWARDS),), MADE, True, is_promoted=True),
        State(PROMOTING, 3, MARK.since),
    ),
    "its way back began, and another's mark": (
        Seen((route("a", 5, BACKWARDS), route("b", 5, Mark("web-canary"))), MADE, True),
        State(FOREIGN),
    ),
    "a weight of no step": (Seen((route("a", 33),), MADE, True), State(STRANGE)),
    "weights that are no percentage": (Seen((route("a", 5, stable=1),), MADE, True), State(STRANGE)),
    "a part without a mark": (Seen((route("a", 5, None),), MADE, True), State(FOREIGN)),
    "another's mark": (Seen((route("a", 5, Mark("web-canary")),), MADE, True), State(FOREIGN)),
    "nothing but another's mark": (Seen((route("a", None, Mark("web-canary")),)), State(FOREIGN)),
}


@pytest.mark.parametrize("case", STATES)
def test_what_aws_holds_says_what_the_canary_does(case: str) -> None:
    seen, wanted = STATES[case]
    found = state(seen, NAME, STEPS)
    assert (found.kind, found.step, found.since) == (wanted.kind, wanted.step, wanted.since), found.why


NEW = Seen(is_new=True)
THERE = Seen(groups=MADE, service=True)
OTHER = Seen(groups=MADE, service=True, is_new=True, is_other=True)
PROMOTED = Seen(groups=MADE, service=True, is_promoted=True)
PROMOTED_OTHER = Seen(groups=MADE, service=True, is_new=True, is_other=True, is_promoted=True)

# state, what else is seen, action: what is done
DECISIONS: list[tuple[str, Seen, str, str]] = [
    (NONE, NEW, "auto", START),
    (NONE, Seen(), "auto", NOTHING),
    (NONE, NEW, "start", START),
    (NONE, NEW, "finish", NOTHING),
    (NONE, NEW, "abort", NOTHING),
    (LEFTOVER, NEW, "auto", CLEAN),
    (LEFTOVER, THERE, "abort", CLEAN),
    (STARTING, THERE, "auto", START),
    (STARTING, NEW, "auto", START),
    (STARTING, Seen(), "auto", UNDO),
    (STARTING, OTHER, "auto", REFUSE),
    (STARTING, THERE, "start", REFUSE),
    (STARTING, THERE, "abort", UNDO),
    (RUNNING, THERE, "auto", RESUME),
    (RUNNING, THERE, "finish", RESUME),
    (RUNNING, OTHER, "auto", REFUSE),
    (RUNNING, NEW, "start", REFUSE),
    (RUNNING, OTHER, "abort", UNDO),
    (PROMOTING, THERE, "auto", RESUME),
    (PROMOTING, THERE, "finish", RESUME),
    (PROMOTING, PROMOTED, "auto", FINISH),
    (PROMOTING, OTHER, "auto", REFUSE),
    (PROMOTING, PROMOTED_OTHER, "auto", FINISH),
    (PROMOTING, THERE, "abort", UNDO),
    (PROMOTING, PROMOTED, "abort", REFUSE),
    (UNDOING, THERE, "auto", UNDO),
    (UNDOING, OTHER, "finish", UNDO),
    (UNDOING, THERE, "start", REFUSE),
    (STRANGE, THERE, "auto", REFUSE),
    (STRANGE, THERE, "finish", REFUSE),
    (STRANGE, THERE, "abort", UNDO),
    (FOREIGN, THERE, "auto", REFUSE),
    (FOREIGN, THERE, "abort", REFUSE),
]


@pytest.mark.parametrize(("kind", "seen", "action", "move"), DECISIONS)
def test_what_is_done_about_it(kind: str, seen: Seen, action: str, move: str) -> None:
    decision = decide(State(kind, why="a rule"), seen, action)
    assert decision.move == move
    assert decision.why


VERDICTS = [
    ([], INCONCLUSIVE),
    ([PASS], PASS),
    ([PASS, PASS], PASS),
    ([PASS, INCONCLUSIVE], INCONCLUSIVE),
    ([PASS, INCONCLUSIVE, FAIL], FAIL),
    ([FAIL], FAIL),
]


@pytest.mark.parametrize(("gates", "wanted"), VERDICTS)
def test_the_verdict_of_all_gates(gates: list[str], wanted: str) -> None:
    assert verdict([Finding("gate", each, "") for each in gates]) == wanted


# verdict, whether the bake is over, whether there is patience left
NEXT = [
    (PASS, True, False, ADVANCE),
    (PASS, True, True, ADVANCE),
    (PASS, False, True, HOLD),
    (INCONCLUSIVE, False, True, HOLD),
    (INCONCLUSIVE, True, True, HOLD),
    (INCONCLUSIVE, True, False, BACK),
    (FAIL, False, True, BACK),
    (FAIL, True, True, BACK),
]


@pytest.mark.parametrize(("found", "is_baked", "has_patience", "wanted"), NEXT)
def test_only_a_pass_after_the_whole_bake_advances(found: str, is_baked: bool, has_patience: bool, wanted: str) -> None:
    assert after(found, is_baked=is_baked, has_patience=has_patience) == wanted


def test_a_mark_is_read_as_it_was_written() -> None:
    mark = Mark(NAME, PROMOTE, "2026-11-21T15:00:00Z", 3600)
    assert Mark.parse(str(mark)) == mark
    assert Mark.parse(str(Mark(NAME))) == Mark(NAME)


def test_a_mark_that_nobody_understands_is_an_error() -> None:
    with pytest.raises(BadInput, match="nobody understands"):
        Mark.parse("true")


def test_steps_lead_up_to_all_requests() -> None:
    assert steps([(5, 300), (100, 600)]) == (Step(5, 300), Step(100, 600))


@pytest.mark.parametrize("weights", [[], [5, 50], [50, 5, 100], [0, 100], [5, 5, 100], [50, 101]])
def test_steps_that_do_not_are_refused(weights: list[int]) -> None:
    with pytest.raises(BadInput, match="rise from 1 or more to 100"):
        steps((weight, 1) for weight in weights)


def test_a_step_takes_time() -> None:
    with pytest.raises(BadInput, match="less than no time"):
        steps([(100, -1)])
