"""People who each start a run at the same time, and a stage that decides whose turn it is.

A run is made of what the playbooks run: the lock and the record are opened, modules bring their resources to what this
operator wants, and all is closed. A run that is refused or loses its lock is started again, as its message says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import snapshot
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import LockHeld, LockLost, PlatformError
from ansible_collections.hokusai.platform.plugins.module_utils.lock import Claim
from ansible_collections.hokusai.platform.plugins.module_utils.run_session import close_run, open_run
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Resource, converge
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot import Scope
from ansible_collections.hokusai.platform.plugins.module_utils.transaction import Run, Write, lock_of, opened

from tests.unit.restore_platform import SERVICES, filled

ENVIRONMENT, TTL = "development", 60
READS = ("Describe", "List", "Get", "Discover", "Search")
PATIENCE = 300.0
"""Seconds that an operator may take for the calls it may make before the schedule counts as stuck."""
DONE = "done"
AGAIN = {LockHeld.__name__, LockLost.__name__}
"""Ends of a run after which it is started again."""
Task = tuple[ModuleType, Mapping[str, Any]]


@dataclass(frozen=True)
class Written:
    """A write that reached AWS: whose, with which token, and whether that was the newest and its lock still held."""

    operator: str
    token: int
    call: str
    is_allowed: bool


@dataclass
class Stage:
    """What the operators share: who may make how many calls, what was written, and who has ended."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    turns: dict[str, int] = field(default_factory=dict)
    writing: int = 0
    written: list[Written] = field(default_factory=list)
    completed: dict[str, int] = field(default_factory=dict)
    """By operator the token of the run that came to its end: the order in which they wrote."""
    ended: set[str] = field(default_factory=set)
    is_over: bool = False

    def give(self, name: str, calls: int) -> None:
        """Let an operator make some calls, and wait until they are made or it has ended; then nobody is writing."""
        with self.changed:
            self.turns[name] = calls
            self.changed.notify_all()
            self._wait(lambda: not self.turns[name] or name in self.ended)
            self._wait(lambda: not self.writing)

    def wait_turn(self, name: str) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.turns[name] > 0 or self.is_over)
            if self.is_over:
                raise TimeoutError("the schedule is over")
            self.turns[name] -= 1
            self.changed.notify_all()

    def _wait(self, until: Callable[[], bool]) -> None:
        if not self.changed.wait_for(until, PATIENCE):
            raise TimeoutError("the schedule is stuck")

    def close(self) -> None:
        """Nobody gets a turn any more."""
        with self.changed:
            self.is_over = True
            self.changed.notify_all()

    def move(self, writing: int) -> None:
        with self.changed:
            self.writing += writing
            self.changed.notify_all()

    def end(self, name: str) -> None:
        with self.changed:
            self.ended.add(name)
            self.changed.notify_all()


class OnStage(Aws):
    """Clients whose calls wait for their turn, but for a write that follows the look at the lock: AWS checks no token,
    so a process that is stopped between these two is beyond what the lock promises (docs/runs.md)."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.before: Callable[[str, str], None] = lambda _service, _name: None

    def _make_client(self, session: Any, service: str) -> Any:
        client = super()._make_client(session, service)
        client.meta.events.register("before-call", self._tell)
        return client

    def _tell(self, model: Any, **_: Any) -> None:
        self.before(model.service_model.service_name, model.name)


class StagedRun(Run):
    """A run that may stand still before each look at its lock, and is then known to be writing until it has written."""

    operator: Operator

    def check(self, rounds: int = 1) -> None:
        if rounds == 1:
            self.operator.begin_write()
        try:
            super().check(rounds)
        except PlatformError:
            self.operator.end_write()
            raise

    def outcome(self, write: Write, result: str, error: PlatformError | None = None) -> None:
        super().outcome(write, result, error)
        self.operator.end_write()


@dataclass
class Operator:
    """Somebody with a state of the platform in mind. `tasks` are the modules of the playbook with their options."""

    name: str
    aws: OnStage
    tasks: Sequence[Task]
    stage: Stage
    directory: Path
    is_newest: Callable[[int], bool]
    ends: list[str] = field(default_factory=list)
    token: int = 0
    _writing: threading.local = field(default_factory=threading.local)

    def live(self) -> None:
        """Start runs until one is completed, or one ends for another reason than the lock."""
        self.aws.before = self.before_call
        try:
            while not set(self.ends) - AGAIN:
                self.ends.append(self.run())
        except PlatformError as error:
            self.ends.append(str(error))
        finally:
            self.end_write()
            self.stage.end(self.name)

    def run(self) -> str:
        runs = {"directory": str(self.directory / self.name)}
        params = {"environment": ENVIRONMENT, "runs": runs, "key": None, "break_lock": None}
        claim = partial(Claim, owner=self.name, host="desk", ttl=TTL)
        try:
            session = open_run(self.aws, params, claim, self.look, {"rollback_of": ""})
        except (LockHeld, LockLost) as error:
            return type(error).__name__
        try:
            for module, options in self.tasks:
                self.task(session.context_file, module, options)
        except LockLost:
            return self.close(session.context_file, "failed")
        return self.close(session.context_file, "succeeded")

    def task(self, context: Path, module: ModuleType, options: Mapping[str, Any]) -> None:
        resource: Resource[Any] = Resource(SERVICES[module], module.desire, module.observe, module.plan)
        run = StagedRun(self.aws, str(context), module.__name__.rpartition(".")[2], self.name)
        run.operator, self.token = self, run.claim.counter
        with run.alive():
            converge(resource, self.aws, filled(module.SPEC, options), dry=False, transaction=run)

    def close(self, context: Path, verdict: str) -> str:
        record = opened(self.aws, context)
        told = {"verdict": verdict, "reason": "", "score_before": None, "score_after": None}
        lock, claim = lock_of(self.aws, record)
        close_run(record, self.look, told, partial(lock.check, claim))
        if verdict == "succeeded":
            self.stage.completed[self.name] = self.token
        lock.release(claim)
        return DONE if verdict == "succeeded" else LockLost.__name__

    def look(self) -> dict[str, Any]:
        return snapshot.read(self.aws, SCOPE)

    # --- on the stage

    def before_call(self, service: str, name: str) -> None:
        if service != "ssm" and not name.startswith(READS):
            written = Written(self.name, self.token, f"{service}:{name}", self.is_newest(self.token))
            self.stage.written.append(written)
        elif not getattr(self._writing, "now", False):
            self.stage.wait_turn(self.name)

    def begin_write(self) -> None:
        if getattr(self._writing, "now", False):
            return  # a further try of the same write
        self.stage.wait_turn(self.name)
        self._writing.now = True
        self.stage.move(1)

    def end_write(self) -> None:
        if getattr(self._writing, "now", False):
            self._writing.now = False
            self.stage.move(-1)


SCOPE = Scope(load_balancers=("edge",), target_groups=("one", "two", "three"), security_groups=("api",))


@contextmanager
def performing(operators: Sequence[Operator]) -> Iterator[None]:
    """All of them at once, each in a thread; at the end all have ended."""
    threads = [threading.Thread(target=each.live, daemon=True) for each in operators]
    for operator in operators:
        operator.stage.turns[operator.name] = 0
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for operator in operators:
            operator.stage.close()
        for thread in threads:
            thread.join(PATIENCE)


def alone(operator: Operator, stage: Stage, directory: Path) -> Operator:
    """The same operator with nobody else about."""
    return replace(operator, stage=stage, directory=directory, ends=[], token=0)
