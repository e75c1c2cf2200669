"""Where an MLflow below a static prefix has its routes, by its version and by the server itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import mlflow
import pytest

from gateway.config import load
from gateway.errors import ConfigError, UpstreamError
from gateway.mounts import Target, rewrite_location
from gateway.static_prefix import MEMORY, StaticPrefix, Version, upstream_path
from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.mlflow_process import serving
from gateway.tests.process import GatewayProcess, running_gateway

URLS = {"MLFLOW_SERVER_URL": "http://m:5000", "HOKUSAI_AUTH_SERVICE_URL": "http://a"}


@pytest.mark.parametrize(
    ("path", "since"),
    [
        (b"/", (3, 4)),
        (b"/static-files/a.js", (3, 4)),
        (b"/ajax-api/2.0/mlflow/runs/search", (3, 4)),
        (b"/graphql", (3, 4)),
        (b"/get-artifact", (3, 4)),
        (b"/health", (3, 7)),
        (b"/version", (3, 7)),
        (b"/api/2.0/mlflow/runs/search", (3, 12)),
        (b"/api/2.0/mlflow-artifacts/artifacts/1/a", (3, 12)),
        (b"/v1/traces", (3, 16)),
        (b"/gateway/m/mlflow/invocations", (3, 16)),
        (b"/ajax-api/3.0/jobs/1", (3, 16)),
        (b"/ajax-api/3.0/mlflow/assistant/config", (3, 16)),
    ],
)
def test_a_route_is_below_the_prefix_since_its_version(path: bytes, since: Version) -> None:
    for minor in range(4, 18):
        expected = b"/ml" + path if (3, minor) >= since else path

        assert upstream_path(path, b"/ml", (3, minor)) == expected


class Mlflow:
    """Answers ``/version`` where it is told to."""

    def __init__(self, **versions: str) -> None:
        self.at = {f"/{path.replace('_', '/')}".encode(): text.encode() for path, text in versions.items()}
        self.asked: list[bytes] = []
        self.away = False
        self.now = 0.0

    async def ask(self, path: bytes) -> tuple[int, bytes]:
        self.asked.append(path)
        if self.away:
            raise UpstreamError("away")
        return (200, self.at[path]) if path in self.at else (404, b"not here")

    def prefix(self) -> StaticPrefix:
        return StaticPrefix("/ml", self.ask, lambda: self.now)


API = Target(b"/api/2.0/mlflow/runs/search", b"/api/mlflow")


def test_the_version_is_asked_once_and_again_after_a_while() -> None:
    server = Mlflow(ml_version="3.11.1")

    async def story() -> list[bytes]:
        prefix = server.prefix()
        paths = [(await prefix.locate(API)).path for _ in range(3)]
        server.at[b"/ml/version"] = b"3.12.0"
        server.now = MEMORY + 1
        upgraded = await prefix.locate(API)
        server.away, server.now = True, 3 * MEMORY
        return [*paths, upgraded.path, (await prefix.locate(API)).path]

    assert asyncio.run(story()) == [API.path] * 3 + [b"/ml" + API.path] * 2
    assert server.asked == [b"/ml/version"] * 3


def test_an_mlflow_before_3_7_tells_its_version_without_the_prefix() -> None:
    server = Mlflow(version="3.4.0")

    assert asyncio.run(server.prefix().locate(Target(b"/health"))).path == b"/health"
    assert server.asked == [b"/ml/version", b"/version"]


def test_an_mlflow_that_never_told_its_version_is_not_guessed_at() -> None:
    away, wrong = Mlflow(), Mlflow(other_version="3.17.2")
    away.away = True

    for server in (away, wrong):
        with pytest.raises(UpstreamError):
            asyncio.run(server.prefix().locate(API))


def test_without_a_prefix_nothing_is_asked() -> None:
    server = Mlflow()

    assert asyncio.run(StaticPrefix("", server.ask).locate(API)) is API
    assert server.asked == []


@pytest.mark.parametrize(
    ("location", "expected"),
    [(b"/ml/x", b"/api/mlflow/x"), (b"http://m:5000/ml/x", b"/api/mlflow/x"), (b"/mlx", b"/api/mlflow/mlx")],
)
def test_a_redirect_does_not_show_the_prefix(location: bytes, expected: bytes) -> None:
    target = Target(b"/ml/", b"/api/mlflow", b"/ml")

    assert rewrite_location(location, target, b"http://m:5000") == expected


@pytest.mark.parametrize("value", ["mlflow", "/ml flow", "/../x", "/a?b", "//x", "http://m/mlflow"])
def test_a_bad_prefix_stops_the_start_with_the_variables_name(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^MLFLOW_STATIC_PREFIX "):
        load(URLS | {"MLFLOW_STATIC_PREFIX": value})


@pytest.fixture(scope="module")
def prefixed(shared_auth: AuthStandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with serving(tmp_path_factory.mktemp("prefixed"), "/deep/ml") as url:
        variables = settings(shared_auth, url, MLFLOW_STATIC_PREFIX="/deep/ml/")
        with running_gateway(**variables) as gateway:
            yield gateway


def test_a_client_and_the_ui_do_not_notice_the_prefix(
    prefixed: GatewayProcess, auth: AuthStandIn, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = keys()
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", key["Authorization"].removeprefix("Bearer "))
    client = mlflow.MlflowClient(tracking_uri=f"{prefixed.url}/api/mlflow")
    run = client.create_run(client.create_experiment("below a prefix"))
    client.log_text(run.info.run_id, "artifact", "a b.txt")

    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["a b.txt"]
    assert prefixed.ask("GET", "/api/mlflow/version", key).body == mlflow.__version__.encode()
    assert b"<html" in prefixed.ask("GET", "/api/mlflow/", key).body
    assert prefixed.ask("GET", "/api/mlflow/ajax-api/2.0/mlflow/experiments/search?max_results=1", key).status == 200
    assert prefixed.ask("GET", "/api/health/mlflow").json()["status"] == "healthy"
