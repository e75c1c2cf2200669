"""The auth service's answer about one key.

Contract (platform.md): ``POST {auth}/api/v1/keys/validate`` with the key as bearer and ``{"service_id", "client_ip"}``;
a 200 whose ``is_valid`` is not true is a refusal. Anything that is not an answer of that contract is an outage.
"""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from gateway.config import Config
from gateway.errors import AuthUnavailableError, BalanceError, KeyRefusedError
from gateway.identity import Identity
from gateway.network import FAILURES, explain

RETRY_AFTER = 5.0
_ATTEMPTS = 2
_MAX_REASON = 200
_TELLING = 6
"""Characters of a key in a row that are enough to be a part of it and not an accident of language."""


class AuthService:
    """Asks; remembers nothing. See authenticator.py for the cache."""

    def __init__(self, session: aiohttp.ClientSession, config: Config) -> None:
        self._session = session
        self._config = config
        self._url = f"{config.auth_url}/api/v1/keys/validate"

    async def validate(self, key: str, client_ip: str) -> Identity:
        """Raises KeyRefusedError, BalanceError or AuthUnavailableError."""
        status, body = await self._ask(key, client_ip)
        if status in {401, 403}:
            raise KeyRefusedError("The auth service refused the API key.")
        if status == 402:
            raise BalanceError("The account has not enough balance.")
        if status != 200:
            raise AuthUnavailableError(f"The auth service answered {status}; the key was not judged.", RETRY_AFTER)
        return self._judge(_parse(body), key)

    async def _ask(self, key: str, client_ip: str) -> tuple[int, bytes]:
        """Validation changes nothing, so a connection that was closed under us is worth one more try."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self._session.post(
                    self._url,
                    json={"service_id": self._config.service_id, "client_ip": client_ip},
                    headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
                    allow_redirects=False,
                ) as response:
                    return response.status, await response.read()
            except FAILURES as error:
                failure = explain(error, self._config.connect_timeout)
                if attempt == _ATTEMPTS or not failure.stale:
                    raise AuthUnavailableError(
                        f"The auth service cannot answer ({failure.reason}); the key was not judged.", RETRY_AFTER
                    ) from None
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _judge(self, answer: dict[str, Any], key: str) -> Identity:
        if answer["is_valid"] is not True:
            raise KeyRefusedError(f"The API key is not valid{_reason(answer, key)}.")
        wanted = self._config.service_id
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
    if not isinstance(reason, str) or not reason.isprintable() or _repeats(reason.lower(), key.lower()):
        return ""
    return f": {reason[:_MAX_REASON]}"


def _repeats(reason: str, key: str) -> bool:
    parts = (key[at : at + _TELLING] for at in range(max(1, len(key) - _TELLING + 1)))
    return "hk_" in reason or any(part in reason for part in parts)


def _text(value: object) -> str:
    """A name or a number as text; anything else names nobody."""
    return str(value).strip() if isinstance(value, (str, int)) else ""
