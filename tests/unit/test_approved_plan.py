"""An approved plan is applied exactly or not at all; its file says what would be done and no value."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import approved_plan, elb_rule_plan
from ansible_collections.hokusai.platform.plugins.module_utils.routing_proof import Proof
from ansible_collections.hokusai.platform.plugins.modules import (
    alb_listener,
    alb_rules,
    alb_target_group,
    api_key,
    ecs_service,
    platform_plan,
    platform_restore,
)

from tests.unit.alb_edge import BALANCER, PORT, Edge
from tests.unit.alb_model import rule, theirs
from tests.unit.ecs_model import CLUSTER, CONTAINER, NAME
from tests.unit.run_opened import Opened

ENVIRONMENT = "development"


@pytest.fixture
def place(tmp_path: Path, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What platform_plan is told, for the edge of the tests."""
    runs = tmp_path / "runs"
    scope = {"load_balancers": [BALANCER], "target_groups": sorted(edge.groups)}
    return {
        "file": str(tmp_path / "plan.json"),
        "environment": ENVIRONMENT,
        "runs": {"directory": str(runs)},
        "scope": scope,
    }


def wanted(group: str = "one", *names: str) -> dict[str, Any]:
    rules = [
        {"name": name, "priority": number, "paths": [f"/{name}"], "action": {"target_group": group}}
        for number, name in enumerate(names or ("a", "b"), 10)
    ]
    return {"load_balancer": BALANCER, "port": PORT, "rules": rules}


def made(run_module: Any, place: dict[str, Any], **asked: Any) -> dict[str, Any]:
    """A plan for the rules, finished."""
    assert not run_module(platform_plan.main, moment="begin", **place).get("failed")
    assert run_module(alb_rules.main, _check=True, plan=place["file"], **(asked or wanted()))["changed"]
    saved: dict[str, Any] = run_module(platform_plan.main, moment="save", **place)
    assert not saved.get("failed"), saved
    return saved


def approved(run_module: Any, place: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = run_module(platform_plan.main, moment="approve", **place)
    return told


def test_a_plan_lists_what_would_be_done(run_module: Any, place: dict[str, Any]) -> None:
    steps = made(run_module, place)["steps"]
    assert [(step["module"], step["verb"]) for step in steps] == [("alb_rules", "create_rule")] * 2
    assert steps[0]["resource"] == f"{BALANCER}:{PORT}"


def test_a_plan_says_what_is_proved_of_its_steps_in_its_file_and_where_it_is_read(
    run_module: Any, place: dict[str, Any], edge: Edge
) -> None:
    made(run_module, place)
    [part] = json.loads(Path(place["file"]).read_text())["body"]["parts"]
    assert (part["proof"]["safe"], part["proof"]["reason"]) == (True, "")
    [proof] = approved(run_module, place)["proofs"]
    assert proof == {"module": "alb_rules", "resource": f"{BALANCER}:{PORT}", **part["proof"]}
    text = approved(run_module, place)["text"]
    assert [line.partition(":443")[2].partition(":")[0] for line in text] == [" create_rule", " create_rule", ""]
    assert text[-1].endswith("proved that no request goes astray on the way")


def test_a_proof_that_failed_is_told_with_its_reason(
    run_module: Any, place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elb_rule_plan, "prove", lambda *_given: Proof(reason="too many kinds of requests"))
    saved = made(run_module, place, **wanted(), unproved="warn")
    assert saved["proofs"][0]["safe"] is False
    assert "not proved (too many kinds of requests) that" in saved["text"][-1]


def test_a_task_that_proves_nothing_or_does_nothing_has_no_proof_to_tell(
    run_module: Any, place: dict[str, Any], edge: Edge
) -> None:
    run_module(platform_plan.main, moment="begin", **place)
    run_module(alb_rules.main, _check=True, plan=place["file"], load_balancer=BALANCER, port=PORT, rules=[])
    options = {"name": "one", "health_check": {"path": "/health"}, "plan": place["file"]}
    assert run_module(alb_target_group.main, _check=True, **options)["changed"]
    saved = run_module(platform_plan.main, moment="save", **place)
    assert (saved["proofs"], len(saved["text"])) == ([], 1)


def test_what_a_header_is_to_hold_is_in_no_plan_and_in_no_reason(
    run_module: Any, place: dict[str, Any], edge: Edge
) -> None:
    """A CDN proves with a header that a request came through it."""
    secret = "canary-of-a-header"
    edge.make_rule(theirs(10, paths=["/a"], headers=[{"name": "x-origin", "values": [secret]}]))
    edge.make_rule(theirs(40, headers=[{"name": "x-other", "values": [secret]}]))
    asked = {**wanted(), "purge": "all"}
    asked["rules"][0]["headers"] = [{"name": "x-origin", "values": [secret, "newer"]}]
    told = made(run_module, place, **asked)
    reasons = "; ".join(step["why"] for step in told["steps"])
    assert "header x-origin *** and path /a becomes header x-origin *** and path /a" in reasons
    assert "rule [header x-other ***]" in reasons
    assert secret not in Path(place["file"]).read_text() + json.dumps(told)


def test_an_approved_plan_is_applied(run_module: Any, place: dict[str, Any], edge: Edge) -> None:
    made(run_module, place)
    assert not approved(run_module, place).get("failed")
    assert run_module(alb_rules.main, _check=True, plan=place["file"], **wanted())["changed"]
    assert run_module(alb_rules.main, plan=place["file"], **wanted())["changed"]
    assert list(edge.forwards()) == [10, 11]


def test_a_resource_that_moved_refuses_the_plan_by_name(run_module: Any, place: dict[str, Any], edge: Edge) -> None:
    made(run_module, place)
    edge.make_rule(rule("stranger", 40))
    told = approved(run_module, place)
    assert told["error"] == "PlanMoved"
    (new,) = [each for each in told["moved"] if each.endswith(" is new")]
    assert new.startswith("load_balancer_rule ")
    assert new in told["msg"]


def test_a_world_that_moves_while_the_plan_is_made_has_no_plan(
    run_module: Any, place: dict[str, Any], edge: Edge
) -> None:
    """A task planned what another one then did: it would be signed, and not be done."""
    run_module(platform_plan.main, moment="begin", **place)
    assert run_module(alb_rules.main, _check=True, plan=place["file"], **wanted())["changed"]
    assert run_module(alb_rules.main, **wanted())["changed"]
    told = run_module(platform_plan.main, moment="save", **place)
    assert told["error"] == "PlanMoved"
    assert len([each for each in told["moved"] if each.startswith("load_balancer_rule ")]) == 2
    assert "The world moved while the plan" in told["msg"]
    assert told["moved"][0] in told["msg"]
    assert "is a draft" in approved(run_module, place)["msg"]
    assert made(run_module, place, **wanted("two"))["steps"]


def test_steps_that_nobody_approved_are_not_taken(run_module: Any, place: dict[str, Any], edge: Edge) -> None:
    """The world moves after the plan was approved: the task sees it and stops before its first write."""
    made(run_module, place)
    arn = edge.make_rule(rule("a", 10, paths=("/a",), tags={"hokusai:managed-by": "hokusai.platform"}))
    told = run_module(alb_rules.main, plan=place["file"], **wanted("two"))
    assert told["error"] == "PlanMoved"
    assert edge.arns() == {arn}


def test_another_wish_than_the_approved_one_is_refused(run_module: Any, place: dict[str, Any], edge: Edge) -> None:
    made(run_module, place)
    told = run_module(alb_rules.main, plan=place["file"], **wanted("two"))
    assert (told["error"], edge.arns()) == ("PlanMoved", set())
    assert "asks for another state" in told["msg"]


def test_a_certificate_that_has_another_of_its_name_in_its_place_is_not_installed(
    run_module: Any, place: dict[str, Any], edge: Edge
) -> None:
    """No world has certificates: their ids are in the plan."""
    old = edge.make_certificate("registry.hokus.ai")
    gone = {"type": "fixed_response", "fixed_response": {"status_code": 404}}
    wish = {"load_balancer": BALANCER, "port": 8443, "protocol": "HTTPS", "default_action": gone}
    wish["certificates"] = ["registry.hokus.ai"]
    assert not run_module(platform_plan.main, moment="begin", **place).get("failed")
    assert run_module(alb_listener.main, _check=True, plan=place["file"], **wish)["changed"]
    assert not run_module(platform_plan.main, moment="save", **place).get("failed")
    edge.aws.acm.delete_certificate(CertificateArn=old)
    edge.make_certificate("registry.hokus.ai")
    told = run_module(alb_listener.main, plan=place["file"], **wish)
    assert (told["error"], "registry.hokus.ai" in told["msg"]) == ("PlanMoved", True)
    assert len(edge.aws.elbv2.describe_listeners(LoadBalancerArn=edge.balancer)["Listeners"]) == 1


def test_a_task_that_the_plan_does_not_know_is_refused(run_module: Any, place: dict[str, Any]) -> None:
    made(run_module, place)
    told = run_module(alb_target_group.main, plan=place["file"], name="one", health_check={"path": "/health"})
    assert told["error"] == "PlanMoved"
    assert "alb_target_group one is not in the plan" in told["msg"]


def asked_for(run_module: Any, place: dict[str, Any], *groups: str) -> dict[str, Any]:
    """What is said of an approved plan for both target groups once tasks have asked for these."""
    path, checks = place["file"], {name: {"path": f"/{name}"} for name in ("one", "two")}
    run_module(platform_plan.main, moment="begin", **place)
    for name, check in checks.items():
        run_module(alb_target_group.main, _check=True, plan=path, name=name, health_check=check)
    run_module(platform_plan.main, moment="save", **place)
    assert not approved(run_module, place).get("failed")
    for name in groups:
        assert run_module(alb_target_group.main, _check=True, plan=path, name=name, health_check=checks[name])[
            "changed"
        ]
    told: dict[str, Any] = run_module(platform_plan.main, moment="complete", file=path)
    return told


def test_a_plan_of_which_something_is_asked_for_no_more_is_refused_by_name(
    run_module: Any, place: dict[str, Any], edge: Edge
) -> None:
    whole, left = asked_for(run_module, place, "one", "two"), asked_for(run_module, place, "one")
    assert (whole.get("failed"), whole["changed"]) == (None, False)
    assert (left["error"], left["moved"]) == ("PlanMoved", ["alb_target_group two"])
    assert "what no task asks for any more: alb_target_group two" in left["msg"]
    assert not run_module(platform_plan.main, moment="compare", **place).get("failed")
    assert not list(Path(place["file"]).parent.glob("*.asked"))


def test_an_inventory_that_names_other_resources_is_refused(run_module: Any, place: dict[str, Any]) -> None:
    made(run_module, place)
    place["scope"] = {**place["scope"], "target_groups": ["one"]}
    told = approved(run_module, place)
    assert told["error"] == "PlanMoved"
    assert "it names other target groups" in told["msg"]


def test_a_look_afterwards_finds_nothing_left_to_do(run_module: Any, place: dict[str, Any]) -> None:
    """As the proof at the end of a run takes it, under the same plan."""
    made(run_module, place)
    assert run_module(alb_rules.main, plan=place["file"], **wanted())["changed"]
    assert not run_module(alb_rules.main, _check=True, plan=place["file"], **wanted())["changed"]


def test_an_interrupted_run_may_go_on_with_its_plan(run_module: Any, place: dict[str, Any], edge: Edge) -> None:
    """A task applies what is left of its approved steps."""
    made(run_module, place)
    assert run_module(alb_rules.main, plan=place["file"], **wanted())["changed"]
    edge.aws.elbv2.delete_rule(RuleArn=min(edge.arns()))
    assert run_module(alb_rules.main, plan=place["file"], **wanted())["changed"]
    assert list(edge.forwards()) == [10, 11]


def test_a_draft_is_never_applied(run_module: Any, place: dict[str, Any], edge: Edge) -> None:
    run_module(platform_plan.main, moment="begin", **place)
    told = run_module(alb_rules.main, plan=place["file"], **wanted())
    assert (told["error"], edge.arns()) == ("BadInput", set())
    assert "is a draft" in approved(run_module, place)["msg"]


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_plan_that_was_altered_is_refused(run_module: Any, place: dict[str, Any], edge: Edge, at: float) -> None:
    made(run_module, place)
    file = Path(place["file"])
    data = bytearray(file.read_bytes())
    data[int(len(data) * at)] ^= 1
    file.write_bytes(data)
    assert approved(run_module, place)["error"] == "BadRecord"
    assert run_module(alb_rules.main, plan=place["file"], **wanted())["error"] == "BadRecord"
    assert edge.arns() == set()


def test_a_step_added_by_hand_is_refused(run_module: Any, place: dict[str, Any]) -> None:
    made(run_module, place)
    file = Path(place["file"])
    plan = json.loads(file.read_text())
    plan["body"]["parts"][0]["steps"].append({"verb": "delete_rule", "why": "because"})
    file.write_bytes(approved_plan.canonical(plan) + b"\n")
    told = approved(run_module, place)
    assert told["error"] == "BadRecord"
    assert "MAC does not match" in told["msg"]


@pytest.mark.parametrize(("name", "value"), [("environment", "production"), ("region", "eu-west-1")])
def test_a_plan_for_elsewhere_is_refused(run_module: Any, place: dict[str, Any], name: str, value: str) -> None:
    made(run_module, place)
    told = run_module(platform_plan.main, moment="approve", **{**place, name: value})
    assert told["error"] == "BadRecord"
    assert value in told["msg"]


@pytest.fixture
def forged(run_module: Any, place: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Where a plan is that somebody made who has not the key of the runs."""
    monkeypatch.setenv("ANOTHER_KEY", "another" * 10)
    made(run_module, {**place, "key": {"environment": "ANOTHER_KEY"}})
    return place


def test_a_plan_that_names_a_key_of_its_own_is_refused(run_module: Any, forged: dict[str, Any]) -> None:
    told = approved(run_module, forged)
    assert told["error"] == "BadRecord"
    assert "another key than runs are: environment ANOTHER_KEY, not file " in told["msg"]


def test_a_plan_put_in_the_place_of_the_approved_one_is_refused_in_a_run(
    run_module: Any, forged: dict[str, Any], edge: Edge, tmp_path: Path
) -> None:
    run = Opened(edge.aws, run_module, tmp_path / "runs")
    assert "failed" not in run.open()
    told = run_module(alb_rules.main, plan=forged["file"], run=run.context, **wanted())
    assert (told["error"], edge.arns(), run.intents()) == ("BadRecord", set(), [])
    made(run_module, forged)
    assert run_module(alb_rules.main, plan=forged["file"], run=run.context, **wanted())["changed"]


def test_no_value_of_an_option_is_in_a_plan(run_module: Any, place: dict[str, Any], platform: dict[str, str]) -> None:
    canary = "canary-of-a-value"
    run_module(platform_plan.main, moment="begin", **place)
    containers = [{"name": CONTAINER, "environment": {"AUTH_SERVICE_ID": canary}}]
    options = {"cluster": CLUSTER, "service": NAME, "containers": containers, "plan": place["file"]}
    assert run_module(ecs_service.main, _check=True, **options)["changed"]
    run_module(platform_plan.main, moment="save", **place)
    text = Path(place["file"]).read_text()
    assert "register_task_definition" in text
    assert canary not in text
    other = [{"name": CONTAINER, "environment": {"AUTH_SERVICE_ID": "another-value"}}]
    told = run_module(ecs_service.main, **{**options, "containers": other})
    assert told["error"] == "PlanMoved"


def test_a_plan_can_be_read_by_its_owner_alone(run_module: Any, place: dict[str, Any]) -> None:
    made(run_module, place)
    assert Path(place["file"]).stat().st_mode & 0o777 == 0o600


def test_a_directory_that_is_not_there_is_told_before_anything_is_planned(
    run_module: Any, place: dict[str, Any], tmp_path: Path
) -> None:
    told = run_module(platform_plan.main, moment="begin", **{**place, "file": str(tmp_path / "none" / "plan.json")})
    assert told["error"] == "BadInput"
    assert "cannot be written" in told["msg"]


@pytest.mark.parametrize("moment", ["begin", "save"])
def test_two_hosts_do_not_write_one_plan(moment: str, run_module: Any, place: dict[str, Any]) -> None:
    """The first one's draft is left as it is, and only a draft: what is finished makes room."""
    assert not run_module(platform_plan.main, moment="begin", **place).get("failed")
    file = Path(place["file"])
    draft = file.read_bytes()
    other = {**place, "environment": "staging"}
    refused = run_module(platform_plan.main, moment=moment, **other)
    assert refused["error"] == "BadInput"
    assert "the draft of a plan for the environment development, not staging" in refused["msg"]
    assert "plan-{{ inventory_hostname }}.json" in refused["remedy"]
    assert file.read_bytes() == draft
    made(run_module, place)
    assert not run_module(platform_plan.main, moment="begin", **other).get("failed")


def test_hosts_that_begin_at_the_same_time_do_so_one_after_the_other(place: dict[str, Any]) -> None:
    def begin() -> None:
        with approved_plan.alone(Path(place["file"])):
            pass

    other = threading.Thread(target=begin, daemon=True)
    with approved_plan.alone(Path(place["file"])):
        other.start()
        other.join(0.2)
        assert other.is_alive()
    other.join(10)
    assert not other.is_alive()


def test_an_equal_wish_has_the_same_form_in_every_process() -> None:
    """Sets have no order, and another one in each process."""
    code = (
        "from ansible_collections.hokusai.platform.plugins.module_utils.approved_plan import canonical, form;"
        "print(canonical(form(frozenset(map(str, range(50))))))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": path},
        ).stdout
        for seed in ("1", "2")
        for path in [":".join(sys.path)]
    }
    assert len(texts) == 1


@pytest.mark.parametrize("action", ["mint", "revoke", "copy"])
def test_a_key_is_written_in_no_approved_plan(run_module: Any, place: dict[str, Any], action: str) -> None:
    source = {"environment": "HOKUSAI_API_KEY"}
    options = {
        "auth_url": "http://auth.test",
        "source": source,
        "admin_source": source,
        "store": {"ssm_parameter": "/hokusai/key"},
        "name": "n",
        "key_id": "k",
    }
    told = run_module(api_key.main, action=action, plan=place["file"], **options)
    assert "can be in no approved plan" in told["msg"]


def test_a_key_may_be_copied_into_a_file_under_any_plan(
    run_module: Any, place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the verification does at the end of a run: nothing of the platform changes."""
    monkeypatch.setenv("HOKUSAI_API_KEY", f"hk_test_{secrets.token_hex(16)}")
    source, store = {"environment": "HOKUSAI_API_KEY"}, {"file": str(tmp_path / "key")}
    told = run_module(api_key.main, action="copy", source=source, store=store, plan=place["file"])
    assert told["changed"], told


def test_a_rollback_is_in_no_approved_plan(run_module: Any, place: dict[str, Any]) -> None:
    place.pop("scope")
    told = run_module(platform_restore.main, plan=place.pop("file"), mlflow_target_groups=["mlflow"], **place)
    assert "A rollback can be in no approved plan" in told["msg"]
