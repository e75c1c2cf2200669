# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""That no request goes astray while the steps of a plan are made, decided before the first of them.

The steps are replayed on the live rules. At every moment, which is between two batches or inside one, where any of its
steps may have been made and any not yet, every request there can be (`request_space`) must get the answer that it got
before or the one that it gets in the end. A request that both sets answer alike is then never answered otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_rules
from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.elb_action import Actions
from ansible_collections.hokusai.platform.plugins.module_utils.elb_condition import Conditions
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Rule, Transform
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Later, Missing, Step
from ansible_collections.hokusai.platform.plugins.module_utils.request_patterns import TooManyError
from ansible_collections.hokusai.platform.plugins.module_utils.request_space import Space, bits
from ansible_collections.hokusai.platform.plugins.module_utils.routing import Request
from ansible_collections.hokusai.platform.plugins.module_utils.runner import batches

MAX_WITNESSES = 100
IDLE = {
    *("add_tags", "remove_tags", "modify_listener_attributes"),
    *("add_listener_certificates", "remove_listener_certificates"),
}
"""Writes that route no request otherwise."""

State = Mapping[Any, Rule]
"""The live rules by ARN, or by `Later` those that a step makes; the default action is the last of them, if known."""
Answer = tuple[Actions, tuple[Transform, ...]]
Answers = dict["Answer | None", int]
"""The classes of requests, as bits, that get an answer; None is a default action of which nothing is known."""


@dataclass(frozen=True)
class Moment:
    """What may be there at one time: each place in the order has one rule, or one of several (None: or no rule)."""

    choices: tuple[tuple[Rule | None, ...], ...]
    steps: tuple[Step, ...] = ()

    @property
    def rules(self) -> Iterator[Rule]:
        return (rule for choice in self.choices for rule in choice if rule)


@dataclass(frozen=True)
class Astray:
    """A request that at some moment gets neither the answer it got before nor the one it gets in the end."""

    request: Request
    before: Answer | None
    meanwhile: Answer | None
    after: Answer | None
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        course = f"gets {says(self.before)} now and {says(self.after)} in the end, but meanwhile {says(self.meanwhile)}"
        return f"{self.request} {course} ({'; '.join(f'{step.verb}: {step.why}' for step in self.steps)})"


@dataclass(frozen=True)
class Proof:
    """What is known of a plan. Safe is proved; what has a witness is unsafe; else `reason` says why neither is known.

    `classes` are the kinds of requests that were looked at (none where there is nothing between the two ends), `states`
    the moments, each of which stands for all orders inside a batch.
    """

    classes: int = 0
    states: int = 0
    astray: Astray | None = None
    reason: str = ""

    @property
    def safe(self) -> bool:
        return not self.astray and not self.reason

    @property
    def severity(self) -> int:
        """0 is safe, 1 not known, and 2 a request that goes astray."""
        return 2 if self.astray else int(not self.safe)

    def __str__(self) -> str:
        if self.safe:
            return f"proved: no request goes astray ({self.classes} kinds of requests, {self.states} states on the way)"
        return f"not proved that no request goes astray: {self.astray or self.reason}"

    def concerns(self) -> Iterator[str]:
        if not self.safe:
            yield str(self)

    def shown(self) -> dict[str, Any]:
        return {"safe": self.safe, "classes": self.classes, "states": self.states, "reason": self.reason}


def says(answer: Answer | None) -> str:
    return elb_action.says(answer[0]) if answer else "the default action"


def prove(live: Iterable[Rule], steps: Sequence[Step]) -> Proof:
    """Whether any request goes astray on the way that the steps take from the live rules (see `RuleSet.all`)."""
    try:
        moments = replay(live, steps)
    except UnforeseeableError as error:
        return Proof(reason=str(error))
    if len(moments) < 3:
        return Proof(states=len(moments))
    judge = Judge(moments)
    try:
        found = judge.first()
        classes = len(judge.space.classes)
    except TooManyError as error:
        return Proof(states=len(moments), reason=str(error))
    doubt = "" if found or judge.is_clean else judge.doubt()
    return Proof(classes, len(moments), found, doubt)


class UnforeseeableError(Exception):
    """Steps of which it cannot be said what they lead to."""


class Judge:
    """Answers at every moment, for all classes of requests at once."""

    def __init__(self, moments: Sequence[Moment]) -> None:
        self.moments = moments
        seen = dict.fromkeys(rule.conditions for moment in moments for rule in moment.rules)
        self.space = Space(list(seen))
        self.places: Mapping[Conditions, int] = {conditions: place for place, conditions in enumerate(seen)}
        self.is_clean = True

    @cached_property
    def ends(self) -> tuple[Answers, Answers]:
        return self.answers(self.moments[0]), self.answers(self.moments[-1])

    def first(self) -> Astray | None:
        """The first request that is sure to go astray; `is_clean` tells whether others may."""
        for moment in self.moments[1:-1]:
            for answer, wrong in self.wrong(moment):
                self.is_clean = False
                for number in islice(bits(wrong), MAX_WITNESSES):
                    if self.space.is_certain(number):
                        was, becomes = (holder(answers, number) for answers in self.ends)
                        return Astray(self.space.witness(number), was, answer, becomes, moment.steps)
        return None

    def wrong(self, moment: Moment) -> Iterator[tuple[Answer | None, int]]:
        """Classes that may get an answer which they get neither at the beginning nor in the end."""
        before, after = self.ends
        for answer, classes in self.answers(moment).items():
            wrong = classes & ~(before.get(answer, 0) | after.get(answer, 0))
            if wrong:
                yield answer, wrong

    def answers(self, moment: Moment) -> Answers:
        """Every answer that a class may get at a moment.

        Which of a batch's steps have been made is open, one by one. So a class gets the answer of a rule that it meets
        and that may be there, unless a rule in front is met whatever is there.
        """
        open_classes, found = self.space.all, Answers()
        for choice in moment.choices:
            surely = open_classes
            for rule in choice:
                met = open_classes & self.space.meeting[self.places[rule.conditions]] if rule else 0
                surely &= met
                if rule and met:
                    answer = answer_of(rule)
                    found[answer] = found.get(answer, 0) | met
            open_classes &= ~surely
        found[None] = open_classes
        return found

    def doubt(self) -> str:
        listed = ", ".join(sorted({str(each) for each in self.space.open}))
        return f"whether requests go astray depends on how these overlap, which is not looked into: {listed}"


def answer_of(rule: Rule) -> Answer:
    return rule.actions, rule.transforms


def holder(answers: Answers, number: int) -> Answer | None:
    return next(answer for answer, classes in answers.items() if classes >> number & 1)


# --- the moments


def replay(live: Iterable[Rule], steps: Sequence[Step]) -> list[Moment]:
    """The moment before the first step, one in the midst of each batch or after a step by itself, and the last one."""
    state: State = {rule.arn: rule for rule in live}
    moments = [settled(state)]
    batch: tuple[Step, ...] = ()
    for batch in batches([step for step in steps if step.verb not in IDLE]):
        changes = [foreseen(state, step) for step in batch]
        touched = list(chain.from_iterable(changes))
        if len(set(touched)) < len(touched):
            raise UnforeseeableError("two steps of one batch concern the same rule")
        if len(batch) > 1:
            moments.append(unsettled(state, changes, batch))
        for made in changes:
            state = changed(state, made)
        if len(batch) == 1:
            moments.append(replace(settled(state), steps=batch))
    return [*moments, settled(state)] if len(batch) > 1 else moments


def foreseen(state: State, step: Step) -> Mapping[Any, Rule | None]:
    try:
        return change(state, step)
    except KeyError as error:
        raise UnforeseeableError(f"{step.verb} concerns a rule that is not there: {error}") from error


def changed(state: State, made: Mapping[Any, Rule | None]) -> dict[Any, Rule]:
    return {key: rule for key, rule in {**state, **made}.items() if rule}


def settled(state: State) -> Moment:
    return Moment(tuple((rule,) for rule in sorted(state.values(), key=lambda rule: rule.priority)))


def unsettled(state: State, changes: Iterable[Mapping[Any, Rule | None]], batch: tuple[Step, ...]) -> Moment:
    """The moment in which every rule that a step of the batch concerns is as it was or as it becomes."""
    choices: dict[Any, tuple[Rule | None, ...]] = {key: (rule,) for key, rule in state.items()}
    for made in changes:
        for key, rule in made.items():
            choices[key] = (state.get(key), rule)
    ordered = sorted(choices.values(), key=lambda choice: max(rule.priority for rule in choice if rule))
    return Moment(tuple(ordered), batch)


def change(state: State, step: Step) -> Mapping[Any, Rule | None]:
    """The rules that a step makes otherwise, as they then are; None is gone."""
    makers: Mapping[str, Callable[[State, Mapping[str, Any]], Mapping[Any, Rule | None]]] = {
        "create_rule": _created,
        "modify_rule": _modified,
        "set_rule_priorities": _moved,
        "delete_rule": lambda _state, args: {args["RuleArn"]: None},
        "modify_listener": _turned,
    }
    if step.verb not in makers:
        raise UnforeseeableError(f"what {step.verb} does to requests is not known")
    return makers[step.verb](state, step.args)


def _created(state: State, args: Mapping[str, Any]) -> dict[Any, Rule | None]:
    name = tagging.from_aws(args.get("Tags", ())).get(tagging.NAME, "")
    made = replace(elb_rules.from_aws({**named(args), "RuleArn": ""}), name=name)
    if Later(str(made)) in state:
        raise UnforeseeableError(f"two rules are made under the same name ({made})")
    return {Later(str(made)): made}


def _modified(state: State, args: Mapping[str, Any]) -> dict[Any, Rule | None]:
    old = state[args["RuleArn"]]
    new = elb_rules.from_aws({**named(args), "Priority": old.priority})
    fields = {"conditions": "Conditions", "actions": "Actions", "transforms": "Transforms"}
    given: dict[str, Any] = {field: getattr(new, field) for field, argument in fields.items() if argument in args}
    if args.get("ResetTransforms"):
        given["transforms"] = ()
    return {old.arn: replace(old, **given)}


def _turned(state: State, args: Mapping[str, Any]) -> dict[Any, Rule | None]:
    if "DefaultActions" not in args:
        return {}
    if elb_rules.DEFAULT not in state:
        raise UnforeseeableError("what the default action does now is not known")
    actions = elb_action.from_aws(named(args["DefaultActions"]))
    return {elb_rules.DEFAULT: replace(state[elb_rules.DEFAULT], actions=actions)}


def _moved(state: State, args: Mapping[str, Any]) -> dict[Any, Rule | None]:
    return {
        each["RuleArn"]: replace(state[each["RuleArn"]], priority=each["Priority"]) for each in args["RulePriorities"]
    }


def named(value: Any) -> Any:
    """Arguments with the names of things that do not exist yet in the place of their ids."""
    if isinstance(value, Missing):
        return value.what
    if isinstance(value, Mapping):
        return {key: named(inner) for key, inner in value.items()}
    return [named(inner) for inner in value] if isinstance(value, (list, tuple)) else value
