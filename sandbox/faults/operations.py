"""Faults of whoever runs the change: another run, an API that errs, credentials and clocks, a second controller."""

from __future__ import annotations

import json
import time

from sandbox.faults.live import Live, call
from sandbox.faults.registry import fault
from sandbox.faults.revisions import update
from sandbox.platform.description import API, ENVIRONMENT

LOCK = f"/hokusai/{ENVIRONMENT}/lock"
CLOCK_OFFSET = 900.0


@fault("O01", f"another run holds the lock {LOCK}", "a second run is refused", api_only=True)
def somebody_else_runs(live: Live) -> None:
    holder = {
        "run_id": "20261121T000000Z-00000000",
        "owner": "somebody else",
        "host": "elsewhere",
        "pid": 1,
        "acquired": time.time(),
        "ttl": 3600,
        "counter": 1,
    }
    live.change(
        f"parameter {LOCK}",
        call("ssm", "put_parameter", Name=LOCK, Type="String", Value=json.dumps(holder)),
        call("ssm", "delete_parameter", ("ParameterNotFound",), Name=LOCK),
    )


@fault("O02", "30 % of all API calls are throttled", "AWS API: the throttling code of each service", api_only=True)
def throttled(live: Live) -> None:
    live.inject({"match": ".*", "kind": "throttle", "probability": 0.3})


@fault(
    "O03", "the next write is held before it takes effect", "nobody answers: the moment for a kill -9", api_only=True
)
def next_write_is_held(live: Live) -> None:
    live.inject({"match": ".*", "only": "writes", "hold": True, "times": 1})


@fault("O04", "the next write lands and its response is lost", "AWS API: the connection closes", api_only=True)
def next_response_is_lost(live: Live) -> None:
    live.inject({"match": ".*", "only": "writes", "after": True, "times": 1})


@fault("O05", "the credentials expire after ten more calls", "AWS API: ExpiredToken", api_only=True)
def credentials_expire(live: Live) -> None:
    live.inject({"match": ".*", "kind": "expired", "skip": 10})


@fault("O06", "all writes but the next two are denied", "AWS API: AccessDenied", api_only=True)
def writes_are_denied(live: Live) -> None:
    live.inject({"match": ".*", "kind": "denied", "only": "writes", "skip": 2})


@fault("O11", "reads lag two seconds behind each write", "AWS API: what was", api_only=True)
def reads_are_stale(live: Live) -> None:
    live.inject({"match": ".*", "lag": 2.0})


@fault("O13", "the clients' clocks are 15 minutes slow", "AWS API: SignatureDoesNotMatch", api_only=True)
def clocks_differ(live: Live) -> None:
    """AWS's clock is set instead: it shows in `Date`, too."""
    there, back = ({"do": "control", "path": "clock", "body": {"offset": each}} for each in (CLOCK_OFFSET, 0.0))
    live.change("clock", there, back)


@fault("O15", "pages have two items", "nobody; who does not paginate misses the rest", api_only=True)
def pages_are_small(live: Live) -> None:
    live.inject({"match": ".*", "page": 2})


@fault("O17", "CodeDeploy controls the API's deployments", "two controllers", api_only=True)
def another_controller(live: Live) -> None:
    update(live, API, deploymentController={"type": "CODE_DEPLOY"})


@fault("W09", "DescribeAlarms is throttled", "AWS API: ThrottlingException, of CloudWatch alone", api_only=True)
def alarms_cannot_be_read(live: Live) -> None:
    live.inject({"match": "cloudwatch:DescribeAlarms", "kind": "throttle"})
