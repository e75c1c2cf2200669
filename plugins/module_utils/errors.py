# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The exceptions of this collection, and how AWS's own become them.

    PlatformError
    ├── BadInput        what was asked for is wrong; nothing was written
    ├── Ambiguous       a selector matches more than one resource
    ├── NotFound        a resource that was named does not exist
    ├── Unsafe          no order of the writes keeps every request on its way; none of them was made
    ├── AwsError        AWS refused or did not answer
    ├── NotConverged    AWS accepted the writes, yet a second plan is not empty
    ├── GaveUp          something did not become true in time, or went wrong while waiting
    ├── BadRecord       a run's record is not what was written, or is of another platform
    ├── LockHeld        another run holds the lock; nothing was written
    ├── LockLost        this run does not hold the lock any more: it must not write
    └── Unrecorded      the run's record cannot be written

Each says what was being done, to which resource, what was answered, and the remedy; `fail` in
`module.py` is the one place that turns them into `fail_json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

try:
    from botocore import exceptions as botocore_exceptions

    HAS_BOTOCORE = True
except ImportError:
    HAS_BOTOCORE = False

GRANT = "grant the calling identity this action on this resource (docs/iam.md has the policies), then run again"
SWAPPED = "check that access key and secret key are not swapped, in the options, the profile or the environment"
UNSIGNED = "check the secret key, and that this machine's clock is right"
REPEATING = {
    **dict.fromkeys(("AuthorizationHeaderMalformed", "IncompleteSignature", "IncompleteSignatureException"), SWAPPED),
    **dict.fromkeys(("SignatureDoesNotMatch", "InvalidSignatureException"), UNSIGNED),
}
"""By codes with which AWS repeats what it was sent, the remedies. In the first three the access key's id may be a
secret key in the wrong place; in the others the request that should have been signed has the session token."""
REMEDIES = {
    **REPEATING,
    "AccessDenied": GRANT,
    "AccessDeniedException": GRANT,
    "UnauthorizedOperation": GRANT,
    "ExpiredToken": "renew the session's credentials and run again; what is done stays done and is not repeated",
    "ExpiredTokenException": "renew the session's credentials and run again; what is done stays done",
    "InvalidClientTokenId": "the access key does not exist or is disabled: check the profile or the environment",
    "UnrecognizedClientException": "the access key is not valid in this account and region: check both",
    "Throttling": "AWS still throttled after the client's own retries: run again later",
    "ThrottlingException": "AWS still throttled after the client's own retries: run again later",
    "InvalidConfigurationRequest": "where group stickiness is asked for, first give the rules of the target group "
    "stickiness_seconds, in a run of their own, and then the group the attribute; else correct what AWS names",
    "RequestLimitExceeded": "AWS still throttled after the client's own retries: run again later",
    "TooManyUpdates": "others went on writing the same SSM parameter through the client's own retries: run again later",
}


class PlatformError(Exception):
    """A failure with a remedy. `details` go into the module's result as they are; never put a secret there."""

    def __init__(self, message: str, remedy: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        return f"{self.message}. Remedy: {self.remedy}" if self.remedy else self.message


class BadInput(PlatformError):  # noqa: N818 - the tree reads as what happened
    """What was asked for is wrong; raised before the first write."""


class Ambiguous(BadInput):
    """A selector matches more than one resource; the message lists them all."""


class NotFound(BadInput):
    """A resource that was named does not exist."""


class Unsafe(PlatformError):  # noqa: N818
    """No order of the writes was found in which every request stays on its way; raised before the first of them."""


class AwsError(PlatformError):
    """AWS refused a call or did not answer; `code` is AWS's own error code, or the exception's name."""

    def __init__(self, message: str, code: str, remedy: str = "", **details: Any) -> None:
        super().__init__(message, remedy, **details)
        self.code = code


class NotConverged(PlatformError):  # noqa: N818
    """AWS accepted the writes, yet planning again still finds something to do."""


class GaveUp(PlatformError):  # noqa: N818
    """What was waited for did not become true in time, or was undone while waiting."""


class BadRecord(PlatformError):  # noqa: N818
    """A run's record is damaged, incomplete, or of another account, region, environment, run or schema."""


class LockHeld(PlatformError):  # noqa: N818
    """Another run holds the lock. `details["holder"]` says which, since when and until when."""


class LockLost(PlatformError):  # noqa: N818
    """The run's token is stale: its lock expired, was broken, or was taken over. The write was not made."""


class PlanMoved(PlatformError):  # noqa: N818
    """An approved plan is not what is to be done now: the world, the inventory or the collection is another."""


class Unrecorded(PlatformError):  # noqa: N818
    """The run's record cannot be written, so nothing more may be."""


@contextmanager
def calling(doing: str) -> Iterator[None]:
    """Turn botocore's exceptions raised inside into `AwsError`; `doing` reads "describe the rules of listener X"."""
    if not HAS_BOTOCORE:
        yield
        return
    try:
        yield
    except botocore_exceptions.ClientError as error:
        answer = error.response.get("Error", {})
        code = str(answer.get("Code", "Unknown"))
        said, cause = ("", None) if code in REPEATING else (answer.get("Message", ""), error)
        text = f"Could not {doing}: AWS answered {code}: {said}".rstrip(": ")
        raise AwsError(text, code, REMEDIES.get(code) or unlisted(error, code)) from cause
    except botocore_exceptions.NoCredentialsError as error:
        raise BadInput(*no_credentials(doing)) from error
    except botocore_exceptions.ParamValidationError as error:
        remedy = "the value of an option is not what the API accepts: check the option that the message names"
        raise AwsError(f"Could not {doing}: {error}", type(error).__name__, remedy) from error
    except botocore_exceptions.BotoCoreError as error:
        remedy = "check region, endpoint_url, proxy settings and the network, then run again"
        raise AwsError(f"Could not {doing}: {error}", type(error).__name__, remedy) from error


def unlisted(error: Any, code: str) -> str:
    """The remedy for an error code that has none of its own; `error` is botocore's `ClientError`."""
    return (
        f"check that the names in the task, the region and the account are right; what {code} means is in the "
        f"service's API reference under {error.operation_name}"
    )


def no_credentials(doing: str) -> tuple[str, str]:
    return (
        f"Could not {doing}: no AWS credentials were found",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or the module's options of these names",
    )
