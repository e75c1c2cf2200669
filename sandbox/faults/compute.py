"""Faults of what runs: counts, revisions that cannot start, and a circuit breaker that says nothing."""

from __future__ import annotations

from sandbox.faults.live import Live
from sandbox.faults.registry import fault
from sandbox.faults.revisions import revise, update
from sandbox.platform.description import ACCOUNT, API, IMAGES, LOCAL_HOSTS, MLFLOW, REGION, REGISTRY_HOST

MISSING = f"{IMAGES}/hokusai-api:missing"
CRASH = ["python", "-c", "raise SystemExit(1)"]
NO_SECRET = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/hokusai/development/api/no-such-secret"


@fault("C01", "the API's desired count is 0", "ALB: 503")
def desired_count_is_zero(live: Live) -> None:
    update(live, API, desiredCount=0)


@fault("C02", "the API exits with 1", "ALB: 502 and 503")
def crash_loop(live: Live) -> None:
    unprotected(live)
    revise(live, API, command=CRASH)


@fault("C03", "the API's image does not exist", "ALB: 503; ECS: CannotPullContainerError")
def image_is_missing(live: Live) -> None:
    unprotected(live)
    revise(live, API, image=MISSING)


@fault("C04", "a secret of the API does not exist", "ALB: 503; ECS: ResourceInitializationError")
def secret_is_missing(live: Live) -> None:
    unprotected(live)
    revise(live, API, secrets={"SESSION_SECRET": NO_SECRET})


@fault("C11", "a change that the circuit breaker rolls back", "nobody: the old revision serves, the change is gone")
def change_is_rolled_back(live: Live) -> None:
    revise(live, API, image=MISSING)


@fault("P06", "MLflow does not allow its Cloud Map name as a host", "MLflow: 403 Invalid Host header, /health is 200")
def host_is_not_allowed(live: Live) -> None:
    allowed = ",".join(host for host in (REGISTRY_HOST, *LOCAL_HOSTS.split(",")) if host != "10.*")
    revise(live, MLFLOW, environment={"MLFLOW_SERVER_ALLOWED_HOSTS": f"{allowed},10.*"})


def unprotected(live: Live) -> None:
    """Let ECS stop what works before what replaces it does: only then is there an outage to see."""
    update(
        live,
        API,
        deploymentConfiguration={
            "deploymentCircuitBreaker": {"enable": False, "rollback": False},
            "minimumHealthyPercent": 0,
            "maximumPercent": 200,
        },
    )
