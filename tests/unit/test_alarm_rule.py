"""The alarms that the rule of a composite alarm asks about, and the rules of which they cannot be told."""

from __future__ import annotations

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import alarm_rule
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput

ARN = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:"


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        ('ALARM("5xx (registry)")', ["5xx (registry)"]),
        (r'ALARM("the \"old\" one") OR OK( plain )', ['the "old" one', "plain"]),
        (f'ALARM("{ARN}a b") AND NOT INSUFFICIENT_DATA({ARN}c)', ["a b", "c"]),
        ('ALARM("OK(b)") OR ALARM("OK(b)")', ["OK(b)"]),
        ("(NOT(ALARM(a)))OR(TRUE AND FALSE)", ["a"]),
        ("AT_LEAST(2, ALARM, (a, b, c))", ["a", "b", "c"]),
        ('AT_LEAST( 50% ,NOT INSUFFICIENT_DATA,("a, b",c) ) OR ALARM(d)', ["a, b", "c", "d"]),
        ("TRUE", []),
    ],
)
def test_the_alarms_of_a_rule_are_told(rule: str, names: list[str]) -> None:
    alarm_rule.check("top", rule)
    assert alarm_rule.named(rule) == names


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("ALARM(a) OR ALARM(5xx (registry))", "ALARM(5xx (registry))"),
        ("ALARM(a b)", "ALARM(a b)"),
        ("AT_LEAST(2, ALARM, (a, OK(b)))", "AT_LEAST(2, ALARM, (a, OK(b)))"),
        ("AT_LEAST(2, RED, (a, b))", "AT_LEAST(2, RED, (a, b))"),
        ("MOST(a)", "MOST(a)"),
        ("a AND OK(b)", "a AND OK(b)"),
    ],
)
def test_a_rule_of_which_they_cannot_be_told_is_refused(rule: str, left: str) -> None:
    with pytest.raises(BadInput) as refused:
        alarm_rule.check("top", rule)
    assert str(refused.value).startswith(f"The rule of top cannot be read from {left}")
