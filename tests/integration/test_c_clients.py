"""Ordinary clients reach the repaired platform by its public names, with nothing but environment variables set."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Sandbox, module, run

REGISTRY = "https://registry.hokus.ai"
SEARCH = f"{REGISTRY}/api/mlflow/api/2.0/mlflow/experiments/search?max_results=1"
AUTH = "https://auth.hokus.ai"
CLUSTER = "hokusai-development"
REMEMBERED_SECONDS = 40
"""A little more than the gateway remembers a good key for."""

USE_MLFLOW = """
import mlflow, uuid
client = mlflow.MlflowClient()
experiment = client.create_experiment(uuid.uuid4().hex)
run = client.create_run(experiment)
client.log_metric(run.info.run_id, "loss", 0.25)
client.log_text(run.info.run_id, "through the proxy", "note.txt")
loss = client.get_run(run.info.run_id).data.metrics["loss"]
print(loss, mlflow.artifacts.load_text(run.info.artifact_uri + "/note.txt"))
client.delete_experiment(experiment)
"""


@pytest.fixture
def minted(repaired: Sandbox, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A platform key of the test's own, and its id."""
    made = module(
        "api_key",
        {
            "action": "mint",
            "auth_url": AUTH,
            "admin_source": {"environment": "HOKUSAI_AUTH_ADMIN_KEY"},
            "name": "integration test",
            "store": {"file": str(tmp_path / "key")},
        },
        repaired.environment,
    )
    key = (tmp_path / "key").read_text().strip()
    assert key not in str(made)
    yield key, made["key_id"]
    revoke(repaired, made["key_id"])


def revoke(sandbox: Sandbox, key_id: str) -> None:
    options = {
        "action": "revoke",
        "auth_url": AUTH,
        "admin_source": {"environment": "HOKUSAI_AUTH_ADMIN_KEY"},
        "key_id": key_id,
    }
    assert not module("api_key", options, sandbox.environment)["failed"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_searches_experiments_through_the_proxy(repaired: Sandbox) -> None:
    key = repaired.environment["HOKUSAI_API_KEY"]
    command = ["curl", "--silent", "--show-error", "--fail", "--header", f"Authorization: Bearer {key}", SEARCH]
    assert '"experiments"' in run(command, repaired.environment).wanted().output


@pytest.mark.parametrize("uri", [f"{REGISTRY}/api/mlflow", REGISTRY])
def test_the_unmodified_mlflow_client_logs_a_run_and_an_artifact(repaired: Sandbox, uri: str, tmp_path: Path) -> None:
    ended = run([sys.executable, "-c", USE_MLFLOW], repaired.environment | {"MLFLOW_TRACKING_URI": uri}, tmp_path)
    assert ended.wanted().output.strip().endswith("0.25 through the proxy")


@pytest.mark.parametrize("url", [SEARCH, f"{REGISTRY}/api/mlflow", f"{REGISTRY}/api/2.0/mlflow/experiments/search"])
def test_without_a_key_the_answer_is_401(repaired: Sandbox, url: str) -> None:
    answer = repaired.ask(url)
    assert answer.status_code == 401
    assert {"error_code", "message"} <= set(answer.json())


def test_a_key_that_was_never_issued_is_refused(repaired: Sandbox) -> None:
    assert repaired.ask(SEARCH, "hk_test_" + "x" * 32).status_code == 401


def test_a_minted_key_works_and_once_revoked_is_refused(repaired: Sandbox, minted: tuple[str, str]) -> None:
    key, key_id = minted
    assert repaired.ask(SEARCH, key).status_code == 200
    revoke(repaired, key_id)
    deadline = time.monotonic() + REMEMBERED_SECONDS
    while (status := repaired.ask(SEARCH, key).status_code) == 200 and time.monotonic() < deadline:
        time.sleep(1)
    assert status == 401


def test_a_key_revoked_before_it_was_used_is_refused_at_once(repaired: Sandbox, minted: tuple[str, str]) -> None:
    key, key_id = minted
    revoke(repaired, key_id)
    assert repaired.ask(SEARCH, key).status_code == 401


class TestWithTheAuthServiceStopped:
    @pytest.fixture(autouse=True)
    def without_auth(self, repaired: Sandbox, minted: tuple[str, str]) -> Iterator[None]:
        """Its load balancer knows no target before the task has ended, which the API asks by another way."""
        ecs, auth = repaired.client("ecs"), "hokusai-auth-development"
        tasks = ecs.list_tasks(cluster=CLUSTER, serviceName=auth)["taskArns"]

        def have_ended() -> bool:
            found = ecs.describe_tasks(cluster=CLUSTER, tasks=tasks)["tasks"]
            return all(each["lastStatus"] == "STOPPED" for each in found)

        ecs.update_service(cluster=CLUSTER, service=auth, desiredCount=0)
        assert eventually(have_ended)
        assert eventually(lambda: repaired.ask(f"{AUTH}/health").status_code == 503)
        yield
        ecs.update_service(cluster=CLUSTER, service=auth, desiredCount=1)
        assert eventually(lambda: repaired.ask(f"{AUTH}/health").status_code == 200)

    def test_a_key_nobody_can_check_is_answered_503_and_when_to_ask_again(
        self, repaired: Sandbox, minted: tuple[str, str]
    ) -> None:
        answer = repaired.ask(SEARCH, minted[0])
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "error_code" in answer.json()


def eventually(true: object, seconds: float = 60) -> bool:
    """Whether the callable `true` says so within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if callable(true) and true():
            return True
        time.sleep(0.5)
    return False
