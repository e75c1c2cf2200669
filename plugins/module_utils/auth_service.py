# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The platform's auth service: what it says of a key, and minting and revoking keys there.

Contract: `POST {auth}/api/v1/keys/validate` with the key as bearer and `{"service_id", "client_ip"}`; a 200 whose
`is_valid` is false is a refusal. An answer that is not of this contract says nothing about the key, and is an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from ansible_collections.hokusai.platform.plugins.module_utils.credentials import Key
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, NotFound, PlatformError
from ansible_collections.hokusai.platform.plugins.module_utils.http_client import Answer, Prober, Request

VALID, REFUSED, WRONG_SERVICE, MISSING_SCOPES = "valid", "refused", "wrong_service", "missing_scopes"


class AuthServiceError(PlatformError):
    """The auth service did not answer what was asked: nothing is known about the key."""


@dataclass(frozen=True)
class Standing:
    """What the auth service says of a key: `verdict` is `valid`, `refused`, `wrong_service` or `missing_scopes`."""

    verdict: str
    reason: str
    key_id: str = ""
    service_id: str = ""
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()

    @property
    def is_valid(self) -> bool:
        return self.verdict == VALID


@dataclass(frozen=True)
class Minted:
    """A new key, as the auth service issued it."""

    text: str = field(repr=False)
    key_id: str


def judge(answer: Mapping[str, Any], service_id: str, scopes: Iterable[str]) -> Standing:
    """The standing of a key for a service and the scopes it must have, from the body of a validation."""
    held = tuple(sorted(str(scope) for scope in answer.get("scopes") or ()))
    owner, key_id = str(answer.get("service_id") or ""), str(answer.get("key_id") or "")
    missing = tuple(sorted(set(scopes) - set(held)))
    reason = str(answer.get("reason") or "the auth service gives no reason")
    if answer.get("is_valid") is not True:
        verdict = WRONG_SERVICE if reason == WRONG_SERVICE else REFUSED
        return Standing(verdict, reason, key_id, owner, held)
    if owner != service_id:
        reason = f"the key is one of the service {owner or '(none)'}, not {service_id}"
        return Standing(WRONG_SERVICE, reason, key_id, owner, held)
    if missing:
        return Standing(MISSING_SCOPES, f"the key lacks {', '.join(missing)}", key_id, owner, held, missing)
    return Standing(VALID, "", key_id, owner, held)


class AuthService:
    """The service at `url`. Raises `AuthServiceError` whenever it does not answer by the contract."""

    def __init__(self, url: str, scrub: Callable[[str], str], timeout: float) -> None:
        self._url = url.rstrip("/")
        self._scrub = scrub
        # Only here is a body read as it came: the answer to a mint is the key. It leaves as `Minted` alone.
        self._prober = Prober(lambda text: text, timeout=timeout)

    def validate(self, key: Key, service_id: str, scopes: Iterable[str] = (), client_ip: str | None = None) -> Standing:
        body = {"service_id": service_id, **({"client_ip": client_ip} if client_ip else {})}
        answer = self._send("validate the key", Request(f"{self._url}/api/v1/keys/validate", "POST", key=key), body)
        data = answer.json
        if answer.status in {401, 403} and isinstance(data, dict):
            return Standing(REFUSED, f"the auth service answered {answer.status}")
        if answer.status != 200 or not isinstance(data, dict) or not isinstance(data.get("is_valid"), bool):
            raise self._unexpected("validate the key", answer)
        standing = judge(data, service_id, scopes)
        return replace(standing, reason=self._scrub(standing.reason))

    def mint(self, admin: Key, wanted: Mapping[str, Any]) -> Minted:
        """`wanted` is the body: name, service_id, scopes, environment, and user_id if there is one."""
        doing = f"mint the key {wanted['name']}"
        answer = self._send(doing, Request(f"{self._url}/api/v1/keys", "POST", key=admin), wanted)
        data = answer.json
        if answer.status != 201 or not isinstance(data, dict) or not isinstance(data.get("key"), str):
            raise self._refusal(doing, answer)
        return Minted(data["key"], str(data.get("key_id", "")))

    def is_active(self, admin: Key, key_id: str) -> bool:
        """Whether a key is not revoked. Raises `NotFound` for an id the service does not know."""
        doing = f"look up the key {key_id}"
        answer = self._send(doing, Request(self._key_url(key_id), key=admin))
        data = answer.json
        if answer.status != 200 or not isinstance(data, dict):
            raise self._refusal(doing, answer)
        return data.get("is_active") is not False and not data.get("revoked_at")

    def revoke(self, admin: Key, key_id: str) -> None:
        doing = f"revoke the key {key_id}"
        answer = self._send(doing, Request(self._key_url(key_id), "DELETE", key=admin))
        if answer.status != 204:
            raise self._refusal(doing, answer)

    def _key_url(self, key_id: str) -> str:
        return f"{self._url}/api/v1/keys/{quote(key_id, safe='')}"

    def _send(self, doing: str, request: Request, body: Mapping[str, Any] | None = None) -> Answer:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        text = json.dumps(body) if body is not None else None
        answer = self._prober.send(Request(request.url, request.method, headers, text, request.key))
        if answer.error:
            raise AuthServiceError(
                f"Could not {doing}: no answer from {self._url} ({answer.error}: {self._scrub(answer.detail)})",
                "check auth_url, DNS, proxy and CA settings, and that the service runs; nothing is known about the key",
            )
        return answer

    def _refusal(self, doing: str, answer: Answer) -> PlatformError:
        if answer.status in {401, 403}:
            text = f"Could not {doing}: the auth service answered {answer.status} to the admin key"
            return BadInput(text, "check admin_source: the key there may not administer keys")
        if answer.status == 404 and isinstance(answer.json, dict):
            return NotFound(f"Could not {doing}: the auth service knows no such key", "check key_id")
        if answer.status == 422:
            text = f"Could not {doing}: the auth service refused it: {self._told(answer)}"
            return BadInput(text, "correct the options it names")
        return self._unexpected(doing, answer)

    def _unexpected(self, doing: str, answer: Answer) -> AuthServiceError:
        wait = answer.headers.get("retry-after")
        again = f"try again in {wait} s" if wait else "try again"
        return AuthServiceError(
            f"Could not {doing}: {self._url} answered {answer.status} ({self._told(answer)}), which tells nothing",
            f"check that auth_url is the auth service and that it is healthy, then {again}",
        )

    def _told(self, answer: Answer) -> str:
        """The service's own words; what came of a mint that went wrong could hold the key, so that is never shown."""
        data = answer.json
        words = data.get("detail") or data.get("message") if isinstance(data, dict) else None
        content_type = answer.headers.get("content-type", "no type")
        return self._scrub(str(words))[:300] if words else f"{len(answer.body)} characters of {content_type}"
