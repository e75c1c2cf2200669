"""What a journal says was written: every method that a plan has, and what an outcome leaves open."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import journal_writes
from ansible_collections.hokusai.platform.plugins.module_utils.journal_writes import read
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_field import flat, holds, nested, same

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
OTHER = {"authorize_security_group_", "revoke_security_group_"}
"""Methods whose end the plan fills in."""


def intent(seq: int, verb: str = "modify_rule", service: str = "elbv2", **args: Any) -> dict[str, Any]:
    return {"seq": seq, "kind": "intent", "service": service, "verb": verb, "why": "w", "args": args}


def outcome(of: int, result: str = "done", error: str = "", **response: Any) -> dict[str, Any]:
    return {"seq": 100 + of, "kind": "outcome", "of": of, "result": result, "error": error, "response": response}


def test_every_method_that_a_plan_has_can_be_taken_back() -> None:
    text = "".join(path.read_text() for path in PLUGINS.glob("module*/*.py"))
    planned = set(re.findall(r'Step\(\s*f?"([a-z_]+)', text)) - OTHER
    assert planned - {"put_parameter", "create_secret", "put_secret_value"} <= {
        verb for _s, verb in journal_writes.VERBS
    }


@pytest.mark.parametrize(
    ("entry", "counts"),
    [
        (None, True),
        (outcome(1), True),
        (outcome(1, "landed"), True),
        (outcome(1, "failed", "AccessDenied"), False),
        (outcome(1, "failed", "Throttling"), False),
        (outcome(1, "failed", "LockLost"), False),
        (outcome(1, "failed", "ConnectionClosedError"), True),
        (outcome(1, "failed", "ReadTimeoutError"), True),
        (outcome(1, "failed", "InternalFailure"), True),
        (outcome(1, "failed", "AuthServiceError"), True),
    ],
)
def test_a_write_counts_unless_it_was_surely_refused(entry: dict[str, Any] | None, counts: bool) -> None:
    entries = [intent(1, RuleArn="r", Actions=[]), *([entry] if entry else [])]
    assert bool(read(entries).writes) is counts


def test_a_write_that_nothing_takes_back_is_told() -> None:
    told = read([intent(1, "put_parameter", "ssm")])
    assert (told.writes, told.other) == ((), ({"verb": "ssm:put_parameter", "why": "w"},))


def test_ports_that_a_changed_group_rule_was_not_given_are_written_as_none() -> None:
    changed = {"SecurityGroupRuleId": "sgr-1", "SecurityGroupRule": {"IpProtocol": "-1", "ReferencedGroupId": "sg-1"}}
    (write,) = read([intent(1, "modify_security_group_rules", "ec2", SecurityGroupRules=[changed])]).writes
    assert (write.id, dict(write.fields)) == (
        "sgr-1",
        {"IpProtocol": "-1", "FromPort": None, "ToPort": None, "ReferencedGroupInfo": {"GroupId": "sg-1"}},
    )


def test_the_id_of_what_was_created_comes_from_the_answer() -> None:
    args = {"ListenerArn": "l", "Priority": 5, "Conditions": [], "Actions": [], "Tags": [{"Key": "a", "Value": "b"}]}
    (write,) = read([intent(1, "create_rule", **args), outcome(1, Rules=[{"RuleArn": "new"}])]).writes
    assert (write.id, write.fields["Priority"], write.fields["Tags.a"]) == ("new", "5", "b")


def test_one_call_may_write_to_several_resources() -> None:
    listed = [{"RuleArn": "a", "Priority": 1}, {"RuleArn": "b", "Priority": 2}]
    writes = read([intent(1, "set_rule_priorities", RulePriorities=listed)]).writes
    assert [(write.id, dict(write.fields)) for write in writes] == [("a", {"Priority": "1"}), ("b", {"Priority": "2"})]


ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/api/0123456789abcdef"
SAME: dict[str, tuple[str, str, Any, Any]] = {
    "both spellings of a forward": (
        "load_balancer_rule",
        "Actions",
        [{"Type": "forward", "TargetGroupArn": ARN}],
        [{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": ARN, "Weight": 7}]}}],
    ),
    "both forms of a condition": (
        "load_balancer_rule",
        "Conditions",
        [{"Field": "path-pattern", "Values": ["/b", "/a"]}],
        [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a", "/b"]}}],
    ),
    "nothing and empty": ("ecs_service", "serviceRegistries", None, []),
    "the order of codes": ("target_group", "Matcher", {"HttpCode": "200,404"}, {"HttpCode": "404, 200"}),
    "what ECS fills in": (
        "ecs_service",
        "serviceRegistries",
        [{"registryArn": "r"}],
        [{"registryArn": "r", "port": 0, "containerName": ""}],
    ),
    "no ports": ("security_group_rule", "FromPort", -1, None),
    "host bits": ("security_group_rule", "CidrIpv4", "10.0.0.7/8", "10.0.0.0/8"),
    "the account of a peer": (
        "security_group_rule",
        "ReferencedGroupInfo",
        {"GroupId": "sg-1"},
        {"GroupId": "sg-1", "UserId": "123456789012"},
    ),
}
DIFFERENT: dict[str, tuple[str, str, Any, Any]] = {
    "another path": (
        "load_balancer_rule",
        "Conditions",
        [{"Field": "path-pattern", "Values": ["/a"]}],
        [{"Field": "path-pattern", "Values": ["/A"]}],
    ),
    "another TTL": ("discovery_service", "DnsConfig.DnsRecords", [{"Type": "A", "TTL": 1}], [{"Type": "A", "TTL": 2}]),
    "an empty tag and none": ("listener", "Tags.a", "", None),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_in_meaning_is_the_same(name: str) -> None:
    assert same(*SAME[name])


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_differs_in_meaning_is_not_the_same(name: str) -> None:
    assert not same(*DIFFERENT[name])


def test_a_structure_holds_what_was_written_when_aws_filled_in_the_rest() -> None:
    written = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    now = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}, "strategy": "ROLLING"}
    assert holds("ecs_service", "deploymentConfiguration", now, written)
    assert not holds("ecs_service", "deploymentConfiguration", written, now)


def test_a_name_with_dots_survives_the_way_there_and_back() -> None:
    fields = {"Attributes": {"routing.http.x": "1"}, "Priority": "1", "Tags": {"a.b": "c"}}
    assert nested(flat(fields)) == fields
