from __future__ import annotations

import pytest

from sandbox.agent.scheduling import Bounds, Decision, TaskView, breaker_threshold, decide, is_steady, restart_delay


def current(name: str, *, running: bool = True, healthy: bool = True, failing: bool = False) -> TaskView:
    return TaskView(name, current=True, running=running, healthy=healthy, failing=failing)


def old(name: str, *, running: bool = True, healthy: bool = True, failing: bool = False) -> TaskView:
    return TaskView(name, current=False, running=running, healthy=healthy, failing=failing)


STARTING = {"running": False, "healthy": False}
UNPROVEN = {"healthy": False}
FAILING = {"healthy": False, "failing": True}


@pytest.mark.parametrize(
    ("tasks", "bounds", "expected"),
    [
        pytest.param([], Bounds(2), Decision(2, ()), id="an empty service starts all of its tasks"),
        pytest.param([current("a")], Bounds(1), Decision(0, ()), id="a satisfied service is left alone"),
        pytest.param([old("a")], Bounds(1), Decision(1, ()), id="a new revision starts before the old one stops"),
        pytest.param(
            [old("a"), current("b", **STARTING)], Bounds(1), Decision(0, ()), id="the old task waits for the new one"
        ),
        pytest.param(
            [old("a"), current("b", **UNPROVEN)],
            Bounds(1),
            Decision(0, ()),
            id="a healthy old task waits until the new one is healthy, not only running",
        ),
        pytest.param([old("a"), current("b")], Bounds(1), Decision(0, ("a",)), id="then the old task stops"),
        pytest.param(
            [old("a"), old("b"), current("c"), current("d", **STARTING)],
            Bounds(2),
            Decision(0, ("a",)),
            id="old tasks stop one by one as new ones become healthy",
        ),
        pytest.param(
            [old("a"), old("b"), old("c"), old("d")],
            Bounds(4, 50, 100),
            Decision(0, ("a", "b")),
            id="without room above, old tasks stop first, down to the minimum",
        ),
        pytest.param(
            [old("a"), old("b")], Bounds(4, 100, 150), Decision(4, ()), id="new tasks fill the room below the maximum"
        ),
        pytest.param(
            [current("a", **FAILING)], Bounds(1), Decision(1, ()), id="a failing task is replaced before it is stopped"
        ),
        pytest.param(
            [current("a", **FAILING), current("b", **STARTING)],
            Bounds(1),
            Decision(0, ()),
            id="a failing task stays while its replacement starts",
        ),
        pytest.param(
            [current("a", **FAILING), current("b", **UNPROVEN)],
            Bounds(1),
            Decision(0, ("a",)),
            id="a failing task goes as soon as its replacement runs",
        ),
        pytest.param(
            [old("a", **STARTING)], Bounds(1), Decision(1, ("a",)), id="an old task still starting is dropped"
        ),
        pytest.param([current("a"), current("b")], Bounds(1), Decision(0, ("a",)), id="scaling in stops the surplus"),
        pytest.param(
            [current("a"), current("b", **STARTING)],
            Bounds(1),
            Decision(0, ("b",)),
            id="scaling in stops first what does not serve",
        ),
        pytest.param(
            [current("a"), old("b")], Bounds(0), Decision(0, ("a", "b")), id="a desired count of 0 stops everything"
        ),
    ],
)
def test_the_scheduler_decides_what_to_start_and_stop(
    tasks: list[TaskView], bounds: Bounds, expected: Decision
) -> None:
    assert decide(tasks, bounds) == expected


@pytest.mark.parametrize(
    ("tasks", "steady"),
    [
        ([current("a")], True),
        ([current("a", **UNPROVEN)], False),
        ([current("a", **FAILING)], False),
        ([current("a"), old("b")], False),
        ([], False),
    ],
)
def test_a_service_is_steady_when_its_own_tasks_and_no_others_are_healthy(tasks: list[TaskView], steady: bool) -> None:
    assert is_steady(tasks, Bounds(1)) is steady


@pytest.mark.parametrize(("desired", "threshold"), [(1, 3), (6, 3), (10, 5), (11, 6), (1000, 200)])
def test_the_circuit_breaker_counts_to_half_the_desired_tasks_within_3_and_200(desired: int, threshold: int) -> None:
    assert breaker_threshold(desired) == threshold


def test_restarts_are_free_at_first_and_then_back_off_up_to_a_limit() -> None:
    assert [restart_delay(failures) for failures in (1, 2, 3, 4, 5, 50)] == [0, 0, 10, 20, 40, 300]
