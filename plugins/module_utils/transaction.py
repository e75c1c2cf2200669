# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run that a task works in: its lock is checked before each try of a write, and each write is journaled.

A task is in a run when its option `run` names the run's context. Without it there is neither lock nor record.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import recordable
from ansible_collections.hokusai.platform.plugins.module_utils.archive import Told, unsealed
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws, guarded
from ansible_collections.hokusai.platform.plugins.module_utils.errors import (
    AwsError,
    BadRecord,
    LockLost,
    PlatformError,
)
from ansible_collections.hokusai.platform.plugins.module_utils.lock import COARSE, Claim, Lock
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step
from ansible_collections.hokusai.platform.plugins.module_utils.run_envelope import UNUSABLE
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import Record
from ansible_collections.hokusai.platform.plugins.module_utils.run_store import Runs

RUN_OPTION: dict[str, dict[str, Any]] = {"run": {"type": "path"}}
"""The option of every module that writes; documented in the fragment `writes`."""
RENEWALS = 3
"""How often a lock is renewed in the time that it holds."""

RENEWING = "renewing the lock"
READS = ("describe_", "discover_", "get_", "list_")
"""What the names of botocore's methods begin with that write nothing."""

ONCE = frozenset({"register_task_definition"})
"""Methods that do the same thing anew each time. AWS refuses every other one that a plan has when it is repeated, or
it then changes nothing (docs/runs.md has the list)."""
FORCED = "forceNewDeployment"
"""An argument that makes UpdateService such a method: each time all tasks are replaced."""


@dataclass
class Write:
    """One write of a task, in a run or in none. `answered` or `landed` say what became of it before it is over.

    `is_open` once a try of it may have taken effect although it failed: a later error says nothing of that one, so the
    intent stays without an outcome. `is_held` when botocore was kept from repeating such a try, for its caller to look.
    """

    step: Step
    service: str = ""
    run: Run | None = None
    seq: int = 0
    response: Mapping[str, Any] = field(default_factory=dict)
    result: str = "done"
    is_open: bool = False
    is_held: bool = False

    @contextmanager
    def recorded(self) -> Iterator[Write]:
        """Make the call inside: only while the lock is ours, and with its outcome in the journal afterwards."""
        try:
            if self.run:
                self.run.check()
            with guarded(self):
                yield self
        except PlatformError as error:
            if self.run and not self.is_open:
                self.run.outcome(self, "failed", error)
            raise
        if self.run:
            self.run.outcome(self, self.result)

    def lost(self, verb: str) -> bool:
        """No answer came to a try. What would be there twice is not repeated before somebody has looked."""
        if verb.startswith(READS):
            return True
        self.is_open = True
        self.is_held = verb in ONCE or bool(self.step.args.get(FORCED))
        return not self.is_held

    def again(self, verb: str) -> None:
        """Look again before a further try: the one before may have been waited for until another run took the lock."""
        if self.run and not verb.startswith(READS):
            with guarded(None):
                self.run.check()

    def repeats(self) -> bool:
        """Whether a further try is the caller's to make, now that it looked and found nothing."""
        is_held, self.is_held = self.is_held, False
        if is_held:
            self.again(self.step.verb)
        return is_held

    def answered(self, response: Mapping[str, Any]) -> None:
        self.response = response

    def landed(self) -> None:
        """The call failed, and yet what it was to write is there."""
        self.result = "landed"


class Outside:
    """No run: nothing is locked and nothing is recorded."""

    record: Record | None = None

    def intend(self, service: str, steps: Sequence[Step]) -> list[Write]:
        return [Write(step, service) for step in steps]

    def check(self, rounds: int = 1) -> None:
        """There is no lock to lose."""

    @contextmanager
    def once(self, service: str, verb: str, why: str) -> Iterator[Write]:
        """A single write that is made inside, of which verb and reason are all that may be known."""
        [write] = self.intend(service, [Step(verb, {}, why)])
        with write.recorded():
            yield write


class Run(Outside):
    """The run of a context file, as one module has it."""

    record: Record

    def __init__(self, aws: Aws, context_file: str, module: str, resource: str) -> None:
        self.record = opened(aws, Path(context_file))
        self.module, self.resource = module, resource
        self.lock, self.claim = lock_of(aws, self.record)

    def intend(self, service: str, steps: Sequence[Step]) -> list[Write]:
        """Journal what is about to be written, in this order; it is on disk when this returns."""
        numbers = self.record.append(*(self.intent(service, step) for step in steps))
        return [Write(step, service, self, seq) for step, seq in zip(steps, numbers, strict=True)]

    def intent(self, service: str, step: Step) -> dict[str, Any]:
        return {"module": self.module, "resource": self.resource, **recordable.intent(service, step)}

    def outcome(self, write: Write, result: str, error: PlatformError | None = None) -> None:
        """Journal what became of a write. Of an error the code alone: its text may repeat what was sent."""
        entry = {
            "kind": "outcome",
            "of": write.seq,
            "result": result,
            "response": recordable.answer(write.service, write.step.verb, write.response),
        }
        if error is not None:
            entry["error"] = error.code if isinstance(error, AwsError) else type(error).__name__
        self.record.append(entry)

    def check(self, rounds: int = 1) -> None:
        """Raise `LockLost` unless this run may write now, and for so many `RENEWALS` of the lock's time from now on."""
        keep(self.lock, self.claim, rounds)

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Hold the lock while a module works, by a thread that renews it."""
        self.check(RENEWALS - 1)
        over = threading.Event()
        renewing = threading.Thread(target=self.renew_until, args=(over,), name=RENEWING, daemon=True)
        renewing.start()
        try:
            yield
        finally:
            over.set()
            renewing.join()

    def renew_until(self, over: threading.Event) -> None:
        """A lock that is lost is for the next write to find out; a call that failed is tried again sooner."""
        wait = self.claim.ttl / RENEWALS
        while not over.wait(wait):
            try:
                self.lock.renew(self.claim)
                wait = self.claim.ttl / RENEWALS
            except LockLost:
                return
            except PlatformError:
                wait = self.claim.ttl / RENEWALS / 4


def keep(lock: Lock, claim: Claim, rounds: int) -> None:
    """Raise `LockLost` unless the claim holds; renew it unless so many `RENEWALS` of its time are left."""
    needed = timedelta(seconds=claim.ttl * rounds / RENEWALS) - COARSE
    if lock.check(claim).left < needed:
        lock.renew(claim, needed)


@contextmanager
def in_run(aws: Aws, params: Params, module: str, *, dry: bool) -> Iterator[Outside]:
    """The run that the option `run` names, alive; with `dry`, or when the option is omitted, none."""
    if dry or not params.get("run"):
        yield Outside()
        return
    run = Run(aws, params["run"], module.rpartition(".")[2], recordable.resource_name(params))
    with run.alive():
        yield run


def opened(aws: Aws, context_file: Path) -> Record:
    """The record whose context a file is. Raises `BadInput` for no file, `BadRecord` for one that was altered."""
    told = Told(
        f"The context of the run, {context_file},",
        "give the path that platform_snapshot returned as context",
        f"{context_file} is not the context of a run",
        UNUSABLE,
    )
    seal, context = unsealed(aws, context_file, "run", told)
    identity = seal.identity
    if identity.region != aws.region:
        problem = f"The run {identity.run_id} is of the region {identity.region}, not {aws.region}"
        raise BadRecord(problem, "give the task the region of its run; nothing was written")
    store = Runs.of(context["runs"]).store(aws, identity.environment, identity.run_id)
    return Record(store, seal, context, seal.mac({"run": context}))


def lock_of(aws: Aws, record: Record) -> tuple[Lock, Claim]:
    """The lock under which a run writes, and its claim to it."""
    return Lock(aws, record.identity.environment), Claim(**record.context["lock"])
