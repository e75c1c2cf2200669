# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ECS services and the families of their revisions, as a snapshot has them: by the revision's ARN alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_observation import primary
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, NotFound, calling
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry, each, without

SERVICES_PER_CALL = 10
"""ECS API reference: DescribeServices."""
SERVICE_VOLATILE = {
    "serviceArn": "the id",
    "serviceName": "the name",
    "clusterArn": "said in where",
    "deployments": "deployments have new ids each time; the PRIMARY one's revision is taskDefinition",
    "taskSets": "of deployments that another controller runs",
    "currentServiceDeployment": "the ARN of a deployment",
    "currentServiceRevisions": "what a deployment was made of, with counts",
    "events": "events",
    "runningCount": "a count",
    "pendingCount": "a count",
    "status": "a status text",
    "platformFamily": "follows from the revision",
    "createdAt": "a time",
}
FAMILY_VOLATILE = {"taskDefinitionArns": "of all revisions only the newest active one counts, as newest"}
Described = Mapping[str, Any]


def services(aws: Aws, cluster: str, names: Sequence[str]) -> Iterator[Entry]:
    """The services of these names that are not deleted, and the newest active revision of each of their families."""
    if not (cluster and names):
        return
    found = [one for one in describe(aws, cluster, names) if one["status"] == "ACTIVE"]
    entries = [_service(one) for one in found]
    yield from entries
    families = sorted({family_of(entry.fields["taskDefinition"]) for entry in entries})
    yield from each(lambda family: _family(aws, family), families)


def one_service(aws: Aws, cluster: str, name: str) -> list[Entry]:
    """The service as it is now; none if it is deleted."""
    return [_service(one) for one in describe(aws, cluster, [name]) if one["status"] == "ACTIVE"]


def describe(aws: Aws, cluster: str, names: Sequence[str]) -> list[Described]:
    """The services, deleted ones among them, with their tags. Raises `NotFound` for a cluster that is none."""
    found: list[Described] = []
    for start in range(0, len(names), SERVICES_PER_CALL):
        some = list(names[start : start + SERVICES_PER_CALL])
        try:
            with calling(f"describe the services of the cluster {cluster}"):
                found += aws.ecs.describe_services(cluster=cluster, services=some, include=["TAGS"])["services"]
        except AwsError as error:
            if error.code != "ClusterNotFoundException":
                raise
            remedy = "check its name, the region and the account"
            raise NotFound(f"There is no ECS cluster {cluster} in {aws.region}", remedy) from None
    return found


def _service(found: Described) -> Entry:
    fields = without({**found, "tags": None}, SERVICE_VOLATILE)
    fields["Tags"] = tags.from_aws(found.get("tags"))
    fields["taskDefinition"] = primary(found)["taskDefinition"]
    cluster = found["clusterArn"].rpartition("/")[2]
    name = f"{cluster}/{found['serviceName']}"
    return Entry(
        "ecs_service", found["serviceArn"], name, fields, {"cluster": cluster, "service": found["serviceName"]}
    )


def _family(aws: Aws, family: str) -> Entry:
    return Entry("task_definition_family", family, family, {"newest": newest(aws, family)})


def newest(aws: Aws, family: str) -> str:
    """The ARN of the family's newest active revision, "" when all are deregistered."""
    with calling(f"list the revisions of {family}"):
        arns = aws.ecs.list_task_definitions(familyPrefix=family, status="ACTIVE", sort="DESC", maxResults=1)
    return str(next(iter(arns["taskDefinitionArns"]), ""))


def family_of(arn: str) -> str:
    """`FAMILY` of `...:task-definition/FAMILY:NUMBER`."""
    return arn.rpartition("/")[2].rpartition(":")[0]
