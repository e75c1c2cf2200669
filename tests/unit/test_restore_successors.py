"""A rollback where other runs came later: what they created stays, and nothing is taken back without a person."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import lock as locking
from ansible_collections.hokusai.platform.plugins.modules import (
    alb_rules,
    alb_target_group,
    cloudwatch_alarms,
    platform_restore,
)

from sandbox.controlplane import ControlPlane
from tests.unit.alb_edge import BALANCER, PORT, Edge
from tests.unit.conftest import CountingAws, RunModule
from tests.unit.run_opened import Opened, Watch, name_in_order
from tests.unit.test_platform_restore import SCOPE, path_of, release, restore, site

METRIC = {"id": "errors", "name": "Errors", "namespace": "Test"}
ALARM = {"name": "errors", "metric": "errors", "threshold": 9}
RULE = {"name": "new", "priority": 7, "paths": ["/new"], "action": {"type": "forward", "target_group": "one"}}


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    watching = Watch().install(monkeypatch)
    yield watching
    watching.told = lambda name: None


@pytest.fixture
def run(
    aws: CountingAws, run_module: RunModule, watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Opened:
    monkeypatch.setattr(locking, "SETTLE", 0.0)
    name_in_order(monkeypatch)
    return Opened(aws, run_module, tmp_path / "runs")


def came_and_went(run: Opened) -> None:
    """Another run breaks the lock, finds all right, and lets go."""
    run.broken()
    release(run)


def test_the_services_that_are_mlflow_count_for_what_must_not_be_opened(
    run: Opened, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = site(run)
    monkeypatch.setattr(platform_restore, "bypasses", lambda _entries, groups, services: [*groups, *services])
    assert "one; the-service" in restore(run, mlflow_target_groups=["one"], mlflow_services=["the-service"])["msg"]
    assert (restore(run, _check=True)["run_id"], path_of(edge)) == (run_id, "/health")


# --- a rollback by itself


def failed(run: Opened) -> str:
    """A run that wrote, and failed: closed, and its lock still held; its id."""
    run.open(scope=SCOPE)
    run.run_module(alb_target_group.main, name="one", health_check={"path": "/health"}, run=run.context)
    run.close(verdict="failed")
    return run.run_id


def test_by_itself_a_run_is_taken_back_when_nobody_came_in_between(run: Opened, edge: Edge) -> None:
    run_id = failed(run)
    assert restore(run, run_id=run_id, newest_only=True, _check=True)["changed"]
    run.open(scope=SCOPE, rollback_of=run_id, break_lock=run_id)
    assert restore(run, run_id=run_id, newest_only=True, run=run.context)["changed"]
    assert path_of(edge) == "/"


def test_by_itself_no_run_is_taken_back_once_another_one_took_the_lock(
    run: Opened, edge: Edge, control_plane: ControlPlane
) -> None:
    run_id = failed(run)
    came_and_went(run)
    control_plane.calls.reset()
    for options in ({"_check": True}, {}):
        result = restore(run, run_id=run_id, newest_only=True, **options)
        assert result["error"] == "LockLost"
        assert f"Another run took the lock of development since the run {run_id} did" in result["msg"]
    assert (control_plane.calls.writes, path_of(edge)) == (0, "/health")


def test_nor_when_the_other_one_came_just_before_the_rollback_took_the_lock(run: Opened, edge: Edge) -> None:
    run_id = failed(run)
    assert restore(run, run_id=run_id, newest_only=True, _check=True)["changed"]
    came_and_went(run)
    run.open(scope=SCOPE, rollback_of=run_id, break_lock=run_id)
    assert restore(run, run_id=run_id, newest_only=True, run=run.context)["error"] == "LockLost"
    assert path_of(edge) == "/health"


def test_a_person_can_take_it_back_all_the_same(run: Opened, edge: Edge) -> None:
    run_id = failed(run)
    came_and_went(run)
    assert restore(run, run_id=run_id)["changed"]
    assert path_of(edge) == "/"


# --- what another run wrote


def cut_off(run: Opened, watch: Watch) -> str:
    """A run that is killed between journal and call of a health check; its id."""

    def kill(name: str) -> None:
        if name == "ModifyTargetGroup":
            raise KeyboardInterrupt

    watch.told = kill
    with pytest.raises(KeyboardInterrupt):
        site(run)
    watch.told = lambda name: None
    release(run)
    return run.run_id


def test_a_field_that_a_later_run_wrote_is_kept_where_it_is_not_sure_that_this_one_did(
    run: Opened, edge: Edge, watch: Watch
) -> None:
    first, second = cut_off(run, watch), site(run)
    result = restore(run, run_id=first)
    assert (result["changed"], path_of(edge)) == (False, "/health")
    assert reason(result) == f"written by the run {second}, and perhaps not by this one"


def test_so_is_one_where_the_record_of_the_later_run_is_elsewhere(run: Opened, edge: Edge, watch: Watch) -> None:
    first = cut_off(run, watch)
    site(run)
    shutil.rmtree(run.path)
    result = restore(run, run_id=first)
    assert (result["changed"], path_of(edge)) == (False, "/health")
    assert "by a later one, whose record is not here" in reason(result)


def test_a_field_that_a_later_run_gave_another_value_first_goes_back_where_this_one_surely_wrote_it(
    run: Opened, edge: Edge
) -> None:
    first = site(run)
    site(run, "/other")
    site(run)
    assert restore(run, run_id=first)["changed"]
    assert path_of(edge) == "/"


# --- what another run created


def rule(run: Opened, context: str | None) -> dict[str, Any]:
    return run.run_module(alb_rules.main, load_balancer=BALANCER, port=PORT, rules=[RULE], run=context)


def alarm(run: Opened, context: str | None) -> dict[str, Any]:
    return run.run_module(cloudwatch_alarms.main, metrics=[METRIC], alarms=[ALARM], run=context)


CREATES = {"CreateRule": rule, "PutMetricAlarm": alarm}
"""By the call that creates it: a rule, whose id the answer tells, and an alarm, whose id is its name."""
BOTH = pytest.mark.parametrize("call", CREATES)
WIDE = {**SCOPE, "alarms": ["errors"]}


def killed(run: Opened, watch: Watch, call: str) -> str:
    """A run that is killed between journal and call; its id. The lock, which would run out, is taken away."""

    def kill(name: str) -> None:
        if name == call:
            raise KeyboardInterrupt

    run.open(scope=WIDE)
    watch.told = kill
    with pytest.raises(KeyboardInterrupt):
        CREATES[call](run, run.context)
    watch.told = lambda name: None
    release(run)
    return run.run_id


def repaired(run: Opened, call: str) -> str:
    """A run that creates the same; its id."""
    run.open(scope=WIDE)
    assert CREATES[call](run, run.context)["changed"]
    run.close()
    release(run)
    return run.run_id


def stays(edge: Edge, call: str) -> bool:
    if call == "CreateRule":
        return edge.forwards() == {7: "one"}
    return len(edge.aws.cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"]) == 1


def reason(result: dict[str, Any]) -> str:
    [kept] = result["kept"]
    return str(kept["reason"])


@BOTH
def test_what_a_later_run_created_is_not_removed(run: Opened, edge: Edge, watch: Watch, call: str) -> None:
    cut_off, second = killed(run, watch, call), repaired(run, call)
    result = restore(run, run_id=cut_off)
    assert (result["changed"], reason(result)) == (False, f"created by the run {second}")
    assert stays(edge, call)


@BOTH
def test_nor_where_the_record_of_the_later_run_is_elsewhere(run: Opened, edge: Edge, watch: Watch, call: str) -> None:
    cut_off = killed(run, watch, call)
    repaired(run, call)
    shutil.rmtree(run.path)
    result = restore(run, run_id=cut_off)
    assert "by a later one, whose record is not here" in reason(result)
    assert stays(edge, call)


def test_nor_where_the_later_run_was_cut_off_before_its_answer_too(run: Opened, edge: Edge, watch: Watch) -> None:
    cut_off, second = killed(run, watch, "CreateRule"), killed(run, watch, "CreateRule")
    rule(run, None)
    assert f"by the run or by the run {second}" in reason(restore(run, run_id=cut_off))
    assert stays(edge, "CreateRule")


@BOTH
def test_what_a_run_surely_created_goes_whoever_came_later(run: Opened, edge: Edge, call: str) -> None:
    run_id = repaired(run, call)
    came_later(run)
    assert restore(run, run_id=run_id)["changed"]
    assert not stays(edge, call)


def came_later(run: Opened) -> None:
    """A run whose record is not here."""
    run.open(scope=WIDE)
    release(run)
    shutil.rmtree(run.path)


@BOTH
def test_what_a_killed_run_created_after_all_goes_when_nobody_came_later(
    run: Opened, edge: Edge, watch: Watch, call: str
) -> None:
    cut_off = killed(run, watch, call)
    CREATES[call](run, None)
    assert restore(run, run_id=cut_off)["changed"]
    assert not stays(edge, call)
