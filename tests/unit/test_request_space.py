"""The classes of requests are all there are, and each has a request that is in it."""

from __future__ import annotations

import itertools
import random
from functools import reduce
from operator import or_
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import request_patterns, request_space, routing
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Rule
from ansible_collections.hokusai.platform.plugins.module_utils.request_patterns import (
    HEADERS,
    PATHS,
    Alphabet,
    TooManyError,
    distinctions,
)
from ansible_collections.hokusai.platform.plugins.module_utils.request_space import Many, Space
from ansible_collections.hokusai.platform.plugins.module_utils.routing import Request

from tests.reliability.counts import RULE_SETS
from tests.unit import rule_sets
from tests.unit.alb_model import rule


def matched(patterns: tuple[str, ...], text: str) -> int:
    return sum(1 << number for number, each in enumerate(patterns) if routing.glob_matches(each, text, caseless=False))


def test_every_way_to_match_some_patterns_has_its_shortest_text() -> None:
    assert distinctions(("/a/*", "/a/b", "*"), PATHS) == {0b100: "/", 0b101: "/a/", 0b111: "/a/b"}


def test_no_text_of_a_small_alphabet_matches_in_a_way_that_was_not_found() -> None:
    draw = random.Random(7)
    letters = "ab"
    texts = ["".join(text) for length in range(1, 7) for text in itertools.product(letters, repeat=length)]
    for _ in range(RULE_SETS):
        patterns = tuple("".join(draw.choices("ab*?", k=draw.randint(1, 4))) for _ in range(draw.randint(1, 4)))
        found = distinctions(patterns, Alphabet(letters))
        assert {way: matched(patterns, text) for way, text in found.items()} == {way: way for way in found}
        assert {matched(patterns, text) for text in texts} <= found.keys()


def test_letters_that_no_pattern_has_are_looked_at_too() -> None:
    assert distinctions(("a", "b", "?"), Alphabet("abc")) == {0b000: "cc", 0b100: "c", 0b101: "a", 0b110: "b"}
    assert distinctions(("a", "b", "?"), Alphabet("ab")).keys() == {0b101, 0b110, 0b000}


def test_no_text_with_spaces_inside_matches_in_a_way_that_was_not_found() -> None:
    draw = random.Random(8)
    drawn = ("".join(text) for length in range(7) for text in itertools.product("ab ", repeat=length))
    texts = [text for text in drawn if text == text.strip()]
    for _ in range(RULE_SETS // 3):
        patterns = tuple("".join(draw.choices("ab *?", k=draw.randint(1, 4))) for _ in range(draw.randint(1, 3)))
        found = distinctions(patterns, Alphabet("ab", empty=True, inner=" "))
        assert {way: matched(patterns, text) for way, text in found.items()} == {way: way for way in found}
        assert all(text == text.strip() for text in found.values())
        assert {matched(patterns, text) for text in texts} <= found.keys()


@pytest.mark.parametrize("pattern", ["*chrome mobile*", "* *", "?", "", "a  b", r"a\*"])
def test_a_header_can_have_every_letter_of_these_patterns(pattern: str) -> None:
    assert HEADERS.within(pattern)


@pytest.mark.parametrize("pattern", [" chrome", "*chrome ", "* ", "a\tb", "caf\u00e9", "\u4e2d*"])
def test_what_a_header_with_the_letters_of_these_patterns_comes_to_is_not_told(pattern: str) -> None:
    assert not HEADERS.within(pattern)


def test_patterns_that_match_in_too_many_ways_are_given_up() -> None:
    with pytest.raises(TooManyError, match="more than"):
        distinctions([f"*/{number}/*" for number in range(40)], PATHS)


def sets(space: Space) -> set[int]:
    return {met for met, _parts in space.classes}


def met_by(rules: list[Rule], request: Request) -> int:
    return sum(1 << place for place, each in enumerate(rules) if routing.matches(each, request))


def test_every_class_has_a_request_that_is_in_it() -> None:
    draw = random.Random(11)
    for _ in range(RULE_SETS):
        rules = rule_sets.rules(draw, rule, regexes=False)
        space = Space([each.conditions for each in rules])
        for number, (met, _parts) in enumerate(space.classes):
            assert met_by(rules, space.witness(number)) == met, f"{space.witness(number)} {rules}"
            assert space.is_certain(number)


def test_whichever_rules_answer_a_request_in_three_orders_answer_one_of_a_class_too() -> None:
    draw = random.Random(13)
    for _ in range(RULE_SETS):
        rules = rule_sets.rules(draw, rule)
        space = Space([each.conditions for each in rules])
        orders = [draw.sample(range(len(rules)), len(rules)) for _ in range(3)]
        known = {winners(met, orders) for met in sets(space)}
        for _ in range(60):
            request = rule_sets.request(draw)
            assert winners(met_by(rules, request), orders) in known, f"{request} {rules}"


def winners(met: int, orders: list[list[int]]) -> tuple[int | None, ...]:
    return tuple(next((place for place in order if met >> place & 1), None) for order in orders)


def space_of(*given: dict[str, Any], winners: int = 3) -> Space:
    return Space([rule("a", 1, **each).conditions for each in given], winners)


def test_dimensions_multiply_only_where_rules_look_at_both() -> None:
    apart = space_of(*({"hosts": [f"h{n}.test"], "paths": [f"/{n}"]} for n in range(50)))
    crossed = space_of(*({"hosts": [f"h{n}.test"]} for n in range(5)), *({"paths": [f"/{n}"]} for n in range(5)))
    assert len(apart.classes) == 51
    assert len(crossed.classes) == 36


def test_one_request_may_carry_several_values_of_a_header() -> None:
    space = space_of(*({"headers": [{"name": "x-a", "values": [value]}]} for value in "12"))
    assert sets(space) == {0b00, 0b01, 0b10, 0b11}


def test_what_up_to_three_values_meet_together_is_all_found() -> None:
    draw = random.Random(5)
    for _ in range(RULE_SETS):
        values = [draw.randrange(1, 64) & draw.randrange(1, 64) for _ in range(draw.randint(1, 7))]
        many = Many(needs=[1 << place for place in range(6)], values=[(met, ("query", "x")) for met in values], limit=3)
        sets_of_values = (some for count in range(4) for some in itertools.combinations(values, count))
        assert {met for met, _parts in many.choices(63)} == {reduce(or_, some, 0) for some in sets_of_values}


def test_a_regular_expression_is_left_open() -> None:
    space = space_of({"paths": ["/a"]}, {"path_regexes": ["^/b$"]})
    assert sets(space) == {0b00, 0b01, 0b10, 0b11}
    assert {str(each) for each in space.open} == {"path ^/b$"}
    [impossible] = (number for number, (met, _parts) in enumerate(space.classes) if met == 0b11)
    assert not space.is_certain(impossible)


def test_a_header_with_a_space_is_looked_at() -> None:
    values = ("*Chrome Mobile*", "*Safari Mobile*")
    space = space_of(*({"headers": [{"name": "User-Agent", "values": [value]}]} for value in values))
    assert sets(space) == {0b00, 0b01, 0b10, 0b11}
    assert not space.open
    assert all(space.is_certain(number) for number in range(len(space.classes)))


@pytest.mark.parametrize(
    "given",
    [
        {"headers": [{"name": "x-a", "values": ["a\tb"]}]},
        {"headers": [{"name": "x-a", "values": ["*b ", "z"]}]},
        {"hosts": ["h.test:8443"]},
        {"paths": ["/caf\u00e9", "/z"]},
        {"paths": ["/a b"]},
        {"query_strings": [{"key": "caf\u00e9", "value": "1"}]},
        {"query_strings": [{"key": None, "value": "a b"}]},
    ],
)
def test_a_pattern_with_letters_of_which_it_is_not_known_whether_they_are_sent_is_left_open(
    given: dict[str, Any],
) -> None:
    [field] = given
    other = {"headers": [{"name": "x-a", "values": ["1"]}]} if field == "headers" else {field: given[field][-1:]}
    known = {"hosts": ["b.test"], "paths": ["/b"], "query_strings": [{"key": "k", "value": "1"}]}
    space = space_of(given, {field: known[field]} if field in known else other)
    assert sets(space) == {0b00, 0b01, 0b10, 0b11}
    assert len(space.open) == 1
    assert not any(space.is_certain(number) for number, (met, _parts) in enumerate(space.classes) if met & 1)


def test_the_key_of_a_parameter_may_be_empty() -> None:
    space = space_of(*({"query_strings": [{"key": key, "value": "1"}]} for key in ("?*", "*")))
    assert sets(space) == {0b00, 0b10, 0b11}
    assert "=1" in {space.witness(number).query for number in range(len(space.classes))}


def test_a_path_that_begins_otherwise_is_met_by_nothing() -> None:
    space = space_of({"paths": ["a*"]}, {"paths": ["/b"]})
    assert sets(space) == {0b00, 0b10}
    assert not space.open


def test_a_dimension_with_too_many_ways_is_left_open() -> None:
    space = space_of(*({"paths": [f"*/{number}/*"]} for number in range(20)))
    assert 0b111 in sets(space)
    assert len(space.open) == 20


def test_addresses_lie_on_either_side_of_every_border() -> None:
    space = space_of({"source_ips": ["10.0.0.0/8"]}, {"source_ips": ["10.1.0.0/16"]}, {"source_ips": ["::/0"]})
    assert sets(space) == {0b000, 0b001, 0b011, 0b100}


def test_too_many_classes_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_space, "MAX_CLASSES", 20)
    with pytest.raises(TooManyError):
        _ = space_of(*({"hosts": [f"h{n}.test"]} for n in range(5)), *({"paths": [f"/{n}"]} for n in range(5))).classes
    assert request_patterns.MAX_STATES > 1000
