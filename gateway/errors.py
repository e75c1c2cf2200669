"""Every way a request can fail here, as a tree of named exceptions.

Codes are those of MLflow's ``ErrorCode`` (databricks.proto): the SDK looks the code up and prints the message, and
warns about a proxy when it does not know the code. Statuses are platform.md's "Status the API answers".
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable


class ConfigError(Exception):
    """An environment variable has a value the gateway cannot run with; the message starts with its name."""


class ClientGoneError(Exception):
    """The client closed its connection before it had its whole answer; nobody is left to tell."""


class BrokenResponseError(Exception):
    """The upstream's answer stopped part-way, after its head went to the client: only an abort says so honestly."""


class GatewayError(Exception):
    """A request that ends in an answer of the gateway's own.

    ``hop`` names the service at fault (``auth``, ``mlflow``, or ``gateway`` for a 503 of this one's own) or is empty,
    ``tries`` how often it was asked, and
    ``emitter`` who decided the status.
    """

    status = 500
    error_code = "INTERNAL_ERROR"
    hop = ""
    emitter = "gateway"

    def __init__(self, message: str, retry_after: float | None = None, tries: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.tries = tries

    def headers(self) -> list[tuple[bytes, bytes]]:
        if self.retry_after is None:
            return []
        return [(b"retry-after", b"%d" % max(1, math.ceil(self.retry_after)))]

    def body(self, request_id: str) -> bytes:
        answer: dict[str, object] = {
            "error_code": self.error_code,
            "message": self.message,
            "request_id": request_id,
        }
        if self.hop:
            answer |= {"hop": self.hop, "tries": self.tries}
        return json.dumps(answer).encode()


class BadRequestError(GatewayError):
    status = 400
    error_code = "BAD_REQUEST"


class RequestTargetTooLongError(GatewayError):
    status = 414
    error_code = "BAD_REQUEST"


class MethodNotAllowedError(GatewayError):
    """``allowed`` are the methods there are."""

    status = 405
    error_code = "BAD_REQUEST"

    def __init__(self, message: str, allowed: Iterable[str]) -> None:
        super().__init__(message)
        self._allowed = ", ".join(sorted(allowed))

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"allow", self._allowed.encode())]


class NotFoundError(GatewayError):
    status = 404
    error_code = "ENDPOINT_NOT_FOUND"


class FeatureDisabledError(GatewayError):
    """501, because the MLflow client retries 503 for four minutes and does not retry this."""

    status = 501
    error_code = "FEATURE_DISABLED"


class UnauthenticatedError(GatewayError):
    status = 401
    error_code = "UNAUTHENTICATED"

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"www-authenticate", b'Bearer realm="hokusai"')]


class KeyRefusedError(UnauthenticatedError):
    """The auth service answered, and its answer is no."""

    emitter = "auth"


class BalanceError(GatewayError):
    status = 402
    error_code = "QUOTA_EXCEEDED"
    emitter = "auth"


class UnreadBody:
    """The rest of the body is not read, so the connection cannot be used again."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"connection", b"close")]


class ClientStalledError(UnreadBody, GatewayError):
    """The client stopped sending its body and stayed; what is left of it is not waited for."""

    status = 408
    error_code = "DEADLINE_EXCEEDED"


class BodyTooLargeError(UnreadBody, GatewayError):
    status = 413
    error_code = "BAD_REQUEST"


class CodedBodyError(UnreadBody, GatewayError):
    status = 415
    error_code = "BAD_REQUEST"


class BusyError(GatewayError):
    """This service has no room for the request, or no time left: says nothing about MLflow."""

    status = 503
    error_code = "TEMPORARILY_UNAVAILABLE"
    hop = "gateway"


class ScopeError(GatewayError):
    status = 403
    error_code = "PERMISSION_DENIED"


class RateLimitError(GatewayError):
    status = 429
    error_code = "REQUEST_LIMIT_EXCEEDED"


class AuthUnavailableError(GatewayError):
    """The auth service cannot answer. Never a 401: the key may be perfectly good."""

    status = 503
    error_code = "TEMPORARILY_UNAVAILABLE"
    hop = "auth"


class UpstreamError(GatewayError):
    """MLflow did not answer."""

    status = 502
    error_code = "TEMPORARILY_UNAVAILABLE"
    hop = "mlflow"


class UpstreamTimeoutError(UpstreamError):
    status = 504
    error_code = "DEADLINE_EXCEEDED"


class BreakerOpenError(UpstreamError):
    status = 503
