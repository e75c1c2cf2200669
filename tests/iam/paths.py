"""What playbooks ask for on paths that no scenario of `scenarios.py` takes, each with the path.

An action that a scenario does ask for has no place here: a test holds the two apart, and another holds both against all
that a plan of the collection can write.
"""

from __future__ import annotations

from typing import Final

FOUNDED = "service_discovery: there is no namespace yet"
NO_LOGS = "monitoring: a log group to which no service has written yet"
AGAIN = "rollback: the run deleted it, and it is made again"
AS_BEFORE = "rollback: the run changed it, and it is set back"
TAKEN_AWAY = "rollback: the run made it, and it is taken away"
TAGS = "rollback: the run changed its tags"

SELDOM: Final[dict[str, dict[str, str]]] = {
    "diagnose": {},
    "site": {
        "ec2:DescribeRegions": FOUNDED,
        "logs:CreateLogGroup": NO_LOGS,
        "logs:TagResource": NO_LOGS,
        "route53:CreateHostedZone": FOUNDED,
        "route53:ListHostedZonesByName": FOUNDED,
        "servicediscovery:CreatePrivateDnsNamespace": FOUNDED,
        "servicediscovery:GetOperation": FOUNDED,
    },
    "rollback": {
        "cloudwatch:PutCompositeAlarm": AGAIN,
        "cloudwatch:PutDashboard": AGAIN,
        "cloudwatch:PutMetricAlarm": AGAIN,
        "cloudwatch:TagResource": TAGS,
        "cloudwatch:UntagResource": TAGS,
        "ec2:AuthorizeSecurityGroupEgress": AGAIN,
        "ec2:AuthorizeSecurityGroupIngress": AGAIN,
        "ec2:CreateTags": TAGS,
        "ec2:DeleteTags": TAGS,
        "ec2:ModifySecurityGroupRules": AS_BEFORE,
        "ec2:RevokeSecurityGroupEgress": TAKEN_AWAY,
        "ecs:TagResource": TAGS,
        "ecs:UntagResource": TAGS,
        "elasticloadbalancing:AddListenerCertificates": AS_BEFORE,
        "elasticloadbalancing:AddTags": TAGS,
        "elasticloadbalancing:CreateListener": AGAIN,
        "elasticloadbalancing:CreateRule": AGAIN,
        "elasticloadbalancing:CreateTargetGroup": AGAIN,
        "elasticloadbalancing:DeleteListener": TAKEN_AWAY,
        "elasticloadbalancing:DeleteTargetGroup": TAKEN_AWAY,
        "elasticloadbalancing:ModifyListener": AS_BEFORE,
        "elasticloadbalancing:ModifyListenerAttributes": AS_BEFORE,
        "elasticloadbalancing:ModifyTargetGroupAttributes": AS_BEFORE,
        "elasticloadbalancing:RemoveListenerCertificates": AS_BEFORE,
        "elasticloadbalancing:RemoveTags": TAGS,
        "elasticloadbalancing:SetRulePriorities": AS_BEFORE,
        "logs:PutMetricFilter": AGAIN,
        "logs:PutRetentionPolicy": AS_BEFORE,
        "route53:ChangeResourceRecordSets": AS_BEFORE,
        "servicediscovery:CreateService": AGAIN,
        "servicediscovery:DeleteNamespace": TAKEN_AWAY,
        "servicediscovery:TagResource": TAGS,
        "servicediscovery:UntagResource": TAGS,
        "servicediscovery:UpdatePrivateDnsNamespace": AS_BEFORE,
        "servicediscovery:UpdateService": AS_BEFORE,
    },
}
