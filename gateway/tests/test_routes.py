"""Default deny: the table of routes against the installed MLflow, older ones, and ways round it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from gateway.config import load
from gateway.errors import ConfigError
from gateway.mlflow_routes import OPTIONAL_FAMILIES
from gateway.routes import MLFLOW, SCOPES, Route, RouteTable, Rule, parse_extra, shape
from gateway.tests import mlflow_router
from gateway.tests.mlflow_router import Endpoint

TABLE = RouteTable(MLFLOW)
URLS = {"MLFLOW_SERVER_URL": "http://m:5000", "HOKUSAI_AUTH_SERVICE_URL": "http://a"}


@pytest.fixture(scope="module")
def endpoints() -> list[Endpoint]:
    return mlflow_router.installed()


def classify(method: str, path: str) -> Route | None:
    return TABLE.classify(method, path.encode())


def test_every_route_of_the_installed_mlflow_is_in_the_table(endpoints: list[Endpoint]) -> None:
    unknown = [endpoint for endpoint in endpoints if classify(endpoint.method, endpoint.path) is None]

    assert len(endpoints) > 450
    assert unknown == []


def test_every_route_of_an_older_mlflow_is_in_the_table() -> None:
    older = mlflow_router.older()

    assert len(older) > 20
    assert [endpoint for endpoint in older if classify(endpoint.method, endpoint.path) is None] == []


def test_mlflows_own_users_and_roles_are_one_family_and_off() -> None:
    own = [path for path in mlflow_router.authentication_paths() if "/users/" in path or "/roles/" in path]
    families = {route.family for path in own for rule in ("GET", "POST") if (route := classify(rule, path))}

    assert len(own) > 40
    assert families == {"users"} <= OPTIONAL_FAMILIES.keys()


def test_what_mlflow_writes_needs_more_than_read(endpoints: list[Endpoint]) -> None:
    """Judged by the name of MLflow's handler, and not by what our table says."""
    writers = [endpoint for endpoint in endpoints if endpoint.writes]
    easy = [one for one in writers if (route := classify(one.method, one.path)) and route.scope == "read"]

    assert len(writers) > 200
    assert easy == []


def test_what_is_asked_by_get_is_no_write_but_where_the_family_is_guarded(endpoints: list[Endpoint]) -> None:
    guarded = {
        route.family
        for endpoint in endpoints
        if not endpoint.writes and (route := classify(endpoint.method, endpoint.path)) and route.scope != "read"
    }

    assert guarded == {"ai-gateway", "assistant", "webhooks"}


def spellings(path: str) -> Iterator[str]:
    """The same path to a careless reader, and to MLflow perhaps."""
    *head, last = path.split("/")
    start = "/".join(head)
    yield from (path + "/", path + "//", "/" + path, path + "%0a", path + "%00", path + ";x", path + "/.", path + "?")
    yield from (
        f"{start}%2F{last}",
        f"{start}//{last}",
        f"{start}/./{last}",
        f"{start}/%2F{last}",
        f"{start}%252F{last}",
    )
    yield from (f"{start}/%{ord(last[0]):02x}{last[1:]}", f"{start}/%{ord(last[0]):02X}{last[1:]}", path.upper())
    yield from (f"{start}/{last.title()}", quote(path, safe=""), path.replace("/mlflow/", "/mlflow%2f"))
    yield from (f"{path}/search", f"{start}/search/../{last}", f"{start}/{last}%09", f"{start}/%20{last}")


def test_no_spelling_of_a_write_passes_as_a_read(endpoints: list[Endpoint]) -> None:
    writers = {endpoint.handler for endpoint in endpoints if endpoint.writes}
    paths = {endpoint.path.rstrip("/") for endpoint in endpoints if endpoint.writes}
    tried = reached = 0
    for path in paths:
        for spelling in spellings(path):
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                tried += 1
                route = classify(method, spelling)
                if route and route.scope == "read":
                    handler = mlflow_router.routed(method, spelling)
                    assert handler not in writers, (method, spelling, route)
                reached += route is not None

    assert tried > 10_000 < tried - reached


@pytest.mark.parametrize("path", ["/api/2.0/mlflow/runs%2Fcreate", "/api/2.0/mlflow/%72uns/create"])
def test_an_encoded_write_that_mlflow_understands_is_a_write_here(path: str) -> None:
    assert mlflow_router.routed("POST", path) == "_create_run"

    assert classify("POST", path) == Route("runs", "write")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/2.0/mlflow/runs/create/"),
        ("POST", "/api/2.0/mlflow//runs/create"),
        ("POST", "/API/2.0/mlflow/runs/create"),
        ("post", "/api/2.0/mlflow/runs/create"),
        ("POST", "/api/2.0/mlflow/runs/search;/../create"),
        ("POST", "/v1/traces%0A"),
        ("POST", "/v1/traces/"),
        ("PUT", "/api/2.0/mlflow/runs/create"),
        ("TRACE", "/"),
        ("GET", "/metrics"),
        ("GET", "/index.html"),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts/"),
        ("DELETE", "/api/2.0/mlflow-artifacts/artifacts"),
        ("GET", "/api/2.0/mlflow/traces//info"),
        ("GET", "/api/4.0/mlflow/runs/get"),
        ("GET", "/api/3.0/mlflow/traces/a%00b"),
        ("GET", ""),
    ],
)
def test_what_is_not_in_the_table_is_no_route(method: str, path: str) -> None:
    assert classify(method, path) is None


def test_head_is_judged_as_get() -> None:
    for rule in MLFLOW:
        path = Endpoint("GET", rule.template, "").path

        assert classify("HEAD", path) == classify("GET", path)


def test_a_literal_route_wins_over_a_parameter_with_the_same_method() -> None:
    assert classify("POST", "/api/2.0/mlflow/traces/delete-traces") == Route("traces", "write")
    assert classify("GET", "/api/2.0/mlflow/logged-models/search") == Route("logged-models", "read")
    assert classify("POST", "/api/2.0/mlflow/logged-models/search") == Route("logged-models", "read")
    assert classify("POST", "/api/3.0/mlflow/gateway/secrets/permissions/create") == Route("users", "admin")


def test_the_table_has_no_rule_twice_and_no_unknown_scope() -> None:
    assert len({(rule.method, rule.template) for rule in MLFLOW}) == len(MLFLOW)
    assert {rule.route.scope for rule in MLFLOW} == set(SCOPES)
    assert OPTIONAL_FAMILIES.keys() <= {rule.route.family for rule in MLFLOW}


def test_an_operator_can_allow_a_newer_route() -> None:
    rules = parse_extra("GET /api/2.0/mlflow/new-thing/{id} read, POST /new/{rest:path} write,")
    table = RouteTable([*MLFLOW, *rules])

    assert rules[0] == Rule("GET", "/api/2.0/mlflow/new-thing/{id}", Route("extra", "read"))
    assert table.classify("HEAD", b"/api/2.0/mlflow/new-thing/7") == Route("extra", "read")
    assert table.classify("POST", b"/new/a/b") == Route("extra", "write")
    assert table.classify("POST", b"/api/2.0/mlflow/new-thing/7") is None


@pytest.mark.parametrize(
    "value",
    [
        "GET /x",
        "FETCH /x read",
        "get /x read",
        "GET /x root",
        "GET x read",
        "GET / read",
        "GET /{any} read",
        "GET /{any:path} read",
        "GET /a/{b:path}/c read",
        "GET /a/../b read",
        "GET /a//b read",
        "GET /a%2Fb read",
        "GET /a? read",
        "POST /api/2.0/mlflow/runs/create read",
        "PATCH /api/2.0/mlflow/traces/{another_name} read",
    ],
)
def test_a_bad_extra_route_stops_the_start_with_the_variables_name(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^GATEWAY_EXTRA_ROUTES "):
        load(URLS | {"GATEWAY_EXTRA_ROUTES": value})


def test_a_wrong_family_stops_the_start_and_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"^GATEWAY_ENABLED_FAMILIES .*ai-gateway, assistant, jobs.*webhooks"):
        load(URLS | {"GATEWAY_ENABLED_FAMILIES": "jobs, webhook"})

    assert load(URLS | {"GATEWAY_ENABLED_FAMILIES": "jobs, webhooks"}).enabled_families == {"jobs", "webhooks"}


def test_the_printed_configuration_shows_families_and_routes() -> None:
    config = load(URLS | {"GATEWAY_ENABLED_FAMILIES": "jobs", "GATEWAY_EXTRA_ROUTES": "GET /new/{x} read"})

    assert config.describe()["enabled_families"] == ["jobs"]
    assert config.describe()["extra_routes"] == ["GET /new/{x} read"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/2.0/mlflow/new-thing", "/api/2.0/mlflow/new-thing"),
        ("/api/4.0/mlflow/new/My%20Model", "/api/4.0/mlflow/new/*"),
        ("/v2/traces", "/v2/traces"),
        (f"/hk_live_{'k' * 32}/x", "/*/x"),
        ("/abcdefghijklmnopqrstuvwxyzabcdef", "/*"),
        ("/0123/UPPER/a\x1b[31m/é", "/*/*/*/*"),
        ("/a" * 40, "/a" * 12 + "/..."),
    ],
)
def test_a_path_is_logged_by_its_shape(path: str, expected: str) -> None:
    assert shape(path.encode()) == expected
