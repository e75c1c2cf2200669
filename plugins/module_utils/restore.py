# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking a run back: judged field by field, then written by the runner in the reverse order of the run's own writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import (
    cloudmap,
    journal_writes,
    restore_cloudwatch,
    restore_ecs,
    restore_elb,
    restore_network,
    restore_route53,
    snapshot,
    snapshot_route53,
    three_way,
)
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import GaveUp, PlatformError
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step, as_data
from ansible_collections.hokusai.platform.plugins.module_utils.restore_unit import Unit
from ansible_collections.hokusai.platform.plugins.module_utils.routing_proof import Proof
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Outcome, converge
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot import Document, Scope
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry, plain
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_field import flat
from ansible_collections.hokusai.platform.plugins.module_utils.successors import Successors
from ansible_collections.hokusai.platform.plugins.module_utils.three_way import (
    CHANGE,
    CREATE,
    REMOVE,
    Judgement,
    Kept,
    Undo,
)
from ansible_collections.hokusai.platform.plugins.module_utils.transaction import Outside, Run

BY_RULE_SET = "load_balancer_rule"
BY_GROUP = "security_group_rule"
ALARM = "alarm"


def judge(
    aws: Aws,
    before: Document,
    entries: Iterable[Mapping[str, Any]],
    after: Document | None,
    others: Successors | None = None,
) -> Judgement:
    """What of a run can be taken back now, `others` being those that wrote since.

    The scope is the one that its own document of before was read with.
    """
    journal = journal_writes.read(entries)
    return restore_ecs.with_revisions(
        aws, three_way.judge(before, journal, observe(aws, before, journal), after, others)
    )


def observe(aws: Aws, before: Document, journal: journal_writes.Journal) -> Document:
    """The environment now, with the revisions that are newer than those of before if the run registered any.

    A namespace takes a minute to be made: one that the run had begun to make when it was cut off is waited for.
    """
    scope = Scope.from_params(before["scope"])
    if any(write.kind == "namespace" and write.act == journal_writes.CREATE for write in journal.writes):
        for operation in cloudmap.pending(aws, "CREATE_NAMESPACE"):
            cloudmap.wait_end(aws, operation)
    now = snapshot.read(aws, scope)
    floors = registered(before, journal)
    if floors:
        ours = {each["id"]: each for each in now["resources"] if each["kind"] == "ecs_service"}
        fresh = restore_ecs.revisions(aws, scope.cluster, floors, ours)
        now["resources"] += [entry.as_data() for entry in fresh]
    return now


def registered(before: Document, journal: journal_writes.Journal) -> dict[str, str]:
    """The families in which the run registered revisions, with the newest revision of each before the run."""
    families = {str(write.where["family"]) for write in journal.writes if write.where.get("family")}
    newest = {each["id"]: each["fields"] for each in before["resources"] if each["kind"] == "task_definition_family"}
    return {name: str(newest[name].get("newest", "")) for name in sorted(families & set(newest))}


# --- the units, in their order


def units(judgement: Judgement, before: Document, waiting: Mapping[str, Any]) -> list[Unit]:
    """What is taken back together, the latest write first. `waiting` are the options of waiting for a deployment."""
    scope = Scope.from_params(before["scope"])
    groups = restore_elb.group_ids(judgement.after) | {
        entry.name: entry.id for entry in judgement.after if entry.kind == "target_group"
    }
    listeners = {entry.id: entry.name for entry in _known(judgement, before) if entry.kind == "listener"}
    secured = {entry.id: entry.name for entry in _known(judgement, before) if entry.kind == "security_group"}
    ruled = _by(judgement.undos, BY_RULE_SET, "ListenerArn")
    turned = {undo.entry.id: undo for undo in judgement.undos if restore_elb.turns(undo)}
    there = {each["id"] for each in before["resources"] if each["kind"] == BY_RULE_SET}
    made = [
        restore_elb.rules(
            arn, listeners.get(arn, arn), [*undos, *([turned[arn]] if arn in turned else [])], groups, there
        )
        for arn, undos in ruled
    ]
    made += [
        restore_network.group_rules(group, secured[group], scope.vpc, undos)
        for group, undos in _by(judgement.undos, BY_GROUP, "GroupId")
    ]
    made += [
        restore_route53.records(zone, undos)
        for zone, undos in _by(judgement.undos, snapshot_route53.KIND, "HostedZoneId")
    ]
    alarms = [undo for undo in judgement.undos if undo.entry.kind == ALARM]
    made += [restore_cloudwatch.alarms(alarms)] if alarms else []
    floors = {
        each["id"]: str(each["fields"].get("newest", ""))
        for each in before["resources"]
        if each["kind"] == "task_definition_family"
    }
    taken = {turned[arn].key for arn, _undos in ruled if arn in turned}
    for undo in judgement.undos:
        made += [] if undo.key in taken else _alone(undo, scope, groups, floors, waiting)
    return sorted(made, key=lambda unit: -unit.at)


def _known(judgement: Judgement, before: Document) -> Iterator[Entry]:
    yield from (undo.entry for undo in judgement.undos)
    yield from judgement.after
    yield from three_way.entries(before).values()


def _by(undos: Iterable[Undo], kind: str, place: str) -> list[tuple[str, list[Undo]]]:
    found: dict[str, list[Undo]] = {}
    for undo in undos:
        if undo.entry.kind == kind:
            found.setdefault(str(undo.entry.where[place]), []).append(undo)
    return list(found.items())


def _alone(
    undo: Undo, scope: Scope, groups: Mapping[str, str], floors: Mapping[str, str], waiting: Mapping[str, Any]
) -> list[Unit]:
    family = str(undo.entry.where.get("family", ""))
    how: Mapping[str, Callable[[], Unit]] = {
        "listener": lambda: restore_elb.listener(undo, groups),
        "target_group": lambda: restore_elb.target_group(undo),
        "namespace": lambda: restore_network.namespace(undo, scope.vpc),
        "discovery_service": lambda: restore_network.service(undo, scope.namespace, scope.vpc),
        "ecs_service": lambda: restore_ecs.service(undo, waiting),
        "dashboard": lambda: restore_cloudwatch.dashboard(undo),
        "log_group": lambda: restore_cloudwatch.logs(undo),
        "metric_filter": lambda: restore_cloudwatch.logs(undo),
        "task_definition": lambda: (
            restore_ecs.registration(undo)
            if isinstance(undo, restore_ecs.Registration)
            else restore_ecs.revision(undo, scope.cluster, {family: floors.get(family, "")})
        ),
    }
    return [how[undo.entry.kind]()] if undo.entry.kind in how else []


# --- doing it


@dataclass
class Restored:
    """What was done, or in check mode would be, in its order; and what was kept, with why."""

    steps: list[Step] = field(default_factory=list)
    ends: list[tuple[str, Outcome[Any]]] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)

    def proofs(self) -> Iterator[tuple[str, Proof]]:
        """What is known of the requests that arrive meanwhile, by what is taken back."""
        yield from ((name, outcome.proof) for name, outcome in self.ends if outcome.proof)

    @property
    def astray(self) -> list[str]:
        """The requests of which it is known that they go astray."""
        return [f"{name}: {proof.astray}" for name, proof in self.proofs() if proof.astray]

    @property
    def unproved(self) -> list[str]:
        """What is taken back without it being known whether a request goes astray."""
        return [f"{name}: {proof}" for name, proof in self.proofs() if proof.reason]

    @property
    def diff(self) -> dict[str, Any]:
        """The two ends of all plans, with only what differs."""
        ends: dict[str, dict[str, Any]] = {"before": {}, "after": {}}
        for _name, outcome in self.ends:
            was, becomes = as_data(outcome.before) or {}, as_data(outcome.after) or {}
            for resource in sorted({*was, *becomes}):
                if was.get(resource) != becomes.get(resource):
                    for end, data in (("before", was), ("after", becomes)):
                        if resource in data:
                            ends[end][resource] = plain(data[resource])
        return ends


def apply(
    aws: Aws,
    judgement: Judgement,
    before: Document,
    params: Mapping[str, Any],
    *,
    dry: bool,
    within: Outside | None = None,
) -> Restored:
    """Take back unit after unit. An error stops it: what is then done is the end of the run, and the rest still stands.

    Its details have the steps of all units, so that running again is known to go on from there. A unit on whose way a
    request would go astray is such an error, unless `dry` or with the option allow_misrouting. What is made again has
    another id than before: the units that come after it refer to that.
    """
    done = Restored(kept=list(judgement.kept))
    todo = units(judgement, before, params)
    for place in range(len(todo)):
        unit = todo[place]
        try:
            if names := _apply(aws, unit, params, done, dry=dry, within=within):
                judgement = judgement.renamed(names)
                todo = units(judgement, before, params)
        except PlatformError as error:
            own = list(error.details.get("steps_done", ()))
            error.details["steps_done"] = [step.shown() for step in done.steps] + own
            raise
    return done


def _apply(
    aws: Aws, unit: Unit, params: Mapping[str, Any], done: Restored, *, dry: bool, within: Outside | None
) -> Mapping[str, str]:
    """The ids that what was made again has, by those that it had: none yet if `dry`."""
    reason = unit.stays or (unit.ready(aws) if unit.ready and not dry else "")
    if reason:
        done.kept += [Kept(undo.entry.kind, undo.entry.id, undo.entry.name, reason) for undo in unit.todo.undos]
        return {}
    if isinstance(within, Run):
        within.resource = unit.name
    strict = not dry and not params.get("allow_misrouting")
    try:
        outcome = converge(unit.resource(strict=strict), aws, {**params, **unit.params}, dry=dry, transaction=within)
    except GaveUp as error:
        if unit.service != "ecs":
            raise
        # What it goes back to may be what was broken. It is sent there all the same, and so is everything else.
        done.steps += [Step(each["verb"], {}, each["why"]) for each in error.details.get("steps_done", ())]
        done.kept += [Kept(undo.entry.kind, undo.entry.id, undo.entry.name, str(error)) for undo in unit.todo.undos]
        return {}
    done.steps += outcome.steps
    done.ends.append((unit.name, outcome))
    there = outcome.after if outcome.steps else outcome.before  # with nothing to do, `after` is what was wished
    return unit.remade(there) if there and not dry else {}


# --- what it comes to


def fields(judgement: Judgement, now: Mapping[three_way.Key, Entry], kept: Iterable[Kept]) -> list[dict[str, Any]]:
    """The fields that go back, each with its value until now and the one it gets; and resources that go or come."""
    staying = {(each.kind, each.id) for each in kept if not each.field}
    told = []
    for undo in judgement.undos:
        common = {"kind": undo.entry.kind, "id": undo.entry.id, "name": undo.entry.name}
        if undo.act in (REMOVE, CREATE) and undo.key not in staying:
            told.append({**common, "act": "removed" if undo.act == REMOVE else "made again"})
        elif undo.act == CHANGE:
            live = flat(now[undo.key].fields)
            told += [
                {**common, "act": "changed", "field": name, "from": plain(live.get(name)), "to": plain(value)}
                for name, value in undo.due(now[undo.key]).items()
            ]
    return told
