"""On which resources, and on which conditions, an action may be allowed, and what is never allowed.

A policy has of each grant the actions that its playbooks ask for. Source of what can be limited how: Service
Authorization Reference, the page of each service ("Actions defined by ...", columns resource types and condition keys).
An action whose page names no resource type can only be allowed on `*`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ACCOUNT, REGION, ENVIRONMENT, DOMAIN = "123456789012", "us-east-1", "development", "hokus.ai"
"""What a reader replaces by their own: docs/iam.md says how."""

NAMES: Final = f"hokusai-*-{ENVIRONMENT}"
"""Load balancers, target groups, ECS services, task families and roles of an environment."""
CLUSTER: Final = f"hokusai-{ENVIRONMENT}"
RUNS: Final = "hokusai-runs"
"""The bucket of the records, and the alias of the key that seals them, where the inventory names them."""
PLATFORM_KEY: Final = f"hokusai/{ENVIRONMENT}/verification/api-key"
"""Where the platform key is, where that is AWS; beside it the one that it is rotated to."""
HOSTS: Final = [f"{name}.{DOMAIN}" for name in ("api", "auth", "registry")]
MANAGED: Final = "hokusai:managed-by"
OWNER: Final = "hokusai.platform"

Condition = Mapping[str, Mapping[str, Any]]


def arn(service: str, resource: str, *, region: str = REGION, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{region}:{account}:{resource}"


def anywhere(named: str) -> str:
    """This ARN in any region and account, which is shorter; of its own another account would have to allow it too."""
    arn, aws, service, _region, _account, resource = named.split(":", 5)
    return ":".join((arn, aws, service, "*", "*", resource))


LOCK: Final = [arn("ssm", f"parameter/hokusai/{ENVIRONMENT}/{name}") for name in ("lock", "lock-counter")]
KEYS: Final = [arn("ssm", f"parameter/{PLATFORM_KEY}*"), arn("secretsmanager", f"secret:{PLATFORM_KEY}*-??????")]
RUNS_KEY: Final = arn("secretsmanager", f"secret:hokusai/{ENVIRONMENT}/runs-key-??????")
"""The secret that seals the records, where that is one; AWS ends a secret's ARN with six characters of its own."""
READABLE: Final = [arn("ssm", f"parameter/hokusai/{ENVIRONMENT}/lock*"), *KEYS, RUNS_KEY]
ALARMS = arn("cloudwatch", f"alarm:{CLUSTER}-*")
DASHBOARD: Final = arn("cloudwatch", f"dashboard/{CLUSTER}", region="")
LOG_GROUPS: Final = [arn("logs", f"log-group:/ecs/{NAMES}{end}") for end in ("", ":*")]
GROUP, GROUP_RULE = arn("ec2", "security-group/*"), arn("ec2", "security-group-rule/*")
SERVICE: Final = arn("ecs", f"service/{CLUSTER}/{NAMES}")
TASKS: Final = arn("ecs", f"task-definition/{NAMES}:*")
CANARY: Final = arn("ecs", f"service/{CLUSTER}/hokusai-*-canary-{ENVIRONMENT}")
BALANCING: Final = [arn("elasticloadbalancing", f"*/{NAMES}/*")]
"""Load balancers, their listeners and rules, and target groups."""
DISCOVERY: Final = [arn("servicediscovery", "*/*")]
"""Namespaces and services."""
IN_CLUSTER: Final[Condition] = {"ArnEquals": {"ecs:cluster": arn("ecs", f"cluster/{CLUSTER}")}}
ROLES, TO_TASKS = [f"arn:aws:iam::{ACCOUNT}:role/{NAMES}"], "ecs-tasks.amazonaws.com"
OURS: Final[Condition] = {"StringEquals": {f"aws:RequestTag/{MANAGED}": OWNER}}
NOT_OURS: Final[Condition] = {"StringNotEquals": {f"aws:ResourceTag/{MANAGED}": OWNER}}
MARKS: Final[Condition] = {
    "ForAllValues:StringEquals": {"aws:TagKeys": "hokusai:canary"},
    "Null": {"aws:TagKeys": "false"},
}
"""The tag of rules that a canary is about. With the keys of others somebody else's rule could be made ours."""
OF_ENVIRONMENT: Final[Condition] = {"StringEquals": {"aws:ResourceTag/Environment": ENVIRONMENT}}


@dataclass(frozen=True)
class Grant:
    """Actions are named with their prefix but once: `ec2: DescribeVpcs DescribeSubnets`."""

    sid: str
    named: str
    resources: Iterable[str] = ("*",)
    condition: Condition = field(default_factory=dict)

    @property
    def actions(self) -> frozenset[str]:
        found, prefix = set(), ""
        for word in self.named.split():
            if word.endswith(":"):
                prefix = word
            else:
                found.add(prefix + word)
        return frozenset(found)

    def statement(self, actions: Iterable[str]) -> dict[str, Any]:
        """These of its actions, on what their services have of its resources."""
        made: dict[str, Any] = {"Sid": self.sid, "Effect": "Allow", "Action": sorted(actions)}
        services = {each.partition(":")[0] for each in made["Action"]}
        listed = sorted(each for each in self.resources if each == "*" or each.split(":")[2] in services)
        made["Resource"] = listed[0] if len(listed) == 1 else listed
        return {**made, "Condition": self.condition} if self.condition else made


GRANTS: Final = (
    Grant(
        "Look",
        """acm: ListCertificates
        cloudwatch: DescribeAlarms GetMetricData
        ec2: DescribeRegions DescribeSecurityGroupRules DescribeSecurityGroups
        DescribeSubnets DescribeVpcs
        ecs: DescribeTaskDefinition ListTaskDefinitions
        elasticloadbalancing: DescribeListenerAttributes DescribeListenerCertificates DescribeListeners
        DescribeLoadBalancers DescribeRules DescribeTags DescribeTargetGroupAttributes DescribeTargetGroups
        DescribeTargetHealth
        logs: DescribeLogGroups
        route53: ListHostedZones ListHostedZonesByName
        servicediscovery: GetOperation ListNamespaces ListOperations ListServices ListTagsForResource
        sns: ListTopics
        sts: GetCallerIdentity
        tag: GetResources""",
    ),
    Grant(
        "LookAtOne",
        """acm: DescribeCertificate
        cloudwatch: GetDashboard ListTagsForResource
        ecs: DescribeServices DescribeTasks ListTagsForResource
        logs: DescribeMetricFilters
        route53: GetChange GetHostedZone ListResourceRecordSets
        servicediscovery: GetNamespace GetService ListInstances""",
        (
            anywhere(arn("acm", "certificate/*")),
            anywhere(ALARMS),
            DASHBOARD,
            anywhere(arn("ecs", f"*/{CLUSTER}/*")),
            anywhere(TASKS),
            anywhere(arn("logs", f"log-group:/ecs/{NAMES}*")),
            "arn:aws:route53:::*/*",
            anywhere(*DISCOVERY),
        ),
    ),
    Grant("LookInCluster", "ecs: ListServices ListTasks", condition=IN_CLUSTER),
    Grant("UseKeys", "ssm: GetParameter GetParameters secretsmanager: GetSecretValue", READABLE),
    Grant(
        "KeepRecords",
        "s3: GetBucketVersioning GetObject ListBucket PutObject",
        [f"arn:aws:s3:::{RUNS}", f"arn:aws:s3:::{RUNS}/{ENVIRONMENT}/*"],
    ),
    Grant(
        "SealRecords",
        "kms: GenerateMac",
        [anywhere(arn("kms", "key/*"))],
        {"StringEquals": {"kms:RequestAlias": f"alias/{RUNS}"}},
    ),
    Grant("TakeTheLock", "ssm: PutParameter", LOCK),
    Grant("LetGoOfTheLock", "ssm: DeleteParameter", LOCK[:1]),
    Grant(
        "MakeOurs",
        """ec2: AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress
        ecs: CreateService
        elasticloadbalancing: CreateListener CreateRule CreateTargetGroup
        logs: CreateLogGroup
        servicediscovery: CreateService""",
        (GROUP_RULE, CANARY, *BALANCING, *LOG_GROUPS, *DISCOVERY),
        OURS,
    ),
    Grant("MakeOursAnywhere", "servicediscovery: CreatePrivateDnsNamespace TagResource", condition=OURS),
    Grant(
        "MarkWhatIsMade",
        "elasticloadbalancing: AddTags",
        BALANCING,
        {"Null": {"elasticloadbalancing:CreateAction": "false"}},
    ),
    Grant("MarkCanaries", "elasticloadbalancing: AddTags RemoveTags", BALANCING, MARKS),
    Grant(
        "Route",
        """elasticloadbalancing: AddListenerCertificates DeleteListener DeleteRule DeleteTargetGroup ModifyListener
        ModifyRule ModifyTargetGroup ModifyTargetGroupAttributes RemoveListenerCertificates SetRulePriorities
        servicediscovery: DeleteNamespace DeleteService UpdateService""",
        (*BALANCING, *DISCOVERY),
    ),
    Grant(
        "Connect",
        """ec2: AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress ModifySecurityGroupRules
        RevokeSecurityGroupEgress RevokeSecurityGroupIngress""",
        (GROUP,),
        OF_ENVIRONMENT,
    ),
    Grant("Describe", "ec2: CreateTags DeleteTags ModifySecurityGroupRules", (GROUP_RULE,)),
    Grant("EndACanary", "ecs: DeleteService", (CANARY,)),
    Grant("Deploy", "ecs: RegisterTaskDefinition UpdateService", (SERVICE, TASKS)),
    Grant(
        "MarkDeployed",
        "ecs: TagResource",
        (SERVICE, TASKS),
        {"Null": {"ecs:CreateAction": "false"}},
    ),
    Grant("Anywhere", "cloudwatch: PutCompositeAlarm ecs: DeregisterTaskDefinition route53: CreateHostedZone"),
    Grant(
        "PassRoles",
        "iam: PassRole",
        ROLES,
        {"StringEquals": {"iam:PassedToService": TO_TASKS}},
    ),
    Grant(
        "NamePublicly",
        "route53: ChangeResourceRecordSets",
        ("arn:aws:route53:::hostedzone/*",),
        {
            "ForAllValues:StringEquals": {
                "route53:ChangeResourceRecordSetsNormalizedRecordNames": HOSTS,
                "route53:ChangeResourceRecordSetsRecordTypes": ["A", "AAAA"],
            },
        },
    ),
    Grant(
        "Publish",
        "cloudwatch: PutMetricData",
        condition={"StringEquals": {"cloudwatch:namespace": f"Hokusai/{ENVIRONMENT}"}},
    ),
    Grant(
        "Watch",
        """cloudwatch: DeleteAlarms DeleteDashboards PutDashboard PutMetricAlarm TagResource
        logs: DeleteMetricFilter DeleteRetentionPolicy PutMetricFilter PutRetentionPolicy TagResource""",
        (ALARMS, DASHBOARD, *LOG_GROUPS),
    ),
)

NEVER: Final = (
    Grant(
        "NeverGround",
        """acm: DeleteCertificate ExportCertificate
        ec2: DeleteSecurityGroup
        ecs: DeleteCluster ExecuteCommand RunTask StartTask
        elasticloadbalancing: *LoadBalancer *Targets SetIpAddressType SetSecurityGroups SetSubnets
        iam: A* C* D* E* Put* R* Se* T* U*
        logs: DeleteLog*
        s3: CreateA* CreateM* PutA* PutM*
        secretsmanager: DeleteSecret PutResourcePolicy
        servicediscovery: *egisterInstance""",
    ),
    Grant(
        "NeverRecords",
        "s3: Bypass* Delete* PutB* PutL* PutObject?* PutR*",
        [f"arn:aws:s3:::{RUNS}", f"arn:aws:s3:::{RUNS}/*"],
    ),
    Grant(
        "NeverSeal",
        "kms: *Alias *Grant DisableKey PutKeyPolicy ScheduleKeyDeletion",
        condition={"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{RUNS}"}},
    ),
    Grant(
        "NeverForeign",
        """ecs: DeleteService
        elasticloadbalancing: DeleteListener DeleteRule DeleteTargetGroup
        servicediscovery: DeleteNamespace DeleteService""",
        condition=NOT_OURS,
    ),
    Grant(
        "NeverAlarms",
        "cloudwatch: DeleteAlarms",
        condition={"StringNotEquals": {f"aws:ResourceTag/{MANAGED}": f"{OWNER}/{CLUSTER}"}},
    ),
    Grant(
        "NeverGroups",
        "ec2: AuthorizeSecurityGroup* ModifySecurityGroupRules RevokeSecurityGroup*",
        (anywhere(GROUP),),
        {"StringNotEquals": OF_ENVIRONMENT["StringEquals"]},
    ),
    Grant(
        "NeverRules",
        "ec2: CreateTags DeleteTags ModifySecurityGroupRules",
        (anywhere(GROUP_RULE),),
        {**NOT_OURS, "Null": {"ec2:CreateAction": "true"}},
    ),
    Grant(
        "NeverPublic",
        "ecs: CreateService UpdateService",
        condition={"Bool": {"ecs:auto-assign-public-ip": "true"}},
    ),
    Grant(
        "NeverPass",
        "iam: PassRole",
        condition={"StringNotEquals": {"iam:PassedToService": TO_TASKS}},
    ),
)
"""Denied whatever else allows it. What changes IAM is named by how it begins, for a policy has no room for more: reads
of IAM begin with Get, List, Generate and Simulate. Of S3 it is who may read the bucket (its policy, access points,
grants of access, replication) and how long it keeps what; `PutObject?*` is what is put to an object that is there."""

NEVER_BUT: Final = (
    Grant("NeverServices", "ecs: DeleteService", (CANARY,)),
    Grant("NeverRoles", "iam: PassRole", ROLES),
    Grant(
        "NeverSecrets",
        "secretsmanager: BatchGetSecretValue GetSecretValue ssm: GetParameter*",
        [*map(anywhere, READABLE)],
    ),
)
"""Denied on all resources but these."""
