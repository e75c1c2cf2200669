# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a run can be taken back: before, what the run wrote, and what there is now, field by field.

A field that holds what the run wrote goes back; one that holds what was before needs nothing; any other value is
somebody else's and is kept. A resource that the run did not create is never removed, one that it did create goes when
nothing uses it and nobody changed it, and what the run removed is made again. Pure: everything here is data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import attribution, elb_action
from ansible_collections.hokusai.platform.plugins.module_utils.journal_writes import Journal, Written
from ansible_collections.hokusai.platform.plugins.module_utils.redaction import texts
from ansible_collections.hokusai.platform.plugins.module_utils.resource_identity import (
    CONTENT,
    PRIORITY,
    REFERRED,
    inseparable,
    is_made_as,
    is_sunk,
    is_twin,
    references,
    remade,
)
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry, renamed
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_field import (
    flat,
    holds,
    holds_one,
    nested,
    same,
)
from ansible_collections.hokusai.platform.plugins.module_utils.successors import Successors

Key = tuple[str, str]
Document = Mapping[str, Any]

CHANGE, REMOVE, CREATE = "change", "remove", "create"
DERIVED = frozenset({("task_definition_family", "newest")})
"""Fields that nobody writes and that follow from what is judged as a resource of its own."""


@dataclass(frozen=True)
class Back:
    """A field that goes back to `before` as long as it holds one of the values `written`.

    `ended` is what it held at the run's end, None where that is not known.
    """

    before: Any
    written: tuple[Any, ...]
    ended: Any = None

    def is_held(self, kind: str, name: str, live: Any) -> bool:
        return holds_one(kind, name, live, self.written, self.ended)


@dataclass(frozen=True)
class Kept:
    """What is not taken back, and why. `field` is "" where it is about the resource as a whole."""

    kind: str
    id: str
    name: str
    reason: str
    field: str = ""
    before: Any = None
    written: Any = None
    now: Any = None

    def as_data(self) -> dict[str, Any]:
        return dict(self.__dict__)


@dataclass(frozen=True)
class Undo:
    """What is to be done to one resource. `entry` is as it was before, for a removal as it is now.

    `at` is the number of the write that it takes back: the later the write, the earlier it is taken back.
    """

    act: str
    entry: Entry
    at: int
    fields: Mapping[str, Back] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.entry.key

    def renamed(self, names: Mapping[str, str]) -> Undo:
        fields = {name: replace(back, before=renamed(back.before, names)) for name, back in self.fields.items()}
        return replace(self, entry=self.entry.renamed(names), fields=fields)

    def due(self, live: Entry | None) -> dict[str, Any]:
        """The fields to write now with their values, given what there is now: none that holds a stranger's value."""
        now, kind = flat(live.fields) if live else {}, self.entry.kind
        changed = {name: back for name, back in self.fields.items() if not same(kind, name, now.get(name), back.before)}
        foreign = {name for name, back in changed.items() if not back.is_held(kind, name, now.get(name))}
        return {name: back.before for name, back in changed.items() if name not in foreign | inseparable(kind, foreign)}


@dataclass(frozen=True)
class Judgement:
    """What goes back, in the order in which it does, what is kept, and the writes that nothing here takes back."""

    undos: tuple[Undo, ...]
    kept: tuple[Kept, ...]
    after: tuple[Entry, ...]
    """What there is once everything has gone back."""
    now: Mapping[Key, Entry] = field(default_factory=dict)
    other: tuple[Mapping[str, str], ...] = ()

    def renamed(self, names: Mapping[str, str]) -> Judgement:
        """With the ids that resources got when they were made again, by those that they had."""
        undos = tuple(undo.renamed(names) for undo in self.undos)
        return replace(self, undos=undos, after=tuple(entry.renamed(names) for entry in self.after))


def entries(document: Document) -> dict[Key, Entry]:
    found = (Entry.from_data(each) for each in document["resources"])
    return {entry.key: entry for entry in found}


def judge(
    before: Document,
    journal: Journal,
    now: Document,
    after: Document | None = None,
    others: Successors | None = None,
) -> Judgement:
    """`after` is the document of the run's end, if it came to one: with it a created resource's defaults are known.

    `others` are the runs that wrote since; what they created, this one did not.
    """
    ended = entries(after) if after else {}
    return _Judge(entries(before), entries(now), ended, journal, others or Successors()).judgement()


class _Judge:
    def __init__(
        self,
        before: dict[Key, Entry],
        now: dict[Key, Entry],
        after: dict[Key, Entry],
        journal: Journal,
        others: Successors,
    ) -> None:
        names = remade([entry for key, entry in before.items() if key not in now], now.values())
        self.before = {key: replace(entry.renamed(names), id=entry.id) for key, entry in before.items()}
        self.now, self.after, self.journal, self.others = now, after, journal, others
        self.written, unsure = attribution.attributed(journal, self.before, now, others)
        self.kept = [Kept(entry.kind, entry.id, entry.name, reason) for entry, reason in unsure]

    # --- the verdicts

    def judgement(self) -> Judgement:
        undos = [undo for key in sorted({*self.before, *self.now}) if (undo := self._verdict(key))]
        undos = self._without_used(self._without_lost(self._without_twins(undos)))
        undos = self._without_clashes(undos, self._taken, self._staying)
        undos = self._without_clashes(undos, self._equal, self._unlike)
        after = self._projected(undos)
        undos.sort(key=lambda undo: (-undo.at, undo.key))
        kept = tuple(sorted(self.kept, key=lambda each: (each.kind, each.name, each.id, each.field)))
        return Judgement(tuple(undos), kept, tuple(after.values()), self.now, self.journal.other)

    def _verdict(self, key: Key) -> Undo | None:
        was, now, written = self.before.get(key), self.now.get(key), self.written.get(key)
        if was and now:
            return self._fields(was, now, written or Written(*key))
        if now:
            return self._appeared(now, written)
        return self._vanished(was, written) if was else None

    def _fields(self, was: Entry, now: Entry, written: Written) -> Undo | None:
        before, live, ended = flat(was.fields), flat(now.fields), self._ended(was.key)
        backs, foreign = {}, set()
        for name in sorted({*before, *live, *written.values}):
            values = tuple(written.values.get(name, ()))
            back = Back(before.get(name), values, ended.get(name))
            if (was.kind, name) in DERIVED:
                continue
            if not same(was.kind, name, live.get(name), back.before):
                if not back.is_held(was.kind, name, live.get(name)):
                    self._drift(now, name, back, live.get(name))
                    foreign.add(name)
                    continue
                if reason := unwritable(name, back.before) or self._of_later(was, name, live.get(name), written):
                    self._drift(now, name, back, live.get(name), reason)
                    foreign.add(name)
                    continue
            if values:
                backs[name] = back
        for name in sorted(inseparable(was.kind, foreign) & backs.keys()):
            back = backs.pop(name)
            if not same(was.kind, name, live.get(name), back.before):
                self._drift(now, name, back, live.get(name), "what the rule lets through goes back whole or not at all")
        return Undo(CHANGE, was, written.last, backs) if backs else None

    def _of_later(self, was: Entry, name: str, live: Any, written: Written) -> str:
        """Why a value may be that of a later run, where it is not sure that this one's write took effect."""
        ended = self._ended(was.key).get(name)
        if holds_one(was.kind, name, live, written.sure.get(name, ()), ended):
            return ""
        for run_id, write in self.others.writes:
            is_it = write.id == was.id if write.id else dict(write.where) == dict(was.where)
            known = write.kind == was.kind and is_it and name in write.fields
            if known and holds(was.kind, name, live, write.fields[name], ended):
                return f"written by the run {run_id}, and perhaps not by this one"
        if self.others.unseen:
            return "written by the run or by a later one, whose record is not here"
        return ""

    def _drift(self, now: Entry, name: str, back: Back, live: Any, reason: str = "") -> None:
        reason = reason or ("changed since the run wrote it" if back.written else "changed by somebody else")
        wrote = back.written[-1] if back.written else None
        self.kept.append(Kept(now.kind, now.id, now.name, reason, name, back.before, wrote, live))

    def _appeared(self, now: Entry, written: Written | None) -> Undo | None:
        if reason := self._of_another(now, written):
            self.kept.append(Kept(now.kind, now.id, now.name, reason))
            return None
        if written is None or not written.made:
            return None
        gone = (each for key, each in self.before.items() if key not in self.now)
        if twin := next((each for each in gone if is_twin(each, now)), None):
            reason = f"the run made it in the place of {twin.id}, which is gone"
            self.kept.append(Kept(now.kind, now.id, now.name, reason))
            return None
        changed = sorted(self._changed(now, written))
        for name in changed:
            reason = "created by the run, and changed since: the resource stays"
            wrote = (written.values.get(name) or [None])[-1]
            live = flat(now.fields).get(name)
            self.kept.append(Kept(now.kind, now.id, now.name, reason, name, None, wrote, live))
        return None if changed else Undo(REMOVE, now, written.made)

    def _of_another(self, now: Entry, written: Written | None) -> str:
        """Why it may be that not the run created it; "" if it did, or if that was said already."""
        if now.key in self.others.made:
            return f"created by the run {self.others.made[now.key]}"
        if written is None or not (written.made or written.gone):
            return "not there before, and not created by the run"
        if not written.made or written.is_sure:
            return ""
        for run_id, lost in self.others.unnamed:
            if lost.kind == now.kind and is_made_as(now, lost):
                return f"created by the run or by the run {run_id}: the answers that told which were lost"
        if self.others.unseen:
            return "created by the run or by a later one, whose record is not here: the answer that told which was lost"
        return ""

    def _changed(self, now: Entry, written: Written) -> Iterator[str]:
        """The fields of a created resource that hold neither what the run wrote nor what AWS then filled in."""
        live, ended = flat(now.fields), self._ended(now.key)
        sunk = {PRIORITY} if is_sunk(now, self.now.values()) else set()  # by a rollback that was cut off
        for name in {*live, *written.values} - sunk:
            values = written.values.get(name)
            if values:
                is_ours = holds_one(now.kind, name, live.get(name), values, ended.get(name))
            elif now.key in self.after:
                is_ours = same(now.kind, name, live.get(name), ended.get(name))
            else:
                is_ours = now.kind == "task_definition" or not name.startswith("Tags.")
            if not is_ours:
                yield name

    def _ended(self, key: Key) -> Mapping[str, Any]:
        """The (flat) fields of a resource at the run's end, none where that is not known."""
        return flat(self.after[key].fields) if key in self.after else {}

    def _vanished(self, was: Entry, written: Written | None) -> Undo | None:
        if not written or not written.gone:
            self.kept.append(Kept(was.kind, was.id, was.name, "deleted, and not by the run"))
            return None
        if was.kind not in CREATABLE:
            self.kept.append(Kept(was.kind, was.id, was.name, "the run removed it, and it cannot be made again"))
            return None
        for name, value in flat(was.fields).items():
            if reason := unwritable(name, value):
                self.kept.append(Kept(was.kind, was.id, was.name, reason, name, value))
                return None
        return Undo(CREATE, was, written.gone)

    # --- what stands in the way

    def _without_twins(self, undos: list[Undo]) -> list[Undo]:
        """Without what would be made again although something stands in its place, and does not leave it."""
        after = self._projected(undos)
        left = []
        for undo in undos:
            others = (each for key, each in after.items() if key != undo.key)
            if undo.act == CREATE and (twin := next((each for each in others if is_twin(each, undo.entry)), None)):
                was, reason = undo.entry, f"the run removed it, and {twin.id} is in its place"
                self.kept.append(Kept(was.kind, was.id, was.name, reason))
                live = flat(twin.fields)
                for name, value in unfinished(twin, was).items():
                    self.kept.append(Kept(was.kind, twin.id, was.name, reason, name, value, None, live.get(name)))
            else:
                left.append(undo)
        return left

    def _without_lost(self, undos: list[Undo]) -> list[Undo]:
        """Without what would refer again to a resource that is gone and does not come again."""
        while True:
            there = self._projected(undos)
            lost = (entry for key, entry in self.before.items() if key not in there and entry.kind in REFERRED)
            present = {told for entry in there.values() for told in entry.ids}
            gone = {told: entry for entry in lost for told in entry.ids if told not in present}
            kept = [self._referring(undo, gone) for undo in undos]
            left = [undo for undo in kept if undo]
            if left == undos:
                return left
            undos = left

    def _referring(self, undo: Undo, gone: Mapping[str, Entry]) -> Undo | None:
        """The undo without what refers to something that is gone; None if nothing is left of it."""
        entry = undo.entry
        if undo.act == CREATE:
            lost = next((gone[told] for told in texts([entry.fields, entry.where]) if told in gone), None)
            if lost is None:
                return undo
            reason = f"the run removed it, and the {_noun(lost)} that it refers to is gone"
            self.kept.append(Kept(entry.kind, entry.id, entry.name, reason))
            return None
        if undo.act == REMOVE:
            return undo
        live, left = flat(self.now[undo.key].fields), {}
        for name, back in undo.fields.items():
            lost = next((gone[told] for told in texts(back.before) if told in gone), None)
            if lost is None or same(entry.kind, name, live.get(name), back.before):
                left[name] = back
            else:
                reason = f"the {_noun(lost)} that it referred to is gone"
                self._drift(self.now[undo.key], name, back, live.get(name), reason)
        return replace(undo, fields=left) if left else None

    def _without_used(self, undos: list[Undo]) -> list[Undo]:
        """Without the removals of what something that stays refers to; what stays because of that refers too."""
        while True:
            after = self._projected(undos)
            users = {ref: entry for entry in after.values() for ref in references(entry)}
            used = {
                undo.key: reason for undo in undos if undo.act == REMOVE and (reason := self._use(undo.entry, users))
            }
            if not used:
                return undos
            for undo in undos:
                if undo.key in used:
                    entry = undo.entry
                    self.kept.append(Kept(entry.kind, entry.id, entry.name, f"created by the run, {used[undo.key]}"))
            undos = [undo for undo in undos if undo.key not in used]

    def _use(self, entry: Entry, users: Mapping[str, Entry]) -> str:
        user = users.get(entry.id) or users.get(str(entry.where.get("Arn", "")) or entry.id)
        if user:
            return f"in use by the {_noun(user)}"
        here = {key[1] for key in self.now if key[0] == "load_balancer"}
        others = [arn for arn in entry.where.get("LoadBalancerArns", ()) if arn not in here]
        others += [name for name in entry.where.get("services", ()) if name not in self._services()]
        return f"in use by {', '.join(others)}" if others else ""

    def _services(self) -> set[str]:
        return {key[1] for key in self.now if key[0] == "ecs_service"}

    def _without_clashes(
        self,
        undos: list[Undo],
        find: Callable[[list[Undo]], tuple[Undo, Entry] | None],
        staying: Callable[[Undo, Entry], Undo],
    ) -> list[Undo]:
        """Without the returns to a place that a resource which stays where it is has."""
        while clash := find(undos):
            undo, holder = clash
            undos = [staying(each, holder) if each is undo else each for each in undos]
            undos = [each for each in undos if each.act != CHANGE or each.fields]
            undos = [each for each in undos if each.act != CREATE or each is not undo]
        return undos

    def _taken(self, undos: list[Undo]) -> tuple[Undo, Entry] | None:
        """A rule whose priority is held by a rule that stays where it is."""
        going = {undo.key: undo for undo in undos}
        held = {}
        for key, entry in self.now.items():
            if key[0] != "load_balancer_rule" or (key in going and going[key].act == REMOVE):
                continue
            if key in going and "Priority" in going[key].due(entry):
                continue
            held[entry.where["ListenerArn"], int(entry.fields["Priority"])] = entry
        return next(filter(None, (self._clash(undo, held) for undo in undos)), None)

    def _clash(self, undo: Undo, held: Mapping[tuple[Any, int], Entry]) -> tuple[Undo, Entry] | None:
        entry = undo.entry
        if entry.kind != "load_balancer_rule" or undo.act == REMOVE:
            return None
        if undo.act == CHANGE and "Priority" not in undo.due(self.now[undo.key]):
            return None
        holder = held.get((entry.where["ListenerArn"], int(entry.fields["Priority"])))
        return (undo, holder) if holder and holder.key != undo.key else None

    def _staying(self, undo: Undo, holder: Entry) -> Undo:
        reason = f"its priority before is held by another rule, {holder.id}"
        entry = undo.entry
        if undo.act == CREATE:
            self.kept.append(Kept(entry.kind, entry.id, entry.name, f"the run removed it, and {reason}"))
            return undo
        now = self.now[undo.key]
        self._drift(now, "Priority", undo.fields["Priority"], now.fields["Priority"], reason)
        return replace(undo, fields={name: back for name, back in undo.fields.items() if name != "Priority"})

    def _equal(self, undos: list[Undo]) -> tuple[Undo, Entry] | None:
        """A group rule whose content is that of another one: EC2 takes no two equal ones."""
        after = self._projected(undos)
        for undo in undos:
            content = CONTENT.get(undo.entry.kind, frozenset())
            if undo.act == CHANGE and content & undo.due(self.now[undo.key]).keys():
                others = (each for key, each in after.items() if key != undo.key)
                if twin := next((each for each in others if is_twin(each, after[undo.key])), None):
                    return undo, twin
        return None

    def _unlike(self, undo: Undo, twin: Entry) -> Undo:
        now, content = self.now[undo.key], CONTENT[undo.entry.kind]
        for name in sorted(content & undo.due(now).keys()):
            reason = f"another rule, {twin.id}, lets through what it did before"
            self._drift(now, name, undo.fields[name], now.fields.get(name), reason)
        return replace(undo, fields={name: back for name, back in undo.fields.items() if name not in content})

    def _projected(self, undos: Sequence[Undo]) -> dict[Key, Entry]:
        after = dict(self.now)
        for undo in undos:
            if undo.act == REMOVE:
                after.pop(undo.key, None)
            elif undo.act == CREATE:
                after[undo.key] = undo.entry
            else:
                live = after[undo.key]
                after[undo.key] = with_fields(live, undo.due(live))
        return after


CREATABLE = frozenset(
    {
        *("load_balancer_rule", "listener", "target_group", "security_group_rule", "discovery_service"),
        *("alarm", "dashboard", "metric_filter", "record_set"),
    }
)
"""What can be made again: a namespace cannot, for its hosted zone is another then, nor can a number of a revision."""


def with_fields(entry: Entry, fields: Mapping[str, Any]) -> Entry:
    """The entry with some (flat) fields as given; a None takes the field away."""
    return replace(entry, fields=nested({**flat(entry.fields), **fields}))


ADDED = ("Attributes.", "ListenerCertificates.")
"""What the call that makes a target group or a listener takes not, and calls of their own write."""


def unfinished(again: Entry, was: Entry) -> dict[str, Any]:
    """The (flat) fields that are still to be written once a resource was made again."""
    live = flat(again.fields)
    return {
        name: value
        for name, value in flat(was.fields).items()
        if name.startswith(ADDED) and not same(was.kind, name, live.get(name), value)
    }


def unwritable(name: str, value: Any) -> str:
    """Why a value of before cannot be written again, "" if it can."""
    if name in ("Actions", "DefaultActions"):
        types = elb_action.foreign(elb_action.from_aws(value or ()))
        if types:
            return f"its action {types} before holds a secret that AWS does not tell, so it cannot be written again"
    return ""


def _noun(entry: Entry) -> str:
    return f"{entry.kind.replace('_', ' ')} {entry.name}"


def names(kept: Iterable[Kept]) -> list[str]:
    """One line for each, for people."""
    return [
        f"{each.kind.replace('_', ' ')} {each.name}{f' {each.field}' if each.field else ''}: {each.reason}"
        + (f" (before {each.before!r}, written {each.written!r}, now {each.now!r})" if each.field else "")
        for each in kept
    ]
