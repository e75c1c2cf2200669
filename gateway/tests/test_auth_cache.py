"""How often the auth service is asked, and for how long its answer holds."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType, ModuleType

import pytest

from gateway.auth_service import AuthService
from gateway.authenticator import Authenticator, ExpiringCache
from gateway.config import Config
from gateway.errors import KeyRefusedError
from gateway.identity import Identity
from gateway.tests.auth import AuthStandIn, grant
from gateway.tests.conftest import Keys, settings
from gateway.tests.process import GatewayProcess, new_key, running_gateway
from gateway.tests.upstream import RecordingUpstream

SEARCH = "/api/mlflow/api/2.0/mlflow/experiments/search"


@pytest.fixture(scope="module")
def forgetful(shared_auth: AuthStandIn, shared_upstream: RecordingUpstream) -> Iterator[GatewayProcess]:
    changes = {"GATEWAY_AUTH_CACHE_TTL": "0.6", "GATEWAY_AUTH_REFUSAL_TTL": "0.3"}
    with running_gateway(**settings(shared_auth, shared_upstream.url, **changes)) as gateway:
        yield gateway


def test_a_known_key_is_asked_about_once_for_all_it_reads_and_once_for_all_it_writes(
    gateway: GatewayProcess, auth: AuthStandIn, keys: Keys
) -> None:
    key = keys()
    for _ in range(3):
        assert gateway.ask("GET", SEARCH, key).status == 200
        assert gateway.ask("GET", "/api/mlflow/api/2.0/mlflow/runs/get?run_id=1", key).status == 200
    assert len(auth.questions) == 1
    for _ in range(3):
        assert gateway.ask("POST", "/api/mlflow/api/2.0/mlflow/runs/create", key, b"{}").status == 200
        assert gateway.ask("POST", "/api/mlflow/api/2.0/mlflow/runs/update", key, b"{}").status == 200

    assert len(auth.questions) == 2


def test_an_answer_holds_for_every_address_a_key_comes_from(
    gateway: GatewayProcess, auth: AuthStandIn, keys: Keys
) -> None:
    key = keys()
    for address in ("203.0.113.1", "203.0.113.2"):
        assert gateway.ask("GET", SEARCH, key | {"X-Forwarded-For": address}).status == 200

    assert [b'"203.0.113.1"' in question.body for question in auth.questions] == [True]


def test_many_requests_with_a_new_key_ask_once(gateway: GatewayProcess, auth: AuthStandIn, keys: Keys) -> None:
    key = keys()
    auth.delay = 0.3
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: gateway.ask("GET", SEARCH, key).status, range(16)))

    assert (statuses, len(auth.questions)) == ([200] * 16, 1)


def test_many_requests_with_a_bad_key_ask_once_too(gateway: GatewayProcess, auth: AuthStandIn) -> None:
    key = {"X-API-Key": new_key()}
    auth.delay = 0.3
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: gateway.ask("GET", SEARCH, key).status, range(8)))

    assert (statuses, len(auth.questions)) == ([401] * 8, 1)


def test_a_refusal_is_remembered_for_a_moment(gateway: GatewayProcess, auth: AuthStandIn) -> None:
    key = {"X-API-Key": new_key()}

    assert [gateway.ask("GET", SEARCH, key).status for _ in range(3)] == [401] * 3
    assert len(auth.questions) == 1


class SlowService(AuthService):
    def __init__(self) -> None:
        self.asked = 0

    async def validate(self, key: str, client_ip: str) -> Identity:
        self.asked += 1
        await asyncio.sleep(0.05)
        return Identity("u", "key-1", "platform", frozenset({"read"}))


async def test_a_request_that_is_cancelled_does_not_take_the_others_answer_along() -> None:
    service = SlowService()
    authenticator = Authenticator(service, Config("http://m", "http://a"))
    first, second = (asyncio.create_task(authenticator.identify("k", "read", "")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()

    assert (await second).key_id == "key-1"
    assert (first.cancelled(), service.asked) == (True, 1)


class RefusingService(AuthService):
    def __init__(self) -> None:
        """Asks nobody."""

    async def validate(self, key: str, client_ip: str) -> Identity:
        raise KeyRefusedError("The API key is not valid.")


def reachable(root: object) -> list[object]:
    """Every object ``root`` keeps alive, but for code: from a class or a function one gets everywhere."""
    found: dict[int, object] = {}
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) not in found and not isinstance(one, (type, ModuleType, FunctionType)):
            found[id(one)] = one
            waiting += gc.get_referents(one)
    return list(found.values())


async def test_a_refused_key_is_not_kept_in_memory() -> None:
    authenticator = Authenticator(RefusingService(), Config("http://m", "http://a"))
    key = new_key()
    for _ in range(2):
        with pytest.raises(KeyRefusedError):
            await authenticator.identify(key, "read", "")
    await asyncio.sleep(0)

    kept = reachable(authenticator)

    assert (authenticator.entries, authenticator.hits) == (1, 1)
    assert [type(one) for one in kept if isinstance(one, BaseException)] == []
    assert not any(key in one for one in kept if isinstance(one, str))


def test_a_revoked_key_is_refused_once_its_time_is_over(
    forgetful: GatewayProcess, auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    key = keys()
    assert forgetful.ask("GET", SEARCH, key).status == 200
    auth.answers.clear()
    assert forgetful.ask("GET", SEARCH, key).status == 200

    time.sleep(0.65)

    assert forgetful.ask("GET", SEARCH, key).status == 401


def test_a_key_made_after_it_was_refused_works_soon(forgetful: GatewayProcess, auth: AuthStandIn) -> None:
    key = new_key()
    assert forgetful.ask("GET", SEARCH, {"X-API-Key": key}).status == 401
    auth.answers[key] = grant()

    time.sleep(0.35)

    assert forgetful.ask("GET", SEARCH, {"X-API-Key": key}).status == 200


def test_an_outage_is_not_remembered(gateway: GatewayProcess, auth: AuthStandIn, keys: Keys) -> None:
    key = keys()
    auth.outage = 503
    assert gateway.ask("GET", SEARCH, key).status == 503
    auth.outage = 0

    assert gateway.ask("GET", SEARCH, key).status == 200


def test_known_keys_go_on_through_an_outage_until_their_time_ends(
    forgetful: GatewayProcess, auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    key = keys()
    assert forgetful.ask("GET", SEARCH, key).status == 200
    auth.outage = 500

    assert forgetful.ask("GET", SEARCH, key).status == 200
    assert forgetful.ask("GET", SEARCH, keys()).status == 503
    time.sleep(0.65)
    assert forgetful.ask("GET", SEARCH, key).status == 503


def test_an_auth_service_that_refuses_connections_is_a_503(upstream: RecordingUpstream) -> None:
    gone = AuthStandIn()
    gone.start()
    with running_gateway(**settings(gone, upstream.url)) as gateway:
        gone.stop()
        answer = gateway.ask("GET", SEARCH, {"X-API-Key": new_key()})

    assert (answer.status, "connection refused" in answer.json()["message"]) == (503, True)
    assert answer.value("retry-after") == "5"


def test_keys_that_differ_never_share_an_entry(gateway: GatewayProcess, auth: AuthStandIn, keys: Keys) -> None:
    good = keys()["Authorization"].removeprefix("Bearer ")
    assert gateway.ask("GET", SEARCH, {"X-API-Key": good}).status == 200
    for position in (0, 10, len(good) - 1):
        wrong = good[:position] + ("x" if good[position] != "x" else "y") + good[position + 1 :]

        assert gateway.ask("GET", SEARCH, {"X-API-Key": wrong}).status == 401


def test_the_cache_drops_its_oldest_entry_when_it_is_full() -> None:
    cache: ExpiringCache[int] = ExpiringCache(ttl=10, capacity=2, clock=lambda: 0.0)
    for number in range(3):
        cache.put(bytes([number]), number, since=0.0)

    assert [cache.get(bytes([number])) for number in range(3)] == [None, 1, 2]
    assert len(cache) == 2


def test_what_has_expired_is_dropped_when_something_new_comes() -> None:
    now = 100.0
    cache: ExpiringCache[int] = ExpiringCache(ttl=10, clock=lambda: now)
    for number in range(3):
        cache.put(bytes([number]), number, since=100.0 + number)
    now = 111.0

    cache.put(b"new", 9, since=now)

    assert (len(cache), cache.get(b"\2"), cache.get(b"new")) == (2, 2, 9)


def test_an_entry_lives_from_the_question_and_not_from_the_answer() -> None:
    now = 100.0
    cache: ExpiringCache[int] = ExpiringCache(ttl=10, clock=lambda: now)
    cache.put(b"k", 1, since=95.0)

    assert cache.get(b"k") == 1
    now = 105.0
    assert cache.get(b"k") is None


def test_an_auth_service_that_does_not_answer_is_left_alone_for_a_while(
    auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys
) -> None:
    """Known keys go on meanwhile, and a look at readiness ends it."""
    changes = {
        "GATEWAY_AUTH_TIMEOUT": "0.3",
        "GATEWAY_AUTH_CB_FAILURE_THRESHOLD": "2",
        "GATEWAY_AUTH_CB_RECOVERY_TIMEOUT": "30",
    }
    with running_gateway(**settings(auth, upstream.url, **changes)) as gateway:
        known = keys()
        assert gateway.ask("GET", SEARCH, known).status == 200
        auth.delay = 1
        assert [gateway.ask("GET", SEARCH, keys()).status for _ in range(2)] == [503, 503]
        asked = len(auth.questions)
        refused = gateway.ask("GET", SEARCH, keys())

        assert (refused.status, refused.json()["hop"], len(auth.questions)) == (503, "auth", asked)
        assert "not asked again yet" in refused.json()["message"]
        assert gateway.ask("GET", SEARCH, known).status == 200
        auth.delay = 0
        assert gateway.ask("GET", "/ready").status == 200
        assert gateway.ask("GET", SEARCH, keys()).status == 200
