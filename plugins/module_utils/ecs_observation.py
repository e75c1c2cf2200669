# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading an ECS service, its revisions, and what a play refers to by name."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import cloudmap
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_cluster import describe_services, task_addresses
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_service import (
    Live,
    Network,
    Registry,
    Service,
    observed,
    registry_words,
)
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, BadInput, NotFound, calling
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed
from ansible_collections.hokusai.platform.plugins.module_utils.task_definition import Revision, changed
from ansible_collections.hokusai.platform.plugins.module_utils.vpc import group_ids, subnet_ids, vpc_of_subnet

KINDS = ("Cloud Map service ", "security group ", "subnet ", "target group ")
LAG_SECONDS = 3.0
"""Between the two looks that find a task unregistered."""


def observe(aws: Aws, wish: Service) -> Observed[Service]:
    described = describe(aws, wish.cluster, wish.name)
    refuse_foreign_controller(described)
    ids = references(aws, wish, described)
    words = {id_: spoken[len(kind) :] for spoken, id_ in ids.items() for kind in KINDS if spoken.startswith(kind)}
    revision = read_revision(aws, primary(described)["taskDefinition"])
    live = Live(
        revision,
        newest_if_needed(aws, revision, wish),
        described.get("deploymentConfiguration", {}),
        tuple(each for each in described.get("loadBalancers", []) if each.get("targetGroupArn")),
    )
    service = observed(described, live, words, wish)
    if wish.replace_unregistered and wish.registries and wish.registries == service.registries:
        service = with_registration(aws, wish, service, described)
    return Observed(service, ids)


def with_registration(aws: Aws, wish: Service, service: Service, described: Mapping[str, Any]) -> Service:
    """The service with its running tasks that Cloud Map does not list, or with why that is not known.

    Lists lag, and a task may stop between the two reads: what is missing counts when a second look misses it too.
    """
    try:
        missing = unregistered(aws, described)
        if missing:
            time.sleep(LAG_SECONDS)
            missing &= unregistered(aws, describe(aws, wish.cluster, wish.name))
    except AwsError as error:
        return dataclasses.replace(service, registration_unknown=error.message)
    return dataclasses.replace(service, unregistered=missing)


def unregistered(aws: Aws, service: Mapping[str, Any]) -> frozenset[str]:
    """Addresses of running tasks that are not among the instances of the service's registries; none while it moves.

    ECS registers a task once, before it calls it RUNNING (ECS developer guide: task lifecycle, ACTIVATING), and never
    again: an instance that is lost later comes back with another task alone.
    """
    if not is_steady(service):
        return frozenset()
    addresses = frozenset(task_addresses(aws, service["clusterArn"], service["serviceName"]))
    missing: frozenset[str] = frozenset()
    for registry in service["serviceRegistries"] if addresses else ():
        service_id = registry["registryArn"].rpartition("/")[2]
        with calling(f"list the instances of the Cloud Map service {service_id}"):
            missing |= addresses - cloudmap.instance_addresses(aws, service_id)
    return missing


def is_steady(service: Mapping[str, Any]) -> bool:
    """Whether the PRIMARY deployment is COMPLETED and alone, with no task on its way in or out."""
    return (
        len(service["deployments"]) == 1
        and primary(service).get("rolloutState") == "COMPLETED"
        and service["runningCount"] == service["desiredCount"]
        and not service["pendingCount"]
    )


def describe(aws: Aws, cluster: str, name: str) -> Mapping[str, Any]:
    """The service as DescribeServices has it. Raises `NotFound`, also for a service that is being or was deleted."""
    found = describe_services(aws, cluster, [name])
    if not found:
        raise NotFound(
            f"There is no ECS service {name} in the cluster {cluster}", "check the options service and cluster"
        )
    service = found[0]
    if service["status"] != "ACTIVE":
        raise NotFound(
            f"The ECS service {name} in the cluster {cluster} is {service['status']}: it was deleted",
            "create it again; this module changes existing services",
        )
    return service


def refuse_foreign_controller(service: Mapping[str, Any]) -> None:
    """Deployments that CodeDeploy, another controller or a blue-green strategy runs are not ours to start."""
    controller = service.get("deploymentController", {}).get("type", "ECS")
    strategy = service.get("deploymentConfiguration", {}).get("strategy", "ROLLING")
    name = service["serviceName"]
    if controller != "ECS":
        raise BadInput(
            f"The deployments of the ECS service {name} are run by the controller {controller}",
            "deploy through it, or recreate the service with the deployment controller ECS",
        )
    if strategy != "ROLLING":
        raise BadInput(
            f"The ECS service {name} deploys with the strategy {strategy}, which owns its listener rules' weights",
            "change it through the tool that set this up, or set the strategy ROLLING",
        )


def primary(service: Mapping[str, Any]) -> Mapping[str, Any]:
    """The PRIMARY deployment: what runs, or is being rolled out. The newest revision of the family may be neither."""
    for deployment in service.get("deployments", []):
        if deployment["status"] == "PRIMARY":
            return dict(deployment)
    raise BadInput(f"The ECS service {service['serviceName']} has no PRIMARY deployment", "look at it in the console")


def read_revision(aws: Aws, name: str) -> Revision:
    """A revision by ARN or FAMILY:NUMBER, or the newest active one by FAMILY."""
    return Revision.described(aws.ecs.describe_task_definition(taskDefinition=name, include=["TAGS"]))


def newest_if_needed(aws: Aws, current: Revision, wish: Service) -> Revision | None:
    """The family's newest revision when one has to be registered: it may already be that one, from a run cut off."""
    if changed(current.containers, wish.changes) == current.containers:
        return None
    return newest_revision(aws, current)


def newest_revision(aws: Aws, current: Revision) -> Revision | None:
    """The family's newest revision, if it is another one.

    A family all revisions of which are deregistered has none, though its services run on.
    """
    try:
        newest = read_revision(aws, current.family)
    except aws.ecs.exceptions.ClientException:
        return None
    return None if newest.arn == current.arn else newest


def references(aws: Aws, wish: Service, service: Mapping[str, Any]) -> dict[str, str]:
    """Ids and ARNs by words ("target group x") of all that the wish names and that exists, and of what is in use."""
    network = wish.network or Network()
    live = service.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    ids = {f"target group {name}": arn for name, arn in target_groups(aws, wish, service).items()}
    ids |= {f"subnet {each}": each for each in live.get("subnets", [])}
    ids |= {f"security group {each}": each for each in live.get("securityGroups", [])}
    if network.subnets or network.security_groups or wish.registries:
        vpc = vpc_of_subnet(aws, live["subnets"][0]) if live.get("subnets") else ""
        ids |= {f"subnet {name}": each for name, each in subnet_ids(aws, network.subnets or (), vpc).items()}
        groups = group_ids(aws, network.security_groups or (), vpc)
        ids |= {f"security group {name}": each for name, each in groups.items()}
        ids |= registry_arns(aws, wish.registries or (), vpc)
    return ids


def registry_arns(aws: Aws, registries: Iterable[Registry], vpc: str) -> dict[str, str]:
    """ARNs of the Cloud Map services that exist; the namespace must be one of the service's own VPC."""
    found = {}
    for registry in registries:
        namespace_name, _slash, name = registry.service.partition("/")
        namespace = cloudmap.find_namespace(aws, namespace_name, vpc or None)
        service = cloudmap.find_service(aws, name, namespace["Id"]) if namespace else None
        if service:
            found[registry_words(registry)] = str(service["Arn"])
    return found


def target_groups(aws: Aws, wish: Service, service: Mapping[str, Any]) -> dict[str, str]:
    """ARNs by name: of groups in use from the ARN alone, of others by asking; a name AWS does not know is left out."""
    arns = [each["targetGroupArn"] for each in service.get("loadBalancers", []) if each.get("targetGroupArn")]
    found = {arn.split("/")[1]: arn for arn in arns}
    for name in sorted({each.target_group for each in wish.load_balancers or ()} - found.keys()):
        try:
            found[name] = aws.elbv2.describe_target_groups(Names=[name])["TargetGroups"][0]["TargetGroupArn"]
        except aws.elbv2.exceptions.TargetGroupNotFoundException:
            continue
    return found
