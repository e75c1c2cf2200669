"""The image and its task definition, read: neither Docker nor ECS is at hand where these tests run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from gateway.config import load
from gateway.healthcheck import check
from gateway.tests.process import ROOT, GatewayProcess

IMAGE = Path(ROOT, "gateway")
PIN = re.compile(r"([A-Za-z0-9_.-]+)==([0-9][0-9A-Za-z.]*)")


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", IMAGE.joinpath("Dockerfile").read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, rest in lines]


def last(word: str) -> str:
    return [rest for found, rest in instructions() if found == word][-1]


def pins(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    found = [PIN.fullmatch(line) for line in lines]
    assert None not in found, lines
    return {match[1].lower().replace("_", "-"): match[2] for match in found if match}


@pytest.fixture
def task() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(IMAGE.joinpath("task-definition.json").read_text())
    return found


@pytest.fixture
def container(task: dict[str, Any]) -> dict[str, Any]:
    (found,) = task["containerDefinitions"]
    return dict(found)


def test_every_stage_has_a_base_of_one_exact_version() -> None:
    bases = [shlex.split(rest)[0] for word, rest in instructions() if word == "FROM"]

    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", bases[0])


def test_it_runs_as_nobody_in_particular_and_is_told_to_stop_by_sigterm() -> None:
    user, group = last("USER").split(":")
    words = [word for word, _ in instructions()]

    assert int(user) >= 10_000
    assert int(group) >= 10_000
    assert "RUN" not in words[words.index("USER") :], "what is run after USER could not write"
    assert last("STOPSIGNAL") == "SIGTERM"
    assert json.loads(last("ENTRYPOINT")) == ["python", "-m", "gateway"]


def test_no_tool_that_builds_or_installs_is_left() -> None:
    stage = [rest for word, rest in instructions() if word in {"FROM", "RUN"}]
    final = stage[max(at for at, rest in enumerate(stage) if rest.startswith("python:")) :]

    assert any("pip uninstall" in rest for rest in final)
    assert not any("install " in rest and "uninstall" not in rest for rest in final)
    assert not any("apt-get" in rest for rest in stage)


def test_everything_that_is_copied_exists_and_is_let_into_the_build() -> None:
    allowed = [
        line[1:] for line in IMAGE.joinpath("Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    sources = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and not rest.startswith("--from")]

    assert sorted(source for copied in sources for source in copied) == sorted(allowed)
    assert all(list(Path(ROOT).glob(pattern)) for pattern in allowed)


def test_the_requirements_are_those_of_the_tests_and_all_that_is_needed() -> None:
    image, tests = pins(IMAGE / "requirements.txt"), pins(Path(ROOT, "requirements-dev.txt"))
    project = IMAGE.joinpath("pyproject.toml").read_text().partition("dependencies = [")[2].partition("]")[0]
    direct = re.findall(r'"([a-z0-9-]+)[<>=]', project)

    assert {name: tests.get(name) for name in image} == image
    assert set(direct) <= set(image)


def test_the_health_check_is_run_by_python_and_asks_this_container(gateway: GatewayProcess) -> None:
    words = last("HEALTHCHECK").partition("CMD ")[2]

    assert json.loads(words) == ["python", "-m", "gateway.healthcheck"]
    assert check({"GATEWAY_PORT": str(gateway.port), "GATEWAY_HOST": "0.0.0.0"}) == 0


def test_the_health_check_fails_where_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert check({"GATEWAY_PORT": "1"}) == 1
    assert "no answer from 127.0.0.1" in capsys.readouterr().err


def test_ecs_takes_the_task_definition(task: dict[str, Any]) -> None:
    """As far as botocore's model of RegisterTaskDefinition tells."""
    client = boto3.client("ecs", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    with Stubber(client) as stubber:
        stubber.add_response("register_task_definition", {}, dict.fromkeys(task, ANY))
        client.register_task_definition(**task)

    known = client.meta.service_model.operation_model("RegisterTaskDefinition").input_shape.members
    assert set(task) <= set(known)


def test_the_container_may_write_nothing_and_has_the_time_it_needs(container: dict[str, Any]) -> None:
    environment = {each["name"]: each["value"] for each in container["environment"]}
    config = load(environment)

    assert container["readonlyRootFilesystem"] is True
    assert container["user"] == last("USER")
    assert container["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
    assert container["stopTimeout"] == config.stop_timeout > config.drain_timeout
    assert [each["containerPort"] for each in container["portMappings"]] == [config.port] == [int(last("EXPOSE"))]
    assert container["healthCheck"]["command"][1:] == json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert container["ulimits"][0]["softLimit"] > 2 * config.max_clients + 2 * config.max_connections


def test_no_secret_is_in_the_environment(container: dict[str, Any]) -> None:
    secret = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY$", re.IGNORECASE)

    assert not any(secret.search(each["name"]) for each in container["environment"])
    assert all(each["valueFrom"].startswith("arn:aws:ssm:us-east-1:123456789012:") for each in container["secrets"])
    assert container["logConfiguration"]["logDriver"] == "awslogs"
