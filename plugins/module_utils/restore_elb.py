# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking back what a run wrote to listeners, their rules and target groups; rules go through the rules' own planner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import (
    elb_action,
    elb_listener,
    elb_rule_plan,
    elb_rules,
    elb_target_group,
    routing_proof,
    snapshot_elb,
    tags,
)
from ansible_collections.hokusai.platform.plugins.module_utils.elb_condition import CONFIGS
from ansible_collections.hokusai.platform.plugins.module_utils.elb_listener import Listener
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Policy, Rule, RuleSet
from ansible_collections.hokusai.platform.plugins.module_utils.elb_target_group import HEALTH_CHECK, TargetGroup
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.restore_unit import (
    ELB_TAGS,
    Due,
    Todo,
    Unit,
    tag_steps,
)
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry
from ansible_collections.hokusai.platform.plugins.module_utils.three_way import CHANGE, CREATE, Undo, with_fields

NO_QUOTA = elb_rules.LAST_PRIORITY
"""Rules are made again in the places of rules that were there: AWS is left to say what does not fit."""
LISTENER = "listener"
DEFAULT = "DefaultActions"
MUTUAL = "MutualAuthentication"
Ids = Mapping[str, str]


def group_ids(entries: Iterable[Entry]) -> dict[str, str]:
    """ARN by name of the target groups that listeners and rules forward to."""
    fields = [entry.fields for entry in entries]
    actions = [action for each in fields for action in (*each.get("Actions", ()), *each.get("DefaultActions", ()))]
    return {elb_action.group_name(arn): arn for arn in elb_action.group_arns(actions)}


# --- rules


def rules(listener: str, name: str, undos: Iterable[Undo], ids: Ids, there: Set[str]) -> Unit:
    """All of a listener's rules at once, and with them its default action if that goes back too: their order is safe.

    `ids` are target groups by name, `there` the ARNs of the rules that there were before the run.
    """
    return Unit(
        f"the rules of {name}",
        "elbv2",
        Todo(tuple(undos)),
        lambda aws: (
            *snapshot_elb.listener_rules(aws, name, listener),
            *snapshot_elb.one_listener(aws, name, listener),
        ),
        lambda due: rule_steps(due, listener, name, ids, there),
        prove=lambda state, steps: routing_proof.prove(rule_set(name, state.entries.values()).all, steps),
    )


def turns(undo: Undo) -> bool:
    """Whether a listener's default action is among what goes back."""
    return undo.entry.kind == LISTENER and undo.act == CHANGE and DEFAULT in undo.fields


def rule_set(name: str, entries: Iterable[Entry]) -> RuleSet:
    """The rules of a listener with its default action, as they are."""
    live = list(entries)
    default = next((elb_action.from_aws(each.fields[DEFAULT]) for each in live if each.kind == LISTENER), None)
    return RuleSet(name, tuple(_rule(each) for each in live if each.kind != LISTENER), default=default)


def rule_steps(due: Due, listener: str, name: str, ids: Ids, there: Set[str]) -> Iterator[Step]:
    """The steps of the rules' own planner, with the default action; then what is beside the routes.

    A rule is known by its ARN alone: one of others that answers the same requests is not adopted.
    """
    own = [(entry, fields) for entry, fields in due.changes if entry.kind == LISTENER]
    changes = [(entry, fields) for entry, fields in due.changes if entry.kind != LISTENER]
    before = {entry.id: with_fields(entry, fields) for entry, fields in due.changes}
    moved = {entry.id: before[entry.id] for entry, fields in changes if _moves(fields)}
    wanted = [_rule(entry) for entry in moved.values()]
    wanted += [replace(_rule(entry), arn=arn) for entry, arn in twins(due, there)]
    turned = next((before[entry.id] for entry, fields in own if DEFAULT in fields), None)
    doomed = frozenset(entry.id for entry in due.remove)
    known = {**group_ids([*due.live.values(), *before.values()]), **ids, elb_rule_plan.LISTENER: listener}
    desired = RuleSet(
        name,
        tuple(wanted),
        policy=Policy(owner="", adopt=False, quota=NO_QUOTA, doomed=doomed),
        default=elb_action.from_aws(turned.fields[DEFAULT]) if turned else None,
    )
    observed = Observed(rule_set(name, due.live.values()), known)
    for step in elb_rule_plan.plan(observed, desired):
        exact = _exact(step, moved, due.create, known)
        yield _default_exact(exact, turned, known) if turned else exact
    for entry, fields in changes:
        yield from tag_steps(f"rule {_rule(entry)} of {name}", fields, entry.id, ELB_TAGS)
    for entry, fields in own:
        yield from listener_changes(entry, {key: value for key, value in fields.items() if key != DEFAULT}, ids)


def twins(due: Due, there: Set[str]) -> Iterator[tuple[Entry, str]]:
    """The rules to make again, each with the ARN under which it is made already and waits for its place, or "".

    Those wait at the bottom. What stands elsewhere, or was there before the run, is somebody's, however equal.
    """
    bottom = elb_rules.lowest(2 * len(due.live) + len(due.create))
    known = {*there, *(entry.id for entry in due.remove)}
    waiting = [
        each
        for each in due.live.values()
        if each.kind != LISTENER and each.id not in known and int(each.fields["Priority"]) in bottom
    ]
    for wanted in due.create:
        found = next((each for each in waiting if _content(each) == _content(wanted)), None)
        if found:
            waiting.remove(found)
        yield wanted, found.id if found else ""


def _content(entry: Entry) -> tuple[Any, ...]:
    return (*_rule(entry).content, tuple(sorted(entry.fields.get("Tags", {}).items())))


def _moves(fields: Mapping[str, Any]) -> bool:
    return any(not field.startswith("Tags.") for field in fields)


def _rule(entry: Entry) -> Rule:
    tagged = entry.fields.get("Tags", {})
    rule = elb_rules.from_aws({**entry.fields, "RuleArn": entry.id})
    return replace(rule, name=tagged.get(tags.NAME, ""), tags=tagged)


def _exact(step: Step, changed: Mapping[str, Entry], again: Iterable[Entry], ids: Ids) -> Step:
    """The step with the very lists that were there before: their order means nothing, but it is what was there."""
    if step.verb == "modify_rule":
        source = changed.get(step.args["RuleArn"])
    elif step.verb == "create_rule":
        source = next((entry for entry in again if _makes(step, entry)), None)
    else:
        return step
    if source is None:
        return step
    exact: dict[str, Any] = {}
    if "Conditions" in step.args:
        exact["Conditions"] = [_writable(each) for each in source.fields["Conditions"]]
    if "Actions" in step.args and _still(source, ids):
        exact["Actions"] = source.fields["Actions"]
    if step.verb == "create_rule":
        exact["Tags"] = tags.to_aws(source.fields.get("Tags", {}))
    arguments = {**step.args, **exact}
    return replace(step, args={key: value for key, value in arguments.items() if key != "Tags" or value})


def _still(entry: Entry, ids: Ids) -> bool:
    """Whether what the entry forwards to still has the ARNs that the entry knows."""
    return all(ids.get(name) == arn for name, arn in group_ids([entry]).items())


def _makes(step: Step, entry: Entry) -> bool:
    given, rule = elb_rules.from_aws({**step.args, "RuleArn": ""}), _rule(entry)
    tagged = tags.from_aws(step.args["Tags"]) == tags.owned(rule.tags, owner="", name=rule.name)
    return tagged and given.content == rule.content


def _writable(condition: Mapping[str, Any]) -> dict[str, Any]:
    """A condition as it may be written: AWS reads its values back twice, and takes them once."""
    config = CONFIGS.get(str(condition["Field"]), "")
    return {key: condition[key] for key in ("Field", config if config in condition else "Values") if key in condition}


# --- listeners


def listener(undo: Undo, ids: Ids) -> Unit:
    entry = undo.entry
    return Unit(
        f"listener {entry.name}",
        "elbv2",
        Todo((undo,)),
        lambda aws: (
            snapshot_elb.listeners_at(aws, entry.name, str(entry.where["LoadBalancerArn"]), int(entry.fields["Port"]))
            if undo.act == CREATE
            else snapshot_elb.one_listener(aws, entry.name, entry.id)
        ),
        lambda due: listener_steps(due, ids),
    )


def listener_steps(due: Due, ids: Ids) -> Iterator[Step]:
    for entry in due.remove:
        yield Step("delete_listener", {"ListenerArn": entry.id}, f"listener {entry.name}: not there before the run")
    for entry in due.create:
        for step in elb_listener.creation(_observed(entry, ids), _listener(entry, frozenset(entry.fields))):
            yield _guarded(step, entry) if step.verb == "create_listener" else step
    for entry, fields in due.changes:
        yield from listener_changes(entry, fields, ids)


def listener_changes(entry: Entry, fields: Mapping[str, Any], ids: Ids) -> Iterator[Step]:
    before = with_fields(entry, fields)
    names = frozenset(name.partition(".")[0] for name in fields) - {"Tags"}
    certified = {"Certificates", "ListenerCertificates"}
    names |= certified if names & certified else frozenset()
    wanted = replace(_listener(before, names), attributes=_part(fields, "Attributes"), tags=None)
    seen = _observed(entry, ids, before)
    for step in elb_listener.changes(seen, _listener(entry, names), wanted):
        yield _default_exact(step, before, seen.ids)
    yield from tag_steps(f"listener {entry.name}", fields, entry.id, ELB_TAGS)


def _guarded(step: Step, entry: Entry) -> Step:
    """The step with the demand for certificates of clients that the listener made, if it did."""
    given = entry.fields.get(MUTUAL) or {}
    told = ("Mode", "TrustStoreArn", "IgnoreClientCertificateExpiry", "AdvertiseTrustStoreCaNames")
    taken = {"passthrough": told[:1], "verify": told}.get(given.get("Mode", "off"), ())
    demand = {name: given[name] for name in taken if given.get(name) is not None}
    return replace(step, args={**step.args, MUTUAL: demand}) if demand else step


def _default_exact(step: Step, before: Entry, ids: Ids) -> Step:
    """The step with the very default action that was there before, if it changes that."""
    if DEFAULT not in step.args or not _still(before, ids):
        return step
    return replace(step, args={**step.args, DEFAULT: before.fields[DEFAULT]})


def _part(fields: Mapping[str, Any], outer: str) -> dict[str, str] | None:
    found = {name.partition(".")[2]: value or "" for name, value in fields.items() if name.startswith(f"{outer}.")}
    return found or None


def _observed(entry: Entry, ids: Ids, *others: Entry) -> Observed[Any]:
    certificates = {arn: arn for each in (entry, *others) for arn in _certificates(each)}
    known = {**group_ids([entry, *others]), **ids, **certificates, elb_listener.LISTENER: entry.id}
    return Observed(None, {**known, elb_listener.BALANCER: str(entry.where["LoadBalancerArn"])})


def _certificates(entry: Entry) -> tuple[str, ...]:
    """The default certificate, then the others."""
    default = [each["CertificateArn"] for each in entry.fields.get("Certificates", ())]
    return (*default, *sorted(set(entry.fields.get("ListenerCertificates", {})) - set(default)))


def _listener(entry: Entry, names: frozenset[str]) -> Listener:
    """The listener with the named fields alone, the others unmanaged."""
    fields = entry.fields
    return Listener(
        name=entry.name,
        port=int(fields["Port"]),
        protocol=fields.get("Protocol"),
        certificates=_certificates(entry) or None if names & {"Certificates", "ListenerCertificates"} else None,
        ssl_policy=fields.get("SslPolicy") if "SslPolicy" in names else None,
        default_action=elb_action.from_aws(fields[DEFAULT]) if DEFAULT in names else None,
        attributes=fields.get("Attributes") if "Attributes" in names else None,
        tags=fields.get("Tags") if "Tags" in names else None,
    )


# --- target groups


def target_group(undo: Undo) -> Unit:
    entry = undo.entry
    return Unit(
        f"target group {entry.name}",
        "elbv2",
        Todo((undo,)),
        lambda aws: snapshot_elb.target_groups(aws, [entry.name]),
        target_group_steps,
    )


def target_group_steps(due: Due) -> Iterator[Step]:
    for entry in due.remove:
        why = f"target group {entry.name}: not there before the run"
        yield Step("delete_target_group", {"TargetGroupArn": entry.id}, why)
    for entry in due.create:
        seen: Observed[TargetGroup] = Observed(None, {elb_target_group.VPC: str(entry.fields["VpcId"])})
        group = _group(entry)
        owned = {name: text for name, text in (group.tags or {}).items() if name != tags.MANAGED_BY}
        yield from elb_target_group.creation(seen, replace(group, tags=owned))
    for entry, fields in due.changes:
        named = {key for key, name in HEALTH_CHECK.items() if name in fields} | (
            {"matcher"} if "Matcher" in fields else set()
        )
        check = _group(with_fields(entry, fields)).health_check or {}
        wanted = TargetGroup(
            entry.name,
            health_check={key: value for key, value in check.items() if key in named},
            attributes=_part(fields, "Attributes"),
        )
        yield from elb_target_group.changes(entry.id, _group(entry), wanted)
        yield from tag_steps(f"target group {entry.name}", fields, entry.id, ELB_TAGS)


def _group(entry: Entry) -> TargetGroup:
    group = elb_target_group.from_aws({**entry.fields, "TargetGroupName": entry.name})
    return replace(group, attributes=entry.fields.get("Attributes"), tags=entry.fields.get("Tags"))
