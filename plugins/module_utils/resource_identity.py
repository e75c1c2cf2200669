# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which resource is which: what makes it the one it is when its id is not known, or is another one by now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from ansible_collections.hokusai.platform.plugins.module_utils import alarm_rule, elb_action, elb_rules
from ansible_collections.hokusai.platform.plugins.module_utils.journal_writes import Written
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_field import flat, holds, same

AGAIN = "again"
"""In the place of a revision: the one whose content it has again."""
REFERRED = frozenset({"target_group", "listener", "namespace", "discovery_service", "security_group"})
"""What others refer to by an id that nothing else has."""


def references(entry: Entry) -> Iterator[str]:
    """The ids of what a resource refers to."""
    fields = entry.fields
    yield from alarm_rule.named(str(fields.get("AlarmRule", "")))
    if suppressor := fields.get("ActionsSuppressor"):
        yield suppressor.rpartition(":alarm:")[2]
    yield from fields.get("deploymentConfiguration", {}).get("alarms", {}).get("alarmNames", ())
    yield from elb_action.group_arns((*fields.get("Actions", ()), *fields.get("DefaultActions", ())))
    yield from (each["registryArn"] for each in fields.get("serviceRegistries", ()))
    yield from (each["targetGroupArn"] for each in fields.get("loadBalancers", ()) if "targetGroupArn" in each)
    if "taskDefinition" in fields:
        yield str(fields["taskDefinition"])
    yield from (str(entry.where[name]) for name in ("ListenerArn", "NamespaceId") if name in entry.where)


def is_made_as(entry: Entry, lost: Written) -> bool:
    """Whether a resource is the one that was to be created: in that place, by that name, with those tags or content."""
    place = {key: value for key, value in lost.where.items() if key not in ("name", "Port")}
    if any(str(entry.where.get(key, "")) != str(value) for key, value in place.items()):
        return False
    if "name" in lost.where and entry.name.partition(".")[0] != lost.where["name"] != entry.name:
        return False
    if entry.kind == "task_definition":
        return bool(entry.where.get("owned"))
    live = flat(entry.fields)
    tagged = {name: values for name, values in lost.values.items() if name.startswith("Tags.hokusai:")}
    if not all(live.get(name) in values for name, values in tagged.items()):
        return False
    return entry.kind not in IDENTIFIED or all(
        any(holds(entry.kind, name, live.get(name), value) for value in lost.values.get(name, [None]))
        for name in IDENTIFIED[entry.kind]
    )


PRIORITY = "Priority"


def is_sunk(entry: Entry, there: Iterable[Entry]) -> bool:
    """Whether it is a rule at the very bottom of its listener, where rules are put that come or go, until they do."""
    if entry.kind != "load_balancer_rule":
        return False
    beside = sum(each.kind == entry.kind and dict(each.where) == dict(entry.where) for each in there)
    return int(entry.fields[PRIORITY]) in elb_rules.lowest(2 * beside)


IDENTIFIED: Mapping[str, Sequence[str]] = {
    "security_group_rule": (
        *("IsEgress", "IpProtocol", "FromPort", "ToPort"),
        *("CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupInfo"),
    ),
    "listener": ("Port",),
}
"""What makes a resource without a name the one it is, beside its place: EC2 takes the same rule once in a group."""


CONTENT: Mapping[str, frozenset[str]] = {"security_group_rule": frozenset(IDENTIFIED["security_group_rule"])}
"""Fields that go back together: a port of before beside a stranger's network would open what nobody ever asked for."""


def inseparable(kind: str, foreign: Set[str]) -> Set[str]:
    """The fields that cannot go back because some are somebody else's."""
    content = CONTENT.get(kind, frozenset())
    return content if content & foreign else frozenset()


def is_twin(entry: Entry, was: Entry) -> bool:
    """Whether a resource stands where another one, now gone, would have to be made again."""
    if entry.kind != was.kind:
        return False
    if entry.kind in IDENTIFIED:
        now, then = flat(entry.fields), flat(was.fields)
        alike = all(same(was.kind, name, now.get(name), then.get(name)) for name in IDENTIFIED[entry.kind])
        return alike and dict(entry.where) == dict(was.where)
    if AGAIN in was.where:
        return bool(entry.where.get(AGAIN) == was.where[AGAIN])
    return entry.kind in ("target_group", "namespace", "discovery_service") and entry.name == was.name


def remade(gone: Iterable[Entry], live: Iterable[Entry]) -> dict[str, str]:
    """For each resource that is gone and stands there again, by the ids that it had those that it has."""
    live = list(live)
    found: dict[str, str] = {}
    for was in gone:
        if twin := next((each for each in live if is_twin(each, was)), None):
            found.update(zip(was.ids, twin.ids, strict=True))
    return found
