"""Faults between the client and the target groups: the public zone, certificates, listeners, rules."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from sandbox.faults import revisions
from sandbox.faults.live import Json, Live, call
from sandbox.faults.registry import fault
from sandbox.platform.description import (
    API,
    DOMAIN,
    MAIN_LB,
    MLFLOW_TG,
    REG_API,
    REG_MLFLOW,
    REGISTRY_HOST,
    REGISTRY_LB,
)

RULE_QUOTA = 100
LAST_DAYS = 2
FILLER = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}


@fault("E01", f"{REGISTRY_HOST} has no record", "resolver: NXDOMAIN")
def no_record(live: Live) -> None:
    zones = live.aws.route53.list_hosted_zones_by_name(DNSName=f"{DOMAIN}.")["HostedZones"]
    zone = next(each["Id"] for each in zones if not each["Config"].get("PrivateZone"))
    sets = live.aws.route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
    for record in sets.build_full_result()["ResourceRecordSets"]:
        if record["Name"] == f"{REGISTRY_HOST}.":
            batches = [
                {"Changes": [{"Action": action, "ResourceRecordSet": record}]} for action in ("DELETE", "CREATE")
            ]
            there, back = (
                call("route53", "change_resource_record_sets", HostedZoneId=zone, ChangeBatch=batch)
                for batch in batches
            )
            live.change(f"record {record['Type']} {record['Name']}", there, back)


@fault("E03", f"a second public zone {DOMAIN}, empty", "resolver: NXDOMAIN, if asked there", api_only=True)
def zone_exists_twice(live: Live) -> None:
    """The sandbox's resolver goes on asking the first."""
    live.create(
        "second zone",
        call("route53", "create_hosted_zone", Name=DOMAIN, CallerReference=f"sandbox-{time.time_ns()}"),
        lambda answer: call("route53", "delete_hosted_zone", ("NoSuchHostedZone",), Id=answer["HostedZone"]["Id"]),
    )


@fault("E04", "the registry's listener has a certificate of another name", "client: TLS name error")
def certificate_lacks_the_host(live: Live) -> None:
    """Issued by the sandbox's own authority, so that the name is all that is wrong."""
    present(live, {"names": [f"other.{DOMAIN}"]})


@fault(
    "E05",
    f"the certificate of the registry's listener ends in {LAST_DAYS} days",
    "client: TLS error, once it has ended",
    api_only=True,
)
def certificate_is_about_to_end(live: Live) -> None:
    """ACM takes none that has ended already."""
    present(live, {"names": [f"*.{DOMAIN}", DOMAIN], "days": LAST_DAYS})


@fault("E06", "the registry's ALB does not listen on 443", "client: connection refused")
def no_listener(live: Live) -> None:
    """It listens on 8443, so that the listener and its rules keep their ARNs."""
    change_listener(live, REGISTRY_LB, Port=8443)


@fault("E09", "a broader rule before rule 105", "MLflow: its own 404")
def shadowed_by_a_broader_rule(live: Live) -> None:
    conditions = [condition("host-header", REGISTRY_HOST), condition("path-pattern", "/api/*")]
    create_rule(live, REGISTRY_LB, 40, conditions, [forward_to(live, REG_MLFLOW)])


@fault("E10", "rule 105 of api.hokus.ai wants another host", "ALB: fixed 404, the default action")
def host_does_not_match(live: Live) -> None:
    held = as_input(live.rule(MAIN_LB, 105)["Conditions"])
    others = [each for each in held if each["Field"] != "host-header"]
    change_rule(live, MAIN_LB, 105, Conditions=[condition("host-header", f"apis.{DOMAIN}"), *others])


@fault("E12", "the registry's ALB has 100 rules", "API of ELB: TooManyRules", api_only=True)
def rule_quota_is_used_up(live: Live) -> None:
    for number in range(RULE_QUOTA - len(live.rules(REGISTRY_LB))):
        path = condition("path-pattern", f"/filler/{number}")
        create_rule(live, REGISTRY_LB, 1000 + number, [path], [FILLER])


@fault("E13", "rule 105 of the registry gives half to a target group without targets", "ALB: 503 for half of them")
def half_goes_to_an_empty_group(live: Live) -> None:
    change_rule(live, REGISTRY_LB, 105, Actions=[split(live)])


@fault("E14", "as E13 on rule 110, with stickiness", "ALB: 503 for some clients for ever")
def clients_stick_to_an_empty_group(live: Live) -> None:
    action = split(live)
    action["ForwardConfig"]["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": 3600}
    change_rule(live, REGISTRY_LB, 110, Actions=[action])


@fault("E16", "the API calls MLflow through its own public name", "API: its own 401; a loop")
def api_calls_itself(live: Live) -> None:
    revisions.revise(live, API, environment={"MLFLOW_SERVER_URL": f"https://{REGISTRY_HOST}"})


@fault("E17", "rule 105 takes /api/mlflow/api off the path, by a transform", "API: 404 for MLflow's REST API")
def load_balancer_strips_the_path(live: Live) -> None:
    """The prefix alone would do no harm: the API serves MLflow's paths below its root, too."""
    rule = live.rule(REGISTRY_LB, 105)["RuleArn"]
    rewrites = [{"Regex": "^/api/mlflow/api/", "Replace": "/"}]
    live.change(
        f"Transforms of rule 105 of {REGISTRY_LB}",
        call(
            "elbv2",
            "modify_rule",
            RuleArn=rule,
            Transforms=[{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": rewrites}}],
        ),
        call("elbv2", "modify_rule", RuleArn=rule, ResetTransforms=True),
    )


@fault("E20", "ALBs keep idle connections for longer than the API does", "ALB: sporadic 502")
def targets_hang_up_first(live: Live) -> None:
    for name in (REGISTRY_LB, MAIN_LB):
        change_load_balancer_attribute(live, name, "idle_timeout.timeout_seconds", "4000")


@fault("E21", "the registry's ALB is in the private subnets", "client: connection times out", api_only=True)
def load_balancer_is_in_private_subnets(live: Live) -> None:
    change_subnets(live, REGISTRY_LB, live.service(API)["networkConfiguration"]["awsvpcConfiguration"]["subnets"])


# what faults are made of


def present(live: Live, wanted: Json) -> None:
    """Give the registry's listener a certificate of the sandbox's own authority, made as `wanted` says."""
    issued = live.control("certificates", wanted)
    made = live.create(
        "certificate",
        call("acm", "import_certificate", (), **{key: value.encode() for key, value in issued.items()}),
        lambda answer: call(
            "acm", "delete_certificate", ("ResourceNotFoundException",), CertificateArn=answer["CertificateArn"]
        ),
    )
    change_listener(live, REGISTRY_LB, Certificates=[{"CertificateArn": made["CertificateArn"]}])


def forward_to(live: Live, target_group: str) -> Json:
    return {"Type": "forward", "TargetGroupArn": live.target_group_arn(target_group)}


def split(live: Live) -> Json:
    """Half to the API, half to a group that no service is bound to."""
    groups = [{"TargetGroupArn": live.target_group_arn(name), "Weight": 50} for name in (REG_API, MLFLOW_TG)]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}


def condition(field: str, *values: str) -> Json:
    config = {"host-header": "HostHeaderConfig", "path-pattern": "PathPatternConfig"}[field]
    return {"Field": field, config: {"Values": list(values)}}


def as_input(conditions: list[Json]) -> list[Json]:
    """What DescribeRules shows in two forms is given in one."""
    return [
        {key: value for key, value in each.items() if key != "Values" or len(each) == 2}  # Field and Values: old form
        for each in conditions
    ]


def change_rule(live: Live, load_balancer: str, priority: int, **fields: Any) -> None:
    """Conditions or Actions of a rule, which keeps its ARN."""
    rule = live.rule(load_balancer, priority)
    old = {"Conditions": as_input(rule["Conditions"]), "Actions": rule["Actions"]}
    arn = rule["RuleArn"]
    live.change(
        f"{', '.join(fields)} of rule {priority} of {load_balancer}",
        call("elbv2", "modify_rule", RuleArn=arn, **fields),
        call("elbv2", "modify_rule", RuleArn=arn, **{name: old[name] for name in fields}),
    )


def create_rule(live: Live, load_balancer: str, priority: int, conditions: list[Json], actions: list[Json]) -> None:
    listener = live.listener(load_balancer)["ListenerArn"]
    rule = {"ListenerArn": listener, "Priority": priority, "Conditions": conditions, "Actions": actions}
    live.create(
        f"rule {priority} of {load_balancer}",
        call("elbv2", "create_rule", **rule),
        lambda answer: call("elbv2", "delete_rule", ("RuleNotFound",), RuleArn=answer["Rules"][0]["RuleArn"]),
    )


def delete_rules(live: Live, load_balancer: str, priorities: Collection[int]) -> None:
    """The only fault of the edge that cannot be undone in place: a deleted rule comes back under another ARN."""
    wanted = {str(priority) for priority in priorities}
    held = [rule for rule in live.rules(load_balancer) if rule["Priority"] in wanted] if wanted else []
    for rule in held:
        tags = live.aws.elbv2.describe_tags(ResourceArns=[rule["RuleArn"]])["TagDescriptions"][0]["Tags"]
        again = {
            "ListenerArn": live.listener(load_balancer)["ListenerArn"],
            "Priority": int(rule["Priority"]),
            "Conditions": as_input(rule["Conditions"]),
            "Actions": rule["Actions"],
            **({"Tags": tags} if tags else {}),
        }
        live.change(
            f"rule {rule['Priority']} of {load_balancer}",
            call("elbv2", "delete_rule", RuleArn=rule["RuleArn"]),
            call("elbv2", "create_rule", ("PriorityInUse",), **again),
        )


def change_listener(live: Live, load_balancer: str, **fields: Any) -> None:
    """The HTTPS listener, which keeps its ARN."""
    held = live.listener(load_balancer)
    shown = {name: held[name] for name in fields}
    if "Certificates" in shown:
        shown["Certificates"] = [{"CertificateArn": each["CertificateArn"]} for each in shown["Certificates"]]
    live.change(
        f"{', '.join(fields)} of the listener of {load_balancer}",
        call("elbv2", "modify_listener", ListenerArn=held["ListenerArn"], **fields),
        call("elbv2", "modify_listener", ListenerArn=held["ListenerArn"], **shown),
    )


def subnets_of(live: Live, load_balancer: str) -> dict[str, str]:
    """By availability zone."""
    held = live.aws.elbv2.describe_load_balancers(Names=[load_balancer])["LoadBalancers"][0]["AvailabilityZones"]
    return {each["ZoneName"]: each["SubnetId"] for each in held}


def change_subnets(live: Live, load_balancer: str, subnets: list[str]) -> None:
    arn, old = live.load_balancer(load_balancer), list(subnets_of(live, load_balancer).values())
    there, back = (call("elbv2", "set_subnets", LoadBalancerArn=arn, Subnets=given) for given in (subnets, old))
    live.change(f"subnets of {load_balancer}", there, back)


def change_load_balancer_attribute(live: Live, name: str, key: str, value: str) -> None:
    arn = live.load_balancer(name)
    held = live.aws.elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    old = next(each["Value"] for each in held if each["Key"] == key)
    there, back = (
        call("elbv2", "modify_load_balancer_attributes", LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": given}])
        for given in (value, old)
    )
    live.change(f"{key} of {name}", there, back)
