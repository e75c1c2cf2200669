# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The gates of a canary, each a judgement of facts: what could not be read is inconclusive, and never passes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.canary import FAIL, INCONCLUSIVE, PASS, Finding
from ansible_collections.hokusai.platform.plugins.module_utils.platform_state import LEAVING, Unknown

PASSING_STATES = frozenset({"healthy"})
OPEN_STATES = frozenset({"initial", "unused", "unavailable"})


@dataclass(frozen=True)
class Counts:
    """Requests for which a target was chosen, and those of them that it failed: answered 5xx, or could not be reached.

    `unanswered` are those of which nothing is known: they took too long, the client went, or the figure is yet to come.
    """

    requests: int = 0
    errors: int = 0
    unanswered: int = 0

    @property
    def ratio(self) -> float:
        return self.errors / self.requests if self.requests else 0.0

    def __str__(self) -> str:
        return f"{self.errors} of {self.requests} requests failed ({self.ratio:.2%})"


@dataclass(frozen=True)
class Limits:
    """`ratio` is the share of failed requests that is borne, `above_stable` how much more than the stable service's."""

    minimum_sample: int
    ratio: float
    above_stable: float


def alarms(names: Iterable[str], states: Mapping[str, str] | Unknown) -> Iterator[Finding]:
    """An alarm that does not exist, or has no data, says nothing; so does one that could not be read."""
    for name in names:
        gate = f"alarm {name}"
        state = states if isinstance(states, Unknown) else states.get(name)
        if isinstance(state, Unknown):
            yield Finding(gate, INCONCLUSIVE, f"unknown: {state.reason}")
        elif state is None:
            yield Finding(gate, INCONCLUSIVE, "it does not exist")
        else:
            known = {"OK": PASS, "ALARM": FAIL}
            yield Finding(gate, known.get(state, INCONCLUSIVE), f"it is {state}")


def targets(group: str, states: Iterable[str] | Unknown) -> Finding:
    """At least one target, and all healthy; one that is just leaving does not count."""
    gate = f"targets of {group}"
    if isinstance(states, Unknown):
        return Finding(gate, INCONCLUSIVE, f"unknown: {states.reason}")
    staying = sorted(state for state in states if state != LEAVING)
    why = ", ".join(staying) or "there is none"
    if staying and PASSING_STATES.issuperset(staying):
        return Finding(gate, PASS, why)
    undecided = staying and (PASSING_STATES | OPEN_STATES).issuperset(staying)
    return Finding(gate, INCONCLUSIVE if undecided else FAIL, why)


def error_ratio(canary: Counts | Unknown, stable: Counts | Unknown, limits: Limits) -> Finding:
    """Fewer requests than the sample say nothing, unless so many failed that the others could not make up for it."""
    gate = "error ratio"
    if isinstance(canary, Unknown) or isinstance(stable, Unknown):
        unknown = next(each for each in (canary, stable) if isinstance(each, Unknown))
        return Finding(gate, INCONCLUSIVE, f"unknown: {unknown.reason}")
    if canary.errors > limits.ratio * max(canary.requests, limits.minimum_sample):
        return Finding(gate, FAIL, f"{canary}, borne are {limits.ratio:.2%}")
    if canary.requests < max(limits.minimum_sample, 1):
        return Finding(gate, INCONCLUSIVE, f"{canary}, at least {limits.minimum_sample} requests are needed")
    if canary.errors + canary.unanswered > limits.ratio * canary.requests:
        return Finding(gate, INCONCLUSIVE, f"{canary}, and {canary.unanswered} more had no answer that was counted")
    if stable.requests >= max(limits.minimum_sample, 1) and canary.ratio > stable.ratio + limits.above_stable:
        return Finding(gate, FAIL, f"{canary}, of the stable service {stable}")
    return Finding(gate, PASS, f"{canary}, of the stable service {stable}")


def probes(reports: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """The reports of http_probe."""
    for each in reports:
        told = "; ".join(map(str, each.get("mismatches") or ())) or f"{each.get('count', 0)} answers as expected"
        yield Finding(f"probe {each['name']}", PASS if each.get("ok") is True else FAIL, told)
