"""Bad input ends with an error that names the thing and the remedy, before the first write; here on the incident."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Run, Sandbox, inventory, module, play, run

DEVELOPMENT = "inventories/development"
UNKNOWN = "hk_dev_" + "Qx7" * 10 + "Zz"
"""A key of the right form that nobody was given."""


@pytest.fixture(autouse=True)
def writes_nothing(sandbox: Sandbox) -> Iterator[None]:
    sandbox.forget_calls()
    yield
    assert sandbox.calls()["writes"] == 0


def refused(ended: Run, *words: str) -> None:
    """The run failed, and each of `words` is in what it said."""
    assert ended.code != 0, ended.output
    text = " ".join(ended.output.split())
    assert not [word for word in words if word not in text], ended.output


def without(sandbox: Sandbox, *prefixes: str) -> dict[str, str]:
    return {name: value for name, value in sandbox.environment.items() if not name.startswith(prefixes)}


def test_without_credentials_the_first_task_says_what_to_set(sandbox: Sandbox) -> None:
    given = without(sandbox, "AWS_ACCESS_KEY", "AWS_SECRET") | {"AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    refused(play("playbooks/site.yml", inventory=DEVELOPMENT, extra=given), "no AWS credentials", "AWS_ACCESS_KEY_ID")


def test_the_wrong_region_is_named_with_what_was_looked_for_there(sandbox: Sandbox) -> None:
    ended = play(
        "playbooks/site.yml", "-e", "hokusai_region=eu-west-1", inventory=DEVELOPMENT, extra=sandbox.environment
    )
    refused(ended, "eu-west-1", "hokusai-development")


def test_an_unknown_cluster_is_named(sandbox: Sandbox) -> None:
    options = {"cluster": "nowhere", "service": "hokusai-api-development", "desired_count": 1}
    result = module("ecs_service", options, sandbox.environment)
    assert result["failed"]
    assert "nowhere" in result["msg"]
    assert result["remedy"]


def test_an_unknown_cluster_stops_the_playbook_before_its_first_write(sandbox: Sandbox) -> None:
    ended = play(
        "playbooks/site.yml", "-e", "hokusai_cluster=nowhere", inventory=DEVELOPMENT, extra=sandbox.environment
    )
    refused(ended, "nowhere")


def test_a_rule_set_over_the_quota_is_refused_with_the_quota(sandbox: Sandbox) -> None:
    action = {"type": "forward", "target_group": "hokusai-reg-api-development"}
    rules = [{"name": f"r{n}", "priority": 1000 + n, "paths": [f"/r{n}"], "action": action} for n in range(1, 102)]
    options = {"load_balancer": "hokusai-registry-development", "port": 443, "rules": rules}
    result = module("alb_rules", options, sandbox.environment)
    assert result["failed"]
    assert "100" in result["msg"]
    assert result["remedy"]


def test_an_unknown_option_is_named(sandbox: Sandbox) -> None:
    result = module("cloudmap_namespace", {"name": "x.local", "vcp": "hokusai-development"}, sandbox.environment)
    assert result["failed"]
    assert "vcp" in result["msg"]


def test_a_key_that_is_no_key_is_refused_without_being_shown(sandbox: Sandbox) -> None:
    given = sandbox.environment | {"NOT_A_KEY": "certainly-not-a-platform-key"}
    options = {"action": "validate", "auth_url": "https://auth.hokus.ai", "source": {"environment": "NOT_A_KEY"}}
    result = module("api_key", options, given)
    assert result["failed"] or not result["is_valid"]
    assert "NOT_A_KEY" in str(result.get("msg", result))
    assert "certainly-not-a-platform-key" not in str(result)


def site(sandbox: Sandbox, variables: Mapping[str, Any], *arguments: str, **given: str) -> Run:
    return play(
        "playbooks/site.yml",
        *arguments,
        "-e",
        json.dumps(variables),
        inventory=DEVELOPMENT,
        extra=sandbox.environment | given,
    )


def test_a_key_that_is_nowhere_stops_the_playbook_before_its_first_write(sandbox: Sandbox) -> None:
    ended = site(sandbox, {"hokusai_api_key": {"environment": "NOPE"}})
    refused(ended, "The environment variable NOPE is not set", "Remedy: export NOPE")


def test_a_key_that_is_no_key_stops_the_playbook_before_its_first_write(sandbox: Sandbox) -> None:
    given = {"hokusai_api_key": {"environment": "NOT_A_KEY"}}
    ended = site(sandbox, given, NOT_A_KEY="certainly-not-a-platform-key")
    refused(ended, "environment variable NOT_A_KEY holds is not a platform key", "Remedy: give a platform key")
    assert "certainly" not in ended.output


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"environment": UNKNOWN}, "The key itself stands in `environment`"),
        ({"valeu": UNKNOWN}, "hokusai_api_key.valeu. Supported parameters include"),
        (UNKNOWN, "'hokusai_api_key' is of type str"),
    ],
    ids=["under another option", "under an option misspelt", "bare"],
)
def test_a_key_in_the_wrong_place_is_not_shown(sandbox: Sandbox, tmp_path: Path, source: Any, words: str) -> None:
    variables = tmp_path / "variables.json"
    variables.write_text(json.dumps({"hokusai_api_key": source}))
    ended = site(sandbox, {}, "-vvv", "-e", f"@{variables}")
    refused(ended, words)
    assert UNKNOWN not in ended.output


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"hokusai_hosts": {"registry": "r", "api": "a"}}, ["missing required arguments: auth", "hokusai_hosts"]),
        ({"verification_scripts": ["nope.py"]}, ["nope.py", "test_health_endpoints.py", "Remedy"]),
        ({"hokusai_target_groups": [{"nmae": "x"}]}, ["hokusai_target_groups.nmae", "name"]),
        ({"hokusai_services": {}}, ["the service api", "Remedy: add api"]),
        ({"hokusai_region": "nowhere"}, ["hokusai_region", "us-east-1", "Remedy"]),
        ({"hokusai_environment": "A=B"}, ["hokusai_environment must be a dictionary", "Remedy"]),
        (
            {"hokusai_environment": {"AWS_SECRET_ACCESS_KEY": "x", "N": 1}},
            ["sets AWS_SECRET_ACCESS_KEY, which", "Remedy"],
        ),
        (
            {"hokusai_environment": {"HTTPS_PROXY": "http://u:p@proxy:3128", "AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}},
            ["sets HTTPS_PROXY, which", "Remedy: export it in the shell"],
        ),
        ({"hokusai_assume_role_arn": "admin"}, ["hokusai_assume_role_arn", "Remedy"]),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_a_variable_that_is_wrong_stops_the_playbook_before_its_first_write(
    sandbox: Sandbox, variables: dict[str, Any], words: list[str]
) -> None:
    refused(site(sandbox, variables), *words)


def role(sandbox: Sandbox, name: str, variables: Mapping[str, Any]) -> Run:
    """A role by itself; `site.yml` plans each before its first write."""
    command = ["ansible", "hokusai_platforms", "-i", DEVELOPMENT, "-m", "ansible.builtin.include_role"]
    return run([*command, "-a", f"name=hokusai.platform.{name}", "-e", json.dumps(variables)], sandbox.environment)


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("auth_config", {"hokusai_settings": [{"service": "nope"}]}),
        ("service_discovery", {"hokusai_discovery": [{"service": "nope", "name": "n", "ttl": 1}]}),
    ],
)
def test_a_service_that_is_not_described_is_named_with_those_that_are(
    sandbox: Sandbox, name: str, variables: dict[str, Any]
) -> None:
    refused(role(sandbox, name, variables), "names the service nope", "api, auth, mlflow", "Remedy: correct the name")


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("auth_config", {"name": "hokusai-mlflow-development"}, ["of the service mlflow", "Remedy: add name"]),
        (
            "service_discovery",
            {"name": "n", "container": "c", "minimum_cuont": 1},
            ["mlflow", "minimum_cuont. Supported parameters"],
        ),
    ],
)
def test_a_service_that_is_described_wrongly_is_named(
    sandbox: Sandbox, name: str, wrong: dict[str, Any], words: list[str]
) -> None:
    services = inventory("development")["hokusai_services"] | {"mlflow": wrong}
    refused(role(sandbox, name, {"hokusai_services": services}), *words)


@pytest.mark.parametrize(
    ("playbook", "task"),
    [
        ("site", "Deploy the services' settings"),
        ("canary", "Start the canary, go on with it, or take it back"),
    ],
)
def test_a_task_in_the_middle_does_not_write_without_a_run(sandbox: Sandbox, playbook: str, task: str) -> None:
    arguments = ("--start-at-task", task, "-e", "canary_image=registry.test/api:1")
    ended = play(f"playbooks/{playbook}.yml", *arguments, inventory=DEVELOPMENT, extra=sandbox.environment)
    refused(ended, "No run is open. Remedy: begin with the first task")


def test_the_playbook_without_a_platform_says_so(sandbox: Sandbox) -> None:
    refused(play("playbooks/site.yml", inventory="localhost,", extra=sandbox.environment), "hokusai_platforms")


class TestTwoNamespacesOfOneName:
    @pytest.fixture(autouse=True)
    def another_namespace(self, sandbox: Sandbox) -> Iterator[str]:
        """Made and removed around the test, outside of what `writes_nothing` counts."""
        discovery, ec2 = sandbox.client("servicediscovery"), sandbox.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        operation = discovery.create_private_dns_namespace(Name="hokusai-development.local", Vpc=vpc)["OperationId"]
        made = discovery.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
        sandbox.forget_calls()
        yield made
        assert sandbox.calls()["writes"] == 0
        discovery.delete_namespace(Id=made)
        sandbox.forget_calls()

    def test_both_are_listed_when_nothing_tells_them_apart(self, sandbox: Sandbox, another_namespace: str) -> None:
        options = {
            "name": "mlflow",
            "namespace": "hokusai-development.local",
            "dns_records": [{"type": "A", "ttl": 10}],
        }
        result = module("cloudmap_service", options, sandbox.environment)
        assert result["failed"]
        assert another_namespace in result["msg"]
        assert result["msg"].count("ns-") >= 2
        assert "vpc" in result["remedy"]
