"""A run of `site.yml` is recorded and can be listed; none begins under a foreign lock or without a record."""

from __future__ import annotations

import dataclasses
import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.docsite import blocks
from tests.harness import Run, Sandbox, module, play
from tests.integration.conftest import Counted, counted
from tests.integration.test_a_bad_input import role

DEAD = "20261121T150000Z-1a2b3c"
"""A run that died with the lock, in the words of docs/runs.md."""


def runs_of(sandbox: Sandbox, environment: str = "sandbox") -> list[dict[str, Any]]:
    options = {"environment": environment, "runs": {"directory": str(sandbox.home / "runs")}}
    listed: list[dict[str, Any]] = module("platform_history", options, sandbox.environment)["runs"]
    return listed


def files(sandbox: Sandbox) -> list[Path]:
    return [path for path in (sandbox.home / "runs" / "sandbox").rglob("*") if path.is_file()]


def test_the_repair_left_a_verified_record_of_all_its_steps_in_order(repaired: Sandbox, repair: Counted) -> None:
    oldest = runs_of(repaired)[-1]
    assert oldest["verdict"] == "succeeded"
    assert [(each["verb"], each["why"]) for each in oldest["writes"]] == [step[1:] for step in repair.run.steps]
    assert {each["result"] for each in oldest["writes"]} <= {"done", "landed"}
    assert oldest["score_before"] < 50 < oldest["score_after"] == 100


def test_the_second_run_is_recorded_with_no_write(repaired: Sandbox) -> None:
    assert runs_of(repaired)[-2]["writes"] == []


def test_records_are_for_their_owner_alone(repaired: Sandbox) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in files(repaired)} == {0o600}


def test_neither_a_key_nor_the_value_of_a_setting_is_in_a_record(repaired: Sandbox) -> None:
    text = "".join(path.read_text() for path in files(repaired))
    keys = [repaired.environment[name] for name in ("HOKUSAI_API_KEY", "HOKUSAI_AUTH_ADMIN_KEY")]
    settings = ["10.0.1.173", "https://auth.hokus.ai", "mlflow.hokusai-development.local:5000", "ml-platform"]
    assert "register_task_definition" in text
    assert not [hidden for hidden in [*keys, *settings] if hidden in text]


def test_the_history_of_the_development_inventory_is_listed(repaired: Sandbox) -> None:
    listed = play("playbooks/history.yml", inventory="inventories/development", extra=repaired.environment).wanted()
    assert listed.changed == 0
    assert "succeeded" in listed.output or "no run of development" in listed.output


def masked(text: str) -> str:
    """Without what differs from run to run, person to person and machine to machine, and unfolded: YAML folds lines."""
    text = re.sub(r"\n +(?![- ])", " ", text)
    text = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{6}", "RUN", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)
    return re.sub(r"\S+ on \S+(?=, TIME)", "WHO", text)


def test_the_history_lists_the_repair_with_its_scores_as_the_documents_show(
    repaired: Sandbox, at: dict[str, str]
) -> None:
    said = play("playbooks/history.yml", extra=at).wanted().output
    assert "elbv2 modify_rule: rule mlflow-through-api" in " ".join(said.split())
    (block,) = [each for each in blocks.read("docs/runs.md") if "playbooks/history.yml" in each.text]
    assert len(block.printed) > 1
    printed = tuple(masked(line) for line in block.printed)
    assert blocks.missing(dataclasses.replace(block, printed=printed), masked(said)) == []


def refused(ended: Counted) -> Run:
    """Nothing was written, be it by the lock."""
    assert ended.run.code != 0, ended.run.output
    assert ended.calls["writes"] == 0, ended.calls
    return ended.run


def test_a_run_that_finds_the_platform_locked_refuses_and_says_by_whom(repaired: Sandbox, at: dict[str, str]) -> None:
    held = {"environment": "sandbox", "run_id": "database-move", "owner": "ada"}
    assert not module("platform_lock", held, repaired.environment)["failed"]
    try:
        said = " ".join(refused(counted(repaired, "playbooks/site.yml", extra=at)).output.split())
    finally:
        module("platform_lock", {**held, "state": "absent"}, repaired.environment)
    assert "sandbox is locked by the run database-move of ada" in said
    assert "hokusai_break_lock=database-move" in said


def test_a_run_that_cannot_be_recorded_does_not_begin(repaired: Sandbox, at: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    given = json.dumps({"hokusai_runs": {"directory": str(tmp_path / "file" / "runs")}})
    said = refused(counted(repaired, "playbooks/site.yml", "-e", given, extra=at)).output
    assert "cannot be recorded" in said


@pytest.fixture(scope="module")
def failure(repaired: Sandbox, at: dict[str, str]) -> Counted:
    """A run that breaks the lock of a dead one, finds nothing to repair, and asks for more than can be had."""
    held = {"environment": "sandbox", "run_id": DEAD, "owner": "ada"}
    assert not module("platform_lock", held, repaired.environment)["failed"]
    given = {"hokusai_break_lock": DEAD, "validation_threshold": 101, "hokusai_on_failure": "stop"}
    return counted(repaired, "playbooks/site.yml", "-e", json.dumps(given), extra=at)


def test_a_run_that_fails_ends_failed_with_the_reason(failure: Counted) -> None:
    assert failure.run.code == 2
    said = " ".join(failure.run.output.split())
    assert "The run failed: Refuse a platform that is not as it should be" in said
    assert "wanted at least 101" in said[said.index("The run failed") :]


def test_a_run_that_fails_is_closed_lets_go_of_the_lock_and_says_whose_it_broke(
    failure: Counted, repaired: Sandbox
) -> None:
    newest = runs_of(repaired)[0]
    assert newest["verdict"] == "failed"
    assert newest["took_over"] == DEAD
    assert newest["reason"].endswith("Refuse a platform that is not as it should be")
    names = ["/hokusai/sandbox/lock", "/hokusai/sandbox/lock-counter"]
    assert repaired.client("ssm").get_parameters(Names=names)["InvalidParameters"] == names[:1]


def test_no_script_runs_for_a_run_that_lost_its_lock(repaired: Sandbox, tmp_path: Path) -> None:
    options = {"environment": "elsewhere", "runs": {"directory": str(tmp_path)}, "scope": {}, "moment": "before"}
    run = module("platform_snapshot", options, repaired.environment)
    assert not run["failed"]
    assert not module("platform_lock", {"run": run["context"], "state": "absent"}, repaired.environment)["failed"]
    ended = role(repaired, "verification", {"verification_run": run["context"]})
    assert ended.code != 0
    assert f"which the run {run['run_id']} took, was released or deleted" in " ".join(ended.output.split())
    assert "Run the script" not in ended.output
