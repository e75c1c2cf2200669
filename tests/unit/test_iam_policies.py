"""The policies of docs/iam allow what the playbooks ask for, and no more, and deny what must never happen."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import pytest
from ansible_collections.hokusai.platform.plugins.module_utils.journal_writes import VERBS
from botocore import xform_name

from sandbox.controlplane.authorization.actions import BEHALF, RENAMED, action_of
from sandbox.controlplane.authorization.policy import Policy, Request, refusal
from tests.iam import policies
from tests.iam.grants import ACCOUNT, CLUSTER, GRANTS, LOCK, PLATFORM_KEY, arn
from tests.iam.paths import SELDOM

RECORD = policies.read()
TASKS, TOPIC = arn("ecs", f"task-definition/hokusai-api-{CLUSTER[8:]}:*"), "hokusai:managed-by"


def committed(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((policies.DIRECTORY / f"{name}.json").read_text())
    return found


def allowed(*names: str) -> set[str]:
    statements = [each for name in names for each in committed(name)["Statement"] if each["Effect"] == "Allow"]
    return {action for each in statements for action in each["Action"]}


@pytest.mark.parametrize("name", policies.NAMES)
def test_a_policy_is_what_the_record_makes_of_it(name: str) -> None:
    assert (policies.DIRECTORY / f"{name}.json").read_text() == policies.text(policies.policy(RECORD, name)), "make iam"


def test_who_diagnoses_may_do_what_was_recorded_and_nothing_else() -> None:
    assert allowed("diagnose") == RECORD["diagnose"].keys() | SELDOM["diagnose"].keys()


def test_who_takes_back_may_do_besides_what_was_recorded_and_nothing_else() -> None:
    recorded = RECORD["rollback"].keys() | SELDOM["rollback"].keys()
    assert allowed("rollback") == recorded - allowed("diagnose")


def test_who_repairs_may_do_besides_what_was_recorded_and_take_it_back_and_nothing_else() -> None:
    recorded = RECORD["site"].keys() | SELDOM["site"].keys()
    assert allowed("site") == (recorded | allowed("rollback")) - allowed("diagnose")


@pytest.mark.parametrize("name", policies.NAMES)
def test_what_is_said_to_be_on_paths_that_no_scenario_takes_is_not_recorded(name: str) -> None:
    assert not SELDOM[name].keys() & RECORD[name].keys()


def test_every_grant_is_used() -> None:
    assert not {action for grant in GRANTS for action in grant.actions} - allowed(*policies.NAMES)


def test_everything_that_a_plan_can_write_may_be_written_with_the_policies_of_a_run() -> None:
    methods = {service: models(service) for service in {service for service, _verb in VERBS}}
    wanted = {action_of(service, methods[service][verb]) for service, verb in VERBS}
    assert not wanted - allowed("diagnose", "site")


def models(service: str) -> dict[str, str]:
    """The operations of a service by the names of botocore's methods."""
    names = botocore.session.get_session().get_service_model(service).operation_names
    return {xform_name(name): name for name in names}


def test_every_action_is_an_operation_or_comes_with_one() -> None:
    session = botocore.session.get_session()
    services = {each.partition(":")[0] for found in RECORD.values() for ops in found.values() for each in ops}
    real = {action_of(name, each) for name in services for each in session.get_service_model(name).operation_names}
    with_others = {"iam:PassRole", *RENAMED.values(), *(action for some in BEHALF.values() for action, _on in some)}
    assert not allowed(*policies.NAMES) - real - with_others


@pytest.mark.parametrize("name", policies.NAMES)
def test_no_action_is_allowed_by_a_pattern(name: str) -> None:
    assert not [action for action in allowed(name) if "*" in action or "?" in action]


@pytest.mark.parametrize("name", policies.NAMES)
def test_a_policy_fits_into_a_managed_one(name: str) -> None:
    assert len(json.dumps(committed(name), separators=(",", ":"))) <= policies.LONGEST


def test_who_diagnoses_may_write_nothing() -> None:
    reads = ("Describe", "Get", "List", "GenerateMac")
    assert not [action for action in allowed("diagnose") if not action.partition(":")[2].startswith(reads)]


# what the policies of a run decide

RUN = [Policy.parse(committed(name)) for name in ("diagnose", "site")]
EVERYTHING = Policy.parse({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


def refused(action: str, resource: str = "*", **context: str) -> str:
    keys = {name.replace("__", "/").replace("_", ":", 1).lower(): (value,) for name, value in context.items()}
    return refusal(RUN, Request(action, resource, keys))


def tagged(key: str, value: str) -> dict[str, tuple[str, ...]]:
    return {f"aws:resourcetag/{key.lower()}": (value,)}


LISTENER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/{}/1/2"
RULE = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/{}/1/2/3"


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("elasticloadbalancing:CreateRule", LISTENER.format("hokusai-registry-development")),
        ("ssm:PutParameter", LOCK[0]),
        ("ecs:UpdateService", arn("ecs", "service/hokusai-development/hokusai-api-development")),
        ("ecs:DeleteService", arn("ecs", "service/hokusai-development/hokusai-api-canary-development")),
        ("cloudwatch:PutMetricAlarm", arn("cloudwatch", "alarm:hokusai-development-outage")),
        ("logs:PutRetentionPolicy", arn("logs", "log-group:/ecs/hokusai-api-development")),
    ],
)
def test_a_run_may_work_on_its_own_environment(action: str, resource: str) -> None:
    assert not refused(action, resource)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("elasticloadbalancing:CreateRule", LISTENER.format("hokusai-registry-staging")),
        ("ssm:PutParameter", arn("ssm", "parameter/hokusai/staging/lock")),
        ("ssm:PutParameter", arn("ssm", "parameter/hokusai/development/api/session-secret")),
        ("ssm:DeleteParameter", LOCK[1]),
        ("ecs:UpdateService", arn("ecs", "service/hokusai-staging/hokusai-api-staging")),
        ("cloudwatch:PutMetricAlarm", arn("cloudwatch", "alarm:billing")),
        ("logs:PutRetentionPolicy", arn("logs", "log-group:/ecs/hokusai-api-staging")),
        ("iam:CreateUser", "*"),
    ],
)
def test_a_run_may_work_on_nothing_else(action: str, resource: str) -> None:
    assert refused(action, resource)


def test_a_role_is_passed_to_tasks_alone() -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/hokusai-task-execution-development"
    assert not refused("iam:PassRole", role, iam_PassedToService="ecs-tasks.amazonaws.com")
    assert refused("iam:PassRole", role, iam_PassedToService="ec2.amazonaws.com")
    assert refused("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", iam_PassedToService="ecs-tasks.amazonaws.com")


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("elasticloadbalancing:DeleteLoadBalancer", "*", {}),
        ("elasticloadbalancing:DeleteRule", RULE.format("hokusai-registry-development"), {}),
        ("elasticloadbalancing:DeleteRule", RULE.format("hokusai-registry-development"), tagged(TOPIC, "terraform")),
        ("ecs:DeleteCluster", arn("ecs", f"cluster/{CLUSTER}"), {}),
        ("ecs:DeleteService", arn("ecs", f"service/{CLUSTER}/hokusai-api-development"), {}),
        ("ecs:ExecuteCommand", arn("ecs", f"task/{CLUSTER}/1"), {}),
        ("servicediscovery:DeleteNamespace", arn("servicediscovery", "namespace/ns-1"), {}),
        ("ec2:DeleteSecurityGroup", arn("ec2", "security-group/sg-1"), {}),
        ("ec2:AuthorizeSecurityGroupIngress", arn("ec2", "security-group/sg-1"), tagged("Environment", "production")),
        ("ssm:GetParameter", arn("ssm", "parameter/hokusai/development/api/session-secret"), {}),
        ("ssm:GetParametersByPath", arn("ssm", "parameter/hokusai/development"), {}),
        ("secretsmanager:GetSecretValue", arn("secretsmanager", "secret:database-AbCdEf"), {}),
        ("s3:DeleteObjectVersion", "arn:aws:s3:::hokusai-runs/development/development/1/run.json", {}),
        ("iam:AttachRolePolicy", "*", {}),
        ("logs:DeleteLogGroup", arn("logs", "log-group:/ecs/hokusai-api-development"), {}),
    ],
)
def test_what_must_never_happen_is_denied_whatever_else_allows_it(
    action: str, resource: str, context: dict[str, tuple[str, ...]]
) -> None:
    assert "explicit deny" in refusal([*RUN, EVERYTHING], Request(action, resource, context))


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("elasticloadbalancing:DeleteRule", RULE.format("x"), tagged(TOPIC, "hokusai.platform")),
        ("ecs:DeleteService", arn("ecs", f"service/{CLUSTER}/hokusai-api-canary-development"), {}),
        ("ec2:AuthorizeSecurityGroupIngress", arn("ec2", "security-group/sg-1"), tagged("Environment", "development")),
        ("ssm:GetParameter", arn("ssm", f"parameter/{PLATFORM_KEY}"), {}),
        ("ssm:GetParameters", LOCK[0], {}),
        ("secretsmanager:GetSecretValue", arn("secretsmanager", f"secret:{PLATFORM_KEY}-AbCdEf"), {}),
    ],
)
def test_the_denials_leave_the_rest_alone(action: str, resource: str, context: dict[str, tuple[str, ...]]) -> None:
    assert not refusal([*RUN, EVERYTHING], Request(action, resource, context))
