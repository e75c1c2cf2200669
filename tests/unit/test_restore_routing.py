"""While rules and default actions go back no request goes astray, and what cannot go back like that is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_rules, restore, three_way
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Unsafe
from ansible_collections.hokusai.platform.plugins.module_utils.transaction import Write

from tests.unit.alb_edge import Edge
from tests.unit.alb_model import Request, ours, route, witnesses
from tests.unit.restore_platform import WAITING, Notes, Platform, Task
from tests.unit.restore_runs import listener, rules, text
from tests.unit.restore_runs import route as asked


class Traffic(Notes):
    """What the listener does with every request, looked at after each write."""

    def __init__(self, edge: Edge) -> None:
        super().__init__()
        self.edge = edge
        self.moments = [self.look()]

    def look(self) -> list[elb_rules.Rule]:
        described = self.edge.aws.elbv2.describe_rules(ListenerArn=self.edge.listener)["Rules"]
        (default,) = (each for each in described if each["IsDefault"])
        live = [elb_rules.from_aws(each) for each in described if not each["IsDefault"]]
        return [*live, elb_rules.default_rule(elb_action.from_aws(default["Actions"]))]

    def outcome(self, write: Write, result: str, error: Exception | None = None) -> None:
        super().outcome(write, result, error)
        self.moments.append(self.look())

    def astray(self) -> set[Request]:
        first, last = self.moments[0], self.moments[-1]
        return {
            request
            for request in witnesses(*self.moments)
            for moment in self.moments
            if route(moment, request) not in (route(first, request), route(last, request))
        }


@pytest.fixture
def whole(aws: Any, edge: Edge, platform: dict[str, str]) -> Platform:
    edge.make_rule(ours("a", 10, "one", paths=["/a"]))
    edge.make_rule(ours("b", 20, "two", paths=["/b"]))
    return Platform(aws, edge, platform)


A, B = asked("a", 10, "one", "/a"), asked("b", 20, "two", "/b")
SWAPPED: list[Task] = [
    rules(asked("a", 10, "one", "/x"), B),
    rules(asked("a", 10, "one", "/x"), asked("b", 20, "one", "/a")),
    rules(asked("a", 10, "two", "/b"), asked("b", 20, "one", "/a")),
]
"""Two rules that exchange their paths and groups under their ARNs, which takes three tasks."""
FORWARDS = {"default_action": {"type": "forward", "target_group": "three"}}
NEW = asked("new", 30, "one", "/new")
TURNS: dict[str, list[Task]] = {
    "a default action, then a rule beside it": [listener(**FORWARDS), rules(A, B, NEW)],
    "a rule, then the default action": [rules(A, B, NEW), listener(**FORWARDS)],
    "a rule that does what the default action did": [
        listener(**FORWARDS),
        rules(A, B, asked("all", 40, "three", "/*")),
        listener(default_action={"type": "forward", "target_group": "old"}),
    ],
    "rules and more of the listener": [
        rules(A, asked("b", 20, "three", "/b/*")),
        listener(**FORWARDS, tags={"team": "ml"}, attributes={"routing.http.response.server.enabled": "false"}),
    ],
}


@pytest.mark.parametrize("title", TURNS)
def test_rules_and_the_default_action_go_back_in_one_plan_with_no_request_astray(whole: Platform, title: str) -> None:
    before = whole.read()
    notes = whole.run(*TURNS[title])
    judgement = whole.judge(before, notes)
    assert len(restore.units(judgement, before, WAITING)) == 1
    traffic = Traffic(whole.edge)
    predicted = restore.apply(whole.aws, judgement, before, WAITING, dry=True)
    done = restore.apply(whole.aws, judgement, before, WAITING, dry=False, within=traffic)
    assert [step.key for step in done.steps] == [step.key for step in predicted.steps]
    assert (done.astray, done.unproved, traffic.astray()) == ([], [], set())
    assert text(whole.read()) == text(before)


def swap(whole: Platform) -> tuple[Any, three_way.Judgement]:
    before = whole.read()
    return before, whole.judge(before, whole.run(*SWAPPED))


def test_rules_that_exchange_what_they_do_are_not_taken_back_and_the_request_is_named(whole: Platform) -> None:
    before, judgement = swap(whole)
    now = text(whole.read())
    whole.aws.calls.clear()
    (told,) = restore.apply(whole.aws, judgement, before, WAITING, dry=True).astray
    assert "the rules of edge:443: GET https://elsewhere.test/" in told
    with pytest.raises(Unsafe, match="a request would go astray while they go back: GET https://") as error:
        restore.apply(whole.aws, judgement, before, WAITING, dry=False, within=Notes())
    assert "hokusai_allow_misrouting=yes" in error.value.remedy
    assert not whole.aws.writes
    assert text(whole.read()) == now


def test_with_an_explicit_yes_they_go_back_and_the_request_goes_astray_as_was_said(
    whole: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, judgement = swap(whole)
    units = restore.units(judgement, before, WAITING)
    alone = [replace(unit, steps=lambda due, steps=unit.steps: one_by_one(steps(due))) for unit in units]
    monkeypatch.setattr(restore, "units", lambda *_args: alone)
    traffic = Traffic(whole.edge)
    allowed = {**WAITING, "allow_misrouting": True}
    done = restore.apply(whole.aws, judgement, before, allowed, dry=False, within=traffic)
    assert done.astray
    assert traffic.astray()
    assert text(whole.read()) == text(before)


def one_by_one(steps: Any) -> list[Any]:
    return [replace(step, batch="") for step in steps]


def test_what_is_not_known_is_told(whole: Platform) -> None:
    a, b = expression("a", 10, "one", "^/a"), expression("b", 20, "two", "^/b")
    whole.run(rules(a, b))
    before = whole.read()
    notes = whole.run(
        rules(expression("a", 10, "one", "^/x"), b),
        rules(expression("a", 10, "one", "^/x"), expression("b", 20, "one", "^/a")),
        rules(expression("a", 10, "two", "^/b"), expression("b", 20, "one", "^/a")),
    )
    done = whole.take_back(before, notes)
    assert done.astray == []
    assert len(done.unproved) == 1
    assert "path ^/" in done.unproved[0]


def expression(name: str, priority: int, group: str, regex: str) -> dict[str, Any]:
    action = {"type": "forward", "target_group": group}
    return {"name": name, "priority": priority, "path_regexes": [regex], "action": action}
