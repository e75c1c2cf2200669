# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is taken back together, as a resource that the runner knows: observed, planned and applied like any other.

Each plan is made from what is live then: a field that meanwhile holds a stranger's value is not in it any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Unsafe
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.resource_identity import (
    PRIORITY,
    is_sunk,
    is_twin,
    remade,
)
from ansible_collections.hokusai.platform.plugins.module_utils.routing_proof import Proof
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Resource, Response
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_field import flat, same
from ansible_collections.hokusai.platform.plugins.module_utils.three_way import (
    CHANGE,
    CREATE,
    REMOVE,
    Key,
    Undo,
    unfinished,
    with_fields,
)

ASTRAY = "a request would go astray while they go back"
ASTRAY_REMEDY = (
    "rules go back under the ARNs they have, so none is replaced; repair it forwards (run site.yml again), or, to go "
    "back all the same, set allow_misrouting (rollback.yml: -e hokusai_allow_misrouting=yes)"
)


@dataclass(frozen=True)
class Todo:
    """What is to be taken back of some resources; as a state, those resources once that is done."""

    undos: tuple[Undo, ...]

    def over(self, current: State) -> State:
        found = dict(current.entries)
        for undo in self.undos:
            if undo.act == REMOVE:
                found.pop(undo.key, None)
            elif undo.act == CREATE:
                found[undo.key] = undo.entry
            elif undo.key in found:
                found[undo.key] = with_fields(found[undo.key], undo.due(found[undo.key]))
        return replace(current, entries=found)

    def shows(self, entry: Entry) -> dict[str, Any]:
        """Of an entry what this is about: all of it, or the fields that may go back."""
        undo = next((each for each in self.undos if each.key == entry.key), None)
        live = flat(entry.fields)
        if undo is None or undo.act != CHANGE:
            return live if undo or entry.kind in {each.entry.kind for each in self.undos if each.act == CREATE} else {}
        return {name: live.get(name) for name in undo.fields}


@dataclass(frozen=True)
class State:
    """The live resources that a unit looks at; a diff shows what it is about."""

    entries: Mapping[Key, Entry]
    todo: Todo

    def shown(self) -> dict[str, Any]:
        told = ((entry, self.todo.shows(entry)) for entry in self.entries.values())
        return {f"{entry.kind} {entry.name} ({entry.id})": fields for entry, fields in told if fields}


@dataclass(frozen=True)
class Due:
    """What is left to do, given what is live: fields to write, by resource, resources to remove, and to make again."""

    live: Mapping[Key, Entry]
    fields: Mapping[Key, Mapping[str, Any]]
    remove: tuple[Entry, ...] = ()
    create: tuple[Entry, ...] = ()

    @property
    def changes(self) -> Iterator[tuple[Entry, Mapping[str, Any]]]:
        for key, fields in self.fields.items():
            yield self.live[key], fields

    def __bool__(self) -> bool:
        return bool(self.fields or self.remove or self.create)


def due(state: State, todo: Todo) -> Due:
    live = state.entries
    fields = {
        undo.key: found
        for undo in todo.undos
        if undo.act == CHANGE and undo.key in live and (found := undo.due(live[undo.key]))
    }
    remove = (live[u.key] for u in todo.undos if u.act == REMOVE and u.key in live and is_due(live, u))
    create = []
    for undo in todo.undos:
        if undo.act != CREATE or undo.key in live:
            continue
        again = next((each for each in live.values() if _remade(each, undo.entry)), None)
        if again is None:
            create.append(undo.entry)
        elif missing := unfinished(again, undo.entry):
            fields[again.key] = missing
    return Due(live, fields, tuple(remove), tuple(create))


def is_due(live: Mapping[Key, Entry], undo: Undo) -> bool:
    """Whether what is to be removed is what it was when that was said; a rule may be on its way out."""
    now = live[undo.key]
    return _alike(now, undo.entry, but=frozenset({PRIORITY} if is_sunk(now, live.values()) else ()))


def _alike(one: Entry, other: Entry, but: Set[str] = frozenset()) -> bool:
    now, then = flat(one.fields), flat(other.fields)
    return all(same(one.kind, name, now.get(name), then.get(name)) for name in {*now, *then} - but)


def _remade(live: Entry, wanted: Entry) -> bool:
    """Whether a resource is the one that was made again. A rule has no name of its own: it is equal in everything."""
    if live.kind == wanted.kind == "load_balancer_rule":
        return dict(live.where) == dict(wanted.where) and _alike(live, wanted)
    return is_twin(live, wanted)


@dataclass(frozen=True)
class Unit:
    """Resources that one plan takes back. `read` is what there is of them now, `steps` what is to be done, in order.

    `stays` says why nothing of it is to be done, ever ("" if something is). `ready` waits until a removal can be, and
    says why it cannot ("" if it can); `settle` is the runner's. `prove` says what is known of the requests that arrive
    while the steps are made.
    """

    name: str
    service: str
    todo: Todo
    read: Callable[[Aws], Iterable[Entry]]
    steps: Callable[[Due], Iterable[Step]]
    stays: str = ""
    ready: Callable[[Aws], str] | None = None
    settle: Callable[[Aws, Params, Sequence[Response]], None] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    prove: Callable[[State, Sequence[Step]], Proof] | None = None

    def remade(self, state: State) -> dict[str, str]:
        """The ids that what was made again has in this state, by those that it had."""
        return remade([undo.entry for undo in self.todo.undos if undo.act == CREATE], state.entries.values())

    @property
    def at(self) -> int:
        return max(undo.at for undo in self.todo.undos)

    def resource(self, *, strict: bool) -> Resource[Any]:
        """What the runner takes back; `strict` refuses steps of which it is known that a request would go astray."""

        def prove(observed: Observed[Any], _todo: Any, steps: Sequence[Step]) -> Proof | None:
            proof = self.prove(observed.resource, steps) if self.prove and observed.resource else None
            if proof and proof.astray and strict:
                raise Unsafe(f"{self.name}: {ASTRAY}: {proof.astray}", ASTRAY_REMEDY, proof=proof.shown())
            return proof

        return Resource(self.service, lambda _params: self.todo, self._observe, self._plan, self.settle, prove)

    def _observe(self, aws: Aws, _params: Params) -> Observed[Any]:
        return Observed(State({entry.key: entry for entry in self.read(aws)}, self.todo))

    def _plan(self, observed: Observed[Any], todo: Any) -> Iterator[Step]:
        left = due(observed.resource, todo) if observed.resource else None
        if left:
            yield from self.steps(left)


def tag_changes(fields: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Of the (flat) fields to write the tags to set, and those to remove."""
    found = {name.partition(".")[2]: value for name, value in fields.items() if name.startswith("Tags.")}
    removed = sorted(name for name, text in found.items() if text is None)
    return {name: text for name, text in found.items() if text is not None}, removed


def tag_steps(what: str, fields: Mapping[str, Any], arn: str, how: TagCalls) -> Iterator[Step]:
    """The calls that bring the tags of one resource back."""
    added, removed = tag_changes(fields)
    ids: Any = [arn] if how.many else arn
    if added:
        listed = tags.to_aws(added, lower=how.lower)
        yield Step(how.add, {how.ids: ids, how.tags: listed}, f"{what}: tag {', '.join(sorted(added))} again")
    if removed:
        keys: Any = [{"Key": name} for name in removed] if how.pairs else removed
        yield Step(how.remove, {how.ids: ids, how.keys: keys}, f"{what}: take off the tags {', '.join(removed)}")


@dataclass(frozen=True)
class TagCalls:
    """How a service writes tags."""

    add: str
    remove: str
    ids: str
    tags: str = "Tags"
    keys: str = "TagKeys"
    many: bool = False
    lower: bool = False
    pairs: bool = False


ELB_TAGS = TagCalls("add_tags", "remove_tags", "ResourceArns", many=True)
EC2_TAGS = TagCalls("create_tags", "delete_tags", "Resources", keys="Tags", many=True, pairs=True)
CLOUDMAP_TAGS = TagCalls("tag_resource", "untag_resource", "ResourceARN")
CLOUDWATCH_TAGS = TagCalls("tag_resource", "untag_resource", "ResourceARN")
ECS_TAGS = TagCalls("tag_resource", "untag_resource", "resourceArn", "tags", "tagKeys", lower=True)
