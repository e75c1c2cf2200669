"""A run that fails takes itself back; taking back the repair, into the incident, demands an explicit yes.

That the incident then comes back to the byte is for `molecule test -s rollback`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ROOT, Sandbox, inventory, module, play
from tests.integration.conftest import Counted, counted
from tests.integration.test_h_runs import runs_of

MISSING = "123456789012.dkr.ecr.us-east-1.amazonaws.com/hokusai-api:missing"


def said(ended: Counted) -> str:
    return " ".join(ended.run.output.split())


def running(sandbox: Sandbox) -> str:
    asked = {"cluster": "hokusai-development", "services": ["hokusai-api-development"]}
    (service,) = sandbox.client("ecs").describe_services(**asked)["services"]
    return str(service["taskDefinition"])


def repairing(sandbox: Sandbox) -> str:
    """The run that closed the bypass."""
    wrote = {run["run_id"]: " ".join(each["why"] for each in run["writes"]) for run in runs_of(sandbox)}
    return next(str(run_id) for run_id, why in wrote.items() if "rule mlflow-through-api of hokusai-registry" in why)


def active(sandbox: Sandbox) -> list[str]:
    listed = sandbox.client("ecs").list_task_definitions(familyPrefix="hokusai-api-development", status="ACTIVE")
    return sorted(listed["taskDefinitionArns"])


@pytest.fixture(scope="module")
def failed(repaired: Sandbox, at: dict[str, str]) -> tuple[Counted, str, list[str]]:
    """`site.yml` with an image that nobody built; what ran and was registered before it."""
    before = running(repaired), active(repaired)
    return counted(repaired, "playbooks/site.yml", "-e", f"hokusai_api_image={MISSING}", extra=at), *before


def test_a_run_that_fails_ends_failed_with_the_reason_first_and_then_what_was_taken_back(
    failed: tuple[Counted, str, list[str]],
) -> None:
    ended, _running, _active = failed
    assert ended.run.code != 0
    text = said(ended).partition("Say why the run failed, and what was taken back")[2]
    order = ["The run failed:", "CannotPullContainerError", "taken back:", "health score"]
    assert [text.find(each) for each in order] == sorted(text.find(each) for each in order)
    assert text.find(order[0]) >= 0


def test_the_platform_is_then_as_it_was_and_the_revision_is_gone(
    repaired: Sandbox, failed: tuple[Counted, str, list[str]]
) -> None:
    _ended, was_running, were_active = failed
    assert (running(repaired), active(repaired)) == (was_running, were_active)
    assert repaired.score("connectivity")["score"] == 100


def test_the_history_has_the_failed_run_and_its_rollback(
    repaired: Sandbox, failed: tuple[Counted, str, list[str]]
) -> None:
    rollback, run = runs_of(repaired)[:2]
    assert (rollback["verdict"], run["verdict"]) == ("succeeded", "failed")
    assert (rollback["rollback_of"], rollback["took_over"]) == (run["run_id"], run["run_id"])


def test_taking_back_the_repair_is_refused_with_what_to_type_and_writes_nothing(
    repaired: Sandbox, at: dict[str, str], failed: tuple[Counted, str, list[str]]
) -> None:
    run_id = repairing(repaired)
    ended = counted(repaired, "playbooks/rollback.yml", "-e", f"run_id={run_id}", extra=at)
    assert ended.run.code != 0
    assert ended.calls["writes"] == 0
    assert f"-e run_id={run_id} -e hokusai_allow_bypass=yes" in said(ended)


def test_check_mode_shows_what_it_would_do_and_writes_nothing(repaired: Sandbox, at: dict[str, str]) -> None:
    asked = ("--check", "--diff", "-e", f"run_id={repairing(repaired)}")
    ended = counted(repaired, "playbooks/rollback.yml", *asked, extra=at)
    ended.run.wanted()
    assert ended.calls["writes"] == 0
    verbs = {verb for _role, verb, _why in ended.run.steps}
    assert verbs >= {"update_service", "modify_rule", "delete_rule"}  # its group rule, test_d_breakage.py took away
    assert "would be taken back" in said(ended)


def test_where_nothing_is_to_be_taken_back_the_lock_of_the_dead_run_is_broken_all_the_same(
    repaired: Sandbox, at: dict[str, str]
) -> None:
    idle = next(run["run_id"] for run in runs_of(repaired) if not run["writes"])
    died = {"environment": "sandbox", "run_id": "died-early", "owner": "ada"}
    assert not module("platform_lock", died, repaired.environment)["failed"]
    asked = ("-e", f"run_id={idle}", "-e", "hokusai_break_lock=died-early")
    play("playbooks/rollback.yml", *asked, extra=at).wanted()
    assert repaired.client("ssm").get_parameters(Names=["/hokusai/sandbox/lock"])["Parameters"] == []
    assert runs_of(repaired)[0]["took_over"] == "died-early"


def meanwhile(directory: Path, act: Callable[[], None]) -> threading.Thread:
    """Act while the callback `holder` holds a play, and let it go on."""

    def wait() -> None:
        deadline = time.monotonic() + 600
        while not (directory / "reached").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        try:
            act()
        finally:
            (directory / "go").touch()

    acting = threading.Thread(target=wait)
    acting.start()
    return acting


def held_before(task: str, directory: Path) -> dict[str, str]:
    return {
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "integration" / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "hokusai.platform.steps,holder",
        "HOLDER_TASK": task,
        "HOLDER_DIRECTORY": str(directory),
    }


def retention(sandbox: Sandbox, service: str = "auth") -> int:
    listed = sandbox.client("logs").describe_log_groups(logGroupNamePrefix=f"/ecs/hokusai-{service}-development")
    return int(listed["logGroups"][0]["retentionInDays"])


def retaining(days: int, *services: str) -> dict[str, Any]:
    given: list[dict[str, Any]] = inventory("sandbox")["hokusai_log_groups"]
    groups = {each["name"]: each for each in given}
    for service in services or ("auth",):
        groups[f"/ecs/hokusai-{service}-development"]["retention_days"] = days
    return {"hokusai_log_groups": given}


@pytest.fixture(scope="module")
def followed(repaired: Sandbox, at: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """A run that wrote something and is proved healthy, while another one takes the lock over and comes to its end."""
    directory = tmp_path_factory.mktemp("holder")
    assert retention(repaired) == 30

    def come_and_go() -> None:
        claim = {"environment": "sandbox", "run_id": "successor", "owner": "bob"}
        broken = {**claim, "break_lock": runs_of(repaired)[0]["run_id"]}
        assert not module("platform_lock", broken, repaired.environment)["failed"]
        assert not module("platform_lock", {**claim, "state": "absent"}, repaired.environment)["failed"]

    given = {**retaining(60), "hokusai_on_failure": "rollback"}
    acting = meanwhile(directory, come_and_go)
    extra = {**at, **held_before("Read what the scripts found", directory)}
    ended = counted(repaired, "playbooks/site.yml", "-e", json.dumps(given), extra=extra)
    acting.join()
    return ended


def test_a_run_that_lost_its_lock_while_it_was_proved_has_not_succeeded(repaired: Sandbox, followed: Counted) -> None:
    assert followed.run.code == 2
    newest = runs_of(repaired)[0]
    assert (newest["verdict"], newest["reason"]) == ("failed", "Make sure that the lock was held all the time")
    assert "which the run " + newest["run_id"] + " took, was released or deleted" in said(followed)


def test_it_does_not_take_itself_back_for_another_run_may_need_what_it_wrote(
    repaired: Sandbox, followed: Counted
) -> None:
    newest = runs_of(repaired)[0]
    assert (retention(repaired), newest["rollback_of"]) == (60, "")
    text = said(followed).partition("Say why the run failed, and what was taken back")[2]
    assert "It could not all be taken back. Make sure that no other run came in between" in text
    assert f"hokusai.platform.rollback -e run_id={newest['run_id']}" in text


def test_a_person_takes_it_back_without_the_platform_key_and_where_no_target_group_of_mlflow_is_described(
    repaired: Sandbox, at: dict[str, str], followed: Counted
) -> None:
    services = inventory("sandbox")["hokusai_services"]
    services["mlflow"].pop("load_balancers")
    given = {"run_id": runs_of(repaired)[0]["run_id"], "hokusai_services": services}
    lost = {"hokusai_api_key": {"environment": "NOPE"}}
    ended = counted(repaired, "playbooks/rollback.yml", "-e", json.dumps({**given, **lost}), extra=at)
    ended.run.wanted()
    assert retention(repaired) == 30
    assert runs_of(repaired)[0]["verdict"] == "succeeded"
    assert "health score not taken -> not taken" in said(ended)
    assert "no score: The environment variable NOPE is not set" in said(ended)


@pytest.fixture(scope="module")
def refused(repaired: Sandbox, at: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Counted, int]:
    """A run that wrote twice and fails, while AWS allows one write of its way back alone; what was there before."""
    directory, before = tmp_path_factory.mktemp("refused"), retention(repaired)

    def deny() -> None:
        repaired.command("inject", "denied", "--api", "logs:PutRetentionPolicy", "--skip", "1").wanted()

    given = {**retaining(90, "auth", "mlflow"), "hokusai_on_failure": "rollback", "validation_threshold": 101}
    acting = meanwhile(directory, deny)
    extra = {**at, **held_before("Close the run that failed, but keep its lock", directory)}
    ended = counted(repaired, "playbooks/site.yml", "-e", json.dumps(given), extra=extra)
    acting.join()
    repaired.command("heal").wanted()
    return ended, before


def test_what_cannot_be_taken_back_is_told_after_the_reason_with_what_to_type(
    repaired: Sandbox, refused: tuple[Counted, int]
) -> None:
    ended, _before = refused
    assert ended.run.code == 2
    newest = next(run["run_id"] for run in runs_of(repaired) if not run["rollback_of"])
    text = said(ended).partition("Say why the run failed, and what was taken back")[2]
    order = ["The run failed:", "wanted at least 101", "It could not all be taken back", "AccessDenied"]
    order += ["taken back until then: log group /ecs/hokusai-", "Remedy: ansible-playbook hokusai.platform.rollback"]
    assert [text.find(each) for each in order] == sorted(text.find(each) for each in order), text
    assert text.find(order[0]) >= 0
    assert f"hokusai.platform.rollback -e run_id={newest}" in text
    assert sorted(retention(repaired, each) for each in ("auth", "mlflow")) == [30, 90]


def test_it_is_taken_back_once_it_may_be(repaired: Sandbox, at: dict[str, str], refused: tuple[Counted, int]) -> None:
    _ended, before = refused
    newest = next(run["run_id"] for run in runs_of(repaired) if not run["rollback_of"])
    play("playbooks/rollback.yml", "-e", f"run_id={newest}", extra=at).wanted()
    assert [retention(repaired, each) for each in ("auth", "mlflow")] == [before, before]
