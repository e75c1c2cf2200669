"""Which API key a request presents.

Contract (platform.md): ``Authorization: Bearer``, ``Authorization: ApiKey`` or ``X-API-Key``, the scheme's name in any
case, and exactly one of them: with two, a proxy and a server may disagree on who is asking.
"""

from __future__ import annotations

import re

from gateway.errors import BadRequestError, UnauthenticatedError
from gateway.headers import Headers

CREDENTIAL_HEADERS = frozenset({b"authorization", b"x-api-key"})
_VISIBLE = re.compile(rb"[!-~]+")
_MAX_KEY_LENGTH = 512
_SHORTEST_SECRET = 16
_TELLING = 6
"""Characters of a key in a row that are enough to be a part of it and not an accident of language."""

_HOW = "Send one API key as 'Authorization: Bearer <key>' (MLFLOW_TRACKING_TOKEN) or 'X-API-Key: <key>'."


def presents_any(headers: Headers) -> bool:
    """True when the request carries a credential header at all, good or not."""
    return any(name in CREDENTIAL_HEADERS for name, _ in headers)


def presented_key(headers: Headers) -> str:
    """The key of the request. Raises UnauthenticatedError (none, or not a key) or BadRequestError (several)."""
    presented = [(name, value) for name, value in headers if name in CREDENTIAL_HEADERS]
    if not presented:
        raise UnauthenticatedError(f"No API key was sent. {_HOW}")
    if len(presented) > 1:
        raise BadRequestError(f"More than one credential was sent. {_HOW}")
    name, value = presented[0]
    return _checked(value if name == b"x-api-key" else _from_authorization(value))


def refuse_repeated(key: str, raw_path: bytes, query: bytes, headers: Headers) -> None:
    """For a key that is one: it ends here, and must not go on in the path, the query or another header either.

    Raises BadRequestError. What is as short as a word is no secret, and may stand anywhere.
    """
    if len(key) >= _SHORTEST_SECRET:
        texts = b"\n".join([raw_path, query, *[value for _, value in headers]])
        if texts.count(key.encode()) > 1:
            raise BadRequestError(f"The API key is repeated in the path, the query or another header. {_HOW}")


def shares(text: str, secret: str) -> bool:
    """Whether ``text`` has enough of ``secret``, or of any key, to tell something about it; both in any case."""
    text, secret = text.lower(), secret.lower()
    size = min(_TELLING, len(secret))
    parts = (text[at : at + size] for at in range(len(text) - size + 1)) if size else ()
    return "hk_" in text or any(part in secret for part in parts)


def _from_authorization(value: bytes) -> bytes:
    scheme, _, rest = value.strip().partition(b" ")
    if scheme.lower() in {b"bearer", b"apikey"}:
        return rest
    if scheme.lower() == b"basic":
        raise UnauthenticatedError(
            "Basic credentials were sent: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or a netrc entry) "
            f"win over MLFLOW_TRACKING_TOKEN in the client; remove them. {_HOW}"
        )
    raise UnauthenticatedError(f"The Authorization scheme is not known here. {_HOW}")


def _checked(value: bytes) -> str:
    key = value.strip()
    if not key:
        raise UnauthenticatedError(f"The API key is empty. {_HOW}")
    if len(key) > _MAX_KEY_LENGTH or not _VISIBLE.fullmatch(key):
        raise UnauthenticatedError(f"The credential is not an API key. {_HOW}")
    return key.decode("ascii")
