"""One sandbox for all integration tests, and the story it goes through: incident, prediction, repair, second run.

A start and a full repair take long, so each happens once; a test names the chapter that it wants to see as its fixture.
Files run in alphabetical order: `test_a_bad_input.py` wants the incident, so it comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.harness import Run, Sandbox, play, running_sandbox


@dataclass(frozen=True)
class Counted:
    """A run of a playbook, and the AWS calls that the sandbox counted during it."""

    run: Run
    calls: dict[str, Any]


def counted(sandbox: Sandbox, *arguments: str, **options: Any) -> Counted:
    sandbox.forget_calls()
    ended = play(*arguments, **options)
    return Counted(ended, sandbox.calls())


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The platform in the state of the incident, when it is first asked for."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox"), "--incident") as started:
        yield started


@pytest.fixture(scope="session")
def at(sandbox: Sandbox) -> dict[str, str]:
    """What the sandbox inventory needs to find this sandbox."""
    return {"HOKUSAI_SANDBOX_HOME": str(sandbox.home)}


@pytest.fixture(scope="session")
def score_before(sandbox: Sandbox) -> dict[str, Any]:
    return sandbox.score("legacy")


@pytest.fixture(scope="session")
def prediction(sandbox: Sandbox, at: dict[str, str], score_before: dict[str, Any]) -> Counted:
    """`site.yml --check --diff` on the incident, saved as a plan."""
    saved = f"hokusai_plan_out={sandbox.home / 'plan.json'}"
    return counted(sandbox, "playbooks/site.yml", "--check", "--diff", "-e", saved, extra=at)


@pytest.fixture(scope="session")
def repair(sandbox: Sandbox, at: dict[str, str], prediction: Counted) -> Counted:
    """The first `site.yml` on the incident, held to the plan that was saved."""
    return counted(sandbox, "playbooks/site.yml", "-e", f"hokusai_plan={sandbox.home / 'plan.json'}", extra=at)


@pytest.fixture(scope="session")
def second_run(sandbox: Sandbox, at: dict[str, str], repair: Counted) -> Counted:
    """`site.yml` again, on the repaired platform."""
    repair.run.wanted()
    return counted(sandbox, "playbooks/site.yml", extra=at)


@pytest.fixture(scope="session")
def score_after(sandbox: Sandbox, second_run: Counted) -> dict[str, Any]:
    return sandbox.score("connectivity")


@pytest.fixture(scope="session")
def repaired(sandbox: Sandbox, score_after: dict[str, Any]) -> Sandbox:
    """The sandbox after the repair, its two runs and its score."""
    return sandbox
