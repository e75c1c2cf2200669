"""The policies of docs/iam, enforced by the sandbox: who may only look is stopped before the first write.

The inventory is `development`, whose names the policies have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.harness import Run, running_sandbox
from tests.iam.grants import LOCK
from tests.iam.policies import DIRECTORY, read
from tests.iam.scenarios import Stage

RECORD = read()


@dataclass(frozen=True)
class Held:
    """A play under policies: how it ended, what was asked for, what was written, and the runs that are on record."""

    run: Run
    asked: list[dict[str, Any]]
    writes: list[dict[str, Any]]
    runs: list[str]

    @property
    def refused(self) -> list[tuple[str, str]]:
        return [(each["action"], each["resource"]) for each in self.asked if not each["allowed"]]

    def unrecorded(self, policy: str) -> set[str]:
        """Actions of which no scenario of `make iam` knows that the policy's playbooks ask for them."""
        return {each["action"] for each in self.asked} - RECORD[policy].keys()

    @property
    def landed(self) -> list[str]:
        return [each["action"] for each in self.writes if each["landed"]]


def under(stage: Stage, policies: tuple[str, ...], playbook: str, **variables: Any) -> Held:
    sandbox = stage.sandbox
    sandbox.command("enforce", *(str(DIRECTORY / f"{name}.json") for name in policies)).wanted()
    sandbox.forget_calls()
    try:
        run = stage.play(playbook, **variables)
        asked = json.loads(sandbox.command("enforce", "--json").wanted().output)["asked"]
        writes = json.loads(sandbox.command("writes", "--json").wanted().output)
    finally:
        sandbox.command("enforce", "--off").wanted()
    recorded = sandbox.home / "runs" / "development"
    return Held(run, asked, writes, [each.name for each in recorded.iterdir()] if recorded.exists() else [])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running_sandbox(tmp_path_factory.mktemp("permissions"), "--incident") as sandbox:
        yield Stage(sandbox)


@pytest.fixture(scope="module")
def stopped(stage: Stage) -> Held:
    """`site.yml` of somebody who may only look."""
    return under(stage, ("diagnose",), "site")


def test_who_may_only_look_is_stopped_at_the_lock_and_only_there(stopped: Held) -> None:
    assert stopped.run.code != 0
    assert stopped.refused == [("ssm:PutParameter", LOCK[0])]


def test_the_message_names_the_action_the_resource_and_the_remedy(stopped: Held) -> None:
    said = " ".join(stopped.run.output.split())
    assert "Could not write the lock /hokusai/development/lock: AWS answered AccessDeniedException" in said
    assert "is not authorized to perform: ssm:PutParameter on resource" in said
    assert "Remedy: grant the calling identity this action on this resource" in said


def test_the_documents_show_that_message(stopped: Held) -> None:
    """The output of docs/iam.md that no block of it prints, but for its line breaks."""
    (shown,) = re.findall(
        r"^```output\n(.*?)^```$", (DIRECTORY.parent / "iam.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert " ".join(shown.split()) in " ".join(stopped.run.output.split())


def test_nothing_is_written_and_no_run_is_half_open(stage: Stage, stopped: Held) -> None:
    assert stopped.landed == []
    assert stopped.runs == []
    names = ["/hokusai/development/lock", "/hokusai/development/lock-counter"]
    assert stage.sandbox.client("ssm").get_parameters(Names=names)["InvalidParameters"] == names


@pytest.fixture(scope="module")
def repaired(stage: Stage, stopped: Held) -> Held:
    return under(stage, ("diagnose", "site"), "site")


def test_who_may_repair_repairs_the_incident(repaired: Held) -> None:
    repaired.run.wanted()
    assert repaired.refused == []
    assert repaired.unrecorded("site") == set()
    assert {"CreateRule", "UpdateService", "PutMetricAlarm"} <= set(repaired.landed)


@pytest.fixture(scope="module")
def verified(stage: Stage, repaired: Held) -> Held:
    return under(stage, ("diagnose",), "verify")


def test_who_may_only_look_can_verify(verified: Held) -> None:
    verified.run.wanted()
    assert verified.refused == []
    assert verified.unrecorded("diagnose") == set()
    assert verified.writes == []


@pytest.fixture(scope="module")
def taken_back(stage: Stage, verified: Held) -> Held:
    return under(stage, ("diagnose", "rollback"), "rollback", run_id=stage.newest(), hokusai_allow_bypass=True)


def test_who_may_take_back_takes_the_repair_back(taken_back: Held) -> None:
    taken_back.run.wanted()
    assert taken_back.refused == []
    assert taken_back.unrecorded("rollback") == set()
    assert {"DeleteRule", "UpdateService", "DeleteAlarms"} <= set(taken_back.landed)
