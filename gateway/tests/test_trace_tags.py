"""The tags by which MLflow finds a trace's files are MLflow's to set: whoever sets them reads any directory it can."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.mlflow_process import serving
from gateway.tests.process import GatewayProcess, running_gateway
from gateway.tests.upstream import RecordingUpstream

MOUNT = "/api/mlflow"
OTLP = f"{MOUNT}/v1/traces"
LOCATION = "mlflow.artifactLocation"
ARCHIVE = "mlflow.trace.archiveLocation"
SPANS = "mlflow.trace.spansLocation"
PROTOBUF = {"Content-Type": "application/x-protobuf"}

SET_TAG = [("PATCH", "/api/2.0/mlflow/traces/tr-1/tags"), ("PATCH", "/ajax-api/3.0/mlflow/traces/tr-1/tags")]
END = ("PATCH", "/api/2.0/mlflow/traces/tr-1")
START = ("POST", "/api/3.0/mlflow/traces")


def status(gateway: GatewayProcess, key: dict[str, str], route: tuple[str, str], body: Any) -> int:
    return gateway.ask(route[0], MOUNT + route[1], key, json.dumps(body).encode()).status


@pytest.mark.parametrize("route", SET_TAG)
@pytest.mark.parametrize("tag", [LOCATION, ARCHIVE, SPANS, LOCATION.upper(), f"{LOCATION} ", "mlflöw.artifactLocation"])
def test_a_client_does_not_say_where_a_trace_is(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, route: tuple[str, str], tag: str
) -> None:
    assert status(gateway, keys(), route, {"key": tag, "value": "/etc"}) == 400
    assert upstream.requests == []


@pytest.mark.parametrize("tag", [LOCATION, ARCHIVE, SPANS])
def test_nor_at_the_end_of_an_older_trace(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, tag: str
) -> None:
    assert status(gateway, keys(), END, {"status": "OK", "tags": [{"key": tag, "value": "/etc"}]}) == 400
    assert upstream.requests == []


@pytest.mark.parametrize(
    "body",
    [
        {"trace": {"trace_info": {"tags": {ARCHIVE: "/etc"}}}},
        {"trace": {"traceInfo": {"tags": {"a": "b", ARCHIVE: "/etc"}}}},
        {"tags": [{"key": "a", "value": "b"}, {"key": ARCHIVE, "value": "/etc"}]},
    ],
)
def test_nor_at_its_start(gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, body: Any) -> None:
    for version in ("2.0", "3.0"):
        assert status(gateway, keys(), ("POST", f"/api/{version}/mlflow/traces"), body) == 400
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("route", "body"),
    [
        (SET_TAG[0], {"key": "mlflow.traceName", "value": LOCATION}),
        (SET_TAG[1], {"key": "päth", "value": "../x;#"}),
        (END, {"status": "OK", "tags": [{"key": "a", "value": "b"}]}),
        (START, {"trace": {"trace_info": {"tags": {LOCATION: "mlflow-artifacts:/1/tr-1", SPANS: "TRACKING_STORE"}}}}),
    ],
)
def test_other_tags_and_the_copy_of_a_trace_pass(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, route: tuple[str, str], body: Any
) -> None:
    assert status(gateway, keys(), route, body) == 200
    assert json.loads(upstream.last.body) == body


def spans(*attributes: str, padding: int = 0) -> bytes:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="root")
    span.start_time_unix_nano, span.end_time_unix_nano = 1, 2
    for name in ("x" * padding, *attributes):
        span.attributes.add(key=name).value.string_value = "/etc"
    return bytes(request.SerializeToString())


def as_json(name: str) -> str:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [{"key": name}]}]}]}]})


BAD = f"mlflow.traceTag.{LOCATION}"
ESCAPED = "".join(f"\\u{ord(character):04X}" for character in BAD)
ATTACKS = {
    "plain": (spans(BAD), ""),
    "archive": (spans(f"mlflow.traceTag.{ARCHIVE}"), ""),
    "case": (spans("mlflow.traceTag.MLFLOW.ArtifactLocation"), ""),
    "late": (spans(BAD, padding=700_000), ""),
    "json": (as_json(BAD).encode(), ""),
    "json escaped": (as_json("?").replace("?", ESCAPED).encode(), ""),
    "json utf-16": (as_json(BAD).encode("utf-16"), ""),
    "json utf-32 escaped": (as_json("?").replace("?", ESCAPED).encode("utf-32"), ""),
    "gzip": (gzip.compress(spans(BAD)), "gzip"),
    "gzip late": (gzip.compress(spans(BAD, padding=700_000)), "GZip"),
    "gzip members": (gzip.compress(spans(padding=9)) + b"\0" * 9 + gzip.compress(spans(BAD)), "gzip"),
    "deflate": (zlib.compress(spans(BAD)), "deflate"),
    "raw deflate": (zlib.compress(spans(BAD), wbits=-15), "deflate"),
    "not gzip": (spans(BAD), "gzip"),
    "no deflate": (b"\xff" * 9, "deflate"),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("cut", [0, 1, 37], ids=["whole", "bytes", "pieces"])
def test_no_span_says_where_its_trace_is(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, attack: str, cut: int
) -> None:
    body, coding = ATTACKS[attack]
    pieces = iter([body[at : at + cut] for at in range(0, len(body), cut)]) if cut and len(body) < 9000 else body
    headers = keys() | PROTOBUF | ({"Content-Encoding": coding} if coding else {})

    assert gateway.ask("POST", OTLP, headers, pieces).status == 400
    assert [request.length for request in upstream.requests if request.complete] == []


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "zstd"])
def test_a_coding_that_cannot_be_looked_into_is_refused(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, coding: str
) -> None:
    assert gateway.ask("POST", OTLP, keys() | PROTOBUF | {"Content-Encoding": coding}, b"x").status == 415
    assert upstream.requests == []


def test_two_codings_are_one_too_many(gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys) -> None:
    coded = [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]

    answer = gateway.ask("POST", OTLP, [*(keys() | PROTOBUF).items(), *coded], gzip.compress(spans(BAD)))

    assert (answer.status, upstream.requests) == (415, [])


def test_a_bomb_is_refused_before_it_is_all_out(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    bomb = gzip.compress(b"\0" * (70 * 1024 * 1024), 1)

    assert gateway.ask("POST", OTLP, keys() | PROTOBUF | {"Content-Encoding": "gzip"}, bomb).status == 400


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (spans("mlflow.traceTag.mlflow.traceName", "mlflow.traceTag.team", padding=300_000), ""),
        (spans("mlflow.traceTag.team"), "gzip"),
        (spans("mlflow.traceTag.team"), "deflate"),
        (as_json(f'{{"tags": {{"{LOCATION}": "mlflow-artifacts:/1"}}}}').encode(), ""),
        (b"", ""),
    ],
)
def test_spans_arrive_as_they_were_sent(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, body: bytes, coding: str
) -> None:
    sent = {"gzip": gzip.compress(body), "deflate": zlib.compress(body)}.get(coding, body)
    headers = keys() | PROTOBUF | ({"Content-Encoding": coding} if coding else {})

    assert gateway.ask("POST", OTLP, headers, iter([sent[:99], sent[99:]]) if sent else sent).status == 200
    assert upstream.last.length == len(sent)


def test_members_of_gzip_may_have_zeros_between_them(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    """To Python's gzip, by which MLflow decompresses, they are one body."""
    sent = gzip.compress(spans("mlflow.traceTag.team")) + b"\0" * 9 + gzip.compress(spans("x")) + b"\0"
    pieces = iter([sent[at : at + 7] for at in range(0, len(sent), 7)])

    assert gateway.ask("POST", OTLP, keys() | PROTOBUF | {"Content-Encoding": "gzip"}, pieces).status == 200
    assert upstream.last.length == len(sent)


@pytest.fixture(scope="module")
def real(shared_auth: AuthStandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with (
        serving(tmp_path_factory.mktemp("mlflow")) as url,
        running_gateway(**settings(shared_auth, url)) as gateway,
    ):
        yield gateway


def test_a_real_mlflow_serves_no_file_of_its_own_disk(
    real: GatewayProcess, auth: AuthStandIn, keys: Keys, tmp_path: Path
) -> None:
    """Each way in was tried against MLflow alone, and worked."""
    (tmp_path / "traces.json").write_text('{"spans": [], "secret": "from the disk"}')
    key = keys() | {"Content-Type": "application/json"}
    started = real.ask("POST", MOUNT + "/api/2.0/mlflow/traces", key, b'{"experiment_id": "0", "timestamp_ms": 1}')
    trace = started.json()["trace_info"]["request_id"]
    tag = {"key": LOCATION, "value": str(tmp_path)}
    status(real, key, ("PATCH", f"/api/3.0/mlflow/traces/{trace}/tags"), tag)
    status(real, key, ("PATCH", f"/api/2.0/mlflow/traces/{trace}/tags"), tag)
    status(real, key, ("PATCH", f"/api/2.0/mlflow/traces/{trace}"), {"timestamp_ms": 2, "status": "OK", "tags": [tag]})
    real.ask("POST", OTLP, key | PROTOBUF | {"X-MLflow-Experiment-Id": "0"}, spans(BAD, "mlflow.traceTag.x"))

    assert started.status == 200
    for name in (trace, "tr-" + (b"t" * 16).hex()):
        answer = real.ask("GET", f"{MOUNT}/ajax-api/2.0/mlflow/get-trace-artifact?request_id={name}", key)
        assert "from the disk" not in answer.body.decode()
