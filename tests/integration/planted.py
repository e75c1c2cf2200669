"""A platform in which each kind of secret is a canary that no other place can have, and what has been run there."""

from __future__ import annotations

import json
import secrets
import string
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness import ROOT, Run, Sandbox, inventory, module, run
from tests.integration.leaks import Secrets, files

CLUSTER, API = "hokusai-development", "hokusai-api-development"
SESSION = "/hokusai/development/api/session-secret"
PARAMETER, SECRET = "/hokusai/development/keys/canary", "hokusai/development/canary"
SEAL, BUCKET = "hokusai/development/runs-key", "hokusai-runs"
SHOWN_BY_ECS = {"mlflow", "setting"}
"""What is planted in environments of task definitions, where ECS shows it to whoever may describe them."""
KEPT = {SESSION: "session", PARAMETER: "key"}
ALPHABET = string.ascii_letters + string.digits
KEYS_OF_THE_SANDBOX = {"HOKUSAI_API_KEY", "HOKUSAI_AUTH_ADMIN_KEY", "MLFLOW_TRACKING_TOKEN"}
LOUDEST = ("-vvvv", "--diff")


def of_chance(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def canaries(sandbox: Sandbox) -> dict[str, str]:
    """A valid key, one that nobody was given, AWS's, that of the records, and those of the API's container."""
    body = {"name": "canary", "service_id": "platform", "scopes": ["read", "write"], "environment": "test"}
    admin = sandbox.environment["HOKUSAI_AUTH_ADMIN_KEY"]
    minted = sandbox.ask("https://auth.hokus.ai/api/v1/keys", admin, method="POST", json=body)
    return {
        "key": minted.json()["key"],
        "refused": "hk_test_" + of_chance(32),
        "aws": f"aB3{of_chance(17)}/+{of_chance(18)}",
        "record": secrets.token_hex(32),
        "mlflow": of_chance(40),
        "session": of_chance(40),
        "setting": of_chance(24),
    }


@dataclass
class Planted:
    """The sandbox, its canaries by kind, the files that hold them, and the evidence of all that ran."""

    sandbox: Sandbox
    texts: Mapping[str, str]
    own: Path
    evidence: Path
    ran: dict[str, Run] = field(default_factory=dict)
    inherited: dict[str, str] = field(default_factory=dict)
    """What the operator's environment holds besides."""

    def __post_init__(self) -> None:
        self.secrets = Secrets(self.texts)
        self.user = self.evidence / "home"
        for name in ("home", "temporary", "printed", "log", "junit", "tree", "events", "steps", "facts", "plan"):
            (self.evidence / name).mkdir(parents=True)

    def file(self, name: str, content: str) -> Path:
        """A file of the operator's, in which a secret may be."""
        path = self.own / name
        path.touch(0o600)
        path.write_text(content)
        return path

    def environment(self) -> dict[str, str]:
        """That of an operator who has all secrets in files, and Ansible report in every way it can."""
        given = {name: text for name, text in self.sandbox.environment.items() if name not in KEYS_OF_THE_SANDBOX}
        del given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"]
        return given | {
            **self.inherited,
            "AWS_SHARED_CREDENTIALS_FILE": str(self.own / "credentials"),
            "HOME": str(self.user),
            "ANSIBLE_REMOTE_TMP": str(self.user / ".ansible" / "tmp"),
            "TMPDIR": str(self.evidence / "temporary"),
            "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(self.evidence / "facts"),
            "ANSIBLE_CALLBACKS_ENABLED": "hokusai.platform.steps,recorder,ansible.builtin.junit,ansible.builtin.tree",
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "integration" / "callbacks"),
            "ANSIBLE_CALLBACK_TREE_DIR": str(self.evidence / "tree"),
            "ANSIBLE_DISPLAY_TRACEBACK": "always",
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
            "ANSIBLE_LOG_PATH": str(self.evidence / "log" / "ansible.log"),
            "JUNIT_OUTPUT_DIR": str(self.evidence / "junit"),
            "RECORDER_FILE": str(self.evidence / "events" / "all.jsonl"),
        }

    def settings(self, suffix: str = "") -> list[dict[str, Any]]:
        """Those of the inventory, and a password for the API."""
        settings: list[dict[str, Any]] = inventory("development")["hokusai_settings"]
        for each in settings:
            if each["service"] == "api":
                each["environment"]["REGISTRY_PASSWORD"] = self.texts["setting"] + suffix
        return settings

    def variables(self) -> dict[str, Any]:
        """Those of the inventory that a run here needs to be others."""
        return {
            "hokusai_api_key": {"file": str(self.own / "key")},
            "hokusai_runs": {"directory": str(self.sandbox.home / "runs")},
            "hokusai_runs_key": {"file": str(self.own / "record.key")},
            "hokusai_settings": self.settings(),
            "hokusai_wait": {"timeout": 180, "delay": 1},
        }

    def stored(self) -> dict[str, Any]:
        """Variables by which AWS keeps the records and their key."""
        runs = {"directory": str(self.sandbox.home / "stored"), "bucket": BUCKET}
        return {"hokusai_runs": runs, "hokusai_runs_key": {"secret": SEAL}}

    def play(self, name: str, playbook: str, *arguments: str, **variables: Any) -> Run:
        """Run a playbook at its loudest; its variables stand in a file, as those of a vault do."""
        given = self.file(f"{name}.json", json.dumps(self.variables() | variables))
        command = ["ansible-playbook", f"playbooks/{playbook}.yml", "-i", "inventories/development", *LOUDEST]
        steps = {"HOKUSAI_STEPS_FILE": str(self.evidence / "steps" / f"{name}.json")}
        return self.kept(name, run([*command, "-e", f"@{given}", *arguments], self.environment() | steps))

    def task(self, name: str, action: str, options: Mapping[str, Any], **environment: str) -> Run:
        """Run one module at its loudest. Its options come out of a file too, for else they were on the command line."""
        given = self.file(f"{name}.json", json.dumps({"given": options}))
        play = [{"hosts": "localhost", "gather_facts": False, "tasks": [{action: "{{ given }}"}]}]
        playbook = self.file(f"{name}-play.json", json.dumps(play))
        command = ["ansible-playbook", str(playbook), "-i", "localhost,", "-c", "local", *LOUDEST, "-e", f"@{given}"]
        command += ["-e", f"ansible_python_interpreter={sys.executable}"]
        return self.kept(name, run(command, self.environment() | environment))

    def kept(self, name: str, ended: Run) -> Run:
        (self.evidence / "printed" / f"{name}.txt").write_text(ended.output)
        self.ran[name] = ended
        return ended


def plant(sandbox: Sandbox, own: Path, evidence: Path) -> Planted:
    """Put each canary where its kind belongs, and have the API run with those of its container."""
    own.mkdir(0o700)
    planted = Planted(sandbox, canaries(sandbox), own, evidence)
    planted.file("key", planted.texts["key"])
    planted.file("record.key", planted.texts["record"])
    profiles = {"default": ("canary", planted.texts["aws"]), "swapped": (planted.texts["aws"], "canary")}
    lines = "[{}]\naws_access_key_id = {}\naws_secret_access_key = {}\n"
    planted.file("credentials", "".join(lines.format(name, *pair) for name, pair in profiles.items()))
    for secret, kind in {SECRET: "key", SEAL: "record"}.items():
        sandbox.client("secretsmanager").create_secret(Name=secret, SecretString=planted.texts[kind])
    sandbox.client("s3").create_bucket(Bucket=BUCKET)
    sandbox.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for parameter, kind in KEPT.items():
        put = {"Name": parameter, "Value": planted.texts[kind], "Type": "SecureString", "Overwrite": True}
        sandbox.client("ssm").put_parameter(**put)
    told = {"name": "hokusai-api", "environment": {"MLFLOW_TRACKING_TOKEN": planted.texts["mlflow"]}}
    deployed = module("ecs_service", {"cluster": CLUSTER, "service": API, "containers": [told]}, sandbox.environment)
    assert not deployed["failed"], deployed["msg"]
    return planted


def kept_by_aws(sandbox: Sandbox) -> Iterator[tuple[str, str]]:
    """By names, what AWS has to tell, but for the places in which secrets were planted."""
    yield from told_by_logs(sandbox)
    watching = sandbox.client("cloudwatch")
    yield "alarms", str(watching.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=100))
    for each in watching.list_dashboards()["DashboardEntries"]:
        yield each["DashboardName"], str(watching.get_dashboard(DashboardName=each["DashboardName"]))
    yield "metrics", str(watching.get_paginator("list_metrics").paginate().build_full_result())
    yield from told_by_parameters(sandbox)
    ecs = sandbox.client("ecs")
    yield "services", str(ecs.describe_services(cluster=CLUSTER, services=[API], include=["TAGS"]))
    for arn in ecs.get_paginator("list_task_definitions").paginate().build_full_result()["taskDefinitionArns"]:
        yield f"revision {arn.rpartition('/')[2]}", str(ecs.describe_task_definition(taskDefinition=arn))
    yield from told_by_records(sandbox)
    yield "calls", json.dumps(sandbox.calls())


def told_by_logs(sandbox: Sandbox) -> Iterator[tuple[str, str]]:
    logs = sandbox.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        name = group["logGroupName"]
        events = logs.get_paginator("filter_log_events").paginate(logGroupName=name)
        yield name, "\n".join(event["message"] for page in events for event in page["events"])


def told_by_records(sandbox: Sandbox) -> Iterator[tuple[str, str]]:
    s3 = sandbox.client("s3")
    listed = s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET).build_full_result()
    for each in listed["Versions"]:
        told = s3.get_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"])
        yield f"s3://{BUCKET}/{each['Key']}?versionId={each['VersionId']}", told["Body"].read().decode()


def told_by_parameters(sandbox: Sandbox) -> Iterator[tuple[str, str]]:
    ssm = sandbox.client("ssm")
    for each in ssm.get_paginator("describe_parameters").paginate().build_full_result()["Parameters"]:
        if each["Name"] not in KEPT:
            yield each["Name"], str([each, ssm.get_parameter(Name=each["Name"], WithDecryption=True)])
    yield "secrets", str(sandbox.client("secretsmanager").list_secrets())


def leaks(planted: Planted, directory: Path) -> dict[str, set[str]]:
    """The files under a directory that hold a secret, and which."""
    found = {str(file.relative_to(directory)): planted.secrets.found_in_file(file) for file in files(directory)}
    return {name: kinds for name, kinds in found.items() if kinds}
