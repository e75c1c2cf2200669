"""What the measurement of listener rules takes for granted about its own rules, and what it calls met."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.bench.report import machine, write
from tests.bench.rules import scene
from tests.bench.rules.load import Seen
from tests.bench.rules.report import OURS, Figure, bars

FINE = Figure(OURS, 100, 0.08, "create", 3.0, 2.4, 104, 500, 0, 0, right=True)


@pytest.mark.parametrize("count", [1, 20, 100])
def test_another_order_moves_every_rule_and_changes_no_answer(count: int) -> None:
    stages = {operation: (before, after) for operation, before, after in scene.stages(count)}
    before, after = stages["reorder"]
    assert {rule.name: rule.priority for rule in before}.items().isdisjoint(
        {rule.name: rule.priority for rule in after}.items()
    )
    assert all(len(allowed) == 1 for allowed in scene.answers(before, after).values())


def test_the_path_of_a_narrow_rule_tells_when_that_rule_is_missing() -> None:
    rules = scene.rules(4)
    assert scene.answer(rules, "/1/api/x") == "one"
    assert scene.answer([rule for rule in rules if rule.name != "r3"], "/1/api/x") == "two"
    assert scene.answers([], rules)["/1/api/x"] == ["default", "one"]


def test_a_request_is_lost_without_an_answer_and_misrouted_with_a_wrong_one() -> None:
    seen = Seen()
    for answer in ("one", "default", "two", "HTTP/1.1 503 Service Unavailable: ", "TimeoutError "):
        seen.take("/x", answer, ["one", "default"])
    assert (seen.sent, seen.lost, seen.misrouted) == (5, 2, 1)
    assert seen.examples[0] == "/x got two, not one or default"


@pytest.mark.parametrize(
    ("change", "unmet"),
    [
        ({}, set()),
        ({"operation": "no-op", "calls": 5}, {"calls"}),
        ({"api_seconds": 2.6}, {"seconds"}),
        ({"api_seconds": 2.6, "delay": 0.0}, set()),
        ({"lost": 1}, {"lost"}),
        ({"misrouted": 1}, {"misrouted"}),
        ({"right": False}, {"changes"}),
        ({"way": "elb_application_lb", "lost": 1, "misrouted": 1, "right": False, "api_seconds": 60.0}, set()),
    ],
)
def test_bars(change: dict[str, object], unmet: set[str]) -> None:
    noop = replace(FINE, operation="no-op", calls=4)
    figures = [FINE, noop, replace(FINE, **change)]  # type: ignore[arg-type]
    assert {bar.what.split()[0] for bar in bars(figures) if not bar.met} == unmet


def test_the_file_has_the_figures_the_bars_and_the_machine(tmp_path: Path) -> None:
    judged, file = list(bars([FINE, replace(FINE, lost=1)])), tmp_path / "below" / "rules.json"
    write(file, [asdict(FINE)], judged, machine())
    told = json.loads(file.read_text())
    assert told["figures"] == [asdict(FINE) | {"examples": []}]
    assert [bar["met"] for bar in told["bars"]] == [bar.met for bar in judged]
    assert told["before"].keys() == told["after"].keys() == {"cores", "load", "day"}
