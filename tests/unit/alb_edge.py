"""A small edge in the sandbox's AWS, built with plain boto3: what the ELBv2 modules are tested against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import trustme
from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_condition, elb_rules
from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Rule

from tests.unit.alb_model import GROUPS

BALANCER, PORT = "edge", 443
NOT_FOUND = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain"}}


@dataclass
class Edge:
    """One VPC, the load balancer `edge` with an HTTP listener on 443 that answers 404, and four target groups."""

    aws: Any
    vpc: str = ""
    subnets: list[str] = field(default_factory=list)
    balancer: str = ""
    listener: str = ""
    groups: dict[str, str] = field(default_factory=dict)

    def build(self) -> Edge:
        ec2 = self.aws.ec2
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ec2.create_tags(Resources=[self.vpc], Tags=[{"Key": "Name", "Value": "the-vpc"}])
        for number, zone in enumerate("ab"):
            made = ec2.create_subnet(
                VpcId=self.vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{zone}"
            )
            self.subnets.append(made["Subnet"]["SubnetId"])
        self.balancer = self.make_balancer(BALANCER)
        self.listener = self.make_listener(PORT)
        self.groups = {name: self.make_group(name) for name in GROUPS}
        self.aws.calls.clear()
        return self

    def make_balancer(self, name: str) -> str:
        made = self.aws.elbv2.create_load_balancer(Name=name, Subnets=self.subnets, Type="application")
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    def make_listener(self, port: int, **options: Any) -> str:
        options = {"Protocol": "HTTP", "DefaultActions": [NOT_FOUND], **options}
        made = self.aws.elbv2.create_listener(LoadBalancerArn=self.balancer, Port=port, **options)
        return str(made["Listeners"][0]["ListenerArn"])

    def make_group(self, name: str, **options: Any) -> str:
        options = {"Protocol": "HTTP", "Port": 8001, "VpcId": self.vpc, "TargetType": "ip", **options}
        return str(self.aws.elbv2.create_target_group(Name=name, **options)["TargetGroups"][0]["TargetGroupArn"])

    def make_certificate(self, *names: str, key: trustme.KeyType = trustme.KeyType.RSA) -> str:
        """Import a certificate of a throw-away authority."""
        issued = trustme.CA(key_type=key).issue_cert(*names, common_name=names[0], key_type=key)
        made = self.aws.acm.import_certificate(
            Certificate=issued.cert_chain_pems[0].bytes(), PrivateKey=issued.private_key_pem.bytes()
        )
        return str(made["CertificateArn"])

    def make_rule(self, rule: Rule) -> str:
        """A live rule, with tags if it has some."""
        options: dict[str, Any] = {"Tags": tagging.to_aws(rule.tags)} if rule.tags else {}
        if rule.transforms:
            options["Transforms"] = elb_rules.transforms_to_aws(rule.transforms)
        made = self.aws.elbv2.create_rule(
            ListenerArn=self.listener,
            Priority=rule.priority,
            Conditions=elb_condition.to_aws(rule.conditions),
            Actions=[elb_action.to_aws(action, self.groups.__getitem__) for action in rule.actions],
            **options,
        )
        return str(made["Rules"][0]["RuleArn"])

    def rules(self) -> list[dict[str, Any]]:
        """The live rules in order, without the default one."""
        found = self.aws.elbv2.describe_rules(ListenerArn=self.listener)["Rules"]
        return [each for each in found if not each["IsDefault"]]

    def arns(self) -> set[str]:
        return {each["RuleArn"] for each in self.rules()}

    def forwards(self) -> dict[int, str]:
        """Target group by priority."""
        return {int(each["Priority"]): each["Actions"][0]["TargetGroupArn"].split("/")[1] for each in self.rules()}


def as_options(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Rules as a task would state them."""
    return [_as_option(rule) for rule in rules]


def _as_option(rule: Rule) -> dict[str, Any]:
    names: Mapping[str, str] = {"host-header": "hosts", "path-pattern": "paths"}
    (action,) = rule.actions
    assert isinstance(action, elb_action.Forward)
    return {
        "name": rule.name,
        "priority": rule.priority,
        **{names[each.field]: list(each.values) for each in rule.conditions},
        "action": {"target_groups": [{"name": name, "weight": weight} for name, weight in action.weights]},
        "transforms": [
            {"type": each.type.replace("-", "_"), "regex": each.regex, "replace": each.replace}
            for each in rule.transforms
        ],
    }
