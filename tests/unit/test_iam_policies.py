"""The policies of docs/iam allow what the playbooks ask for, and no more, and deny what must never happen."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import botocore.session
import pytest
from ansible_collections.hokusai.platform.plugins.module_utils.credentials import Credentials
from ansible_collections.hokusai.platform.plugins.module_utils.journal_writes import VERBS
from botocore import xform_name

from sandbox.controlplane import ControlPlane
from sandbox.controlplane.authorization.actions import BEHALF, RENAMED, action_of
from sandbox.controlplane.authorization.policy import Policy, Request, refusal
from tests.harness import ROOT
from tests.iam import calls, policies
from tests.iam.grants import (
    ACCOUNT,
    CLUSTER,
    ENVIRONMENT,
    GRANTS,
    LOCK,
    MANAGED,
    PLATFORM_KEY,
    REGION,
    RUNS_KEY,
    Grant,
    arn,
)
from tests.unit.web import make_key

RECORD = policies.read()
CLOUD_MAPS = "servicediscovery:ListServices"
PASSED = {"action": "iam:PassRole", "resource": f"arn:aws:iam::{ACCOUNT}:role/hokusai-task-execution-{ENVIRONMENT}"}
PASSED_TO_TASKS = {"iam:passedtoservice": ["ecs-tasks.amazonaws.com"]}


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
    assert allowed("diagnose") == RECORD["diagnose"].keys()


def test_who_takes_back_may_do_besides_what_was_recorded_and_nothing_else() -> None:
    assert allowed("rollback") == RECORD["rollback"].keys() - RECORD["diagnose"].keys()


def test_who_repairs_may_do_besides_what_was_recorded_and_take_it_back_and_nothing_else() -> None:
    assert allowed("site") == (RECORD["site"].keys() | RECORD["rollback"].keys()) - RECORD["diagnose"].keys()


def test_every_grant_is_used() -> None:
    assert not {action for grant in GRANTS for action in grant.actions} - allowed(*policies.NAMES)


WRITES = {
    "diagnose": Grant("none", ""),
    "rollback": Grant(
        "what undoes a run, and the lock, the record and the score of doing so",
        """cloudwatch: DeleteAlarms DeleteDashboards PutCompositeAlarm PutDashboard PutMetricAlarm PutMetricData
        TagResource
        ec2: AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress CreateTags DeleteTags ModifySecurityGroupRules
        RevokeSecurityGroupEgress RevokeSecurityGroupIngress
        ecs: DeregisterTaskDefinition RegisterTaskDefinition TagResource UpdateService
        elasticloadbalancing: AddListenerCertificates AddTags CreateRule DeleteListener DeleteRule DeleteTargetGroup
        ModifyListener ModifyRule ModifyTargetGroup ModifyTargetGroupAttributes RemoveListenerCertificates
        SetRulePriorities
        iam: PassRole
        logs: DeleteMetricFilter DeleteRetentionPolicy PutMetricFilter PutRetentionPolicy
        route53: ChangeResourceRecordSets
        s3: PutObject
        servicediscovery: DeleteNamespace DeleteService UpdateService
        ssm: DeleteParameter PutParameter""",
    ),
    "site": Grant(
        "besides, what makes anew; a canary is deleted too, and its marks taken off rules",
        """ecs: CreateService DeleteService
        elasticloadbalancing: CreateListener CreateTargetGroup RemoveTags
        logs: CreateLogGroup TagResource
        route53: CreateHostedZone
        servicediscovery: CreatePrivateDnsNamespace CreateService TagResource""",
    ),
}
"""By hand, for the record grants whatever was asked for: who adds a write here means it. A rollback registers a
revision again that somebody has taken out of use since, and a service that gets one asks for its roles. Cloud Map makes
the hosted zone of a namespace with the caller's permissions."""


@pytest.mark.parametrize("name", policies.NAMES)
def test_a_policy_writes_what_it_is_meant_to_and_nothing_else(name: str) -> None:
    meant = WRITES[name].actions | (WRITES["rollback"].actions if name == "site" else set())
    assert {action for action in allowed(name) if not is_read(action)} == meant


ALONE = {
    "cloudwatch:UntagResource",
    "ecs:UntagResource",
    "elasticloadbalancing:ModifyListenerAttributes",
    "servicediscovery:UntagResource",
    "servicediscovery:UpdatePrivateDnsNamespace",
}
"""Writes of options that no role sets, and of taking them back: who uses those needs the permission too."""


def test_everything_that_a_plan_can_write_may_be_written_in_a_run_or_is_known_to_be_asked_for_by_no_playbook() -> None:
    methods = {service: models(service) for service in {service for service, _verb in VERBS}}
    wanted = {action_of(service, methods[service][verb]) for service, verb in VERBS}
    assert wanted - allowed("diagnose", "site") == ALONE


def models(service: str) -> dict[str, str]:
    """The operations of a service by the names of botocore's methods."""
    names = botocore.session.get_session().get_service_model(service).operation_names
    return {xform_name(name): name for name in names}


READ_ALONE = {"ec2:DescribeManagedPrefixLists", "ecs:DescribeClusters", "ssm:DescribeParameters"}
"""Reads of such options, and of who mints a key into a parameter."""


def test_everything_that_is_read_may_be_read_or_is_told_what_for() -> None:
    reads = {actions for actions in calls.named() if any(map(is_read, actions))}
    assert {"ecs:DescribeServices", "elasticloadbalancing:DescribeRules", "route53:GetChange"} <= set().union(*reads)
    refused = [actions for actions in reads if not actions & allowed(*policies.NAMES)]
    assert set().union(*refused) == READ_ALONE
    told = (ROOT / "docs" / "iam.md").read_text()
    assert not {action for action in READ_ALONE if f"`{action}`" not in told}


MINTED = {"secretsmanager:CreateSecret", "secretsmanager:PutSecretValue"}
"""Of who mints a key into a secret."""
WORDS = {"kms:Verify", "sns:Publish"}
"""The code calls something else by the names of these."""
NOT_BY_POLICY = {"sts:AssumeRole"}
"""The role that is taken on says who may."""


def test_every_write_of_the_code_may_be_made_or_is_told_what_for() -> None:
    writes = {actions for actions in calls.named() if not any(map(is_read, actions))}
    refused = {actions for actions in writes if not actions & allowed(*policies.NAMES)}
    known = ALONE | MINTED | WORDS | NOT_BY_POLICY
    assert {actions for actions in refused if not actions & known} == set()
    assert known <= set().union(*writes)
    told = (ROOT / "docs" / "iam.md").read_text()
    assert not {action for action in MINTED if f"`{action}`" not in told}


def test_every_write_that_a_policy_allows_is_one_of_the_code_or_comes_with_one() -> None:
    """With a call come passing a role, and what Cloud Map does on the caller's behalf."""
    named = set().union(*calls.named())
    with_others = {"iam:PassRole", *(action for some in BEHALF.values() for action, _on in some)}
    writes = {action for action in allowed(*policies.NAMES) if not is_read(action)}
    assert writes - named == {"iam:PassRole", "route53:CreateHostedZone"} <= with_others


@pytest.mark.parametrize(
    ("code", "actions"),
    [
        ("aws.ecs.list_services()", {"ecs:ListServices"}),
        ("self.aws.ecs, self.aws.servicediscovery, client.list_services()", {"ecs:ListServices", CLOUD_MAPS}),
        ('aws.servicediscovery, aws.client("ecs").get_paginator("list_services")', {"ecs:ListServices"}),
        ('aws.ecs, every(aws.servicediscovery, "list_services")', {CLOUD_MAPS}),
        ('aws.route53.get_waiter("resource_record_sets_changed")', {"route53:GetChange"}),
        ('aws.ecs, Step(f"deregister_{what}_definition")', {"ecs:DeregisterTaskDefinition"}),
    ],
)
def test_an_operation_is_found_however_it_is_named(code: str, actions: set[str]) -> None:
    assert calls.named_in(ast.walk(ast.parse(code))) == {frozenset(actions)}


def test_every_action_is_an_operation_or_comes_with_one() -> None:
    session = botocore.session.get_session()
    services = {each.partition(":")[0] for found in RECORD.values() for ops in found.values() for each in ops}
    real = {action_of(name, each) for name in services for each in session.get_service_model(name).operation_names}
    with_others = {"iam:PassRole", *RENAMED.values(), *(action for some in BEHALF.values() for action, _on in some)}
    assert not allowed(*policies.NAMES) - real - with_others


def test_who_is_told_to_call_aws_may_or_is_told_what_for() -> None:
    """Of the commands in the documents; iam.md's are an administrator's, and S3's actions have other names."""
    session, told = botocore.session.get_session(), (ROOT / "docs" / "iam.md").read_text()
    pages = [page for page in (ROOT / "docs").glob("*.md") if page.name != "iam.md"]
    found = {each for page in pages for each in re.findall(r"\baws ([a-z0-9]+) ([a-z]+-[a-z-]+)", page.read_text())}
    asked = {
        action_of(service, operation)
        for service, command in found
        if service != "s3api"
        for operation in session.get_service_model(service).operation_names
        if xform_name(operation, "-") == command
    }
    assert len(asked) > 2
    assert not {action for action in asked - allowed(*policies.NAMES) if f"`{action}`" not in told}


def test_who_mints_a_key_into_aws_is_told_what_for(control_plane: ControlPlane, aws_options: dict[str, str]) -> None:
    """A new one, and one over an old one."""
    told = (ROOT / "docs" / "iam.md").read_text()
    keys = Credentials(aws_options, set[str]().add)
    control_plane.gate.record()
    for store in ({"ssm_parameter": "/some/key"}, {"secret": "some/key"}) * 2:
        keys.check_writable(store)
        keys.keep(store, keys.adopt(make_key(), "a test"))
    asked = {each["action"] for each in control_plane.gate.as_dict()["asked"]}
    control_plane.gate.open()
    assert {"ssm:PutParameter", "secretsmanager:PutSecretValue"} < asked
    assert not {action for action in asked if f"`{action}`" not in told}


def test_what_was_asked_for_is_held_against_the_policies_resource_by_resource() -> None:
    held = policies.Asked.of("rollback", {"operation": "ecs:UpdateService", **PASSED, "context": PASSED_TO_TASKS})
    other = policies.Asked.of("rollback", {"operation": "ecs:UpdateService", **PASSED, "context": {}})
    assert not policies.refused(RECORD, [held])
    (refused,) = policies.refused(RECORD, [held, other])
    assert refused.startswith(f"rollback: iam:PassRole on {PASSED['resource']} with an explicit deny")


@pytest.mark.parametrize("name", policies.NAMES)
def test_no_action_is_allowed_by_a_pattern(name: str) -> None:
    assert not [action for action in allowed(name) if "*" in action or "?" in action]


@pytest.mark.parametrize("name", policies.NAMES)
@pytest.mark.parametrize("region", [REGION, "ap-southeast-2"])
@pytest.mark.parametrize("environment", [ENVIRONMENT, "pre-production"])
def test_a_policy_fits_into_a_managed_one(name: str, region: str, environment: str) -> None:
    text = json.dumps(committed(name), separators=(",", ":"))
    assert len(text.replace(REGION, region).replace(ENVIRONMENT, environment)) <= policies.LONGEST


def test_who_diagnoses_may_write_nothing() -> None:
    assert not [action for action in allowed("diagnose") if not is_read(action)]


def is_read(action: str) -> bool:
    """A seal is made to compare it with a record's; it leaves nothing behind."""
    return action.partition(":")[2].startswith(("Describe", "Get", "List", "GenerateMac"))


ANYWHERE = {
    "cloudwatch:PutCompositeAlarm",
    "cloudwatch:PutMetricData",
    "ecs:DeregisterTaskDefinition",
    "route53:CreateHostedZone",
    "servicediscovery:CreatePrivateDnsNamespace",
    "servicediscovery:TagResource",
}
"""Writes whose resources IAM does not know (Service Authorization Reference)."""


@pytest.mark.parametrize("name", policies.NAMES)
def test_what_is_written_is_named_where_iam_knows_it(name: str) -> None:
    listed = [each for each in committed(name)["Statement"] if each["Effect"] == "Allow" and each["Resource"] == "*"]
    assert {action for each in listed for action in each["Action"] if not is_read(action)} <= ANYWHERE


# what the policies of a run decide

RUN = [Policy.parse(committed(name)) for name in ("diagnose", "site")]
EVERYTHING = Policy.parse({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


Context = dict[str, tuple[str, ...]]


def refused(action: str, resource: str = "*", context: Context | None = None) -> str:
    return refusal(RUN, Request(action, resource, context or {}))


def key(name: str, *values: str) -> Context:
    return {name.lower(): values}


def tagged(name: str, value: str) -> Context:
    """On a resource that has this tag."""
    return key(f"aws:ResourceTag/{name}", value)


MADE_OURS = key(f"aws:RequestTag/{MANAGED}", "hokusai.platform")
TO_TASKS = key("iam:PassedToService", "ecs-tasks.amazonaws.com")
LISTENER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/{}/1/2"
RULE = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/{}/1/2/3"
REGISTRY = "hokusai-registry-development"
API, CANARY = (arn("ecs", f"service/{CLUSTER}/hokusai-api-{name}") for name in ("development", "canary-development"))
GROUP, GROUP_RULE = arn("ec2", "security-group/sg-1"), arn("ec2", "security-group-rule/sgr-1")
ROLE = PASSED["resource"]
ALARM = arn("cloudwatch", "alarm:hokusai-development-outage")
RECORDS, SEAL = "arn:aws:s3:::hokusai-runs/development/development/1", arn("kms", "key/1")
SEALS = key("kms:ResourceAliases", "alias/other", "alias/hokusai-runs")
INGRESS = "ec2:AuthorizeSecurityGroupIngress"


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("elasticloadbalancing:CreateRule", LISTENER.format(REGISTRY), MADE_OURS),
        ("elasticloadbalancing:AddTags", RULE.format(REGISTRY), key("elasticloadbalancing:CreateAction", "CreateRule")),
        ("elasticloadbalancing:AddTags", RULE.format(REGISTRY), key("aws:TagKeys", "hokusai:canary")),
        ("elasticloadbalancing:DeleteRule", RULE.format(REGISTRY), tagged(MANAGED, "hokusai.platform")),
        ("ssm:PutParameter", LOCK[0], {}),
        ("ecs:UpdateService", API, key("ecs:auto-assign-public-ip", "false")),
        ("ecs:CreateService", CANARY, MADE_OURS),
        ("ecs:DeleteService", CANARY, tagged(MANAGED, "hokusai.platform")),
        (INGRESS, GROUP, tagged("Environment", "development")),
        (INGRESS, arn("ec2", "security-group-rule/*"), MADE_OURS),
        ("ec2:CreateTags", arn("ec2", "security-group-rule/*"), key("ec2:CreateAction", INGRESS[4:])),
        ("ec2:ModifySecurityGroupRules", GROUP_RULE, tagged(MANAGED, "hokusai.platform")),
        ("cloudwatch:PutMetricAlarm", ALARM, {}),
        ("cloudwatch:DeleteAlarms", ALARM, tagged(MANAGED, f"hokusai.platform/{CLUSTER}")),
        ("ssm:GetParameter", arn("ssm", f"parameter/{PLATFORM_KEY}-2"), {}),
        ("secretsmanager:GetSecretValue", RUNS_KEY.replace("?", "x"), {}),
        ("logs:PutRetentionPolicy", arn("logs", "log-group:/ecs/hokusai-api-development"), {}),
        ("s3:PutObject", RECORDS, {}),
        ("s3:GetObject", RECORDS, {}),
        ("kms:GenerateMac", SEAL, key("kms:RequestAlias", "alias/hokusai-runs")),
        ("iam:PassRole", ROLE, TO_TASKS),
        (
            "route53:ChangeResourceRecordSets",
            "arn:aws:route53:::hostedzone/Z1",
            {
                **key("route53:ChangeResourceRecordSetsRecordTypes", "A"),
                **key("route53:ChangeResourceRecordSetsNormalizedRecordNames", "registry.hokus.ai", "api.hokus.ai"),
            },
        ),
    ],
)
def test_a_run_may_work_on_its_own_environment(action: str, resource: str, context: Context) -> None:
    assert not refused(action, resource, context)


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("elasticloadbalancing:CreateRule", LISTENER.format("hokusai-registry-staging"), MADE_OURS),
        ("elasticloadbalancing:CreateRule", LISTENER.format(REGISTRY), {}),
        ("elasticloadbalancing:AddTags", RULE.format(REGISTRY), key("aws:TagKeys", MANAGED)),
        ("elasticloadbalancing:AddTags", RULE.format(REGISTRY), key("aws:TagKeys", "hokusai:canary", MANAGED)),
        ("ssm:PutParameter", arn("ssm", "parameter/hokusai/staging/lock"), {}),
        ("ssm:PutParameter", arn("ssm", "parameter/hokusai/development/api/session-secret"), {}),
        ("ssm:DeleteParameter", LOCK[1], {}),
        ("ecs:UpdateService", arn("ecs", "service/hokusai-staging/hokusai-api-staging"), {}),
        ("ecs:CreateService", API, MADE_OURS),
        (INGRESS, arn("ec2", "security-group-rule/*"), {}),
        ("cloudwatch:PutMetricAlarm", arn("cloudwatch", "alarm:billing"), {}),
        ("cloudwatch:PutMetricData", "*", key("cloudwatch:namespace", "AWS/ApplicationELB")),
        ("logs:PutRetentionPolicy", arn("logs", "log-group:/ecs/hokusai-api-staging"), {}),
        ("servicediscovery:TagResource", "*", key(f"aws:RequestTag/{MANAGED}", "terraform")),
        (
            "route53:ChangeResourceRecordSets",
            "arn:aws:route53:::hostedzone/Z1",
            {
                **key("route53:ChangeResourceRecordSetsRecordTypes", "A", "MX"),
                **key("route53:ChangeResourceRecordSetsNormalizedRecordNames", "registry.hokus.ai"),
            },
        ),
        (
            "route53:ChangeResourceRecordSets",
            "arn:aws:route53:::hostedzone/Z1",
            {
                **key("route53:ChangeResourceRecordSetsRecordTypes", "A"),
                **key("route53:ChangeResourceRecordSetsNormalizedRecordNames", "registry.hokus.ai", "www.hokus.ai"),
            },
        ),
        ("iam:CreateUser", "*", {}),
    ],
)
def test_a_run_may_work_on_nothing_else(action: str, resource: str, context: Context) -> None:
    assert refused(action, resource, context)


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("elasticloadbalancing:DeleteLoadBalancer", "*", {}),
        ("elasticloadbalancing:RegisterTargets", arn("elasticloadbalancing", "targetgroup/hokusai-api/1"), {}),
        ("elasticloadbalancing:DeleteRule", RULE.format(REGISTRY), {}),
        ("elasticloadbalancing:DeleteRule", RULE.format(REGISTRY), tagged(MANAGED, "terraform")),
        ("ecs:DeleteCluster", arn("ecs", f"cluster/{CLUSTER}"), {}),
        ("ecs:DeleteService", API, tagged(MANAGED, "hokusai.platform")),
        ("ecs:DeleteService", CANARY, {}),
        ("ecs:CreateService", CANARY, {**MADE_OURS, **key("ecs:auto-assign-public-ip", "true")}),
        ("ecs:UpdateService", API, key("ecs:auto-assign-public-ip", "true")),
        ("ecs:ExecuteCommand", arn("ecs", f"task/{CLUSTER}/1"), {}),
        ("servicediscovery:DeleteNamespace", arn("servicediscovery", "namespace/ns-1"), {}),
        ("ec2:DeleteSecurityGroup", GROUP, {}),
        (INGRESS, GROUP, tagged("Environment", "production")),
        (INGRESS, GROUP.replace(REGION, "eu-west-1"), tagged("Environment", "production")),
        ("ec2:ModifySecurityGroupRules", GROUP_RULE, {}),
        ("ec2:CreateTags", GROUP_RULE, tagged(MANAGED, "terraform")),
        ("ssm:GetParameter", arn("ssm", "parameter/hokusai/development/api/session-secret"), {}),
        ("ssm:GetParametersByPath", arn("ssm", "parameter/hokusai/development"), {}),
        ("secretsmanager:GetSecretValue", arn("secretsmanager", "secret:database-AbCdEf"), {}),
        ("s3:DeleteObjectVersion", f"{RECORDS}/run.json", {}),
        ("s3:PutBucketPolicy", "arn:aws:s3:::hokusai-runs", {}),
        ("s3:PutObjectAcl", f"{RECORDS}/run.json", {}),
        ("s3:PutObjectVersionAcl", f"{RECORDS}/run.json", {}),
        ("s3:PutObjectRetention", f"{RECORDS}/run.json", {}),
        ("s3:PutObjectLegalHold", f"{RECORDS}/run.json", {}),
        ("s3:BypassGovernanceRetention", f"{RECORDS}/run.json", {}),
        ("s3:PutLifecycleConfiguration", "arn:aws:s3:::hokusai-runs", {}),
        ("s3:PutReplicationConfiguration", "arn:aws:s3:::hokusai-runs", {}),
        ("s3:PutAccountPublicAccessBlock", "*", {}),
        ("s3:CreateAccessPoint", arn("s3", "accesspoint/records"), {}),
        ("s3:CreateMultiRegionAccessPoint", "*", {}),
        ("s3:CreateAccessGrant", arn("s3", "access-grants/default"), {}),
        ("s3:PutAccessPointPolicy", arn("s3", "accesspoint/records"), {}),
        ("s3:PutMultiRegionAccessPointPolicy", "*", {}),
        ("kms:CreateGrant", SEAL, SEALS),
        ("kms:RevokeGrant", SEAL, SEALS),
        ("kms:RetireGrant", SEAL, SEALS),
        ("kms:PutKeyPolicy", SEAL, SEALS),
        ("kms:DisableKey", SEAL, SEALS),
        ("kms:ScheduleKeyDeletion", SEAL, SEALS),
        ("kms:UpdateAlias", SEAL, SEALS),
        ("secretsmanager:GetSecretValue", RUNS_KEY.replace("?", "x").replace("development", "production"), {}),
        ("iam:AttachRolePolicy", "*", {}),
        ("iam:DeleteRolePermissionsBoundary", ROLE, {}),
        ("iam:PassRole", ROLE, key("iam:PassedToService", "ec2.amazonaws.com")),
        ("iam:PassRole", ROLE, {}),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", TO_TASKS),
        ("logs:DeleteLogGroup", arn("logs", "log-group:/ecs/hokusai-api-development"), {}),
        ("cloudwatch:DeleteAlarms", ALARM, {}),
        ("cloudwatch:DeleteAlarms", ALARM, tagged(MANAGED, "hokusai.platform/hokusai-staging")),
    ],
)
def test_what_must_never_happen_is_denied_whatever_else_allows_it(action: str, resource: str, context: Context) -> None:
    assert "explicit deny" in refusal([*RUN, EVERYTHING], Request(action, resource, context))


def test_of_iam_all_is_denied_that_is_no_read_and_nothing_that_is() -> None:
    reads = ("Get", "List", "Generate", "Simulate")
    names = botocore.session.get_session().get_service_model("iam").operation_names
    denied = {name for name in names if "explicit deny" in refusal([*RUN, EVERYTHING], Request(f"iam:{name}", "*"))}
    assert denied == {name for name in names if not name.startswith(reads)}


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("ssm:GetParameter", arn("ssm", f"parameter/{PLATFORM_KEY}")),
        ("secretsmanager:GetSecretValue", RUNS_KEY.replace("?", "x")),
        ("s3:PutObject", f"{RECORDS}/run.json"),
        ("s3:GetObjectRetention", f"{RECORDS}/run.json"),
        ("kms:GenerateMac", SEAL),
        ("kms:ListGrants", SEAL),
        ("ssm:GetParameters", LOCK[0]),
        ("secretsmanager:GetSecretValue", arn("secretsmanager", f"secret:{PLATFORM_KEY}-AbCdEf")),
        ("ecs:CreateService", API),
        ("iam:ListRoles", "*"),
        ("s3:DeleteObject", "arn:aws:s3:::artefacts/wheel"),
        ("s3:CreateBucket", "arn:aws:s3:::artefacts"),
        ("kms:CreateGrant", SEAL),
    ],
)
def test_the_denials_leave_the_rest_alone(action: str, resource: str) -> None:
    assert not refusal([*RUN, EVERYTHING], Request(action, resource))
