"""The runner, with a resource that is a set of names and an AWS that is a few lines long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import runner
from ansible_collections.hokusai.platform.plugins.module_utils.errors import (
    AwsError,
    BadInput,
    GaveUp,
    NotConverged,
    PlatformError,
    Unsafe,
)
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Later, Missing, Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Outcome, Resource, converge
from botocore.exceptions import ClientError

Names = frozenset[str]


def refused(code: str = "AccessDenied") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "AddName")


@dataclass
class Cloud:
    """An AWS with one kind of resource. `on_add` is called before a name is added, `after_add` when it is there."""

    names: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    looks: int = 0
    stale_looks: int = 0
    on_add: Callable[[str], None] = lambda name: None
    after_add: Callable[[str], None] = lambda name: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str) -> Cloud:
        return self

    def add_name(self, *, Name: str, **_: Any) -> dict[str, str]:  # noqa: N803 - AWS's spelling
        with self.lock:
            self.calls.append(Name)
        self.on_add(Name)
        with self.lock:
            self.names.add(Name)
        self.after_add(Name)
        return {"Id": f"id-of-{Name}"}


class Bench:
    """The resource under test: every wanted name that is absent is a step, made by `step`."""

    def __init__(self, cloud: Cloud, step: Callable[[str, Observed[Names]], Step] | None = None) -> None:
        self.cloud = cloud
        self.step = step or (lambda name, _observed: Step("add_name", {"Name": name}, f"{name} is absent"))
        self.prove: Callable[[Observed[Names], Names | None, Sequence[Step]], Any] | None = None
        self.settled: list[list[str]] = []
        self.before_writes = frozenset(cloud.names)

    def observe(self, aws: Any, params: Any) -> Observed[Names]:
        cloud = self.cloud
        cloud.looks += 1
        if cloud.calls and cloud.stale_looks:
            cloud.stale_looks -= 1
            return Observed(self.before_writes)
        return Observed(frozenset(cloud.names), {name: f"id-of-{name}" for name in cloud.names})

    def plan(self, observed: Observed[Names], desired: Names | None) -> Iterator[Step]:
        return (self.step(name, observed) for name in sorted((desired or frozenset()) - (observed.resource or set())))

    def settle(self, aws: Any, params: Any, responses: Iterable[Any]) -> None:
        self.settled.append([step.args["Name"] for step, _response in responses])

    def converge(self, *names: str, dry: bool = False, settle: Any = None) -> Outcome[Names]:
        settle = settle or self.settle
        resource = Resource("cloud", lambda params: frozenset(names), self.observe, self.plan, settle, self.prove)
        return converge(resource, self.cloud, {}, dry=dry)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "REREAD_DELAYS", (0.0, 0.001, 0.001, 0.001))


def done(error: PlatformError) -> list[str]:
    return [step["why"] for step in error.details["steps_done"]]


def test_check_mode_writes_nothing_and_predicts_what_is_then_done() -> None:
    cloud = Cloud({"a"})
    predicted = Bench(cloud).converge("a", "b", "c", dry=True)
    assert cloud.calls == []
    applied = Bench(cloud).converge("a", "b", "c")
    assert cloud.names == {"a", "b", "c"}
    assert predicted.result() == applied.result()
    assert [step["why"] for step in applied.result()["steps"]] == ["b is absent", "c is absent"]


def test_a_second_run_changes_nothing() -> None:
    cloud = Cloud()
    Bench(cloud).converge("a")
    again = Bench(cloud).converge("a")
    assert again.result()["changed"] is False
    assert cloud.calls == ["a"]


def test_what_was_started_earlier_is_waited_for_even_when_nothing_is_to_be_written() -> None:
    bench = Bench(Cloud({"a"}))
    bench.converge("a")
    assert bench.settled == [[]]


def test_a_write_that_landed_although_it_failed_is_done() -> None:
    def lose_response(name: str) -> None:
        raise refused("InternalFailure")

    cloud = Cloud(after_add=lose_response)
    outcome = Bench(cloud).converge("a")
    assert [step.why for step in outcome.steps] == ["a is absent"]
    assert cloud.calls == ["a"]


def test_a_write_that_failed_names_itself_and_what_was_done_before() -> None:
    def refuse(name: str) -> None:
        if name == "b":
            raise refused()

    with pytest.raises(AwsError) as error:
        Bench(Cloud(on_add=refuse)).converge("a", "b", "c")
    assert error.value.code == "AccessDenied"
    assert error.value.details["step_failed"] == {"verb": "add_name", "why": "b is absent"}
    assert done(error.value) == ["a is absent"]


def test_a_read_that_is_refused_is_an_error_and_nothing_is_written() -> None:
    cloud = Cloud()
    bench = Bench(cloud)
    bench.observe = lambda aws, params: (_ for _ in ()).throw(refused())  # type: ignore[method-assign]
    with pytest.raises(AwsError, match="AccessDenied"):
        bench.converge("a")
    assert cloud.calls == []


def test_a_read_that_is_refused_after_a_write_still_names_what_was_done() -> None:
    cloud = Cloud()
    bench = Bench(cloud)

    def observe(aws: Any, params: Any) -> Observed[Names]:
        if cloud.calls:
            raise refused("ExpiredToken")
        return Observed(frozenset())

    bench.observe = observe  # type: ignore[method-assign]
    with pytest.raises(AwsError, match="renew the session") as error:
        bench.converge("a")
    assert done(error.value) == ["a is absent"]


def test_reads_that_lag_behind_a_write_are_repeated_and_the_write_is_not() -> None:
    cloud = Cloud(stale_looks=2)
    Bench(cloud).converge("a")
    assert cloud.calls == ["a"]
    assert cloud.looks == 4


def test_reads_that_never_show_the_write_are_given_up_within_the_bound() -> None:
    cloud = Cloud(stale_looks=99)
    with pytest.raises(NotConverged, match="a is absent") as error:
        Bench(cloud).converge("a")
    assert cloud.looks == 1 + len(runner.REREAD_DELAYS)
    assert done(error.value) == ["a is absent"]


def needs_missing(name: str, observed: Observed[Names]) -> Step:
    return Step("add_name", {"Name": name, "In": observed.id("box", "create the box first")}, f"{name} is absent")


def test_a_reference_to_nothing_is_refused_before_the_first_write() -> None:
    cloud = Cloud()
    with pytest.raises(BadInput, match="box does not exist") as error:
        Bench(cloud, needs_missing).converge("a", "b")
    assert error.value.remedy == "create the box first"
    assert cloud.calls == []


def test_in_check_mode_a_reference_to_nothing_is_an_assumption_that_is_said() -> None:
    outcome = Bench(Cloud(), needs_missing).converge("a", "b", dry=True)
    assert len(outcome.steps) == 2
    assert outcome.warnings == ("box does not exist yet: this plan assumes that an earlier task creates it",)


def after_first(name: str, observed: Observed[Names]) -> Step:
    parent: str | Later | Missing = "none" if name == "a" else observed.ids.get("a", Later("a"))
    return Step("add_name", {"Name": name, "Parent": parent}, f"{name} is absent")


def test_an_id_known_only_after_a_step_is_used_in_the_next_round() -> None:
    cloud = Cloud()
    predicted = Bench(cloud, after_first).converge("a", "b", "c", dry=True)
    bench = Bench(cloud, after_first)
    applied = bench.converge("a", "b", "c")
    assert cloud.calls == ["a", "b", "c"]
    assert bench.settled == [["a"], ["b", "c"]]
    assert predicted.result() == applied.result()


def test_a_plan_that_only_waits_for_itself_is_an_error() -> None:
    bench = Bench(Cloud(), lambda name, _: Step("add_name", {"Name": name, "Parent": Later("a")}, "b"))
    with pytest.raises(NotConverged):
        bench.converge("b")


def test_steps_that_always_bring_new_ones_end_as_not_converged() -> None:
    cloud = Cloud()
    cloud.after_add = cloud.names.remove
    rounds = iter(range(100))
    bench = Bench(cloud, lambda name, _: Step("add_name", {"Name": name}, f"{name}, attempt {next(rounds)}"))
    with pytest.raises(NotConverged, match="look who else writes"):
        bench.converge("a")
    assert len(cloud.calls) == runner.MAX_ROUNDS


def batched(name: str, _observed: Observed[Names]) -> Step:
    return Step("add_name", {"Name": name}, f"{name} is absent", batch="all")


def test_steps_of_one_batch_run_at_the_same_time() -> None:
    barrier = threading.Barrier(3, timeout=10)
    outcome = Bench(Cloud(on_add=lambda name: barrier.wait() and None), batched).converge("a", "b", "c")
    assert len(outcome.steps) == 3


def test_steps_without_a_batch_run_one_after_the_other() -> None:
    running: list[str] = []
    most: list[int] = []

    def watch(name: str) -> None:
        running.append(name)
        most.append(len(running))
        time.sleep(0.005)
        running.remove(name)

    Bench(Cloud(on_add=watch)).converge("a", "b", "c")
    assert max(most) == 1


def test_steps_of_a_batch_are_reported_in_the_order_of_the_plan() -> None:
    later = threading.Event()

    def last_first(name: str) -> None:
        later.set() if name == "b" else later.wait(10)

    cloud = Cloud(on_add=last_first)
    predicted = Bench(cloud, batched).converge("a", "b", dry=True)
    applied = Bench(cloud, batched).converge("a", "b")
    assert predicted.result() == applied.result()


def test_when_one_of_a_batch_fails_the_others_are_finished_and_named() -> None:
    failed = threading.Event()

    def refuse_first(name: str) -> None:
        if name == "a":
            failed.set()
            raise refused()
        failed.wait(10)
        time.sleep(0.01)

    cloud = Cloud(on_add=refuse_first)
    with pytest.raises(AwsError) as error:
        Bench(cloud, batched).converge("a", "b")
    assert cloud.names == {"b"}
    assert done(error.value) == ["b is absent"]


def test_what_goes_wrong_while_waiting_names_what_was_done() -> None:
    def settle(aws: Any, params: Any, responses: Any) -> None:
        raise GaveUp("it was rolled back")

    with pytest.raises(GaveUp) as error:
        Bench(Cloud()).converge("a", settle=settle)
    assert done(error.value) == ["a is absent"]


@dataclass(frozen=True)
class Doubt:
    """What is said of a plan: nothing good of one that adds some names."""

    names: tuple[str, ...]
    feared: str = ""

    @property
    def severity(self) -> int:
        return max((self.feared.find(name) + 1 for name in self.names), default=0)


def disturbed(feared: str) -> tuple[Cloud, Bench]:
    """A bench whose `b` a stranger takes away while `a` is added; what is proved fears some names."""

    def take_away(name: str) -> None:
        if name == "a":
            cloud.names.discard("b")

    cloud = Cloud({"b"}, after_add=take_away)
    bench = Bench(cloud)
    bench.prove = lambda observed, desired, steps: Doubt(tuple(step.args["Name"] for step in steps), feared)
    return cloud, bench


def test_what_a_stranger_makes_necessary_between_the_rounds_is_refused_before_its_first_write() -> None:
    cloud, bench = disturbed("b")

    def refuse(observed: Observed[Names], desired: Names | None, steps: Sequence[Step]) -> None:
        if "b" not in (observed.resource or ()):
            raise Unsafe(f"{[step.why for step in steps]} would lead astray")

    bench.prove = refuse
    with pytest.raises(Unsafe, match=r"\['b is absent'\]") as error:
        bench.converge("a", "b")
    assert (cloud.calls, cloud.names) == (["a"], {"a"})
    assert done(error.value) == ["a is absent"]


@pytest.mark.parametrize(("feared", "told"), [("", ("a",)), ("b", ("b",)), ("ab", ("b",)), ("ba", ("a",))])
def test_of_the_proofs_of_all_rounds_the_worst_is_told(feared: str, told: tuple[str, ...]) -> None:
    cloud, bench = disturbed(feared)
    assert bench.converge("a", "b").proof == Doubt(told, feared)
    assert cloud.calls == ["a", "b"]
    assert cloud.looks == 3
