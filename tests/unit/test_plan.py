"""The plan as data: what is inside a step, what a state looks like after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.plan import (
    Later,
    Missing,
    Observed,
    Step,
    as_data,
    holds,
    overlay,
)


@dataclass(frozen=True)
class Bucket:
    name: str
    size: int | None = None
    colours: frozenset[str] | None = None


@dataclass(frozen=True)
class Secret:
    value: str

    def shown(self) -> str:
        return "hidden"


@dataclass(frozen=True)
class Shelf:
    boxes: dict[str, int] = field(default_factory=dict)

    def over(self, current: Shelf) -> Shelf:
        return Shelf({**current.boxes, **self.boxes})


def test_values_known_later_are_found_however_deep_they_are() -> None:
    step = Step("go", {"a": [{"b": (Later("x"), "y")}], "c": Missing("z", "")}, "why")
    assert [later.what for later in holds(step.args, Later)] == ["x"]
    assert [missing.what for missing in holds(step.args, Missing)] == ["z"]


def test_a_step_shows_no_arguments() -> None:
    assert Step("go", {"password": "secret"}, "why").shown() == {"verb": "go", "why": "why"}


def test_an_id_that_was_not_seen_is_missing_with_its_remedy() -> None:
    observed: Observed[Any] = Observed(None, {"one": "id-1"})
    assert observed.id("one", "") == "id-1"
    assert observed.id("two", "make it") == Missing("two", "make it")


def test_what_is_desired_overlays_what_is_there_and_is_silent_where_it_is_none() -> None:
    assert overlay(Bucket("b", 1, frozenset("x")), Bucket("b", None, frozenset())) == Bucket("b", 1, frozenset())
    assert overlay(None, Bucket("b")) == Bucket("b")
    assert overlay(Bucket("b"), None) is None


def test_a_state_may_say_itself_how_it_merges() -> None:
    assert overlay(Shelf({"a": 1, "b": 1}), Shelf({"b": 2})) == Shelf({"a": 1, "b": 2})


def test_states_become_ordered_plain_data() -> None:
    assert as_data(Bucket("b", 2, frozenset({"red", "blue"}))) == {"name": "b", "size": 2, "colours": ["blue", "red"]}
    assert list(as_data({"b": 1, "a": (Bucket("x"),)})) == ["a", "b"]


def test_a_value_that_is_secret_decides_what_is_shown_of_it() -> None:
    assert as_data({"key": Secret("s3cret")}) == {"key": "hidden"}
