# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading an ECS cluster: its services as DescribeServices has them, and the addresses of a service's tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, NotFound, calling

TASKS_PER_CALL = 100
Described = Mapping[str, Any]


def describe_services(aws: Aws, cluster: str, names: Sequence[str]) -> list[Described]:
    """Those of the services that ECS knows, deleted ones among them. Raises `NotFound` for an unknown cluster."""
    try:
        with calling(f"describe the services of the cluster {cluster}"):
            return list(aws.ecs.describe_services(cluster=cluster, services=list(names))["services"])
    except AwsError as error:
        if error.code == "ClusterNotFoundException":
            remedy = "check the option cluster, the region and the account"
            raise NotFound(f"There is no ECS cluster {cluster} in {aws.region}", remedy) from None
        raise


def task_addresses(aws: Aws, cluster: str, service: str) -> Iterator[str]:
    """The private addresses of the service's tasks that run and shall run; one that starts or stops is none of them."""
    with calling(f"list the running tasks of {service}"):
        pages = aws.ecs.get_paginator("list_tasks").paginate(
            cluster=cluster, serviceName=service, desiredStatus="RUNNING"
        )
        arns = [arn for page in pages for arn in page["taskArns"]]
        for start in range(0, len(arns), TASKS_PER_CALL):
            some = arns[start : start + TASKS_PER_CALL]
            for task in aws.ecs.describe_tasks(cluster=cluster, tasks=some)["tasks"]:
                if task["lastStatus"] == "RUNNING" == task.get("desiredStatus", "RUNNING"):
                    yield from interface_addresses(task)


def interface_addresses(task: Described) -> Iterator[str]:
    """The private addresses of a task's network interfaces (ECS API reference: Attachment)."""
    for attachment in task.get("attachments", ()):
        for detail in attachment.get("details", ()):
            if detail["name"] == "privateIPv4Address":
                yield detail["value"]
