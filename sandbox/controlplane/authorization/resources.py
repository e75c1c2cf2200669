"""The resources that an action is about, as ARNs, by the arguments of its call.

Sources: Service Authorization Reference, the page of each service, "Resource types defined by ...". An action that is
not in `NAMED` knows no resource: it is about `*`. Where an id is not known before the call, a `*` stands for it, as in
the ARN that AWS authorizes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

Arguments = Mapping[str, Any]
Place = tuple[str, str]
"""Region and account."""
Named = Callable[[Arguments, str, Place], Iterable[str]]
"""From the arguments and the path of a call to the ARNs."""


def arn(service: str, place: Place, resource: str) -> str:
    return f"arn:aws:{service}:{place[0]}:{place[1]}:{resource}"


def given(*members: str) -> Named:
    """ARNs that are arguments themselves, one or a list; of a list of objects, what `member.key` has."""

    def named(arguments: Arguments, _path: str, _place: Place) -> Iterable[str]:
        for member in members:
            name, _, key = member.partition(".")
            value: Any = arguments.get(name, ())
            listed: list[Any] = [value] if isinstance(value, str) else list(value)
            yield from (each[key] if key else each for each in listed)

    return named


def formed(service: str, pattern: str, *members: str) -> Named:
    """One ARN for each value of the members; `{}` of the pattern is the value."""

    def named(arguments: Arguments, _path: str, place: Place) -> Iterable[str]:
        for value in given(*members)(arguments, "", place):
            yield value if value.startswith("arn:") else arn(service, place, pattern.format(value))

    return named


def group_rules(arguments: Arguments, _path: str, place: Place) -> Iterable[str]:
    """The group, and its rules where they are changed or get tags; to revoke them is a matter of the group alone."""
    yield arn("ec2", place, f"security-group/{arguments.get('GroupId', '*')}")
    for each in arguments.get("SecurityGroupRules", ()):
        yield arn("ec2", place, f"security-group-rule/{each['SecurityGroupRuleId']}")
    if arguments.get("TagSpecifications"):
        yield arn("ec2", place, "security-group-rule/*")


def tagged_in_ec2(arguments: Arguments, _path: str, place: Place) -> Iterable[str]:
    if "TagSpecifications" in arguments:
        yield arn("ec2", place, "security-group-rule/*")
    for each in arguments.get("Resources", ()):
        yield arn("ec2", place, f"{'security-group-rule' if each.startswith('sgr-') else 'security-group'}/{each}")


def tagged_in_elb(arguments: Arguments, path: str, place: Place) -> Iterable[str]:
    """What is tagged, or what comes to be with tags: its load balancer is known, its id is not."""
    if "ListenerArn" in arguments:
        yield arguments["ListenerArn"].replace(":listener/", ":listener-rule/") + "/*"
    elif "LoadBalancerArn" in arguments:
        yield arguments["LoadBalancerArn"].replace(":loadbalancer/", ":listener/") + "/*"
    elif "Name" in arguments:
        yield arn("elasticloadbalancing", place, f"targetgroup/{arguments['Name']}/*")
    yield from given("ResourceArns")(arguments, path, place)


def ecs_service(arguments: Arguments, _path: str, place: Place) -> Iterable[str]:
    cluster = last(arguments.get("cluster", "default"))
    for each in (*given("services", "service", "serviceName")(arguments, "", place),):
        yield arn("ecs", place, f"service/{cluster}/{last(each)}")


def ecs_task(arguments: Arguments, _path: str, place: Place) -> Iterable[str]:
    cluster = last(arguments.get("cluster", "default"))
    yield from (arn("ecs", place, f"task/{cluster}/{last(each)}") for each in arguments.get("tasks", ()))


def tagged_in_ecs(arguments: Arguments, path: str, place: Place) -> Iterable[str]:
    if "resourceArn" in arguments:
        yield arguments["resourceArn"]
    elif "family" in arguments:
        yield arn("ecs", place, f"task-definition/{arguments['family']}:*")
    else:
        yield from ecs_service(arguments, path, place)


def tagged_alarm(arguments: Arguments, path: str, place: Place) -> Iterable[str]:
    yield from given("ResourceARN")(arguments, path, place)
    yield from ALARM(arguments, path, place)


def dashboards(arguments: Arguments, path: str, place: Place) -> Iterable[str]:
    """They are of no region."""
    for each in given("DashboardName", "DashboardNames")(arguments, path, place):
        yield arn("cloudwatch", ("", place[1]), f"dashboard/{each}")


def hosted_zone(_arguments: Arguments, path: str, _place: Place) -> Iterable[str]:
    found = re.search(r"/hostedzone/([^/?]+)", path)
    return [f"arn:aws:route53:::hostedzone/{found[1]}"] if found else ["arn:aws:route53:::hostedzone/*"]


def change(_arguments: Arguments, path: str, _place: Place) -> Iterable[str]:
    return [f"arn:aws:route53:::change/{last(path.partition('?')[0])}"]


def bucket(_arguments: Arguments, path: str, _place: Place) -> Iterable[str]:
    return [f"arn:aws:s3:::{path.partition('?')[0].strip('/').partition('/')[0]}"]


def stored_object(_arguments: Arguments, path: str, _place: Place) -> Iterable[str]:
    return [f"arn:aws:s3:::{path.partition('?')[0].strip('/')}"]


def seal(arguments: Arguments, _path: str, place: Place) -> Iterable[str]:
    """The key itself, also where it is asked for by an alias."""
    named = arguments["KeyId"]
    yield arn("kms", place, "key/*" if "alias/" in named else f"key/{last(named)}")


def last(name: str) -> str:
    return name.rpartition("/")[2]


ALARM: Final = formed("cloudwatch", "alarm:{}", "AlarmName", "AlarmNames")
LISTENER: Final = given("ListenerArn")
TARGET_GROUP: Final = given("TargetGroupArn")
NAMESPACE: Final = formed("servicediscovery", "namespace/{}", "Id", "NamespaceId")
DISCOVERED: Final = formed("servicediscovery", "service/{}", "Id", "ServiceId")
LOG_GROUP: Final = formed("logs", "log-group:{}", "logGroupName")
PARAMETER: Final = formed("ssm", "parameter{}", "Name", "Names")

NAMED: Final[Mapping[str, Named]] = {
    "acm:DescribeCertificate": given("CertificateArn"),
    "cloudwatch:DeleteAlarms": ALARM,
    "cloudwatch:DeleteDashboards": dashboards,
    "cloudwatch:GetDashboard": dashboards,
    "cloudwatch:ListTagsForResource": tagged_alarm,
    "cloudwatch:PutDashboard": dashboards,
    "cloudwatch:PutMetricAlarm": ALARM,
    "cloudwatch:TagResource": tagged_alarm,
    "cloudwatch:UntagResource": tagged_alarm,
    "ec2:AuthorizeSecurityGroupEgress": group_rules,
    "ec2:AuthorizeSecurityGroupIngress": group_rules,
    "ec2:CreateTags": tagged_in_ec2,
    "ec2:DeleteTags": tagged_in_ec2,
    "ec2:ModifySecurityGroupRules": group_rules,
    "ec2:RevokeSecurityGroupEgress": group_rules,
    "ec2:RevokeSecurityGroupIngress": group_rules,
    "ecs:CreateService": ecs_service,
    "ecs:DeleteService": ecs_service,
    "ecs:DescribeServices": ecs_service,
    "ecs:DescribeTasks": ecs_task,
    "ecs:ListTagsForResource": tagged_in_ecs,
    "ecs:RegisterTaskDefinition": formed("ecs", "task-definition/{}:*", "family"),
    "ecs:TagResource": tagged_in_ecs,
    "ecs:UntagResource": tagged_in_ecs,
    "ecs:UpdateService": ecs_service,
    "elasticloadbalancing:AddListenerCertificates": LISTENER,
    "elasticloadbalancing:AddTags": tagged_in_elb,
    "elasticloadbalancing:CreateListener": given("LoadBalancerArn"),
    "elasticloadbalancing:CreateRule": LISTENER,
    "elasticloadbalancing:CreateTargetGroup": formed("elasticloadbalancing", "targetgroup/{}/*", "Name"),
    "elasticloadbalancing:DeleteListener": LISTENER,
    "elasticloadbalancing:DeleteLoadBalancer": given("LoadBalancerArn"),
    "elasticloadbalancing:DeleteRule": given("RuleArn"),
    "elasticloadbalancing:DeleteTargetGroup": TARGET_GROUP,
    "elasticloadbalancing:ModifyListener": LISTENER,
    "elasticloadbalancing:ModifyListenerAttributes": LISTENER,
    "elasticloadbalancing:ModifyRule": given("RuleArn"),
    "elasticloadbalancing:ModifyTargetGroup": TARGET_GROUP,
    "elasticloadbalancing:ModifyTargetGroupAttributes": TARGET_GROUP,
    "elasticloadbalancing:RemoveListenerCertificates": LISTENER,
    "elasticloadbalancing:RemoveTags": tagged_in_elb,
    "elasticloadbalancing:SetRulePriorities": given("RulePriorities.RuleArn"),
    "kms:GenerateMac": seal,
    "logs:CreateLogGroup": LOG_GROUP,
    "logs:DeleteMetricFilter": LOG_GROUP,
    "logs:DeleteRetentionPolicy": LOG_GROUP,
    "logs:DescribeMetricFilters": LOG_GROUP,
    "logs:PutMetricFilter": LOG_GROUP,
    "logs:PutRetentionPolicy": LOG_GROUP,
    "logs:TagResource": LOG_GROUP,
    "route53:ChangeResourceRecordSets": hosted_zone,
    "route53:GetChange": change,
    "route53:GetHostedZone": hosted_zone,
    "route53:ListResourceRecordSets": hosted_zone,
    "s3:GetBucketVersioning": bucket,
    "s3:GetObject": stored_object,
    "s3:ListBucket": bucket,
    "s3:PutObject": stored_object,
    "secretsmanager:GetSecretValue": formed("secretsmanager", "secret:{}-??????", "SecretId"),
    "servicediscovery:CreateService": NAMESPACE,
    "servicediscovery:DeleteNamespace": NAMESPACE,
    "servicediscovery:DeleteService": DISCOVERED,
    "servicediscovery:GetNamespace": NAMESPACE,
    "servicediscovery:GetService": DISCOVERED,
    "servicediscovery:ListInstances": DISCOVERED,
    "servicediscovery:UpdatePrivateDnsNamespace": NAMESPACE,
    "servicediscovery:UpdateService": DISCOVERED,
    "ssm:DeleteParameter": PARAMETER,
    "ssm:GetParameter": PARAMETER,
    "ssm:GetParameters": PARAMETER,
    "ssm:PutParameter": PARAMETER,
}


def resources(action: str, arguments: Arguments, path: str, place: Place) -> tuple[str, ...]:
    """What the action is about; `*` for one that knows no resources, and where the call names none."""
    named = NAMED.get(action)
    return (tuple(named(arguments, path, place)) if named else ()) or ("*",)
