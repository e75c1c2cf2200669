# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finding load balancers, listeners and target groups, in as few calls as can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb_action
from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Ambiguous, AwsError, NotFound, calling

PAGE = 400
TAGS_PER_CALL = 20
NAMES_PER_CALL = 20
GROUP_REMEDY = "create it first with alb_target_group, or correct its name"


def every(client: Any, operation: str, key: str, **arguments: Any) -> list[dict[str, Any]]:
    """All pages of a Describe call, in pages as large as AWS allows."""
    pages = client.get_paginator(operation).paginate(**arguments, PaginationConfig={"PageSize": PAGE})
    return [item for page in pages for item in page[key]]


def balancer_name(reference: str) -> str:
    """The name in a load balancer's ARN (`...:loadbalancer/app/NAME/ID`); anything else is a name already."""
    return reference.split("/")[2] if reference.startswith("arn:") and reference.count("/") == 3 else reference


def dimension(arn: str) -> str:
    """What CloudWatch calls a load balancer (`app/NAME/ID`) or a target group (`targetgroup/NAME/ID`)."""
    return arn.rpartition(":")[2].removeprefix("loadbalancer/")


def balancer_arn(aws: Aws, reference: str) -> str:
    """The ARN of the load balancer that a name or an ARN means. Raises `NotFound` or `Ambiguous`."""
    selector = {"LoadBalancerArns" if reference.startswith("arn:") else "Names": [reference]}
    try:
        with calling(f"describe the load balancer {reference}"):
            found = every(aws.elbv2, "describe_load_balancers", "LoadBalancers", **selector)
    except AwsError as error:
        if error.code != "LoadBalancerNotFound":
            raise
        found = []
    if not found:
        raise no_balancer(aws, reference)
    return only(found, f"load balancer {reference}", "LoadBalancerArn")


def no_balancer(aws: Aws, reference: str) -> NotFound:
    return NotFound(
        f"No load balancer {reference} in {aws.region}", "check its name, the region and the account of the profile"
    )


def only(found: Sequence[Mapping[str, Any]], what: str, key: str) -> str:
    """The id of the one thing found. Raises `Ambiguous` with all of them when there are more."""
    if len(found) > 1:
        listed = ", ".join(sorted(each[key] for each in found))
        raise Ambiguous(
            f"{len(found)} resources are the {what}: {listed}", "give the ARN or id of the one that is meant"
        )
    return str(found[0][key])


def listeners(aws: Aws, balancer: str) -> list[dict[str, Any]]:
    with calling(f"describe the listeners of {balancer_name(balancer)}"):
        return every(aws.elbv2, "describe_listeners", "Listeners", LoadBalancerArn=balancer)


def on_port(found: Iterable[dict[str, Any]], port: int, where: str) -> dict[str, Any] | None:
    """The listener on a port, if there is one. `where` names it in an `Ambiguous`."""
    here = [each for each in found if each.get("Port") == port]
    if len(here) > 1:
        only(here, f"listener {where}", "ListenerArn")
    return here[0] if here else None


def certificates(aws: Aws, listener: Mapping[str, Any]) -> list[str]:
    """ARNs of the listener's certificates, the default one first; AWS may list that among the others again."""
    if listener["Protocol"] != "HTTPS":
        return []
    arn = listener["ListenerArn"]
    with calling("describe the listener's certificates"):
        found = every(aws.elbv2, "describe_listener_certificates", "Certificates", ListenerArn=arn)
    ordered = sorted(found, key=lambda each: not each.get("IsDefault"))
    return list(dict.fromkeys(each["CertificateArn"] for each in ordered))


def rules(aws: Aws, listener_arn: str, name: str) -> list[dict[str, Any]]:
    """The rules of a listener, without its default rule. `name` is the listener's in a message."""
    with calling(f"describe the rules of {name}"):
        found = every(aws.elbv2, "describe_rules", "Rules", ListenerArn=listener_arn)
    return [rule for rule in found if not rule["IsDefault"]]


def group_ids(aws: Aws, references: Iterable[str], live: Iterable[str]) -> dict[str, str]:
    """ARN by name for target groups: those of `references` that are ARNs, the `live` ones, and by one call the rest.

    A group that does not exist is left out: whether that is an error depends on who was to make it.
    """
    references = set(references)
    known = {elb_action.group_name(arn): arn for arn in [*live, *references] if arn.startswith("arn:")}
    unknown = sorted(references - set(known) - set(known.values()))
    if not unknown:
        return known
    return {**known, **{name: arn for name, arn in _all_groups(aws, unknown) if name in unknown}}


def _all_groups(aws: Aws, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name and ARN of the named groups; when AWS refuses the names because one is absent, of all groups."""
    selector = {"Names": names} if len(names) <= NAMES_PER_CALL else {}
    try:
        with calling(f"describe the target groups {', '.join(names)}"):
            found = every(aws.elbv2, "describe_target_groups", "TargetGroups", **selector)
    except AwsError as error:
        if error.code != "TargetGroupNotFound":
            raise
        with calling("describe the target groups"):
            found = every(aws.elbv2, "describe_target_groups", "TargetGroups")
    return ((each["TargetGroupName"], each["TargetGroupArn"]) for each in found)


def tags_of(aws: Aws, arns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Tags by ARN, in as many calls as there are twenties of ARNs."""
    found: dict[str, dict[str, str]] = {}
    for start in range(0, len(arns), TAGS_PER_CALL):
        with calling("describe tags"):
            answer = aws.elbv2.describe_tags(ResourceArns=list(arns[start : start + TAGS_PER_CALL]))
        found.update({each["ResourceArn"]: tagging.from_aws(each["Tags"]) for each in answer["TagDescriptions"]})
    return found
