"""The error that each service answers in a situation which all of them know.

Sources: "Common errors" of each service's API reference; for throttling also botocore's `retries/standard.py`, whose
list of codes says what its standard mode repeats.
"""

from __future__ import annotations

from typing import NamedTuple

from sandbox.controlplane.request import Call


class Code(NamedTuple):
    code: str
    status: int
    message: str


_QUERY = "query, rest-xml"
_FIVE = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term"
_TABLE: dict[str, dict[str, Code]] = {
    "throttle": {
        _QUERY: Code("Throttling", 400, "Rate exceeded"),
        "json": Code("ThrottlingException", 400, "Rate exceeded"),
        "ec2": Code("RequestLimitExceeded", 503, "Request limit exceeded."),
        "servicediscovery": Code("RequestLimitExceeded", 400, "Rate exceeded"),
        "s3": Code("SlowDown", 503, "Please reduce your request rate."),
        "resourcegroupstaggingapi": Code("ThrottledException", 400, "Rate exceeded"),
    },
    "5xx": {
        _QUERY: Code("InternalFailure", 500, "The request processing has failed because of an unknown error."),
        "json": Code("InternalFailure", 500, "The request processing has failed because of an unknown error."),
        "ec2": Code("InternalError", 500, "An internal error has occurred"),
        "ecs": Code("ServerException", 500, "Service Unavailable. Please try again later."),
        "ssm": Code("InternalServerError", 500, "An internal error occurred."),
        "s3": Code("InternalError", 500, "We encountered an internal error. Please try again."),
    },
    "expired": {
        _QUERY: Code("ExpiredToken", 403, "The security token included in the request is expired"),
        "json": Code("ExpiredTokenException", 400, "The security token included in the request is expired"),
        "ec2": Code("RequestExpired", 400, "Request has expired."),
        "s3": Code("ExpiredToken", 400, "The provided token has expired."),
    },
    "denied": {
        _QUERY: Code("AccessDenied", 403, "User: arn:aws:iam::123456789012:user/sandbox is not authorized"),
        "json": Code("AccessDeniedException", 400, "User: arn:aws:iam::123456789012:user/sandbox is not authorized"),
        "ec2": Code("UnauthorizedOperation", 403, "You are not authorized to perform this operation."),
        "s3": Code("AccessDenied", 403, "Access Denied"),
    },
    "skewed": {
        _QUERY: Code("SignatureDoesNotMatch", 403, "Signature not yet current, or expired"),
        "json": Code("InvalidSignatureException", 400, "Signature not yet current, or expired"),
        "ec2": Code("AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
        "s3": Code("RequestTimeTooSkewed", 403, "The difference between the request time and ours is too large."),
    },
    "malformed": {
        _QUERY: Code("IncompleteSignature", 403, _FIVE),
        "json": Code("IncompleteSignatureException", 400, _FIVE),
        "ec2": Code("AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
        "s3": Code("AuthorizationHeaderMalformed", 400, f"The authorization header is malformed; {_FIVE}"),
    },
}
_OF_REQUESTS = {"skewed", "malformed"}
KINDS = tuple(kind for kind in _TABLE if kind not in _OF_REQUESTS)
"""Those that can be injected; the others a request brings along."""


def code_of(kind: str, call: Call) -> Code:
    """What the call's service answers; `kind` is one of `KINDS`, `skewed` or `malformed`."""
    codes = _TABLE[kind]
    return codes.get(call.service) or codes["json" if call.protocol in {"json", "cbor"} else _QUERY]
