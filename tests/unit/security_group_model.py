"""Security group rules as a play gives them and as EC2 has them: what the tests of security_group_rules work on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import security_group as sg
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Resource
from ansible_collections.hokusai.platform.plugins.module_utils.security_group_plan import Group
from ansible_collections.hokusai.platform.plugins.modules import security_group_rules as module

ALB, API = "hokusai-alb-development", "hokusai-api-development"
OWNED = {"hokusai:managed-by": "hokusai.platform"}
ADD, MODIFY, REVOKE = (
    "authorize_security_group_ingress",
    "modify_security_group_rules",
    "revoke_security_group_ingress",
)
Options = dict[str, Any]
RESOURCE = Resource("ec2", module.desire, module.observe, module.plan)


def rule(name: str, port: int | None = 5000, **more: Any) -> Options:
    """A rule as a play gives it, after Ansible has filled in the defaults."""
    empty = dict.fromkeys(("from_port", "to_port", "group", "cidr", "prefix_list", "description"))
    peer = {} if {"group", "cidr", "prefix_list"} & more.keys() else {"group": API}
    return {"name": name, "direction": "ingress", "protocol": "tcp", "port": port, **empty, **peer, **more}


def params(*rules: Options, **more: Any) -> Options:
    defaults = {"group": "mlflow", "vpc": None, "purge": "owned", "public_ports": [80, 443], "rule_quota": 60}
    defaults |= {"owner": "hokusai.platform"}
    return {**defaults, "rules": list(rules), **more}


def ours(**options: Any) -> tuple[bool, Options]:
    return True, rule(**options)


def strangers(**options: Any) -> tuple[bool, Options]:
    return False, rule(**options)


def task(wanted: Options) -> Options:
    """The options as a task writes them: without those that are left out."""
    given = {key: value for key, value in wanted.items() if value is not None and key != "rules"}
    return {**given, "rules": [{k: v for k, v in each.items() if v is not None} for each in wanted["rules"]]}


def make_groups(aws: Aws) -> dict[str, str]:
    """A VPC with three security groups, their ids by name."""
    vpc = aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    names = ("mlflow", ALB, API)
    made = {name: aws.ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc) for name in names}
    return {name: each["GroupId"] for name, each in made.items()} | {"vpc": vpc}


def make(aws: Aws, groups: Mapping[str, str], live: list[tuple[bool, Options]]) -> None:
    for owned, options in live:
        each = sg.from_options(options)
        peer = groups.get(each.peer, each.peer)
        tagged = [{"Key": "hokusai:name", "Value": str(each.name)}, *({"Key": k, "Value": v} for k, v in OWNED.items())]
        getattr(aws.ec2, f"authorize_security_group_{each.direction}")(
            GroupId=groups["mlflow"],
            IpPermissions=[sg.permission(each, peer)],
            **({"TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": tagged}]} if owned else {}),
        )


def seen(live: list[tuple[bool, Options]]) -> Observed[Group]:
    """What observe would make of these rules."""
    rules = []
    for number, (owned, options) in enumerate(live):
        each = sg.from_options(options)
        described = each.description or ""
        name = each.name if owned else None
        rules.append(dataclasses.replace(each, id=f"sgr-{number}", owned=owned, description=described, name=name))
    ids = {f"security group {name}": f"sg-{name}" for name in (ALB, API)}
    return Observed(Group("mlflow", tuple(rules), "sg-mlflow"), ids)


def listed(aws: Aws, groups: Mapping[str, str], *, egress: bool = False) -> list[dict[str, Any]]:
    asked = [{"Name": "group-id", "Values": [groups["mlflow"]]}]
    rules = aws.ec2.describe_security_group_rules(Filters=asked)["SecurityGroupRules"]
    return [each for each in rules if each["IsEgress"] == egress]


def owned(aws: Aws, groups: Mapping[str, str]) -> list[dict[str, Any]]:
    return [each for egress in (False, True) for each in listed(aws, groups, egress=egress) if each.get("Tags")]


def make_prefix_list(aws: Any, name: str, entries: int) -> str:
    made = aws.ec2.create_managed_prefix_list(PrefixListName=name, MaxEntries=entries, AddressFamily="IPv4")
    return str(made["PrefixList"]["PrefixListId"])
