# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking back what a run wrote to ECS: a service goes back to the revision it ran, and a revision nobody runs goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import ecs_deployment, snapshot_ecs, tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_observation import read_revision
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, calling
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step
from ansible_collections.hokusai.platform.plugins.module_utils.resource_identity import AGAIN
from ansible_collections.hokusai.platform.plugins.module_utils.restore_unit import ECS_TAGS, Due, Todo, Unit, tag_steps
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry
from ansible_collections.hokusai.platform.plugins.module_utils.task_definition import Revision
from ansible_collections.hokusai.platform.plugins.module_utils.three_way import (
    CHANGE,
    CREATE,
    Judgement,
    Kept,
    Undo,
)

REVISION = "taskDefinition"
NOTHING: Mapping[str, Any] = {"serviceRegistries": [], "loadBalancers": [], "healthCheckGracePeriodSeconds": 0}
"""What UpdateService takes for a field that was not there before."""


def service(undo: Undo, waiting: Mapping[str, Any]) -> Unit:
    """`waiting` are the options wait, wait_timeout and wait_delay."""
    where = undo.entry.where
    return Unit(
        f"service {where['service']}",
        "ecs",
        Todo((undo,)),
        lambda aws: snapshot_ecs.one_service(aws, where["cluster"], where["service"]),
        service_steps,
        settle=ecs_deployment.settle,
        params={**waiting, **where},
    )


def service_steps(due: Due) -> Iterator[Step]:
    """One UpdateService, and so one deployment, for everything; the values are those that AWS told before."""
    for entry, fields in due.changes:
        what = f"service {entry.where['service']}"
        plain = {name: value for name, value in fields.items() if not name.startswith("Tags.")}
        if plain:
            values = {name: NOTHING.get(name) if value is None else value for name, value in plain.items()}
            arguments = {**entry.where, **{name: value for name, value in values.items() if value is not None}}
            why = ", ".join(_says(name, values[name]) for name in sorted(values))
            yield Step("update_service", arguments, f"{what}: {why} as before the run")
        yield from tag_steps(what, fields, entry.id, ECS_TAGS)


def _says(name: str, value: Any) -> str:
    return f"revision {ecs_deployment.label(value)}" if name == REVISION else name


@dataclass(frozen=True)
class Registration(Undo):
    """A revision that was deregistered, and that is registered again, with another number. It is never shown."""

    revision: Revision | None = None


def with_revisions(aws: Aws, judgement: Judgement) -> Judgement:
    """With what it takes that a service can run again what it ran before: ECS starts no revision that is INACTIVE."""
    undos: list[Undo] = []
    kept = list(judgement.kept)
    names: dict[str, str] = {}
    for undo in judgement.undos:
        arn = _revision_due(undo, judgement)
        was = _known(aws, arn) if arn else None
        if arn and was is None:
            now = judgement.now[undo.key].fields.get(REVISION)
            kept.append(Kept("ecs_service", undo.entry.id, undo.entry.name, "it was deleted", REVISION, arn, now=now))
            rest = {name: back for name, back in undo.fields.items() if name != REVISION}
            undos += [replace(undo, fields=rest)] if rest else []
            continue
        if was and not was.is_active:
            if equal := _equal(aws, was):
                names[arn] = equal[0]
            else:
                entry = Entry("task_definition", arn, was.label, {}, {"family": was.family, AGAIN: arn})
                undos.append(Registration(CREATE, entry, undo.at, revision=was))
        undos.append(undo)
    return replace(judgement, undos=tuple(undos), kept=tuple(kept)).renamed(names)


def _revision_due(undo: Undo, judgement: Judgement) -> str:
    """The ARN of the revision that a service is to run again, "" if none is due."""
    if undo.entry.kind != "ecs_service" or undo.act != CHANGE:
        return ""
    return str(undo.due(judgement.now.get(undo.key)).get(REVISION) or "")


def _known(aws: Aws, arn: str) -> Revision | None:
    """A revision, be it deregistered; None if AWS does not know it any more."""
    try:
        with calling(f"describe {ecs_deployment.label(arn)}"):
            return read_revision(aws, arn)
    except AwsError as error:
        if error.code != "ClientException":
            raise
        return None


def _equal(aws: Aws, wanted: Revision) -> list[str]:
    """The ARNs of the active revisions that were registered since with the same content."""
    found = filter(None, (_known(aws, arn) for arn in _newer(aws, wanted.family, wanted.arn)))
    return [one.arn for one in found if wanted.same_as(one) and one.same_as(wanted)]


def registration(undo: Registration) -> Unit:
    entry, wanted = undo.entry, undo.revision

    def read(aws: Aws) -> list[Entry]:
        equal = _equal(aws, wanted) if wanted else []
        return [Entry(entry.kind, arn, ecs_deployment.label(arn), {}, entry.where) for arn in equal]

    def steps(due: Due) -> Iterator[Step]:
        if due.create and wanted:
            why = f"revision {wanted.label}: deregistered since, so registered again with another number"
            yield Step("register_task_definition", wanted.arguments, why)

    return Unit(f"revision {entry.name}", "ecs", Todo((undo,)), read, steps)


def revision(undo: Undo, cluster: str, floors: Mapping[str, str]) -> Unit:
    """`floors` are the newest revisions before the run, by family."""
    entry = undo.entry

    def read(aws: Aws) -> list[Entry]:
        return [each for each in revisions(aws, cluster, floors, {}) if each.id == entry.id]

    return Unit(f"revision {entry.name}", "ecs", Todo((undo,)), read, revision_steps)


def revision_steps(due: Due) -> Iterator[Step]:
    for entry in due.remove:
        why = f"revision {entry.name}: registered by the run, and no service runs it"
        yield Step("deregister_task_definition", {"taskDefinition": entry.id}, why)


def revisions(aws: Aws, cluster: str, floors: Mapping[str, str], ours: Mapping[str, Any]) -> Iterator[Entry]:
    """The active revisions that are newer than the newest of before, by family, with the services that run them.

    `ours` are the services of the environment by ARN: what runs in others keeps a revision from being deregistered.
    """
    fresh = {family: list(_newer(aws, family, floor)) for family, floor in floors.items()}
    if not any(fresh.values()):
        return
    users = _users(aws, cluster)
    for family, arns in fresh.items():
        for arn in arns:
            with calling(f"read the tags of {ecs_deployment.label(arn)}"):
                tagged = tags.from_aws(aws.ecs.list_tags_for_resource(resourceArn=arn).get("tags"))
            services = sorted(users.get(arn, set()) - set(ours))
            where = {"family": family, "owned": tags.is_owned(tagged), "services": services}
            yield Entry("task_definition", arn, ecs_deployment.label(arn), {"Tags": tagged}, where)


def _newer(aws: Aws, family: str, floor: str) -> Iterator[str]:
    number = int(floor.rpartition(":")[2] or 0)
    with calling(f"list the revisions of {family}"):
        pages = aws.ecs.get_paginator("list_task_definitions").paginate(
            familyPrefix=family, status="ACTIVE", sort="DESC"
        )
        for page in pages:
            for arn in page["taskDefinitionArns"]:
                if int(arn.rpartition(":")[2]) <= number:
                    return
                if snapshot_ecs.family_of(arn) == family:
                    yield arn


def _users(aws: Aws, cluster: str) -> dict[str, set[str]]:
    """By revision the services of the cluster one of whose deployments runs it."""
    with calling(f"list the services of the cluster {cluster}"):
        pages = aws.ecs.get_paginator("list_services").paginate(cluster=cluster)
        names: Sequence[str] = [arn for page in pages for arn in page["serviceArns"]]
    users: dict[str, set[str]] = {}
    for found in snapshot_ecs.describe(aws, cluster, names):
        for deployment in found.get("deployments", ()):
            users.setdefault(deployment["taskDefinition"], set()).add(found["serviceArn"])
    return users
