"""Where an MLflow below a static prefix has its routes, by its version and by the server itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest

from gateway.config import load
from gateway.errors import BreakerOpenError, ConfigError, UpstreamError
from gateway.mounts import Target, rewrite_location
from gateway.static_prefix import FAILURE_MEMORY, MEMORY, StaticPrefix, Version, upstream_path
from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.mlflow_process import serving
from gateway.tests.process import Answer, GatewayProcess, running_gateway
from gateway.tests.upstream import RecordingUpstream

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
        self.away = self.breaker_open = False
        self.now = 0.0
        self.answering = asyncio.Event()
        self.answering.set()

    async def ask(self, path: bytes, *, probe: bool) -> tuple[int, bytes]:
        self.asked.append(path)
        await self.answering.wait()
        if self.away:
            raise UpstreamError("away")
        if self.breaker_open and not probe:
            raise BreakerOpenError("not asked again yet")
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
        paths += [(await prefix.locate(API)).path for _ in range(2)]
        await asyncio.sleep(0)
        upgraded = await prefix.locate(API)
        server.away, server.now = True, 3 * MEMORY
        await prefix.locate(API)
        await asyncio.sleep(0)
        return [*paths, upgraded.path, (await prefix.locate(API)).path]

    assert asyncio.run(story()) == [API.path] * 5 + [b"/ml" + API.path] * 2
    assert server.asked == [b"/ml/version"] * 3


def test_an_mlflow_that_is_silent_about_its_version_holds_nobody_up_who_knows_it() -> None:
    server = Mlflow(ml_version="3.11.1")

    async def story() -> None:
        prefix = server.prefix()
        await prefix.locate(API)
        server.answering.clear()
        server.now = MEMORY + 1
        async with asyncio.timeout(1):
            for _ in range(3):
                assert (await prefix.locate(API)).path == API.path
                await asyncio.sleep(0)

    asyncio.run(story())
    assert server.asked == [b"/ml/version"] * 2


def test_all_who_wait_for_the_version_wait_for_one_question_and_its_failure_is_remembered() -> None:
    server = Mlflow()
    server.away = True

    async def story() -> list[BaseException | Target]:
        prefix = server.prefix()
        found = await asyncio.gather(*(prefix.locate(API) for _ in range(12)), return_exceptions=True)
        server.now = FAILURE_MEMORY / 2
        with pytest.raises(UpstreamError, match="away"):
            await prefix.locate(API)
        assert len(server.asked) == 1
        server.now = FAILURE_MEMORY
        with pytest.raises(UpstreamError, match="away"):
            await prefix.locate(API)
        return found

    assert {str(error) for error in asyncio.run(story())} == {"away"}
    assert len(server.asked) == 2


def test_while_the_breaker_is_open_only_a_probe_learns_the_version() -> None:
    server = Mlflow(ml_version="3.12.0")
    server.breaker_open = True

    async def story() -> bytes:
        prefix = server.prefix()
        with pytest.raises(BreakerOpenError):
            await prefix.locate(API)
        return (await prefix.locate(API, probe=True)).path

    assert asyncio.run(story()) == b"/ml" + API.path


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


def test_an_mlflow_that_is_silent_about_its_version_is_a_504_in_time(
    auth: AuthStandIn, keys: Keys, upstream: RecordingUpstream
) -> None:
    """Also for those who wait beside, and until the breaker opens; then they are told at once."""
    upstream.fixed = b"HTTP/1.1 100 Continue\r\n\r\n"
    changes = {"GATEWAY_CONNECT_TIMEOUT": "0.5", "MLFLOW_CB_FAILURE_THRESHOLD": "1", "MLFLOW_CB_RECOVERY_TIMEOUT": "60"}
    try:
        with running_gateway(**settings(auth, upstream.url, MLFLOW_STATIC_PREFIX="/ml", **changes)) as gateway:
            key = keys()

            def ask(_number: int) -> tuple[Answer, float]:
                started = time.monotonic()
                return gateway.ask("GET", "/api/mlflow/api/2.0/mlflow/runs/get", key), time.monotonic() - started

            with ThreadPoolExecutor(4) as aside:
                waited = list(aside.map(ask, range(4)))
            refused, took = ask(4)
    finally:
        upstream.fixed = b""

    assert [answer.status for answer, _ in waited] == [504] * 4
    assert waited[0][0].json()["hop"] == "mlflow"
    assert waited[0][0].json()["tries"] == 1
    assert max(seconds for _, seconds in waited) < 2.5
    assert took < 0.4
    assert refused.status in {503, 504}
    assert len(upstream.requests) == 1


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
