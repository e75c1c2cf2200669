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
  - Adds, changes, describes and removes rules of one security group, each under a name.
  - A rule's identity is its C(sgr-) id. Rules made here carry the tags C(hokusai:name) and C(hokusai:managed-by).
  - A rule is found by its content (direction, protocol, ports, peer), whoever made it. An equal rule somebody else made
    is taken as it is, without a write, and is never removed.
  - A rule of a known name but new content changes in place and keeps its C(sgr-) id, its tags and, where none is given,
    its description; with O(purge=none) too. Protocol, ports and peer can change, but not the type of the peer (IPv4
    network, IPv6 network, prefix list, group). A rule of another type is added, then the one of that name is revoked.
  - Where names are exchanged between rules, or move on from one to the next, the rules stay and their names change.
  - What is let through before and after is let through at every moment. Rules are added before others change, and all
    changes come before the first revocation. Rules that do not need each other change in one request; one waits for
    another that may take over what it lets through. Where several would wait for each other, one is added anew.
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
        description:
          - V(tcp), V(udp), V(icmp), V(icmpv6), or V(all) (also V(-1)). Other protocols are refused.
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
        description:
          - Peer, a security group by id, or by name within the VPC of O(group).
          - It is of the same account, for EC2 wants to be told the account of any other.
        type: str
      cidr:
        description: Peer, an IPv4 or IPv6 network.
        type: str
      prefix_list:
        description: Peer, a managed prefix list by id or name.
        type: str
      description:
        description: Description of the rule. Omitted it is unmanaged.
        type: str
  purge:
    description:
      - V(owned) removes rules made by this collection that are not in O(rules).
      - V(none) leaves them.
    type: str
    choices: [owned, none]
    default: owned
  owner:
    description:
      - Value of the tag C(hokusai:managed-by) on the rules made here; only rules with it are ever removed.
      - Give each of several plays that manage one group its own, or they remove each other's rules.
    type: str
    default: hokusai.platform
  public_ports:
    description:
      - Ports that a rule may open to the world, which is C(0.0.0.0/0), C(::/0) and any other network wider than C(/8)
        (IPv4) or C(/16) (IPv6) that is not private.
      - A rule that would open anything else to the world is refused before the first write.
      - A live rule that does is left, warned of, and listed as C(open_to_world) in RV(resource).
    type: list
    elements: int
    default: [80, 443]
  rule_quota:
    description:
      - How many rules per direction and address family this account allows in a group (VPC quota L-0EA8095F).
      - A prefix list counts as often as it may have entries. Of AWS's own lists that is not known, they count once.
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
  description:
    - The group's rules as they are, or in check mode as they would be, strangers' included.
    - C(open_to_world) lists live rules that open other than the public ports to the world. They are never revoked.
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
    open_to_world:
      - {id: sgr-0f9e8d7c6b5a40312, protocol: tcp, port: "22", cidr: 0.0.0.0/0, description: by hand}
steps:
  description: The writes taken, or in check mode those that would be, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - {verb: authorize_security_group_ingress, why: "security group hokusai-mlflow-development: add api-to-mlflow"}
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: grant the calling identity this action on this resource (docs/iam.md has the policies), then run again
error:
  description: Kind of the failure, such as V(BadInput), V(NotFound), V(AwsError), V(NotConverged) or V(GaveUp).
  returned: failure
  type: str
  sample: AwsError
steps_done:
  description: The writes that were made before the failure, as in RV(steps). They stay made; the next run goes on.
  returned: failure after the first write was begun
  type: list
  elements: dict
  sample:
    - {verb: authorize_security_group_ingress, why: "security group hokusai-mlflow-development: add api-to-mlflow"}
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample: {verb: modify_security_group_rules, why: "security group hokusai-mlflow-development: describe alb"}
"""

from collections.abc import Iterator
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import security_group as sg
from ansible_collections.hokusai.platform.plugins.module_utils import tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.runner import run
from ansible_collections.hokusai.platform.plugins.module_utils.security_group_plan import Group, steps
from ansible_collections.hokusai.platform.plugins.module_utils.vpc import (
    find_group,
    group_ids,
    pages,
    prefix_list_ids,
    prefix_lists,
)

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
    "owner": {"type": "str", "default": tags.OWNER},
    "public_ports": {"type": "list", "elements": "int", "default": [80, 443]},
    "rule_quota": {"type": "int", "default": 60},
}


def desire(params: Params) -> Group:
    rules = tuple(sg.from_options(rule) for rule in params["rules"])
    sg.check(rules, params["public_ports"])
    return Group(
        params["group"],
        rules,
        owner=params["owner"],
        purge=params["purge"] == "owned",
        rule_quota=params["rule_quota"],
    )


def observe(aws: Aws, params: Params) -> Observed[Group]:
    group = find_group(aws, params["group"], params["vpc"])
    groups = group_ids(aws, {each["group"] for each in params["rules"] if each["group"]}, group["VpcId"])
    listed = pages(aws, "describe_security_group_rules", "SecurityGroupRules", {"group-id": group["GroupId"]})
    named = {each["prefix_list"] for each in params["rules"] if each["prefix_list"]}
    known = prefix_lists(aws) if named or any("PrefixListId" in each for each in listed) else []
    lists = prefix_list_ids(known, named)
    words = sg.words({**groups, **lists})
    rules = tuple(sg.from_aws(each, words, params["owner"]) for each in listed)
    entries = {words.get(each["PrefixListId"], each["PrefixListId"]): each.get("MaxEntries", 1) for each in known}
    ids = {f"security group {name}": each for name, each in groups.items()}
    ids |= {f"prefix list {name}": each for name, each in lists.items()}
    return Observed(Group(params["group"], rules, group["GroupId"], entries, params["public_ports"]), ids)


def plan(observed: Observed[Group], desired: Group | None) -> Iterator[Step]:
    if observed.resource is not None and desired is not None:
        yield from steps(observed.resource, desired, observed.id)


def main() -> None:
    run(service="ec2", spec=SPEC, desire=desire, observe=observe, plan=plan)


if __name__ == "__main__":
    main()
