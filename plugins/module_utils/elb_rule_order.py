# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An order of given steps in which no request goes astray, found by looking for the next step that leads nowhere wrong.

It is for the plans whose usual order is not safe: where rules that somebody else made cannot be replaced, or there is
no room to have the old and the new rules at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Rule
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step
from ansible_collections.hokusai.platform.plugins.module_utils.request_patterns import TooManyError
from ansible_collections.hokusai.platform.plugins.module_utils.routing_proof import (
    Judge,
    Moment,
    State,
    UnforeseeableError,
    change,
    changed,
    settled,
)

MAX_LOOKS = 1000
"""States looked at before the search gives up; a millisecond or two each with a hundred rules."""
MAX_STEPS = 200


@dataclass
class Search:
    """The way from the live rules, step by step; back, and another way, where none of the steps left is safe."""

    judge: Judge
    looks: int = 0
    dead: set[frozenset[int]] = field(default_factory=set)

    def onward(self, state: State, left: Sequence[Step]) -> tuple[Step, ...] | None:
        """The steps left in a safe order; None if there is none, or none was found in time."""
        if not left:
            return ()
        key = frozenset(map(id, left))
        if key in self.dead:
            return None
        for step in left:
            new = self.after(state, step)
            if new is None:
                continue
            rest = self.onward(new, [each for each in left if each is not step])
            if rest is not None:
                return step, *rest
        self.dead.add(key)
        return None

    def after(self, state: State, step: Step) -> dict[Any, Rule] | None:
        """The rules after a step; None if it cannot be made yet or some request would go astray."""
        self.looks += 1
        if self.looks > MAX_LOOKS:
            return None
        try:
            new = changed(state, change(state, step))
        except KeyError:
            return None
        if len({rule.priority for rule in new.values()}) < len(new):
            return None
        return None if any(self.judge.wrong(settled(new))) else new


def in_order(live: Iterable[Rule], steps: Sequence[Step]) -> tuple[Step, ...] | None:
    """The steps, each by itself, in an order in which no request goes astray; None if none was found."""
    if len(steps) > MAX_STEPS:
        return None
    try:
        return _in_order(live, steps)
    except (TooManyError, UnforeseeableError):
        return None


def _in_order(live: Iterable[Rule], steps: Sequence[Step]) -> tuple[Step, ...] | None:
    state: dict[Any, Rule] = {rule.arn: rule for rule in live}
    moments, end = [settled(state)], state
    for step in steps:
        made = change(end, step)
        moments.append(Moment(tuple((rule,) for rule in made.values())))
        end = changed(end, made)
    found = Search(Judge([*moments, settled(end)])).onward(state, steps)
    return None if found is None else tuple(Step(each.verb, each.args, each.why) for each in found)
