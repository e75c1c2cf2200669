"""platform_restore as a task runs it: which run it takes, what it refuses, and that it is itself in a run."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import lock as locking
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import Contents
from ansible_collections.hokusai.platform.plugins.module_utils.run_store import Runs
from ansible_collections.hokusai.platform.plugins.modules import alb_rules, alb_target_group, platform_restore

from sandbox.controlplane import ControlPlane, Fault
from tests.reliability.counts import MODULE_DAMAGES
from tests.unit.alb_edge import BALANCER, PORT, Edge
from tests.unit.alb_model import ours, theirs
from tests.unit.conftest import CountingAws, RunModule
from tests.unit.run_opened import Opened, name_in_order
from tests.unit.run_world import damaged, held, overwrite

SCOPE = {"load_balancers": [BALANCER], "target_groups": ["one", "two"]}


@pytest.fixture
def run(aws: CountingAws, run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    monkeypatch.setattr(locking, "SETTLE", 0.0)
    name_in_order(monkeypatch)
    return Opened(aws, run_module, tmp_path / "runs")


def site(run: Opened, path: str = "/health", **options: Any) -> str:
    """A run that sets a health check; its id."""
    run.open(scope=SCOPE, **options)
    run.run_module(alb_target_group.main, name="one", health_check={"path": path}, run=run.context)
    run.close()
    release(run)
    return run.run_id


def release(run: Opened) -> None:
    seen = run.lock.look()
    if seen.holder:
        run.lock.release(seen.holder)


@pytest.fixture(params=["", "runs"], ids=["directory", "bucket"])
def place(request: pytest.FixtureRequest, run: Opened) -> dict[str, str]:
    """Where runs are recorded, as the option `runs` says it."""
    if request.param:
        run.aws.s3.create_bucket(Bucket=request.param)
        run.aws.s3.put_bucket_versioning(Bucket=request.param, VersioningConfiguration={"Status": "Enabled"})
    return {"directory": str(run.directory), **({"bucket": request.param} if request.param else {})}


def restore(run: Opened, /, **options: Any) -> dict[str, Any]:
    given = {
        "environment": "development",
        "runs": {"directory": str(run.directory)},
        "mlflow_target_groups": ["two"],
        **options,
    }
    return run.run_module(platform_restore.main, **given)


def path_of(edge: Edge, name: str = "one") -> str:
    found = edge.aws.elbv2.describe_target_groups(Names=[name])["TargetGroups"][0]
    return str(found["HealthCheckPath"])


def test_the_newest_run_that_wrote_something_is_taken_back_and_told(run: Opened, edge: Edge) -> None:
    run_id = site(run)
    site(run)  # which finds nothing to write
    result = restore(run)
    assert (result["run_id"], result["changed"], path_of(edge)) == (run_id, True, "/")
    assert [(each["field"], each["from"], each["to"]) for each in result["restored"]] == [
        ("HealthCheckPath", "/health", "/")
    ]
    assert (result["kept"], result["messages"], result["bypass"]) == ([], [], [])
    assert [json.dumps(result["diff"][end]).count('"/health"') for end in ("before", "after")] == [1, 0]


def test_check_mode_says_the_same_and_writes_nothing(run: Opened, edge: Edge, control_plane: ControlPlane) -> None:
    site(run)
    control_plane.calls.reset()
    predicted = restore(run, _check=True)
    assert control_plane.calls.writes == 0
    assert path_of(edge) == "/health"
    done = restore(run)
    assert {**predicted, "warned": []} == {**done, "warned": []}


def test_a_rollback_is_a_run_with_a_record_and_is_not_taken_back_again_by_itself(run: Opened, edge: Edge) -> None:
    first, second = site(run, "/a"), site(run, "/b")
    taken = []
    for _each in (first, second):
        next_one = restore(run, _check=True)["run_id"]
        run.open(scope=SCOPE, rollback_of=next_one)
        taken.append(restore(run, run=run.context)["run_id"])
        assert (taken[-1], run.outcomes()) == (next_one, ["done"])
        run.close()
        release(run)
    assert taken == [second, first]
    assert path_of(edge) == "/"
    assert "No run of development is left" in restore(run)["msg"]


def test_a_rollback_can_be_taken_back_by_its_name(run: Opened, edge: Edge) -> None:
    run_id = site(run)
    run.open(scope=SCOPE, rollback_of=run_id)
    restore(run, run_id=run_id, run=run.context)
    run.close()
    release(run)
    assert path_of(edge) == "/"
    restore(run, run_id=run.run_id)
    assert path_of(edge) == "/health"


def test_the_newest_run_is_the_one_that_put_a_run_in_force_again(run: Opened, edge: Edge) -> None:
    first, second = site(run, "/a"), site(run, "/b")
    for taken in (second, ""):
        run_id = taken or run.run_id
        run.open(scope=SCOPE, rollback_of=run_id)
        assert restore(run, run_id=run_id, run=run.context)["changed"]
        run.close()
        release(run)
    assert path_of(edge) == "/b"
    put_in_force = run.run_id
    left = platform_restore.untaken(run.archive(), "", [])
    assert [each.identity.run_id for each in left if isinstance(each, Contents)] == [put_in_force, first]
    assert (restore(run, _check=True)["run_id"], path_of(edge)) == (put_in_force, "/b")
    run.open(scope=SCOPE, rollback_of=put_in_force)
    assert restore(run, run=run.context)["run_id"] == put_in_force
    run.close()
    release(run)
    assert (path_of(edge), restore(run, _check=True)["run_id"]) == ("/a", first)


def test_what_a_rollback_of_a_rollback_put_in_force_before_it_failed_goes_by_default(
    run: Opened, edge: Edge, control_plane: ControlPlane
) -> None:
    """One that is made again finds only the rest to do, and answers for no more than that."""
    run.open(scope=SCOPE)
    for name in ("one", "two"):
        run.run_module(alb_target_group.main, name=name, health_check={"path": "/a"}, run=run.context)
    run.close()
    release(run)
    first = run.run_id
    taking_back(run, first)
    rollback, newest = run.run_id, []
    for faults in ([Fault("^elbv2:ModifyTargetGroup$", skip=1, kind="denied")], []):
        control_plane.faults.replace(faults)
        taking_back(run, rollback, failing=bool(faults))
        newest.insert(0, run.run_id)
    assert [path_of(edge, name) for name in ("one", "two")] == ["/a", "/a"]
    for expected in newest:
        assert restore(run, _check=True)["run_id"] == expected
        taking_back(run, expected)
    assert [path_of(edge, name) for name in ("one", "two")] == ["/", "/"]


def taking_back(run: Opened, run_id: str, *, failing: bool = False) -> None:
    run.open(scope=SCOPE, rollback_of=run_id)
    assert bool(restore(run, run_id=run_id, run=run.context).get("failed")) == failing
    run.close(verdict="failed" if failing else "succeeded")
    release(run)


def test_the_rollback_of_a_rollback_that_could_write_nothing_puts_nothing_in_force(run: Opened, edge: Edge) -> None:
    first, second = site(run, "/a"), site(run, "/b")
    for taken in (second, ""):
        run_id = taken or run.run_id
        run.open(scope=SCOPE, rollback_of=run_id)
        assert restore(run, run_id=run_id, run=run.context)["changed"] == bool(taken)
        run.close()
        release(run)
        edge.aws.elbv2.modify_target_group(TargetGroupArn=edge.groups["one"], HealthCheckPath="/theirs")
    assert restore(run, _check=True)["run_id"] == first


def test_what_the_rollback_of_a_rollback_made_again_goes_by_default(run: Opened, edge: Edge) -> None:
    def groups() -> list[str]:
        return sorted(each["TargetGroupName"] for each in edge.aws.elbv2.describe_target_groups()["TargetGroups"])

    there, made = groups(), {"name": "four", "vpc": "the-vpc", "protocol": "HTTP", "port": 8001, "target_type": "ip"}
    scope = {**SCOPE, "target_groups": ["one", "two", "four"]}
    run.open(scope=scope)
    run.run_module(alb_target_group.main, **made, run=run.context)
    run.close()
    release(run)
    for _time in range(2):
        taken = run.run_id
        run.open(scope=scope, rollback_of=taken)
        assert restore(run, run_id=taken, run=run.context)["changed"]
        run.close()
        release(run)
    assert groups() == sorted([*there, "four"])
    assert (restore(run)["kept"], groups()) == ([], there)


def test_a_run_of_which_nothing_is_left_names_the_next_older_one(run: Opened, edge: Edge) -> None:
    first, second, third = site(run, "/a"), site(run, "/b"), site(run, "/c")
    site(run, "/c")  # which finds nothing to write
    edge.aws.elbv2.modify_target_group(TargetGroupArn=edge.groups["one"], HealthCheckPath="/b")
    told = restore(run)
    assert (told["run_id"], told["steps"], told["kept"], told["older"]) == (third, [], [], second)
    edge.aws.elbv2.modify_target_group(TargetGroupArn=edge.groups["one"], HealthCheckPath="/z")
    told = restore(run)
    assert (told["run_id"], len(told["kept"]), told["older"]) == (third, 1, second)
    told = restore(run, run_id=second)
    assert (told["steps"], told["older"]) == ([], first)
    assert restore(run, run_id=first)["older"] == ""


@pytest.mark.parametrize(("path", "newest_only"), [("/b", False), ("/a", True)], ids=["something", "by itself"])
def test_no_older_one_is_named_where_something_is_left_or_a_play_takes_back_by_itself(
    run: Opened, edge: Edge, path: str, newest_only: bool
) -> None:
    for each in ("/a", "/b"):
        site(run, each)
    edge.aws.elbv2.modify_target_group(TargetGroupArn=edge.groups["one"], HealthCheckPath=path)
    assert restore(run, newest_only=newest_only, _check=True)["older"] == ""


def test_an_interrupted_run_is_taken_back(run: Opened, edge: Edge) -> None:
    run.open(scope=SCOPE)
    run.run_module(alb_target_group.main, name="one", health_check={"path": "/health"}, run=run.context)
    release(run)
    assert restore(run)["changed"]
    assert path_of(edge) == "/"


def test_a_run_that_was_cut_off_while_it_was_opened_is_passed_over_and_named(
    run: Opened, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote = site(run)
    run.cut_off(monkeypatch, scope=SCOPE)
    result = restore(run)
    assert (result["run_id"], result["passed_over"], path_of(edge)) == (wrote, [run.run_id], "/")
    assert "wrote nothing" in restore(run, run_id=run.run_id)["msg"]


def test_a_run_that_left_an_empty_directory_is_passed_over(run: Opened, edge: Edge) -> None:
    wrote = site(run)
    nothing = "20261121T150000Z-ffffff"
    (run.directory / "development" / nothing).mkdir()
    result = restore(run)
    assert (result["run_id"], result["passed_over"], path_of(edge)) == (wrote, [nothing], "/")
    assert "wrote nothing" in restore(run, run_id=nothing)["msg"]
    assert restore(run, run_id="20261121T150000Z-fffffe")["error"] == "BadRecord"


def test_a_run_whose_files_are_all_empty_is_damaged_and_did_not_write_nothing(run: Opened, edge: Edge) -> None:
    site(run, "/a")
    run_id = site(run, "/b")
    for file in (run.directory / "development" / run_id).iterdir():
        file.write_bytes(b"")
    assert (restore(run)["error"], path_of(edge)) == ("BadRecord", "/b")


def spoil(run: Opened, run_id: str, file: str = "before.json") -> None:
    path = run.directory / "development" / run_id / file
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize("file", ["run.json", "before.json", "journal.jsonl"])
def test_a_damaged_record_refuses_what_is_older_and_names_the_newest_sound_run(
    run: Opened, edge: Edge, control_plane: ControlPlane, file: str
) -> None:
    _first, second, third = site(run, "/a"), site(run, "/b"), site(run, "/c")
    spoil(run, third, file)
    control_plane.calls.reset()
    refused = restore(run)
    assert (refused["error"], control_plane.calls.writes, path_of(edge)) == ("BadRecord", 0, "/c")
    assert third in refused["msg"]
    assert f"rollback.yml -e run_id={second}" in refused["remedy"]
    result = restore(run, run_id=second)
    assert [each["reason"] for each in result["kept"]] == ["changed since the run wrote it"]


def test_where_no_record_is_sound_the_refusal_is_that_of_the_newest(run: Opened, edge: Edge) -> None:
    for run_id in (first := site(run, "/a"), second := site(run, "/b")):
        spoil(run, run_id)
    refused = restore(run)
    assert second in refused["msg"]
    assert first not in refused["msg"]
    assert "run_id=" not in refused["remedy"]


def test_the_damaged_record_of_a_run_that_was_taken_back_is_in_nobodys_way(run: Opened, edge: Edge) -> None:
    first, second = site(run, "/a"), site(run, "/b")
    run.open(scope=SCOPE, rollback_of=second)
    restore(run, run_id=second, run=run.context)
    run.close()
    release(run)
    spoil(run, second)
    assert restore(run, _check=True)["run_id"] == first


def test_a_run_that_holds_the_lock_is_refused(run: Opened, edge: Edge, control_plane: ControlPlane) -> None:
    run.open(scope=SCOPE)
    run.run_module(alb_target_group.main, name="one", health_check={"path": "/health"}, run=run.context)
    control_plane.calls.reset()
    assert "is still going on" in restore(run, run_id=run.run_id)["msg"]
    assert (control_plane.calls.writes, path_of(edge)) == (0, "/health")


@pytest.mark.parametrize("file", ["run.json", "before.json", "journal.jsonl", "journal.head", "result.json"])
def test_a_record_that_was_altered_is_refused(run: Opened, edge: Edge, control_plane: ControlPlane, file: str) -> None:
    run_id = site(run)
    path = run.directory / "development" / run_id / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    control_plane.calls.reset()
    assert restore(run, run_id=run_id)["error"] == "BadRecord"
    assert (control_plane.calls.writes, path_of(edge)) == (0, "/health")


def test_whatever_bit_is_flipped_and_wherever_it_is_cut_nothing_is_written(
    run: Opened, edge: Edge, control_plane: ControlPlane, place: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform_restore, "Aws", lambda _params: run.aws)  # making clients takes longer than the test
    run_id = site(run, runs=place)
    store = Runs.of(place).store(run.aws, "development", run_id)
    chance, sound = random.Random(8), sorted(held(store).items())
    for number in range(MODULE_DAMAGES):
        name, data = sound[number % len(sound)]
        overwrite(store, name, broken := damaged(data, chance))
        control_plane.calls.reset()
        told = restore(run, runs=place, **chance.choice(({}, {"run_id": run_id})))
        assert (told.get("error"), control_plane.calls.writes) == ("BadRecord", 0), (name, broken)
        overwrite(store, name, data)
    assert path_of(edge) == "/health"
    assert restore(run, runs=place)["changed"]


def test_the_record_of_another_account_is_refused(run: Opened, edge: Edge, control_plane: ControlPlane) -> None:
    run_id = site(run)
    role = "arn:aws:iam::210987654321:role/deployer"
    control_plane.calls.reset()
    told = restore(run, run_id=run_id, assume_role_arn=role)
    assert told["error"] == "BadRecord"
    assert "of account '123456789012', not '210987654321'" in told["msg"]
    assert (control_plane.calls.writes, path_of(edge)) == (0, "/health")


@pytest.mark.parametrize("other", [{"environment": "production"}, {"region": "eu-west-1"}])
def test_the_record_of_another_environment_or_region_is_refused(
    run: Opened, edge: Edge, control_plane: ControlPlane, other: dict[str, str]
) -> None:
    run_id = site(run)
    if "environment" in other:
        (run.directory / "development").rename(run.directory / "production")
    control_plane.calls.reset()
    assert restore(run, run_id=run_id, **other)["error"] == "BadRecord"
    assert (control_plane.calls.writes, path_of(edge)) == (0, "/health")


@pytest.fixture
def bypassed(run: Opened, edge: Edge) -> str:
    """A run that closed a bypass; its id."""
    edge.make_rule(theirs(105, "two", paths=["/api/mlflow/*"]))
    run.open(scope=SCOPE)
    listed = [{"name": "mlflow", "priority": 105, "paths": ["/api/mlflow/*"], "action": {"target_group": "one"}}]
    assert run.run_module(alb_rules.main, load_balancer=BALANCER, port=PORT, rules=listed, run=run.context)["changed"]
    run.close()
    release(run)
    return run.run_id


def test_going_back_to_a_bypass_is_refused_and_the_message_says_what_to_type(
    run: Opened, edge: Edge, bypassed: str, control_plane: ControlPlane
) -> None:
    control_plane.calls.reset()
    result = restore(run)
    assert "rule edge:443 priority 105: forward to two" in result["msg"]
    assert "-e hokusai_allow_bypass=yes" in result["remedy"]
    assert (control_plane.calls.writes, edge.forwards()) == (0, {105: "one"})


def test_check_mode_shows_it_and_warns(run: Opened, edge: Edge, bypassed: str) -> None:
    result = restore(run, _check=True)
    assert result["bypass"] == ["rule edge:443 priority 105: forward to two"]
    assert "would be refused without allow_bypass" in result["warned"][0]


def test_with_an_explicit_yes_it_goes_back(run: Opened, edge: Edge, bypassed: str) -> None:
    assert restore(run, allow_bypass=True)["changed"]
    assert edge.forwards() == {105: "two"}


@pytest.fixture
def swapped(run: Opened, edge: Edge) -> str:
    """A run that lets two rules exchange their paths and groups under their ARNs, which takes three tasks; its id.

    Its last write, which would go back first, has nothing to do with them.
    """
    for each in (ours("a", 10, "one", paths=["/a"]), ours("b", 20, "two", paths=["/b"])):
        edge.make_rule(each)
    run.open(scope=SCOPE)
    for a, b in ((("one", "/x"), ("two", "/b")), (("one", "/x"), ("one", "/a")), (("two", "/b"), ("one", "/a"))):
        listed = [routed("a", 10, *a), routed("b", 20, *b)]
        told = run.run_module(alb_rules.main, load_balancer=BALANCER, port=PORT, rules=listed, run=run.context)
        assert told["changed"]
    run.run_module(alb_target_group.main, name="one", health_check={"path": "/health"}, run=run.context)
    run.close()
    release(run)
    return run.run_id


def routed(name: str, priority: int, group: str, path: str) -> dict[str, Any]:
    return {"name": name, "priority": priority, "paths": [path], "action": {"target_group": group}}


def test_rules_on_whose_way_back_a_request_goes_astray_are_refused_and_the_message_says_what_to_type(
    run: Opened, edge: Edge, swapped: str, control_plane: ControlPlane
) -> None:
    control_plane.calls.reset()
    result = restore(run, mlflow_target_groups=["old"])
    assert result["error"] == "Unsafe"
    assert "GET https://elsewhere.test/" in result["msg"]
    assert "-e hokusai_allow_misrouting=yes" in result["remedy"]
    assert (control_plane.calls.writes, path_of(edge), edge.forwards()) == (0, "/health", {10: "two", 20: "one"})
    predicted = restore(run, mlflow_target_groups=["old"], _check=True)
    assert len(predicted["astray"]) == 1
    assert "would be refused without allow_misrouting" in predicted["warned"][0]


def test_with_an_explicit_yes_they_go_back_and_that_is_warned_of(run: Opened, edge: Edge, swapped: str) -> None:
    result = restore(run, mlflow_target_groups=["old"], allow_misrouting=True)
    assert (result["changed"], len(result["astray"])) == (True, 1)
    assert "a request would go astray while they go back" in result["warned"][0]
    assert (path_of(edge), edge.forwards()) == ("/", {10: "one", 20: "two"})
