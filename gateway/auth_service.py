"""The auth service's answer about one key.

Contract (platform.md): ``POST {auth}/api/v1/keys/validate`` with the key as bearer and ``{"service_id", "client_ip"}``;
a 200 whose ``is_valid`` is not true is a refusal. Anything that is not an answer of that contract is an outage.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from gateway.breaker import Breaker
from gateway.config import Config
from gateway.credentials import shares
from gateway.dialer import Dialer, Origin
from gateway.errors import AuthUnavailableError, BalanceError, KeyRefusedError
from gateway.failure import HopError
from gateway.identity import Identity
from gateway.pool import NoPlaceError, Pool
from gateway.retries import Retries

RETRY_AFTER = 5.0
_RECOVERY_ATTEMPTS = 5
_MAX_ANSWER = 64 * 1024
_MAX_REASON = 200


class AuthService:
    """Asks; remembers nothing. See authenticator.py for the cache."""

    def __init__(self, config: Config) -> None:
        origin = Origin.of(config.auth_url)
        self.pool = Pool(Dialer(origin, config.connect_timeout, config.outbound_proxy), config.max_connections)
        self.retries = Retries()
        self.breaker = Breaker(
            "The auth service",
            AuthUnavailableError,
            config.auth_breaker_failures,
            config.auth_breaker_recovery,
            _RECOVERY_ATTEMPTS,
        )
        self._service_id = config.service_id
        self._timeout = config.auth_timeout
        self._host = origin.authority.encode()
        self._base = urlsplit(config.auth_url).path.encode()

    def close(self) -> None:
        self.pool.close()

    async def validate(self, key: str, client_ip: str) -> Identity:
        """Raises KeyRefusedError, BalanceError or AuthUnavailableError."""
        self.breaker.admit()
        question = json.dumps({"service_id": self._service_id, "client_ip": client_ip}).encode()
        credential = b"authorization: Bearer %b\r\ncontent-type: application/json\r\n" % key.encode()
        status, body = await self._ask("POST", b"/api/v1/keys/validate", credential, question)
        if status in {401, 403}:
            raise KeyRefusedError("The auth service refused the API key.")
        if status == 402:
            raise BalanceError("The account has not enough balance.")
        if status != 200:
            raise AuthUnavailableError(f"The auth service answered {status}; the key was not judged.", RETRY_AFTER)
        return self._judge(_parse(body), key)

    async def health(self) -> str:
        """Why the service is not well, or nothing. Asked while the breaker is open too: its answer closes it."""
        try:
            status, _ = await self._ask("GET", b"/health", b"", b"")
        except AuthUnavailableError as error:
            return error.message
        return "" if status == 200 else f"the auth service answered {status} to /health"

    async def _ask(self, method: str, path: bytes, fields: bytes, body: bytes) -> tuple[int, bytes]:
        """The status and the body. Neither question changes anything, so both may be repeated."""
        line = b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method.encode(), self._base + path, self._host)
        head = line + fields + b"accept: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._answered(method, head, body)
        except (HopError, NoPlaceError, TimeoutError) as error:
            raise self._unavailable(error) from None
        except BaseException:
            self.breaker.released()
            raise
        self.breaker.succeeded()
        return answer

    async def _answered(self, method: str, head: bytes, body: bytes) -> tuple[int, bytes]:
        await self.pool.enter(self._timeout)
        try:
            return (await self.retries.run(lambda: self._once(method, head, body), lambda: True))[0]
        finally:
            self.pool.leave()

    async def _once(self, method: str, head: bytes, body: bytes) -> tuple[int, bytes]:
        connection = await self.pool.connection()
        try:
            answer = await connection.exchange(method, head, body, chunked=False)
            return answer.status, await answer.read_all(_MAX_ANSWER)
        finally:
            self.pool.give_back(connection)

    def _unavailable(self, error: Exception) -> AuthUnavailableError:
        tries = error.tries if isinstance(error, HopError) else 1
        if isinstance(error, NoPlaceError):
            self.breaker.released()
            reason = "all connections this service may have to it are in use"
        else:
            self.breaker.failed()
            reason = error.failure.reason if isinstance(error, HopError) else f"no answer within {self._timeout:g} s"
        times = f", {tries} tries" if tries > 1 else ""
        message = f"The auth service cannot answer ({reason}{times}); the key was not judged."
        return AuthUnavailableError(message, RETRY_AFTER, tries)

    def _judge(self, answer: dict[str, Any], key: str) -> Identity:
        if answer["is_valid"] is not True:
            raise KeyRefusedError(f"The API key is not valid{_reason(answer, key)}.")
        wanted = self._service_id
        if answer.get("service_id") != wanted:
            raise KeyRefusedError(f"The API key belongs to another service; this one is {wanted!r}.")
        if answer.get("has_sufficient_balance") is False:
            raise BalanceError("The account has not enough balance.")
        key_id = _text(answer.get("key_id"))
        if not key_id:  # limits and logs are kept by it: without, all such keys would be one
            raise _not_the_contract()
        scopes = answer.get("scopes")
        limit = answer.get("rate_limit_per_hour")
        return Identity(
            user_id=_text(answer.get("user_id")),
            key_id=key_id,
            service_id=wanted,
            scopes=frozenset(scope for scope in scopes if isinstance(scope, str))
            if isinstance(scopes, list)
            else frozenset(),
            rate_limit_per_hour=limit if type(limit) is int and limit > 0 else None,
        )


def _parse(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("is_valid"), bool):
        raise _not_the_contract()
    return answer


def _not_the_contract() -> AuthUnavailableError:
    return AuthUnavailableError(
        "The auth service answered something that is not its contract; the key was not judged.", RETRY_AFTER
    )


def _reason(answer: dict[str, Any], key: str) -> str:
    """The service's own words, unless they repeat a part of this key or name any other."""
    reason = answer.get("reason")
    words = reason[:_MAX_REASON] if isinstance(reason, str) else ""
    return f": {words}" if words.isprintable() and words and not shares(words, key) else ""


def _text(value: object) -> str:
    """A name or a number as text; anything else names nobody."""
    return str(value).strip() if isinstance(value, (str, int)) else ""
