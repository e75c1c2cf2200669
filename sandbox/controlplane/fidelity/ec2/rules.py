"""One security group rule."""

from __future__ import annotations

import copy
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.security_groups import SecurityGroupRule as MotoSecurityGroupRule

Json = dict[str, Any]
_WITH_PORTS = frozenset({"tcp", "udp", "6", "17"})


def port_range_error(low: Any, high: Any) -> Exception:
    error: Exception = EC2ClientError("InvalidParameterValue", f"Invalid TCP/UDP port range ({low}:{high})")
    return error


def check_ports(protocol: str, low: Any, high: Any) -> None:
    """TCP and UDP rules need both ports, in order."""
    if str(protocol).lower() not in _WITH_PORTS:
        return
    if low is None or high is None:
        raise EC2ClientError(
            "InvalidParameterValue",
            "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.",
        )
    if not 0 <= int(low) <= int(high) <= 65535:
        raise port_range_error(low, high)


class SecurityGroupRule(MotoSecurityGroupRule):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """A rule that keeps its description whatever its peer is, and equals any rule that lets through the same.

    The peer is a network (`ip_range`), a group (`source_group`) or a prefix list; each carries the description.
    """

    ip_protocol: str
    ip_range: Json
    source_group: Json

    def __init__(
        self,
        ec2_backend: Any,
        ip_protocol: str,
        group_id: str,
        from_port: Any,
        to_port: Any,
        ip_range: Json | None,
        source_group: Json | None = None,
        prefix_list_id: Json | None = None,
        **kwargs: Any,
    ) -> None:
        check_ports(ip_protocol, from_port, to_port)
        super().__init__(
            ec2_backend, ip_protocol, group_id, from_port, to_port, ip_range, source_group, prefix_list_id, **kwargs
        )
        self.prefix_list = dict(prefix_list_id or {})

    @property
    def description(self) -> str | None:
        return self.peer.get("Description")

    @property
    def peer(self) -> Json:
        """The one of the three that is set."""
        return self.ip_range or self.source_group or self.prefix_list

    @property
    def referenced_group_info(self) -> Json | None:
        if not self.source_group:
            return None
        return {"GroupId": self.source_group["GroupId"], "UserId": self.source_group["UserId"]}

    @property
    def identity(self) -> tuple[Any, ...]:
        """What AWS takes for the same rule: descriptions and tags are no part of it."""
        return (
            self.ip_protocol,
            self.from_port,
            self.to_port,
            self.ip_range.get("CidrIp"),
            self.ip_range.get("CidrIpv6"),
            self.source_group.get("GroupId"),
            self.prefix_list_id,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecurityGroupRule) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def changed(self, protocol: str, low: Any, high: Any, peer: Json, description: str | None) -> SecurityGroupRule:
        """The rule of this id with another content. The peer is of the same kind."""
        new = copy.deepcopy(self)
        new.ip_protocol = protocol
        new.from_port, new.to_port = (None, None) if protocol == "-1" else (int(low), int(high))
        new.peer.update(peer)
        new.prefix_list_id = new.prefix_list.get("PrefixListId")
        new.describe(description)
        return new

    def describe(self, description: str | None) -> None:
        """Set the description; None or empty removes it."""
        self.peer.pop("Description", None)
        if description:
            self.peer["Description"] = description
