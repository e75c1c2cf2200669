# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the rules a security group has to those it shall have: add, then change in place, then revoke."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import tags
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Find, Missing, Step
from ansible_collections.hokusai.platform.plugins.module_utils.security_group import (
    Rule,
    is_open,
    modification,
    permission,
    quota_problem,
    size,
)
from ansible_collections.hokusai.platform.plugins.module_utils.security_group_change import Change, order
from ansible_collections.hokusai.platform.plugins.module_utils.security_group_pairing import Pairing, pair


@dataclass(frozen=True)
class Group:
    """The rules of a security group; `id` and `entries` (how many a prefix list may have, by peer) are AWS's to say,
    the other fields are the play's: how to get there."""

    name: str
    rules: tuple[Rule, ...]
    id: str = ""
    entries: Mapping[str, int] = field(default_factory=dict)
    public_ports: Collection[int] = ()
    owner: str = tags.OWNER
    purge: bool = False
    rule_quota: int = 0

    def over(self, current: Group) -> Group:
        pairing = pair(current.rules, self.rules, purge=self.purge)
        after = {each.before.id: each.after for each in pairing.staying}
        kept = tuple(after.get(rule.id, rule) for rule in current.rules if rule not in pairing.doomed)
        return dataclasses.replace(current, rules=kept + pairing.new)

    @property
    def open(self) -> list[Rule]:
        """The live rules that let the world in where a rule of ours must not. They are told of, and left."""
        live = (rule for rule in self.rules if rule.id and is_open(rule, self.public_ports))
        return sorted(live, key=lambda rule: rule.content)

    def concerns(self) -> Iterator[str]:
        for rule in self.open:
            yield (
                f"security group {self.name}: the rule {rule.id} opens {rule.words} and is left as it is; "
                "revoke it, or add its port to public_ports"
            )

    def shown(self) -> dict[str, Any]:
        opened = [
            {"id": each.id, "protocol": each.protocol, "port": each.ports, "cidr": each.peer}
            | {"description": each.description}
            for each in self.open
        ]
        rules = sorted(self.rules, key=lambda rule: rule.content)
        return {"group": self.name, "rules": rules, "open_to_world": opened}


def steps(current: Group, desired: Group, find: Find) -> Iterator[Step]:
    """Raises `BadInput` when the additions do not fit beside what is there."""
    pairing = pair(current.rules, desired.rules, purge=desired.purge)
    problem = _quota_problem(current, pairing, desired.rule_quota)
    if problem:
        raise BadInput(f"Security group {current.name}: {problem}", "free rules, or raise the quota and rule_quota")
    yield from (add(current, rule, desired.owner, find) for rule in pairing.new)
    yield from modify(current, pairing.staying, find)
    yield from (rename(current, each) for each in pairing.staying if each.before.name != each.after.name)
    yield from (revoke(current, rule) for rule in pairing.doomed)


def _quota_problem(current: Group, pairing: Pairing, quota: int) -> str:
    """A change takes no more of the quota than the rule had, unless it is to a prefix list of more entries."""
    grown = [each for each in pairing.staying if size(each.after, current.entries) > size(each.before, current.entries)]
    ids = {each.before.id for each in grown}
    live = (rule for rule in current.rules if rule.id not in ids)
    return quota_problem(live, (*pairing.new, *(each.after for each in grown)), quota, current.entries)


def add(group: Group, rule: Rule, owner: str, find: Find) -> Step:
    tagged = tags.to_aws(tags.owned(None, owner=owner, name=rule.name or ""))
    arguments = {
        "GroupId": group.id,
        "IpPermissions": [permission(rule, peer_id(rule, find))],
        "TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": tagged}],
    }
    why = f"security group {group.name}: add {rule.name} ({rule.words})"
    return Step(f"authorize_security_group_{rule.direction}", arguments, why, batch="add")


def in_words(change: Change) -> str:
    if change.before.content == change.after.content:
        return f"describe {change.after.name}"
    return f"change {change.after.name} ({change.before.words}) to {change.after.words}"


def modify(
    group: Group, changes: Iterable[Change], find: Find, words: Callable[[Change], str] = in_words
) -> Iterator[Step]:
    """One request for all rules that do not need each other. Those that do, all in a ring, share the last request."""
    ordered = order(each for each in changes if each.is_modified)
    for request in filter(None, (*ordered.requests, ordered.tangled)):
        rules = [
            {
                "SecurityGroupRuleId": each.after.id,
                "SecurityGroupRule": modification(each.after, peer_id(each.after, find)),
            }
            for each in request
        ]
        why = f"security group {group.name}: {', '.join(map(words, request))}"
        yield Step("modify_security_group_rules", {"GroupId": group.id, "SecurityGroupRules": rules}, why)


def rename(group: Group, change: Change) -> Step:
    tagging = {"Resources": [change.after.id], "Tags": tags.to_aws({tags.NAME: change.after.name or ""})}
    return Step(
        "create_tags", tagging, f"security group {group.name}: rename {change.before.name} to {change.after.name}"
    )


def revoke(group: Group, rule: Rule) -> Step:
    arguments = {"GroupId": group.id, "SecurityGroupRuleIds": [rule.id]}
    why = f"security group {group.name}: revoke {rule.name} ({rule.words})"
    return Step(f"revoke_security_group_{rule.direction}", arguments, why, batch="revoke")


def peer_id(rule: Rule, find: Find) -> str | Missing:
    if rule.kind == "cidr":
        return rule.peer
    kind = "security group" if rule.kind == "group" else "prefix list"
    return find(f"{kind} {rule.peer}", f"create the {kind}, or correct its name in rules")
