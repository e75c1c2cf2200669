"""alb_target_group as a task runs it, against the sandbox's AWS."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.modules import alb_target_group

from sandbox.controlplane import ControlPlane, Fault
from tests.unit.alb_edge import Edge

NEW = {"name": "new", "vpc": "the-vpc", "port": 8001}
CHECK = {"path": "/health", "interval": 30, "timeout": 5, "healthy_threshold": 2, "unhealthy_threshold": 2}
DELAY = "deregistration_delay.timeout_seconds"
CREATE, MODIFY, ATTRIBUTES = "create_target_group", "modify_target_group", "modify_target_group_attributes"
TAGS, DELETE = "add_tags", "delete_target_group"


@pytest.fixture
def group(run_module: Any, edge: Edge, control_plane: ControlPlane) -> Any:
    def run(**options: Any) -> dict[str, Any]:
        control_plane.calls.reset()
        return dict(run_module(alb_target_group.main, **options))

    return run


def live(edge: Edge, name: str) -> dict[str, Any]:
    return dict(edge.aws.elbv2.describe_target_groups(Names=[name])["TargetGroups"][0])


def verbs(result: dict[str, Any]) -> list[str]:
    return [step["verb"] for step in result["steps"]]


TRANSITIONS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("it is absent", {**NEW, "health_check": CHECK}, [CREATE]),
    ("it is absent and gets attributes", {**NEW, "attributes": {DELAY: 60}}, [CREATE, ATTRIBUTES]),
    ("it is as wanted", {"name": "one", "vpc": "the-vpc", "port": 8001, "target_type": "ip"}, []),
    ("the health path differs", {"name": "one", "health_check": {"path": "/health"}}, [MODIFY]),
    ("the health port alone differs", {"name": "one", "health_check": {"port": 9000}}, [MODIFY]),
    ("statuses are listed in another order", {"name": "codes", "health_check": {"matcher": "204, 200"}}, []),
    ("an attribute differs", {"name": "one", "attributes": {DELAY: 60}}, [ATTRIBUTES]),
    ("an attribute is as wanted", {"name": "one", "attributes": {"stickiness.enabled": False}}, []),
    ("stickiness is on and not wanted", {"name": "sticky", "attributes": {"stickiness.enabled": False}}, [ATTRIBUTES]),
    ("a tag is missing", {"name": "one", "tags": {"team": "ml"}}, [TAGS]),
    (
        "everything differs",
        {"name": "one", "health_check": CHECK, "attributes": {DELAY: 60}, "tags": {"team": "ml"}},
        [MODIFY, ATTRIBUTES, TAGS],
    ),
    ("it is ours and not wanted", {"name": "ours", "state": "absent"}, [DELETE]),
    ("it is absent and not wanted", {"name": "nope", "state": "absent"}, []),
]


@pytest.fixture
def groups(edge: Edge) -> Edge:
    edge.make_group("codes", Matcher={"HttpCode": "200,204"})
    edge.make_group("ours", Tags=[{"Key": "hokusai:managed-by", "Value": "hokusai.platform"}])
    sticky = edge.make_group("sticky")
    edge.aws.elbv2.modify_target_group_attributes(
        TargetGroupArn=sticky, Attributes=[{"Key": "stickiness.enabled", "Value": "true"}]
    )
    return edge


@pytest.mark.parametrize(("title", "options", "steps"), TRANSITIONS, ids=[row[0] for row in TRANSITIONS])
def test_transition(
    title: str, options: Any, steps: list[str], group: Any, groups: Edge, control_plane: ControlPlane
) -> None:
    predicted = group(_check=True, **options)
    assert control_plane.calls.writes == 0
    assert verbs(predicted) == steps
    applied = group(**options)
    assert applied["steps"] == predicted["steps"]
    if CREATE not in steps:
        assert applied == predicted
    again = group(**options)
    assert (again["changed"], control_plane.calls.writes) == (False, 0)
    assert again["diff"]["before"] == again["diff"]["after"] == applied["diff"]["after"]


def test_a_new_group_is_what_awsvpc_tasks_need_and_says_who_made_it(group: Any, edge: Edge) -> None:
    group(**NEW, health_check=CHECK, tags={"team": "ml"})
    made = live(edge, "new")
    assert (made["Protocol"], made["TargetType"], made["VpcId"], made["Port"]) == ("HTTP", "ip", edge.vpc, 8001)
    assert (made["HealthCheckPath"], made["HealthyThresholdCount"]) == ("/health", 2)
    found = edge.aws.elbv2.describe_tags(ResourceArns=[made["TargetGroupArn"]])["TagDescriptions"][0]["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in found} == {"hokusai:managed-by": "hokusai.platform", "team": "ml"}


def test_the_diff_names_what_changes(group: Any, edge: Edge) -> None:
    result = group(name="one", health_check={"path": "/health"}, _check=True)
    assert result["steps"][0]["why"] == "health check of target group one: path / becomes /health"
    assert result["diff"]["before"]["health_check"]["path"] == "/"
    assert result["diff"]["after"]["health_check"] == {**result["diff"]["before"]["health_check"], "path": "/health"}


def test_registered_targets_are_never_touched(group: Any, edge: Edge, control_plane: ControlPlane) -> None:
    """The peer deregisters every target, those of ECS included, when its option for targets is omitted."""
    targets = [{"Id": "10.0.0.10", "Port": 8001}, {"Id": "10.0.0.10", "Port": 8002}]
    edge.aws.elbv2.register_targets(TargetGroupArn=edge.groups["one"], Targets=targets)
    group(name="one", health_check=CHECK, attributes={DELAY: 60})
    health = edge.aws.elbv2.describe_target_health(TargetGroupArn=edge.groups["one"])["TargetHealthDescriptions"]
    assert sorted(each["Target"]["Port"] for each in health) == [8001, 8002]
    assert control_plane.calls.count("elbv2:DeregisterTargets") == 0


IMMUTABLE = [
    ({"port": 9000}, "port is 8001, wanted 9000"),
    ({"protocol": "HTTPS"}, "protocol is HTTP, wanted HTTPS"),
    ({"target_type": "instance"}, "target_type is ip, wanted instance"),
    ({"vpc": "other-vpc"}, "vpc is vpc-"),
]


@pytest.mark.parametrize(("option", "problem"), IMMUTABLE, ids=[row[1] for row in IMMUTABLE])
def test_what_cannot_change_in_place_is_refused_with_a_way_out(
    option: Any, problem: str, group: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    other = edge.aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    edge.aws.ec2.create_tags(Resources=[other], Tags=[{"Key": "Name", "Value": "other-vpc"}])
    result = group(name="one", **option)
    assert problem in result["msg"]
    assert "under another name" in result["remedy"]
    assert control_plane.calls.writes == 0


BAD = [
    ({"name": "-x"}, "no name of a target group"),
    ({"name": "x" * 33}, "no name of a target group"),
    ({**NEW, "port": None}, "port is not set"),
    ({**NEW, "vpc": None}, "vpc is not set"),
    ({**NEW, "vpc": "nowhere"}, "nowhere"),
    ({"name": "one", "health_check": {"interval": 4}}, "interval 4 is out of range"),
    ({"name": "one", "health_check": {"healthy_threshold": 11}}, "healthy_threshold 11 is out of range"),
    ({"name": "one", "health_check": {"timeout": 30}}, "timeout 30 is not below the interval 30"),
    ({**NEW, "health_check": {"timeout": 60}}, "timeout 60 is not below the interval 30"),
]


@pytest.mark.parametrize(("options", "problem"), BAD, ids=[row[1] for row in BAD])
def test_bad_input_is_refused_before_the_first_write(
    options: Any, problem: str, group: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    result = group(**options)
    assert problem in result["msg"]
    assert result["remedy"]
    assert control_plane.calls.writes == 0


def test_two_vpcs_of_one_name_are_both_listed(group: Any, edge: Edge) -> None:
    other = edge.aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    edge.aws.ec2.create_tags(Resources=[other], Tags=[{"Key": "Name", "Value": "the-vpc"}])
    result = group(**NEW)
    assert result["error"] == "Ambiguous"
    assert edge.vpc in result["msg"]
    assert other in result["msg"]


def test_a_group_made_by_somebody_else_is_not_deleted(group: Any, edge: Edge) -> None:
    assert "was not made by this collection" in group(name="one", state="absent")["msg"]
    assert live(edge, "one")


def test_a_group_in_use_is_not_deleted(group: Any, groups: Edge) -> None:
    arn = live(groups, "ours")["TargetGroupArn"]
    groups.aws.elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.0.10"}])
    groups.aws.elbv2.create_rule(
        ListenerArn=groups.listener,
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/a"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": arn}],
    )
    message = group(name="ours", state="absent")["msg"]
    assert "load balancer edge" in message
    assert "1 registered targets" in message


def test_a_read_that_is_denied_is_an_error_and_never_an_absence(
    group: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    control_plane.faults.add(Fault("elbv2:DescribeTargetGroups", code="AccessDenied", status=403, times=-1))
    assert "AccessDenied" in group(**NEW)["msg"]
    assert "AccessDenied" in group(name="one", state="absent")["msg"]
    assert control_plane.calls.writes == 0


def test_a_create_whose_answer_was_lost_is_found_again(group: Any, edge: Edge, control_plane: ControlPlane) -> None:
    control_plane.faults.add(Fault("elbv2:CreateTargetGroup", code="InternalFailure", status=500, after=True))
    assert verbs(group(**NEW)) == [CREATE]
    assert len(edge.aws.elbv2.describe_target_groups()["TargetGroups"]) == 5
