"""An MLflow behind TLS: verified, and shown who asks."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.process import ROOT, running_gateway
from gateway.tests.upstream import RecordingUpstream

SEARCH = "/api/mlflow/api/2.0/mlflow/experiments/search"
Start = Callable[[ssl.SSLContext], RecordingUpstream]


@pytest.fixture(scope="module")
def ours() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(ours: trustme.CA, tmp_path: Path) -> str:
    ours.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[RecordingUpstream] = []

    def begin(context: ssl.SSLContext) -> RecordingUpstream:
        server = RecordingUpstream(context)
        server.start()
        started.append(server)
        return server

    yield begin
    for server in started:
        server.stop()


def server_context(ours: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert(name).configure_cert(context)
    return context


def url(server: RecordingUpstream) -> str:
    return f"https://localhost:{server.port}"


def test_a_certificate_of_the_configured_bundle_is_trusted(
    auth: AuthStandIn, keys: Keys, start: Start, ours: trustme.CA, bundle: str
) -> None:
    server = start(server_context(ours))
    with running_gateway(**settings(auth, url(server), MLFLOW_TRACKING_SERVER_CERT_PATH=bundle)) as gateway:
        assert gateway.ask("POST", SEARCH, keys(), b"{}").status == 200
        assert server.last.value("host") == f"localhost:{server.port}"


@pytest.mark.parametrize(("issuer", "name"), [("ours", "elsewhere.test"), ("somebody", "localhost")])
def test_another_name_or_another_issuer_is_a_502_and_nothing_is_sent(
    auth: AuthStandIn, keys: Keys, start: Start, ours: trustme.CA, bundle: str, issuer: str, name: str
) -> None:
    server = start(server_context(ours if issuer == "ours" else trustme.CA(), name))
    with running_gateway(**settings(auth, url(server), MLFLOW_TRACKING_SERVER_CERT_PATH=bundle)) as gateway:
        answer = gateway.ask("POST", SEARCH, keys(), b"{}")

    assert (answer.status, "TLS handshake" in answer.json()["message"]) == (502, True)
    assert server.requests == []


def test_mlflow_may_ask_for_a_certificate_of_this_service(
    auth: AuthStandIn, keys: Keys, start: Start, ours: trustme.CA, bundle: str, tmp_path: Path
) -> None:
    context = server_context(ours)
    context.verify_mode = ssl.CERT_REQUIRED
    ours.configure_trust(context)
    server = start(context)
    ours.issue_cert("gateway.test").private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    variables = settings(auth, url(server), MLFLOW_TRACKING_SERVER_CERT_PATH=bundle)

    with running_gateway(**variables) as gateway:
        assert gateway.ask("POST", SEARCH, keys(), b"{}").status == 502
    with running_gateway(**variables, MLFLOW_TRACKING_CLIENT_CERT_PATH=str(tmp_path / "client.pem")) as gateway:
        assert gateway.ask("POST", SEARCH, keys(), b"{}").status == 200


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"])
def test_a_file_that_is_none_stops_the_start_with_the_variables_name(tmp_path: Path, variable: str) -> None:
    variables = {"MLFLOW_SERVER_URL": "https://localhost:1", "HOKUSAI_AUTH_SERVICE_URL": "http://localhost:1"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway"],
        cwd=ROOT,
        env=variables | {variable: str(tmp_path / "absent.pem")},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )

    assert (done.returncode, variable in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("variables", "sent"),
    [
        ({"MLFLOW_TRACKING_TOKEN": "of-the-service"}, "Bearer of-the-service"),
        ({"MLFLOW_TRACKING_USERNAME": "gateway", "MLFLOW_TRACKING_PASSWORD": "a:b"}, "Basic Z2F0ZXdheTphOmI="),
    ],
)
def test_mlflow_gets_this_services_credential_and_never_the_clients(
    auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys, variables: dict[str, str], sent: str
) -> None:
    with running_gateway(**settings(auth, upstream.url, **variables)) as gateway:
        assert gateway.ask("POST", SEARCH, keys(), b"{}").status == 200
        log = "".join(gateway.lines)

    assert upstream.last.values("authorization") == [sent]
    assert sent.split(maxsplit=1)[0] in log
    assert all(secret not in log for secret in ("of-the-service", "a:b", "Z2F0ZXdheTphOmI"))
