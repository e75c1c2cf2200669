# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A VPC, its subnets and its security groups, found by id or by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Ambiguous, NotFound

Filters = Mapping[str, "str | list[str]"]


def vpc_id(aws: Aws, given: str) -> str:
    """The id of the VPC given by id or Name tag. Raises `NotFound`, or `Ambiguous` listing all of that name."""
    name = "vpc-id" if given.startswith("vpc-") else "tag:Name"
    found = pages(aws, "describe_vpcs", "Vpcs", {name: given})
    if not found:
        raise NotFound(f"There is no VPC {given} in {aws.region}", "check the option vpc, the region and the account")
    if len(found) > 1:
        ids = ", ".join(sorted(each["VpcId"] for each in found))
        raise Ambiguous(f"{len(found)} VPCs have the Name tag {given}: {ids}", "give the VPC by its id")
    return str(found[0]["VpcId"])


def vpc_of_subnet(aws: Aws, subnet: str) -> str:
    """The VPC a subnet (by id) is in."""
    found = pages(aws, "describe_subnets", "Subnets", {"subnet-id": subnet})
    if not found:
        raise NotFound(f"There is no subnet {subnet} in {aws.region}", "check the service's network configuration")
    return str(found[0]["VpcId"])


def subnet_ids(aws: Aws, given: Iterable[str], vpc: str) -> dict[str, str]:
    """Ids of subnets given by id or Name tag; a name that matches nothing is left out, one that matches two raises."""
    names = sorted(each for each in given if not each.startswith("subnet-"))
    found = pages(aws, "describe_subnets", "Subnets", {"vpc-id": vpc, "tag:Name": names}) if names else []
    pairs = [(tags.from_aws(each.get("Tags"))["Name"], each["SubnetId"]) for each in found]
    return {**_one_each("subnets", pairs, vpc), **_themselves(given, "subnet-")}


def group_ids(aws: Aws, given: Iterable[str], vpc: str) -> dict[str, str]:
    """Ids of security groups given by id or GroupName (unique in a VPC); a name that matches nothing is left out."""
    names = sorted(each for each in given if not each.startswith("sg-"))
    asked: Filters = {"vpc-id": vpc, "group-name": names}
    found = pages(aws, "describe_security_groups", "SecurityGroups", asked) if names else []
    pairs = [(each["GroupName"], each["GroupId"]) for each in found]
    return {**_one_each("security groups", pairs, vpc), **_themselves(given, "sg-")}


def find_group(aws: Aws, given: str, vpc: str | None) -> Mapping[str, Any]:
    """The security group given by id or GroupName. Raises `NotFound`, or `Ambiguous` listing those of several VPCs."""
    asked: dict[str, str | list[str]] = {"group-id" if given.startswith("sg-") else "group-name": given}
    if vpc:
        asked["vpc-id"] = vpc_id(aws, vpc)
    found = pages(aws, "describe_security_groups", "SecurityGroups", asked)
    if not found:
        place = f"VPC {vpc}" if vpc else aws.region
        raise NotFound(f"There is no security group {given} in {place}", "check the options group and vpc")
    if len(found) > 1:
        listed = ", ".join(sorted(f"{each['GroupId']} in {each['VpcId']}" for each in found))
        raise Ambiguous(f"{len(found)} security groups are named {given}: {listed}", "give vpc, or the group's id")
    return found[0]


def prefix_lists(aws: Aws) -> list[Mapping[str, Any]]:
    """All managed prefix lists, AWS's and the account's: one call for those wanted by name and those met by id."""
    return pages(aws, "describe_managed_prefix_lists", "PrefixLists", {})


def prefix_list_ids(listed: Iterable[Mapping[str, Any]], given: Collection[str]) -> dict[str, str]:
    """Ids of those listed that are given by id or name; a name that matches nothing is left out, two raise."""
    pairs = [(each["PrefixListName"], each["PrefixListId"]) for each in listed if each["PrefixListName"] in given]
    return {**_one_each("prefix lists", pairs, "this account"), **_themselves(given, "pl-")}


def pages(aws: Aws, operation: str, key: str, filters: Filters) -> list[Mapping[str, Any]]:
    """Everything EC2 lists of what the filters select; a filter's value is one or a list of alternatives."""
    asked = [{"Name": name, "Values": [each] if isinstance(each, str) else each} for name, each in filters.items()]
    answer = aws.ec2.get_paginator(operation).paginate(Filters=asked).build_full_result()
    return list(answer.get(key, []))


def _themselves(given: Iterable[str], prefix: str) -> dict[str, str]:
    return {each: each for each in given if each.startswith(prefix)}


def _one_each(what: str, pairs: Iterable[tuple[str, str]], place: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, identity in pairs:
        if found.setdefault(name, identity) != identity:
            both = f"{found[name]}, {identity}"
            raise Ambiguous(f"Several {what} of {place} are named {name}: {both}", "give it by its id")
    return found
