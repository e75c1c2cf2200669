"""security_group_rules: what it plans, what EC2 then holds, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Missing, as_data, holds
from ansible_collections.hokusai.platform.plugins.module_utils.runner import converge
from ansible_collections.hokusai.platform.plugins.module_utils.security_group_plan import Group
from ansible_collections.hokusai.platform.plugins.modules import security_group_rules as module

from sandbox.controlplane import ControlPlane
from tests.unit.security_group_model import (
    ADD,
    ALB,
    API,
    MODIFY,
    OWNED,
    RESOURCE,
    REVOKE,
    Options,
    listed,
    make,
    make_prefix_list,
    ours,
    params,
    rule,
    seen,
    strangers,
    task,
)

TABLE: dict[str, tuple[list[tuple[bool, Options]], Options, list[str]]] = {
    "a missing rule is added": ([], params(rule("api")), [ADD]),
    "a missing rule is added with its description": ([], params(rule("api", description="API to MLflow")), [ADD]),
    "a group rule's description changes in place": (
        [ours(name="api", description="old")],
        params(rule("api", description="new")),
        [MODIFY],
    ),
    "an equal rule of ours is left alone": ([ours(name="api")], params(rule("api")), []),
    "an equal rule of somebody else is taken as it is": (
        [strangers(name="theirs", description="by hand")],
        params(rule("api", description="API to MLflow")),
        [],
    ),
    "a changed port changes in place": ([ours(name="api", port=5001)], params(rule("api")), [MODIFY]),
    "a changed peer of the same type changes in place": (
        [ours(name="api", group=ALB, description="old")],
        params(rule("api", description="new")),
        [MODIFY],
    ),
    "a rule changes in place without a purge too": (
        [ours(name="api", port=5001)],
        params(rule("api"), purge="none"),
        [MODIFY],
    ),
    "a protocol changes in place": (
        [ours(name="api")],
        params(rule("api", None, protocol="all")),
        [MODIFY],
    ),
    "ports come back in place": ([ours(name="api", port=None, protocol="all")], params(rule("api")), [MODIFY]),
    "rules that do not need each other are one request": (
        [ours(name="api"), ours(name="alb", group=ALB), ours(name="net", cidr="10.0.0.0/16", description="old")],
        params(rule("api", 5001), rule("alb", 5001, group=ALB), rule("net", cidr="10.0.0.0/16", description="new")),
        [MODIFY],
    ),
    "a rule that another one may take over from waits for it": (
        [ours(name="api"), ours(name="alb", port=5001, group=ALB)],
        params(rule("api", 5001), rule("alb", 5002, group=ALB)),
        [MODIFY, MODIFY],
    ),
    "of rules that need each other one is added before its old one is revoked": (
        [ours(name="api"), ours(name="alb", port=5001, group=ALB)],
        params(rule("api", 5001), rule("alb", 5000, group=ALB)),
        [ADD, MODIFY, REVOKE],
    ),
    "a peer of another type is added before the old one is revoked": (
        [ours(name="api")],
        params(rule("api", cidr="10.0.0.0/16")),
        [ADD, REVOKE],
    ),
    "an IPv6 network is added before the IPv4 one is revoked": (
        [ours(name="net", cidr="10.0.0.0/16")],
        params(rule("net", cidr="2001:db8::/32")),
        [ADD, REVOKE],
    ),
    "a replaced rule goes without a purge too": (
        [ours(name="api")],
        params(rule("api", cidr="10.0.0.0/16"), purge="none"),
        [ADD, REVOKE],
    ),
    "what a stranger's rule lets through is not let through twice": (
        [ours(name="api", port=5001), strangers(name="theirs")],
        params(rule("api")),
        [REVOKE],
    ),
    "two rules that swap what they let through swap their names": (
        [ours(name="api"), ours(name="alb", group=ALB)],
        params(rule("api", group=ALB), rule("alb", group=API)),
        ["create_tags", "create_tags"],
    ),
    "names move on with the rules and the one that is left over takes the new content": (
        [ours(name="one", port=5001), ours(name="two", port=5002)],
        params(rule("one", 5002), rule("two", 5003)),
        [MODIFY, "create_tags", "create_tags"],
    ),
    "a changed description keeps the rule": (
        [ours(name="web", port=443, cidr="10.0.0.0/16", description="old")],
        params(rule("web", 443, cidr="10.0.0.0/16", description="new")),
        [MODIFY],
    ),
    "a description nobody gives stays": (
        [ours(name="web", cidr="10.0.0.0/16", description="old")],
        params(rule("web", cidr="10.0.0.0/16")),
        [],
    ),
    "a changed name is a tag": ([ours(name="old")], params(rule("api")), ["create_tags"]),
    "a rule of ours that is no longer wanted is revoked": ([ours(name="old", port=1)], params(), [REVOKE]),
    "a rule of ours stays without a purge": ([ours(name="old", port=1)], params(purge="none"), []),
    "a stranger's rule is never revoked": ([strangers(name="theirs", port=1)], params(), []),
    "an equal network is written in another way": (
        [ours(name="net", cidr="10.0.0.0/16")],
        params(rule("net", cidr="10.0.7.9/16")),
        [],
    ),
    "an IPv6 network is written in another way": (
        [ours(name="net", cidr="2001:db8::/32")],
        params(rule("net", cidr="2001:0DB8:0:0::/32")),
        [],
    ),
    "all protocols have no ports": (
        [],
        params(rule("any", None, protocol="all", group=ALB)),
        [ADD],
    ),
    "a rule can let traffic out": (
        [],
        params(rule("out", direction="egress", cidr="10.0.0.0/16")),
        ["authorize_security_group_egress"],
    ),
    "a port range is one rule": ([], params(rule("range", None, from_port=8000, to_port=8010)), [ADD]),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_plan_is(case: str) -> None:
    live, wanted, expected = TABLE[case]
    assert [step.verb for step in module.plan(seen(live), module.desire(wanted))] == expected


@pytest.mark.parametrize("case", TABLE)
def test_ec2_ends_where_the_plan_says_and_a_second_run_writes_nothing(
    case: str, aws: Any, groups: dict[str, str]
) -> None:
    live, wanted, expected = TABLE[case]
    make(aws, groups, live)
    predicted = converge(RESOURCE, aws, wanted, dry=True)
    applied = converge(RESOURCE, aws, wanted, dry=False)
    assert [step.verb for step in applied.steps] == expected
    assert [step.key for step in applied.steps] == [step.key for step in predicted.steps]
    assert without_ids(applied.after) == without_ids(predicted.after)
    assert converge(RESOURCE, aws, wanted, dry=False).steps == ()


def without_ids(group: Group | None) -> list[dict[str, Any]]:
    rules = as_data(group)["rules"]
    return [{key: value or "" for key, value in each.items() if key != "id"} for each in rules]


def test_a_new_rule_carries_its_name_and_who_made_it(aws: Any, groups: dict[str, str], run_module: Any) -> None:
    run_module(module.main, **task(params(rule("api-to-mlflow"))))
    (made,) = listed(aws, groups)
    assert {each["Key"]: each["Value"] for each in made["Tags"]} == {**OWNED, "hokusai:name": "api-to-mlflow"}
    assert made["ReferencedGroupInfo"]["GroupId"] == groups[API]


def test_a_changed_description_keeps_the_rule_id(aws: Any, groups: dict[str, str], run_module: Any) -> None:
    make(aws, groups, [ours(name="web", cidr="10.0.0.0/16", description="old")])
    before = listed(aws, groups)
    run_module(module.main, **task(params(rule("web", cidr="10.0.0.0/16", description="new"))))
    (after,) = listed(aws, groups)
    assert after["SecurityGroupRuleId"] == before[0]["SecurityGroupRuleId"]
    assert after["Description"] == "new"


@pytest.mark.parametrize(
    ("opened", "words"),
    [
        (rule("open", 5000, cidr="0.0.0.0/0"), "tcp 5000 from cidr 0.0.0.0/0"),
        (rule("open", 5000, cidr="::/0"), "tcp 5000 from cidr ::/0"),
        (rule("open", 5000, cidr="10.0.0.1/0"), "tcp 5000 from cidr 0.0.0.0/0"),
        (rule("open", None, from_port=80, to_port=443, cidr="0.0.0.0/0"), "tcp 80-443"),
        (rule("open", None, protocol="all", cidr="0.0.0.0/0"), "all traffic"),
        (rule("open", None, protocol="icmp", cidr="0.0.0.0/0"), "icmp all"),
        (rule("open", 5000, cidr="0.0.0.0/1"), "tcp 5000 from cidr 0.0.0.0/1"),
        (rule("open", 5000, cidr="128.0.0.0/1"), "tcp 5000 from cidr 128.0.0.0/1"),
        (rule("open", 5000, cidr="10.0.0.0/7"), "tcp 5000 from cidr 10.0.0.0/7"),
        (rule("open", 5000, cidr="2000::/3"), "tcp 5000 from cidr 2000::/3"),
        (rule("open", 5000, cidr="2001::/15"), "tcp 5000 from cidr 2000::/15"),
    ],
)
def test_nothing_but_the_public_ports_is_opened_to_the_world(opened: Options, words: str) -> None:
    with pytest.raises(BadInput, match=r"would open") as refused:
        module.desire(params(opened))
    assert words in str(refused.value)
    assert "public_ports" in refused.value.remedy


@pytest.mark.parametrize(
    "allowed",
    [
        rule("web", 443, cidr="0.0.0.0/0"),
        rule("web", 80, cidr="::/0"),
        rule("web", 443, cidr="128.0.0.0/1"),
        rule("net", 5000, cidr="10.0.0.0/8"),
        rule("net", 5000, cidr="17.0.0.0/8"),
        rule("net", 5000, cidr="2001::/16"),
        rule("net", 5000, cidr="fc00::/7"),
        rule("out", 5000, cidr="0.0.0.0/0", direction="egress"),
    ],
)
def test_the_public_ports_private_networks_and_egress_are_allowed(allowed: Options) -> None:
    assert module.desire(params(allowed)).rules[0].name == allowed["name"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([rule("a"), rule("a", 1)], "same name"),
        ([rule("a"), rule("b")], "same content"),
        ([rule("a", cidr="10.0.0.0/33")], "is no CIDR"),
        ([rule("a", 70000)], "is no port range"),
        ([rule("a", None, from_port=90, to_port=80)], "is no port range"),
        ([rule("a", None)], "tcp needs ports"),
        ([rule("a", 1, protocol="all")], "have no ports"),
        ([rule("a", description="naïve")], "does not take the description"),
        ([rule("a", None, protocol="50")], "makes no rules of the protocol 50"),
        ([rule("a", protocol="tcpp")], "makes no rules of the protocol tcpp"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(wrong: list[Options], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        module.desire(params(*wrong))


def test_a_plan_over_quota_is_refused_and_counts_the_rules_that_are_still_there() -> None:
    live = [ours(name=f"old-{port}", port=port) for port in range(1, 60)]
    wanted = module.desire(params(rule("new-1"), rule("new-2", 5001)))
    with pytest.raises(BadInput, match="59 IPv4 ingress rules and 2 to add exceed the quota of 60"):
        list(module.plan(seen(live), wanted))


def test_a_rule_of_a_full_group_can_still_change() -> None:
    live = [ours(name=f"rule-{port}", port=port) for port in range(1, 61)]
    wanted = module.desire(params(*(rule(f"rule-{port}", port) for port in range(1, 60)), rule("rule-60", 61)))
    assert [step.verb for step in module.plan(seen(live), wanted)] == [MODIFY]


def test_the_world_a_stranger_let_in_is_warned_of_and_left(aws: Any, groups: dict[str, str], run_module: Any) -> None:
    by_hand = strangers(name="theirs", port=22, cidr="0.0.0.0/1", description="by hand")
    make(aws, groups, [by_hand, strangers(name="web", port=443, cidr="0.0.0.0/0")])
    live = next(each for each in listed(aws, groups) if each["FromPort"] == 22)["SecurityGroupRuleId"]
    for check in (True, False):
        result = run_module(module.main, _check=check, **task(params(rule("api"))))
        assert result["resource"]["open_to_world"] == [
            {"id": live, "protocol": "tcp", "port": "22", "cidr": "0.0.0.0/1", "description": "by hand"}
        ]
        (warning,) = result["warned"]
        assert f"the rule {live} opens tcp 22 from cidr 0.0.0.0/1" in warning
    assert {22, 443, 5000} == {each["FromPort"] for each in listed(aws, groups)}


def test_a_port_that_may_be_public_is_no_concern(aws: Any, groups: dict[str, str], run_module: Any) -> None:
    make(aws, groups, [strangers(name="theirs", port=22, cidr="0.0.0.0/0")])
    result = run_module(module.main, **task(params(public_ports=[22])))
    assert (result["warned"], result["resource"]["open_to_world"]) == ([], [])


def test_two_owners_share_a_group_and_leave_each_others_rules(
    aws: Any, groups: dict[str, str], run_module: Any
) -> None:
    for owner, port in (("one", 5000), ("two", 5001)):
        run_module(module.main, **task(params(rule("api", port), owner=owner)))
    assert sorted(each["FromPort"] for each in listed(aws, groups)) == [5000, 5001]
    run_module(module.main, **task(params(owner="one")))
    (left,) = listed(aws, groups)
    assert {"Key": "hokusai:managed-by", "Value": "two"} in left["Tags"]


def test_a_prefix_list_is_found_by_its_name(aws: Any, groups: dict[str, str], run_module: Any) -> None:
    identity = make_prefix_list(aws, "offices", 5)
    assert run_module(module.main, **task(params(rule("offices", prefix_list="offices"))))["changed"]
    assert [each["PrefixListId"] for each in listed(aws, groups)] == [identity]
    assert not run_module(module.main, **task(params(rule("offices", prefix_list="offices"))))["changed"]


def test_two_prefix_lists_of_one_name_are_an_error_that_lists_both(aws: Any, groups: Any, run_module: Any) -> None:
    twins = [make_prefix_list(aws, "offices", 5) for _twin in range(2)]
    result = run_module(module.main, **task(params(rule("offices", prefix_list="offices"))))
    assert result["error"] == "Ambiguous"
    assert all(twin in result["msg"] for twin in twins)


def test_a_prefix_list_counts_as_often_as_it_may_have_entries(aws: Any, groups: Any, run_module: Any) -> None:
    make_prefix_list(aws, "offices", 30)
    other = make_prefix_list(aws, "others", 30)
    make(aws, groups, [strangers(name="theirs", prefix_list=other)])
    wanted = task(params(rule("offices", prefix_list="offices"), rule("api")))
    assert "30 IPv4 ingress rules and 31 to add exceed the quota of 60" in run_module(module.main, **wanted)["msg"]
    assert run_module(module.main, **{**wanted, "rule_quota": 61})["changed"]


def test_a_change_to_a_prefix_list_of_more_entries_takes_more_of_the_quota(
    aws: Any, groups: Any, run_module: Any
) -> None:
    make(aws, groups, [ours(name="offices", prefix_list=make_prefix_list(aws, "few", 5))])
    make_prefix_list(aws, "many", 50)
    wanted = task(params(rule("offices", prefix_list="many")))
    assert (
        "0 IPv4 ingress rules and 50 to add exceed the quota of 49"
        in run_module(module.main, **{**wanted, "rule_quota": 49})["msg"]
    )
    assert run_module(module.main, **{**wanted, "rule_quota": 50})["changed"]


def test_ipv4_and_ipv6_rules_do_not_share_a_quota() -> None:
    live = [ours(name=f"old-{port}", port=port, cidr="10.0.0.0/16") for port in range(1, 61)]
    wanted = module.desire(params(rule("new", cidr="2001:db8::/32"), purge="none"))
    assert len(list(module.plan(seen(live), wanted))) == 1


def test_a_peer_that_does_not_exist_can_be_planned_but_not_applied(groups: Any, run_module: Any) -> None:
    planned = run_module(module.main, _check=True, **task(params(rule("api", group="nobody"))))
    assert planned["warned"] == [
        "security group nobody does not exist yet: this plan assumes that an earlier task creates it"
    ]
    applied = run_module(module.main, **task(params(rule("api", group="nobody"))))
    assert applied["failed"]
    assert "security group nobody does not exist" in applied["msg"]


def test_a_missing_peer_is_a_missing_in_the_arguments() -> None:
    (step,) = module.plan(seen([]), module.desire(params(rule("api", group="nobody"))))
    assert [each.what for each in holds(step.args, Missing)] == ["security group nobody"]


def test_a_group_that_does_not_exist_is_named(groups: Any, run_module: Any) -> None:
    result = run_module(module.main, **task(params(group="nobody")))
    assert result["failed"]
    assert "There is no security group nobody" in result["msg"]


def test_a_name_in_two_vpcs_is_an_error_that_lists_both(aws: Any, groups: dict[str, str], run_module: Any) -> None:
    other = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    twin = aws.ec2.create_security_group(GroupName="mlflow", Description="twin", VpcId=other)["GroupId"]
    result = run_module(module.main, **task(params(rule("api"))))
    assert result["error"] == "Ambiguous"
    assert twin in result["msg"]
    assert groups["mlflow"] in result["msg"]
    assert run_module(module.main, **task(params(rule("api"), vpc=groups["vpc"])))["changed"]


def test_one_group_named_in_two_ways_is_refused(groups: dict[str, str], run_module: Any) -> None:
    result = run_module(module.main, **task(params(rule("a", 1, group=API), rule("b", 2, group=groups[API]))))
    assert "are the same peer" in result["msg"]


def test_check_mode_shows_the_rules_as_they_would_be_and_writes_nothing(
    aws: Any, groups: dict[str, str], run_module: Any, control_plane: Any
) -> None:
    make(aws, groups, [ours(name="old", port=1)])
    control_plane.calls.reset()
    result = run_module(module.main, _check=True, **task(params(rule("api"))))
    assert [each["name"] for each in result["diff"]["before"]["rules"] if each["direction"] == "ingress"] == ["old"]
    assert [each["name"] for each in result["diff"]["after"]["rules"] if each["direction"] == "ingress"] == ["api"]
    assert control_plane.calls.as_dict()["writes"] == 0


def test_a_no_op_of_many_rules_takes_three_reads(groups: Any, aws: Any, control_plane: ControlPlane) -> None:
    wanted = params(*(rule(f"port-{port}", port) for port in range(1, 41)))
    converge(RESOURCE, aws, wanted, dry=False)
    control_plane.calls.reset()
    converge(RESOURCE, aws, wanted, dry=False)
    assert control_plane.calls.as_dict()["reads"] == 3
