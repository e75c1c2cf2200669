"""The IAM actions that an API call asks for.

The prefix is the name that a service's requests are signed with (botocore's service model), but for those of
`PREFIXES`. Sources: Service Authorization Reference, the page of each service, "API operations defined by ..." and
"Actions defined by ..."; for Cloud Map also its developer guide, "AWS Cloud Map API permissions reference".
"""

from __future__ import annotations

from typing import Final

PREFIXES: Final = {
    "cloudwatch": "cloudwatch",
    "elbv2": "elasticloadbalancing",
    "resourcegroupstaggingapi": "tag",
}
"""By boto3's names: CloudWatch is signed as `monitoring` and the tagging API as `tagging`, which are no prefixes."""

RENAMED: Final = {
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjects": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:HeadBucket": "s3:ListBucket",
}
"""Operations whose action has another name (Service Authorization Reference, Amazon S3)."""

TAGGING: Final = {
    "elasticloadbalancing:CreateListener": ("Tags", "elasticloadbalancing:AddTags"),
    "elasticloadbalancing:CreateRule": ("Tags", "elasticloadbalancing:AddTags"),
    "elasticloadbalancing:CreateTargetGroup": ("Tags", "elasticloadbalancing:AddTags"),
    "ec2:AuthorizeSecurityGroupEgress": ("TagSpecifications", "ec2:CreateTags"),
    "ec2:AuthorizeSecurityGroupIngress": ("TagSpecifications", "ec2:CreateTags"),
    "ecs:CreateService": ("tags", "ecs:TagResource"),
    "ecs:RegisterTaskDefinition": ("tags", "ecs:TagResource"),
    "servicediscovery:CreatePrivateDnsNamespace": ("Tags", "servicediscovery:TagResource"),
    "servicediscovery:CreateService": ("Tags", "servicediscovery:TagResource"),
    "cloudwatch:PutCompositeAlarm": ("Tags", "cloudwatch:TagResource"),
    "cloudwatch:PutMetricAlarm": ("Tags", "cloudwatch:TagResource"),
    "logs:CreateLogGroup": ("tags", "logs:TagResource"),
    "secretsmanager:CreateSecret": ("Tags", "secretsmanager:TagResource"),
    "ssm:PutParameter": ("Tags", "ssm:AddTagsToResource"),
}
"""What creates something with tags asks for one action more: the member that has the tags, and that action."""

ZONES: Final = "arn:aws:route53:::hostedzone/*"
BEHALF: Final = {
    "servicediscovery:CreatePrivateDnsNamespace": (
        ("ec2:DescribeRegions", "*"),
        ("ec2:DescribeVpcs", "*"),
        ("route53:CreateHostedZone", "*"),
        ("route53:GetHostedZone", ZONES),
        ("route53:ListHostedZonesByName", "*"),
    ),
    "servicediscovery:UpdatePrivateDnsNamespace": (("route53:ChangeResourceRecordSets", ZONES),),
}
"""What Cloud Map does with the caller's permissions, and on which resources it chooses itself.

Health checks of Route 53, which its developer guide names too, belong to services of public namespaces alone.
"""

PASSING: Final = {
    "ecs:CreateService": "ecs-tasks.amazonaws.com",
    "ecs:RegisterTaskDefinition": "ecs-tasks.amazonaws.com",
    "ecs:UpdateService": "ecs-tasks.amazonaws.com",
}
"""What hands roles to a service asks for iam:PassRole: of the roles that its arguments name, or of those of a revision
that they name (IAM user guide, "Grant a user permissions to pass a role to an AWS service")."""

ROLES: Final = ("executionRoleArn", "taskRoleArn")
"""The arguments that name roles."""

ALWAYS: Final = frozenset({"sts:GetCallerIdentity"})
"""No policy can deny it (STS API reference, GetCallerIdentity)."""


def action_of(service: str, operation: str) -> str:
    """The action of an operation; `service` is boto3's name for it."""
    named = f"{PREFIXES.get(service, service)}:{operation}"
    return RENAMED.get(named, named)
