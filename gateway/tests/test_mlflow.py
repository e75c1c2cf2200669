"""The unmodified MLflow client against a real MLflow server, through the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.mlflow_process import serving
from gateway.tests.process import GatewayProcess, new_key, running_gateway
from gateway.tests.socks import SocksServer


@pytest.fixture(scope="module")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture(scope="module")
def real(shared_auth: AuthStandIn, mlflow_url: str) -> Iterator[GatewayProcess]:
    with running_gateway(**settings(shared_auth, mlflow_url)) as gateway:
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


def test_a_host_mlflow_does_not_allow_is_named_by_deep_health(auth: AuthStandIn, mlflow_url: str) -> None:
    """MLflow's own ``/health`` stays green for a name that is not on its list, while every call is a 403."""
    fabric = SocksServer("task", "token")
    fabric.names = {"mlflow.sandbox.local": int(mlflow_url.rpartition(":")[2])}
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
