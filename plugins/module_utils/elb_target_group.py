# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A target group: its state, and the steps from one state to another. Its targets are never part of either."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Later, Observed, Step

GROUP = "target group"
VPC = "vpc"
HEALTH_CHECK = {
    "protocol": "HealthCheckProtocol",
    "port": "HealthCheckPort",
    "path": "HealthCheckPath",
    "interval": "HealthCheckIntervalSeconds",
    "timeout": "HealthCheckTimeoutSeconds",
    "healthy_threshold": "HealthyThresholdCount",
    "unhealthy_threshold": "UnhealthyThresholdCount",
}
RANGES = {"interval": (5, 300), "timeout": (2, 120), "healthy_threshold": (2, 10), "unhealthy_threshold": (2, 10)}
"""Seconds and counts that AWS accepts (ELB API reference: ModifyTargetGroup)."""
IMMUTABLE = ("vpc", "protocol", "port", "protocol_version", "target_type")
AT_CREATION = {"protocol": "HTTP", "target_type": "ip"}


@dataclass(frozen=True)
class TargetGroup:
    """A target group as this collection manages it; what is None is unmanaged, or in an observed one was not read.

    `health_check` is keyed as the option, `attributes` and `tags` by AWS's names, holding what was asked for.
    `holders` is what keeps it from being deleted.
    """

    name: str
    vpc: str | None = None
    protocol: str | None = None
    port: int | None = None
    protocol_version: str | None = None
    target_type: str | None = None
    health_check: Mapping[str, str | int] | None = None
    attributes: Mapping[str, str] | None = None
    tags: Mapping[str, str] | None = None
    holders: tuple[str, ...] = ()

    def shown(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "holders"}

    def over(self, current: TargetGroup) -> TargetGroup:
        unmanaged = {each.name: getattr(current, each.name) for each in fields(self) if not getattr(self, each.name)}
        merged = {**(current.health_check or {}), **(self.health_check or {})}
        return replace(self, **{**unmanaged, "health_check": merged})


def health_check(option: Mapping[str, Any] | None, name: str) -> dict[str, str | int] | None:
    """The health check an option states, without what it leaves out, or `BadInput`."""
    if option is None:
        return None
    wanted = {key: value for key, value in option.items() if value is not None}
    for key, (low, high) in RANGES.items():
        if key in wanted and not low <= wanted[key] <= high:
            raise BadInput(f"Target group {name}: health check {key} {wanted[key]} is out of range", f"{low} to {high}")
    if "matcher" in wanted:
        wanted["matcher"] = codes(wanted["matcher"])
    return wanted


def codes(matcher: str) -> str:
    """`404, 200` is `200,404`."""
    return ",".join(sorted(part.strip() for part in matcher.split(",")))


def from_aws(given: Mapping[str, Any]) -> TargetGroup:
    """As DescribeTargetGroups reads it back; attributes and tags come from elsewhere."""
    check = {key: given[name] for key, name in HEALTH_CHECK.items() if name in given}
    matcher = given.get("Matcher") or {}
    if matcher:
        check["matcher"] = codes(matcher.get("HttpCode") or matcher.get("GrpcCode") or "")
    return TargetGroup(
        name=given["TargetGroupName"],
        vpc=given.get("VpcId"),
        protocol=given.get("Protocol"),
        port=given.get("Port"),
        protocol_version=given.get("ProtocolVersion"),
        target_type=given.get("TargetType"),
        health_check=check,
    )


def to_aws(check: Mapping[str, str | int], protocol_version: str | None) -> dict[str, Any]:
    arguments: dict[str, Any] = {HEALTH_CHECK[key]: value for key, value in check.items() if key in HEALTH_CHECK}
    if "matcher" in check:
        arguments["Matcher"] = {"GrpcCode" if protocol_version == "GRPC" else "HttpCode": check["matcher"]}
    return arguments


def plan(observed: Observed[TargetGroup], desired: TargetGroup | None) -> Iterator[Step]:
    """Raises `BadInput` for what cannot change in place, or is not ours to delete, or is in use."""
    current = observed.resource
    if desired is None:
        yield from deletion(observed)
    elif current is None:
        yield from creation(observed, desired)
    else:
        refuse_immutable(current, desired)
        yield from changes(observed.ids[GROUP], current, desired)


def deletion(observed: Observed[TargetGroup]) -> Iterator[Step]:
    current = observed.resource
    if current is None:
        return
    if not tagging.is_owned(current.tags or {}):
        raise BadInput(
            f"Target group {current.name} was not made by this collection (no tag {tagging.MANAGED_BY})",
            "delete it with what made it, or tag it first",
        )
    if current.holders:
        raise BadInput(
            f"Target group {current.name} is in use: {', '.join(current.holders)}", "take it out of use first"
        )
    why = f"target group {current.name} is no longer wanted"
    yield Step("delete_target_group", {"TargetGroupArn": observed.ids[GROUP]}, why)


def creation(observed: Observed[TargetGroup], desired: TargetGroup) -> Iterator[Step]:
    for option in ("vpc", "port"):
        if getattr(desired, option) is None:
            raise BadInput(f"Target group {desired.name} does not exist yet, and {option} is not set", f"set {option}")
    refuse_slow(desired.name, {"interval": 30, "timeout": 5, **(desired.health_check or {})})
    arguments = {
        "Name": desired.name,
        "VpcId": observed.ids[VPC],
        "Port": desired.port,
        "Protocol": desired.protocol or AT_CREATION["protocol"],
        "TargetType": desired.target_type or AT_CREATION["target_type"],
        **({"ProtocolVersion": desired.protocol_version} if desired.protocol_version else {}),
        **to_aws(desired.health_check or {}, desired.protocol_version),
        "Tags": tagging.to_aws(tagging.owned(desired.tags)),
    }
    name = f"target group {desired.name}"
    yield Step("create_target_group", arguments, f"{name} is absent")
    yield from attribute_changes(Later(name), name, desired.attributes or {})


def changes(arn: str, current: TargetGroup, desired: TargetGroup) -> Iterator[Step]:
    name, live = f"target group {desired.name}", current.health_check or {}
    check = {key: value for key, value in (desired.health_check or {}).items() if live.get(key) != value}
    if check:
        refuse_slow(desired.name, {**live, **check})
        reasons = ", ".join(f"{key} {live.get(key)} becomes {value}" for key, value in check.items())
        arguments = {"TargetGroupArn": arn, **to_aws(check, current.protocol_version)}
        yield Step("modify_target_group", arguments, f"health check of {name}: {reasons}")
    yield from attribute_changes(arn, name, tagging.missing(current.attributes or {}, desired.attributes or {}))
    tags = tagging.missing(current.tags or {}, desired.tags or {})
    if tags:
        arguments = {"ResourceArns": [arn], "Tags": tagging.to_aws(tags)}
        yield Step("add_tags", arguments, f"tags of {name}: {', '.join(sorted(tags))}")


def attribute_changes(arn: str | Later, name: str, changed: Mapping[str, str]) -> Iterator[Step]:
    if changed:
        arguments = {"TargetGroupArn": arn, "Attributes": tagging.to_aws(changed)}
        yield Step("modify_target_group_attributes", arguments, f"attributes of {name}: {', '.join(sorted(changed))}")


def refuse_immutable(current: TargetGroup, desired: TargetGroup) -> None:
    differs = [
        f"{option} is {getattr(current, option)}, wanted {getattr(desired, option)}"
        for option in IMMUTABLE
        if getattr(desired, option) not in (None, getattr(current, option))
    ]
    if differs:
        raise BadInput(
            f"Target group {desired.name} cannot change in place: {'; '.join(differs)}",
            "create one under another name, let rules and services use that, then remove this one",
        )


def refuse_slow(name: str, check: Mapping[str, Any]) -> None:
    if int(check.get("timeout", 0)) >= int(check.get("interval", RANGES["interval"][1])):
        text = f"health check timeout {check['timeout']} is not below the interval {check['interval']}"
        raise BadInput(f"Target group {name}: {text}", "lower the timeout or raise the interval")
