"""ec2 answers on security groups: whole requests or nothing, all the rules made, pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2 import responses
from moto.ec2.exceptions import EC2ClientError

Json = dict[str, Any]


class EC2Response(responses.EC2Response):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """moto's ec2 responses, completed."""

    def authorize_security_group_ingress(self) -> Any:
        return self._authorize(self.ec2_backend.authorize_security_group_ingress)

    def authorize_security_group_egress(self) -> Any:
        return self._authorize(self.ec2_backend.authorize_security_group_egress)

    def revoke_security_group_ingress(self) -> Any:
        with self._all_or_nothing():
            return super().revoke_security_group_ingress()

    def revoke_security_group_egress(self) -> Any:
        with self._all_or_nothing():
            return super().revoke_security_group_egress()

    def update_security_group_rule_descriptions_ingress(self) -> Any:
        return self._describe("ingress_rules")

    def update_security_group_rule_descriptions_egress(self) -> Any:
        return self._describe("egress_rules")

    def describe_security_groups(self) -> Any:
        return self._page("SecurityGroups", super().describe_security_groups())

    def describe_security_group_rules(self) -> Any:
        return self._page("SecurityGroupRules", super().describe_security_group_rules())

    def _authorize(self, authorize: Callable[..., Any]) -> Any:
        """Every permission of the request, and all the rules that came of it (moto answers those of the last)."""
        self.error_on_dryrun()
        made: list[Any] = []
        with self._all_or_nothing():
            for permission in self._process_rules_from_querystring():
                rules, _ = authorize(**permission)
                made += rules
        return ActionResult({"Return": True, "SecurityGroupRules": made})

    def _describe(self, direction: str) -> Any:
        self.error_on_dryrun()
        backend, name = self.ec2_backend, self._get_param("GroupId") or self._get_param("GroupName")
        for each in self._get_param("SecurityGroupRuleDescriptions", []):
            backend.describe_rule(name, each["SecurityGroupRuleId"], each.get("Description"))
        if self._get_param("IpPermissions"):
            held = getattr(backend.security_group(name), direction)
            for permission in self._process_rules_from_querystring():
                backend.describe_permission(held, permission)
        return ActionResult({"Return": True})

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Put the group's rules back if any part of the request fails."""
        group = self.ec2_backend.security_group(self._get_param("GroupId") or self._get_param("GroupName"))
        before = list(group.ingress_rules), list(group.egress_rules)
        try:
            yield
        except Exception:
            group.ingress_rules, group.egress_rules = before
            raise

    def _page(self, key: str, result: Any) -> Any:
        """One page, if MaxResults asks for one; the token is the index of the next item."""
        size, token = self._get_int_param("MaxResults"), self._get_param("NextToken") or "0"
        if size is None:
            return result
        if not 5 <= size <= 1000 or not token.isdigit():
            raise EC2ClientError("InvalidParameterValue", "MaxResults must be between 5 and 1000.")
        items, start = result.result[key], int(token)
        following = str(start + size) if start + size < len(items) else None
        return ActionResult({key: items[start : start + size], "NextToken": following})
