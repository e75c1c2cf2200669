"""platform_snapshot, platform_lock and platform_history as tasks run them, against the sandbox's AWS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import lock as locking
from ansible_collections.hokusai.platform.plugins.module_utils import run_store, snapshot
from ansible_collections.hokusai.platform.plugins.module_utils.errors import LockLost, Unrecorded
from ansible_collections.hokusai.platform.plugins.module_utils.lock import Claim
from ansible_collections.hokusai.platform.plugins.module_utils.run_history import told
from ansible_collections.hokusai.platform.plugins.modules import alb_target_group, platform_history, platform_lock

from sandbox.controlplane import ControlPlane, Fault
from tests.unit.alb_edge import BALANCER, Edge
from tests.unit.conftest import CountingAws, RunModule
from tests.unit.lock_stage import Clock
from tests.unit.run_opened import Opened, ending_in, name_in_order


@pytest.fixture
def run(aws: CountingAws, run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """A run that is not open yet."""
    monkeypatch.setattr(locking, "SETTLE", 0.0)
    name_in_order(monkeypatch)
    return Opened(aws, run_module, tmp_path / "runs")


@pytest.fixture
def history(run: Opened, run_module: RunModule) -> Any:
    def listed(**options: Any) -> list[dict[str, Any]]:
        given = {"environment": "development", "runs": {"directory": str(run.directory)}, **options}
        result = run_module(platform_history.main, **given)
        assert "failed" not in result, result
        assert result["changed"] is False
        return list(result["runs"])

    return listed


def write(run: Opened, path: str) -> None:
    """One write of the run: the health check of a target group."""
    options = {"name": "one", "health_check": {"path": path}, "run": run.context}
    assert run.run_module(alb_target_group.main, **options)["changed"]


# Opening


def test_an_open_run_holds_the_lock_and_has_recorded_what_there_is(run: Opened, edge: Edge) -> None:
    result = run.open(scope={"load_balancers": [BALANCER]})
    contents = run.verified()
    assert result["resources"] == len(contents.before["resources"]) > 0
    assert (contents.identity.account, contents.identity.region) == ("123456789012", "us-east-1")
    assert contents.context["caller"].startswith("arn:aws:sts::123456789012:")
    holder = run.lock.look().holder
    assert holder is not None
    assert (holder.run_id, contents.context["lock"]["counter"]) == (run.run_id, holder.counter)


def test_where_no_record_can_be_kept_nothing_is_written_to_aws(run: Opened, control_plane: ControlPlane) -> None:
    run.directory.write_text("a file")
    result = run.open()
    assert "cannot be recorded" in result["msg"]
    assert "nothing was written" in result["remedy"]
    assert control_plane.calls.writes == 0


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ({"environment": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE"),
        ({"file": "/no/such/file"}, "/no/such/file"),
        ({"secret": "no-such-secret"}, "no-such-secret"),
        ({"kms": "alias/no-such-key"}, "alias/no-such-key"),
    ],
)
def test_without_a_usable_key_nothing_is_written_to_aws(
    run: Opened, control_plane: ControlPlane, key: dict[str, str], named: str
) -> None:
    result = run.open(key=key)
    assert named in result["msg"]
    assert control_plane.calls.writes == 0


def test_a_key_that_can_be_guessed_is_refused(run: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNS_KEY", "short")
    assert "openssl rand" in run.open(key={"environment": "RUNS_KEY"})["remedy"]


@pytest.mark.parametrize("kind", ["environment", "file", "secret", "kms"])
def test_the_key_may_be_in_four_places_and_verifies_only_what_it_sealed(
    run: Opened, aws: CountingAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, history: Any
) -> None:
    text = "0123456789abcdef" * 4
    monkeypatch.setenv("RUNS_KEY", text)
    (tmp_path / "key").write_text(text)
    (tmp_path / "key").chmod(0o600)
    aws.secretsmanager.create_secret(Name="runs", SecretString=text)
    made = aws.kms.create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")["KeyMetadata"]["KeyId"]
    where = {"environment": "RUNS_KEY", "file": str(tmp_path / "key"), "secret": "runs", "kms": made}
    key = {kind: where[kind]}
    assert "failed" not in run.open(key=key)
    assert "failed" not in run.close()
    assert [each["verdict"] for each in history(key=key)] == ["succeeded"]
    (run.directory / "hmac.key").write_text("another" * 10)
    (run.directory / "hmac.key").chmod(0o600)
    assert [each["verdict"] for each in history()] == ["refused"]


def test_the_key_is_made_once_and_not_anew_beside_records_it_could_not_verify(run: Opened) -> None:
    run.open()
    key = (run.directory / "hmac.key").read_text()
    run.close()
    run.lock.delete()
    run.open()
    assert (run.directory / "hmac.key").read_text() == key
    (run.directory / "hmac.key").unlink()
    assert "records made with one are beside it" in run.open()["msg"]


def test_a_run_that_finds_the_lock_taken_says_by_whom_and_writes_nothing(
    run: Opened, control_plane: ControlPlane
) -> None:
    run.open(owner="ada")
    control_plane.calls.reset()
    result = run.open(owner="bob")
    assert result["error"] == "LockHeld"
    assert f"locked by the run {run.run_id} of ada" in result["msg"]
    assert result["holder"]["run_id"] == run.run_id
    assert control_plane.calls.writes == 0


def test_a_broken_lock_is_in_the_record_of_who_broke_it(run: Opened, history: Any) -> None:
    run.open(owner="ada")
    dead = run.run_id
    result = run.open(owner="bob", break_lock=dead)
    assert result["took_over"]["run_id"] == dead
    assert [entry["kind"] for entry in run.lines()] == ["lock_broken"]
    newest, oldest = sorted(history(), key=lambda each: str(each["owner"]), reverse=True)
    assert (newest["took_over"], newest["verdict"]) == (dead, "running")
    assert oldest["verdict"] == "interrupted"


def test_a_world_that_cannot_be_read_ends_the_run_and_lets_go_of_the_lock(
    run: Opened, edge: Edge, control_plane: ControlPlane
) -> None:
    control_plane.faults.add(Fault("elbv2:Describe.*", code="AccessDenied", status=403, times=-1))
    result = run.open(scope={"load_balancers": [BALANCER]})
    assert result["error"] == "AwsError"
    assert run.lock.look().holder is None


def test_check_mode_opens_nothing(run: Opened, control_plane: ControlPlane) -> None:
    result = run.open(_check=True)
    assert (result["changed"], result["context"]) == (False, "")
    assert not run.directory.exists()
    assert not control_plane.calls.as_dict()["actions"]


def test_the_directory_of_records_is_nothing_for_git(run: Opened) -> None:
    run.open()
    assert (run.directory / ".gitignore").read_text() == "*\n"


def test_a_team_keeps_its_records_in_a_bucket(run: Opened, aws: CountingAws, edge: Edge, history: Any) -> None:
    aws.s3.create_bucket(Bucket="runs")
    runs = {"directory": str(run.directory), "bucket": "runs", "prefix": "ml"}
    assert "put-bucket-versioning" in run.open(runs=runs)["remedy"]
    assert run.lock.look().holder is None
    aws.s3.put_bucket_versioning(Bucket="runs", VersioningConfiguration={"Status": "Enabled"})
    assert "failed" not in run.open(runs=runs)
    write(run, "/health")
    assert "failed" not in run.close(score_after=100)
    names = {each["Key"].rpartition(run.run_id + "/")[2] for each in aws.s3.list_objects_v2(Bucket="runs")["Contents"]}
    assert {"run.json", "before.json", "after.json", "result.json", "journal/000001.json"} <= names
    [listed] = history(runs=runs)
    assert (listed["verdict"], listed["score_after"], len(listed["writes"])) == ("succeeded", 100.0, 1)


# Closing


def test_a_closed_run_says_what_it_wrote_and_there_is_a_world_before_and_after(run: Opened, edge: Edge) -> None:
    run.open(scope={"target_groups": ["one"]})
    write(run, "/ready")
    result = run.close(score_before=45, score_after=100)
    assert [(each["verb"], each["result"]) for each in result["writes"]] == [("modify_target_group", "done")]
    contents = run.verified()
    assert contents.after is not None
    assert contents.result is not None
    [before], [after] = contents.before["resources"], contents.after["resources"]
    assert before["fields"]["HealthCheckPath"] != after["fields"]["HealthCheckPath"] == "/ready"
    assert contents.result["score_before"] == 45.0


def test_closing_twice_leaves_the_first_result(run: Opened) -> None:
    run.open()
    run.close(verdict="failed", reason="Set the rules")
    run.close(verdict="succeeded")
    contents = run.verified()
    assert contents.result is not None
    assert (contents.result["verdict"], contents.result["reason"]) == ("failed", "Set the rules")


def test_a_world_that_cannot_be_read_at_the_end_does_not_keep_the_run_from_being_closed(
    run: Opened, edge: Edge, control_plane: ControlPlane
) -> None:
    run.open(scope={"load_balancers": [BALANCER]})
    control_plane.faults.add(Fault("elbv2:Describe.*", code="AccessDenied", status=403, times=-1))
    result = run.close(verdict="failed")
    assert "not in its record" in result["warnings"][0]
    assert run.verified().after is None


def test_a_run_that_could_not_record_what_there_is_leaves_no_half_of_it_and_wrote_nothing(
    run: Opened, edge: Edge, history: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ending_in(monkeypatch, "before.json"):
        assert run.open(scope={"load_balancers": [BALANCER]})["error"] == "Unrecorded"
    assert run.lock.look().holder is None
    assert [(each["verdict"], each["reason"]) for each in history()] == [("opened", "nothing written")]


@pytest.mark.parametrize("name", ["run.json", "before.json"])
def test_a_run_killed_while_it_wrote_a_file_of_its_opening_wrote_nothing(
    run: Opened, edge: Edge, history: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with ending_in(monkeypatch, name, KeyboardInterrupt()), monkeypatch.context() as only_now:
        only_now.setattr(Path, "unlink", lambda *_given, **_named: None)  # nobody tidies up
        with pytest.raises(KeyboardInterrupt):
            run.open(scope={"load_balancers": [BALANCER]})
    assert [(each["verdict"], each["reason"]) for each in history()] == [("running", "")]
    run.lock.delete()
    [listed] = history()
    assert (listed["verdict"], listed["reason"]) == ("opened", "nothing written")
    assert next(told(listed)).endswith("nothing written")
    assert (" on " in next(told(listed))) == (name != "run.json")


def test_a_run_whose_world_finds_no_room_any_more_has_its_result_all_the_same(
    run: Opened, edge: Edge, history: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.open(scope={"target_groups": ["one"]})
    write(run, "/ready")
    with ending_in(monkeypatch, "after.json"):
        result = run.close(verdict="failed")
    assert "No space left on device" in result["warnings"][0]
    assert run.verified().after is None
    assert [(each["verdict"], len(each["writes"])) for each in history()] == [("failed", 1)]


def test_a_run_that_lost_its_lock_does_not_record_what_another_one_may_have_written(run: Opened, edge: Edge) -> None:
    run.open(scope={"target_groups": ["one"]})
    write(run, "/ready")
    run.broken()
    edge.aws.elbv2.modify_target_group(TargetGroupArn=edge.groups["one"], HealthCheckPath="/theirs")
    result = run.close(verdict="failed")
    assert "another" in result["warnings"][0]
    assert (run.verified().after, [each["result"] for each in result["writes"]]) == (None, ["done"])


def test_a_run_that_loses_its_lock_while_it_looks_does_not_record_it_either(
    run: Opened, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.open(scope={"target_groups": ["one"]})
    read = snapshot.read

    def looked(*given: Any) -> Any:
        run.broken()
        return read(*given)

    monkeypatch.setattr(snapshot, "read", looked)
    assert "another" in run.close(verdict="failed")["warnings"][0]
    assert run.verified().after is None


def test_a_result_that_found_no_room_is_written_when_the_run_is_closed_again(
    run: Opened, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.open(scope={"target_groups": ["one"]})
    write(run, "/ready")
    with ending_in(monkeypatch, "result.json"):
        assert run.close()["error"] == "Unrecorded"
    assert run.verified().result is None
    assert "failed" not in run.close()
    contents = run.verified()
    assert contents.after is not None
    assert contents.result is not None
    assert run.lines()[-1]["kind"] == "closed"


def test_a_run_cut_off_in_its_last_line_is_closed_and_gets_that_line_when_it_is_closed_again(
    run: Opened, edge: Edge, history: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.open(scope={"target_groups": ["one"]})
    write(run, "/ready")

    def half(store: Any, _after: int, lines: Any) -> None:
        with (store.path / "journal.jsonl").open("ab") as journal:
            journal.write(lines[0][:20])
        raise Unrecorded("No space left on device")

    with monkeypatch.context() as only_now:
        only_now.setattr(run_store.Directory, "append", half)
        assert run.close()["error"] == "Unrecorded"
    assert [each["verdict"] for each in history()] == ["succeeded"]
    assert "failed" not in run.close()
    assert run.lines()[-1]["kind"] == "closed"
    run.verified()


# The lock by itself


def test_the_lock_can_be_taken_renewed_and_released_by_hand(run_module: RunModule) -> None:
    mine = {"environment": "development", "run_id": "database-move", "owner": "ada"}
    taken = run_module(platform_lock.main, **mine)
    assert (taken["changed"], taken["holder"]["run_id"]) == (True, "database-move")
    assert run_module(platform_lock.main, **mine)["changed"] is False
    refused = run_module(platform_lock.main, environment="development", run_id="other")
    assert (refused["error"], refused["holder"]["owner"]) == ("LockHeld", "ada")
    released = run_module(platform_lock.main, **mine, state="absent")
    assert (released["changed"], released["holder"]) == (True, None)
    assert run_module(platform_lock.main, **mine, state="absent")["changed"] is False


def test_a_lock_that_is_taken_again_by_hand_holds_for_as_long_as_is_asked_then(
    run_module: RunModule, run: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock().install(monkeypatch)
    mine = {"environment": "development", "run_id": "database-move", "owner": "ada", "ttl": 60}
    taken = run_module(platform_lock.main, **mine)["holder"]
    longer = {**mine, "owner": "bob", "ttl": 7200}
    clock.pass_(30)
    assert run_module(platform_lock.main, **longer, _check=True)["changed"] is True
    assert run.lock.look().as_data() == taken
    prolonged = run_module(platform_lock.main, **longer)
    until = {"owner": "bob", "ttl": 7200, "until": "2027-01-15T10:00:30Z"}
    assert (prolonged["changed"], prolonged["holder"]) == (True, {**taken, **until})
    for check in (True, False):
        assert run_module(platform_lock.main, **longer, _check=check)["changed"] is False
    clock.pass_(7000)
    assert run_module(platform_lock.main, environment="development", run_id="other")["error"] == "LockHeld"


def test_only_the_lock_of_the_run_that_is_named_is_broken(run_module: RunModule, run: Opened) -> None:
    run.open()
    other = {"environment": "development", "run_id": "mine"}
    assert run_module(platform_lock.main, **other, break_lock="not-that-one")["error"] == "LockHeld"
    assert run_module(platform_lock.main, **other, break_lock=run.run_id)["took_over"]["run_id"] == run.run_id


def test_a_lock_broken_by_hand_is_told_by_the_history(run_module: RunModule, run: Opened) -> None:
    """By hand nothing is recorded of it but that."""
    run.open(owner="bob")
    mine = {"environment": "development", "run_id": "mine", "owner": "ada"}
    assert run_module(platform_lock.main, **mine, break_lock=run.run_id)["changed"]
    looked = {"environment": "development", "runs": {"directory": str(run.directory)}}
    lock = run_module(platform_history.main, **looked)["lock"]
    assert lock["holder"]["run_id"] == "mine"
    assert lock["text"][0].startswith("is locked by mine of ada on ")
    run_module(platform_lock.main, **mine, state="absent")
    lock = run_module(platform_history.main, **looked)["lock"]
    told = lock["takeover"]
    assert (lock["holder"], told["broken"], told["owner"], told["of_owner"]) == (None, True, "ada", "bob")
    assert [line.partition(" ")[2].partition(" on ")[0] for line in lock["text"]] == ["mine of ada"]
    assert f"broke the lock of {run.run_id} of bob" in lock["text"][0]


def test_releasing_the_lock_of_a_run_leaves_one_that_another_took_over(run_module: RunModule, run: Opened) -> None:
    run.open()
    run.broken()
    result = run_module(platform_lock.main, run=run.context, state="absent")
    assert (result["changed"], result["holder"]["run_id"]) == (False, "another")


def test_a_run_that_lost_its_lock_cannot_take_it_again(run_module: RunModule, run: Opened) -> None:
    run.open()
    run.broken()
    assert run_module(platform_lock.main, run=run.context)["error"] == LockLost.__name__


def test_the_lock_of_a_run_is_renewed_once_a_third_of_its_time_is_over(
    run_module: RunModule, run: Opened, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock().install(monkeypatch)
    run.open(ttl=60)
    for seconds, written in ((15, 0), (15, 1), (15, 1), (15, 2)):
        clock.pass_(seconds)
        assert "failed" not in run_module(platform_lock.main, run=run.context)
        assert control_plane.calls.count("ssm:PutParameter") == 2 + written


@pytest.mark.parametrize("state", ["present", "absent"])
def test_check_mode_predicts_and_leaves_the_lock(run_module: RunModule, run: Opened, state: str) -> None:
    mine = {"environment": "development", "run_id": "mine", "state": state}
    if state == "absent":
        run.lock.acquire(Claim("mine", "ada", "desk", 900))
    before = run.lock.look().holder
    assert run_module(platform_lock.main, _check=True, **mine)["changed"] is True
    assert run.lock.look().holder == before


# The history


def test_the_history_says_who_when_what_and_how_it_ended_newest_first(run: Opened, edge: Edge, history: Any) -> None:
    run.open(owner="ada")
    write(run, "/first")
    run.close(score_before=35, score_after=100)
    run.lock.delete()
    run.open(owner="bob", rollback_of=run.run_id)
    run.close(verdict="failed", reason="Set the rules")
    listed = {each["owner"]: each for each in history()}
    ada, bob = listed["ada"], listed["bob"]
    assert (ada["verdict"], ada["score_before"], ada["score_after"]) == ("succeeded", 35.0, 100.0)
    assert [each["why"] for each in ada["writes"]] == [run_why("/first")]
    assert ada["began"] <= ada["finished"]
    assert (bob["verdict"], bob["reason"], bob["rollback_of"]) == ("failed", "Set the rules", ada["run_id"])
    ids = [each["run_id"] for each in history()]
    assert ids == sorted(ids, reverse=True)
    assert len(history(limit=1)) == 1


def run_why(path: str) -> str:
    return f"health check of target group one: path / becomes {path}"


def test_a_record_that_does_not_verify_is_listed_as_refused_with_the_reason(run: Opened, history: Any) -> None:
    run.open()
    run.close()
    file = run.path / "before.json"
    file.write_bytes(file.read_bytes()[:-2])
    [listed] = history()
    assert listed["verdict"] == "refused"
    assert "before.json is cut off or damaged" in listed["reason"]


def test_a_run_that_was_cut_off_while_it_was_opened_is_listed_as_opened_with_nothing_written(
    run: Opened, history: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.cut_off(monkeypatch)
    [listed] = history()
    assert (listed["verdict"], listed["reason"], listed["writes"]) == ("opened", "nothing written", [])
    assert listed["owner"]


@pytest.mark.parametrize("missing", [["before.json"], ["before.json", "journal.head"]])
def test_a_run_that_wrote_and_lost_a_file_is_not_taken_for_one_that_was_only_opened(
    run: Opened, edge: Edge, history: Any, missing: list[str]
) -> None:
    run.open(scope={"load_balancers": [BALANCER]})
    write(run, "/first")
    run.lock.delete()
    for name in missing:
        (run.path / name).unlink()
    assert [each["verdict"] for each in history()] == ["refused"]


def test_records_of_another_region_are_refused(run: Opened, history: Any) -> None:
    run.open()
    run.close()
    [listed] = history(region="eu-west-1")
    assert listed["verdict"] == "refused"
    assert "of region 'us-east-1', not 'eu-west-1'" in listed["reason"]


def test_there_may_be_no_runs(history: Any) -> None:
    assert history() == []
