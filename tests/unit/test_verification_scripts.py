"""The verification scripts, run as a person runs them: what they print, how they end, and what they leave behind."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.unit.scripts import FILES, REGISTRATION, Ran, call, environment
from tests.unit.web import Auth, Reply, Respond, Seen, make_key, serving, traces

HEALTH, CONNECTION = "test_health_endpoints.py", "test_mlflow_connection.py"
FIXES = "test_api_connectivity_fixes.py"
ALB_HEADERS = {"Server": "awselb/2.0", "Content-Type": "text/html"}
FIXED_404, ALB_502, ALB_503, ALB_504 = (
    Reply(code, "<html>by the ALB</html>", ALB_HEADERS) for code in (404, 502, 503, 504)
)
MLFLOW_404 = Reply(404, "<!doctype html><html lang=en><title>404 Not Found</title>", {"Content-Type": "text/html"})


def gateway_error(status: int, code: str, message: str) -> Reply:
    return Reply(status, {"error_code": code, "message": message, "request_id": "r-1"})


def unwell(reason: str, upstream: str = "http://mlflow.hokusai-development.local:5000") -> Reply:
    return Reply(
        503, {"status": "unhealthy", "hop": "mlflow", "reason": reason, "upstream": upstream, "breaker": "closed"}
    )


def presented(seen: Seen) -> str:
    """The key, in any of the forms a gateway accepts."""
    scheme, _, text = seen.headers.get("authorization", "").partition(" ")
    return text if scheme.lower() in {"bearer", "apikey"} else seen.headers.get("x-api-key", "")


@dataclass
class Platform:
    """Three hosts that answer as the repaired platform does, but for what `instead` says of (host, path's start)."""

    auth: Auth = field(default_factory=Auth)
    service_id: str = "platform"
    instead: dict[tuple[str, str], Reply | Respond] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)

    def host(self, name: str) -> Respond:
        def respond(seen: Seen) -> Reply:
            for (host, path), other in self.instead.items():
                if host == name and seen.path.startswith(path):
                    return other if isinstance(other, Reply) else other(seen)
            return self.answer(name, seen)

        return respond

    def answer(self, host: str, seen: Seen) -> Reply:
        if host == "auth":
            return Reply(200, {"status": "healthy"}) if seen.path == "/health" else self.auth.respond(seen)
        if seen.path == "/health":
            return Reply(200, {"status": "healthy", "version": "1.2.3"})
        if seen.path == "/api/health/mlflow":
            return Reply(200, {"status": "healthy", "hop": "mlflow", "upstream": "http://mlflow.example.local:5000"})
        if not self.auth.verdict(presented(seen), self.service_id)["is_valid"]:
            return gateway_error(401, "UNAUTHENTICATED", f"The API key is not valid: {presented(seen)[:20]}.")
        return Reply(200, {"experiments": [{"name": "Default"}]} if seen.path.endswith("search") else "3.17.2")


@pytest.fixture
def platform() -> Iterator[Platform]:
    made = Platform()
    with contextlib.ExitStack() as stack:
        made.urls = {name: stack.enter_context(serving(made.host(name))).url for name in ("registry", "api", "auth")}
        yield made


@pytest.fixture
def key(platform: Platform) -> str:
    return platform.auth.add()


Run = Callable[..., Ran]


@pytest.fixture
def run(platform: Platform, key: str) -> Run:
    """Run a script against the platform; no trace of the key may be in what it prints."""

    def act(script: str, *arguments: str) -> Ran:
        urls = [text for name, url in platform.urls.items() for text in (f"--{name}-url", url)]
        ran = call(script, *urls, *arguments, key=key)
        assert not traces(ran.text, key)
        return ran

    return act


@pytest.mark.parametrize("script", [HEALTH, CONNECTION, FIXES])
def test_a_script_passes_on_a_working_platform(run: Run, script: str) -> None:
    ran = run(script)
    assert (ran.code, ran.report["passed"], ran.failing) == (0, True, [])
    assert ran.report["script"] == script
    assert ran.report["diagnosis"].endswith("checks passed")
    assert all(set(check) == {"name", "passed", "hop", "detail"} for check in ran.report["checks"])


@pytest.mark.parametrize("script", [HEALTH, CONNECTION, FIXES, REGISTRATION])
def test_a_script_explains_itself_and_has_no_option_for_the_key(script: str) -> None:
    run = subprocess.run([sys.executable, str(FILES / script), "--help"], capture_output=True, text=True, check=True)
    assert "HOKUSAI_API_KEY" in run.stdout
    assert "--api-key-file" in run.stdout
    assert "--api-key " not in run.stdout


def test_urls_come_from_the_environment_when_no_option_names_them(platform: Platform) -> None:
    urls = {f"HOKUSAI_{name.upper()}_URL": url for name, url in platform.urls.items()}
    assert call(HEALTH, key=None, **urls).code == 0


def test_without_json_a_person_reads_a_line_for_each_check(platform: Platform, key: str) -> None:
    platform.instead["api", "/health"] = FIXED_404
    urls = [text for name, url in platform.urls.items() for text in (f"--{name}-url", url)]
    run = subprocess.run(
        [sys.executable, str(FILES / HEALTH), *urls], capture_output=True, text=True, env=environment(key), check=False
    )
    assert run.returncode == 1
    assert [line[:4] for line in run.stdout.splitlines()] == ["PASS", "PASS", "FAIL", "PASS", "PASS", "test"]
    assert "NOT PASSED: alb: ALB answered 404 itself" in run.stdout


@pytest.mark.parametrize("script", [CONNECTION, FIXES, REGISTRATION])
@pytest.mark.parametrize("wrong", [None, "", "not-a-key-at-all", "hk_test_" + "a" * 31])
def test_without_a_key_a_script_cannot_run_and_does_not_show_what_it_found(script: str, wrong: str | None) -> None:
    ran = call(script, key=wrong)
    assert (ran.code, ran.report["passed"], ran.report["checks"]) == (2, False, [])
    assert "HOKUSAI_API_KEY" in ran.report["diagnosis"]
    assert not wrong or wrong not in ran.text


def test_the_key_is_read_from_a_file(platform: Platform, key: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(key + "\n")
    urls = [text for name, url in platform.urls.items() for text in (f"--{name}-url", url)]
    assert call(CONNECTION, *urls, "--api-key-file", str(tmp_path / "key"), key=None).code == 0
    assert call(CONNECTION, *urls, "--api-key-file", str(tmp_path / "none"), key=key).code == 2


def test_an_address_that_is_none_cannot_run() -> None:
    run = subprocess.run(
        [sys.executable, str(FILES / HEALTH), "--registry-url", "registry"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2


@pytest.mark.parametrize(
    ("instead", "diagnosis"),
    [
        ({("auth", "/health"): ALB_503}, "alb: ALB answered 503 itself (Server: awselb/2.0): no registered targets"),
        ({("registry", "/health"): ALB_502}, "alb: ALB answered 502 itself (Server: awselb/2.0): the target refused"),
        (
            {("registry", "/health"): ALB_504},
            "alb: ALB answered 504 itself (Server: awselb/2.0): the target did not accept",
        ),
        (
            {("api", "/health"): FIXED_404},
            "alb: ALB answered 404 itself (Server: awselb/2.0): no listener rule matches",
        ),
        (
            {("registry", "/api/health/mlflow"): unwell("connection refused")},
            "mlflow: gateway 503: MLflow unreachable at http://mlflow.hokusai-development.local:5000: connection",
        ),
        ({("registry", "/api/mlflow"): MLFLOW_404}, "alb: MLflow's HTML 404 came instead of the API's answer"),
        ({("registry", "/api/mlflow"): Reply(200, {"experiments": []})}, "auth: answered 200 without a good key"),
        (
            {("registry", "/api/mlflow"): Reply(401, {"detail": "API key required"})},
            "api: the API answered 401 (API key required), not in the gateway's shape",
        ),
        (
            {
                ("registry", "/api/mlflow"): gateway_error(
                    503, "TEMPORARILY_UNAVAILABLE", "The auth service cannot answer"
                )
            },
            "auth: gateway 503: the auth service cannot answer",
        ),
    ],
)
def test_the_endpoints_script_names_the_hop(
    run: Run, platform: Platform, instead: dict[tuple[str, str], Reply], diagnosis: str
) -> None:
    platform.instead.update(instead)
    ran = run(HEALTH)
    assert ran.code == 1
    assert ran.report["diagnosis"].startswith(diagnosis)


def test_a_host_nobody_serves_and_a_name_nobody_knows_are_named(platform: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    urls = ["--registry-url", platform.urls["registry"], "--auth-url", platform.urls["auth"]]
    refused = call(HEALTH, *urls, "--api-url", f"http://127.0.0.1:{port}", key=None)
    assert refused.report["diagnosis"].startswith("alb: no connection to 127.0.0.1")

    def silence(_seen: Seen) -> Reply:
        time.sleep(1.5)
        return Reply()

    with serving(silence) as web:
        late = call(HEALTH, *urls, "--api-url", web.url, "--timeout", "0.5", key=None)
    assert late.report["diagnosis"].startswith("alb: 127.0.0.1 did not answer within")


@pytest.mark.parametrize(
    ("status", "code", "message", "hop"),
    [
        (502, "TEMPORARILY_UNAVAILABLE", "MLflow: connection refused", "mlflow: gateway 502: MLflow unreachable"),
        (504, "DEADLINE_EXCEEDED", "MLflow: no answer in time", "mlflow: gateway 504: MLflow did not answer in time"),
        (503, "TEMPORARILY_UNAVAILABLE", "The breaker is open", "mlflow: gateway 503: the circuit breaker"),
        (503, "TEMPORARILY_UNAVAILABLE", "The auth service answered 500", "auth: gateway 503: the auth service"),
        (403, "PERMISSION_DENIED", "The API key lacks the scope", "auth: gateway 403: the key lacks a scope"),
    ],
)
def test_the_connection_script_tells_what_the_gateway_says(
    run: Run, platform: Platform, key: str, status: int, code: str, message: str, hop: str
) -> None:
    def fail_with_a_good_key(seen: Seen) -> Reply:
        good = presented(seen) == key
        return gateway_error(status, code, f"{message} ({key})") if good else platform.answer("registry", seen)

    platform.instead["registry", "/api/mlflow"] = fail_with_a_good_key
    ran = run(CONNECTION)
    assert ran.code == 1
    assert ran.report["diagnosis"].startswith(hop)


def test_a_key_that_a_server_repeats_is_not_printed_whosever_it_is(run: Run, platform: Platform) -> None:
    other = make_key()
    platform.instead["registry", "/api/mlflow"] = gateway_error(403, "PERMISSION_DENIED", f"not for {other}")
    ran = run(HEALTH)
    assert "not for ********" in ran.text
    assert not traces(ran.text, other)


def test_mlflows_own_refusal_of_the_host_is_told_from_a_missing_scope(run: Run, platform: Platform, key: str) -> None:
    def refuse_host(seen: Seen) -> Reply:
        return (
            Reply(403, "Invalid Host header - possible DNS rebinding attack")
            if presented(seen) == key
            else platform.answer("registry", seen)
        )

    platform.instead["registry", "/api/mlflow"] = refuse_host
    assert "MLFLOW_SERVER_ALLOWED_HOSTS" in run(CONNECTION).report["diagnosis"]


def test_a_bare_registry_that_is_not_served_fails(run: Run, platform: Platform) -> None:
    platform.instead["registry", "/api/2.0"] = MLFLOW_404
    assert run(CONNECTION).failing == ["registry_root_as_uri"]


def bearer_only(seen: Seen) -> bool:
    return not seen.headers.get("authorization", "Bearer ").startswith("Bearer ") or "x-api-key" in seen.headers


CAUSES: dict[str, tuple[dict[tuple[str, str], Any], str]] = {
    "route_to_api": ({("registry", "/api/mlflow"): MLFLOW_404}, "forwards /api/mlflow straight to MLflow"),
    "api_host_routed": ({("api", "/"): FIXED_404}, "no listener rule matches"),
    "mlflow_by_name": (
        {("registry", "/api/health/mlflow"): unwell("packets are dropped", "http://10.0.1.173:5000")},
        "hard-coded address 10.0.1.173",
    ),
    "mlflow_resolves": (
        {("registry", "/api/health/mlflow"): unwell("cannot resolve or reach the host (SOCKS reply 4)")},
        "no service registry in Cloud Map",
    ),
    "mlflow_port_open": (
        {("registry", "/api/health/mlflow"): unwell("no connection within 3 s: packets are dropped")},
        "security group lacks port 5000",
    ),
    "mlflow_accepts_host": (
        {("registry", "/api/health/mlflow"): unwell("MLflow refuses the Host header 'mlflow:5000' (403)")},
        "MLFLOW_SERVER_ALLOWED_HOSTS",
    ),
    "mlflow_answers": ({("registry", "/api/health/mlflow"): unwell("MLflow answered 500")}, "MLflow answered 500"),
    "timeouts_under_alb_idle": ({("registry", "/api/mlflow"): ALB_504}, "MLFLOW_PROXY_TIMEOUT must be under 60 s"),
    "running_version": (
        {("api", "/health"): Reply(200, {"status": "healthy", "version": "0.9"})},
        "not the one program that was declared",
    ),
}


@pytest.mark.parametrize("check", list(CAUSES))
def test_each_cause_of_the_incident_has_a_check_with_its_own_diagnosis(
    run: Run, platform: Platform, check: str
) -> None:
    instead, diagnosis = CAUSES[check]
    platform.instead.update(instead)
    ran = run(FIXES)
    assert ran.code == 1
    assert check in ran.failing
    assert diagnosis in ran.detail(check)


def test_flapping_health_is_the_sign_of_a_wrong_health_check_path(run: Run, platform: Platform) -> None:
    turns = iter([Reply(200, {"version": "1.2.3"}), ALB_502] * 5)
    platform.instead["registry", "/health"] = lambda _seen: next(turns)
    ran = run(FIXES)
    assert "targets_stay_healthy" in ran.failing
    assert "/health flaps (200, 502)" in ran.detail("targets_stay_healthy")


def test_a_key_the_auth_service_approves_and_the_api_refuses_is_the_service_id(run: Run, platform: Platform) -> None:
    platform.service_id = "ml-platform"
    ran = run(FIXES)
    assert "AUTH_SERVICE_ID differs" in ran.detail("service_id")


def test_a_key_the_auth_service_refuses_is_the_key_and_no_fault_of_the_platform(
    run: Run, platform: Platform, key: str
) -> None:
    platform.auth.keys[key]["is_active"] = False
    assert "the auth service itself refuses the key (revoked)" in run(FIXES).detail("service_id")


def test_a_form_of_the_key_that_is_not_accepted_is_named(run: Run, platform: Platform) -> None:
    def picky(seen: Seen) -> Reply:
        return Reply(401, {"detail": "API key required"}) if bearer_only(seen) else platform.answer("registry", seen)

    platform.instead["registry", "/api/mlflow"] = picky
    ran = run(FIXES)
    assert ran.failing == ["key_headers"]
    assert "not as bearer, ApiKey, X-API-Key" in ran.detail("key_headers")


def test_another_version_than_the_expected_one_fails(run: Run) -> None:
    assert run(FIXES, "--expected-version", "1.2.3").code == 0
    assert run(FIXES, "--expected-version", "2.0.0").failing == ["running_version"]


def test_a_netrc_entry_does_not_replace_the_key(platform: Platform, key: str, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    urls = [text for name, url in platform.urls.items() for text in (f"--{name}-url", url)]
    assert call(CONNECTION, *urls, key=key, HOME=str(tmp_path), NETRC=str(netrc)).code == 0
