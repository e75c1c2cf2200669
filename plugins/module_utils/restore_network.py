# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking back what a run wrote to security groups' rules, by their `sgr-` ids, and to Cloud Map."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import (
    cloudmap,
    discovery_service,
    security_group,
    security_group_plan,
    snapshot_network,
    tags,
)
from ansible_collections.hokusai.platform.plugins.module_utils.aws import REREAD_DELAYS, Aws, look_until
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, calling
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step
from ansible_collections.hokusai.platform.plugins.module_utils.restore_unit import (
    CLOUDMAP_TAGS,
    EC2_TAGS,
    Due,
    Todo,
    Unit,
    tag_steps,
)
from ansible_collections.hokusai.platform.plugins.module_utils.security_group_change import Change
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry
from ansible_collections.hokusai.platform.plugins.module_utils.three_way import REMOVE, Undo, with_fields

LEAVING_SECONDS = 120.0
"""How long the instances of a discovery service may take to go once no task registers there."""
LOOK_SECONDS = 2.0


# --- security groups


def group_rules(group_id: str, group: str, vpc: str, undos: Iterable[Undo]) -> Unit:
    """All rules of a security group: added, then changed in place, then revoked."""

    def read(aws: Aws) -> list[Entry]:
        found = snapshot_network.security_groups(aws, [group], vpc)
        return [each for each in found if each.kind == "security_group_rule" and each.where["GroupId"] == group_id]

    steps = security_group_plan.Group(group, (), group_id)
    return Unit(f"security group {group}", "ec2", Todo(tuple(undos)), read, lambda due: group_rule_steps(due, steps))


def group_rule_steps(due: Due, group: security_group_plan.Group) -> Iterator[Step]:
    """A rule of the run whose content another one gets back goes before that: EC2 takes no two equal ones.

    And one is made again after the one that has its content until then has changed.
    """
    taken = {_group_rule(entry).content for entry, _fields in due.changes}
    waiting = [entry for entry in due.create if _group_rule(entry).content in taken]
    yield from (_made_again(group, entry) for entry in due.create if entry not in waiting)
    names = {entry.id: sorted(each for each in fields if not each.startswith("Tags.")) for entry, fields in due.changes}
    changes = [
        Change(_group_rule(entry), _group_rule(with_fields(entry, fields)))
        for entry, fields in due.changes
        if names[entry.id]
    ]
    contents = {each.after.content for each in changes}
    doomed = [_group_rule(entry) for entry in due.remove]
    yield from (security_group_plan.revoke(group, rule) for rule in doomed if rule.content in contents)
    yield from security_group_plan.modify(group, changes, _itself, lambda each: _words(names, each.after))
    for entry, fields in due.changes:
        yield from tag_steps(f"security group {group.name}, rule {entry.id}", fields, entry.id, EC2_TAGS)
    yield from (_made_again(group, entry) for entry in waiting)
    yield from (security_group_plan.revoke(group, rule) for rule in doomed if rule.content not in contents)


def _made_again(group: security_group_plan.Group, entry: Entry) -> Step:
    step = security_group_plan.add(group, _group_rule(entry), tags.OWNER, _itself)
    listed = tags.to_aws(entry.fields.get("Tags", {}))
    arguments = {key: value for key, value in step.args.items() if key != "TagSpecifications"}
    if listed:
        arguments["TagSpecifications"] = [{"ResourceType": "security-group-rule", "Tags": listed}]
    return replace(step, args=arguments)


def _words(names: Mapping[str, Iterable[str]], rule: security_group.Rule) -> str:
    return f"rule {rule.id} ({rule.name or 'without a name'}): {', '.join(names[str(rule.id)])} as before the run"


def _group_rule(entry: Entry) -> security_group.Rule:
    listed = {**entry.fields, "SecurityGroupRuleId": entry.id, "Tags": tags.to_aws(entry.fields.get("Tags", {}))}
    return security_group.from_aws(listed, {}, tags.OWNER)


def _itself(spoken: str, _remedy: str) -> str:
    """Peers are known by their ids here."""
    return spoken.rpartition(" ")[2]


# --- Cloud Map


def namespace(undo: Undo, vpc: str) -> Unit:
    entry = undo.entry

    def read(aws: Aws) -> list[Entry]:
        found = snapshot_network.discovery(aws, entry.name, vpc)
        return [each for each in found if each.kind == "namespace"]

    def steps(due: Due) -> Iterator[Step]:
        return namespace_steps(due)

    ready = (lambda aws: still_used(aws, entry, vpc)) if undo.act == REMOVE else None
    return Unit(
        f"namespace {entry.name}",
        "servicediscovery",
        Todo((undo,)),
        read,
        steps,
        ready=ready,
        settle=cloudmap.settle,
    )


def still_used(aws: Aws, entry: Entry, vpc: str) -> str:
    """Why the namespace cannot go: services that are still in it once those of the run are gone; reads may lag."""

    def look() -> list[str]:
        found = snapshot_network.discovery(aws, entry.name, vpc)
        return sorted(each.name for each in found if each.kind == "discovery_service")

    services = look_until(look, lambda found: not found, REREAD_DELAYS)
    return f"in use by {', '.join(services)}" if services else ""


def namespace_steps(due: Due) -> Iterator[Step]:
    for entry in due.remove:
        yield Step("delete_namespace", {"Id": entry.id}, f"namespace {entry.name}: not there before the run")
    for entry, fields in due.changes:
        what = f"namespace {entry.name}"
        if "Description" in fields:
            arguments = {"Id": entry.id, "Namespace": {"Description": fields["Description"] or ""}}
            yield Step("update_private_dns_namespace", arguments, f"{what}: description as before the run")
        yield from tag_steps(what, fields, str(entry.where["Arn"]), CLOUDMAP_TAGS)


def service(undo: Undo, namespace_name: str, vpc: str) -> Unit:
    entry = undo.entry

    def read(aws: Aws) -> list[Entry]:
        found = snapshot_network.discovery(aws, namespace_name, vpc)
        return [each for each in found if each.key == undo.key or each.name == entry.name]

    ready = (lambda aws: still_registered(aws, entry)) if undo.act == REMOVE else None
    return Unit(
        f"discovery service {entry.name}",
        "servicediscovery",
        Todo((undo,)),
        read,
        service_steps,
        ready=ready,
        settle=cloudmap.settle,
    )


def service_steps(due: Due) -> Iterator[Step]:
    for entry in due.remove:
        yield Step("delete_service", {"Id": entry.id}, f"service {entry.name}: not there before the run")
    for entry in due.create:
        step = _creation(entry, str(entry.where["NamespaceId"]))
        yield replace(step, args={**step.args, "Tags": tags.to_aws(entry.fields.get("Tags", {}))})
    for entry, fields in due.changes:
        what, wanted = f"service {entry.name}", _service(with_fields(entry, fields))
        plain = sorted(name for name in fields if not name.startswith("Tags."))
        if plain:
            arguments = discovery_service.update_arguments(wanted)
            yield Step("update_service", arguments, f"{what}: {', '.join(plain)} as before the run")
        yield from tag_steps(what, fields, str(entry.where["Arn"]), CLOUDMAP_TAGS)


def _creation(entry: Entry, namespace_id: str) -> Step:
    return discovery_service.create(_service(entry), lambda _words, _remedy: namespace_id)


def _service(entry: Entry) -> discovery_service.Service:
    name, _dot, within = entry.name.partition(".")
    listed: dict[str, Any] = {**entry.fields, "Name": name, "Id": entry.id, "Arn": entry.where["Arn"]}
    return discovery_service.described(listed, entry.fields.get("Tags", {}), within)


def still_registered(aws: Aws, entry: Entry) -> str:
    """Why the service cannot go: instances that are still there after the time that ECS takes to deregister its own."""
    deadline = time.monotonic() + LEAVING_SECONDS
    while True:
        try:
            with calling(f"list the instances of {entry.name}"):
                left = cloudmap.instance_addresses(aws, entry.id)
        except AwsError as error:
            if error.code != "ServiceNotFound":
                raise
            return ""
        if not left:
            return ""
        if time.monotonic() >= deadline:
            return f"created by the run, and {', '.join(sorted(left))} are still registered there"
        time.sleep(LOOK_SECONDS)
