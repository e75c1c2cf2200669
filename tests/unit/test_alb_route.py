"""The judge of a listener's rules: who answers, why nobody before, and what can never answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import elb_action
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Rule
from ansible_collections.hokusai.platform.plugins.module_utils.routing import Request
from ansible_collections.hokusai.platform.plugins.module_utils.routing_report import Finding, Listener, findings
from ansible_collections.hokusai.platform.plugins.modules import alb_route

from tests.unit.alb_edge import BALANCER, PORT, Edge
from tests.unit.alb_model import NAME, ours, rule

Run = Callable[..., dict[str, Any]]
DEFAULT = (elb_action.fixed_response(404, None, None),)


def listener(*rules: Rule, elsewhere: int = 0) -> Listener:
    return Listener(NAME, "https", rules, DEFAULT, elsewhere)


def found(*rules: Rule, quota: int = 100, elsewhere: int = 0) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(each.kind, each.rule, each.by) for each in findings(listener(*rules, elsewhere=elsewhere), quota)[0]]


def test_the_rule_that_answers_is_named_with_its_shares() -> None:
    weighted = replace(ours("api", 20, paths=["/api/*"]), actions=(elb_action.forward({"one": 90, "two": 10}),))
    route = listener(weighted).route(Request("h.test", "/api/x"))
    assert (route["rule"], route["priority"], route["rule_arn"]) == ("api", 20, "arn-of-api-20")
    assert route["action"] == "forward to one 90, two 10"
    assert route["target_groups"] == [
        {"name": "one", "weight": 90, "percent": 90.0},
        {"name": "two", "weight": 10, "percent": 10.0},
    ]


def test_each_rule_before_says_what_was_not_met() -> None:
    rules = (
        rule("host", 1, hosts=["other.test"], paths=["/*"]),
        rule("method", 2, methods=["POST"]),
        rule("header", 3, headers=[{"name": "x-a", "values": ["1"]}]),
        rule("query", 4, query_strings=[{"key": "k", "value": "1"}]),
        rule("source", 5, source_ips=["10.0.0.0/8"]),
        rule("path", 6, paths=["/*"]),
        rule("late", 7, paths=["/late"]),
    )
    route = listener(*rules).route(Request("H.test", "/x"))
    assert route["rule"] == "path"
    assert [(each["rule"], each["condition"], each["observed"]) for each in route["passed_over"]] == [
        ("host", "host other.test", "h.test"),
        ("method", "http POST", "GET"),
        ("header", "header x-a 1", "no such header"),
        ("query", "query k=1", "no query"),
        ("source", "source 10.0.0.0/8", "192.0.2.1"),
    ]


def test_what_no_rule_answers_gets_the_default_action() -> None:
    route = listener(rule("a", 1)).route(Request("h.test", "/else"))
    assert (route["rule"], route["priority"], route["action"]) == ("default", None, "fixed response 404")
    assert route["target_groups"] == []
    assert len(route["passed_over"]) == 1


def test_a_rule_behind_a_broader_one_never_answers() -> None:
    assert found(rule("all", 1, paths=["/*"]), rule("dead", 2, paths=["/a"], hosts=["h.test"])) == [
        ("shadowed", "dead", (1,))
    ]
    assert found(rule("dead", 1, paths=["/a"], hosts=["h.test"]), rule("all", 2, paths=["/*"])) == []


def test_a_rule_that_two_others_cover_together_never_answers() -> None:
    halves = (rule("one", 1, methods=["GET"], paths=["/b*"]), rule("other", 2, paths=["/a/*"]))
    assert found(*halves, rule("dead", 3, methods=["GET"], paths=["/a/*", "/b"])) == [("shadowed", "dead", (1, 2))]
    assert found(*halves, rule("alive", 3, paths=["/a/*", "/b"])) == []


def test_addresses_headers_and_queries_are_covered_too() -> None:
    blocks = [rule(f"b{n}", n + 1, source_ips=[block]) for n, block in enumerate(("10.0.0.0/9", "10.128.0.0/9"))]
    assert found(*blocks, rule("dead", 9, source_ips=["10.0.0.0/8"])) == [("shadowed", "dead", (1, 2))]
    any_value = rule("any", 1, headers=[{"name": "x-a", "values": ["*"]}])
    assert found(any_value, rule("dead", 2, headers=[{"name": "X-A", "values": ["1"]}])) == [("shadowed", "dead", (1,))]
    assert found(rule("k", 1, query_strings=[{"value": "*"}]), rule("d", 2, query_strings=[{"key": "k", "value": "1"}]))


def test_conditions_that_no_request_can_meet_are_told() -> None:
    assert found(rule("a", 1, paths=["a"])) == [("matches_nothing", "a", ())]


def test_a_rule_that_asks_for_a_space_in_a_header_answers() -> None:
    mobile = rule("a", 1, headers=[{"name": "User-Agent", "values": ["*Chrome Mobile*"]}])
    asked = Request("h.test", headers=(("user-agent", "Mozilla/5.0 Chrome Mobile/1"),))
    assert listener(mobile).route(asked)["rule"] == "a"
    assert findings(listener(mobile), 100) == ([], "")


def test_of_letters_that_may_not_be_sent_it_is_unknown_whether_a_rule_answers() -> None:
    listed, unknown = findings(listener(rule("a", 1, paths=["/caf\u00e9"])), 100)
    assert listed == []
    assert "/caf\u00e9" in unknown


def test_the_same_conditions_twice_are_told_as_such() -> None:
    assert found(rule("a", 1, paths=["/x"]), rule("b", 2, "two", paths=["/x"])) == [
        ("duplicate", "b", (1,)),
        ("shadowed", "b", (1,)),
    ]


def test_a_quota_counts_the_rules_of_all_listeners() -> None:
    assert found(rule("a", 1), rule("b", 2), elsewhere=2, quota=4) == []
    [crowd] = findings(listener(rule("a", 1), rule("b", 2), elsewhere=3), 4)[0]
    assert crowd == Finding("over_quota", "the load balancer has 5 rules, its quota is 4")


def test_what_regular_expressions_cover_is_unknown_and_said() -> None:
    rules = (rule("a", 1, path_regexes=["^/a"]), rule("b", 2, paths=["/a"]), rule("c", 3, path_regexes=["^/a"]))
    listed, unknown = findings(listener(*rules), 100)
    assert [(each.kind, each.rule) for each in listed] == [("duplicate", "c"), ("shadowed", "c")]
    assert "path ^/a" in unknown
    assert findings(listener(rule("a", 1)), 100) == ([], "")


# --- the module


@pytest.fixture
def route(run_module: Run, edge: Edge) -> Run:
    edge.make_rule(ours("narrow", 10, "two", hosts=["h.test"], paths=["/a/b"]))
    edge.make_rule(ours("wide", 20, "one", paths=["/a/*"]))
    edge.make_rule(ours("dead", 30, "old", paths=["/a/b"]))

    def run(**options: Any) -> dict[str, Any]:
        return run_module(alb_route.main, load_balancer=BALANCER, port=PORT, **options)

    return run


def test_live_rules_are_read_with_their_names_and_nothing_is_written(route: Run, edge: Edge) -> None:
    edge.aws.calls.clear()
    result = route(requests=[{"host": "h.test", "path": "/a/b"}, {"host": "else.test", "path": "/a/b"}, {"host": "x"}])
    assert [each["rule"] for each in result["routes"]] == ["narrow", "wide", "default"]
    assert result["routes"][0]["rule_arn"] in edge.arns()
    assert result["routes"][1]["passed_over"][0]["condition"] == "host h.test"
    assert [(each["kind"], each["rule"]) for each in result["findings"]] == [("shadowed", "dead")]
    assert result["changed"] is False
    assert len(edge.rules()) == 3


def test_without_a_request_only_the_set_is_looked_at(route: Run) -> None:
    result = route()
    assert result["routes"] == []
    assert result["unknown"] == ""
    assert len(result["findings"]) == 1


BAD = [
    ({"request": {"host": "h", "path": "a"}}, "path a"),
    ({"request": {"host": "h", "path": "/a?b=1"}}, "as query"),
    ({"request": {"host": "h", "source_ip": "10.0.0.0/8"}}, "no address"),
]


@pytest.mark.parametrize(("options", "problem"), BAD)
def test_a_request_that_nobody_can_send_is_refused(route: Run, options: dict[str, Any], problem: str) -> None:
    result = route(**options)
    assert result["error"] == "BadInput"
    assert problem in result["msg"]


def test_a_listener_that_does_not_exist_is_named(run_module: Run, edge: Edge) -> None:
    result = run_module(alb_route.main, load_balancer=BALANCER, port=1)
    assert result["error"] == "NotFound"
    assert f"{BALANCER}:1" in result["msg"]
