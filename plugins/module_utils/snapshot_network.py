# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Security groups with their rules, and Cloud Map, as a snapshot has them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import cloudmap, tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import calling
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry, each, without
from ansible_collections.hokusai.platform.plugins.module_utils.vpc import pages, vpc_id

GROUP_VOLATILE = {
    "GroupId": "the id",
    "GroupName": "the name",
    "SecurityGroupArn": "follows from the id",
    "IpPermissions": "each rule is a resource of its own",
    "IpPermissionsEgress": "each rule is a resource of its own",
}
RULE_VOLATILE = {
    "SecurityGroupRuleId": "the id",
    "SecurityGroupRuleArn": "follows from the id",
    "GroupId": "said in where",
    "GroupOwnerId": "the account",
}
NAMESPACE_VOLATILE = {
    "Id": "the id",
    "Arn": "said in where",
    "Name": "the name",
    "ResourceOwner": "the account",
    "CreateDate": "a time",
    "CreatorRequestId": "the token of the request that created it",
    "ServiceCount": "a count; each service is a resource of its own",
}
SERVICE_VOLATILE = {
    "Id": "the id",
    "Arn": "said in where",
    "Name": "the name",
    "NamespaceId": "said in where",
    "ResourceOwner": "the account",
    "CreatedByAccount": "the account",
    "CreateDate": "a time",
    "CreatorRequestId": "the token of the request that created it",
    "InstanceCount": "a count; ECS registers and deregisters the instances",
}


def security_groups(aws: Aws, names: Collection[str], vpc: str) -> Iterator[Entry]:
    """The groups of these GroupNames (in one VPC where it is named), and each of their rules."""
    if not names:
        return
    with calling("describe the security groups"):
        where = {"vpc-id": vpc_id(aws, vpc)} if vpc else {}
        groups = pages(aws, "describe_security_groups", "SecurityGroups", {**where, "group-name": sorted(names)})
        ids = {group["GroupId"]: group["GroupName"] for group in groups}
        asked = {"group-id": sorted(ids)}
        rules = pages(aws, "describe_security_group_rules", "SecurityGroupRules", asked) if ids else []
    for group in groups:
        fields = without({**group, "Tags": tags.from_aws(group.get("Tags"))}, GROUP_VOLATILE)
        yield Entry("security_group", group["GroupId"], group["GroupName"], fields)
    for rule in rules:
        fields = without({**rule, "Tags": tags.from_aws(rule.get("Tags"))}, RULE_VOLATILE)
        place = {"GroupId": rule["GroupId"]}
        yield Entry("security_group_rule", rule["SecurityGroupRuleId"], ids[rule["GroupId"]], fields, place)


def discovery(aws: Aws, name: str, vpc: str) -> Iterator[Entry]:
    """The private DNS namespace of that name and all its services."""
    if not name:
        return
    with calling(f"read the namespace {name}"):
        found = cloudmap.find_namespace(aws, name, vpc_id(aws, vpc) if vpc else None)
        if found is None:
            return
        listed = cloudmap.list_services(aws, found["Id"])
        tagged = each(lambda one: cloudmap.tags_of(aws, one), [found, *listed])
    fields = without({**found, "Tags": tagged[0]}, NAMESPACE_VOLATILE)
    yield Entry("namespace", found["Id"], found["Name"], fields, {"Arn": found["Arn"]})
    for service, several in zip(listed, tagged[1:], strict=True):
        yield _service(service, several, found)


def _service(service: Mapping[str, Any], tagged: Mapping[str, str], namespace: Mapping[str, Any]) -> Entry:
    fields = without({**service, "Tags": tagged}, SERVICE_VOLATILE)
    # Since 2018 the namespace stands beside it; this copy is deprecated, and a part that nobody writes.
    fields["DnsConfig"] = without(service.get("DnsConfig", {}), ["NamespaceId"])
    where = {"Arn": service["Arn"], "NamespaceId": namespace["Id"]}
    return Entry("discovery_service", service["Id"], f"{service['Name']}.{namespace['Name']}", fields, where)
