"""Listener rules answer as AWS does where moto would not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

Elb = Any
FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]


@pytest.fixture
def elb(client: Callable[..., Any]) -> Elb:
    return client("elbv2")


@pytest.fixture
def balancer(elb: Elb, network: Any) -> str:
    arn: str = elb.create_load_balancer(Name="lb", Subnets=network.subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    return arn


@pytest.fixture
def listener(elb: Elb, balancer: str) -> str:
    return listen(elb, balancer, 80)


def listen(elb: Elb, balancer: str, port: int, actions: Any = None) -> str:
    answer = elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=port, DefaultActions=actions or FIXED)
    arn: str = answer["Listeners"][0]["ListenerArn"]
    return arn


@pytest.fixture
def groups(elb: Elb, network: Any) -> list[str]:
    """Six target groups."""
    return [group(elb, network, f"g{number}") for number in range(6)]


def group(elb: Elb, network: Any, name: str) -> str:
    created = elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=network.vpc, TargetType="ip")
    arn: str = created["TargetGroups"][0]["TargetGroupArn"]
    return arn


def path(*values: str) -> dict[str, Any]:
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": list(values)}}


def forward(*arns: str) -> list[dict[str, Any]]:
    if len(arns) == 1:
        return [{"Type": "forward", "TargetGroupArn": arns[0]}]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": arn} for arn in arns]}}]


def rule(elb: Elb, listener: str, priority: int, *conditions: Any, actions: Any = None, **options: Any) -> Any:
    return elb.create_rule(
        ListenerArn=listener,
        Priority=priority,
        Conditions=list(conditions) or [path(f"/{priority}")],
        Actions=actions or FIXED,
        **options,
    )["Rules"][0]


def order(elb: Elb, listener: str) -> list[str]:
    return [each["Priority"] for each in elb.describe_rules(ListenerArn=listener)["Rules"]]


def refused(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    code: str = caught.value.response["Error"]["Code"]
    return code


def test_rules_come_by_priority_and_the_default_last(elb: Elb, listener: str) -> None:
    for priority in (30, 10, 20):
        rule(elb, listener, priority)
    assert order(elb, listener) == ["10", "20", "30", "default"]


def test_two_rules_swap_in_one_call(elb: Elb, listener: str) -> None:
    first, second = rule(elb, listener, 10), rule(elb, listener, 20)
    elb.set_rule_priorities(
        RulePriorities=[
            {"RuleArn": first["RuleArn"], "Priority": 20},
            {"RuleArn": second["RuleArn"], "Priority": 10},
        ]
    )
    rules = elb.describe_rules(ListenerArn=listener)["Rules"]
    assert [each["RuleArn"] for each in rules[:2]] == [second["RuleArn"], first["RuleArn"]]


def test_a_rule_may_be_given_the_priority_it_has(elb: Elb, listener: str) -> None:
    arn = rule(elb, listener, 10)["RuleArn"]
    elb.set_rule_priorities(RulePriorities=[{"RuleArn": arn, "Priority": 10}])
    assert order(elb, listener) == ["10", "default"]


def test_priorities_that_clash_are_refused_and_nothing_moves(elb: Elb, listener: str) -> None:
    first, second = rule(elb, listener, 10)["RuleArn"], rule(elb, listener, 20)["RuleArn"]
    taken = [{"RuleArn": first, "Priority": 20}]
    twice = [{"RuleArn": first, "Priority": 30}, {"RuleArn": second, "Priority": 30}]
    assert refused(elb.set_rule_priorities, RulePriorities=taken) == "PriorityInUse"
    assert refused(elb.set_rule_priorities, RulePriorities=twice) == "ValidationError"
    assert order(elb, listener) == ["10", "20", "default"]


def test_no_priority_is_above_50000(elb: Elb, listener: str) -> None:
    arguments = {"ListenerArn": listener, "Conditions": [path("/a")], "Actions": FIXED, "Priority": 50001}
    assert refused(elb.create_rule, **arguments) == "ValidationError"
    arn = rule(elb, listener, 50000)["RuleArn"]
    assert refused(elb.set_rule_priorities, RulePriorities=[{"RuleArn": arn, "Priority": 50001}]) == "ValidationError"


def test_a_taken_priority_is_in_use(elb: Elb, listener: str) -> None:
    rule(elb, listener, 10)
    arguments = {"ListenerArn": listener, "Conditions": [path("/a")], "Actions": FIXED, "Priority": 10}
    assert refused(elb.create_rule, **arguments) == "PriorityInUse"


def test_the_default_rule_is_protected(elb: Elb, listener: str) -> None:
    (default,) = elb.describe_rules(ListenerArn=listener)["Rules"]
    arn = default["RuleArn"]
    assert refused(elb.delete_rule, RuleArn=arn) == "OperationNotPermitted"
    assert refused(elb.modify_rule, RuleArn=arn, Actions=FIXED) == "OperationNotPermitted"
    assert refused(elb.set_rule_priorities, RulePriorities=[{"RuleArn": arn, "Priority": 1}]) == "OperationNotPermitted"
    assert elb.describe_rules(RuleArns=[arn])["Rules"][0]["IsDefault"] is True
    assert elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"] == []


def test_a_rule_is_deleted_once(elb: Elb, listener: str) -> None:
    arn = rule(elb, listener, 10)["RuleArn"]
    elb.delete_rule(RuleArn=arn)
    assert refused(elb.delete_rule, RuleArn=arn) == "RuleNotFound"
    assert refused(elb.modify_rule, RuleArn=arn, Actions=FIXED) == "RuleNotFound"


def test_a_load_balancer_holds_a_hundred_rules(elb: Elb, balancer: str, listener: str) -> None:
    other = listen(elb, balancer, 81)
    for priority in range(1, 51):
        rule(elb, listener, priority)
        rule(elb, other, priority)
    arguments = {"ListenerArn": listener, "Conditions": [path("/a")], "Actions": FIXED, "Priority": 200}
    assert refused(elb.create_rule, **arguments) == "TooManyRules"


@pytest.mark.parametrize(
    "conditions",
    [
        [],
        [path("/1", "/2", "/3", "/4", "/5", "/6")],
        [path("/1", "/2", "/3"), {"Field": "host-header", "Values": ["a.b", "c.d", "e.f"]}],
        [path("/*/*/*/*/*/*/*")],
        [path("/a"), path("/b")],
        [path("/ä")],
        [path("/" + "a" * 128)],
        [{"Field": "host-header", "Values": ["a_b.example"]}],
        [{"Field": "source-ip", "SourceIpConfig": {"Values": ["banana"]}}],
        [{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.1"]}}],
        [{"Field": "path-pattern", "PathPatternConfig": {"Values": []}}],
        [{"Field": "path-pattern", "RegexValues": ["("]}],
        [{"Field": "source-ip", "RegexValues": ["a"]}],
        [{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}}],
        [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "", "Values": ["a"]}}],
    ],
)
def test_conditions_that_elb_refuses(elb: Elb, listener: str, conditions: Any) -> None:
    arguments = {"ListenerArn": listener, "Conditions": conditions, "Actions": FIXED, "Priority": 1}
    assert refused(elb.create_rule, **arguments) == "ValidationError"
    arn = rule(elb, listener, 2)["RuleArn"]
    assert refused(elb.modify_rule, RuleArn=arn, Conditions=conditions) == "ValidationError"


def test_five_values_and_six_wildcards_are_allowed(elb: Elb, listener: str) -> None:
    rule(elb, listener, 1, path("/1*", "/2*", "/3*/*"), {"Field": "host-header", "Values": ["*.a", "*.b"]})
    assert order(elb, listener) == ["1", "default"]


def test_host_and_path_read_back_in_both_forms(elb: Elb, listener: str) -> None:
    long = rule(elb, listener, 1, path("/a", "/b"))
    short = rule(elb, listener, 2, {"Field": "host-header", "Values": ["a.example", "b.example"]})
    assert long["Conditions"] == [{**path("/a", "/b"), "Values": ["/a", "/b"]}]
    hosts = ["a.example", "b.example"]
    assert short["Conditions"] == [{"Field": "host-header", "Values": hosts, "HostHeaderConfig": {"Values": hosts}}]


def test_regular_expressions_are_kept(elb: Elb, listener: str) -> None:
    regex = {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/v[12]/"]}}
    header = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "RegexValues": ["a+"]}}
    created = rule(elb, listener, 1, regex, header)
    assert elb.describe_rules(RuleArns=[created["RuleArn"]])["Rules"][0]["Conditions"] == [regex, header]


def test_a_plain_forward_reads_back_with_its_config(elb: Elb, listener: str, groups: list[str]) -> None:
    created = rule(elb, listener, 1, actions=forward(groups[0]))
    assert created["Actions"] == [
        {
            "Type": "forward",
            "TargetGroupArn": groups[0],
            "ForwardConfig": {
                "TargetGroups": [{"TargetGroupArn": groups[0], "Weight": 1}],
                "TargetGroupStickinessConfig": {"Enabled": False},
            },
        }
    ]
    by_config = [{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": groups[0]}]}}]
    assert rule(elb, listener, 2, actions=by_config)["Actions"] == created["Actions"]


def test_a_forward_to_several_has_no_lone_arn(elb: Elb, listener: str, groups: list[str]) -> None:
    (action,) = rule(elb, listener, 1, actions=forward(*groups[:2]))["Actions"]
    assert "TargetGroupArn" not in action
    assert [each["Weight"] for each in action["ForwardConfig"]["TargetGroups"]] == [1, 1]


def test_a_redirect_reads_back_with_its_defaults(elb: Elb, listener: str) -> None:
    redirect = [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}]
    (action,) = rule(elb, listener, 1, actions=redirect)["Actions"]
    assert action["RedirectConfig"] == {
        "Protocol": "HTTPS",
        "Port": "443",
        "Host": "#{host}",
        "Path": "/#{path}",
        "Query": "#{query}",
        "StatusCode": "HTTP_301",
    }


def test_several_actions_read_back_in_order_and_with_defaults(elb: Elb, listener: str, groups: list[str]) -> None:
    login = {
        "Type": "authenticate-oidc",
        "Order": 1,
        "AuthenticateOidcConfig": {
            "Issuer": "https://i",
            "AuthorizationEndpoint": "https://a",
            "TokenEndpoint": "https://t",
            "UserInfoEndpoint": "https://u",
            "ClientId": "c",
            "ClientSecret": "s",
        },
    }
    created = rule(elb, listener, 1, actions=[{**forward(groups[0])[0], "Order": 2}, login])
    assert [each["Order"] for each in created["Actions"]] == [1, 2]
    config = created["Actions"][0]["AuthenticateOidcConfig"]
    assert "ClientSecret" not in config
    assert (config["Scope"], config["SessionTimeout"]) == ("openid", 604800)


def test_actions_that_elb_refuses(elb: Elb, listener: str, groups: list[str]) -> None:
    loop = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_302"}}
    heavy = forward(*groups[:2])
    heavy[0]["ForwardConfig"]["TargetGroups"][0]["Weight"] = 1000
    expected = {
        "ValidationError": [
            forward(*groups),
            forward(groups[0], groups[0]),
            heavy,
            [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "MessageBody": "a" * 1025}}],
            [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_303", "Port": "1"}}],
            [*FIXED, *FIXED],
        ],
        "InvalidLoadBalancerAction": [[loop]],
        "TargetGroupNotFound": [forward("arn:none")],
    }
    for code, refusals in expected.items():
        for actions in refusals:
            arguments = {"ListenerArn": listener, "Conditions": [path("/a")], "Priority": 1, "Actions": actions}
            assert refused(elb.create_rule, **arguments) == code, actions
            assert refused(elb.modify_listener, ListenerArn=listener, DefaultActions=actions) == code, actions
    assert order(elb, listener) == ["default"]


def test_a_target_group_serves_one_load_balancer(elb: Elb, listener: str, groups: list[str], network: Any) -> None:
    rule(elb, listener, 1, actions=forward(groups[0]))
    second = elb.create_load_balancer(Name="lb2", Subnets=network.subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    actions = forward(groups[0])
    arguments = {"LoadBalancerArn": second, "Protocol": "HTTP", "Port": 80, "DefaultActions": actions}
    assert refused(elb.create_listener, **arguments) == "TargetGroupAssociationLimit"


def test_modify_rule_keeps_what_it_is_not_given(elb: Elb, listener: str, groups: list[str]) -> None:
    created = rule(elb, listener, 1, path("/a"), actions=forward(groups[0]))
    changed = elb.modify_rule(RuleArn=created["RuleArn"], Conditions=[path("/b")])["Rules"][0]
    assert changed["RuleArn"] == created["RuleArn"]
    assert changed["Actions"] == created["Actions"]
    assert changed["Conditions"][0]["Values"] == ["/b"]
    assert refused(elb.modify_rule, RuleArn=created["RuleArn"]) == "ValidationError"


def test_transforms_are_stored_replaced_and_reset(elb: Elb, listener: str) -> None:
    def rewrite(to: str) -> list[dict[str, Any]]:
        return [{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/a", "Replace": to}]}}]

    created = rule(elb, listener, 1, Transforms=rewrite("/b"))
    arn = created["RuleArn"]
    assert created["Transforms"] == rewrite("/b")
    elb.modify_rule(RuleArn=arn, Conditions=[path("/x")])
    assert elb.describe_rules(RuleArns=[arn])["Rules"][0]["Transforms"] == rewrite("/b")
    assert elb.modify_rule(RuleArn=arn, Transforms=rewrite("/c"))["Rules"][0]["Transforms"] == rewrite("/c")
    assert elb.modify_rule(RuleArn=arn, ResetTransforms=True)["Rules"][0]["Transforms"] == []
    assert refused(elb.modify_rule, RuleArn=arn, Transforms=rewrite("/d") * 2) == "ValidationError"


def test_rules_come_in_pages(elb: Elb, listener: str) -> None:
    for priority in range(1, 56):
        rule(elb, listener, priority)
    first = elb.describe_rules(ListenerArn=listener)
    rest = elb.describe_rules(ListenerArn=listener, Marker=first["NextMarker"])
    assert (len(first["Rules"]), len(rest["Rules"])) == (50, 6)
    assert len(elb.describe_rules(ListenerArn=listener, PageSize=400)["Rules"]) == 56
    assert refused(elb.describe_rules, ListenerArn=listener, PageSize=401) == "ValidationError"
    assert refused(elb.describe_rules, ListenerArn=listener, Marker="?") == "ValidationError"
    pages = elb.get_paginator("describe_rules").paginate(ListenerArn=listener, PageSize=20)
    assert [len(page["Rules"]) for page in pages] == [20, 20, 16]


def test_tags_number_fifty_and_are_described_twenty_arns_at_a_time(elb: Elb, listener: str) -> None:
    arns = [rule(elb, listener, priority)["RuleArn"] for priority in range(1, 22)]
    assert refused(elb.describe_tags, ResourceArns=arns) == "ValidationError"
    assert len(elb.describe_tags(ResourceArns=arns[:20])["TagDescriptions"]) == 20
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(50)]
    elb.add_tags(ResourceArns=arns[:1], Tags=tags)
    assert refused(elb.add_tags, ResourceArns=arns[:1], Tags=[{"Key": "more", "Value": "v"}]) == "TooManyTags"
    elb.delete_rule(RuleArn=arns[0])
    assert refused(elb.describe_tags, ResourceArns=arns[:1]) == "RuleNotFound"
