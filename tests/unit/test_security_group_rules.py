"""security_group_rules: what it plans, what EC2 then holds, and what it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import security_group as sg
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Missing, Observed, as_data, holds
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Resource, converge
from ansible_collections.hokusai.platform.plugins.module_utils.security_group_plan import Group
from ansible_collections.hokusai.platform.plugins.modules import security_group_rules as module

from sandbox.controlplane import ControlPlane, Fault

ALB, API = "hokusai-alb-development", "hokusai-api-development"
OWNED = {"hokusai:managed-by": "hokusai.platform"}
ADD, DESCRIBE, REVOKE = (
    "authorize_security_group_ingress",
    "modify_security_group_rules",
    "revoke_security_group_ingress",
)
Options = dict[str, Any]
RESOURCE = Resource("ec2", module.desire, module.observe, module.plan)


def rule(name: str, port: int | None = 5000, **more: Any) -> Options:
    """A rule as a play gives it, after Ansible has filled in the defaults."""
    empty = dict.fromkeys(("from_port", "to_port", "group", "cidr", "prefix_list", "description"))
    peer = {} if {"group", "cidr", "prefix_list"} & more.keys() else {"group": API}
    return {"name": name, "direction": "ingress", "protocol": "tcp", "port": port, **empty, **peer, **more}


def params(*rules: Options, **more: Any) -> Options:
    defaults = {"group": "mlflow", "vpc": None, "purge": "owned", "public_ports": [80, 443], "rule_quota": 60}
    defaults |= {"owner": "hokusai.platform"}
    return {**defaults, "rules": list(rules), **more}


def ours(**options: Any) -> tuple[bool, Options]:
    return True, rule(**options)


def strangers(**options: Any) -> tuple[bool, Options]:
    return False, rule(**options)


TABLE: dict[str, tuple[list[tuple[bool, Options]], Options, list[str]]] = {
    "a missing rule is added": ([], params(rule("api")), [ADD]),
    "a missing rule is added with its description": ([], params(rule("api", description="API to MLflow")), [ADD]),
    "a group rule's description changes in place": (
        [ours(name="api", description="old")],
        params(rule("api", description="new")),
        [DESCRIBE],
    ),
    "an equal rule of ours is left alone": ([ours(name="api")], params(rule("api")), []),
    "an equal rule of somebody else is taken as it is": (
        [strangers(name="theirs", description="by hand")],
        params(rule("api", description="API to MLflow")),
        [],
    ),
    "a changed port is added before the old one is revoked": (
        [ours(name="api", port=5001)],
        params(rule("api")),
        [ADD, REVOKE],
    ),
    "a changed peer is added before the old one is revoked": (
        [ours(name="api", group=ALB)],
        params(rule("api")),
        [ADD, REVOKE],
    ),
    "a replaced rule goes without a purge too": (
        [ours(name="api", port=5001)],
        params(rule("api"), purge="none"),
        [ADD, REVOKE],
    ),
    "a changed description keeps the rule": (
        [ours(name="web", port=443, cidr="10.0.0.0/16", description="old")],
        params(rule("web", 443, cidr="10.0.0.0/16", description="new")),
        [DESCRIBE],
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


@pytest.fixture
def groups(aws: Aws) -> dict[str, str]:
    """A VPC with three security groups, their ids by name."""
    vpc = aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    names = ("mlflow", ALB, API)
    made = {name: aws.ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc) for name in names}
    return {name: each["GroupId"] for name, each in made.items()} | {"vpc": vpc}


def make(aws: Aws, groups: Mapping[str, str], live: list[tuple[bool, Options]]) -> None:
    for owned, options in live:
        each = sg.from_options(options)
        peer = groups.get(each.peer, each.peer)
        tagged = [{"Key": "hokusai:name", "Value": str(each.name)}, *({"Key": k, "Value": v} for k, v in OWNED.items())]
        getattr(aws.ec2, f"authorize_security_group_{each.direction}")(
            GroupId=groups["mlflow"],
            IpPermissions=[sg.permission(each, peer)],
            **({"TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": tagged}]} if owned else {}),
        )


def seen(live: list[tuple[bool, Options]]) -> Observed[Group]:
    """What observe would make of these rules."""
    rules = []
    for number, (owned, options) in enumerate(live):
        each = sg.from_options(options)
        described = each.description or ""
        name = each.name if owned else None
        rules.append(dataclasses.replace(each, id=f"sgr-{number}", owned=owned, description=described, name=name))
    ids = {f"security group {name}": f"sg-{name}" for name in (ALB, API)}
    return Observed(Group("mlflow", tuple(rules), "sg-mlflow"), ids)


def listed(aws: Aws, groups: Mapping[str, str], *, egress: bool = False) -> list[dict[str, Any]]:
    asked = [{"Name": "group-id", "Values": [groups["mlflow"]]}]
    rules = aws.ec2.describe_security_group_rules(Filters=asked)["SecurityGroupRules"]
    return [each for each in rules if each["IsEgress"] == egress]


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


def task(wanted: Options) -> Options:
    """The options as a task writes them: without those that are left out."""
    given = {key: value for key, value in wanted.items() if value is not None and key != "rules"}
    return {**given, "rules": [{k: v for k, v in each.items() if v is not None} for each in wanted["rules"]]}


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


def test_traffic_is_never_cut_while_a_port_is_moved(
    aws: Any, groups: dict[str, str], run_module: Any, control_plane: Any
) -> None:
    """ec2_security_group revokes before it authorises; here a refused addition leaves what was there."""
    make(aws, groups, [ours(name="api", port=5001)])
    control_plane.faults.replace([Fault(match="ec2:AuthorizeSecurityGroupIngress", code="UnauthorizedOperation")])
    result = run_module(module.main, **task(params(rule("api"))))
    assert "add api (tcp 5000 from group hokusai-api-development)" in result["msg"]
    assert "UnauthorizedOperation" in result["msg"]
    assert [each["FromPort"] for each in listed(aws, groups)] == [5001]


def test_an_addition_that_landed_though_its_answer_was_lost_is_not_repeated(
    aws: Any, groups: dict[str, str], control_plane: Any
) -> None:
    lost = Fault(match="ec2:AuthorizeSecurityGroupIngress", code="InternalError", status=500, after=True)
    control_plane.faults.replace([lost])
    assert len(converge(RESOURCE, aws, params(rule("api")), dry=False).steps) == 1
    assert len(listed(aws, groups)) == 1


def test_a_stale_read_after_the_write_is_read_again(aws: Any, groups: dict[str, str], control_plane: Any) -> None:
    control_plane.faults.replace([Fault(match="ec2:AuthorizeSecurityGroupIngress", lag=0.5)])
    assert len(converge(RESOURCE, aws, params(rule("api")), dry=False).steps) == 1
    assert len(listed(aws, groups)) == 1


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


def make_prefix_list(aws: Any, name: str, entries: int) -> str:
    made = aws.ec2.create_managed_prefix_list(PrefixListName=name, MaxEntries=entries, AddressFamily="IPv4")
    return str(made["PrefixList"]["PrefixListId"])


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
