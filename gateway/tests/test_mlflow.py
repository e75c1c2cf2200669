"""The unmodified MLflow client against a real MLflow server, through the gateway."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.process import GatewayProcess, new_key, running_gateway
from gateway.tests.socks import SocksServer

ALLOWED_HOSTS = "localhost:*,127.0.0.1:*"


@pytest.fixture(scope="module")
def mlflow_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving(tmp_path_factory.mktemp("mlflow")) as port:
        yield port


@contextlib.contextmanager
def serving(home: Path, prefix: str = "") -> Iterator[int]:
    """An MLflow server's port. One worker and no job consumers: it starts in about 8 s instead of 16."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"sqlite:///{home}/mlflow.db",
        "--artifacts-destination",
        str(home / "artifacts"),
    ]
    command += ["--static-prefix", prefix] if prefix else []
    env = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": ALLOWED_HOSTS,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    log = (home / "log").open("w")
    server = subprocess.Popen(command, cwd=home, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}{prefix}/health", server, home / "log")
        yield port
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # its state is thrown away; a shutdown takes another second
        server.wait(20)
        log.close()


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def real(shared_auth: AuthStandIn, mlflow_port: int) -> Iterator[GatewayProcess]:
    with running_gateway(**settings(shared_auth, f"http://127.0.0.1:{mlflow_port}")) as gateway:
        yield gateway


@pytest.mark.parametrize("mount", ["/api/mlflow", ""], ids=["mounted", "bare root"])
def test_a_model_is_registered_and_its_artifact_comes_back(
    real: GatewayProcess, auth: AuthStandIn, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mount: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", keys()["Authorization"].removeprefix("Bearer "))
    client = mlflow.MlflowClient(tracking_uri=real.url + mount, registry_uri=real.url + mount)
    name = f"näme; & co = {mount.strip('/').replace('/', '-')}"
    (tmp_path / "a=b & c%2F,é.txt").write_text("artifact")

    experiment = client.create_experiment(name)
    run = client.create_run(experiment)
    client.log_param(run.info.run_id, "p", "1")
    client.log_metric(run.info.run_id, "m", 0.5)
    client.log_artifact(run.info.run_id, str(tmp_path / "a=b & c%2F,é.txt"), "models x")
    client.create_registered_model(name)
    version = client.create_model_version(name, f"{run.info.artifact_uri}/models x", run.info.run_id)
    client.set_registered_model_alias(name, "champion", version.version)
    found = client.search_runs([experiment], "metrics.m > 0.1")
    copy = client.download_artifacts(run.info.run_id, "models x/a=b & c%2F,é.txt", str(tmp_path / "copy"))

    assert [(one.data.params, one.data.metrics) for one in found] == [({"p": "1"}, {"m": 0.5})]
    assert Path(copy).read_text() == "artifact"
    assert client.get_model_version_by_alias(name, "champion").version == version.version


def test_the_client_prints_our_refusal(
    real: GatewayProcess, auth: AuthStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", new_key())
    client = mlflow.MlflowClient(tracking_uri=f"{real.url}/api/mlflow")

    with pytest.raises(mlflow.MlflowException, match="UNAUTHENTICATED: The API key is not valid: unknown key"):
        client.search_experiments()


def test_a_host_mlflow_does_not_allow_is_named_by_deep_health(auth: AuthStandIn, mlflow_port: int) -> None:
    """MLflow's own ``/health`` stays green for a name that is not on its list, while every call is a 403."""
    fabric = SocksServer("task", "token")
    fabric.names = {"mlflow.sandbox.local": mlflow_port}
    fabric.start()
    proxy = f"socks5h://task:token@127.0.0.1:{fabric.port}"
    with running_gateway(**settings(auth, "http://mlflow.sandbox.local:5000", ALL_PROXY=proxy)) as gateway:
        deep = gateway.ask("GET", "/api/health/mlflow")
    fabric.stop()

    assert deep.status == 503
    assert "'mlflow.sandbox.local:5000'" in deep.json()["reason"]
    assert "MLFLOW_SERVER_ALLOWED_HOSTS" in deep.json()["reason"]


def test_deep_health_is_green_when_calls_are_answered(real: GatewayProcess, auth: AuthStandIn) -> None:
    assert real.ask("GET", "/api/health/mlflow").json()["status"] == "healthy"
