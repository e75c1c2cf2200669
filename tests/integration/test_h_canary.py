"""A canary on the whole platform: promoted, rolled back, taken back, refused, cut off and finished, cut off and undone.

Each play is a run with a lock and a record. Each chapter is one play or several, all of them on one sandbox of their
own; requests pass all the while, and are counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.harness import BIN, ROOT, Run, Sandbox, plain_environment, play, running_sandbox
from tests.integration.test_h_runs import runs_of
from tests.integration.traffic import Traffic

CLUSTER, STABLE, CANARY = "hokusai-development", "hokusai-api-development", "hokusai-api-canary-development"
IMAGES = "123456789012.dkr.ecr.us-east-1.amazonaws.com/hokusai-api"
PLAYBOOK = "playbooks/canary.yml"
RATE = float(os.environ.get("HOKUSAI_CANARY_RATE", "50"))
WEIGHTS = (5, 25, 50, 100)
KILL_SECONDS = 300.0


LOCK_SECONDS = 30


def steps(bake: float, *weights: int, first: float | None = None) -> dict[str, Any]:
    """The steps, each held for `bake` seconds; the first one for `first`."""
    bakes = [bake if first is None else first, *[bake] * (len(weights) - 1)]
    return {"hokusai_canary_steps": [{"weight": w, "bake": b} for w, b in zip(weights, bakes, strict=True)]}


def gates(**more: Any) -> dict[str, Any]:
    """The inventory's, without the probes: they take time, and one chapter has them."""
    given = {"alarms": [], "probes": [], "patience": 8, "poll": 0.5}
    limits = {"minimum_sample": 8, "max_error_ratio": 0.02, "max_above_stable": 0.01}
    return {"hokusai_canary_gates": {**given, **limits, **more}}


@dataclass(frozen=True)
class Platform:
    """What the canary is about: the sandbox, and what AWS says of its rules and services."""

    sandbox: Sandbox

    def rules(self) -> list[Any]:
        """Every rule of the load balancers that serve the API, its tags included."""
        elbv2 = self.sandbox.client("elbv2")
        found: list[Any] = []
        names = ["hokusai-registry-development", "hokusai-main-development"]
        for balancer in elbv2.describe_load_balancers(Names=names)["LoadBalancers"]:
            for listener in elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]:
                rules = elbv2.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
                tags = elbv2.describe_tags(ResourceArns=[rule["RuleArn"] for rule in rules])["TagDescriptions"]
                found += [rules, tags]
        return found

    def shares(self) -> set[int]:
        """The weights that the rules give to the canary."""
        rules = [rule for some in self.rules()[::2] for rule in some]
        forwards = [
            action["ForwardConfig"] for rule in rules for action in rule["Actions"] if "ForwardConfig" in action
        ]
        weighed = [group for forward in forwards for group in forward["TargetGroups"]]
        return {group["Weight"] for group in weighed if "canary" in group["TargetGroupArn"]}

    def image(self) -> str:
        """What the stable service runs."""
        ecs = self.sandbox.client("ecs")
        service = ecs.describe_services(cluster=CLUSTER, services=[STABLE])["services"][0]
        (primary,) = service["deployments"]
        assert primary["rolloutState"] == "COMPLETED"
        definition = ecs.describe_task_definition(taskDefinition=primary["taskDefinition"])["taskDefinition"]
        return str(definition["containerDefinitions"][0]["image"])

    def newest_image(self) -> str:
        """What the newest revision of the family would run."""
        definition = self.sandbox.client("ecs").describe_task_definition(taskDefinition=STABLE)["taskDefinition"]
        return str(definition["containerDefinitions"][0]["image"])

    def leftovers(self) -> list[str]:
        """What there still is of a canary."""
        services = self.sandbox.client("ecs").describe_services(cluster=CLUSTER, services=[CANARY])["services"]
        groups = self.sandbox.client("elbv2").describe_target_groups()["TargetGroups"]
        living = [each["serviceName"] for each in services if each["status"] != "INACTIVE"]
        return living + [each["TargetGroupName"] for each in groups if "canary" in each["TargetGroupName"]]

    def play(self, playbook: str = PLAYBOOK, **variables: Any) -> Run:
        return play(playbook, "-e", json.dumps(variables), extra=self.at)

    def predict(self, **variables: Any) -> Run:
        return play(PLAYBOOK, "--check", "-e", json.dumps(variables), extra=self.at)

    def newest(self) -> dict[str, Any]:
        """The newest run, as the history tells it."""
        return runs_of(self.sandbox)[0]

    def is_locked(self) -> bool:
        return not self.sandbox.client("ssm").get_parameters(Names=["/hokusai/sandbox/lock"])["InvalidParameters"]

    @property
    def at(self) -> dict[str, str]:
        return {"HOKUSAI_SANDBOX_HOME": str(self.sandbox.home)}

    def play_until_killed(self, **variables: Any) -> None:
        """Start the playbook, and kill it and all its children as soon as the first share is given."""
        command = [str(BIN / "ansible-playbook"), PLAYBOOK, "-i", "inventories/sandbox", "-e", json.dumps(variables)]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=plain_environment(self.at),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + KILL_SECONDS
            while not self.shares() & set(WEIGHTS):
                assert process.poll() is None, "the playbook ended by itself"
                assert time.monotonic() < deadline, "no share was given"
                time.sleep(0.2)
        finally:
            for pid in [*children(process.pid), process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def children(parent: int) -> list[int]:
    """All descendants of a process of ours: Ansible's workers lead sessions of their own."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    family = [parent]
    for pid in family:
        family += [child for child, its in parents.items() if its == pid]
    return family[1:]


@dataclass(frozen=True)
class Chapter:
    """A play and its record, what AWS said of the rules before and says after, and what became of the requests."""

    run: Run
    record: dict[str, Any]
    before: list[Any]
    after: list[Any]
    outcomes: Counter[str]
    lost: dict[str, int]


@contextlib.contextmanager
def traffic(platform: Platform) -> Iterator[Traffic]:
    with Traffic(platform.sandbox, RATE) as passing:
        yield passing


def tell(platform: Platform, **variables: Any) -> Chapter:
    """One play with requests passing."""
    before = platform.rules()
    with traffic(platform) as passing:
        run = platform.play(**variables)
    return Chapter(run, platform.newest(), before, platform.rules(), passing.outcomes, passing.lost)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_sandbox(tmp_path_factory.mktemp("canary"), "--healthy") as sandbox:
        yield Platform(sandbox)


# a gate alarm that is in ALARM already


@pytest.fixture(scope="module")
def alarmed(platform: Platform) -> tuple[Run, dict[str, Any]]:
    cloudwatch = platform.sandbox.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="registry-elb-5xx",
        Namespace="AWS/ApplicationELB",
        MetricName="HTTPCode_ELB_5XX_Count",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",  # or the next evaluation ends it
    )
    cloudwatch.set_alarm_state(AlarmName="registry-elb-5xx", StateValue="ALARM", StateReason="a test")
    platform.sandbox.forget_calls()
    run = platform.play(canary_image=f"{IMAGES}:2026.12.0", **steps(2, *WEIGHTS), **gates(alarms=["registry-elb-5xx"]))
    return run, platform.sandbox.calls()


def test_an_alarm_that_sounds_refuses_the_start(alarmed: tuple[Run, dict[str, Any]]) -> None:
    run, _calls = alarmed
    assert run.code != 0
    assert "alarm registry-elb-5xx: it is ALARM" in " ".join(run.output.split())


def test_check_mode_says_what_would_be_done_and_asks_the_gates(platform: Platform, alarmed: object) -> None:
    image = {"canary_image": f"{IMAGES}:2026.12.0"}
    assert "Next would be: start" in " ".join(platform.predict(**image, **gates()).wanted().output.split())
    assert platform.predict(**image, **gates(alarms=["registry-elb-5xx"])).code != 0


def test_a_refused_start_writes_nothing(alarmed: tuple[Run, dict[str, Any]]) -> None:
    _run, calls = alarmed
    assert calls["writes"] == 0, calls


# nobody asks the canary anything


@pytest.fixture(scope="module")
def unasked(platform: Platform, alarmed: object) -> Chapter:
    before = platform.rules()
    run = platform.play(canary_image=f"{IMAGES}:2026.12.0", **steps(1, *WEIGHTS), **gates(patience=1))
    return Chapter(run, platform.newest(), before, platform.rules(), Counter(), {})


def test_no_traffic_is_inconclusive_and_not_promoted(unasked: Chapter, platform: Platform) -> None:
    assert unasked.run.code != 0
    said = " ".join(unasked.run.output.split())
    assert "At 5 %, inconclusive: error ratio: 0 of 0 requests failed" in said
    assert "from 5 to 25 %" not in said
    assert unasked.after == unasked.before


def test_a_canary_that_is_not_promoted_is_a_failed_run_with_the_verdict_as_its_reason(
    unasked: Chapter, platform: Platform
) -> None:
    assert unasked.record["verdict"] == "failed"
    assert unasked.record["reason"] == "not promoted, but taken back, at 5 %: inconclusive"
    assert not platform.is_locked()


# a good one, with a lock that holds for less than a step is baked


@pytest.fixture(scope="module")
def good(platform: Platform, unasked: object) -> Chapter:
    held = {**steps(5, *WEIGHTS, first=LOCK_SECONDS + 5), "hokusai_lock_ttl": LOCK_SECONDS}
    return tell(platform, canary_image=f"{IMAGES}:2026.12.0", **held)


def test_a_good_canary_is_promoted_step_by_step(good: Chapter, platform: Platform) -> None:
    good.run.wanted()
    shares = [why.rpartition(" from ")[2] for _role, _verb, why in good.run.steps if "443 rule 105: hokusai-reg" in why]
    assert shares == ["0 to 0 %", "0 to 5 %", "5 to 25 %", "25 to 50 %", "50 to 100 %"]
    assert platform.image() == f"{IMAGES}:2026.12.0"


def test_it_is_a_run_whose_record_has_all_its_steps_in_order(good: Chapter, platform: Platform) -> None:
    assert good.record["verdict"] == "succeeded"
    assert good.record["reason"] == f"{CANARY} passed all its steps and is promoted"
    assert [(each["verb"], each["why"]) for each in good.record["writes"]] == [step[1:] for step in good.run.steps]
    assert not platform.is_locked()


def test_no_request_is_lost_meanwhile(good: Chapter) -> None:
    assert good.outcomes["200"] > 10 * RATE
    assert good.lost == {}


def test_the_canary_had_its_requests(good: Chapter, platform: Platform) -> None:
    lines = (platform.sandbox.home / "logs" / "alb.jsonl").read_text().splitlines()
    served = Counter(json.loads(line)["target_group"] for line in lines)
    assert served["hokusai-reg-canary-development"] > RATE


def test_afterwards_nothing_is_left_but_the_new_revision(good: Chapter, platform: Platform) -> None:
    assert good.after == good.before
    assert platform.leftovers() == []


@pytest.fixture(scope="module")
def taken_back(platform: Platform, good: Chapter) -> Chapter:
    before = platform.rules()
    with traffic(platform) as passing:
        run = platform.play("playbooks/rollback.yml", run_id=good.record["run_id"])
    return Chapter(run, platform.newest(), before, platform.rules(), passing.outcomes, passing.lost)


def test_a_promoted_canary_is_rolled_back_to_the_revision_of_before(taken_back: Chapter, platform: Platform) -> None:
    taken_back.run.wanted()
    assert [verb for _role, verb, _why in taken_back.run.steps] == ["update_service", "deregister_task_definition"]
    assert platform.image() == platform.newest_image() != f"{IMAGES}:2026.12.0"
    assert taken_back.after == taken_back.before
    assert taken_back.lost == {}


# a bad one


@pytest.fixture(scope="module")
def bad(platform: Platform, taken_back: object) -> Chapter:
    nowhere = {"MLFLOW_SERVER_URL": "http://nowhere.hokusai-development.local:5000"}
    return tell(
        platform, canary_image=f"{IMAGES}:2026.13.0", canary_environment=nowhere, **steps(60, *WEIGHTS), **gates()
    )


def test_a_bad_canary_goes_back_at_once(bad: Chapter) -> None:
    assert bad.run.code != 0
    said = " ".join(bad.run.output.split())
    assert "At 5 %, fail: error ratio:" in said
    assert not [why for _role, _verb, why in bad.run.steps if "5 to 25 %" in why]


def test_a_bad_canary_fails_no_more_requests_than_its_share(bad: Chapter) -> None:
    assert set(bad.lost) <= {"502", "503", "504"}
    assert sum(bad.lost.values()) < 0.05 * bad.outcomes.total()


def test_after_a_bad_canary_all_is_as_it_was(bad: Chapter, platform: Platform) -> None:
    assert bad.after == bad.before
    assert platform.leftovers() == []
    assert platform.image() == platform.newest_image() != f"{IMAGES}:2026.13.0"


# one that is cut off, and then finished; another, and then undone


@dataclass(frozen=True)
class Resumed:
    """A canary that was killed at its first step, what was tried without breaking its lock, and how it went on."""

    killed: str
    refused: list[Run]
    chapter: Chapter


def resume(platform: Platform, image: str, *playbooks: str, bake: float, **variables: Any) -> Resumed:
    """Kill a canary at its first step, try the playbooks while its lock is held, then break that and go on."""
    before = platform.rules()
    with traffic(platform) as passing:
        platform.play_until_killed(canary_image=image, **steps(600, 5, 100), **gates())
        killed = platform.newest()
        assert (killed["verdict"], platform.shares()) == ("running", {5})
        writes = len(killed["writes"])
        refused = [platform.play(each, **steps(bake, 5, 100), **gates()) for each in playbooks]
        assert len(platform.newest()["writes"]) == writes
        given = {**steps(bake, 5, 100), **gates(), "hokusai_break_lock": killed["run_id"], **variables}
        run = platform.play(**given)
    chapter = Chapter(run, platform.newest(), before, platform.rules(), passing.outcomes, passing.lost)
    return Resumed(str(killed["run_id"]), refused, chapter)


@pytest.fixture(scope="module")
def finished(platform: Platform, bad: object) -> Resumed:
    return resume(platform, f"{IMAGES}:2026.14.0", PLAYBOOK, bake=3)


def test_the_lock_of_a_canary_that_was_cut_off_refuses_the_next_and_says_what_to_type(finished: Resumed) -> None:
    (run,) = finished.refused
    assert run.code != 0
    said = " ".join(run.output.split())
    assert f"sandbox is locked by the run {finished.killed}" in said
    assert f"-e hokusai_break_lock={finished.killed}" in said
    assert run.steps == ()


def test_a_canary_that_was_cut_off_is_finished(finished: Resumed, platform: Platform) -> None:
    finished.chapter.run.wanted()
    assert "it was cut off at step 1" in " ".join(finished.chapter.run.output.split())
    assert platform.image() == f"{IMAGES}:2026.14.0"
    assert finished.chapter.after == finished.chapter.before
    assert platform.leftovers() == []
    assert finished.chapter.lost == {}


def test_the_run_that_finished_it_says_whose_lock_it_broke(finished: Resumed, platform: Platform) -> None:
    assert finished.chapter.record["took_over"] == finished.killed
    verdicts = {run["run_id"]: run["verdict"] for run in runs_of(platform.sandbox)}
    assert verdicts[finished.killed] == "interrupted"
    assert not platform.is_locked()


@pytest.fixture(scope="module")
def undone(platform: Platform, finished: object) -> Resumed:
    """An abort asks for no platform key: the auth service may be what is broken."""
    nowhere = {"hokusai_api_key": {"environment": "NOT_SET_ANYWHERE"}}
    image = f"{IMAGES}:2026.15.0"
    return resume(platform, image, "playbooks/rollback.yml", bake=600, canary_action="abort", **nowhere)


def test_a_rollback_of_a_canary_that_is_there_is_refused_and_says_what_to_type(undone: Resumed) -> None:
    (run,) = undone.refused
    assert run.code != 0
    said = " ".join(run.output.split())
    assert f"The run {undone.killed} left a canary" in said
    assert f"-e canary_action=abort -e hokusai_break_lock={undone.killed}" in said


def test_a_canary_that_was_cut_off_is_undone(undone: Resumed, platform: Platform) -> None:
    undone.chapter.run.wanted()
    assert platform.image() == f"{IMAGES}:2026.14.0"
    assert undone.chapter.after == undone.chapter.before
    assert platform.leftovers() == []
    assert undone.chapter.lost == {}
