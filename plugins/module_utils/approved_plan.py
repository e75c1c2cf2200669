# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A plan of a whole play in a file: drafted in check mode, approved by people, and then applied exactly or not at all.

A file is an envelope of kind `plan` (see `run_envelope.py`), its `run_id` the plan's id, and its body

    {"state": "draft" | "final", "key": {...}, "scope": {...}, "world": {id: {"kind", "name", "mac"}}, "parts": [...]}

with one part for each task: {"module", "resource", "wish", "ids", "steps": [{"verb", "why"}], "proof"}. `wish` is the
MAC of the state that the task asks for and `mac` that of a resource as it was, so that no value of either can be read
from the file but what a reason says of it. `ids` has by name the MACs of the ids that the steps need: a certificate or
a subnet is in no world. `proof` is what was known of the steps before the first (`Resource.prove`), or null.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import recordable
from ansible_collections.hokusai.platform.plugins.module_utils.archive import Archive, Told, unsealed
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, BadRecord, PlanMoved
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed, Step, as_data
from ansible_collections.hokusai.platform.plugins.module_utils.run_envelope import Seal, canonical, parsed
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import Record

PLAN_OPTION: dict[str, dict[str, Any]] = {"plan": {"type": "path"}}
"""The option of every module that writes; documented in the fragment `writes`."""

Body = dict[str, Any]
KIND, DRAFT, FINAL = "plan", "draft", "final"
WISH = ("module", "resource", "wish")
"""What says which state of which resource a task asks for."""
MOST = 5
"""Resources that a message names; the result lists them all."""
ANEW = "make the plan anew with site.yml --check -e hokusai_plan_out=FILE, and have that one approved"
AGAIN = "let whoever else is at work come to an end, then make the plan anew"


@dataclass(frozen=True)
class PlanFile:
    """A plan as it stands in a file."""

    path: Path
    seal: Seal
    body: Body

    @classmethod
    def open(cls, aws: Aws, path: Path) -> PlanFile:
        """Raises `BadInput` for no file, `BadRecord` for one that was altered or is of another region."""
        told = Told(
            f"The plan {path}", "name a file that was made with hokusai_plan_out", f"{path} is not a plan", ANEW
        )
        seal, body = unsealed(aws, path, KIND, told)
        identity = seal.identity
        if identity.region != aws.region:
            raise BadRecord(f"The plan {path} is for the region {identity.region}, not {aws.region}", ANEW)
        return cls(path, seal, body)

    @classmethod
    def begin(cls, archive: Archive, path: Path, plan_id: str, world: Mapping[str, Any]) -> PlanFile:
        """A draft without parts, in the place of what the file held, unless that is another environment's draft.

        `world` is the snapshot before the tasks look: a check run has no lock that keeps others out.
        """
        archive.prove()
        path = path.absolute()
        seal = archive.seal(plan_id)
        made = {"scope": dict(world["scope"]), "world": fingerprints(seal, world), "parts": []}
        begun = cls(path, seal, {"state": DRAFT, "key": archive.key, **made})
        with alone(path):
            refuse_shared(path, archive.environment)
            begun.parts.unlink(missing_ok=True)
            begun.save()
        return begun

    @property
    def parts(self) -> Path:
        """Where the tasks of a play, each a process of its own, leave the parts of a draft."""
        return self.path.with_name(f"{self.path.name}.parts")

    @property
    def asked(self) -> Path:
        """Where tasks in check mode note which parts of a finished plan they ask for, as long as it is there."""
        return self.path.with_name(f"{self.path.name}.asked")

    def save(self) -> None:
        """Write the file in one piece, for its owner alone."""
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
                handle.write(self.seal.wrap(KIND, self.body))
            draft.replace(self.path)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def finish(self, world: Mapping[str, Any]) -> PlanFile:
        """The plan with the parts that tasks have left. Raises `PlanMoved` unless all of them saw the same world."""
        if self.body["state"] != DRAFT:
            raise BadInput(f"{self.path} is no draft", "begin one with moment=begin")
        self.refuse_moved(world, f"The world moved while the plan {self.path} was made", AGAIN)
        finished = dataclasses.replace(self, body={**self.body, "state": FINAL, "parts": self.drafted()})
        finished.save()
        self.parts.unlink(missing_ok=True)
        return finished

    def check(self, archive: Archive, world: Mapping[str, Any]) -> None:
        """Raises `BadRecord` where the plan is another environment's, `PlanMoved` where the world is another."""
        if self.body["state"] != FINAL:
            raise BadInput(f"The plan {self.path} is a draft: the run that made it did not come to its end", ANEW)
        self.refuse_foreign(archive.environment, archive.caller["Account"], archive.key)
        self.refuse_moved(world, f"The world is not as it was when the plan {self.path} was made", ANEW)

    def refuse_moved(self, world: Mapping[str, Any], problem: str, remedy: str) -> None:
        """Raise `PlanMoved` with what differs from the world of the plan."""
        if told := moved(self.body["world"], fingerprints(self.seal, world)):
            what = "; ".join(told[:MOST]) + (f"; and {len(told) - MOST} more" if len(told) > MOST else "")
            raise PlanMoved(f"{problem}: {what}", remedy, moved=told)

    def refuse_foreign(self, environment: str, account: str, key: Mapping[str, str]) -> None:
        """Raise `BadRecord` unless the plan is of this platform, and sealed with this key: its file names its own."""
        identity = self.seal.identity
        for name, ours in (("environment", environment), ("account", account)):
            if getattr(identity, name) != ours:
                raise BadRecord(f"The plan {self.path} is for the {name} {getattr(identity, name)}, not {ours}", ANEW)
        if self.body["key"] != key:
            named = [f"{kind} {where}" for source in (self.body["key"], key) for kind, where in source.items()]
            told = f"The plan {self.path} is sealed with another key than runs are: {', not '.join(named)}"
            raise BadRecord(told, f"name the key that it was made with, if it is yours; else {ANEW}")

    def refuse_other(self, scope: Mapping[str, Any]) -> None:
        """Raise `PlanMoved` where the inventory names other resources than it did when the plan was made."""
        then = self.body["scope"]
        if other := sorted(name for name in {*then, *scope} if then.get(name) != scope.get(name)):
            told = f"The inventory is not that of the plan {self.path}: it names other {', '.join(other)}"
            raise PlanMoved(told.replace("_", " "), ANEW)

    def expect(self) -> None:
        """Have the tasks that follow note what they ask for."""
        self.asked.unlink(missing_ok=True)
        note(self.asked)

    def complete(self) -> None:
        """Raise `PlanMoved` where something that was approved is asked for by no task any more."""
        asked = noted(self.asked)
        self.asked.unlink(missing_ok=True)
        left_out = [
            f"{part['module']} {part['resource']}"
            for part in self.body["parts"]
            if part["steps"] and {name: part[name] for name in WISH} not in asked
        ]
        if left_out:
            told = f"The plan {self.path} has what no task asks for any more: {', '.join(left_out)}"
            raise PlanMoved(told, f"put it back into the inventory, or {ANEW}", moved=left_out)

    def steps(self) -> list[dict[str, str]]:
        """What is planned, in the order of the tasks."""
        return [
            {"module": part["module"], "resource": part["resource"], **step}
            for part in self.body["parts"]
            for step in part["steps"]
        ]

    def proofs(self) -> list[dict[str, Any]]:
        """What is proved of the steps, of each task that has any and whose module proves them."""
        return [
            {"module": part["module"], "resource": part["resource"], **part["proof"]}
            for part in self.body["parts"]
            if part["steps"] and part["proof"]
        ]

    def told(self) -> Iterator[str]:
        """The steps and the proofs as lines to read."""
        for part in self.body["parts"]:
            where = f"{part['module']} {part['resource']}"
            for step in part["steps"]:
                yield f"{where} {step['verb']}: {step['why']}"
            if part["steps"] and (proof := part["proof"]):
                known = "proved" if proof["safe"] else f"not proved ({proof['reason']})"
                yield f"{where}: {known} that no request goes astray on the way"

    def drafted(self) -> list[Body]:
        """The parts so far, in the order of the tasks."""
        return noted(self.parts)


def unwritable(path: Path, error: OSError) -> BadInput:
    told = f"The plan {path} cannot be written: {error.strerror}"
    return BadInput(told, "name a file in a directory that is there and writable")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let the hosts of a play, which begin at the same time, begin a plan one after the other."""
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def refuse_shared(path: Path, environment: str) -> None:
    """Raise `BadInput` where the file is another environment's draft, as it is where two hosts name one file."""
    try:
        held = parsed(path.read_bytes(), str(path))
    except (OSError, BadRecord):
        return
    body = held.get("body")
    if isinstance(body, dict) and body.get("state") == DRAFT and held.get("environment") != environment:
        raise BadInput(
            f"{path} is the draft of a plan for the environment {held.get('environment')}, not {environment}",
            "name one file for each host, plan-{{ inventory_hostname }}.json; or delete a draft that was left behind",
        )


def note(path: Path, *parts: Mapping[str, Any]) -> None:
    """Add lines to what the tasks of a play, each a process of its own, leave for the one that reads it."""
    try:
        with path.open("ab") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.write(b"".join(canonical(part) + b"\n" for part in parts))
    except OSError as error:
        told = f"{path}, beside the plan, cannot be written: {error.strerror}"
        raise BadInput(told, "put the plan in a directory that is writable") from error


def noted(path: Path) -> list[Body]:
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [parsed(line, str(path)) for line in lines]


def fingerprint(seal: Seal, value: Any) -> str:
    """A MAC that two equal values share, and that tells nothing of either."""
    return seal.mac({"value": form(value)})


def form(value: Any) -> Any:
    """A value as JSON that is the same in every process: sets are ordered, and states are what they compare by."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: form(getattr(value, each.name)) for each in dataclasses.fields(value) if each.compare}
    if isinstance(value, Mapping):
        return {str(key): form(inner) for key, inner in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((form(inner) for inner in value), key=canonical)
    if isinstance(value, (list, tuple)):
        return [form(inner) for inner in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def fingerprints(seal: Seal, world: Mapping[str, Any]) -> dict[str, Body]:
    """Each resource of a snapshot by its kind and id, with its name and the MAC of all that it is.

    An alarm and a dashboard of one name have the same id.
    """
    return {
        f"{each['kind']} {each['id']}": {"kind": each["kind"], "name": each["name"], "mac": fingerprint(seal, each)}
        for each in world["resources"]
    }


def moved(planned: Mapping[str, Body], now: Mapping[str, Body]) -> list[str]:
    """In words, what is not as it was when the plan was made."""
    told = []
    for key in sorted(planned.keys() | now.keys()):
        before, after = planned.get(key), now.get(key)
        if before == after:
            continue
        what = "is new" if before is None else "is gone" if after is None else "has changed"
        known = before or after or {}
        told.append(f"{known['kind']} {known['name']} {what}")
    return told


class NoPlan:
    """A task that is a part of no plan may do what it finds to do."""

    def accept(self, found: Observed[Any], desired: Any, steps: Sequence[Step], proof: Any, *, dry: bool) -> None:
        """Called with the whole plan of a task, and what is proved of it, before the first write."""

    def allow(self, steps: Iterable[Step]) -> None:
        """Called with steps that came up after the first writes."""


class Plan(NoPlan):
    """What a task has to do with the plan of its play: a draft takes down what it would do, a final one rules it."""

    def __init__(self, file: PlanFile, module: str, resource: str) -> None:
        self.file, self.module, self.resource = file, module, resource

    def accept(self, found: Observed[Any], desired: Any, steps: Sequence[Step], proof: Any, *, dry: bool) -> None:
        wish = fingerprint(self.file.seal, desired)
        ids = {name: fingerprint(self.file.seal, each) for name, each in found.ids.items()}
        asked_for = dict(zip(WISH, (self.module, self.resource, wish), strict=True))
        if self.file.body["state"] == DRAFT:
            if not dry:
                raise BadInput(f"The plan {self.file.path} is a draft, and nobody can have approved it", ANEW)
            told = {"ids": ids, "steps": [step.shown() for step in steps], "proof": as_data(proof)}
            note(self.file.parts, {**asked_for, **told})
            return
        if wish not in {part["wish"] for part in self.known()}:
            asked = "asks for another state than" if self.known() else "is not in"
            raise PlanMoved(f"{self.module} {self.resource} {asked} the plan {self.file.path}", ANEW)
        self.allow(steps)
        self.refuse_renamed(wish, ids)
        if dry and self.file.asked.exists():
            note(self.file.asked, asked_for)

    def allow(self, steps: Iterable[Step]) -> None:
        """Raise `PlanMoved` for a step that was not approved. Fewer are left once some are done."""
        approved = {(step["verb"], step["why"]) for part in self.known() for step in part["steps"]}
        if more := [f"{step.verb} ({step.why})" for step in steps if step.key not in approved]:
            raise PlanMoved(
                f"{self.module} {self.resource} has come to need what nobody approved: {'; '.join(more)}", ANEW
            )

    def refuse_renamed(self, wish: str, ids: Mapping[str, str]) -> None:
        """Raise `PlanMoved` where a name has come to mean something else. What the run itself makes had no id then."""
        then = next(part["ids"] for part in self.known() if part["wish"] == wish)
        if other := sorted(name for name in ids.keys() & then.keys() if ids[name] != then[name]):
            told = f"{self.module} {self.resource}: not what they were when the plan {self.file.path} was made"
            raise PlanMoved(f"{told}: {', '.join(other)}", ANEW)

    def known(self) -> list[Body]:
        parts: list[Body] = self.file.body["parts"]
        return [part for part in parts if (part["module"], part["resource"]) == (self.module, self.resource)]


def refuse_planned(params: Params, what: str, remedy: str) -> None:
    """Raise `BadInput` for a task that no plan can hold, when it is given one."""
    if params.get("plan"):
        raise BadInput(f"{what} can be in no approved plan", remedy)


def plan_of(aws: Aws, params: Params, module: str, run: Record | None) -> NoPlan:
    """The plan that the option `plan` names, or none. In a run it must be of that run's platform and key."""
    if not params.get("plan"):
        return NoPlan()
    file = PlanFile.open(aws, Path(params["plan"]))
    if run is not None:
        file.refuse_foreign(run.identity.environment, run.identity.account, run.context["key"])
    return Plan(file, module.rpartition(".")[2], recordable.resource_name(params))
