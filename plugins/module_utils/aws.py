# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The edge to AWS: one lazily made botocore client per service, retries and time-outs set once for all."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, calling, no_credentials

try:
    import boto3
    import botocore.session
    from botocore import xform_name
    from botocore.config import Config
    from botocore.credentials import RefreshableCredentials
    from botocore.exceptions import (
        BotoCoreError,
        ConnectTimeoutError,
        EndpointConnectionError,
        ProxyConnectionError,
    )

    HAS_BOTO3 = True
    NOT_SENT = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError)
except ImportError:
    HAS_BOTO3 = False

AWS_OPTIONS: dict[str, dict[str, Any]] = {
    "region": {"type": "str"},
    "profile": {"type": "str"},
    "access_key": {"type": "str", "no_log": False},
    "secret_key": {"type": "str", "no_log": True},
    "session_token": {"type": "str", "no_log": True},
    "endpoint_url": {"type": "str"},
    "validate_certs": {"type": "bool", "default": True},
    "aws_ca_bundle": {"type": "path"},
    "assume_role_arn": {"type": "str"},
}


TRIES = 10
"""How often at most a call is made, when AWS throttles or fails at answering."""
LONGEST_PAUSE = 20.0
"""Seconds between two of its tries."""
REREAD_DELAYS = (0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0)
"""Seconds before each new look at what was just written: reads may lag behind writes (11 s in all)."""
Seen = TypeVar("Seen")
TAKEN_FOR_FINAL = frozenset({"TooManyUpdates"})
"""Codes of such a call that botocore would not repeat (SSM API reference: PutParameter)."""
THROTTLED = TAKEN_FOR_FINAL | {
    *("BandwidthLimitExceeded", "LimitExceededException", "PriorRequestNotComplete", "RequestLimitExceeded"),
    *("SlowDown", "TooManyRequestsException"),
}
"""Codes of a call that AWS surely did not take, whatever their HTTP status, beside those that say throttled."""


class Guard(Protocol):
    """Who has a say in the tries that botocore makes of a call; `verb` is the method's name."""

    def lost(self, verb: str) -> bool:
        """A try may have taken effect, and its answer was lost: whether botocore may make a further one."""

    def again(self, verb: str) -> None:
        """A further try is about to be made. What this raises keeps it from that, and the method's caller gets it."""


GUARD: ContextVar[Guard | None] = ContextVar("GUARD", default=None)


def look_until(
    look: Callable[[], Seen], shows: Callable[[Seen], bool], delays: Iterable[float] = REREAD_DELAYS
) -> Seen:
    """The last look: one after each of the delays (seconds), until one shows what a write has made."""
    for delay in delays:
        if delay:
            time.sleep(delay)
        seen = look()
        if shows(seen):
            break
    return seen


@contextmanager
def guarded(guard: Guard | None) -> Iterator[None]:
    """Let `guard` have its say in the calls that this thread makes inside."""
    token = GUARD.set(guard)
    try:
        yield
    finally:
        GUARD.reset(token)


def before_try(request: Any, operation_name: str, **_: Any) -> None:
    """botocore's event `request-created`, which it emits anew for each try, before it signs and sends."""
    guard, attempt = GUARD.get(), request.context.get("retries", {}).get("attempt", 1)
    if guard and attempt > 1:
        guard.again(xform_name(operation_name))


def after_try(
    operation: Any, response: Any, attempts: int, caught_exception: Exception | None, **_: Any
) -> float | bool | None:
    """botocore's event `needs-retry`, which it emits after each try; the first answer that is not None is taken.

    A number is for how many seconds to wait before the next try; False is none.
    """
    guard = GUARD.get()
    if guard and is_lost(response, caught_exception) and not guard.lost(xform_name(operation.name)):
        return False
    if response is not None and code_of(response[1]) in TAKEN_FOR_FINAL and attempts < TRIES:
        return random.uniform(0, min(2.0 ** (attempts - 1), LONGEST_PAUSE))  # noqa: S311 - so that two do not meet again
    return None


def is_lost(response: Any, exception: Exception | None) -> bool:
    """Whether a try that failed may have taken effect: no answer came once it was sent, or AWS failed at answering.

    `response` is botocore's pair of HTTP response and parsed answer, None when there is an exception.
    """
    if response is None:
        return not isinstance(exception, NOT_SENT)
    http, parsed = response
    code = code_of(parsed)
    if code in THROTTLED or "Throttl" in code:
        return False
    return http.status_code >= 500 or code.startswith("RequestTimeout")


def code_of(parsed: Mapping[str, Any]) -> str:
    """The error code of an answer; "" when it is none."""
    return str(parsed.get("Error", {}).get("Code", ""))


@dataclass(frozen=True)
class Issued:
    """botocore's component `credential_provider`, in a session whose credentials we renew."""

    credentials: Any

    def load_credentials(self) -> Any:
        return self.credentials


class Aws:
    """Clients by service name: `aws.elbv2.describe_rules(...)`, `aws.client("ecs")`.

    Built from the common options of `doc_fragments/aws.py`; whatever is omitted comes from botocore's own chain
    (environment, profile, instance role). Raises `BadInput` when there are no credentials or no region.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._session = self._make_session()
        if not self._session.region_name:
            raise BadInput("No AWS region is set", "set the option region, AWS_DEFAULT_REGION, or one in the profile")

    @property
    def region(self) -> str:
        return str(self._session.region_name)

    def client(self, service: str) -> Any:
        """The client of a service, made once; botocore's clients are safe to share between threads."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make_client(self._session, service)
            return self._clients[service]

    def __getattr__(self, service: str) -> Any:
        if service.startswith("_"):
            raise AttributeError(service)
        return self.client(service)

    def _make_session(self) -> Any:
        if bool(self._params.get("access_key")) != bool(self._params.get("secret_key")):
            raise BadInput("Only one of the options access_key and secret_key is set", "set both or neither")
        given = {
            "profile_name": self._params.get("profile"),
            "region_name": self._params.get("region"),
            "aws_access_key_id": self._params.get("access_key"),
            "aws_secret_access_key": self._params.get("secret_key"),
            "aws_session_token": self._params.get("session_token"),
        }
        try:
            session = boto3.session.Session(**{key: value for key, value in given.items() if value})
            credentials = session.get_credentials()
        except BotoCoreError as error:
            remedy = "set both halves of the access key, or AWS_PROFILE; check the profile's file"
            raise BadInput(f"The AWS session cannot be made: {error}", remedy) from error
        if credentials is None:
            raise BadInput(*no_credentials("reach AWS"))
        role = self._params.get("assume_role_arn")
        return self._assume(session, role) if role else session

    def _assume(self, session: Any, role_arn: str) -> Any:
        """A session in the role, which is assumed again before the hour of what STS issued is over."""
        sts = self._make_client(session, "sts")

        def issue() -> dict[str, str]:
            # Another call may be waiting for this: its guard has no say here, and would need these credentials.
            with guarded(None), calling(f"assume the role {role_arn}"):
                answer = sts.assume_role(RoleArn=role_arn, RoleSessionName="hokusai-platform")
            issued = answer["Credentials"]
            return {
                "access_key": issued["AccessKeyId"],
                "secret_key": issued["SecretAccessKey"],
                "token": issued["SessionToken"],
                "expiry_time": issued["Expiration"].isoformat(),
            }

        credentials = RefreshableCredentials.create_from_metadata(issue(), issue, "sts-assume-role")
        assumed = botocore.session.get_session()
        assumed.register_component("credential_provider", Issued(credentials))
        return boto3.session.Session(botocore_session=assumed, region_name=session.region_name)

    def _make_client(self, session: Any, service: str) -> Any:
        verify = self._params.get("aws_ca_bundle") or (None if self._params.get("validate_certs", True) else False)
        config = Config(
            retries={"mode": "standard", "total_max_attempts": TRIES},
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=32,
        )
        try:
            client = session.client(
                service, endpoint_url=self._params.get("endpoint_url") or None, verify=verify, config=config
            )
        except (BotoCoreError, ValueError) as error:
            raise BadInput(f"No client for the service {service}: {error}", "check region and endpoint_url") from error
        client.meta.events.register("request-created", before_try)
        # botocore's own handler is registered for the service, and the more specific ones are asked first.
        name = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register_first(f"needs-retry.{name}", after_try)
        return client
