"""What writes in a run: only while the lock is the run's, and never without its journal knowing before and after."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import recordable, runner, transaction
from ansible_collections.hokusai.platform.plugins.modules import alb_rules, api_key, ecs_service

from sandbox.controlplane import ControlPlane, Fault
from tests.unit.alb_edge import BALANCER, PORT, Edge
from tests.unit.conftest import CountingAws, RunModule
from tests.unit.ecs_model import CLUSTER, CONTAINER, NAME
from tests.unit.ecs_platform import revisions
from tests.unit.run_opened import Opened, Watch
from tests.unit.web import Auth, Web, serving, traces

Rules = Callable[..., dict[str, Any]]
CANARY = "canary-Zq8vN2xTb5"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "REREAD_DELAYS", (0.0, 0.01, 0.05, 0.1))


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    watching = Watch().install(monkeypatch)
    yield watching
    watching.told = lambda name: None  # clients that tests share were made while it watched


@pytest.fixture
def opened(aws: CountingAws, run_module: RunModule, tmp_path: Path) -> Opened:
    run = Opened(aws, run_module, tmp_path / "runs")
    assert "failed" not in run.open()
    return run


@pytest.fixture
def rules(run_module: RunModule, edge: Edge, opened: Opened, control_plane: ControlPlane) -> Rules:
    """Have so many rules on the edge's listener, in the run."""

    def have(count: int, **options: Any) -> dict[str, Any]:
        control_plane.calls.reset()
        wanted = [
            {
                "name": f"r{number}",
                "priority": number,
                "paths": [f"/{number}"],
                "action": {"type": "forward", "target_group": "one"},
            }
            for number in range(1, count + 1)
        ]
        given = {"load_balancer": BALANCER, "port": PORT, "rules": wanted, "run": opened.context, **options}
        return run_module(alb_rules.main, **given)

    return have


def test_each_write_is_journaled_before_its_call_and_again_after_it(rules: Rules, opened: Opened, watch: Watch) -> None:
    before: list[tuple[int, int]] = []
    watch.told = lambda _name: before.append((len(opened.intents()), len(opened.outcomes())))
    rules(1)
    assert before == [(1, 0)]
    assert opened.outcomes() == ["done"]
    [intent, outcome] = opened.lines()
    assert [intent[name] for name in ("service", "verb", "resource")] == ["elbv2", "create_rule", f"{BALANCER}:{PORT}"]
    assert intent["args"]["Priority"] == 1
    assert outcome["of"] == intent["seq"]
    assert ":listener-rule/" in outcome["response"]["Rules"][0]["RuleArn"]


def test_a_parallel_batch_is_journaled_whole_and_in_the_order_of_the_plan_before_its_first_call(
    rules: Rules, opened: Opened, watch: Watch
) -> None:
    before: list[int] = []
    watch.told = lambda _name: before.append(len(opened.intents()))
    taken = rules(12)["steps"]
    assert before == [12] * 12
    assert opened.intents() == [step["why"] for step in taken]
    assert opened.outcomes() == ["done"] * 12
    told = [entry["of"] for entry in opened.lines() if entry["kind"] == "outcome"]
    assert sorted(told) == list(range(1, 13))
    opened.verified()


def test_a_write_costs_one_read_of_the_lock_and_a_module_one_more(rules: Rules, control_plane: ControlPlane) -> None:
    rules(5)
    assert control_plane.calls.count("ssm:GetParameters") == 5 + 1
    assert control_plane.calls.count("ssm:PutParameter") == 0


def test_without_a_run_there_is_neither_lock_nor_journal(
    rules: Rules, opened: Opened, control_plane: ControlPlane
) -> None:
    rules(2, run=None)
    assert not [name for name in control_plane.calls.as_dict()["actions"] if name.startswith(("ssm", "sts", "s3"))]
    assert opened.lines() == []


def test_check_mode_looks_at_no_lock_and_journals_nothing(
    rules: Rules, opened: Opened, control_plane: ControlPlane
) -> None:
    assert rules(2, _check=True)["changed"]
    assert not [name for name in control_plane.calls.as_dict()["actions"] if name.startswith("ssm")]
    assert opened.lines() == []


def test_who_lost_the_lock_before_the_task_writes_nothing(
    rules: Rules, opened: Opened, control_plane: ControlPlane
) -> None:
    opened.broken()
    result = rules(3)
    assert (result["failed"], result["error"]) == (True, "LockLost")
    assert "the run another of bob on laptop" in result["msg"]
    assert control_plane.calls.writes == 0


def test_who_loses_the_lock_between_two_writes_makes_no_second_one_and_says_what_is_done(
    opened: Opened, watch: Watch, platform: Any, run_module: RunModule, aws: CountingAws
) -> None:
    def lose(name: str) -> None:
        if name == "RegisterTaskDefinition":
            opened.broken()

    watch.told = lose
    watch.calls.clear()
    result = redeploy(run_module, opened)
    assert (result["failed"], result["error"]) == (True, "LockLost")
    assert [step["verb"] for step in result["steps_done"]] == ["register_task_definition"]
    assert watch.calls == ["RegisterTaskDefinition"]
    assert opened.outcomes() == ["done", "failed"]
    assert opened.lines()[-1]["error"] == "LockLost"


def redeploy(run_module: RunModule, opened: Opened) -> dict[str, Any]:
    container = {"name": CONTAINER, "environment": {"GREETING": CANARY}}
    return run_module(
        ecs_service.main, cluster=CLUSTER, service=NAME, containers=[container], wait=False, run=opened.context
    )


def loses_while_waiting(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run breaks the lock while botocore waits for its next try."""
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 1:
            opened.broken()

    monkeypatch.setattr(time, "sleep", wait)


@pytest.mark.parametrize("after", [False, True], ids=["refused", "made, and the answer lost"])
def test_who_loses_the_lock_between_two_tries_of_a_write_makes_no_second_one_and_leaves_open_what_the_first_did(
    rules: Rules, opened: Opened, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    control_plane.faults.add(Fault("elbv2:CreateRule", code="InternalFailure", status=500, after=after, times=-1))
    loses_while_waiting(opened, monkeypatch)
    assert rules(1)["error"] == "LockLost"
    assert control_plane.calls.count("elbv2:CreateRule") == 1
    assert (len(opened.intents()), opened.outcomes()) == (1, [])


def test_a_further_try_of_a_write_costs_one_more_read_of_the_lock(
    rules: Rules, opened: Opened, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    control_plane.faults.add(Fault("elbv2:CreateRule", code="Throttling", status=400, times=2))
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    rules(1)
    assert control_plane.calls.count("elbv2:CreateRule") == 3
    assert control_plane.calls.count("ssm:GetParameters") == 1 + 3
    assert opened.outcomes() == ["done"]


def test_a_write_whose_answer_was_lost_is_journaled_as_landed(
    rules: Rules, opened: Opened, control_plane: ControlPlane
) -> None:
    control_plane.faults.add(Fault("elbv2:CreateRule", code="InternalFailure", status=500, after=True))
    assert "failed" not in rules(1)
    assert opened.outcomes() == ["landed"]


def test_a_write_that_was_refused_is_journaled_with_the_code_alone(
    rules: Rules, opened: Opened, control_plane: ControlPlane
) -> None:
    refusal = Fault("elbv2:CreateRule", code="AccessDenied", status=403, message=f"no {CANARY}", times=-1)
    control_plane.faults.add(refusal)
    assert rules(1)["error"] == "AwsError"
    assert opened.outcomes() == ["failed"]
    assert opened.lines()[-1]["error"] == "AccessDenied"
    assert CANARY not in opened.text()


def test_a_journal_that_cannot_be_written_keeps_the_write_from_being_made(
    rules: Rules, opened: Opened, control_plane: ControlPlane
) -> None:
    (opened.path / "journal.jsonl").mkdir()
    result = rules(2)
    assert (result["failed"], result["error"]) == (True, "BadRecord")
    assert control_plane.calls.writes == 0


def test_a_record_that_was_altered_keeps_every_write_from_being_made(
    rules: Rules, opened: Opened, control_plane: ControlPlane
) -> None:
    context = Path(opened.context)
    context.write_bytes(context.read_bytes().replace(b'"development"', b'"production"'))
    assert rules(2)["error"] == "BadRecord"
    assert control_plane.calls.writes == 0


def test_the_context_of_another_region_is_refused(rules: Rules, control_plane: ControlPlane) -> None:
    result = rules(2, region="eu-west-1")
    assert "us-east-1, not eu-west-1" in result["msg"]
    assert control_plane.calls.writes == 0


def test_a_context_that_is_not_there_is_refused(rules: Rules, opened: Opened, control_plane: ControlPlane) -> None:
    shutil.rmtree(opened.directory)
    assert rules(2)["error"] == "BadInput"
    assert control_plane.calls.writes == 0


def test_a_lock_is_renewed_while_a_module_works(
    opened: Opened, aws: CountingAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "RENEWALS", 9000)
    run = transaction.Run(aws, opened.context, "module", "thing")
    with run.alive():
        before = run.lock.look().written
        deadline = time.monotonic() + 10
        while run.lock.look().written == before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert run.lock.look().written != before
    assert not [each for each in threading.enumerate() if each.name == transaction.RENEWING]


def test_neither_the_environment_nor_a_secret_of_a_container_is_in_the_record(
    opened: Opened, platform: Any, run_module: RunModule, aws: CountingAws
) -> None:
    assert "failed" not in redeploy(run_module, opened)
    [told] = [entry["args"] for entry in opened.lines() if entry.get("verb") == "register_task_definition"]
    assert told == {"family": NAME}
    opened.close()
    assert revisions(aws)[-1] in opened.text()
    assert "register_task_definition" in opened.text()
    for hidden in (CANARY, "hunter2", "SESSION_SECRET", "session-secret"):
        assert hidden not in opened.text(), hidden


@pytest.fixture
def auth() -> Auth:
    return Auth()


@pytest.fixture
def web(auth: Auth) -> Iterator[Web]:
    with serving(auth.respond) as running:
        yield running


@pytest.fixture
def keys(run_module: RunModule, web: Web, auth: Auth, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> Rules:
    monkeypatch.setenv("ADMIN_KEY", auth.admin)

    def act(action: str, **options: Any) -> dict[str, Any]:
        given = {"auth_url": web.url, "admin_source": {"environment": "ADMIN_KEY"}, "name": "tests", **options}
        return run_module(api_key.main, action=action, run=opened.context, **given)

    return act


def test_a_key_that_is_minted_is_journaled_and_is_not_in_the_record(keys: Rules, opened: Opened, auth: Auth) -> None:
    result = keys("mint", store={"ssm_parameter": "/keys/tests"})
    assert "failed" not in result
    [key] = auth.active
    assert opened.intents() == ["key tests of platform with read, write", "key tests in the SSM parameter /keys/tests"]
    assert [entry["service"] for entry in opened.lines() if entry["kind"] == "intent"] == ["auth", "ssm"]
    assert opened.outcomes() == ["done", "done"]
    assert not traces(opened.text(), key)
    assert not traces(opened.text(), auth.admin)


def test_no_key_is_minted_or_revoked_without_the_lock(keys: Rules, opened: Opened, auth: Auth) -> None:
    key = auth.add()
    opened.broken()
    assert keys("mint", store={"ssm_parameter": "/keys/tests"})["error"] == "LockLost"
    assert keys("revoke", key_id=auth.keys[key]["key_id"])["error"] == "LockLost"
    assert auth.active == [key]


def test_a_minted_key_that_cannot_be_kept_for_the_lock_is_lost_is_revoked(
    keys: Rules, opened: Opened, auth: Auth
) -> None:
    respond = auth.mints

    def losing(environment: str) -> str:
        opened.broken()
        return respond(environment)

    auth.mints = losing
    result = keys("mint", store={"ssm_parameter": "/keys/tests"})
    assert result["error"] == "LockLost"
    assert "is revoked again" in result["msg"]
    assert auth.active == []


def test_a_key_in_a_file_needs_no_lock(keys: Rules, opened: Opened, auth: Auth, tmp_path: Path) -> None:
    opened.broken()
    assert "failed" not in keys("copy", source={"value": auth.add()}, store={"file": str(tmp_path / "key")})
    assert opened.lines() == []


@pytest.mark.parametrize("service", ["ssm", "secretsmanager", "auth", "kms", "s3"])
def test_of_other_services_nothing_is_recorded_but_verb_and_reason(service: str) -> None:
    assert recordable.arguments(service, "put", {"Value": CANARY}) is None
    assert recordable.answer(service, "put", {"KeyId": CANARY}) == {}


def test_secrets_deep_in_arguments_are_left_out() -> None:
    action = {"Type": "authenticate-oidc", "AuthenticateOidcConfig": {"ClientId": "us", "ClientSecret": CANARY}}
    told = recordable.arguments("elbv2", "modify_rule", {"RuleArn": "arn", "Actions": [action], "Blob": b"x"})
    assert told == {
        "RuleArn": "arn",
        "Actions": [{"Type": "authenticate-oidc", "AuthenticateOidcConfig": {"ClientId": "us"}}],
        "Blob": "(bytes)",
    }


def test_the_token_of_a_log_driver_is_left_out() -> None:
    """The proxy of Service Connect has one, which DescribeServices tells and a canary's service gets too."""
    log = {"logDriver": "splunk", "options": {"splunk-token": CANARY}}
    connect = {"enabled": True, "namespace": "n", "logConfiguration": log}
    told = recordable.arguments("ecs", "create_service", {"serviceName": "s", "serviceConnectConfiguration": connect})
    assert told == {"serviceName": "s", "serviceConnectConfiguration": {"enabled": True, "namespace": "n"}}


def test_of_an_answer_the_ids_are_kept_at_their_places() -> None:
    answer = {
        "SecurityGroupRules": [{"SecurityGroupRuleId": "sgr-1", "Description": CANARY, "FromPort": 1}],
        "Service": {"Id": "srv-1", "Arn": "arn:1", "Name": "x"},
        "Return": True,
        "ResponseMetadata": {"RequestId": "x"},
    }
    assert recordable.answer("ec2", "authorize_security_group_ingress", answer) == {
        "SecurityGroupRules": [{"SecurityGroupRuleId": "sgr-1"}],
        "Service": {"Id": "srv-1", "Arn": "arn:1"},
    }


def test_a_run_that_lost_its_lock_after_its_writes_says_so_and_not_that_they_had_no_effect(
    rules: Rules, opened: Opened, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_and_plan = runner.Apply.look_and_plan

    def after_another_run(apply: Any) -> Any:
        if opened.lock.look().holder == holder:
            opened.broken()
            edge.aws.elbv2.delete_rule(RuleArn=edge.rules()[0]["RuleArn"])
        return look_and_plan(apply)

    holder = opened.lock.look().holder
    monkeypatch.setattr(runner.Apply, "look_and_plan", after_another_run)
    assert rules(1)["error"] == "LockLost"
