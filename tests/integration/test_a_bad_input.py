"""Bad input ends with an error that names the thing and the remedy, before the first write; here on the incident."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import Run, Sandbox, module, play

DEVELOPMENT = "inventories/development"


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
