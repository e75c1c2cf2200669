"""The command line as a user meets it, with a sandbox and without."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.agent.process import owned_by
from sandbox.environment import Home
from sandbox.images.catalogue import ROOT
from sandbox.tests.conftest import sandbox

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def home(healthy_home: Home) -> Path:
    return healthy_home.path


def test_env_prints_lines_a_shell_can_evaluate(home: Path) -> None:
    printed = sandbox(home, "env").stdout
    shell = f'{printed}\nprintf "%s" "$MLFLOW_TRACKING_URI $NO_PROXY"'
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout == "https://registry.hokus.ai/api/mlflow 127.0.0.1,localhost"


def test_env_takes_the_users_own_account_and_proxies_out_of_the_way(home: Path) -> None:
    own = {
        "AWS_ENDPOINT_URL_ECS": "https://ecs.us-east-1.amazonaws.com",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_PROFILE": "somebody",
        "AWS_SESSION_TOKEN": "token",
        "AWS_REGION": "eu-west-1",
        "AWS_CA_BUNDLE": "/somewhere/ca.pem",
        "AWS_ACCESS_KEY_ID": "somebody's",
        "ALL_PROXY": "http://proxy.test:3128",
        "all_proxy": "http://proxy.test:3128",
        "MLFLOW_TRACKING_USERNAME": "somebody",
        "EDITOR": "ed",
    }
    variables = {**own, "PATH": os.environ["PATH"], "HOKUSAI_SANDBOX_HOME": str(home), "PYTHONPATH": str(ROOT)}
    shell = f'eval "$({shlex.quote(sys.executable)} -m sandbox env)" && env -0'
    done = subprocess.run(["/bin/sh", "-c", shell], env=variables, capture_output=True, text=True, check=True)
    found = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)
    kept = {name: found.get(name) for name in own if name in found}
    assert kept == {"AWS_ACCESS_KEY_ID": "sandbox", "EDITOR": "ed"}
    assert found.items() >= json.loads((home / "env.json").read_text()).items()


def test_env_as_json_is_the_file_and_only_its_owner_may_read_that(home: Path) -> None:
    file = home / "env.json"
    assert json.loads(sandbox(home, "env", "--json").stdout) == json.loads(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_key_is_also_in_a_file_of_its_own_that_only_its_owner_may_read(home: Path) -> None:
    file = home / "api-key"
    assert file.read_text().strip() == json.loads((home / "env.json").read_text())["HOKUSAI_API_KEY"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_credentials_are_also_in_a_file_of_awss_form_that_only_its_owner_may_read(home: Path) -> None:
    file, values = home / "aws-credentials", json.loads((home / "env.json").read_text())
    found = configparser.ConfigParser()
    found.read(file)
    wanted = {name.lower(): values[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    assert dict(found["default"]) == wanted
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_no_key_is_in_the_logs(home: Path) -> None:
    values = json.loads((home / "env.json").read_text())
    logs = sandbox(home, "logs").stdout
    assert logs
    assert values["HOKUSAI_API_KEY"] not in logs
    assert values["HOKUSAI_AUTH_ADMIN_KEY"] not in logs


def test_status_shows_services_tasks_and_targets(home: Path) -> None:
    found = json.loads(sandbox(home, "status", "--json").stdout)
    assert [(one["running"], one["desired"]) for one in found["services"]] == [(1, 1)] * 3
    at_work = [one for one in found["tasks"] if one["status"] == "RUNNING"]  # stopped ones are shown for an hour
    assert {one["service"] for one in at_work} == {one["name"] for one in found["services"]}
    assert len(at_work) == 3
    printed = sandbox(home, "status").stdout
    assert found["endpoint"] in printed
    assert "targets hokusai-reg-api-development: " in printed


def test_calls_counts_what_clients_do_until_reset(home: Path) -> None:
    sandbox(home, "calls", "--reset")
    environ = {**os.environ, **json.loads((home / "env.json").read_text())}
    script = "import boto3; boto3.client('ecs').list_clusters()"
    subprocess.run([sys.executable, "-c", script], env=environ, check=True)
    assert json.loads(sandbox(home, "calls", "--json").stdout) == {
        "reads": 1,
        "writes": 0,
        "actions": {"ecs:ListClusters": 1},
    }
    sandbox(home, "calls", "--reset")
    assert sandbox(home, "calls").stdout.startswith("0 reads, 0 writes")


def test_logs_prints_one_service_by_its_short_name(home: Path) -> None:
    printed = sandbox(home, "logs", "mlflow").stdout
    assert "Uvicorn running" in printed or '"GET /health HTTP/1.1" 200' in printed  # the last lines: it may be long ago
    unknown = sandbox(home, "logs", "nobody")
    assert unknown.returncode == 2
    assert "no log is called nobody; there is" in unknown.stderr


def test_a_second_up_is_refused_and_names_the_first(home: Path) -> None:
    done = sandbox(home, "up")
    assert done.returncode == 1
    assert f"pid {(home / 'daemon.pid').read_text()}" in done.stderr
    assert sandbox(home, "status").returncode == 0


@pytest.mark.parametrize("verb", ["status", "env", "calls"])
def test_without_a_sandbox_a_verb_says_how_to_get_one(tmp_path: Path, verb: str) -> None:
    done = sandbox(tmp_path / "none", verb)
    assert done.returncode == 2
    assert "start one with `python -m sandbox up`" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "state"
    home.mkdir()
    Home(home).marker.touch()
    (home / "data").write_text("in the way")
    done = sandbox(home, "up")
    assert done.returncode == 1
    assert "the sandbox did not start" in done.stderr
    assert "in the way" not in done.stderr
    assert str(home / "data") in done.stderr
    assert not (home / "env.json").exists()
    assert Home(home).marker.read_text() == ""


def test_down_finds_a_daemon_that_is_still_starting(tmp_path: Path) -> None:
    home = tmp_path / "state"
    with ThreadPoolExecutor() as background:
        start = background.submit(sandbox, home, "up")
        marker, deadline = Home(home).marker, time.monotonic() + 10
        while not (marker.exists() and (owner := marker.read_text())):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert sandbox(home, "down").stdout == "The sandbox is down.\n"
        assert list(owned_by(owner)) == []
        assert start.result().returncode == 1
    assert list(owned_by(owner)) == []


def test_a_state_directory_that_cannot_be_is_a_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = sandbox(tmp_path / "file" / "state", "up")
    assert done.returncode == 2
    assert done.stderr.startswith("sandbox: ")
    assert "Traceback" not in done.stderr
