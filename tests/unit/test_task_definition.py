"""Revisions: nothing is lost, nothing is written twice, and no secret is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import redaction
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import as_data
from ansible_collections.hokusai.platform.plugins.module_utils.task_definition import (
    ContainerChange,
    Revision,
    changed,
)

SECRET = {"name": "SESSION_SECRET", "valueFrom": "/hokusai/development/api/session-secret"}
ARN = "arn:aws:ecs:us-east-1:123456789012:task-definition/hokusai-api-development"


def described(number: int = 3, **container: Any) -> dict[str, Any]:
    """DescribeTaskDefinition's answer, with what AWS adds to it."""
    api = {
        "name": "hokusai-api",
        "image": "hokusai-api:incident",
        "portMappings": [{"containerPort": 8001, "hostPort": 8001, "protocol": "tcp"}],
        "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
        "secrets": [SECRET],
        "essential": True,
        "healthCheck": {"command": ["CMD-SHELL", "true"]},
        "aFieldOfTomorrow": {"kept": True},
        **container,
    }
    return {
        "taskDefinition": {
            "taskDefinitionArn": f"{ARN}:{number}",
            "family": "hokusai-api-development",
            "revision": number,
            "status": "ACTIVE",
            "requiresAttributes": [{"name": "com.amazonaws.ecs.capability.task-iam-role"}],
            "compatibilities": ["EC2", "FARGATE"],
            "registeredAt": "2026-11-01",
            "registeredBy": "arn:aws:iam::123456789012:user/ci",
            "cpu": "512",
            "memory": "1024",
            "networkMode": "awsvpc",
            "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
            "ephemeralStorage": {"sizeInGiB": 30},
            "runtimePlatform": {"cpuArchitecture": "ARM64"},
            "containerDefinitions": [api, {"name": "sidecar", "image": "sidecar:1"}],
        },
        "tags": [{"key": "team", "value": "ml"}],
    }


def revise(change: ContainerChange, **container: Any) -> Revision:
    current = Revision.described(described(**container))
    return current.with_containers(changed(current.containers, {"hokusai-api": change}))


def environment(revision: Revision) -> dict[str, str]:
    return {each["name"]: each["value"] for each in revision.content["containerDefinitions"][0]["environment"]}


def test_a_new_revision_keeps_every_field_that_register_takes() -> None:
    before, after = described()["taskDefinition"], revise(ContainerChange(image="hokusai-api:2026.11.0")).arguments
    assert after["containerDefinitions"][0].pop("image") == "hokusai-api:2026.11.0"
    before["containerDefinitions"][0].pop("image")
    kept = ("cpu", "memory", "networkMode", "executionRoleArn", "ephemeralStorage", "runtimePlatform", "family")
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    assert after["containerDefinitions"] == before["containerDefinitions"]


def test_a_new_revision_takes_nothing_that_only_answers_have() -> None:
    read_only = {"taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt"}
    assert not (read_only | {"registeredBy"}) & revise(ContainerChange(image="x")).arguments.keys()


def test_secrets_survive_a_change_of_the_environment() -> None:
    assert revise(ContainerChange(environment={"A": "9"})).content["containerDefinitions"][0]["secrets"] == [SECRET]


def test_tags_are_kept_and_ours_is_added() -> None:
    assert revise(ContainerChange(image="x")).arguments["tags"] == [
        {"key": "hokusai:managed-by", "value": "hokusai.platform"},
        {"key": "team", "value": "ml"},
    ]


def test_tags_that_only_aws_writes_are_not_registered_and_make_no_difference() -> None:
    """RegisterTaskDefinition refuses them; CloudFormation and CDK leave them on what they make."""
    reserved = [{"key": "aws:cloudformation:stack-name", "value": "api"}, {"key": "AWS:other", "value": "x"}]
    before = described()
    before["tags"] += reserved
    current = Revision.described(before)
    wanted = current.with_containers(changed(current.containers, {"hokusai-api": ContainerChange(image="x")}))
    assert [each["key"] for each in wanted.arguments["tags"]] == ["hokusai:managed-by", "team"]
    registered = described(4, image="x")
    registered["tags"].append({"key": "hokusai:managed-by", "value": "hokusai.platform"})
    assert wanted.same_as(Revision.described(registered))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (ContainerChange(environment={"A": "9"}), {"A": "9", "B": "2"}),
        (ContainerChange(environment={"C": "3"}), {"A": "1", "B": "2", "C": "3"}),
        (ContainerChange(environment={"C": "3"}, replace=True), {"C": "3"}),
        (ContainerChange(environment={}, replace=True), {}),
        (ContainerChange(replace=True), {"A": "1", "B": "2"}),
        (ContainerChange(remove_environment=frozenset({"A", "NOT_THERE"})), {"B": "2"}),
        (ContainerChange(environment={"C": "3"}, remove_environment=frozenset({"A"})), {"B": "2", "C": "3"}),
    ],
)
def test_the_environment_is_merged_replaced_or_removed_from(change: ContainerChange, expected: dict[str, str]) -> None:
    assert environment(revise(change)) == expected


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (ContainerChange(environment={"A": "9"}), "environment A"),
        (ContainerChange(environment={"A": "9"}, remove_environment=frozenset({"B"})), "environment A, B"),
        (ContainerChange(command=("serve", "--port=2")), "command"),
        (ContainerChange(command=()), "command"),
        (ContainerChange(image="x"), "image"),
        (ContainerChange(secrets={"S": "/s"}), "secrets S"),
        (ContainerChange(remove_secrets=frozenset({"SESSION_SECRET"})), "secrets SESSION_SECRET"),
    ],
)
def test_a_change_that_keeps_every_list_as_long_as_it_was_is_still_a_change(
    change: ContainerChange, difference: str
) -> None:
    """ecs_taskdefinition compares lengths: a changed value, command or port registers nothing."""
    current = Revision.described(described(command=["serve", "--port=1"])).containers
    after = changed(current, {"hokusai-api": change})
    assert list(after["hokusai-api"].differences(current["hokusai-api"])) == [difference]


def test_no_change_is_no_change() -> None:
    current = Revision.described(described()).containers
    same = ContainerChange(
        image="hokusai-api:incident", environment={"A": "1"}, secrets={"SESSION_SECRET": SECRET["valueFrom"]}
    )
    assert changed(current, {"hokusai-api": same}) == current


def test_a_revision_that_is_there_already_is_recognised_in_any_order() -> None:
    wanted = revise(ContainerChange(environment={"A": "9"}))
    answer = described(4, environment=[{"name": "A", "value": "9"}, {"name": "B", "value": "2"}], command=[])
    answer["tags"].append({"key": "hokusai:managed-by", "value": "hokusai.platform"})
    assert wanted.same_as(Revision.described(answer))


@pytest.mark.parametrize("difference", [{"environment": []}, {"healthCheck": {}}, {"secrets": []}, {"image": "other"}])
def test_another_revision_is_not_taken_for_ours(difference: dict[str, Any]) -> None:
    changed_environment = [{"name": "A", "value": "9"}, {"name": "B", "value": "2"}]
    answer = described(4, **{"environment": changed_environment, **difference})
    answer["tags"].append({"key": "hokusai:managed-by", "value": "hokusai.platform"})
    assert not revise(ContainerChange(environment={"A": "9"})).same_as(Revision.described(answer))


def test_a_name_that_would_be_both_variable_and_secret_is_refused() -> None:
    for change in (ContainerChange(environment={"SESSION_SECRET": "x"}), ContainerChange(secrets={"A": "/a"})):
        with pytest.raises(BadInput, match="both an environment variable and a secret"):
            revise(change)


def test_a_variable_becomes_a_secret_in_one_go() -> None:
    after = revise(ContainerChange(remove_environment=frozenset({"A"}), secrets={"A": "/a"}))
    assert environment(after) == {"B": "2"}
    assert {"name": "A", "valueFrom": "/a"} in after.content["containerDefinitions"][0]["secrets"]


def test_a_container_that_is_not_there_is_named_with_those_that_are() -> None:
    current = Revision.described(described()).containers
    with pytest.raises(BadInput, match="no container api") as error:
        changed(current, {"api": ContainerChange(image="x")})
    assert "hokusai-api, sidecar" in error.value.remedy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", "hunter2"),
        ("API_KEY", "x"),
        ("GITHUB_TOKEN", "x"),
        ("CLIENT_SECRET", "x"),
        ("GOOGLE_CREDENTIALS", "{}"),
        ("SENTRY_DSN", "https://x.ingest.sentry.io/1"),
        ("database_password", "x"),
        ("BACKEND_STORE_URI", "postgresql://mlflow:hunter2@db:5432/mlflow"),
        ("PROXY", "http://token@proxy:3128"),
        ("UPSTREAM", "https://host/path?api_key=hunter2"),
        ("PLAIN", "hk_" + "live_" + "a" * 32),
        ("PLAIN", "-----BEGIN " + "PRIVATE KEY-----"),
        ("DB_PASS", "x"),
        ("SMTP_PASS", "x"),
        ("REDIS_AUTH", "x"),
        ("BASIC_AUTH", "user:x"),
        ("API_BEARER", "x"),
        ("SLACK_WEBHOOK_URL", "https://example.com/x"),
        ("GITHUB_PAT", "x"),
        ("PLAIN", "gh" + "p_" + "a" * 36),
        ("PLAIN", "github" + "_pat_" + "a" * 22),
        ("PLAIN", "xox" + "b-1-a"),
        ("PLAIN", "https://hooks.slack" + ".com/services/T/B/x"),
        ("PLAIN", "Bearer x"),
        ("UPSTREAM", "https://host/path?a=1&auth=x"),
    ],
)
def test_a_value_that_looks_secret_is_hidden(name: str, value: str) -> None:
    assert redaction.value(name, value) == redaction.HIDDEN


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_SERVER_URL", "http://mlflow.hokusai-development.local:5000"),
        ("HOKUSAI_AUTH_SERVICE_URL", "http://auth.hokusai-development.local:8000"),
        ("AUTH_SERVICE_ID", "platform"),
        ("MLFLOW_PROXY_TIMEOUT", "55"),
        ("PATH", "/usr/bin"),
        ("MLFLOW_SERVER_ALLOWED_HOSTS", "mlflow.hokusai-development.local:5000,10.*"),
    ],
)
def test_a_value_the_incident_was_about_is_shown(name: str, value: str) -> None:
    assert redaction.value(name, value) == value


def test_secrets_of_a_command_are_hidden() -> None:
    command = ["serve", "--db-password", "hunter2", "--token=hunter2", "--port", "1", "postgres://u:hunter2@db"]
    shown = list(redaction.command(command))
    assert shown[:2] == ["serve", "--db-password"]
    assert shown[4:6] == ["--port", "1"]
    assert "hunter2" not in " ".join(shown)


@pytest.mark.parametrize(
    "command",
    [["--pass", "hunter2"], ["sh", "-c", "serve --a=1 --pass hunter2"], ["sh", "-c", "DB_PASS=hunter2 serve"]],
)
def test_a_password_is_hidden_however_it_is_called(command: list[str]) -> None:
    assert "hunter2" not in " ".join(redaction.command(command))


def test_a_line_for_a_shell_without_a_secret_is_shown() -> None:
    command = ["sh", "-c", "exec uvicorn app:app --port=8001"]
    assert list(redaction.command(command)) == command


def test_what_a_result_shows_of_a_container_holds_no_secret_value() -> None:
    values = {"DB_PASSWORD": "hunter2", "A": "1", "INNOCENT": "hunter2"}
    environment = [{"name": name, "value": value} for name, value in values.items()]
    container = Revision.described(described(environment=environment)).containers["hokusai-api"]
    shown = container.shown(["DB_PASSWORD", "A"])
    assert shown["environment"] == {"A": "1", "DB_PASSWORD": redaction.HIDDEN, "INNOCENT": redaction.UNMANAGED}
    assert "hunter2" not in json.dumps(as_data(container))
