"""Each kind of write of a run is taken back to the byte, with the ids that were there; planning again finds nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import ecs_deployment
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import LAST_PRIORITY
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, GaveUp

from sandbox.controlplane import ControlPlane, Fault
from tests.unit.alb_edge import Edge
from tests.unit.alb_model import theirs
from tests.unit.restore_platform import Platform
from tests.unit.restore_runs import API, RUNS, furnished, group_rules, permitted, route, rules, text


@pytest.fixture
def whole(aws: Any, edge: Edge, platform: dict[str, str]) -> Platform:
    return furnished(aws, edge, platform)


@pytest.mark.parametrize("name", RUNS)
def test_what_a_run_wrote_goes_back_to_the_byte_as_check_mode_said(whole: Platform, name: str) -> None:
    before = whole.read()
    notes = whole.run(*RUNS[name])
    assert text(whole.read()) != text(before)
    whole.aws.calls.clear()
    predicted = whole.take_back(before, notes, dry=True)
    assert not whole.aws.writes
    restored = whole.take_back(before, notes)
    assert text(whole.read()) == text(before)
    assert [step.key for step in restored.steps] == [step.key for step in predicted.steps]
    assert restored.kept == []
    assert whole.take_back(before, notes).steps == []


def test_a_rule_on_its_way_out_when_a_rollback_is_cut_off_goes_with_the_next_one(
    whole: Platform, control_plane: ControlPlane
) -> None:
    """It stands before one that answers the same requests, so it goes to the bottom first, and is not deleted then."""
    whole.edge.make_rule(theirs(200, "one", paths=["/n*"]))
    before = whole.read()
    kept = (route("api", 10, "one", "/api", "/api/*", **API), route("health", 30, "three", "/health*"))
    notes = whole.run(rules(*kept, route("new", 105, "two", "/new/*")))
    control_plane.faults.replace([Fault("^elbv2:DeleteRule$", times=9, kind="denied")])
    with pytest.raises(AwsError) as refused:
        whole.take_back(before, notes)
    assert [step["verb"] for step in refused.value.details["steps_done"]] == ["set_rule_priorities"]
    assert LAST_PRIORITY in whole.edge.forwards()
    control_plane.faults.replace([])
    assert whole.take_back(before, notes).kept == []
    assert text(whole.read()) == text(before)


def test_a_service_that_does_not_become_steady_is_told_and_all_else_goes_back(
    whole: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it goes back to may be what was broken."""

    def fail(*_given: Any) -> None:
        raise GaveUp("Service api, deployment 2 of f:1: FAILED", "repair it")

    before = whole.read()
    notes = whole.run(RUNS["a rule's action"][0], *RUNS["a service's environment"])
    monkeypatch.setattr(ecs_deployment, "wait", fail)
    done = whole.take_back(before, notes)
    assert [(each.kind, each.reason) for each in done.kept] == [
        ("ecs_service", "Service api, deployment 2 of f:1: FAILED. Remedy: repair it")
    ]
    assert {"update_service", "modify_rule"} <= {step.verb for step in done.steps}
    assert text(whole.read()) == text(before)


def test_a_rule_that_the_run_deleted_is_made_again_with_its_tags(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(rules(route("api", 10, "one", "/api", "/api/*", **API)))
    whole.take_back(before, notes)
    assert without_ids(whole.read()) == without_ids(before)
    assert whole.take_back(before, notes).steps == []


def test_a_group_rule_that_the_run_revoked_is_made_again_with_its_tags(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(group_rules(permitted("b", port=9000)))
    whole.take_back(before, notes)
    assert without_ids(whole.read()) == without_ids(before)
    assert whole.take_back(before, notes).steps == []


def without_ids(document: Any) -> list[str]:
    return sorted(json.dumps({**each, "id": ""}, sort_keys=True) for each in document["resources"])


def test_rules_deleted_moved_and_changed_at_once_all_go_back(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(
        rules(route("health", 5, "one", "/h"), route("x", 6, "two", "/x"), route("old", 7, "two", "/old/*"))
    )
    whole.take_back(before, notes)
    assert without_ids(whole.read()) == without_ids(before)
    assert whole.take_back(before, notes).steps == []


def test_changed_group_rules_go_back_under_their_ids_before_a_new_one_is_revoked(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(group_rules(permitted("alb-to-api", port=9000), permitted("b", port=9001)))
    restored = whole.take_back(before, notes)
    (mine,) = [
        each["id"]
        for each in before["resources"]
        if each["fields"].get("Tags", {}).get("hokusai:name") == "alb-to-api" and each["kind"] == "security_group_rule"
    ]
    assert [step.verb for step in restored.steps] == ["modify_security_group_rules", "revoke_security_group_ingress"]
    assert restored.steps[0].why == f"security group api: rule {mine} (alb-to-api): FromPort, ToPort as before the run"


def test_group_rules_that_wait_for_each_other_go_back_in_the_reverse_order(whole: Platform) -> None:
    whole.run(group_rules(permitted("alb-to-api", description="was"), permitted("b", port=9000, group="api")))
    before = whole.read()
    notes = whole.run(group_rules(permitted("alb-to-api", port=9000), permitted("b", port=9001, group="api")))
    there = [entry["why"] for entry in notes.entries if entry["kind"] == "intent"]
    assert ["change alb-to-api" in there[0], "change b" in there[1]] == [True, True]
    back = [step.why for step in whole.take_back(before, notes).steps]
    assert ["(b)" in back[0], "(alb-to-api)" in back[1]] == [True, True]
    assert text(whole.read()) == text(before)
