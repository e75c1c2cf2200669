"""The auth service's answer about one key.

Contract (platform.md): ``POST {auth}/api/v1/keys/validate`` with the key as bearer and ``{"service_id", "client_ip"}``;
a 200 whose ``is_valid`` is not true is a refusal. Anything that is not an answer of that contract is an outage.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
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
MOST_QUESTIONS = 64
"""Connections at most: each wrong key is a question, and whoever makes up keys must not flood the auth service."""

_RECOVERY_ATTEMPTS = 5
_MAX_ANSWER = 64 * 1024
_MAX_REASON = 200


class ContractError(Exception):
    """The answer is none that the contract knows."""


@dataclass(slots=True)
class Question:
    """``tries`` is how often it was asked until now."""

    method: str
    head: bytes
    body: bytes
    tries: int = 0


class AuthService:
    """Asks; remembers nothing. See authenticator.py for the cache."""

    def __init__(self, config: Config) -> None:
        origin = Origin.of(config.auth_url)
        most = min(config.max_connections, MOST_QUESTIONS)
        self.pool = Pool(Dialer(origin, config.connect_timeout, config.outbound_proxy), most)
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
        ticket = self.breaker.admit()
        body = json.dumps({"service_id": self._service_id, "client_ip": client_ip}).encode()
        credential = b"authorization: Bearer %b\r\ncontent-type: application/json\r\n" % key.encode()
        question = self._question("POST", b"/api/v1/keys/validate", credential, body)
        status, answer = await self._ask(question, ticket)
        if status in {401, 403}:
            raise KeyRefusedError("The auth service refused the API key.")
        if status == 402:
            raise BalanceError("The account has not enough balance.")
        if status != 200:
            raise _not_judged(f"The auth service answered {status}", question)
        try:
            return self._judge(_parse(answer), key)
        except ContractError:
            raise _not_judged("The auth service answered something that is not its contract", question) from None

    async def health(self) -> str:
        """Why the service is not well, or nothing. Asked while the breaker is open too: its answer closes it."""
        try:
            status, _ = await self._ask(self._question("GET", b"/health", b"", b""))
        except AuthUnavailableError as error:
            return error.message
        return "" if status == 200 else f"the auth service answered {status} to /health"

    def _question(self, method: str, path: bytes, fields: bytes, body: bytes) -> Question:
        line = b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method.encode(), self._base + path, self._host)
        head = line + fields + b"accept: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        return Question(method, head, body)

    async def _ask(self, question: Question, ticket: int = 0) -> tuple[int, bytes]:
        """The status and the body. No question changes anything, so each may be repeated."""
        try:
            answer = await self._answered(question)
        except (HopError, NoPlaceError, TimeoutError) as error:
            raise self._unavailable(error, question, ticket) from None
        except BaseException:
            self.breaker.released(ticket)
            raise
        self.breaker.succeeded()
        return answer

    async def _answered(self, question: Question) -> tuple[int, bytes]:
        """The auth service's own time begins when there is a place: a wait for that is none of its doing."""
        await self.pool.enter(self._timeout)
        try:
            async with asyncio.timeout(self._timeout):
                return await self.retries.run(lambda number: self._once(question, number), lambda: True)
        finally:
            self.pool.leave()

    async def _once(self, question: Question, number: int) -> tuple[int, bytes]:
        question.tries = number
        connection = await self.pool.connection()
        try:
            answer = await connection.exchange(question.method, question.head, question.body, chunked=False)
            return answer.status, await answer.read_all(_MAX_ANSWER)
        finally:
            self.pool.give_back(connection)

    def _unavailable(self, error: Exception, question: Question, ticket: int) -> AuthUnavailableError:
        if isinstance(error, NoPlaceError):
            self.breaker.released(ticket)
            reason = "all connections this service may have to it are in use"
        else:
            self.breaker.failed(ticket)
            reason = error.failure.reason if isinstance(error, HopError) else f"no answer within {self._timeout:g} s"
        times = f", {question.tries} tries" if question.tries > 1 else ""
        return _not_judged(f"The auth service cannot answer ({reason}{times})", question)

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
            raise ContractError
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
        raise ContractError
    return answer


def _not_judged(why: str, question: Question) -> AuthUnavailableError:
    return AuthUnavailableError(f"{why}; the key was not judged.", RETRY_AFTER, question.tries)


def _reason(answer: dict[str, Any], key: str) -> str:
    """The service's own words, unless they repeat a part of this key or name any other."""
    reason = answer.get("reason")
    words = reason[:_MAX_REASON] if isinstance(reason, str) else ""
    return f": {words}" if words.isprintable() and words and not shares(words, key) else ""


def _text(value: object) -> str:
    """A name or a number as text; anything else names nobody."""
    return str(value).strip() if isinstance(value, (str, int)) else ""
