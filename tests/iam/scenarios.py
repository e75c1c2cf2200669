"""What the playbooks do with a platform, from the incident to a run with everything that an inventory may ask for.

Each play is recorded for the policy that it is to run under.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness import Run, Sandbox, module, play, running_sandbox
from tests.iam import drift
from tests.iam.grants import CLUSTER, ENVIRONMENT, MANAGED, OWNER, PLATFORM_KEY, RUNS
from tests.iam.policies import Asked
from tests.integration.traffic import Traffic

RATE = 20.0
"""Requests per second, so that the canary has something to answer."""
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/hokusai-api:2026.12.0"
API = f"hokusai-api-{ENVIRONMENT}"
QUICK: dict[str, Any] = {
    "hokusai_wait": {"timeout": 180, "delay": 1},
    "hokusai_canary_steps": [{"weight": 50, "bake": 6}, {"weight": 100, "bake": 6}],
    "hokusai_canary_gates": {
        "alarms": [],
        "probes": [],
        "minimum_sample": 5,
        "max_error_ratio": 0.02,
        "max_above_stable": 0.01,
        "patience": 20,
        "poll": 1,
    },
}
"""What the sandbox's pace allows; all else is as in the inventory `development`."""

STORED: dict[str, Any] = {
    "alb_routing_dns": True,
    "hokusai_api_key": {"ssm_parameter": f"/{PLATFORM_KEY}"},
    "hokusai_runs_key": {"kms": f"alias/{RUNS}"},
}
"""What an inventory may ask of AWS besides: public names, the platform key and the key of the records."""


@dataclass(frozen=True)
class Stage:
    """A sandbox, and how playbooks are run against it as `development`."""

    sandbox: Sandbox

    def play(self, playbook: str, *arguments: str, **variables: Any) -> Run:
        asked = (f"playbooks/{playbook}.yml", "-e", json.dumps({**QUICK, **variables}), *arguments)
        return play(*asked, inventory="inventories/development", extra=self.sandbox.environment)

    def newest(self, **stored: Any) -> str:
        """The id of the newest run, by the records in the sandbox or those that are `stored`."""
        options = {"environment": ENVIRONMENT, "runs": {"directory": str(self.sandbox.home / "runs")}}
        if stored:
            options |= {"runs": stored["hokusai_runs"], "key": stored["hokusai_runs_key"]}
        found: str = module("platform_history", options, self.sandbox.environment)["runs"][0]["run_id"]
        return found

    def stored(self) -> dict[str, Any]:
        """Variables that have the records kept in a bucket and the keys in AWS, all of which this makes."""
        s3 = self.sandbox.client("s3")
        s3.create_bucket(Bucket=RUNS)
        s3.put_bucket_versioning(Bucket=RUNS, VersioningConfiguration={"Status": "Enabled"})
        key = self.sandbox.environment["HOKUSAI_API_KEY"]
        self.sandbox.client("ssm").put_parameter(Name=f"/{PLATFORM_KEY}", Value=key, Type="SecureString")
        self.sandbox.client("secretsmanager").create_secret(Name=PLATFORM_KEY, SecretString=key)
        kms = self.sandbox.client("kms")
        made = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=f"alias/{RUNS}", TargetKeyId=made)
        directory = str(self.sandbox.home / "stored")
        return {**STORED, "hokusai_runs": {"directory": directory, "bucket": RUNS}}


@dataclass(frozen=True)
class Recorder:
    """Plays playbooks on a stage, and notes in `asked` what they ask for, by the policy that they are to run under."""

    stage: Stage
    asked: list[Asked]

    def play(self, policy: str, playbook: str, *arguments: str, code: int = 0, **variables: Any) -> None:
        sandbox = self.stage.sandbox
        sandbox.command("enforce", "--record").wanted()
        self.stage.play(playbook, *arguments, **variables).wanted(code)
        told = json.loads(sandbox.command("enforce", "--json").wanted().output)["asked"]
        print(f"{policy}: {playbook} {' '.join(arguments)}, {len(told)} permissions", flush=True)
        self.asked.extend(Asked.of(policy, each) for each in told)


def incident(recorder: Recorder) -> None:
    """Found broken, repaired by an approved plan, tried with a canary, taken back, and that taken back as well.

    verify fails until repaired. The revision of before, one of ours, was tidied away meanwhile. Who takes a rollback
    back makes again what it removed, as `site` does.
    """
    stage = recorder.stage
    (service,) = stage.sandbox.client("ecs").describe_services(cluster=CLUSTER, services=[API])["services"]
    before = service["taskDefinition"]
    tags = [{"key": MANAGED, "value": OWNER}]
    stage.sandbox.client("ecs").tag_resource(resourceArn=before, tags=tags)
    stage.sandbox.command("break", "D07").wanted()
    plan = str(stage.sandbox.home / "plan.json")
    recorder.play("diagnose", "verify", code=2)
    recorder.play("diagnose", "site", "--check", "--diff", hokusai_plan_out=plan)
    recorder.play("site", "site", hokusai_plan=plan)
    repair = stage.newest()
    recorder.play("diagnose", "verify")
    recorder.play("diagnose", "history")
    recorder.play("diagnose", "rollback", "--check", run_id=repair)
    recorder.play("diagnose", "canary", "--check", canary_image=IMAGE)
    with Traffic(stage.sandbox, RATE):
        recorder.play("site", "canary", canary_image=IMAGE)
    recorder.play("diagnose", "rollback", "--check")
    recorder.play("rollback", "rollback")
    stage.sandbox.client("ecs").deregister_task_definition(taskDefinition=before)
    recorder.play("rollback", "rollback", run_id=repair, hokusai_allow_bypass=True)
    recorder.play("site", "rollback", run_id=stage.newest())


def kept_in_aws(recorder: Recorder) -> None:
    """A run of which AWS keeps records and keys, on a platform changed by hand, for an inventory that asks for more."""
    stored = {**recorder.stage.stored(), **drift.asked()}
    drift.drift(recorder.stage.sandbox)
    plan = str(recorder.stage.sandbox.home / "plan.json")
    recorder.play("diagnose", "site", "--check", **stored, hokusai_plan_out=plan)
    recorder.play("site", "site", **stored)
    recorder.play("diagnose", "verify", **stored)
    recorder.play("diagnose", "verify", **{**stored, "hokusai_api_key": {"secret": PLATFORM_KEY}})
    recorder.play("diagnose", "history", **stored)
    recorder.play("diagnose", "rollback", "--check", **stored)
    recorder.play("rollback", "rollback", **stored, hokusai_allow_bypass=True)
    taken_back = recorder.stage.newest(**stored)
    recorder.play("site", "rollback", **stored, run_id=taken_back, hokusai_allow_bypass=True)


SCENARIOS = (incident, kept_in_aws)


def played() -> list[Asked]:
    """What all of it asks for."""
    asked: list[Asked] = []
    for scenario in SCENARIOS:
        with (
            tempfile.TemporaryDirectory(prefix="hokusai-iam-") as directory,
            running_sandbox(Path(directory) / "sandbox", "--incident") as sandbox,
        ):
            scenario(Recorder(Stage(sandbox), asked))
    return asked
