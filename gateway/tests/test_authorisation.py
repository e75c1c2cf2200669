"""What a key may do, asked of a running gateway: the recording upstream must not see the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gateway.mlflow_routes import OPTIONAL_FAMILIES
from gateway.routes import MLFLOW, Rule
from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.mlflow_router import Endpoint
from gateway.tests.process import GatewayProcess, running_gateway
from gateway.tests.upstream import RecordingUpstream

MOUNT = "/api/mlflow"
QUERY = b'{"query": "{ test(inputString: \\"x\\") { output } }"}'


def example(rule: Rule) -> str:
    return Endpoint(rule.method, rule.template, "").path


def body(rule: Rule) -> bytes | None:
    return QUERY if rule.route.body == "graphql" else b"{}" if rule.method != "GET" else None


@pytest.fixture(scope="module")
def all_families(shared_auth: AuthStandIn, shared_upstream: RecordingUpstream) -> Iterator[GatewayProcess]:
    variables = {
        "GATEWAY_ENABLED_FAMILIES": ",".join(OPTIONAL_FAMILIES),
        "GATEWAY_EXTRA_ROUTES": "GET /api/2.0/mlflow/new-thing/{id} read, POST /newer/{rest:path} write",
    }
    with running_gateway(**settings(shared_auth, shared_upstream.url, **variables)) as process:
        yield process


def test_a_read_key_writes_by_no_route(all_families: GatewayProcess, upstream: RecordingUpstream, keys: Keys) -> None:
    key = keys(scopes=["read"])
    guarded = [rule for rule in MLFLOW if rule.route.scope != "read"]

    answers = [all_families.ask(rule.method, MOUNT + example(rule), key, body(rule)) for rule in guarded]

    assert {answer.status for answer in answers} == {403}
    assert upstream.requests == []


def test_only_an_admin_key_reaches_the_admin_routes(
    all_families: GatewayProcess, auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    both, admin = keys(), keys(scopes=["admin"])
    rules = [rule for rule in MLFLOW if rule.route.scope == "admin" and "/ajax-api/" not in rule.template]

    assert {all_families.ask(rule.method, MOUNT + example(rule), both, b"{}").status for rule in rules} == {403}
    assert upstream.requests == []
    assert {all_families.ask(rule.method, MOUNT + example(rule), admin, b"{}").status for rule in rules} == {200}
    assert len(upstream.requests) == len(rules) > 20


def test_every_route_is_served_to_a_key_with_all_scopes(
    all_families: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    key = keys(scopes=["read", "write", "admin"])
    for rule in MLFLOW:
        assert all_families.ask(rule.method, MOUNT + example(rule), key, body(rule)).status == 200, rule
        assert (upstream.last.method, upstream.last.target) == (rule.method, example(rule))


def test_an_optional_family_is_off_and_its_refusal_says_how_to_enable_it(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    key = keys(scopes=["read", "write", "admin"])
    optional = [rule for rule in MLFLOW if rule.route.family in OPTIONAL_FAMILIES]
    for rule in optional:
        answer = gateway.ask(rule.method, MOUNT + example(rule), key, body(rule))

        assert (answer.status, answer.json()["error_code"]) == (501, "FEATURE_DISABLED"), rule
        assert f"'{rule.route.family}'" in answer.json()["message"]
        assert "GATEWAY_ENABLED_FAMILIES" in answer.json()["message"]
    assert {rule.route.family for rule in optional} == OPTIONAL_FAMILIES.keys()
    assert upstream.requests == []


@pytest.mark.parametrize("root", ["/gateway/my-model/mlflow/invocations", "/signup", "/graphql", "/v1/traces"])
def test_other_roots_are_served_at_the_bare_host_too(
    all_families: GatewayProcess, upstream: RecordingUpstream, keys: Keys, root: str
) -> None:
    method = "GET" if root == "/signup" else "POST"

    assert all_families.ask(method, root, keys(scopes=["read", "write", "admin"]), QUERY).status == 200
    assert upstream.last.target == root


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/docs", "/openapi.json", "/live", "/ready"])
def test_the_gateways_own_pages_are_not_mlflows(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, path: str
) -> None:
    gateway.ask("GET", path, keys())

    assert [request for request in upstream.requests if request.target == path] == []


def test_an_unknown_route_is_refused_and_logged_with_what_to_do(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    key = keys()
    secret = key["Authorization"].removeprefix("Bearer ")
    target = f"{MOUNT}/api/2.0/mlflow/new-thing/{secret}?token={secret}"

    answer = gateway.ask("POST", target, key | {"X-Request-Id": "unknown-route-1"}, b"{}")
    record = gateway.access("unknown-route-1")
    line = next(json.loads(line) for line in gateway.lines if "unknown route" in line and "unknown-route-1" in line)

    assert (answer.status, answer.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    assert "GATEWAY_EXTRA_ROUTES" in answer.json()["message"]
    assert (line["level"], line["route"]) == ("warning", "POST /api/2.0/mlflow/new-thing/*")
    assert "GATEWAY_EXTRA_ROUTES" in line["remedy"]
    assert record["family"] == "unknown"
    assert secret not in json.dumps(line) + answer.body.decode()
    assert upstream.requests == []


def test_an_unknown_route_tells_nothing_without_a_key(gateway: GatewayProcess) -> None:
    answer = gateway.ask("GET", f"{MOUNT}/api/2.0/mlflow/new-thing")

    assert answer.status == 401
    assert "GATEWAY_EXTRA_ROUTES" not in answer.body.decode()


def test_a_route_the_operator_allowed_is_served(
    all_families: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    assert all_families.ask("GET", f"{MOUNT}/api/2.0/mlflow/new-thing/7", keys(scopes=["read"])).status == 200
    assert all_families.ask("POST", f"{MOUNT}/newer/a/b", keys(scopes=["read"]), b"{}").status == 403
    assert len(upstream.requests) == 1
