# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading a stable ECS service and the canary beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_canary import Running, Services
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_observation import (
    newest_revision,
    primary,
    read_revision,
    refuse_foreign_controller,
)
from ansible_collections.hokusai.platform.plugins.module_utils.errors import NotFound, calling


def read(aws: Aws, cluster: str, service: str, name: str) -> Services:
    """Both services. Raises `NotFound` for a stable one that is not there, `BadInput` for one that others deploy."""
    with calling(f"describe the services {service} and {name}"):
        answer = aws.ecs.describe_services(cluster=cluster, services=[service, name], include=["TAGS"])
    found = {each["serviceName"]: each for each in answer["services"] if each["status"] != "INACTIVE"}
    stable, canary = found.get(service), found.get(name)
    if stable is None or stable["status"] != "ACTIVE":
        raise NotFound(
            f"There is no ECS service {service} in the cluster {cluster}", "check the options service and cluster"
        )
    refuse_foreign_controller(stable)
    is_draining = canary is not None and canary["status"] != "ACTIVE"
    there = running(aws, stable)
    beside = running(aws, canary) if canary and not is_draining else None
    return Services(cluster, name, there, beside, newest_revision(aws, there.revision), is_draining)


def running(aws: Aws, described: Mapping[str, Any]) -> Running:
    name = described["serviceName"]
    with calling(f"describe the revision of {name}"):
        revision = read_revision(aws, primary(described)["taskDefinition"])
    return Running(
        name,
        revision,
        described["desiredCount"],
        tagging.from_aws(described.get("tags")),
        described,
    )
