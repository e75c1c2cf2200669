"""Faults of target groups: health checks, attributes, and nobody in them."""

from __future__ import annotations

from typing import Any

from sandbox.faults import revisions
from sandbox.faults.edge import change_rule, change_subnets, subnets_of
from sandbox.faults.live import Live, call
from sandbox.faults.registry import fault
from sandbox.platform.description import API, API_PORT, API_TG, MAIN_LB, MLFLOW, REG_API, REGISTRY_LB
from sandbox.platform.edge import NOT_FOUND


@fault("T02", "health checks go to a port that nobody listens on", "ALB: fails open; ECS replaces tasks")
def wrong_health_port(live: Live) -> None:
    for name in (REG_API, API_TG):
        change_health_check(live, name, HealthCheckPort="8002")


@fault("T03", "the health check wants a 204", "ALB: fails open; ECS replaces tasks")
def wrong_matcher(live: Live) -> None:
    for name in (REG_API, API_TG):
        change_health_check(live, name, Matcher={"HttpCode": "204"})


@fault("T04", "no grace period, and ten checks to become healthy", "ECS: may kill tasks that boot", api_only=True)
def no_time_to_boot(live: Live) -> None:
    revisions.update(live, API, healthCheckGracePeriodSeconds=0)
    for name in (REG_API, API_TG):
        change_health_check(live, name, HealthyThresholdCount=10)


@fault("T07", "rule 105 of the registry names a target group of instances", "ALB: 503; no task can join it")
def group_of_instances(live: Live) -> None:
    """Its type cannot be changed, so that it is another group, and nobody is in it."""
    vpc = live.target_group(REG_API)["VpcId"]
    made = live.create(
        "target group of instances",
        call(
            "elbv2",
            "create_target_group",
            Name="sandbox-t07",
            Protocol="HTTP",
            Port=API_PORT,
            VpcId=vpc,
            TargetType="instance",
        ),
        lambda answer: call(
            "elbv2",
            "delete_target_group",
            ("TargetGroupNotFound",),
            TargetGroupArn=answer["TargetGroups"][0]["TargetGroupArn"],
        ),
    )
    action = {"Type": "forward", "TargetGroupArn": made["TargetGroups"][0]["TargetGroupArn"]}
    change_rule(live, REGISTRY_LB, 105, Actions=[action])


@fault("T09", "the API's service is bound to no target group", "ALB: 503")
def no_registered_targets(live: Live) -> None:
    revisions.update(live, API, loadBalancers=[])


@fault(
    "T11", "the main ALB is not in a zone in which the API may run", "ALB: 503; targets there are unused", api_only=True
)
def zone_is_not_enabled(live: Live) -> None:
    """The zone of the first of the API's subnets."""
    first = live.service(API)["networkConfiguration"]["awsvpcConfiguration"]["subnets"][0]
    lost = live.aws.ec2.describe_subnets(SubnetIds=[first])["Subnets"][0]["AvailabilityZone"]
    change_subnets(live, MAIN_LB, [subnet for zone, subnet in subnets_of(live, MAIN_LB).items() if zone != lost])


@fault("T12", "no rule names the target group of api.hokus.ai", "ALB: fixed 404; its targets are unused")
def group_without_a_rule(live: Live) -> None:
    for rule in live.rules(MAIN_LB):
        change_rule(live, MAIN_LB, int(rule["Priority"]), Actions=[NOT_FOUND])


@fault("T13", "targets are deregistered without any delay", "ALB: 502 for long uploads during deployments")
def no_deregistration_delay(live: Live) -> None:
    for name in (REG_API, API_TG):
        change_attribute(live, name, "deregistration_delay.timeout_seconds", "0")


@fault("T14", "MLflow is gone behind a shallow health check", "API: 502 while its own targets are healthy")
def shallow_health_check(live: Live) -> None:
    revisions.update(live, MLFLOW, desiredCount=0)


def change_health_check(live: Live, name: str, **fields: Any) -> None:
    held = live.target_group(name)
    arn = held["TargetGroupArn"]
    live.change(
        f"{', '.join(fields)} of {name}",
        call("elbv2", "modify_target_group", TargetGroupArn=arn, **fields),
        call("elbv2", "modify_target_group", TargetGroupArn=arn, **{field: held[field] for field in fields}),
    )


def change_attribute(live: Live, name: str, key: str, value: str) -> None:
    arn = live.target_group_arn(name)
    held = live.aws.elbv2.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    old = next(each["Value"] for each in held if each["Key"] == key)
    there, back = (
        call("elbv2", "modify_target_group_attributes", TargetGroupArn=arn, Attributes=[{"Key": key, "Value": given}])
        for given in (value, old)
    )
    live.change(f"{key} of {name}", there, back)
