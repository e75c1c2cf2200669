"""The path-traversal corpus: attacks, times where a path can stand, times encodings. The upstream sees none of them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from gateway.errors import BadRequestError
from gateway.paths import MAX_PATH, check_artifact_target, check_location, check_name, check_source, refuse_local
from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.process import GatewayProcess, running_gateway
from gateway.tests.upstream import RecordingUpstream

MOUNT = "/api/mlflow"
ARTIFACTS = f"{MOUNT}/api/2.0/mlflow-artifacts"
CLIMBING = ["../x", "a/../../x", "..", "a/..", "..\\x", "a\\b", "a\0b", "a;b", "..;/x", "a#b", "#/../x", "a/..;x/y"]
ABSOLUTE = ["/etc/passwd", "file:///etc/passwd", "FILE:/etc/passwd", "C:/windows"]

IN_PATH = [
    ("GET", "/artifacts/1/"),
    ("PUT", "/artifacts/1/"),
    ("DELETE", "/artifacts/1/"),
    ("GET", "/presigned/1/"),
    ("POST", "/mpu/create/1/"),
    ("POST", "/mpu/complete/1/"),
    ("POST", "/mpu/abort/1/"),
]
IN_QUERY = [
    ("GET", "/get-artifact?run_id=r&path="),
    ("GET", "/get-artifact?path=good&path="),
    ("GET", "/get-artifact?path=a&run_uuid="),
    ("GET", "/get-artifact?p%61th="),
    ("HEAD", "/get-artifact?run_id=r&path="),
    ("GET", "/model-versions/get-artifact?name=m&version=1&path="),
    ("GET", "/ajax-api/2.0/mlflow/get-trace-artifact?request_id=t&path="),
    ("GET", "/ajax-api/3.0/mlflow/get-trace-artifact?path=a&request_id="),
    ("GET", "/ajax-api/2.0/mlflow/logged-models/m-1/artifacts/files?artifact_file_path="),
    ("GET", "/api/2.0/mlflow/logged-models/m-1/artifacts/directories?artifact_directory_path="),
    ("GET", "/api/2.0/mlflow/artifacts/list?run_id=r&path="),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts?path="),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=r&path="),
]
IN_JSON = [
    ("POST", "/api/2.0/mlflow-artifacts/mpu/create/1/a", "path"),
    ("POST", "/api/2.0/mlflow-artifacts/mpu/complete/1/a", "path"),
    ("POST", "/api/2.0/mlflow-artifacts/mpu/abort/1/a", "path"),
    ("POST", "/api/2.0/mlflow/artifacts/presigned-download-url", "path"),
    ("POST", "/ajax-api/2.0/mlflow/artifacts/presigned-upload-url", "path"),
    ("GET", "/api/2.0/mlflow/artifacts/list", "path"),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts", "path"),
    ("GET", "/api/2.0/mlflow/logged-models/m/artifacts/directories", "artifactDirectoryPath"),
    ("POST", "/api/2.0/mlflow/model-versions/create", "source"),
    ("POST", "/api/2.0/mlflow/experiments/create", "artifact_location"),
    ("POST", "/ajax-api/2.0/mlflow/experiments/create", "artifactLocation"),
]


def encodings(text: str) -> Iterator[str]:
    """As a URL may spell it: once, twice, thrice, in part, and as few characters as the wire allows."""
    once = quote(text, safe="")
    yield from (once, quote(once, safe=""), quote(quote(once, safe=""), safe=""))
    yield once.replace("%2F", "/")
    yield "".join(f"%{byte:02x}" for byte in text.encode())
    yield quote(text, safe="/;.")
    yield once.replace(".", "%2e").lower()


class Client:
    """One connection for a whole table; a refusal leaves it usable."""

    def __init__(self, gateway: GatewayProcess, key: dict[str, str]) -> None:
        self._key = key
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)

    def status(self, method: str, target: str, body: bytes | None = None) -> int:
        self._connection.request(method, target, body, self._key)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def client(gateway: GatewayProcess, keys: Keys) -> Iterator[Client]:
    client = Client(gateway, keys())
    yield client
    client.close()


@pytest.mark.parametrize(("method", "route"), IN_PATH)
def test_no_attack_in_a_path_reaches_mlflow(
    client: Client, upstream: RecordingUpstream, method: str, route: str
) -> None:
    for attack in CLIMBING:
        for spelling in encodings(attack):
            if not spelling.startswith("#"):
                assert client.status(method, ARTIFACTS + route + spelling) == 400, spelling
    for attack in ABSOLUTE:
        for spelling in encodings(attack):
            assert client.status(method, ARTIFACTS + route.removesuffix("1/") + spelling) == 400, spelling
    assert upstream.requests == []


@pytest.mark.parametrize(("method", "target"), IN_QUERY)
def test_no_attack_in_a_query_reaches_mlflow(
    client: Client, upstream: RecordingUpstream, method: str, target: str
) -> None:
    for attack in CLIMBING + ABSOLUTE:
        for spelling in encodings(attack):
            assert client.status(method, MOUNT + target + spelling) == 400, spelling
    assert upstream.requests == []


@pytest.mark.parametrize(("method", "target", "field"), IN_JSON)
def test_no_attack_in_json_reaches_mlflow(
    client: Client, upstream: RecordingUpstream, method: str, target: str, field: str
) -> None:
    prefix = "s3://bucket/" if field in {"source", "artifact_location", "artifactLocation"} else ""
    for attack in CLIMBING:
        for spelling in (attack, *encodings(attack)):
            for body in (json.dumps({field: prefix + spelling}), json.dumps({"z": [{field: [prefix + spelling]}]})):
                assert client.status(method, MOUNT + target, body.encode()) == 400, spelling
    assert upstream.requests == []


@pytest.mark.parametrize("source", [*ABSOLUTE, "mlflow.db", ".", "%2Fetc", " file:/x", "fi\nle:/x", "file://host/x"])
def test_a_local_file_is_no_model(client: Client, upstream: RecordingUpstream, source: str) -> None:
    body = json.dumps({"name": "m", "source": source}).encode()

    assert client.status("POST", f"{MOUNT}/api/2.0/mlflow/model-versions/create", body) == 400
    assert upstream.requests == []


@pytest.mark.parametrize(
    "source",
    [
        "",
        "dummy-source",
        "prompt-template",
        "runs:/0123abcd/model",
        "models:/a;b #1/3",
        "models:/m-0123",
        "mlflow-artifacts:/1/models/m-0123/artifacts",
        "s3://bucket/key with space/ü",
        "dbfs:/x",
    ],
)
def test_sources_the_client_registers_are_good(source: str) -> None:
    check_source(source.encode(), "the JSON")


LOCAL = ["/etc", "etc", ".", "file:///etc", "FILE:/etc", "file:etc", "%2Fetc", "file%3A///etc", " file:/etc", "C:/x"]


@pytest.mark.parametrize("location", LOCAL)
@pytest.mark.parametrize("field", ["artifact_location", "artifactLocation"])
def test_an_experiment_is_not_put_on_mlflows_own_disk(
    client: Client, upstream: RecordingUpstream, location: str, field: str
) -> None:
    """Whoever writes a run there writes any file that MLflow may."""
    body = json.dumps({"name": "e", field: location}).encode()

    assert client.status("POST", f"{MOUNT}/api/2.0/mlflow/experiments/create", body) == 400
    assert upstream.requests == []


@pytest.mark.parametrize(
    "location", ["", "s3://bucket/a b", "gs://b/x", "mlflow-artifacts:/x", "mlflow-artifacts://host/x", "dbfs:/x"]
)
def test_a_store_is_a_place_for_an_experiment(client: Client, location: str) -> None:
    body = json.dumps({"name": "e", "artifact_location": location}).encode()

    assert client.status("POST", f"{MOUNT}/api/2.0/mlflow/experiments/create", body) == 200


def test_an_operator_may_allow_the_disk_and_a_climb_stays_refused(
    shared_auth: AuthStandIn, shared_upstream: RecordingUpstream, auth: AuthStandIn, keys: Keys
) -> None:
    variables = settings(shared_auth, shared_upstream.url, GATEWAY_LOCAL_ARTIFACTS="true")
    with running_gateway(**variables) as gateway:
        bodies = [json.dumps({"name": "e", "artifact_location": text}) for text in ("file:///efs/x", "/efs/../etc")]
        target = f"{MOUNT}/api/2.0/mlflow/experiments/create"

        assert [gateway.ask("POST", target, keys(), body.encode()).status for body in bodies] == [200, 400]


def test_a_location_ends_where_every_parser_says_so() -> None:
    with pytest.raises(BadRequestError):
        check_location(b"file:///efs/x?../y", "the JSON")
    with pytest.raises(BadRequestError):
        refuse_local(b"file:///efs/x", "the JSON")


@pytest.mark.parametrize("check", [check_name, check_location, check_source])
def test_a_path_longer_than_any_file_systems_is_refused(check: Callable[[bytes, str], None]) -> None:
    check(b"s3://" + b"a" * (MAX_PATH - 5), "the JSON")
    with pytest.raises(BadRequestError):
        check(b"s3://" + b"a" * (MAX_PATH - 4), "the JSON")


@pytest.mark.parametrize(
    "body",
    [
        b'{"path": "a", "path": "b"}',
        b'{"num_parts": 1, "path": "a", "num_parts": 2}',
        b'{"path": "a", "path": "../x"}',
        b'{"path": "../x", "path": "a"}',
        b'{"path": "a", "p\\u0061th": "../x"}',
        b'{"p\\u0061th": "\\u002e\\u002e/x"}',
        b'"{\\"path\\": \\"../x\\"}"',
        b'[{"path": "../x"}]',
        b"\xef\xbb\xbf" + b'{"path": "../x"}',
        '{"path": "../x"}'.encode("utf-16"),
        b'{"path": "../x"',
        b"[" * 60_000,
        b"\xff",
    ],
)
def test_json_that_two_parsers_may_read_differently_is_refused(
    client: Client, upstream: RecordingUpstream, body: bytes
) -> None:
    assert client.status("POST", f"{ARTIFACTS}/mpu/create/1/a", body) == 400
    assert upstream.requests == []


def test_a_compressed_or_large_body_that_names_paths_is_refused(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    key, route = keys(), f"{MOUNT}/api/2.0/mlflow/artifacts/presigned-download-url"

    coded = gateway.ask("POST", route, key | {"Content-Encoding": "gzip"}, b"{}")
    large = gateway.ask("POST", route, key, b'{"path": "' + b"a" * 65_536 + b'"}')
    chunked = gateway.ask("POST", route, key, iter([b'{"path": "', b"a" * 65_536, b'"}']))

    assert [coded.status, large.status, chunked.status] == [415, 413, 413]
    assert large.json()["error_code"] == "BAD_REQUEST"
    assert upstream.requests == []


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
def test_a_judged_body_arrives_as_it_was_sent(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, chunked: bool
) -> None:
    """An absolute path is the client's own file: MLflow takes the last part of it."""
    body = b'{"path" : "/home/me/model.bin", "num_parts":2}\n'
    sent = iter([body[:9], body[9:]]) if chunked else body

    assert gateway.ask("POST", f"{ARTIFACTS}/mpu/create/1/a", keys(), sent).status == 200
    assert upstream.last.body == body


def test_a_prompt_of_100000_characters_is_registered(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    tags = [{"key": "mlflow.prompt.text", "value": "a;b/../#\\" * 11_000}]
    body = json.dumps({"name": "p", "source": "prompt-template", "tags": tags}).encode()

    assert gateway.ask("POST", f"{MOUNT}/api/2.0/mlflow/model-versions/create", keys(), body).status == 200
    assert upstream.last.length == len(body)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/api/2.0/mlflow/registered-models/get?name=a;b%23c"),
        ("GET", "/model-versions/get-artifact?name=a;b%23..&version=1&path=m/MLmodel"),
        ("GET", "/get-artifact?run_id=r&path=a%20b/v1..2/%C3%A9%25.txt"),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts?path="),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts/1/a%252Fb/...x/..y"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/a:b=c&d%2Ce%zz"),
        ("GET", "/api/2.0/mlflow/artifacts/list?run_id=r&page_token=a;b%23"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/" + "%C3%A9" * 1000),
    ],
)
def test_names_that_only_look_odd_pass(client: Client, upstream: RecordingUpstream, method: str, target: str) -> None:
    assert client.status(method, MOUNT + target) == 200
    assert upstream.last.target == target


def test_a_query_of_a_hundred_parameters_is_all_that_is_judged() -> None:
    check_artifact_target(b"/get-artifact", b"&".join([b"path=a"] * 100))
    with pytest.raises(BadRequestError):
        check_artifact_target(b"/get-artifact", b"&".join([b"path=a"] * 101))


def test_ten_encodings_are_too_many() -> None:
    with pytest.raises(BadRequestError):
        check_artifact_target(b"/get-artifact", b"path=%" + b"25" * 10 + b"2e")
