"""The statuses a client can get, and what they say (platform.md, "Status the API answers")."""

from __future__ import annotations

import pytest

from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys
from gateway.tests.process import GatewayProcess, new_key
from gateway.tests.upstream import RecordingUpstream

SEARCH = "/api/mlflow/api/2.0/mlflow/experiments/search"
CREATE = "/api/mlflow/api/2.0/mlflow/experiments/create"


def test_a_good_key_reaches_mlflow(gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys) -> None:
    answer = gateway.ask("POST", SEARCH, keys(), b"{}")

    assert (answer.status, answer.json()["target"]) == (200, "/api/2.0/mlflow/experiments/search")
    assert upstream.last.body == b"{}"


def test_no_key_is_a_401_in_mlflows_shape(gateway: GatewayProcess, upstream: RecordingUpstream) -> None:
    answer = gateway.ask("GET", SEARCH)

    assert answer.status == 401
    assert answer.json()["error_code"] == "UNAUTHENTICATED"
    assert answer.json()["request_id"] == answer.value("x-request-id")
    assert "Bearer" in answer.value("www-authenticate")
    assert upstream.requests == []


def test_an_unknown_key_is_a_401_with_the_reason(gateway: GatewayProcess, upstream: RecordingUpstream) -> None:
    answer = gateway.ask("GET", SEARCH, {"X-API-Key": new_key()})

    assert (answer.status, "unknown key" in answer.json()["message"]) == (401, True)
    assert upstream.requests == []


def test_is_valid_false_is_a_refusal_although_the_status_is_200(gateway: GatewayProcess, keys: Keys) -> None:
    assert gateway.ask("GET", SEARCH, keys(is_valid=False)).status == 401


def test_a_key_of_another_service_is_refused(gateway: GatewayProcess, keys: Keys) -> None:
    assert gateway.ask("GET", SEARCH, keys(service_id="ml-platform")).status == 401
    assert gateway.ask("GET", SEARCH, keys(service_id=None)).status == 401


def test_a_key_without_balance_gets_a_402(gateway: GatewayProcess, keys: Keys) -> None:
    answer = gateway.ask("GET", SEARCH, keys(has_sufficient_balance=False))

    assert (answer.status, answer.json()["error_code"]) == (402, "QUOTA_EXCEEDED")


def test_a_read_key_searches_by_post_and_may_not_create(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    key = keys(scopes=["read"])

    assert gateway.ask("POST", SEARCH, key, b"{}").status == 200
    refused = gateway.ask("POST", CREATE, key, b"{}")

    assert (refused.status, refused.json()["error_code"]) == (403, "PERMISSION_DENIED")
    assert "write" in refused.json()["message"]
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_read_key_may_not_change_an_artifact(gateway: GatewayProcess, keys: Keys, method: str) -> None:
    target = "/api/mlflow/api/2.0/mlflow-artifacts/artifacts/1/a.txt"

    assert gateway.ask(method, target, keys(scopes=["read"])).status == 403


def test_a_write_key_alone_may_not_read(gateway: GatewayProcess, keys: Keys) -> None:
    assert gateway.ask("GET", SEARCH, keys(scopes=["write"])).status == 403


def test_a_spent_rate_limit_is_a_429_with_retry_after(gateway: GatewayProcess, keys: Keys) -> None:
    key = keys(rate_limit_per_hour=2, key_id="limited")

    statuses = [gateway.ask("GET", SEARCH, key).status for _ in range(2)]
    answer = gateway.ask("GET", SEARCH, key)

    assert (statuses, answer.status) == ([200, 200], 429)
    assert answer.json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    assert 1700 < int(answer.value("retry-after")) <= 1800


@pytest.mark.parametrize("outage", [429, 500, 503, 307, 404])
def test_an_auth_service_that_cannot_answer_is_a_503_and_never_a_401(
    gateway: GatewayProcess, auth: AuthStandIn, keys: Keys, outage: int
) -> None:
    key = keys()
    auth.outage = outage
    answer = gateway.ask("GET", SEARCH, key)

    assert (answer.status, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert int(answer.value("retry-after")) >= 1


@pytest.mark.parametrize("body", [b"<html>200</html>", b"[]", b'{"is_valid": "yes"}', b"{}"])
def test_a_200_that_is_not_the_contract_is_an_outage_too(
    gateway: GatewayProcess, auth: AuthStandIn, body: bytes
) -> None:
    key = new_key()
    auth.answers[key] = body

    assert gateway.ask("GET", SEARCH, {"X-API-Key": key}).status == 503


@pytest.mark.parametrize("key_id", [None, "", "  ", [], {}])
def test_a_good_key_without_an_id_is_not_the_contract(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, key_id: object
) -> None:
    """Its requests would be counted and limited together with those of all others that have none."""
    answer = gateway.ask("GET", SEARCH, keys(key_id=key_id))

    assert (answer.status, "not its contract" in answer.json()["message"]) == (503, True)
    assert upstream.requests == []


def test_an_auth_service_that_hangs_is_a_503(gateway: GatewayProcess, auth: AuthStandIn, keys: Keys) -> None:
    key = keys()
    auth.delay = 1.5

    answer = gateway.ask("GET", SEARCH, key)

    assert (answer.status, "no answer within 0.9 s" in answer.json()["message"]) == (503, True)


@pytest.mark.parametrize("path", ["/", "/api/v1/models", "/api/mlflowish", "/mlflow/health", "/api/2.0/mlflow%2Fruns"])
def test_an_unknown_path_needs_a_key_and_is_then_a_404(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, path: str
) -> None:
    assert gateway.ask("GET", path).status == 401
    answer = gateway.ask("GET", path, keys())

    assert (answer.status, answer.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    assert upstream.requests == []


@pytest.mark.parametrize("path", ["/health/alb", "/docs", "/favicon.ico"])
def test_open_paths_that_are_not_served_are_a_404_without_a_key(gateway: GatewayProcess, path: str) -> None:
    assert gateway.ask("GET", path).status == 404


@pytest.mark.parametrize(
    "path", ["/health", "/live", "/version", "/metrics", "/ready", "/api/health/mlflow", "/openapi.json"]
)
def test_open_paths_need_no_key_and_only_answer_reads(gateway: GatewayProcess, path: str) -> None:
    assert gateway.ask("GET", path).status == 200
    assert gateway.ask("HEAD", path).status == 200

    refused = gateway.ask("POST", path)
    assert (refused.status, refused.value("allow")) == (405, "GET, HEAD")


def test_a_method_nobody_knows_is_told_which_there_are(gateway: GatewayProcess, keys: Keys) -> None:
    refused = gateway.ask("TRACE", SEARCH, keys())

    assert (refused.status, refused.value("allow")) == (405, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")


def test_a_preflight_needs_no_key(gateway: GatewayProcess, upstream: RecordingUpstream) -> None:
    answer = gateway.ask("OPTIONS", SEARCH, {"Origin": "https://ui.example", "Access-Control-Request-Method": "GET"})

    assert (answer.status, "GET" in answer.value("allow")) == (204, True)
    assert upstream.requests == []


def test_the_slashless_mount_redirects_below_the_slash(gateway: GatewayProcess, keys: Keys) -> None:
    answer = gateway.ask("GET", "/api/mlflow?a=1", keys())

    assert (answer.status, answer.value("location")) == (308, "/api/mlflow/?a=1")


def test_mlflows_assistant_is_off(gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys) -> None:
    assert gateway.ask("GET", "/api/mlflow/ajax-api/3.0/mlflow/assistant/config", keys()).status == 501
    assert upstream.requests == []


def test_a_callers_request_id_comes_back_and_a_bad_one_is_replaced(gateway: GatewayProcess) -> None:
    assert gateway.ask("GET", "/health", {"X-Request-Id": "Root=1-67"}).value("x-request-id") == "Root=1-67"
    for bad in ("with space", "x" * 129, "hk_live_something", "id=hk_live_some", "a-HK_test_b", 'a"b'):
        assert gateway.ask("GET", "/health", {"X-Request-Id": bad}).value("x-request-id") != bad
