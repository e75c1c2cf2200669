"""A model is registered through a real MLflow, and nothing of it is left, whatever happens on the way."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.scripts import FILES, REGISTRATION, Ran, call, environment
from tests.unit.web import Reply, Seen, Web, make_key, serving, traces

ALB_HEADERS = {"Server": "awselb/2.0", "Content-Type": "text/html"}
ALB_503, ALB_504 = (Reply(code, "<html>by the ALB</html>", ALB_HEADERS) for code in (503, 504))


@dataclass(frozen=True)
class Mlflow:
    """A running MLflow, and where it keeps artifacts."""

    url: str
    artifacts: Path

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    @property
    def left(self) -> list[str]:
        """What a client can still find, files included."""
        experiments = self.ask("experiments/search", {"max_results": 1000}).get("experiments", [])
        with urllib.request.urlopen(f"{self.url}/api/2.0/mlflow/registered-models/search", timeout=20) as response:
            models = json.load(response).get("registered_models", [])
        files = [str(path) for path in self.artifacts.rglob("*") if path.is_file()]
        return [item["name"] for item in experiments + models if item["name"] != "Default"] + files


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """One real server for all tests; it takes some eight seconds to start."""
    home = tmp_path_factory.mktemp("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--workers", "1", "--serve-artifacts", "--artifacts-destination", str(home / "artifacts")]
    options += ["--backend-store-uri", f"sqlite:///{home}/mlflow.db"]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), *options],
        cwd=home,
        env=environment(None, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_DISABLE_TELEMETRY="true"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await_health(f"http://127.0.0.1:{port}/health")
        yield Mlflow(f"http://127.0.0.1:{port}", home / "artifacts")
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def await_health(url: str) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as response:
            assert response.status == 200
            return
        time.sleep(0.1)
    pytest.fail("MLflow did not start within a minute")


Meddle = Callable[[Seen], Reply | Seen | None]


@pytest.fixture
def before_mlflow(mlflow: Mlflow) -> Iterator[Callable[[Meddle], str]]:
    """A relay to MLflow that a test may meddle with: answer itself, change the request, or (None) let it pass."""
    with contextlib.ExitStack() as stack:

        def start(meddle: Meddle) -> str:
            def respond(seen: Seen) -> Reply:
                other = meddle(seen)
                return other if isinstance(other, Reply) else relay(mlflow.url, other or seen)

            web: Web = stack.enter_context(serving(respond))
            return web.url

        yield start


def relay(base: str, seen: Seen) -> Reply:
    headers = {name: value for name, value in seen.headers.items() if name in {"content-type", "authorization"}}
    body = seen.body.encode() if seen.body or seen.method in {"POST", "PUT", "PATCH"} else None
    request = urllib.request.Request(base + seen.path, body, headers, method=seen.method)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return Reply(response.status, response.read().decode(), {"Content-Type": response.headers["Content-Type"]})
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.read().decode(), {"Content-Type": error.headers["Content-Type"]})


def register(uri: str, *arguments: str) -> Ran:
    key = make_key()
    ran = call(REGISTRATION, "--tracking-uri", uri, *arguments, key=key)
    assert not traces(ran.text, key)
    return ran


def test_a_registration_goes_all_the_way_and_leaves_nothing(mlflow: Mlflow) -> None:
    ran = register(mlflow.url)
    assert (ran.code, ran.failing) == (0, [])
    assert [check["name"] for check in ran.report["checks"]] == [
        "search",
        "create_experiment",
        "log_run",
        "read_run_back",
        "log_model",
        "register_version",
        "set_alias",
        "load_by_alias_and_predict",
        "remove_everything",
        "registered",
    ]
    assert ran.detail("registered").startswith("mlflow: hokusai-verification-")
    assert ran.detail("registered").endswith(" version 1")
    assert "= [4.0, 8.5, -11.0]" in ran.detail("load_by_alias_and_predict")
    assert mlflow.left == []


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("/registered-models/alias", "set_alias"),
        ("/runs/log-batch", "log_run"),
    ],
)
def test_a_registration_that_fails_half_way_leaves_nothing(
    mlflow: Mlflow, before_mlflow: Callable[[Meddle], str], path: str, step: str
) -> None:
    refusal = Reply(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "meddled with"})
    ran = register(before_mlflow(lambda seen: refusal if seen.path.endswith(path) and seen.method == "POST" else None))
    assert (ran.code, ran.failing[0]) == (1, step)
    assert "meddled with" in ran.report["diagnosis"]
    assert mlflow.left == []


def test_what_was_made_by_a_call_whose_answer_was_lost_is_removed(
    mlflow: Mlflow, before_mlflow: Callable[[Meddle], str]
) -> None:
    def lose(seen: Seen) -> Reply | None:
        if not seen.path.endswith("/experiments/create"):
            return None
        relay(mlflow.url, seen)
        return Reply(400, {"error_code": "BAD_REQUEST", "message": "lost"})

    ran = register(before_mlflow(lose))
    assert (ran.code, ran.failing[0]) == (1, "create_experiment")
    assert mlflow.left == []


def test_a_model_that_predicts_something_else_fails(mlflow: Mlflow, before_mlflow: Callable[[Meddle], str]) -> None:
    def tamper(seen: Seen) -> Seen | None:
        if seen.method != "PUT" or "3.0 * x" not in seen.body:
            return None
        return Seen(seen.method, seen.path, seen.headers, seen.body.replace("3.0 * x", "2.0 * x"))

    ran = register(before_mlflow(tamper))
    assert (ran.code, ran.failing) == (1, ["load_by_alias_and_predict"])
    assert "prediction" in ran.report["diagnosis"]
    assert mlflow.left == []


def test_no_program_that_the_client_starts_inherits_the_key(mlflow: Mlflow, tmp_path: Path) -> None:
    """Each of these tells its environment, and then does what it is asked."""
    key, seen, file = make_key(), tmp_path / "seen", tmp_path / "key"
    file.write_text(key)
    (tmp_path / "bin").mkdir()
    for name in ("git", "uname", "python", "pip", "sh"):
        real = shutil.which(name) or "/bin/false"
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\n{{ echo {name}; env; }} >> "{seen}"\nexec "{real}" "$@"\n')
        program.chmod(0o700)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    ran = call(REGISTRATION, "--tracking-uri", mlflow.url, "--api-key-file", str(file), key=None, PATH=path)
    assert ran.code == 0
    told = seen.read_text() if seen.exists() else ""
    assert key not in told
    assert "git" not in told.splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_registration_that_is_interrupted_leaves_nothing(
    mlflow: Mlflow, before_mlflow: Callable[[Meddle], str], number: signal.Signals
) -> None:
    reached = threading.Event()

    def hold(seen: Seen) -> Reply | None:
        if seen.path.endswith("/registered-models/alias") and seen.method == "POST":
            reached.set()
            time.sleep(0.5)
        return None

    key = make_key()
    running = subprocess.Popen(
        [sys.executable, str(FILES / REGISTRATION), "--json", "--tracking-uri", before_mlflow(hold)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(key),
    )
    assert reached.wait(60)
    running.send_signal(number)
    printed = "".join(running.communicate(timeout=60))
    assert running.returncode == 2
    assert f"interrupted by {number.name}" in printed
    assert not traces(printed, key)
    assert mlflow.left == []


def test_what_cannot_be_removed_is_a_failure_that_names_it(
    mlflow: Mlflow, before_mlflow: Callable[[Meddle], str]
) -> None:
    refusal = Reply(403, {"error_code": "PERMISSION_DENIED", "message": "no deletions here"})
    ran = register(before_mlflow(lambda seen: refusal if seen.path.endswith("/registered-models/delete") else None))
    assert (ran.code, ran.failing) == (1, ["remove_everything"])
    assert "no deletions here" in ran.report["diagnosis"]
    name = ran.detail("registered").split()[1]
    assert name in mlflow.left
    request = urllib.request.Request(
        f"{mlflow.url}/api/2.0/mlflow/registered-models/delete",
        json.dumps({"name": name}).encode(),
        {"Content-Type": "application/json"},
        method="DELETE",
    )
    urllib.request.urlopen(request, timeout=20).close()
    experiment = mlflow.ask("experiments/search", {"max_results": 10, "filter": f"name = '{name}'"})["experiments"][0]
    mlflow.ask("experiments/delete", {"experiment_id": experiment["experiment_id"]})


def test_a_path_that_is_broken_from_the_start_is_diagnosed_without_the_client(
    before_mlflow: Callable[[Meddle], str],
) -> None:
    started = time.monotonic()
    ran = register(before_mlflow(lambda _seen: ALB_503))
    assert (ran.code, ran.failing) == (1, ["search"])
    assert "no registered targets" in ran.report["diagnosis"]
    assert time.monotonic() - started < 5


def test_a_path_that_hangs_half_way_ends_soon_and_is_diagnosed(
    mlflow: Mlflow, before_mlflow: Callable[[Meddle], str]
) -> None:
    created = threading.Event()

    def hang(seen: Seen) -> Reply | None:
        if created.is_set():
            time.sleep(3)
            return ALB_504
        if seen.path.endswith("/experiments/create"):
            created.set()
        return None

    started = time.monotonic()
    ran = register(before_mlflow(hang), "--timeout", "1")
    assert ran.code == 1
    assert "did not answer within" in ran.report["diagnosis"]
    assert time.monotonic() - started < 40
    for experiment in mlflow.ask("experiments/search", {"max_results": 10})["experiments"]:
        if experiment["name"] != "Default":
            mlflow.ask("experiments/delete", {"experiment_id": experiment["experiment_id"]})


@pytest.mark.parametrize("package", ["mlflow", "pandas"])
def test_a_missing_package_cannot_run_and_says_what_to_install(mlflow: Mlflow, tmp_path: Path, package: str) -> None:
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('no', name='{package}')\n")
    ran = call(REGISTRATION, "--tracking-uri", mlflow.url, key=make_key(), PYTHONPATH=str(tmp_path))
    assert ran.code == 2
    assert f"{package} is missing. Remedy: python -m pip install mlflow-skinny pandas" in ran.report["diagnosis"]


def test_requests_missing_cannot_run_and_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "requests.py").write_text("raise ModuleNotFoundError('no', name='requests')\n")
    ran = call("test_health_endpoints.py", key=None, PYTHONPATH=str(tmp_path))
    assert ran.code == 2
    assert ran.report["script"] == "test_health_endpoints.py"
    assert "python -m pip install requests" in ran.report["diagnosis"]
