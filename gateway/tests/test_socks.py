"""With ALL_PROXY every connection goes through it, and its refusals become honest statuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys
from gateway.tests.process import GatewayProcess, running_gateway
from gateway.tests.socks import SocksServer
from gateway.tests.upstream import RecordingUpstream

SEARCH = "/api/mlflow/api/2.0/mlflow/experiments/search"
MLFLOW = "mlflow.sandbox.local"
AUTH = "auth.sandbox.local"


@pytest.fixture(scope="module")
def fabric(shared_auth: AuthStandIn, shared_upstream: RecordingUpstream) -> Iterator[SocksServer]:
    server = SocksServer("10.0.1.7", "to/ken")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def behind(fabric: SocksServer, auth: AuthStandIn, upstream: RecordingUpstream) -> Iterator[GatewayProcess]:
    """A gateway of its own for each test: kept connections would hide what the fabric says."""
    fabric.names = {MLFLOW: upstream.port, AUTH: auth.port}
    fabric.drops, fabric.refuses = set(), set()
    fabric.asked.clear()
    with running_gateway(**variables(fabric.port)) as gateway:
        yield gateway


def variables(port: int) -> dict[str, str]:
    return {
        "MLFLOW_SERVER_URL": f"http://{MLFLOW}:5000",
        "HOKUSAI_AUTH_SERVICE_URL": f"http://{AUTH}:8000",
        "ALL_PROXY": f"socks5h://10.0.1.7:to%2Fken@127.0.0.1:{port}",
        "GATEWAY_CONNECT_TIMEOUT": "0.5",
    }


def test_both_hops_are_reached_by_name_through_the_proxy(
    behind: GatewayProcess, fabric: SocksServer, upstream: RecordingUpstream, keys: Keys
) -> None:
    assert behind.ask("GET", SEARCH, keys()).status == 200
    assert set(fabric.asked) == {MLFLOW, AUTH}
    assert upstream.last.value("host") == f"{MLFLOW}:5000"


def test_what_the_proxy_cannot_reach_is_a_502_refused_a_502_and_dropped_a_504(
    behind: GatewayProcess, fabric: SocksServer, keys: Keys
) -> None:
    key = keys()
    del fabric.names[MLFLOW]

    unreachable = behind.ask("GET", SEARCH, key)
    fabric.refuses.add(MLFLOW)
    refused = behind.ask("GET", SEARCH, key)
    fabric.drops.add(MLFLOW)
    dropped = behind.ask("GET", SEARCH, key)

    assert (unreachable.status, "cannot resolve or reach" in unreachable.json()["message"]) == (502, True)
    assert (refused.status, "connection refused" in refused.json()["message"]) == (502, True)
    assert (dropped.status, "packets are dropped" in dropped.json()["message"]) == (504, True)


def test_an_auth_service_the_proxy_cannot_reach_is_a_503(
    behind: GatewayProcess, fabric: SocksServer, keys: Keys
) -> None:
    del fabric.names[AUTH]
    unreachable = behind.ask("GET", SEARCH, keys())
    fabric.drops.add(AUTH)
    dropped = behind.ask("GET", SEARCH, keys())

    assert [answer.status for answer in (unreachable, dropped)] == [503, 503]
    assert behind.ask("GET", "/ready").json()["dependencies"]["auth"]["status"] == "unhealthy"


def test_a_proxy_that_is_gone_is_a_503_from_auth_and_shows_no_password(keys: Keys) -> None:
    with running_gateway(**variables(9)) as gateway:
        answer = gateway.ask("GET", SEARCH, keys())

    assert (answer.status, "ALL_PROXY" in answer.json()["message"]) == (503, True)
    assert "ken" not in str(answer) + "".join(gateway.lines)
