"""The pure parts: configuration, routes, origin, breaker and rate limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.breaker import UPLOADS_LATER, Breaker
from gateway.config import load
from gateway.errors import BreakerOpenError, ConfigError, RateLimitError
from gateway.headers import Origin
from gateway.identity import Identity
from gateway.rate_limit import RateLimiter
from gateway.routes import MLFLOW, RouteTable

URLS = {"MLFLOW_SERVER_URL": "http://mlflow.internal:5000", "HOKUSAI_AUTH_SERVICE_URL": "http://auth.internal:8000"}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_defaults_are_those_of_the_platform() -> None:
    config = load(URLS)

    assert (config.service_id, config.port, config.proxy_timeout) == ("platform", 8001, 55)
    assert (config.breaker_failures, config.breaker_recovery, config.breaker_attempts) == (5, 60, 5)
    assert config.auth_cache_ttl <= 60 < config.keep_alive


def test_the_older_names_of_the_urls_work_and_the_newer_win() -> None:
    older = {"MLFLOW_TRACKING_URI": "https://m.example/", "AUTH_SERVICE_URL": "https://a.example/base/"}

    assert load(older).mlflow_url == "https://m.example"
    assert load(older).auth_url == "https://a.example/base"
    assert load(older | URLS).mlflow_url == "http://mlflow.internal:5000"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MLFLOW_SERVER_URL", "ftp://m"),
        ("MLFLOW_SERVER_URL", "http://"),
        ("MLFLOW_SERVER_URL", "http://m:99999"),
        ("MLFLOW_SERVER_URL", "http://user:pw@m"),
        ("HOKUSAI_AUTH_SERVICE_URL", "http://a?x=1"),
        ("GATEWAY_PORT", "-1"),
        ("GATEWAY_PORT", "8001.5"),
        ("GATEWAY_PORT", "70000"),
        ("GATEWAY_AUTH_CACHE_TTL", "61"),
        ("MLFLOW_PROXY_TIMEOUT", "0"),
        ("MLFLOW_PROXY_TIMEOUT", "nan"),
        ("MLFLOW_SERVE_ARTIFACTS", "perhaps"),
        ("MLFLOW_CB_FAILURE_THRESHOLD", "0"),
        ("MLFLOW_SERVER_URL", "http://ml flow:5000"),
        ("MLFLOW_SERVER_URL", "http://m\\low:5000"),
        ("MLFLOW_SERVER_URL", "http://-m"),
        ("HOKUSAI_AUTH_SERVICE_URL", "http://a/the base"),
        ("HOKUSAI_AUTH_SERVICE_URL", "http://a/\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("GATEWAY_KEY_CONNECTIONS", "1025"),
        ("GATEWAY_KEY_CONNECTIONS", "0"),
        ("GATEWAY_MIN_RATE", "-1"),
        ("GATEWAY_TOTAL_TIMEOUT", "for ever"),
        ("GATEWAY_DRAIN_TIMEOUT", "a while"),
        ("ALL_PROXY", "socks5h://"),
        ("ALL_PROXY", "socks5h://u:p@h:port"),
    ],
)
def test_a_bad_value_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{variable} "):
        load(URLS | {variable: value})


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [
        ("GATEWAY_KEEPALIVE", "GATEWAY_KEEP_ALIVE"),
        ("GATEWAY_PROXY_TIMEOUT", "GATEWAY_.*TIMEOUT"),
        ("GATEWAY_", "GATEWAY_"),
    ],
)
def test_a_name_of_ours_that_nobody_reads_is_refused_with_the_nearest_that_somebody_does(
    unknown: str, nearest: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{unknown} is not known here.* {nearest}"):
        load(URLS | {unknown: "5"})


def test_other_peoples_variables_may_be_called_what_they_like() -> None:
    others = {"ECS_CONTAINER_METADATA_URI_V4": "x", "MLFLOW_ENABLE_ASYNC_LOGGING": "true", "gateway_port": "1"}

    assert load(URLS | others) == load(URLS)


@pytest.mark.parametrize(
    "url", ["http://[2001:db8::1]:5000", "http://mlflow.hokusai-development.local.:5000", "http://m_1"]
)
def test_a_good_url_is_taken(url: str) -> None:
    assert load(URLS | {"MLFLOW_SERVER_URL": url}).mlflow_url == url


@pytest.mark.parametrize(("connections", "share"), [("1024", 512), ("3", 1), ("1", 1)])
def test_a_keys_share_is_half_of_the_connections_if_nobody_says_otherwise(connections: str, share: int) -> None:
    assert load(URLS | {"GATEWAY_MAX_CONNECTIONS": connections}).key_connections == share


def test_a_proxys_password_is_decoded_and_never_shown() -> None:
    proxy = load(URLS | {"ALL_PROXY": "socks5h://10.0.1.7:to%2Fken@127.0.0.1:1081"}).outbound_proxy

    assert proxy is not None
    assert (proxy.host, proxy.port, proxy.username, proxy.password) == ("127.0.0.1", 1081, "10.0.1.7", "to/ken")
    assert "ken" not in str(proxy) + repr(proxy)


@pytest.mark.parametrize(
    ("method", "path", "family", "scope"),
    [
        ("GET", "/api/2.0/mlflow/experiments/search", "experiments", "read"),
        ("POST", "/api/2.0/mlflow/experiments/search", "experiments", "read"),
        ("POST", "/api/2.0/mlflow/experiments/create", "experiments", "write"),
        ("POST", "/api/2.0/mlflow/runs/search", "runs", "read"),
        ("POST", "/ajax-api/2.0/mlflow/runs/search", "runs", "read"),
        ("POST", "/api/2.0/mlflow/runs/%73earch", "runs", "read"),
        ("POST", "/api/2.0/mlflow/runs/log-batch", "runs", "write"),
        ("GET", "/api/2.0/mlflow/metrics/get-history", "runs", "read"),
        ("POST", "/api/2.0/mlflow/logged-models/search", "logged-models", "read"),
        ("POST", "/api/2.0/mlflow/logged-models", "logged-models", "write"),
        ("PATCH", "/api/2.0/mlflow/logged-models/m-1", "logged-models", "write"),
        ("POST", "/api/2.0/mlflow/registered-models/get-latest-versions", "registry", "read"),
        ("DELETE", "/api/2.0/mlflow/registered-models/alias", "registry", "write"),
        ("GET", "/api/2.0/mlflow/model-versions/search", "registry", "read"),
        ("POST", "/api/3.0/mlflow/traces/search", "traces", "read"),
        ("POST", "/api/3.0/mlflow/traces", "traces", "write"),
        ("POST", "/v1/traces", "traces", "write"),
        ("POST", "/api/3.0/mlflow/datasets/search", "datasets", "read"),
        ("POST", "/api/3.0/mlflow/scorers/register", "scorers", "write"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/a", "artifacts", "write"),
        ("HEAD", "/api/2.0/mlflow-artifacts/artifacts/a", "artifacts", "read"),
        ("POST", "/api/2.0/mlflow-artifacts/mpu/create/a", "artifacts", "write"),
        ("GET", "/get-artifact", "artifacts", "read"),
        ("POST", "/graphql", "ui", "read"),
        ("GET", "/", "ui", "read"),
        ("GET", "/version", "service", "read"),
    ],
)
def test_a_route_needs_the_scope_of_what_it_does(method: str, path: str, family: str, scope: str) -> None:
    route = RouteTable(MLFLOW).classify(method, path.encode())

    assert route is not None
    assert (route.family, route.scope) == (family, scope)


@pytest.mark.parametrize(
    ("trusted", "forwarded", "client_ip"),
    [
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.101.4", "203.0.113.9"),
        (1, "", "10.0.101.5"),
        (0, "203.0.113.9", "10.0.101.5"),
        (1, "not an address", "10.0.101.5"),
        (1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_client_is_who_the_trusted_proxy_saw(trusted: int, forwarded: str, client_ip: str) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []

    assert Origin.of(headers, "10.0.101.5", "http", trusted).client_ip == client_ip


def test_the_breaker_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker("MLflow", BreakerOpenError, failures=2, recovery=10, attempts=2, clock=Clock())
    for outcome in (breaker.failed, breaker.succeeded, breaker.failed):
        breaker.admit()
        outcome()
    assert breaker.state == "closed"

    breaker.failed()

    assert breaker.state == "open"
    with pytest.raises(BreakerOpenError) as refused:
        breaker.admit()
    assert refused.value.retry_after == 1


def test_each_failed_probe_doubles_the_wait_for_the_next_up_to_the_recovery_time() -> None:
    """A restart is over within a second or two; an outage is not to be asked every second."""
    clock = Clock()
    breaker = Breaker("MLflow", BreakerOpenError, failures=1, recovery=10, attempts=5, clock=clock)
    breaker.failed()
    waits = []
    for _ in range(6):
        with pytest.raises(BreakerOpenError) as refused:
            breaker.admit()
        waits.append(refused.value.retry_after)
        clock.now += refused.value.retry_after or 0
        breaker.failed(breaker.admit())
    assert waits == [1, 2, 4, 8, 10, 10]

    clock.now += 10
    breaker.admit()
    breaker.succeeded()
    breaker.failed()
    with pytest.raises(BreakerOpenError) as refused:
        breaker.admit()
    assert refused.value.retry_after == 1


def test_a_half_open_breaker_lets_one_request_through_at_a_time() -> None:
    clock = Clock()
    breaker = Breaker("MLflow", BreakerOpenError, failures=1, recovery=10, attempts=2, clock=clock)
    breaker.failed()
    clock.now += 10

    ticket = breaker.admit()
    with pytest.raises(BreakerOpenError):
        breaker.admit()
    breaker.released(ticket)
    breaker.admit()
    breaker.succeeded()

    assert breaker.state == "closed"


def half_open(clock: Clock) -> Breaker:
    breaker = Breaker("MLflow", BreakerOpenError, failures=1, recovery=10, attempts=2, clock=clock)
    breaker.failed(breaker.admit())
    clock.now += 1
    return breaker


@pytest.mark.parametrize("end", [Breaker.released, Breaker.failed])
def test_a_request_from_before_the_breaker_opened_does_not_end_the_probe(end: Callable[[Breaker, int], None]) -> None:
    clock = Clock()
    breaker = Breaker("MLflow", BreakerOpenError, failures=1, recovery=10, attempts=2, clock=clock)
    early = breaker.admit()
    breaker.failed(breaker.admit())
    clock.now += 1
    probe = breaker.admit()

    end(breaker, early)

    with pytest.raises(BreakerOpenError):
        breaker.admit()
    assert breaker.state == "half-open"
    breaker.released(probe)
    breaker.admit()


def test_an_answer_closes_the_breaker_whoever_asked() -> None:
    breaker = half_open(Clock())
    probe = breaker.admit()
    breaker.succeeded()
    breaker.released(probe)

    assert breaker.state == "closed"


def test_a_request_whose_body_streams_probes_only_if_nobody_else_does() -> None:
    clock = Clock()
    breaker = half_open(clock)
    with pytest.raises(BreakerOpenError):
        breaker.admit(streams=True)
    clock.now += UPLOADS_LATER
    upload = breaker.admit(streams=True)
    with pytest.raises(BreakerOpenError):
        breaker.admit(streams=True)

    search = breaker.admit()
    breaker.released(upload)
    with pytest.raises(BreakerOpenError):
        breaker.admit()
    breaker.failed(search)
    assert breaker.state == "open"


def test_a_failed_probe_opens_the_breaker_again_and_too_many_call_for_somebody() -> None:
    clock = Clock()
    breaker = Breaker("MLflow", BreakerOpenError, failures=1, recovery=10, attempts=2, clock=clock)
    breaker.failed()
    for _ in range(2):
        assert not breaker.exhausted
        clock.now += 10
        breaker.failed(breaker.admit())
        assert breaker.state == "open"
    assert breaker.exhausted

    clock.now += 10
    breaker.admit()


def test_a_key_earns_requests_back_evenly_and_alone() -> None:
    clock = Clock()
    limiter = RateLimiter(clock)
    key = Identity("u", "key-1", "platform", frozenset({"read"}), rate_limit_per_hour=60)
    for _ in range(60):
        limiter.spend(key)
    with pytest.raises(RateLimitError) as refused:
        limiter.spend(key)
    assert refused.value.retry_after == pytest.approx(60)

    limiter.spend(Identity("u", "key-2", "platform", frozenset({"read"}), rate_limit_per_hour=60))
    clock.now += 60
    limiter.spend(key)
    with pytest.raises(RateLimitError):
        limiter.spend(key)


def test_a_key_without_a_limit_has_none() -> None:
    limiter = RateLimiter(Clock())
    for _ in range(10_000):
        limiter.spend(Identity("u", "key-1", "platform", frozenset()))
