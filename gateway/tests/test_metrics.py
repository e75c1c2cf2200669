"""What /metrics says, as Prometheus's own parser reads it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import __version__
from gateway.metrics import BUCKETS, Histogram
from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.process import GatewayProcess, new_key, running_gateway
from gateway.tests.upstream import RecordingUpstream

RUN = "/api/mlflow/api/2.0/mlflow/runs/get"
CREATE = "/api/mlflow/api/2.0/mlflow/runs/create"


class Measures:
    def __init__(self, gateway: GatewayProcess) -> None:
        text = gateway.ask("GET", "/metrics").body.decode()
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    def value(self, sample: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        samples = [
            one for family in self.families.values() for one in family.samples if one.name == f"gateway_{sample}"
        ]
        return sum(one.value for one in samples if labels.items() <= one.labels.items())


@pytest.fixture
def own(auth: AuthStandIn, upstream: RecordingUpstream) -> Iterator[GatewayProcess]:
    with running_gateway(
        **settings(auth, upstream.url, MLFLOW_CB_FAILURE_THRESHOLD="1", MLFLOW_CB_RECOVERY_TIMEOUT="0.1")
    ) as gateway:
        yield gateway


def test_every_family_has_a_type_and_words(gateway: GatewayProcess, keys: Keys) -> None:
    gateway.ask("GET", RUN, keys())
    families = Measures(gateway).families

    assert all(family.type in {"counter", "gauge", "histogram"} for family in families.values())
    assert all(family.documentation and family.name.startswith("gateway_") for family in families.values())
    assert all(family.samples for family in families.values())


def test_requests_are_counted_by_family_status_and_emitter(gateway: GatewayProcess, keys: Keys) -> None:
    key = keys()
    before = Measures(gateway)
    gateway.ask("GET", RUN, key)
    gateway.ask("GET", RUN, {"X-API-Key": new_key()})
    gateway.ask("GET", RUN)
    after = Measures(gateway)

    for labels in (
        {"family": "runs", "status": "200", "emitter": "mlflow"},
        {"status": "401", "emitter": "auth"},
        {"status": "401", "emitter": "gateway"},
    ):
        assert after.value("requests_total", **labels) - before.value("requests_total", **labels) == 1
    assert after.value("requests_in_flight") == 1


def test_durations_are_counted_by_family(gateway: GatewayProcess, keys: Keys) -> None:
    key = keys()
    gateway.ask("GET", RUN, key)
    before = Measures(gateway)
    gateway.ask("GET", RUN, key | {"X-Behave": "trickle"})
    after = Measures(gateway)

    def grown(sample: str, **labels: str) -> float:
        return after.value(sample, family="runs", **labels) - before.value(sample, family="runs", **labels)

    assert grown("request_duration_seconds_count") == grown("upstream_duration_seconds_count") == 1
    assert grown("request_duration_seconds_bucket", le="1.0") == 0
    assert grown("request_duration_seconds_bucket", le="5.0") == 1
    assert 1 < grown("request_duration_seconds_sum") < 5
    assert grown("upstream_duration_seconds_sum") < 1


def test_a_second_on_a_bound_is_in_its_bucket() -> None:
    histogram = Histogram()
    for seconds in (0.0, BUCKETS[0], BUCKETS[0] + 1e-9, BUCKETS[-1] + 1):
        histogram.observe("runs", seconds)

    buckets = [value for suffix, _, value in histogram.samples() if suffix == "_bucket"]
    assert buckets == [2, 3, *[3] * (len(BUCKETS) - 2), 4]


def test_the_breaker_its_transitions_the_retries_and_the_pool(
    own: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    key = keys()
    assert own.ask("GET", RUN, key | {"X-Behave": "die"}).status == 502
    broken = Measures(own)
    while own.ask("POST", CREATE, key).status == 503:
        pass
    whole = Measures(own)

    assert broken.value("breaker_transitions_total", hop="mlflow", to="open") == 1
    assert broken.value("retries_total", hop="mlflow") == 2
    assert whole.value("breaker_state", hop="mlflow", state="closed") == 1
    assert whole.value("breaker_state", hop="mlflow") == whole.value("breaker_state", hop="auth") == 1
    turns = [whole.value("breaker_transitions_total", hop="mlflow", to=to) for to in ("half-open", "closed", "open")]
    assert turns == [1, 1, 1]
    assert whole.value("pool_opened_total", hop="mlflow") == upstream.connections == 4
    assert (whole.value("pool_idle", hop="mlflow"), whole.value("pool_in_use", hop="mlflow")) == (1, 0)
    assert whole.value("pool_waiting", hop="mlflow") == 0
    assert whole.value("pool_opened_total", hop="auth") >= 1


def test_the_auth_cache_and_outages(own: GatewayProcess, auth: AuthStandIn, keys: Keys) -> None:
    key = keys()
    for _ in range(3):
        own.ask("GET", RUN, key)
    auth.outage = 503
    own.ask("GET", RUN, {"X-API-Key": new_key()})
    measures = Measures(own)

    assert measures.value("auth_cache_lookups_total", result="hit") == 2
    assert measures.value("auth_cache_lookups_total", result="miss") == 2
    assert (measures.value("auth_cache_entries"), measures.value("auth_outages_total")) == (1, 1)


def test_clients_connections_and_the_build(own: GatewayProcess) -> None:
    kept = [http.client.HTTPConnection("127.0.0.1", own.port, timeout=5) for _ in range(3)]
    for connection in kept:
        connection.request("GET", "/health")
        connection.getresponse().read()
    measures = Measures(own)
    for connection in kept:
        connection.close()

    assert measures.value("client_connections") == 4
    assert measures.value("client_connections_opened_total") == 4
    assert measures.value("client_connections_turned_away_total") == 0
    assert measures.value("build_info", version=__version__) == 1
