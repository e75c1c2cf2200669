"""The process: how it starts, what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.process import ROOT, GatewayProcess, new_key, running_gateway
from gateway.tests.upstream import RecordingUpstream

SEARCH = "/api/mlflow/api/2.0/mlflow/experiments/search"


GOOD = {"MLFLOW_SERVER_URL": "http://m:5000", "HOKUSAI_AUTH_SERVICE_URL": "http://a:8000", "GATEWAY_PORT": "0"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MLFLOW_SERVER_URL", ""),
        ("MLFLOW_SERVER_URL", "mlflow:5000"),
        ("MLFLOW_SERVER_URL", "http://mlflow:5000/prefix"),
        ("MLFLOW_PROXY_TIMEOUT", "soon"),
        ("ALL_PROXY", "http://user:s3cret@proxy:1080"),
        ("GATEWAY_KEEPALIVE", "s3cret"),
        ("GATEWAY_HOST", "not-a-host.invalid"),
        ("GATEWAY_HOST", "192.0.2.1"),
        ("SSL_CERT_FILE", "/nonexistent"),
        ("SSL_CERT_FILE", "/dev/null"),
        ("SSL_CERT_DIR", "/nonexistent"),
        ("MLFLOW_TRACKING_SERVER_CERT_PATH", "/nonexistent"),
        ("MLFLOW_TRACKING_CLIENT_CERT_PATH", "/nonexistent"),
    ],
)
def test_a_bad_value_stops_the_start_and_names_its_variable(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "environ", GOOD | {variable: value})

    status = main()

    printed = capsys.readouterr()
    assert (status, printed.out) == (2, "")
    assert printed.err.startswith(f"gateway: configuration: {variable} ")
    assert "s3cret" not in printed.err


def test_a_start_that_is_stopped_is_a_failure_of_the_process() -> None:
    command = [sys.executable, "-m", "gateway"]
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=20, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gateway: configuration: MLFLOW_SERVER_URL ")


def test_the_configuration_is_printed_without_secrets(auth: AuthStandIn, upstream: RecordingUpstream) -> None:
    changes = {"ALL_PROXY": "socks5h://10.0.1.7:s3cret@127.0.0.1:9", "MLFLOW_PROXY_TIMEOUT": "50"}
    with running_gateway(**settings(auth, upstream.url, **changes)) as gateway:
        lines = [json.loads(line) for line in gateway.lines]

    assert lines[0]["message"] == "configuration"
    assert (lines[0]["mlflow_url"], lines[0]["proxy_timeout"]) == (upstream.url, 50)
    assert lines[0]["outbound_proxy"] == "socks5h://10.0.1.7:***@127.0.0.1:9"
    assert "s3cret" not in "".join(gateway.lines)


def test_the_limit_of_open_files_is_raised_or_complained_about(auth: AuthStandIn, upstream: RecordingUpstream) -> None:
    """A limit below that of the connections would end in refused connections that nobody hears about."""

    def start(clients: int) -> tuple[list[str], int]:
        changes = {"GATEWAY_MAX_CLIENTS": str(clients), "GATEWAY_MAX_CONNECTIONS": "100"}
        with running_gateway(256, **settings(auth, upstream.url, **changes)) as gateway:
            limits = Path(f"/proc/{gateway.process.pid}/limits").read_text()
            return gateway.lines, int(re.findall(r"Max open files +(\d+)", limits)[0])

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    lines, files = start(200)
    assert (files, "nofile" in "".join(lines)) == (2 * 200 + 2 * 100 + 64, False)
    if hard < 200_000:
        lines, files = start(100_000)
        assert (files, json.loads(lines[1])["level"]) == (hard, "warning")


def test_the_access_log_tells_who_what_and_how_long(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    gateway.ask("POST", SEARCH, keys(key_id="key-77") | {"X-Request-Id": "told-1"}, b"{}")

    line = gateway.access("told-1")
    assert {name: line[name] for name in ("method", "family", "status", "emitter", "key_id")} == {
        "method": "POST",
        "family": "experiments",
        "status": 200,
        "emitter": "mlflow",
        "key_id": "key-77",
    }
    assert 0 < line["upstream_ms"] <= line["ms"]


def test_each_answer_is_logged_with_its_emitter(gateway: GatewayProcess, auth: AuthStandIn, keys: Keys) -> None:
    key = keys()
    gateway.ask("GET", SEARCH, {"X-Request-Id": "no-key"})
    gateway.ask("GET", SEARCH, {"X-Request-Id": "bad-key", "X-API-Key": new_key()})
    gateway.ask("GET", SEARCH, key | {"X-Request-Id": "dead", "X-Behave": "die"})
    auth.outage = 503
    gateway.ask("GET", SEARCH, {"X-Request-Id": "outage", "X-API-Key": new_key()})

    seen = {name: gateway.access(name) for name in ("no-key", "bad-key", "dead", "outage")}
    assert {name: (line["status"], line["emitter"], line.get("hop", "")) for name, line in seen.items()} == {
        "no-key": (401, "gateway", ""),
        "bad-key": (401, "auth", ""),
        "dead": (502, "gateway", "mlflow"),
        "outage": (503, "gateway", "auth"),
    }


def test_no_part_of_a_key_is_ever_printed(auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys) -> None:
    good = keys(key_id="key-1")["Authorization"].removeprefix("Bearer ")
    echoed = [new_key() for _ in range(4)]
    said = [echoed[0], echoed[1][:14] + "...", "key ending in " + echoed[2][-6:].upper(), echoed[3][12:24]]
    for key, part in zip(echoed, said, strict=True):
        auth.answers[key] = {"is_valid": False, "reason": f"{part} is not known"}
    tried = [good, *echoed, new_key()]
    with running_gateway(**settings(auth, upstream.url, MLFLOW_PROXY_DEBUG="true")) as gateway:
        answers = [gateway.ask("GET", SEARCH + f"?api_key={key}", {"X-API-Key": key}) for key in tried]
        gateway.ask("GET", SEARCH, [("X-API-Key", good), ("X-API-Key", good)])
        gateway.ask("GET", f"/{good}", {"X-API-Key": good, "X-Behave": "die", "X-Request-Id": good})
        gateway.ask("GET", SEARCH, {"X-API-Key": good, "X-Behave": "die"})
        auth.outage = 500
        gateway.ask("GET", SEARCH, {"X-API-Key": new_key()})

    printed = "".join(gateway.lines) + "".join(str(answer) for answer in answers[1:])
    for key in tried:
        secret = key.removeprefix("hk_test_")
        assert not any(secret[at : at + 6].lower() in printed.lower() for at in range(len(secret) - 5))


@pytest.mark.parametrize("reason", ["hk_live_ keys are not for this service", "a HK_... key", "abcdefgh is revoked"])
def test_a_reason_that_looks_like_a_part_of_a_key_is_left_out(
    gateway: GatewayProcess, auth: AuthStandIn, reason: str
) -> None:
    auth.answers["ABCDEFGH-and-more"] = {"is_valid": False, "reason": reason}

    answer = gateway.ask("GET", SEARCH, {"X-API-Key": "ABCDEFGH-and-more"})

    assert (answer.status, answer.json()["message"]) == (401, "The API key is not valid.")


def test_sigterm_lets_a_request_finish_and_ends_with_success(
    auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    with running_gateway(**settings(auth, upstream.url)) as gateway:
        answers: list[bytes] = []
        headers = keys() | {"X-Behave": "trickle"}
        client = threading.Thread(target=lambda: answers.append(gateway.ask("GET", SEARCH, headers).body))
        client.start()
        assert upstream.arrived.wait(5)
        gateway.process.send_signal(signal.SIGTERM)
        client.join(10)

        assert answers == [b"." * 10]
        assert gateway.process.wait(10) == 0


def test_sigterm_waits_no_longer_than_it_may(auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys) -> None:
    with running_gateway(**settings(auth, upstream.url, GATEWAY_DRAIN_TIMEOUT="1")) as gateway:
        with gateway.connect() as client:
            lines = [f"GET {SEARCH} HTTP/1.1", "Host: g", "X-Behave: hang", f"Authorization: {keys()['Authorization']}"]
            client.sendall("\r\n".join([*lines, "", ""]).encode())
            assert upstream.arrived.wait(5)
            started = time.monotonic()
            gateway.process.send_signal(signal.SIGTERM)

            assert gateway.process.wait(10) == 0
            assert time.monotonic() - started < 3
        assert upstream.last.closed.wait(1)
