"""The unmodified MLflow client against a real MLflow server with its artifacts on S3, through the gateway."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.mlflow_process import serving
from gateway.tests.process import GatewayProcess, new_key, running_gateway
from gateway.tests.s3_process import ACCOUNT, bucket
from gateway.tests.socks import SocksServer
from gateway.tests.upstream import MEGABYTE

BUCKET = "artifacts"
PART = 5 * MEGABYTE
"""S3's least."""

SIZE = 2 * PART + 12345
CLIENT = {
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true",
    "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(PART),
    "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(PART),
    "MLFLOW_MULTIPART_DOWNLOAD_MINIMUM_FILE_SIZE": str(PART),
    "MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE": str(PART),
}


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with bucket(BUCKET) as client:
        yield client


@pytest.fixture(scope="module")
def mlflow_url(s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("mlflow")
    variables = ACCOUNT | {"MLFLOW_S3_ENDPOINT_URL": s3.meta.endpoint_url}
    with serving(home, artifacts=f"s3://{BUCKET}/root", variables=variables) as url:
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


def passed(gateway: GatewayProcess) -> int:
    """Bytes of bodies that went through the gateway either way."""
    lines = [json.loads(line) for line in list(gateway.lines) if '"bytes_in"' in line]
    return sum(line["bytes_in"] + line["bytes_out"] for line in lines)


def test_a_large_artifact_goes_to_s3_in_parts_and_comes_back_without_passing_here(
    real: GatewayProcess, s3: Any, auth: AuthStandIn, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CLIENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", keys()["Authorization"].removeprefix("Bearer "))
    content = random.Random(1).randbytes(SIZE)
    (tmp_path / "model é.bin").write_bytes(content)
    client = mlflow.MlflowClient(tracking_uri=f"{real.url}/api/mlflow")
    before = passed(real)
    run = client.create_run(client.create_experiment("direct"))

    client.log_artifact(run.info.run_id, str(tmp_path / "model é.bin"), "a b")
    copy = client.download_artifacts(run.info.run_id, "a b/model é.bin", str(tmp_path))

    (stored,) = [each for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"] if run.info.run_id in each["Key"]]
    assert stored["Key"].endswith("/artifacts/a b/model é.bin")
    assert (stored["Size"], stored["ETag"].strip('"').rpartition("-")[2]) == (SIZE, "3")
    assert hashlib.sha256(Path(copy).read_bytes()).digest() == hashlib.sha256(content).digest()
    time.sleep(0.1)  # the log is written every 50 ms
    assert 0 < passed(real) - before < 100_000


def test_an_upload_that_is_given_up_leaves_no_parts(
    real: GatewayProcess, s3: Any, auth: AuthStandIn, keys: Keys
) -> None:
    route = "/api/mlflow/api/2.0/mlflow-artifacts/mpu/{}/1/x"
    key = keys() | {"Content-Type": "application/json"}
    created = real.ask("POST", route.format("create"), key, b'{"path": "/home/u/f.bin", "num_parts": 2}')
    under_way = s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    given_up = {"path": "/home/u/f.bin", "upload_id": under_way[0]["UploadId"]}
    aborted = real.ask("POST", route.format("abort"), key, json.dumps(given_up).encode())

    assert (created.status, len(created.json()["credentials"]), len(under_way)) == (200, 2, 1)
    assert (created.json()["upload_id"], aborted.status) == (under_way[0]["UploadId"], 200)
    assert not s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_a_key_that_only_reads_gets_a_url_to_read_and_none_to_write(
    real: GatewayProcess, s3: Any, auth: AuthStandIn, keys: Keys
) -> None:
    s3.put_object(Bucket=BUCKET, Key="root/1/y", Body=b"seen")
    reader = keys(scopes=["read"])
    presigned = real.ask("GET", "/api/mlflow/api/2.0/mlflow-artifacts/presigned/1/y", reader)
    refused = real.ask("POST", "/api/mlflow/api/2.0/mlflow-artifacts/mpu/create/1/y", reader, b'{"path": "y"}')

    assert presigned.status == 200
    assert presigned.json()["url"].startswith(f"{s3.meta.endpoint_url}/{BUCKET}/root/1/y?")
    assert refused.status == 403
