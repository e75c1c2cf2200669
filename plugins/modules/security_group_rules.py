#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Named rules of one existing security group."""

from __future__ import annotations

DOCUMENTATION = r"""
module: security_group_rules
short_description: Manage named rules of an existing security group
version_added: 0.1.0
description:
  - Adds, describes and removes rules of one security group, each under a name.
  - A rule's identity is its C(sgr-) id. Rules made here carry the tags C(hokusai:name) and C(hokusai:managed-by).
  - A rule is found by its content (direction, protocol, ports, peer), whoever made it. An equal rule somebody else made
    is taken as it is, without a write, and is never removed.
  - Rules are added before others are revoked, so no traffic is cut on the way. The exception is none.
  - A rule of a known name but new content is added, and then the rule of ours that had the name is revoked, with
    O(purge=none) too.
options:
  group:
    description: Security group, by id or by name (GroupName). It must exist.
    type: str
    required: true
  vpc:
    description:
      - VPC of the group, by id or by Name tag. Needed when groups of several VPCs have that name.
      - Omitted, the name alone decides.
    type: str
  rules:
    description: The rules, in any order.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the rule, unique for its direction.
        type: str
        required: true
      direction:
        description: Whether the rule lets traffic in or out.
        type: str
        choices: [ingress, egress]
        default: ingress
      protocol:
        description: V(tcp), V(udp), V(icmp), V(icmpv6), a protocol number, or V(all) (also V(-1)).
        type: str
        default: tcp
      port:
        description: The one port. Excludes O(rules[].from_port) and O(rules[].to_port).
        type: int
      from_port:
        description: First port of a range; the type for ICMP.
        type: int
      to_port:
        description: Last port of a range; the code for ICMP.
        type: int
      group:
        description: Peer, a security group by id, or by name within the VPC of O(group).
        type: str
      cidr:
        description: Peer, an IPv4 or IPv6 network.
        type: str
      prefix_list:
        description: Peer, a managed prefix list by id or name.
        type: str
      description:
        description: Description of the rule. Omitted it is unmanaged. Changed in place, the rule keeps its id.
        type: str
  purge:
    description:
      - V(owned) removes rules made by this collection that are not in O(rules).
      - V(none) leaves them.
    type: str
    choices: [owned, none]
    default: owned
  public_ports:
    description:
      - Ports that a rule may open to C(0.0.0.0/0) or C(::/0).
      - A rule that would open anything else to the world is refused before the first write.
    type: list
    elements: int
    default: [80, 443]
  rule_quota:
    description:
      - How many rules per direction and address family this account allows in a group (VPC quota L-0EA8095F).
      - A plan that does not fit is refused before the first write.
    type: int
    default: 60
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
author:
  - Hokusai Platform contributors (@hokusai)
"""

EXAMPLES = r"""
- name: Let the API and the load balancer reach MLflow
  hokusai.platform.security_group_rules:
    group: hokusai-mlflow-development
    vpc: hokusai-development
    rules:
      - name: alb-to-mlflow
        port: 5000
        group: hokusai-alb-development
      - name: api-to-mlflow
        port: 5000
        group: hokusai-api-development
        description: API to MLflow

- name: Open the load balancers, over IPv6 too
  hokusai.platform.security_group_rules:
    group: hokusai-alb-development
    rules:
      - {name: internet-https, port: 443, cidr: 0.0.0.0/0}
      - {name: internet-https-6, port: 443, cidr: "::/0"}
"""

RETURN = r"""
resource:
  description: The group's rules as they are, or in check mode as they would be, strangers' included.
  returned: success
  type: dict
  sample:
    group: hokusai-mlflow-development
    rules:
      - name: api-to-mlflow
        id: sgr-0a1b2c3d4e5f60718
        direction: ingress
        protocol: tcp
        from_port: 5000
        to_port: 5000
        kind: group
        peer: hokusai-api-development
        description: API to MLflow
steps:
  description: The writes taken, or in check mode those that would be, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - {verb: authorize_security_group_ingress, why: "security group hokusai-mlflow-development: add api-to-mlflow"}
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import security_group as sg
from ansible_collections.hokusai.platform.plugins.module_utils import tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Ambiguous, BadInput, NotFound
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Missing, Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.runner import run
from ansible_collections.hokusai.platform.plugins.module_utils.vpc import group_ids, pages, vpc_id

RULE = {
    "name": {"type": "str", "required": True},
    "direction": {"type": "str", "choices": ["ingress", "egress"], "default": "ingress"},
    "protocol": {"type": "str", "default": "tcp"},
    "port": {"type": "int"},
    "from_port": {"type": "int"},
    "to_port": {"type": "int"},
    "group": {"type": "str"},
    "cidr": {"type": "str"},
    "prefix_list": {"type": "str"},
    "description": {"type": "str"},
}
SPEC: dict[str, Any] = {
    "group": {"type": "str", "required": True},
    "vpc": {"type": "str"},
    "rules": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": RULE,
        "mutually_exclusive": [("port", "from_port"), ("port", "to_port"), ("group", "cidr", "prefix_list")],
        "required_together": [("from_port", "to_port")],
        "required_one_of": [("group", "cidr", "prefix_list")],
    },
    "purge": {"type": "str", "choices": ["owned", "none"], "default": "owned"},
    "public_ports": {"type": "list", "elements": "int", "default": [80, 443]},
    "rule_quota": {"type": "int", "default": 60},
}


@dataclass(frozen=True)
class Group:
    """The rules of a security group; `id` is AWS's to say, the last two fields are the play's: how to get there."""

    name: str
    rules: tuple[sg.Rule, ...]
    id: str = ""
    purge: bool = False
    rule_quota: int = 0

    def over(self, current: Group) -> Group:
        pairing = sg.pair(current.rules, self.rules, purge=self.purge)
        wanted = {live.id: rule for live, rule in pairing.kept}
        kept = (rule for rule in current.rules if rule not in pairing.doomed)
        after = tuple(sg.as_live(rule, wanted[rule.id]) if rule.id in wanted else rule for rule in kept)
        return Group(current.name, after + pairing.new, current.id)

    def shown(self) -> dict[str, Any]:
        return {"group": self.name, "rules": sorted(self.rules, key=lambda rule: rule.content)}


def desire(params: Params) -> Group:
    rules = tuple(sg.from_options(rule) for rule in params["rules"])
    sg.check(rules, params["public_ports"])
    return Group(params["group"], rules, purge=params["purge"] == "owned", rule_quota=params["rule_quota"])


def observe(aws: Aws, params: Params) -> Observed[Group]:
    group = find_group(aws, params)
    peers = {each["group"] for each in params["rules"] if each["group"]}
    lists = {each["prefix_list"] for each in params["rules"] if each["prefix_list"]}
    ids = {**group_ids(aws, peers, group["VpcId"]), **prefix_list_ids(aws, lists)}
    names = {identity: name for name, identity in ids.items()}
    if len(names) < len(ids):
        twice = ", ".join(sorted(name for name, identity in ids.items() if names[identity] != name))
        raise BadInput(f"Security group {params['group']}: {twice} is named in two ways", "give it once, by name or id")
    listed = pages(aws, "describe_security_group_rules", "SecurityGroupRules", {"group-id": group["GroupId"]})
    rules = tuple(sg.from_aws(each, names) for each in listed)
    return Observed(Group(params["group"], rules, group["GroupId"]), ids)


def find_group(aws: Aws, params: Params) -> Mapping[str, Any]:
    given = params["group"]
    asked: dict[str, str | list[str]] = {"group-id" if given.startswith("sg-") else "group-name": given}
    if params["vpc"]:
        asked["vpc-id"] = vpc_id(aws, params["vpc"])
    found = pages(aws, "describe_security_groups", "SecurityGroups", asked)
    if not found:
        place = f"VPC {params['vpc']}" if params["vpc"] else aws.region
        raise NotFound(f"There is no security group {given} in {place}", "check the options group and vpc")
    if len(found) > 1:
        listed = ", ".join(sorted(f"{each['GroupId']} in {each['VpcId']}" for each in found))
        raise Ambiguous(f"{len(found)} security groups are named {given}: {listed}", "give vpc, or the group's id")
    return found[0]


def prefix_list_ids(aws: Aws, given: set[str]) -> dict[str, str]:
    names = sorted(each for each in given if not each.startswith("pl-"))
    found = pages(aws, "describe_managed_prefix_lists", "PrefixLists", {"prefix-list-name": names}) if names else []
    themselves = {each: each for each in given if each.startswith("pl-")}
    return {**{each["PrefixListName"]: each["PrefixListId"] for each in found}, **themselves}


def plan(observed: Observed[Group], desired: Group | None) -> Iterator[Step]:
    current = observed.resource
    if current is None or desired is None:
        return
    pairing = sg.pair(current.rules, desired.rules, purge=desired.purge)
    problem = sg.quota_problem(current.rules, pairing.new, desired.rule_quota)
    if problem:
        raise BadInput(f"Security group {current.name}: {problem}", "free rules, or raise the quota and rule_quota")
    yield from (add(observed, current, rule) for rule in pairing.new)
    for live, wanted in pairing.kept:
        yield from adjust(observed, current, live, sg.as_live(live, wanted))
    yield from (revoke(current, rule) for rule in pairing.doomed)


def add(observed: Observed[Group], group: Group, rule: sg.Rule) -> Step:
    tagged = tags.to_aws(tags.owned(None, name=rule.name or ""))
    arguments = {
        "GroupId": group.id,
        "IpPermissions": [sg.permission(rule, peer_id(observed, rule))],
        "TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": tagged}],
    }
    why = f"security group {group.name}: add {rule.name} ({rule.words})"
    return Step(f"authorize_security_group_{rule.direction}", arguments, why, batch="add")


def adjust(observed: Observed[Group], group: Group, live: sg.Rule, after: sg.Rule) -> Iterator[Step]:
    if live.description != after.description:
        change = {"SecurityGroupRuleId": live.id, "SecurityGroupRule": sg.modification(after, peer_id(observed, after))}
        arguments = {"GroupId": group.id, "SecurityGroupRules": [change]}
        yield Step("modify_security_group_rules", arguments, f"security group {group.name}: describe {after.name}")
    if live.name != after.name:
        tagging = {"Resources": [live.id], "Tags": tags.to_aws({tags.NAME: after.name or ""})}
        yield Step("create_tags", tagging, f"security group {group.name}: rename {live.name} to {after.name}")


def revoke(group: Group, rule: sg.Rule) -> Step:
    arguments = {"GroupId": group.id, "SecurityGroupRuleIds": [rule.id]}
    why = f"security group {group.name}: revoke {rule.name} ({rule.words})"
    return Step(f"revoke_security_group_{rule.direction}", arguments, why, batch="revoke")


def peer_id(observed: Observed[Group], rule: sg.Rule) -> str | Missing:
    if rule.kind == "cidr":
        return rule.peer
    known = observed.ids.get(rule.peer)
    kind = "security group" if rule.kind == "group" else "prefix list"
    return known or Missing(f"{kind} {rule.peer}", f"create the {kind}, or correct its name in rules")


def main() -> None:
    run(service="ec2", spec=SPEC, desire=desire, observe=observe, plan=plan)


if __name__ == "__main__":
    main()
