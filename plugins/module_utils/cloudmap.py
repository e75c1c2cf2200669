# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Cloud Map: namespaces and services found by name (without regard to case, as DNS is), and operations waited for."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Ambiguous, BadInput, GaveUp
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Response

OPERATION_TIMEOUT = 300.0
"""Seconds an operation may take; AWS makes a namespace in about a minute."""
POLL_DELAYS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
IN_FLIGHT = ("SUBMITTED", "PENDING")
INVOCATION = uuid.uuid4().hex
"""What the requests of this run of a module have in common, and those of no other."""
Listed = Mapping[str, Any]


def find_namespace(aws: Aws, given: str, vpc: str | None) -> Listed | None:
    """The private DNS namespace of that name (or `ns-` id), as Cloud Map lists it; None if there is none.

    With `vpc` only a namespace whose private zone is in this VPC counts: names repeat between VPCs, and an HTTP or
    public namespace may have the name too. Raises `Ambiguous` listing the ids.
    """
    key = "Id" if given.startswith("ns-") else "Name"
    found = [each for each in private_namespaces(aws) if each[key].lower() == given.lower()]
    if vpc:
        found = [each for each in found if vpc in zone_vpcs(aws, each)]
    if len(found) > 1:
        ids = ", ".join(sorted(each["Id"] for each in found))
        remedy = "delete the one nothing uses, or name another VPC" if vpc else "give vpc, or the namespace's id"
        raise Ambiguous(f"{len(found)} private DNS namespaces are named {given}: {ids}", remedy)
    return found[0] if found else None


def private_namespaces(aws: Aws) -> list[Listed]:
    """Those of this account: one that others share with it may have the same name."""
    asked = [
        {"Name": name, "Values": [value], "Condition": "EQ"}
        for name, value in (("TYPE", "DNS_PRIVATE"), ("RESOURCE_OWNER", "SELF"))
    ]
    return _pages(aws, "list_namespaces", "Namespaces", Filters=asked)


def zone_vpcs(aws: Aws, namespace: Listed) -> set[str]:
    """The VPCs in which the namespace's names resolve: those of its hosted zone, if Cloud Map tells one."""
    zone = namespace.get("Properties", {}).get("DnsProperties", {}).get("HostedZoneId")
    if not zone:
        return set()
    return {each["VPCId"] for each in aws.route53.get_hosted_zone(Id=zone).get("VPCs", [])}


def list_services(aws: Aws, namespace_id: str) -> list[Listed]:
    asked = [{"Name": "NAMESPACE_ID", "Values": [namespace_id], "Condition": "EQ"}]
    return _pages(aws, "list_services", "Services", Filters=asked)


def find_service(aws: Aws, name: str, namespace_id: str) -> Listed | None:
    """The service of that name in the namespace, as Cloud Map lists it. Raises `Ambiguous` listing the ids."""
    found = [each for each in list_services(aws, namespace_id) if each["Name"].lower() == name.lower()]
    if len(found) > 1:
        ids = ", ".join(sorted(each["Id"] for each in found))
        raise Ambiguous(f"{len(found)} Cloud Map services are named {name}: {ids}", "delete the one nothing uses")
    return found[0] if found else None


def instance_addresses(aws: Aws, service_id: str) -> frozenset[str]:
    """The addresses of a service's instances; of an instance that has none its id."""
    instances = _pages(aws, "list_instances", "Instances", ServiceId=service_id)
    return frozenset(each["Attributes"].get("AWS_INSTANCE_IPV4", each["Id"]) for each in instances)


def tags_of(aws: Aws, resource: Listed) -> dict[str, str]:
    return tags.from_aws(aws.servicediscovery.list_tags_for_resource(ResourceARN=resource["Arn"])["Tags"])


def request_id(*identity: str) -> str:
    """The CreatorRequestId of what is identified so: the same for each try of a create, and another in the next run.

    Cloud Map would answer that of a creation that failed, or is long gone, with the old operation again.
    """
    return "hokusai-" + hashlib.sha256("\0".join((INVOCATION, *identity)).encode()).hexdigest()[:48]


def pending(aws: Aws, kind: str) -> list[str]:
    """Ids of operations of a type (CREATE_NAMESPACE, ...) that have not ended."""
    asked = [
        {"Name": "TYPE", "Values": [kind], "Condition": "EQ"},
        {"Name": "STATUS", "Values": list(IN_FLIGHT), "Condition": "IN"},
    ]
    return [each["Id"] for each in _pages(aws, "list_operations", "Operations", Filters=asked)]


def settle(aws: Aws, _params: Params, responses: Sequence[Response]) -> None:
    """Wait for the operations that writes answered with. Raises `GaveUp` with Cloud Map's own words."""
    for step, answer in responses:
        if "OperationId" not in answer:
            continue
        ended = wait_end(aws, answer["OperationId"])
        if ended["Status"] == "FAIL":
            told = f"{ended.get('ErrorCode', 'no code')}: {ended.get('ErrorMessage', 'no message')}"
            raise GaveUp(f"Cloud Map could not do it ({step.why}): {told}", "repair what it names, then run again")


def wait_end(aws: Aws, operation_id: str) -> Listed:
    """The operation once it has ended, well or not. Raises `GaveUp` when it takes too long."""
    deadline = time.monotonic() + OPERATION_TIMEOUT
    for delay in chain(POLL_DELAYS, repeat(POLL_DELAYS[-1])):
        operation: Listed = aws.servicediscovery.get_operation(OperationId=operation_id)["Operation"]
        if operation["Status"] not in IN_FLIGHT:
            return operation
        if time.monotonic() >= deadline:
            break
        time.sleep(delay)
    raise GaveUp(
        f"The Cloud Map operation {operation_id} has not ended after {OPERATION_TIMEOUT:.0f} s",
        "run again later: what was started is not started twice",
    )


def refuse_foreign(what: str, owned: bool) -> None:
    """Only what this collection made is removed by it."""
    if not owned:
        raise BadInput(
            f"{what} was not made by this collection, so it is not removed",
            f"remove it by hand, or tag it {tags.MANAGED_BY}={tags.OWNER} if it is ours to remove",
        )


def _pages(aws: Aws, operation: str, key: str, **arguments: Any) -> list[Listed]:
    answer = aws.servicediscovery.get_paginator(operation).paginate(**arguments).build_full_result()
    return list(answer.get(key, []))
