"""IAM policies: how they are evaluated, what a call asks for, and what a refused caller is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.cli import main
from sandbox.controlplane import ControlPlane
from sandbox.controlplane.authorization.policy import Policy, PolicyError, Request, refusal
from sandbox.environment import HOME_VARIABLE

Clients = Callable[..., Any]
PUT = "ssm:PutParameter"
LOCK = "arn:aws:ssm:us-east-1:123456789012:parameter/hokusai/development/lock"
TASKS = "arn:aws:iam::123456789012:role/tasks"
MAC = {"Message": b"m", "MacAlgorithm": "HMAC_SHA_256"}


def statement(effect: str = "Allow", action: Any = PUT, **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, **({} if "NotResource" in more else {"Resource": "*"}), **more}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allowed(*statements: dict[str, Any], resource: str = LOCK, **context: str) -> bool:
    keys = {name.replace("__", "/").replace("_", ":", 1).lower(): (value,) for name, value in context.items()}
    return not refusal([Policy.parse(document(*statements))], Request(PUT, resource, keys))


def test_what_no_statement_allows_is_refused() -> None:
    assert not allowed()
    assert not allowed(statement(action="ssm:GetParameter"))
    assert allowed(statement())


def test_a_deny_wins_over_every_allow() -> None:
    assert not allowed(statement(), statement("Deny"))
    assert allowed(statement(), statement("Deny", Resource="arn:aws:ssm:*:*:parameter/elsewhere"))


@pytest.mark.parametrize(
    ("pattern", "holds"),
    [
        ("arn:aws:ssm:*:123456789012:parameter/hokusai/*", True),
        ("arn:aws:ssm:us-east-?:*:parameter/hokusai/development/lock", True),
        ("arn:aws:ssm:*:*:parameter/hokusai/staging/*", False),
        ("arn:aws:ssm:*:*:parameter/hokusai/development/loc", False),
        ("arn:aws:ssm:*:*:parameter.hokusai.development.lock", False),
    ],
)
def test_a_resource_is_matched_whole_and_only_stars_and_question_marks_are_special(pattern: str, holds: bool) -> None:
    assert allowed(statement(Resource=pattern)) == holds
    assert allowed(statement(NotResource=pattern)) == (not holds)


def test_actions_are_matched_in_any_case() -> None:
    assert allowed(statement(action=["sns:*", "SSM:put*"]))


TAGGED = "aws:ResourceTag/Environment"


@pytest.mark.parametrize(
    ("operator", "wanted", "development", "staging", "untagged"),
    [
        ("StringEquals", "development", True, False, False),
        ("StringEquals", ["development", "staging"], True, True, False),
        ("StringLike", "dev*", True, False, False),
        ("StringNotEquals", "development", False, True, True),
        ("StringNotLike", "dev*", False, True, True),
        ("StringEqualsIfExists", "development", True, False, True),
        ("ForAllValues:StringEquals", "development", True, False, True),
        ("ForAnyValue:StringEquals", "development", True, False, False),
        ("Null", "true", False, False, True),
        ("Null", "false", True, True, False),
        ("Bool", "development", True, False, False),
    ],
)
def test_conditions(operator: str, wanted: Any, *, development: bool, staging: bool, untagged: bool) -> None:
    conditional = statement(Condition={operator: {TAGGED: wanted}})
    assert allowed(conditional, aws_resourcetag__Environment="development") == development
    assert allowed(conditional, aws_resourcetag__Environment="staging") == staging
    assert allowed(conditional) == untagged


def test_all_conditions_must_hold() -> None:
    both = {"StringEquals": {TAGGED: "development", "aws:RequestTag/owner": "us"}}
    assert not allowed(statement(Condition=both), aws_resourcetag__Environment="development")
    assert allowed(statement(Condition=both), aws_resourcetag__Environment="development", aws_requesttag__owner="us")


def test_all_values_must_fit_where_that_is_asked() -> None:
    policy = Policy.parse(document(statement(Condition={"ForAllValues:StringLike": {"k": "*.hokus.ai"}})))
    assert not refusal([policy], Request(PUT, LOCK, {"k": ("a.hokus.ai", "b.hokus.ai")}))
    assert refusal([policy], Request(PUT, LOCK, {"k": ("a.hokus.ai", "example.org")}))


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"Version": "2012-10-17"},
        {"Version": "2008-10-17", "Statement": []},
        document({"Effect": "Allow", "Resource": "*"}),
        document(statement(Principal="*")),
        document(statement("Perhaps")),
        document({"Effect": "Allow", "Action": PUT}),
        document(statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})),
    ],
)
def test_a_document_that_is_not_wholly_understood_is_refused(wrong: Any) -> None:
    with pytest.raises(PolicyError):
        Policy.parse(wrong)


# the gate


@pytest.fixture
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    yield control_plane
    control_plane.gate.open()


def refused(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return dict(caught.value.response["Error"])


def asked(plane: ControlPlane) -> set[tuple[str, str]]:
    return {(each["action"], each["resource"]) for each in plane.gate.as_dict()["asked"]}


def test_by_default_everything_is_allowed_and_nothing_noted(plane: ControlPlane, client: Clients) -> None:
    client("ssm").put_parameter(Name="/hokusai/development/lock", Value="v", Type="String")
    assert plane.gate.as_dict() == {"enforced": False, "recorded": False, "asked": []}


def test_a_refused_write_changes_nothing_and_says_what_and_on_which_resource(
    plane: ControlPlane, client: Clients
) -> None:
    plane.gate.enforce([document(statement(action="ssm:GetParameters"))])
    error = refused(client("ssm").put_parameter, Name="/hokusai/development/lock", Value="v", Type="String")
    assert error["Code"] == "AccessDeniedException"
    assert error["Message"] == (
        "User: arn:aws:iam::123456789012:user/sandbox is not authorized to perform: ssm:PutParameter on resource: "
        f"{LOCK} because no identity-based policy allows the ssm:PutParameter action"
    )
    assert client("ssm").get_parameters(Names=["/hokusai/development/lock"])["Parameters"] == []
    assert not [write for write in plane.writes.as_list() if write["landed"]]


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "code"),
    [
        ("elbv2", "describe_load_balancers", {}, "AccessDenied"),
        ("ec2", "describe_vpcs", {}, "UnauthorizedOperation"),
        ("route53", "list_hosted_zones", {}, "AccessDenied"),
        ("cloudwatch", "describe_alarms", {}, "AccessDeniedException"),
        ("s3", "get_bucket_versioning", {"Bucket": "b"}, "AccessDenied"),
    ],
)
def test_each_service_refuses_in_its_own_way(
    plane: ControlPlane, client: Clients, service: str, operation: str, arguments: dict[str, Any], code: str
) -> None:
    plane.gate.enforce([document()])
    assert refused(getattr(client(service), operation), **arguments)["Code"] == code


def test_who_one_is_may_always_be_asked(plane: ControlPlane, client: Clients) -> None:
    plane.gate.enforce([document(statement("Deny", "*"))])
    assert client("sts").get_caller_identity()["Account"] == "123456789012"


def test_an_explicit_deny_is_called_that(plane: ControlPlane, client: Clients) -> None:
    plane.gate.enforce([document(statement(action="*"), statement("Deny", "ssm:*"))])
    assert "with an explicit deny" in refused(client("ssm").get_parameter, Name="/x")["Message"]


def test_the_tags_of_a_group_decide(plane: ControlPlane, client: Clients, network: Any) -> None:
    ours = {"StringEquals": {TAGGED: "development"}}
    plane.gate.enforce([document(statement(action="ec2:*", Condition=ours), statement(action="ec2:CreateTags"))])
    rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    allow = client("ec2").authorize_security_group_ingress
    assert "not authorized" in refused(allow, GroupId=network.group, IpPermissions=[rule])["Message"]
    client("ec2").create_tags(Resources=[network.group], Tags=[{"Key": "Environment", "Value": "development"}])
    assert allow(GroupId=network.group, IpPermissions=[rule])["Return"]


RULE = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
NAMED = [{"Key": "hokusai:name", "Value": "n"}]


def test_what_is_tagged_as_it_is_made_is_told_from_what_is_there(
    plane: ControlPlane, client: Clients, network: Any
) -> None:
    making = {"StringEquals": {"ec2:CreateAction": "AuthorizeSecurityGroupIngress"}}
    tagging = statement(action="ec2:CreateTags", Condition=making)
    plane.gate.enforce([document(statement(action="ec2:Authorize*"), tagging)])
    specified = [{"ResourceType": "security-group-rule", "Tags": NAMED}]
    allow = client("ec2").authorize_security_group_ingress
    made = allow(GroupId=network.group, IpPermissions=[RULE], TagSpecifications=specified)["SecurityGroupRules"][0]
    assert (
        "ec2:CreateTags"
        in refused(client("ec2").create_tags, Resources=[made["SecurityGroupRuleId"]], Tags=NAMED)["Message"]
    )


def test_a_rule_is_revoked_as_a_matter_of_its_group(plane: ControlPlane, client: Clients, network: Any) -> None:
    made = client("ec2").authorize_security_group_ingress(GroupId=network.group, IpPermissions=[RULE])
    plane.gate.record()
    rule = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    client("ec2").revoke_security_group_ingress(GroupId=network.group, SecurityGroupRuleIds=[rule])
    group = f"arn:aws:ec2:us-east-1:123456789012:security-group/{network.group}"
    assert asked(plane) == {("ec2:RevokeSecurityGroupIngress", group)}


@pytest.mark.parametrize(
    ("verb", "given"),
    [("add_tags", lambda key: {"Tags": [{"Key": key, "Value": "v"}]}), ("remove_tags", lambda key: {"TagKeys": [key]})],
)
def test_the_keys_of_tags_decide(
    plane: ControlPlane, client: Clients, verb: str, given: Callable[[str], dict[str, Any]]
) -> None:
    keys = {"ForAllValues:StringEquals": {"aws:TagKeys": "hokusai:canary"}, "Null": {"aws:TagKeys": "false"}}
    plane.gate.enforce([document(statement(action="elasticloadbalancing:*", Condition=keys))])
    balancer = ["arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/a/1"]
    change = getattr(client("elbv2"), verb)
    assert refused(change, ResourceArns=balancer, **given("hokusai:managed-by"))["Code"] == "AccessDenied"
    assert refused(change, ResourceArns=balancer, **given("hokusai:canary"))["Code"] == "LoadBalancerNotFound"


@pytest.mark.parametrize(
    ("public", "code"), [("ENABLED", "AccessDeniedException"), ("DISABLED", "ClusterNotFoundException")]
)
def test_public_addresses_of_tasks_decide(plane: ControlPlane, client: Clients, public: str, code: str) -> None:
    outside = {"Bool": {"ecs:auto-assign-public-ip": "true"}}
    plane.gate.enforce([document(statement(action="ecs:*"), statement("Deny", "ecs:*", Condition=outside))])
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": public}}
    create = client("ecs").create_service
    arguments = {"cluster": "c", "serviceName": "s", "taskDefinition": "t:1", "networkConfiguration": network}
    assert refused(create, **arguments)["Code"] == code


@pytest.fixture
def revision(client: Clients) -> str:
    """One whose tasks get a role."""
    container = {"name": "api", "image": "i", "memory": 1}
    made = client("ecs").register_task_definition(family="api", taskRoleArn=TASKS, containerDefinitions=[container])
    found: str = made["taskDefinition"]["taskDefinitionArn"]
    return found


@pytest.mark.parametrize("verb", ["create_service", "update_service"])
@pytest.mark.parametrize("named", ["api:1", "api", "arn:aws:ecs:us-east-1:123456789012:task-definition/api:1"])
def test_a_service_that_gets_a_revision_asks_for_its_roles_too(
    plane: ControlPlane, client: Clients, revision: str, verb: str, named: str
) -> None:
    plane.gate.record()
    name = {"create_service": "serviceName", "update_service": "service"}[verb]
    refused(getattr(client("ecs"), verb), cluster="c", taskDefinition=named, **{name: "s"})
    assert ("iam:PassRole", TASKS) in asked(plane)


@pytest.mark.parametrize("given", [{}, {"taskDefinition": "api:2"}, {"taskDefinition": "other"}])
def test_a_service_that_gets_none_asks_for_no_roles(
    plane: ControlPlane, client: Clients, revision: str, given: dict[str, str]
) -> None:
    plane.gate.record()
    refused(client("ecs").update_service, cluster="c", service="s", **given)
    assert {action for action, _resource in asked(plane)} == {"ecs:UpdateService"}


def test_what_was_asked_for_is_told_with_its_context(plane: ControlPlane, client: Clients) -> None:
    plane.gate.record()
    client("cloudwatch").put_metric_data(Namespace="N", MetricData=[{"MetricName": "m", "Value": 1}])
    (told,) = plane.gate.as_dict()["asked"]
    assert told["context"] == {"cloudwatch:namespace": ["N"]}


def test_a_task_definition_asks_for_its_tags_and_its_roles_too(plane: ControlPlane, client: Clients) -> None:
    plane.gate.record()
    client("ecs").register_task_definition(
        family="api",
        taskRoleArn=TASKS,
        executionRoleArn=TASKS,
        containerDefinitions=[{"name": "api", "image": "i", "memory": 1}],
        tags=[{"key": "k", "value": "v"}],
    )
    revision = "arn:aws:ecs:us-east-1:123456789012:task-definition/api:*"
    assert asked(plane) == {
        ("ecs:RegisterTaskDefinition", revision),
        ("ecs:TagResource", revision),
        ("iam:PassRole", TASKS),
    }


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "action", "resource"),
    [
        ("ecs", "describe_services", {"cluster": "c", "services": ["s"]}, "DescribeServices", "ecs:*:service/c/s"),
        ("ecs", "list_tasks", {"cluster": "c"}, "ListTasks", "*"),
        ("logs", "put_retention_policy", {"logGroupName": "/g", "retentionInDays": 1}, "", "logs:*:log-group:/g"),
        ("route53", "get_hosted_zone", {"Id": "Z1"}, "GetHostedZone", "route53:*:hostedzone/Z1"),
        ("s3", "list_objects_v2", {"Bucket": "b"}, "ListBucket", "s3:*:b"),
        ("s3", "head_object", {"Bucket": "b", "Key": "k/l"}, "GetObject", "s3:*:b/k/l"),
        ("servicediscovery", "get_service", {"Id": "srv-1"}, "GetService", "servicediscovery:*:service/srv-1"),
        ("cloudwatch", "delete_alarms", {"AlarmNames": ["a"]}, "DeleteAlarms", "cloudwatch:*:alarm:a"),
        ("cloudwatch", "put_composite_alarm", {"AlarmName": "a", "AlarmRule": "TRUE"}, "PutCompositeAlarm", "*"),
        ("resourcegroupstaggingapi", "get_resources", {}, "tag:GetResources", "*"),
        ("kms", "generate_mac", {**MAC, "KeyId": "alias/a"}, "GenerateMac", "kms:*:key/*"),
        ("kms", "generate_mac", {**MAC, "KeyId": "k"}, "GenerateMac", "kms:*:key/k"),
    ],
)
def test_calls_ask_for_actions_on_resources(
    plane: ControlPlane,
    client: Clients,
    service: str,
    operation: str,
    arguments: dict[str, Any],
    action: str,
    resource: str,
) -> None:
    plane.gate.enforce([document()])
    refused(getattr(client(service), operation), **arguments)
    ((did, on),) = asked(plane)
    assert did.endswith(action)
    assert on.endswith(resource.rpartition("*:")[2])


# the command line


@pytest.fixture
def enforce(
    plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """`python -m sandbox enforce ...`: its exit code and all it prints."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    (tmp_path / "env.json").write_text(json.dumps({"AWS_ENDPOINT_URL": plane.url}))

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["enforce", *arguments])
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


def test_policies_from_files_hold_together_until_they_are_taken_off(
    enforce: Callable[..., tuple[int, str]], client: Clients, tmp_path: Path
) -> None:
    for name in ("GetParameters", "DescribeParameters"):
        (tmp_path / f"{name}.json").write_text(json.dumps(document(statement(action=f"ssm:{name}"))))
    files = [str(tmp_path / f"{name}.json") for name in ("GetParameters", "DescribeParameters")]
    assert enforce(*files) == (0, "Permissions are enforced.\n")
    ssm = client("ssm")
    ssm.get_parameters(Names=["/a"])
    ssm.describe_parameters()
    refused(ssm.delete_parameter, Name="/a")
    named = "arn:aws:ssm:us-east-1:123456789012:parameter/a"
    assert enforce()[1].splitlines() == [
        "Permissions are enforced.",
        f"REFUSED  ssm:DeleteParameter on {named}",
        "allowed  ssm:DescribeParameters on *",
        f"allowed  ssm:GetParameters on {named}",
    ]
    assert enforce("--off") == (0, "Permissions are not asked for.\n")
    ssm.put_parameter(Name="/a", Value="v", Type="String")


def test_a_file_that_holds_no_policy_is_refused_and_changes_nothing(
    enforce: Callable[..., tuple[int, str]], plane: ControlPlane, tmp_path: Path
) -> None:
    file = tmp_path / "policy.json"
    for text, problem in (("{", "a policy is JSON"), ("{}", "an object with a list of statements")):
        file.write_text(text)
        code, told = enforce(str(file))
        assert (code, plane.gate.is_open) == (2, True)
        assert problem in told
