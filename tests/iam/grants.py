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
"""Where the platform key is, where that is AWS."""
MANAGED: Final = "hokusai:managed-by"
OWNER: Final = "hokusai.platform"

Condition = Mapping[str, Mapping[str, Any]]


def arn(service: str, resource: str, *, region: str = REGION, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{region}:{account}:{resource}"


LOCK: Final = [arn("ssm", f"parameter/hokusai/{ENVIRONMENT}/{name}") for name in ("lock", "lock-counter")]
KEYS: Final = [arn("ssm", f"parameter/{PLATFORM_KEY}"), arn("secretsmanager", f"secret:{PLATFORM_KEY}-??????")]
LOG_GROUPS: Final = [arn("logs", f"log-group:/ecs/{NAMES}{end}") for end in ("", ":*")]
GROUP, GROUP_RULE = arn("ec2", "security-group/*"), arn("ec2", "security-group-rule/*")
SERVICE: Final = arn("ecs", f"service/{CLUSTER}/{NAMES}")
CANARY: Final = arn("ecs", f"service/{CLUSTER}/hokusai-*-canary-{ENVIRONMENT}")
BALANCING: Final = [
    arn("elasticloadbalancing", f"{kind}/{NAMES}/*")
    for kind in ("loadbalancer/app", "listener/app", "listener-rule/app", "targetgroup")
]
DISCOVERY: Final = [arn("servicediscovery", f"{kind}/*") for kind in ("namespace", "service")]
IN_CLUSTER: Final[Condition] = {"ArnEquals": {"ecs:cluster": arn("ecs", f"cluster/{CLUSTER}")}}
OURS: Final[Condition] = {"StringEquals": {f"aws:RequestTag/{MANAGED}": OWNER}}
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
        ec2: DescribeManagedPrefixLists DescribeRegions DescribeSecurityGroupRules DescribeSecurityGroups
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
            arn("acm", "certificate/*"),
            arn("cloudwatch", f"alarm:{CLUSTER}-*"),
            arn("cloudwatch", f"dashboard/{CLUSTER}", region=""),
            arn("ecs", f"service/{CLUSTER}/*"),
            arn("ecs", f"task/{CLUSTER}/*"),
            arn("ecs", f"task-definition/{NAMES}:*"),
            *LOG_GROUPS,
            "arn:aws:route53:::change/*",
            "arn:aws:route53:::hostedzone/*",
            *DISCOVERY,
        ),
    ),
    Grant("LookInTheCluster", "ecs: ListServices ListTasks", condition=IN_CLUSTER),
    Grant("LookAtTheLock", "ssm: GetParameters", LOCK),
    Grant("UseThePlatformKey", "ssm: GetParameter secretsmanager: GetSecretValue", KEYS),
    Grant("LookForRecords", "s3: GetBucketVersioning ListBucket", [f"arn:aws:s3:::{RUNS}"]),
    Grant("ReadAndWriteRecords", "s3: GetObject PutObject", [f"arn:aws:s3:::{RUNS}/{ENVIRONMENT}/*"]),
    Grant(
        "SealRecords",
        "kms: GenerateMac",
        [arn("kms", "key/*")],
        {"StringEquals": {"kms:RequestAlias": f"alias/{RUNS}"}},
    ),
    Grant("TakeTheLock", "ssm: PutParameter", LOCK),
    Grant("LetGoOfTheLock", "ssm: DeleteParameter", LOCK[:1]),
    Grant(
        "Route",
        """elasticloadbalancing: AddListenerCertificates AddTags CreateListener CreateRule CreateTargetGroup
        DeleteListener DeleteRule DeleteTargetGroup ModifyListener ModifyListenerAttributes ModifyRule ModifyTargetGroup
        ModifyTargetGroupAttributes RemoveListenerCertificates RemoveTags SetRulePriorities""",
        BALANCING,
    ),
    Grant(
        "Connect",
        """ec2: AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress ModifySecurityGroupRules
        RevokeSecurityGroupEgress RevokeSecurityGroupIngress""",
        (GROUP,),
        OF_ENVIRONMENT,
    ),
    Grant(
        "DescribeConnections",
        """ec2: AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress CreateTags DeleteTags
        ModifySecurityGroupRules RevokeSecurityGroupEgress RevokeSecurityGroupIngress""",
        (GROUP_RULE,),
    ),
    Grant(
        "Deploy",
        "ecs: CreateService DeleteService RegisterTaskDefinition TagResource UntagResource UpdateService",
        (SERVICE, arn("ecs", f"task-definition/{NAMES}:*")),
    ),
    Grant("Retire", "ecs: DeregisterTaskDefinition"),
    Grant(
        "PassTheTasksRoles",
        "iam: PassRole",
        (f"arn:aws:iam::{ACCOUNT}:role/{NAMES}",),
        {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
    ),
    Grant("Found", "servicediscovery: CreatePrivateDnsNamespace", condition=OURS),
    Grant("Enlist", "servicediscovery: CreateService", DISCOVERY, OURS),
    Grant(
        "Discover",
        "servicediscovery: DeleteNamespace DeleteService UpdatePrivateDnsNamespace UpdateService",
        DISCOVERY,
    ),
    Grant("MarkNames", "servicediscovery: TagResource UntagResource"),
    Grant("KeepTheZoneOfANamespace", "route53: CreateHostedZone"),
    Grant(
        "NamePublicly",
        "route53: ChangeResourceRecordSets",
        ("arn:aws:route53:::hostedzone/*",),
        {
            "ForAllValues:StringEquals": {"route53:ChangeResourceRecordSetsRecordTypes": ["A", "AAAA", "SOA"]},
            "ForAllValues:StringLike": {
                "route53:ChangeResourceRecordSetsNormalizedRecordNames": [f"*.{DOMAIN}", f"{CLUSTER}.local"]
            },
        },
    ),
    Grant(
        "Watch",
        """cloudwatch: DeleteAlarms DeleteDashboards PutCompositeAlarm PutDashboard PutMetricAlarm TagResource
        UntagResource""",
        (arn("cloudwatch", f"alarm:{CLUSTER}-*"), arn("cloudwatch", f"dashboard/{CLUSTER}", region="")),
    ),
    Grant(
        "Publish",
        "cloudwatch: PutMetricData",
        condition={"StringEquals": {"cloudwatch:namespace": f"Hokusai/{ENVIRONMENT}"}},
    ),
    Grant(
        "KeepLogs",
        """logs: CreateLogGroup DeleteMetricFilter DeleteRetentionPolicy PutMetricFilter PutRetentionPolicy
        TagResource""",
        LOG_GROUPS,
    ),
)

NEVER: Final = (
    Grant(
        "NeverWhatThePlatformStandsOn",
        """ec2: DeleteSecurityGroup
        ecs: DeleteCluster ExecuteCommand RunTask
        elasticloadbalancing: DeleteLoadBalancer SetSecurityGroups SetSubnets
        iam: Attach* Create* Put* Update*
        kms: DisableKey ScheduleKeyDeletion
        logs: DeleteLogGroup
        s3: DeleteObject* PutBucketVersioning
        servicediscovery: DeregisterInstance RegisterInstance""",
    ),
    Grant(
        "NeverDeleteWhatIsNotOurs",
        """elasticloadbalancing: DeleteListener DeleteRule DeleteTargetGroup
        servicediscovery: DeleteNamespace DeleteService""",
        condition={"StringNotEquals": {f"aws:ResourceTag/{MANAGED}": OWNER}},
    ),
    Grant(
        "NeverTheGroupsOfAnotherEnvironment",
        """ec2: AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress ModifySecurityGroupRules
        RevokeSecurityGroupEgress RevokeSecurityGroupIngress""",
        (GROUP,),
        {"StringNotEquals": OF_ENVIRONMENT["StringEquals"]},
    ),
)
"""Denied whatever else allows it."""

NEVER_BUT: Final = (
    Grant("NeverDeleteAServiceButACanary", "ecs: DeleteService", (CANARY,)),
    Grant(
        "NeverReadASecretButThePlatformKey",
        """secretsmanager: BatchGetSecretValue GetSecretValue
        ssm: GetParameter GetParameterHistory GetParameters GetParametersByPath""",
        (*LOCK, *KEYS),
    ),
)
"""Denied on all resources but these."""
