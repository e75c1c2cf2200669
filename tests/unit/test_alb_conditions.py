"""Conditions and actions in their one form, and which requests two rules share."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_condition
from ansible_collections.hokusai.platform.plugins.module_utils.elb_condition import globs_meet

from tests.unit.alb_model import arn, rule


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("/a", "/a", True),
        ("/a", "/b", False),
        ("/a/*", "/a/b", True),
        ("/a/*", "/a", False),
        ("/*", "/api/*", True),
        ("/a/*/c", "/a/b/*", True),
        ("/a/*x", "/a/*y", False),
        ("/?", "/a", True),
        ("/?", "/ab", False),
        ("*", "", True),
        ("*.hokus.ai", "registry.hokus.ai", True),
        ("*.hokus.ai", "hokus.ai", False),
    ],
)
def test_patterns_meet_when_some_text_matches_both(one: str, other: str, meet: bool) -> None:
    assert globs_meet(one, other) is meet
    assert globs_meet(other, one) is meet


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ({"paths": ["/a"]}, {"paths": ["/b"]}, False),
        ({"paths": ["/a", "/b"]}, {"paths": ["/b"]}, True),
        ({"paths": ["/a"]}, {"hosts": ["h.test"]}, True),
        ({"paths": ["/a"], "hosts": ["h.test"]}, {"paths": ["/a"], "hosts": ["i.test"]}, False),
        ({"paths": ["/a"], "hosts": ["H.test"]}, {"paths": ["/a"], "hosts": ["h.TEST"]}, True),
        ({"paths": ["/a"], "methods": ["GET"]}, {"paths": ["/a"], "methods": ["POST"]}, False),
        ({"path_regexes": ["^/a"]}, {"paths": ["/b"]}, True),
        ({"paths": ["/a"], "source_ips": ["10.0.0.0/8"]}, {"paths": ["/a"], "source_ips": ["11.0.0.0/8"]}, True),
    ],
)
def test_rules_overlap_unless_no_request_can_meet_both(one: Any, other: Any, overlap: bool) -> None:
    assert rule("a", 1, **one).overlaps(rule("b", 2, **other)) is overlap
    assert rule("b", 2, **other).overlaps(rule("a", 1, **one)) is overlap


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("/a", "/a", True),
        ("/a", "/b", False),
        ("/a/*", "/a/b", True),
        ("/a/b", "/a/*", False),
        ("/a/*", "/a/*/c", True),
        ("/a/*", "/a/?", True),
        ("/a/?", "/a/*", False),
        ("/a/?", "/a/b", True),
        ("/a/b", "/a/?", False),
        ("/a/*", "/a", False),
        ("/a*", "/a", True),
        ("/a", "/a*", False),
        ("*.hokus.ai", "registry.hokus.ai", True),
        ("registry.hokus.ai", "*.hokus.ai", False),
        ("*a*b", "xaxb", True),
        ("*a*b", "xbxa", False),
    ],
)
def test_a_pattern_covers_another_when_no_text_matches_only_that(wide: str, narrow: str, covers: bool) -> None:
    assert elb_condition.glob_covers(wide, narrow) is covers


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ({"paths": ["/a", "/a/*"]}, {"paths": ["/a/*"]}, True),
        ({"paths": ["/a/*"]}, {"paths": ["/a", "/a/*"]}, False),
        ({"paths": ["/a/*"], "hosts": ["*.test"]}, {"paths": ["/a/b"], "hosts": ["h.test"]}, True),
        ({"paths": ["/a/*"]}, {"paths": ["/a/b"], "hosts": ["h.test"]}, False),
        ({"paths": ["/a/*"], "hosts": ["h.test"]}, {"paths": ["/a/*"]}, False),
        ({"paths": ["/A"]}, {"paths": ["/a"]}, False),
        ({"methods": ["GET", "HEAD"]}, {"methods": ["GET"]}, True),
        ({"methods": ["GET"]}, {"methods": ["GET", "HEAD"]}, False),
        ({"source_ips": ["10.0.0.0/8"]}, {"source_ips": ["10.1.0.0/16"]}, False),
        ({"path_regexes": ["^/a", "^/b"]}, {"path_regexes": ["^/a"]}, True),
        ({"path_regexes": ["^/a"]}, {"path_regexes": ["^/a", "^/b"]}, False),
        ({"path_regexes": ["^/a"]}, {"paths": ["/a"]}, False),
        ({"headers": [{"name": "a", "values": ["x", "y"]}]}, {"headers": [{"name": "A", "values": ["x"]}]}, True),
        ({"headers": [{"name": "a", "values": ["x"]}]}, {"headers": [{"name": "b", "values": ["x"]}]}, False),
        (
            {"query_strings": [{"key": "a", "value": "1"}, {"value": "2"}]},
            {"query_strings": [{"key": "a", "value": "1"}]},
            True,
        ),
    ],
)
def test_a_rule_covers_another_when_that_is_no_broader_in_anything(wide: Any, narrow: Any, covers: bool) -> None:
    assert rule("a", 1, **wide).covers(rule("b", 1, **narrow)) is covers


@pytest.mark.parametrize(
    "live",
    [
        {"Field": "host-header", "Values": ["a.test"]},
        {"Field": "host-header", "HostHeaderConfig": {"Values": ["a.test"]}},
        {"Field": "host-header", "Values": ["a.test"], "HostHeaderConfig": {"Values": ["A.test", "a.test"]}},
    ],
)
def test_both_forms_of_a_condition_are_one(live: Any) -> None:
    assert elb_condition.from_aws([live]) == {elb_condition.condition("host-header", ["a.test"])}


def test_an_address_without_a_mask_is_that_address_alone() -> None:
    assert elb_condition.condition("source-ip", ["10.0.0.1"]).values == ("10.0.0.1/32",)
    assert elb_condition.condition("source-ip", ["2001:DB8::/32"]).values == ("2001:db8::/32",)
    assert elb_condition.condition("source-ip", ["banana"]).values == ("banana",)


def test_conditions_differ_in_both_directions() -> None:
    more, less = rule("a", 1, paths=["/a"], hosts=["h.test"]), rule("a", 1, paths=["/a"])
    assert more.conditions != less.conditions


def test_a_bare_target_group_is_a_forward_of_one_group_with_any_weight() -> None:
    bare = {"Type": "forward", "TargetGroupArn": arn("one"), "Order": 1}
    config = {"TargetGroups": [{"TargetGroupArn": arn("one"), "Weight": 100}]}
    assert elb_action.from_aws([bare]) == elb_action.from_aws([{"Type": "forward", "ForwardConfig": config}])
    assert elb_action.from_aws([bare]) == (elb_action.forward({"one": 1}),)


def test_a_lone_group_without_weight_is_not_one_with_weight() -> None:
    assert elb_action.forward({"one": 0}) != elb_action.forward({"one": 1})


@pytest.mark.parametrize("sticky", [None, {}, {"Enabled": False}, {"Enabled": False, "DurationSeconds": 60}])
def test_stickiness_that_is_off_is_stickiness_that_is_not_there(sticky: Any) -> None:
    config = {"TargetGroups": [{"TargetGroupArn": arn("one")}], "TargetGroupStickinessConfig": sticky}
    assert elb_action.from_aws([{"Type": "forward", "ForwardConfig": config}]) == (elb_action.forward({"one": 1}),)


def test_an_authentication_before_the_forward_is_a_difference() -> None:
    forward = {"Type": "forward", "TargetGroupArn": arn("one"), "Order": 2}
    login = {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": {"Issuer": "x", "ClientId": "y"}}
    live = elb_action.from_aws([forward, login])
    assert [str(action) for action in live] == ["authenticate-oidc", "forward to one"]
    assert live != elb_action.from_aws([forward])


def test_group_arns_and_names_mean_the_same() -> None:
    assert elb_action.group_name(arn("one")) == elb_action.group_name("one") == "one"
    option = {"type": "forward", "target_groups": [{"name": arn("one"), "weight": 1}], "stickiness_seconds": 0}
    assert elb_action.desired(option, "here") == elb_action.forward({"one": 1})
