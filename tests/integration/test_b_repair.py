"""From the incident to a healthy platform: what is predicted is what is done, and a second run does nothing."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.harness import Sandbox
from tests.integration.conftest import Counted, counted

LOCK = {"ssm:PutParameter": 2, "ssm:DeleteParameter": 1}
"""The lock's own writes of a run: it is taken with a token, and released."""
ROLES = ["alb_routing", "service_discovery", "security_groups", "auth_config", "monitoring"]


def test_the_incident_scores_what_was_measured_then(score_before: dict[str, Any]) -> None:
    failed = [number for number, check in enumerate(score_before["checks"], 1) if not check["passed"]]
    assert failed == [1, 3, 4, 5, 11]
    assert round(score_before["score"], 1) == 54.5


def test_check_mode_on_the_incident_ends_well_and_writes_nothing(prediction: Counted) -> None:
    prediction.run.wanted()
    assert prediction.calls["writes"] == 0, prediction.calls
    assert prediction.run.steps


def test_check_mode_shows_differences(prediction: Counted) -> None:
    assert "--- before" in prediction.run.output
    assert "+++ after" in prediction.run.output


def test_the_steps_taken_are_the_steps_predicted(prediction: Counted, repair: Counted) -> None:
    assert sorted(repair.run.steps) == sorted(prediction.run.steps)


def test_the_approved_plan_is_what_was_applied(repaired: Sandbox, repair: Counted) -> None:
    plan = json.loads((repaired.home / "plan.json").read_text())["body"]
    planned = [(step["verb"], step["why"]) for part in plan["parts"] for step in part["steps"]]
    assert planned == [step[1:] for step in repair.run.steps]


def test_a_plan_is_used_up_once_it_is_applied(second_run: Counted, repaired: Sandbox, at: dict[str, str]) -> None:
    """The world has moved: by the plan itself."""
    plan = f"hokusai_plan={repaired.home / 'plan.json'}"
    again = counted(repaired, "playbooks/site.yml", "-e", plan, extra=at)
    assert again.run.code != 0
    assert "The world is not as it was when the plan" in again.run.output
    assert again.calls["writes"] == 0, again.calls


def test_the_repair_ends_well(repair: Counted) -> None:
    repair.run.wanted()


def test_the_repair_goes_through_the_roles_in_order(repair: Counted) -> None:
    assert list(dict.fromkeys(role for role, _verb, _why in repair.run.steps)) == ROLES


def test_the_repair_says_which_model_it_registered(repair: Counted) -> None:
    assert re.search(r"registered \S+ version 1", repair.run.output)


def test_the_repaired_platform_scores_100_percent(score_after: dict[str, Any]) -> None:
    assert [check for check in score_after["checks"] if not check["passed"]] == []
    assert score_after["score"] == 100


def test_a_second_run_changes_nothing_and_writes_nothing_but_its_lock(second_run: Counted) -> None:
    second_run.run.wanted()
    assert second_run.run.changed == 0
    assert second_run.run.steps == ()
    assert {name: second_run.calls["actions"].get(name) for name in LOCK} == LOCK
    assert second_run.calls["writes"] == sum(LOCK.values()), second_run.calls


def test_no_key_is_in_anything_that_was_printed(repaired: Sandbox, prediction: Counted, repair: Counted) -> None:
    printed = prediction.run.output + repair.run.output
    for name in ("HOKUSAI_API_KEY", "HOKUSAI_AUTH_ADMIN_KEY"):
        secret = repaired.environment[name].rpartition("_")[2]
        assert len(secret) == 32
        assert not [part for part in (secret[:6], secret[-6:]) if part in printed]


def test_the_api_keeps_the_secret_that_its_revision_had(repaired: Sandbox) -> None:
    ecs = repaired.client("ecs")
    service = ecs.describe_services(cluster="hokusai-development", services=["hokusai-api-development"])["services"][0]
    revision = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    assert [secret["name"] for secret in revision["containerDefinitions"][0]["secrets"]] == ["SESSION_SECRET"]
