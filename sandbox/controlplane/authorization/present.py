"""What is there, as far as a decision depends on it: tags, for conditions on `aws:ResourceTag`, and roles of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from moto.ecs.exceptions import ECSException


class Backends(Protocol):
    """moto's models, by boto3's name of the service."""

    def __call__(self, service: str) -> Any: ...


def tags(arn: str, backends: Backends) -> Mapping[str, str]:
    """{} for what is not there, and for what has none. Call it under the control plane's lock."""
    service, resource = arn.split(":", 5)[2::3]
    reader = READERS.get(service)
    return reader(arn, resource, backends) if reader else {}


def roles(revision: str, backends: Backends) -> frozenset[str]:
    """The roles that a revision, or the latest one of a family, gives to its tasks; none where there is none."""
    try:
        found = backends("ecs").describe_task_definition(revision)
    except ECSException:
        return frozenset()
    named = (getattr(found, name, None) for name in ("execution_role_arn", "task_role_arn"))
    return frozenset(filter(None, named))


def in_ec2(_arn: str, resource: str, backends: Backends) -> Mapping[str, str]:
    held = backends("ec2").tags
    return dict(held.get(resource.rpartition("/")[2], {}))


def in_ecs(arn: str, resource: str, backends: Backends) -> Mapping[str, str]:
    if not resource.startswith("service/"):
        return {}
    services = backends("ecs").services.values()
    found = next((each for each in services if each.arn == arn), None)
    return {each["key"]: each["value"] for each in (found.tags if found else None) or ()}


def in_elb(arn: str, _resource: str, backends: Backends) -> Mapping[str, str]:
    return dict(backends("elbv2").tagging_service.get_tag_dict_for_resource(arn))


def in_cloud_map(arn: str, _resource: str, backends: Backends) -> Mapping[str, str]:
    return dict(backends("servicediscovery").tagger.get_tag_dict_for_resource(arn))


def in_cloudwatch(arn: str, _resource: str, backends: Backends) -> Mapping[str, str]:
    return dict(backends("cloudwatch").tagger.get_tag_dict_for_resource(arn))


READERS = {
    "cloudwatch": in_cloudwatch,
    "ec2": in_ec2,
    "ecs": in_ecs,
    "elasticloadbalancing": in_elb,
    "servicediscovery": in_cloud_map,
}
"""By the service of the ARN."""
