"""Which rule answers a request: condition by condition, and the same as the sandbox's load balancers say."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, routing
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.routing import Request, select, shares, unmet

from sandbox.dataplane import routing as dataplane
from sandbox.dataplane.balancing import Balancer
from tests.reliability.counts import RULE_SETS
from tests.unit import alb_dataplane, rule_sets
from tests.unit.alb_model import rule

ASKED = Request(
    "h.test", "/a/b", headers=(("x-a", "One"), ("x-a", "two")), query="k=1&lone&l=a=b", source_ip="10.1.2.3"
)

MEETING: list[tuple[dict[str, Any], bool]] = [
    ({"hosts": ["H.TEST"]}, True),
    ({"hosts": ["*.test"]}, True),
    ({"hosts": ["?.test"]}, True),
    ({"hosts": ["?.h.test"]}, False),
    ({"hosts": ["other.test", "h.test"]}, True),
    ({"host_regexes": [r"^H\."]}, True),
    ({"paths": ["/a/b"]}, True),
    ({"paths": ["/A/b"]}, False),
    ({"paths": ["/a"]}, False),
    ({"paths": ["/a/*"]}, True),
    ({"paths": ["/a/b*"]}, True),
    ({"paths": ["/a/b?"]}, False),
    ({"paths": ["*k=1*"]}, False),
    ({"path_regexes": ["/b$"]}, True),
    ({"path_regexes": ["^/A"]}, False),
    ({"methods": ["GET"]}, True),
    ({"methods": ["get"]}, False),
    ({"headers": [{"name": "X-A", "values": ["TWO"]}]}, True),
    ({"headers": [{"name": "X-A", "values": ["one"]}, {"name": "x-a", "values": ["two"]}]}, True),
    ({"headers": [{"name": "x-a", "values": ["one two"]}]}, False),
    ({"headers": [{"name": "x-b", "values": ["*"]}]}, False),
    ({"headers": [{"name": "x-a", "regexes": ["^t"]}]}, True),
    ({"query_strings": [{"key": "K", "value": "1"}]}, True),
    ({"query_strings": [{"key": "k", "value": "2"}]}, False),
    ({"query_strings": [{"value": "LONE"}]}, True),
    ({"query_strings": [{"key": "lone", "value": "*"}]}, False),
    ({"query_strings": [{"value": "a=b"}]}, True),
    ({"query_strings": [{"value": r"\?"}]}, False),
    ({"source_ips": ["10.1.0.0/16"]}, True),
    ({"source_ips": ["10.2.0.0/16", "2001:db8::/32"]}, False),
    ({"hosts": ["h.test"], "paths": ["/a/*"], "methods": ["POST"]}, False),
]


@pytest.mark.parametrize(("given", "is_met"), MEETING, ids=[str(given) for given, _is_met in MEETING])
def test_conditions(given: dict[str, Any], is_met: bool) -> None:
    assert routing.matches(rule("a", 1, **given), ASKED) is is_met


@pytest.mark.parametrize(("host", "scheme", "is_met"), [("h.test:443", "https", True), ("h.test:80", "https", False)])
def test_the_port_counts_unless_it_goes_with_the_scheme(host: str, scheme: str, is_met: bool) -> None:
    assert routing.matches(rule("a", 1, hosts=["h.test"]), Request(host, scheme=scheme)) is is_met


def test_white_space_around_the_value_of_a_header_is_no_part_of_it() -> None:
    asked = replace(ASKED, headers=(("User-Agent", "\t Chrome Mobile "),))
    assert routing.matches(rule("a", 1, headers=[{"name": "user-agent", "values": ["chrome mobile"]}]), asked)
    assert not routing.matches(rule("a", 1, headers=[{"name": "user-agent", "values": ["*mobile "]}]), asked)


def test_an_ipv6_address_lies_in_its_block() -> None:
    asked = Request("h.test", source_ip="2001:db8::9")
    assert routing.matches(rule("a", 1, source_ips=["2001:db8::/32"]), asked)
    assert not routing.matches(rule("a", 1, source_ips=["0.0.0.0/0"]), asked)


def test_the_lowest_priority_answers_and_else_the_default_action() -> None:
    rules = [rule("late", 20, paths=["/a*"]), rule("early", 10, paths=["/a/*"])]
    assert str(select(rules, ASKED)) == "early"
    assert str(select(rules, Request("h.test", "/ab"))) == "late"
    assert select(rules, Request("h.test", "/c")) is None


def test_the_first_condition_that_is_not_met_is_told() -> None:
    asked = rule("a", 1, hosts=["h.test"], paths=["/c", "/d"])
    assert str(unmet(asked, ASKED)) == "path /c|/d"


def test_shares_are_in_percent_of_all_weights() -> None:
    assert shares((elb_action.forward({"one": 95, "two": 5, "three": 0}),)) == {"one": 95.0, "two": 5.0}
    assert shares((elb_action.forward({"one": 0, "two": 0}),)) == {}
    assert shares((elb_action.fixed_response(404, None, None),)) == {}


def test_a_regular_expression_that_cannot_be_read_is_named() -> None:
    with pytest.raises(BadInput, match=r"\(\?<"):
        routing.matches(rule("a", 1, path_regexes=["(?<"]), ASKED)


def test_the_sandboxs_load_balancers_answer_as_this_says() -> None:
    draw = random.Random(443)
    answered = 0
    for _ in range(RULE_SETS):
        rules = rule_sets.rules(draw, rule)
        listener = alb_dataplane.listener(rules)
        for _ in range(40):
            request = rule_sets.request(draw)
            found, theirs = select(rules, request), dataplane.select(listener, alb_dataplane.sent(request))
            assert theirs is not None
            assert (found.name if found else "default") == theirs.arn, f"{request} {rules}"
            answered += found is not None
    assert answered > 3 * RULE_SETS


def test_the_sandboxs_load_balancers_share_requests_out_as_this_says() -> None:
    draw, several = random.Random(503), 0
    for _ in range(RULE_SETS):
        for each in rule_sets.rules(draw, rule):
            forward = dataplane.action(alb_dataplane.one(each), alb_dataplane.sent(ASKED))
            assert isinstance(forward, dataplane.Forward)
            total, balancer = sum(weight for _arn, weight in forward.groups), Balancer()
            turns = Counter(balancer.group("", forward) for _ in range(total or 1))
            assert shares(each.actions) == {
                elb_action.group_name(arn): round(100 * count / total, 2) for arn, count in turns.items() if arn
            }
            several += len(turns) > 1
    assert several > RULE_SETS / 10
