"""The three ways to present a key, and the ways not to."""

from __future__ import annotations

import contextlib
import http.client
import random
import string

import pytest

from gateway.tests.auth import AuthStandIn, grant
from gateway.tests.conftest import Keys
from gateway.tests.process import GatewayProcess, new_key
from gateway.tests.upstream import RecordingUpstream

SEARCH = "/api/mlflow/api/2.0/mlflow/experiments/search"


@pytest.mark.parametrize(
    ("header", "scheme"),
    [
        ("Authorization", "Bearer "),
        ("authorization", "bEARER "),
        ("Authorization", "ApiKey "),
        ("Authorization", "APIKEY   "),
        ("X-API-Key", ""),
        ("x-api-key", ""),
    ],
)
def test_a_key_is_taken_from_each_header_in_any_case(
    gateway: GatewayProcess, auth: AuthStandIn, keys: Keys, header: str, scheme: str
) -> None:
    key = keys()["Authorization"].removeprefix("Bearer ")

    assert gateway.ask("GET", SEARCH, {header: scheme + key}).status == 200
    assert auth.questions[-1].value("authorization") == f"Bearer {key}"


def test_the_auth_service_is_asked_in_its_contracts_words(
    gateway: GatewayProcess, auth: AuthStandIn, keys: Keys
) -> None:
    gateway.ask("GET", SEARCH, keys() | {"X-Forwarded-For": "6.6.6.6, 203.0.113.9"})

    question = auth.questions[-1]
    assert (question.method, question.target) == ("POST", "/api/v1/keys/validate")
    assert question.value("content-type") == "application/json"
    assert question.body == b'{"service_id": "platform", "client_ip": "203.0.113.9"}'


@pytest.mark.parametrize("second", ["Authorization", "X-API-Key"])
def test_two_credentials_are_refused_even_when_they_agree(
    gateway: GatewayProcess, auth: AuthStandIn, keys: Keys, second: str
) -> None:
    key = keys()["Authorization"]

    answer = gateway.ask("GET", SEARCH, [("Authorization", key), (second, key)])

    assert (answer.status, auth.questions) == (400, [])


@pytest.mark.parametrize(
    "value",
    ["Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Digest x", "Bearer two words", "Bearer \xe9", "Bearer " + "k" * 600],
)
def test_what_is_not_a_key_is_a_401_without_asking(gateway: GatewayProcess, auth: AuthStandIn, value: str) -> None:
    answer = gateway.ask("GET", SEARCH, {"Authorization": value})

    assert (answer.status, auth.questions) == (401, [])


def test_basic_credentials_are_told_what_wins_over_the_token(gateway: GatewayProcess) -> None:
    answer = gateway.ask("GET", SEARCH, {"Authorization": "Basic dXNlcjpwYXNz"})

    assert "MLFLOW_TRACKING_USERNAME" in answer.json()["message"]


def test_the_key_never_reaches_mlflow(gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys) -> None:
    key = keys()["Authorization"].removeprefix("Bearer ")
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
        gateway.ask("GET", SEARCH, headers)

        assert key not in str(upstream.last.headers)


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (SEARCH + "?api_key={key}", {}),
        (SEARCH + "?filter=tags.a%3D'{key}'", {}),
        ("/api/mlflow/api/2.0/mlflow-artifacts/artifacts/{key}/x", {}),
        (SEARCH, {"Cookie": "session={key}"}),
        (SEARCH, {"X-MLflow-Foo": "{key}"}),
        (SEARCH, {"X-Request-Id": "{key}"}),
        ("/api/mlflow?api_key={key}", {}),
    ],
)
@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_key_that_is_repeated_elsewhere_is_refused_and_not_told(
    gateway: GatewayProcess,
    upstream: RecordingUpstream,
    keys: Keys,
    target: str,
    headers: dict[str, str],
    header: str,
) -> None:
    key = keys()["Authorization"].removeprefix("Bearer ")
    presented = {header: key if header == "X-API-Key" else f"Bearer {key}"}

    answer = gateway.ask(
        "GET", target.format(key=key), presented | {name: text.format(key=key) for name, text in headers.items()}
    )
    gateway.access(answer.value("x-request-id"))

    assert (answer.status, answer.json()["error_code"]) == (400, "BAD_REQUEST")
    assert upstream.requests == []
    assert key not in str(answer) + "".join(gateway.lines)


def test_a_word_that_is_a_key_may_stand_anywhere(
    gateway: GatewayProcess, auth: AuthStandIn, upstream: RecordingUpstream
) -> None:
    auth.answers["search"] = grant(key_id="a-word")

    assert gateway.ask("GET", SEARCH, {"X-API-Key": "search"}).status == 200


@pytest.mark.parametrize("cut", [slice(8, None), slice(12, 20), slice(20, 26)])
@pytest.mark.parametrize("known", [True, False])
def test_a_part_of_the_key_is_no_request_id(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, cut: slice, known: bool
) -> None:
    key = keys()["Authorization"].removeprefix("Bearer ") if known else new_key()
    part = key[cut]

    answer = gateway.ask("GET", SEARCH, {"X-API-Key": key, "X-Request-Id": f"{part}-1"})
    gateway.access(answer.value("x-request-id"))

    assert part not in str(answer) + "".join(gateway.lines) + str([one.headers for one in upstream.requests])


def test_any_other_request_id_is_the_clients(gateway: GatewayProcess, keys: Keys) -> None:
    for name in ("1", "a-b", "2f1c9a70-6d0b-4f7e-9f2e-0d2b7c1e5a44"):
        assert gateway.ask("GET", SEARCH, keys() | {"X-Request-Id": name}).value("x-request-id") == name


def test_identity_headers_are_set_and_cannot_be_forged(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    forged = {
        "X-Hokusai-User-Id": "root",
        "x-hokusai-is-admin": "1",
        "X_Hokusai_Key_Id": "k",
        "X-Hokusai_Scopes": "all",
    }

    gateway.ask("GET", SEARCH, keys(user_id="üser\n1", key_id="kéy") | forged)

    sent = {name: value for name, value in upstream.last.headers if "okusai" in name}
    assert sent == {
        "x-hokusai-user-id": "%C3%BCser%0A1",
        "x-hokusai-key-id": "k%C3%A9y",
        "x-hokusai-service-id": "platform",
        "x-hokusai-scopes": "read write",
    }


def wrong_keys(good: str, count: int) -> set[str]:
    """Half at random, and half the good key but for a character, its case, its order or its length."""
    alphabet = string.ascii_letters + string.digits
    wrong = {new_key() for _ in range(count // 2)}
    while len(wrong) < count:
        at = random.randrange(len(good))
        changed = [good[:at] + random.choice(alphabet) + good[at + 1 :], good[:at] + good[at:].swapcase()]
        changed += [good[at:] + good[:at], good[:at], good + random.choice(alphabet), good + good[:at]]
        wrong |= {key for key in changed if key and key != good}
    return wrong


def test_2000_wrong_keys_get_in_nowhere_and_share_no_entry(
    gateway: GatewayProcess, auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    good = keys()["Authorization"].removeprefix("Bearer ")
    wrong = sorted(wrong_keys(good, 2000))
    assert gateway.ask("GET", SEARCH, {"X-API-Key": good}).status == 200
    auth.questions.clear()

    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    statuses = set()
    with contextlib.closing(connection):
        for key in wrong:
            connection.request("GET", SEARCH, headers={"X-API-Key": key})
            answer = connection.getresponse()
            answer.read()
            statuses.add(answer.status)

    asked = [question.value("authorization").removeprefix("Bearer ") for question in auth.questions]
    assert statuses == {401}
    assert sorted(asked) == wrong
    assert len(upstream.requests) == 1
    assert gateway.ask("GET", SEARCH, {"X-API-Key": good}).status == 200
