"""The ec2 backend with AWS's checks round moto's security groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.ec2 import models
from moto.ec2.exceptions import (
    EC2ClientError,
    InvalidPermissionDuplicateError,
    InvalidPermissionNotFoundError,
    InvalidSecurityGroupNotFoundError,
    InvalidSecurityGroupRuleIdNotFoundError,
)

from sandbox.controlplane.fidelity.ec2.rules import SecurityGroupRule, check_ports
from sandbox.controlplane.fidelity.replace import Replacement

Json = dict[str, Any]
_PEERS = {"CidrIpv4": "CidrIp", "CidrIpv6": "CidrIpv6", "ReferencedGroupId": "GroupId", "PrefixListId": "PrefixListId"}


class EC2Backend(Replacement, models.EC2Backend):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """Sources of the rules: Amazon EC2 API reference, security group actions."""

    moto_package = "moto.ec2"
    _vpc_going = ""

    def delete_vpc(self, vpc_id: str) -> Any:
        """Its default group goes with it, and in no other way."""
        self._vpc_going = vpc_id
        try:
            return super().delete_vpc(vpc_id)
        finally:
            self._vpc_going = ""

    def delete_security_group(self, name: str | None = None, group_id: str | None = None) -> None:
        """Not the default group, none that an interface has, none that another group's rule names."""
        group = self.get_security_group_by_name_or_id(group_id or name or "")
        if group is not None:
            if group.is_default and group.vpc_id != self._vpc_going:
                raise EC2ClientError(
                    "CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user'
                )
            if self._depends_on(group):
                raise EC2ClientError("DependencyViolation", f"resource {group.id} has a dependent object")
        super().delete_security_group(name, group_id)

    def describe_rule(self, group_id: str, rule_id: str, description: str | None) -> None:
        rule = self.security_group(group_id).get_rule(rule_id)
        if rule is None:
            raise InvalidSecurityGroupRuleIdNotFoundError(rule_id)
        rule.describe(description)

    def describe_permission(self, held: list[SecurityGroupRule], permission: Json) -> None:
        """Give the rules that a permission names its descriptions (UpdateSecurityGroupRuleDescriptions)."""
        for wanted in self._iterate_security_rules(
            permission["ip_protocol"],
            "",
            permission["from_port"],
            permission["to_port"],
            permission["ip_ranges"],
            self._add_source_group(permission["source_groups"], None),
            permission["prefix_list_ids"],
        ):
            found = next((rule for rule in held if rule == wanted), None)
            if found is None:
                raise InvalidPermissionNotFoundError
            found.describe(wanted.description)

    def modify_security_group_rules(self, group_id: str, rules: dict[str, Json]) -> None:
        """Replace rules under their ids, all or none; what is omitted goes, the kind of peer stays."""
        group = self.security_group(group_id)
        changed = {}
        for rule_id, new in rules.items():
            rule = group.get_rule(rule_id)
            if rule is None:
                raise InvalidSecurityGroupRuleIdNotFoundError(rule_id)
            changed[rule_id] = self._modified(rule, new)
        ingress, egress = (_replaced(held, changed) for held in (group.ingress_rules, group.egress_rules))
        group.ingress_rules, group.egress_rules = ingress, egress

    def security_group(self, name_or_id: str) -> Any:
        group = self.get_security_group_by_name_or_id(name_or_id)
        if group is None:
            raise InvalidSecurityGroupNotFoundError(name_or_id)
        return group

    def _modified(self, rule: SecurityGroupRule, new: Json) -> SecurityGroupRule:
        given = {key: new[option] for option, key in _PEERS.items() if new.get(option) is not None}
        if len(given) != 1:
            raise EC2ClientError(
                "MissingParameter",
                "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId",
            )
        (key, value), protocol = next(iter(given.items())), new.get("IpProtocol")
        if key not in rule.peer:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Invalid rule type for security group rule '{rule.id}'. You may not change the kind of its peer.",
            )
        if key == "GroupId" and self.get_security_group_from_id(value) is None:
            raise InvalidSecurityGroupNotFoundError(value)
        if protocol is None:
            raise EC2ClientError("InvalidParameterValue", "Invalid value 'null' for protocol.")
        check_ports(protocol, new.get("FromPort"), new.get("ToPort"))
        return rule.changed(protocol, new.get("FromPort"), new.get("ToPort"), {key: value}, new.get("Description"))

    def _depends_on(self, group: Any) -> bool:
        used = any(group in interface.group_set for interface in self.enis.values())
        named = any(rule.source_group.get("GroupId") == group.id for rule in self._rules_of_others(group))
        return used or named

    def _rules_of_others(self, group: Any) -> Iterator[SecurityGroupRule]:
        for groups in self.groups.values():
            for other in groups.values():
                if other is not group:
                    yield from (*other.ingress_rules, *other.egress_rules)


def _replaced(held: list[SecurityGroupRule], changed: dict[str, SecurityGroupRule]) -> list[SecurityGroupRule]:
    """The rules of one direction with the changed ones in their places.

    AWS does not say whether two rules may swap what they let through, so none here gets what another one has.
    """
    for rule in held:
        new = changed.get(rule.id)
        if new and any(new == other or new == changed.get(other.id) for other in held if other is not rule):
            raise InvalidPermissionDuplicateError()
    return [changed.get(rule.id, rule) for rule in held]
