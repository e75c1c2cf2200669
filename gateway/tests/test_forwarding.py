"""What MLflow sees of a request and what the client sees of its answer: the same, except what must differ."""

from __future__ import annotations

import gzip

import pytest

from gateway.tests.conftest import Keys
from gateway.tests.process import GatewayProcess
from gateway.tests.upstream import GZIPPED, RecordingUpstream

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.mark.parametrize(
    "target",
    [
        f"{ARTIFACTS}/1/a%2Fb%20c.txt",
        f"{ARTIFACTS}/1/na=me&with,all:of:it@x+y!$'()*~",
        f"{ARTIFACTS}/1/%252e.%25/v1..2/%C3%A9/%zz",
        f"{ARTIFACTS}/1//double//slash/./dot/",
        "/api/2.0/mlflow/experiments/search?a=%2F&a=2&b=;c+d&&e?/%zz='x'",
        "/?",
        "/",
        "/api/2.0/mlflow/registered-models/get?name=a;b%23c%5C%2e.",
        "/static-files/main.js",
    ],
)
def test_path_and_query_arrive_as_sent(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, target: str
) -> None:
    assert gateway.ask("GET", f"/api/mlflow{target}", keys()).status == 200
    assert upstream.last.target == (target if target != "/?" else "/")


@pytest.mark.parametrize(
    "target",
    [
        "/api/2.0/mlflow/experiments/search?max_results=1",
        "/api/3.0/mlflow/server-info",
        f"{ARTIFACTS}/1/a%2Fb",
        "/ajax-api/2.0/mlflow/experiments/search",
        "/get-artifact?path=a",
        "/model-versions/get-artifact?path=a",
        "/static-files/a.js",
        "/version",
    ],
)
def test_the_bare_root_is_a_tracking_uri_too(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, target: str
) -> None:
    assert gateway.ask("GET", target, keys()).status == 200
    assert upstream.last.target == target


def test_version_without_a_key_is_the_gateways_own(gateway: GatewayProcess, upstream: RecordingUpstream) -> None:
    assert gateway.ask("GET", "/version").json()["service"] == "hokusai-gateway"
    assert upstream.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "/../x",
        "/a/..",
        "/%2e%2e/x",
        "/a/%252e%252e/b",
        "/a/%25252E./b",
        "/a%2f..%2fb",
        "/a\\b",
        "/a%5cb",
        "/a%255cb",
        "/a%00b",
        "/a%2500b",
        "/%25252525252525252e",
    ],
)
def test_paths_that_climb_or_hide_are_refused(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, path: str
) -> None:
    for mount in ("/api/mlflow", ARTIFACTS):
        assert gateway.ask("GET", mount + path, keys()).status == 400
    assert upstream.requests == []


def test_a_14_kb_query_passes_and_an_endless_one_is_a_414(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    target = "/api/mlflow/api/2.0/mlflow/experiments/search?filter="

    assert gateway.ask("GET", target + "f" * 14_000, keys()).status == 200
    assert len(upstream.last.target) > 14_000
    assert gateway.ask("GET", target + "f" * 65_100, keys()).status == 414


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("GET", "/api/2.0/mlflow/registered-models/get"),
        ("POST", "/api/2.0/mlflow/runs/update"),
        ("PUT", f"{ARTIFACTS}/1/a"),
        ("PATCH", "/api/2.0/mlflow/registered-models/update"),
        ("DELETE", "/api/2.0/mlflow/registered-models/delete"),
    ],
)
def test_methods_and_their_bodies_pass(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, method: str, route: str
) -> None:
    headers = keys() | {"Content-Type": "application/json; charset=utf-8"}

    assert gateway.ask(method, f"/api/mlflow{route}", headers, b'{"a": 1}').status == 200
    assert (upstream.last.method, upstream.last.body) == (method, b'{"a": 1}')
    assert upstream.last.values("content-type") == ["application/json; charset=utf-8"]
    assert upstream.last.values("content-length") == ["8"]


def test_head_answers_without_a_body(gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys) -> None:
    answer = gateway.ask("HEAD", f"/api/mlflow{ARTIFACTS}/a", keys())

    assert (answer.status, answer.body, upstream.last.method) == (200, b"", "HEAD")


def test_nothing_is_added_to_a_request_but_what_is_documented(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    gateway.ask("GET", "/api/mlflow/api/2.0/mlflow/runs/get", keys() | {"X-MLflow-Workspace": "w", "Range": "bytes=1-"})

    names = {name.lower() for name, _ in upstream.last.headers}
    assert names == {
        "host",
        "x-mlflow-workspace",
        "range",
        "x-hokusai-user-id",
        "x-hokusai-key-id",
        "x-hokusai-service-id",
        "x-hokusai-scopes",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-request-id",
    }


def test_host_is_mlflows_and_the_clients_goes_into_forwarded_headers(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    sent = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "forged",
        "Forwarded": "for=1",
    }

    gateway.ask("GET", "/api/mlflow/version", keys() | sent)

    seen = upstream.last
    assert seen.values("host") == [f"127.0.0.1:{upstream.port}"]
    assert seen.values("x-forwarded-for") == ["203.0.113.9, 127.0.0.1"]
    assert seen.values("x-forwarded-proto") == ["https"]
    assert seen.values("x-forwarded-host") == [f"127.0.0.1:{gateway.port}"]
    assert seen.values("forwarded") == []


def test_hop_by_hop_headers_end_here_and_cannot_drop_others(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    headers = [
        *keys().items(),
        ("Connection", "X-Private, content-type, X-Hokusai-User-Id"),
        ("X-Private", "1"),
        ("TE", "trailers"),
        ("Proxy-Authorization", "Basic eA=="),
        ("Content-Type", "application/json"),
    ]

    assert gateway.ask("POST", "/api/mlflow/api/2.0/mlflow/runs/search", headers, b"{}").status == 200
    seen = upstream.last
    assert [seen.values(name) for name in ("connection", "x-private", "te", "proxy-authorization")] == [[]] * 4
    assert (seen.value("content-type"), seen.value("x-hokusai-user-id")) == ("application/json", "user-1")


def test_repeated_headers_stay_repeated_both_ways(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    headers = [*keys().items(), ("X-Tag", "1"), ("X-Tag", "2"), ("X-Behave", "multi")]

    answer = gateway.ask("GET", "/api/mlflow/version", headers)

    assert upstream.last.values("x-tag") == ["1", "2"]
    assert answer.values("set-cookie") == ["a=1", "b=2"]
    assert answer.value("content-disposition") == 'attachment; filename="a"'
    assert [answer.values(name) for name in ("x-hop", "keep-alive")] == [[], []]


def test_cookies_of_one_answer_are_not_sent_with_another_request(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    gateway.ask("GET", "/api/mlflow/version", keys() | {"X-Behave": "multi"})
    gateway.ask("GET", "/api/mlflow/version", keys())

    assert upstream.last.values("cookie") == []


def test_compressed_bodies_pass_untouched_both_ways(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    sent = gzip.compress(b"spans" * 100)
    headers = keys() | {"Content-Encoding": "gzip", "Content-Type": "application/x-protobuf", "X-Behave": "gzip"}

    answer = gateway.ask("POST", "/api/mlflow/v1/traces", headers, sent)

    assert (upstream.last.body, upstream.last.value("content-encoding")) == (sent, "gzip")
    assert (answer.body, answer.value("content-encoding")) == (GZIPPED, "gzip")


def test_a_partial_answer_and_a_304_pass(gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys) -> None:
    """The 304 declares the length of the body it does not have, as MLflow's do."""
    key = keys()
    partial = gateway.ask("GET", f"/api/mlflow{ARTIFACTS}/a", key | {"X-Behave": "partial", "Range": "bytes=3-5"})
    unchanged = gateway.ask(
        "GET",
        f"/api/mlflow{ARTIFACTS}/a",
        key | {"X-Behave": "not-modified", "If-None-Match": '"x"', "X-Request-Id": "unchanged-1"},
    )

    assert (partial.status, partial.body, partial.value("content-range")) == (206, b"345", "bytes 3-5/10")
    assert (unchanged.status, unchanged.body, unchanged.value("etag")) == (304, b"", '"x"')
    assert "reason" not in gateway.access("unchanged-1")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("UPSTREAM/api/2.0/x?y=1", "/api/mlflow/api/2.0/x?y=1"),
        ("UPSTREAM", "/api/mlflow/"),
        ("/static-files/", "/api/mlflow/static-files/"),
        ("relative", "relative"),
        ("https://bucket.example/signed?x", "https://bucket.example/signed?x"),
        ("UPSTREAM.evil.example/", "UPSTREAM.evil.example/"),
    ],
)
def test_a_redirect_names_no_internal_host(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, location: str, expected: str
) -> None:
    headers = keys() | {"X-Behave": "redirect", "X-Location": location}

    answer = gateway.ask("GET", "/api/mlflow/static-files/x", headers)

    assert (answer.status, answer.value("location")) == (307, expected.replace("UPSTREAM", upstream.url))


def test_the_ui_may_write_from_its_own_origin(gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys) -> None:
    key = keys()
    gateway.ask("POST", "/api/mlflow/ajax-api/2.0/mlflow/runs/create", key | {"Origin": gateway.url}, b"{}")
    same = upstream.last.values("origin")
    gateway.ask(
        "POST", "/api/mlflow/ajax-api/2.0/mlflow/runs/create", key | {"Origin": "https://elsewhere.example"}, b"{}"
    )

    assert (same, upstream.last.values("origin")) == ([], ["https://elsewhere.example"])


def test_a_header_that_is_not_utf8_arrives_as_it_was_sent(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    assert gateway.ask("GET", "/api/mlflow/version", keys() | {"X-Tag": "\xe9"}).status == 200
    assert upstream.last.value("x-tag") == "\xe9"


@pytest.mark.parametrize("origin", ["http://[", "http://[1::g]/", "//[x"])
def test_an_origin_that_is_no_url_is_not_the_uis_own(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, origin: str
) -> None:
    assert (
        gateway.ask("POST", "/api/mlflow/ajax-api/2.0/mlflow/runs/create", keys() | {"Origin": origin}, b"{}").status
        == 200
    )
    assert upstream.last.values("origin") == [origin]
