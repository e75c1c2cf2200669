"""One auth stand-in, one upstream and one gateway for all tests; a fresh key and clean records for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.tests.auth import AuthStandIn, grant
from gateway.tests.process import GatewayProcess, new_key, running_gateway
from gateway.tests.raw_upstream import RawUpstream
from gateway.tests.upstream import RecordingUpstream

Keys = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def shared_auth() -> Iterator[AuthStandIn]:
    server = AuthStandIn()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[RecordingUpstream]:
    server = RecordingUpstream()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def auth(shared_auth: AuthStandIn) -> AuthStandIn:
    shared_auth.reset()
    return shared_auth


@pytest.fixture
def upstream(shared_upstream: RecordingUpstream) -> RecordingUpstream:
    shared_upstream.reset()
    return shared_upstream


@pytest.fixture(scope="session")
def shared_gateway(shared_auth: AuthStandIn, shared_upstream: RecordingUpstream) -> Iterator[GatewayProcess]:
    """The breaker never opens here: these tests make many upstream failures on purpose."""
    with running_gateway(**settings(shared_auth, shared_upstream.url)) as process:
        yield process


def settings(auth: AuthStandIn, mlflow_url: str, **changes: str) -> dict[str, str]:
    return {
        "MLFLOW_SERVER_URL": mlflow_url,
        "HOKUSAI_AUTH_SERVICE_URL": auth.url,
        "MLFLOW_CB_FAILURE_THRESHOLD": "10000",
        "GATEWAY_AUTH_CB_FAILURE_THRESHOLD": "10000",
        "GATEWAY_AUTH_TIMEOUT": "0.9",
    } | changes


@pytest.fixture
def gateway(shared_gateway: GatewayProcess, auth: AuthStandIn, upstream: RecordingUpstream) -> GatewayProcess:
    return shared_gateway


@pytest.fixture
def rested_gateway(gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys) -> GatewayProcess:
    """One that may retry: ten requests pay in one retry, and other tests may have used up the ten that can be saved."""
    key = keys()
    for _ in range(100):
        gateway.ask("GET", "/api/mlflow/version", key)
    upstream.reset()
    return gateway


@pytest.fixture(scope="session")
def shared_raw_upstream() -> Iterator[RawUpstream]:
    server = RawUpstream()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def raw_upstream(shared_raw_upstream: RawUpstream) -> RawUpstream:
    shared_raw_upstream.reset()
    return shared_raw_upstream


@pytest.fixture(scope="session")
def shared_raw_gateway(shared_auth: AuthStandIn, shared_raw_upstream: RawUpstream) -> Iterator[GatewayProcess]:
    # one path for every method of the corpus; a write, so that nothing is sent twice
    posted = {"GATEWAY_EXTRA_ROUTES": "POST /api/2.0/mlflow/runs/get write, DELETE /api/2.0/mlflow/runs/get write"}
    with running_gateway(**settings(shared_auth, shared_raw_upstream.url, **posted)) as process:
        yield process


@pytest.fixture
def raw_gateway(shared_raw_gateway: GatewayProcess, auth: AuthStandIn, raw_upstream: RawUpstream) -> GatewayProcess:
    """In front of an upstream that says what a test tells it to, byte for byte."""
    return shared_raw_gateway


@pytest.fixture
def keys(auth: AuthStandIn) -> Keys:
    """Make a key the auth service knows, with changes to its answer; returns the header that presents it."""

    def make(**changes: Any) -> dict[str, str]:
        key = new_key()
        auth.answers[key] = grant(key_id=f"key-{key[-6:]}", **changes) if "key_id" not in changes else grant(**changes)
        return {"Authorization": f"Bearer {key}"}

    return make
