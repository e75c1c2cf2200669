"""Faults of what runs: counts, revisions that cannot start, and a circuit breaker that says nothing."""

from __future__ import annotations

from sandbox.faults.live import Live, call
from sandbox.faults.registry import fault
from sandbox.faults.revisions import revise, update
from sandbox.platform.description import (
    ACCOUNT,
    ANYWHERE,
    API,
    API_IMAGE,
    CLUSTER,
    IMAGES,
    LOCAL_HOSTS,
    MLFLOW,
    REGION,
    REGISTRY_HOST,
)

MISSING = f"{IMAGES}/hokusai-api:missing"
CRASH = ["python", "-c", "raise SystemExit(1)"]
SIDECAR = {"name": "sidecar", "image": API_IMAGE, "command": CRASH, "essential": True}
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


@fault("C05", "the private subnets have no way out", "ECS: pulling the image times out", api_only=True)
def no_way_out(live: Live) -> None:
    """Of the first of the API's subnets, which shares its route table with the others."""
    first = live.service(API)["networkConfiguration"]["awsvpcConfiguration"]["subnets"][0]
    wanted = [{"Name": "association.subnet-id", "Values": [first]}]
    table = live.aws.ec2.describe_route_tables(Filters=wanted)["RouteTables"][0]
    out = next(each for each in table["Routes"] if each.get("DestinationCidrBlock") == ANYWHERE)
    route = {"RouteTableId": table["RouteTableId"], "DestinationCidrBlock": ANYWHERE}
    live.change(
        "route out of the private subnets",
        call("ec2", "delete_route", **route),
        call("ec2", "create_route", ("RouteAlreadyExists",), **route, NatGatewayId=out["NatGatewayId"]),
    )


@fault("C08", "an essential sidecar of the API exits with 1", "ALB: 502 and 503")
def sidecar_fails(live: Live) -> None:
    unprotected(live)
    revise(live, API, sidecar=SIDECAR)


@fault("C11", "a change that the circuit breaker rolls back", "nobody: the old revision serves, the change is gone")
def change_is_rolled_back(live: Live) -> None:
    revise(live, API, image=MISSING)


@fault("C13", "autoscaling wants three to five tasks of the API", "nobody; the count goes back", api_only=True)
def autoscaling_has_its_own_count(live: Live) -> None:
    target = {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{CLUSTER}/{API}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    live.change(
        f"scalable target of {API}",
        call("application-autoscaling", "register_scalable_target", **target, MinCapacity=3, MaxCapacity=5),
        call("application-autoscaling", "deregister_scalable_target", ("ObjectNotFoundException",), **target),
    )


@fault("P02", "the API has a single connection to MLflow", "API: 503, only under load")
def pool_is_too_small(live: Live) -> None:
    revise(live, API, environment={"GATEWAY_MAX_CONNECTIONS": "1"})


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
