"""A platform that faults are made in, and what proves by AWS's API that each of them is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.controlplane import ControlPlane
from sandbox.daemon import issued
from sandbox.dataplane import CertificateAuthority
from sandbox.environment import OWN_AGENT
from sandbox.faults import registry
from sandbox.faults.live import FaultError, Live
from sandbox.faults.memory import Memory
from sandbox.faults.session import controller
from sandbox.images.keystore import KeyStore, digest
from sandbox.platform import incident
from sandbox.platform.build import build
from sandbox.platform.clients import Clients
from sandbox.platform.description import (
    API,
    AUTH,
    CLUSTER,
    DOMAIN,
    MAIN_LB,
    MLFLOW,
    REG_API,
    REGISTRY_LB,
    healthy,
)

_BOTO3: Any = boto3
Json = dict[str, Any]
ECDSA = {"keyTypes": ["EC_prime256v1"]}
"""The keys of the sandbox's certificates, which are not listed unless asked for."""
VOLATILE = {"deployments", "events", "createdAt", "runningCount", "pendingCount", "taskSets", "currentServiceRevisions"}
VOLATILE |= {"currentServiceDeployment", "registeredAt", "InstanceCount"}


class Stage:
    """A healthy platform on the control plane alone, and what the API says of it."""

    def __init__(self, plane: ControlPlane, home: Path) -> None:
        data = home / "data"
        (data / "auth").mkdir(parents=True)
        self.plane, self.path = plane, home / "faults.json"
        self.store = KeyStore(data / "auth" / "keys.sqlite")
        _, self.key = self.store.mint("sandbox", "platform", ("read", "write"), "dev", "user_sandbox")
        self.aws = Clients(plane.url, "sandbox", "sandbox", OWN_AGENT)
        build(self.aws, healthy(data, ""), CertificateAuthority().issue(f"*.{DOMAIN}", DOMAIN))
        plane.endpoints.add("POST", "certificates", lambda body: issued(CertificateAuthority(), **body))
        self.live = Live(self.aws, controller(plane.url), Memory(self.path), data, self.key)
        self.baseline = self.described()

    def make(self, *names: str) -> None:
        registry.make(self.live, names)

    def heal(self, *names: str) -> list[str]:
        return [entry.id for entry in registry.heal(self.live, names)]

    def described(self) -> Json:
        """Everything that faults may change, by the API's own description, without what changes by itself."""
        elbv2, ec2, ecs = self.aws.elbv2, self.aws.ec2, self.aws.ecs
        found: Json = {"key": self.store.columns(digest(self.key))}
        for balancer in elbv2.describe_load_balancers()["LoadBalancers"]:
            arn = balancer["LoadBalancerArn"]
            attributes = elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
            found[arn] = {**balancer, "Attributes": attributes}
            for listener in elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"]:
                found[listener["ListenerArn"]] = listener
                pages = elbv2.get_paginator("describe_rules").paginate(ListenerArn=listener["ListenerArn"])
                found |= {rule["RuleArn"]: rule for rule in pages.build_full_result()["Rules"]}
        for group in elbv2.describe_target_groups()["TargetGroups"]:
            arn = group["TargetGroupArn"]
            attributes = elbv2.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
            found[arn] = {**group, "LoadBalancerArns": sorted(group["LoadBalancerArns"]), "Attributes": attributes}
        found["security groups"] = ec2.describe_security_group_rules()["SecurityGroupRules"]
        found["vpcs"] = [{**each, "DNS": self.resolves(each["VpcId"])} for each in ec2.describe_vpcs()["Vpcs"]]
        found["network ACLs"] = self.network_acls()
        found["routes"] = ec2.describe_route_tables()["RouteTables"]
        found["certificates"] = self.aws.acm.list_certificates(Includes=ECDSA)["CertificateSummaryList"]
        found["parameters"] = self.aws.ssm.describe_parameters()["Parameters"]
        found["services"] = ecs.describe_services(cluster=CLUSTER, services=[API, MLFLOW, AUTH])["services"]
        found["scalable targets"] = self.scalable()
        found["revisions"] = ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"]
        shown: Json = without_volatile(found | self._names())
        return shown

    def _names(self) -> Json:
        discovery, found = self.aws.servicediscovery, {}
        found["namespaces"] = discovery.list_namespaces()["Namespaces"]
        for service in discovery.list_services()["Services"]:
            instances = discovery.list_instances(ServiceId=service["Id"])["Instances"]
            found[service["Arn"]] = {**service, "instances": instances}
        for zone in self.aws.route53.list_hosted_zones()["HostedZones"]:
            sets = self.aws.route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
            found[zone["Id"]] = {**zone, "records": sorted(sets, key=lambda each: (each["Name"], each["Type"]))}
        return found

    def service(self, name: str) -> Json:
        return self.live.service(name)

    def resolves(self, vpc: str) -> bool:
        asked = self.aws.ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport")
        return bool(asked["EnableDnsSupport"]["Value"])

    def scalable(self) -> list[Json]:
        client = getattr(self.aws, "application-autoscaling")
        found: list[Json] = client.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
        return found

    def network_acls(self) -> list[Json]:
        """moto keeps those of a VPC that is gone."""
        there = {each["VpcId"] for each in self.aws.ec2.describe_vpcs()["Vpcs"]}
        return [each for each in self.aws.ec2.describe_network_acls()["NetworkAcls"] if each["VpcId"] in there]

    def zones_of(self, load_balancer: str) -> list[Json]:
        held = self.aws.elbv2.describe_load_balancers(Names=[load_balancer])["LoadBalancers"][0]
        found: list[Json] = held["AvailabilityZones"]
        return found

    def container(self, name: str) -> Json:
        return self.containers(name)[0]

    def containers(self, name: str) -> list[Json]:
        arn = self.service(name)["taskDefinition"]
        definition = self.aws.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        containers: list[Json] = definition["containerDefinitions"]
        return containers

    def variables(self, name: str) -> dict[str, str]:
        return {entry["name"]: entry["value"] for entry in self.container(name)["environment"]}

    def allowed_in(self, name: str, *, egress: bool = False) -> set[tuple[int, int]]:
        wanted = [{"Name": "group-id", "Values": [self.live.security_group(name)]}]
        rules = self.aws.ec2.describe_security_group_rules(Filters=wanted)["SecurityGroupRules"]
        return {(rule["FromPort"], rule["ToPort"]) for rule in rules if rule["IsEgress"] == egress}

    def group(self, name: str) -> Json:
        return self.live.target_group(name)

    def attribute(self, name: str, key: str) -> str:
        arn = self.live.target_group_arn(name)
        held = self.aws.elbv2.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
        return next(str(each["Value"]) for each in held if each["Key"] == key)

    def action(self, load_balancer: str, priority: int) -> Json:
        action: Json = self.live.rule(load_balancer, priority)["Actions"][0]
        return action

    def forwards(self, load_balancer: str, priority: int) -> str:
        return str(self.action(load_balancer, priority)["TargetGroupArn"]).split("/")[1]

    def conditions(self, load_balancer: str, priority: int) -> set[str]:
        rule = self.live.rule(load_balancer, priority)
        return {value for condition in rule["Conditions"] for value in condition["Values"]}

    def injected(self) -> Json:
        (fault,) = self.live.control("faults", None)["faults"]
        return {name: value for name, value in fault.items() if name not in {"match", "owner"}}


def without_volatile(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: without_volatile(value) for key, value in found.items() if key not in VOLATILE}
    return [without_volatile(each) for each in found] if isinstance(found, list) else found


def tells(error: str, call: Callable[[], Any]) -> bool:
    with pytest.raises(ClientError) as caught:
        call()
    return bool(caught.value.response["Error"]["Code"] == error)


def certificate_names(stage: Stage) -> list[str]:
    arn = stage.live.listener(REGISTRY_LB)["Certificates"][0]["CertificateArn"]
    names: list[str] = stage.aws.acm.describe_certificate(CertificateArn=arn)["Certificate"]["SubjectAlternativeNames"]
    return names


def days_left(stage: Stage) -> int:
    arn = stage.live.listener(REGISTRY_LB)["Certificates"][0]["CertificateArn"]
    ends: datetime = stage.aws.acm.describe_certificate(CertificateArn=arn)["Certificate"]["NotAfter"]
    return (ends - datetime.now(UTC)).days


def private_subnets(stage: Stage) -> set[str]:
    """Those of which the route table has no way to an internet gateway."""
    tables = stage.aws.ec2.describe_route_tables()["RouteTables"]
    return {
        association["SubnetId"]
        for table in tables
        if not any(each.get("GatewayId", "").startswith("igw-") for each in table["Routes"])
        for association in table["Associations"]
        if "SubnetId" in association
    }


def ways_out(stage: Stage) -> set[str]:
    tables = stage.aws.ec2.describe_route_tables()["RouteTables"]
    routes = [each for table in tables for each in table["Routes"] if each.get("DestinationCidrBlock") == "0.0.0.0/0"]
    return {"nat" if "NatGatewayId" in each else "internet" for each in routes}


def zones_without_the_load_balancer(stage: Stage, load_balancer: str) -> set[str]:
    """In which the API may run."""
    wanted = stage.service(API)["networkConfiguration"]["awsvpcConfiguration"]["subnets"]
    subnets = stage.aws.ec2.describe_subnets(SubnetIds=wanted)["Subnets"]
    return {each["AvailabilityZone"] for each in subnets} - {each["ZoneName"] for each in stage.zones_of(load_balancer)}


def denied(stage: Stage) -> list[tuple[int, int]]:
    """Rule number and port of what network ACLs deny before they allow it."""
    entries = [entry for acl in stage.network_acls() for entry in acl["Entries"] if entry["RuleAction"] == "deny"]
    return [(entry["RuleNumber"], entry["PortRange"]["From"]) for entry in entries if "PortRange" in entry]


def one_more_source(stage: Stage) -> Any:
    one = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "198.51.100.1/32"}]}
    group = stage.live.security_group(MLFLOW)
    return stage.aws.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[one])


def records(stage: Stage) -> list[str]:
    zone = stage.aws.route53.list_hosted_zones_by_name(DNSName="hokus.ai.")["HostedZones"][0]["Id"]
    sets = stage.aws.route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return [record["Name"] for record in sets if record["Type"] == "A"]


def weights(stage: Stage, priority: int) -> dict[str, int]:
    groups = stage.action(REGISTRY_LB, priority)["ForwardConfig"]["TargetGroups"]
    return {group["TargetGroupArn"].split("/")[1]: group["Weight"] for group in groups}


def registered_as(stage: Stage) -> Json:
    arn = stage.service(MLFLOW)["serviceRegistries"][0]["registryArn"]
    found: Json = stage.aws.servicediscovery.get_service(Id=arn.rpartition("/")[2])["Service"]
    return found


def idle(stage: Stage) -> str:
    arn = stage.live.load_balancer(REGISTRY_LB)
    held = stage.aws.elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    return next(str(each["Value"]) for each in held if each["Key"] == "idle_timeout.timeout_seconds")


def one_more_rule(stage: Stage) -> Any:
    listener = stage.live.listener(REGISTRY_LB)["ListenerArn"]
    path = {"Field": "path-pattern", "Values": ["/one-more"]}
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    return stage.aws.elbv2.create_rule(ListenerArn=listener, Priority=5, Conditions=[path], Actions=[action])


def tells_no_listener(stage: Stage) -> bool:
    arn = stage.live.load_balancer(REGISTRY_LB)
    held = stage.aws.elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    return sorted(each["Port"] for each in held) == [80, 8443]


SHOWS: dict[str, Callable[[Stage], bool]] = {
    "E01": lambda on: records(on) == ["api.hokus.ai.", "auth.hokus.ai."],
    "E03": lambda on: (
        [each["Name"] for each in on.aws.route53.list_hosted_zones()["HostedZones"]].count("hokus.ai.") == 2
    ),
    "E04": lambda on: certificate_names(on) == ["other.hokus.ai"],
    "E05": lambda on: days_left(on) < 30,
    "E06": tells_no_listener,
    "E07": lambda on: on.live.rules(MAIN_LB) == [],
    "E08": lambda on: on.forwards(REGISTRY_LB, 105) == "hokusai-reg-mlflow-development",
    "E09": lambda on: on.forwards(REGISTRY_LB, 40) == "hokusai-reg-mlflow-development",
    "E10": lambda on: "api.hokus.ai" not in on.conditions(MAIN_LB, 105),
    "E12": lambda on: len(on.live.rules(REGISTRY_LB)) == 100 and tells("TooManyRules", lambda: one_more_rule(on)),
    "E13": lambda on: weights(on, 105) == {"hokusai-reg-api-development": 50, "hokusai-mlflow-tg-development": 50},
    "E14": lambda on: on.action(REGISTRY_LB, 110)["ForwardConfig"]["TargetGroupStickinessConfig"]["Enabled"],
    "E16": lambda on: on.variables(API)["MLFLOW_SERVER_URL"] == "https://registry.hokus.ai",
    "E17": lambda on: "url-rewrite" in str(on.live.rule(REGISTRY_LB, 105).get("Transforms")),
    "E19": lambda on: on.variables(API)["MLFLOW_PROXY_TIMEOUT"] == "120",
    "E20": lambda on: idle(on) == "4000",
    "E21": lambda on: {each["SubnetId"] for each in on.zones_of(REGISTRY_LB)} <= private_subnets(on),
    "T01": lambda on: on.group(REG_API)["HealthCheckPath"] == "/health/alb",
    "T02": lambda on: on.group(REG_API)["HealthCheckPort"] == "8002",
    "T03": lambda on: on.group(REG_API)["Matcher"] == {"HttpCode": "204"},
    "T04": lambda on: on.service(API)["healthCheckGracePeriodSeconds"] == 0,
    "T07": lambda on: on.group(on.forwards(REGISTRY_LB, 105))["TargetType"] == "instance",
    "T09": lambda on: on.service(API)["loadBalancers"] == [],
    "T11": lambda on: len(zones_without_the_load_balancer(on, MAIN_LB)) == 1,
    "T12": lambda on: {rule["Actions"][0]["Type"] for rule in on.live.rules(MAIN_LB)} == {"fixed-response"},
    "T13": lambda on: on.attribute(REG_API, "deregistration_delay.timeout_seconds") == "0",
    "T14": lambda on: on.service(MLFLOW)["desiredCount"] == 0,
    "C01": lambda on: on.service(API)["desiredCount"] == 0,
    "C02": lambda on: on.container(API)["command"][:2] == ["python", "-c"],
    "C03": lambda on: on.container(API)["image"].endswith(":missing"),
    "C04": lambda on: on.container(API)["secrets"][0]["valueFrom"].endswith("no-such-secret"),
    "C05": lambda on: ways_out(on) == {"internet"},
    "C07": lambda on: on.variables(API)["MLFLOW_SERVER_URL"] == f"http://{incident.DEAD_ADDRESSES[0]}:5000",
    "C08": lambda on: (
        [(each["essential"], each.get("command", [])[:2]) for each in on.containers(API)[1:]]
        == [(True, ["python", "-c"])]
    ),
    "C11": lambda on: (
        on.service(API)["deploymentConfiguration"]["deploymentCircuitBreaker"]["rollback"]
        and on.container(API)["image"].endswith(":missing")
    ),
    "C13": lambda on: [each["MinCapacity"] for each in on.scalable()] == [3],
    "D01": lambda on: (
        on.aws.servicediscovery.list_namespaces()["Namespaces"] == []
        and [on.service(name)["serviceRegistries"] for name in (API, MLFLOW, AUTH)] == [[], [], []]
    ),
    "D03": lambda on: not on.resolves(on.live.vpc(API)),
    "D04": lambda on: "DnsConfig" not in registered_as(on),
    "D05": lambda on: [each["Type"] for each in registered_as(on)["DnsConfig"]["DnsRecords"]] == ["SRV"],
    "D07": lambda on: [each["TTL"] for each in registered_as(on)["DnsConfig"]["DnsRecords"]] == [86400],
    "D08": lambda on: [on.service(name)["serviceRegistries"] for name in (API, MLFLOW, AUTH)] == [[], [], []],
    "D11": lambda on: len(on.aws.servicediscovery.list_namespaces()["Namespaces"]) == 2,
    "D14": lambda on: registered_as(on)["InstanceCount"] == 1,
    "N01": lambda on: on.allowed_in(MLFLOW) == {(5000, 5000), (9, 9)},
    "N03": lambda on: on.allowed_in(API, egress=True) == {(8000, 8000)},
    "N04": lambda on: on.allowed_in("hokusai-alb-development", egress=True) == {(5000, 8000)},
    "N05": lambda on: on.allowed_in(API) == {(9, 9)},
    "N06": lambda on: denied(on) == [(1, 5000)],
    "N10": lambda on: (
        not private_subnets(on) & {*on.service(MLFLOW)["networkConfiguration"]["awsvpcConfiguration"]["subnets"]}
    ),
    "N11": lambda on: (
        (9, 9) in on.allowed_in(MLFLOW) and tells("RulesPerSecurityGroupLimitExceeded", lambda: one_more_source(on))
    ),
    "N12": lambda on: any(
        rule.get("CidrIpv4") == "0.0.0.0/0" and rule["FromPort"] == 5000
        for rule in on.aws.ec2.describe_security_group_rules()["SecurityGroupRules"]
    ),
    "A01": lambda on: on.variables(API)["AUTH_SERVICE_ID"] == "ml-platform",
    "A02": lambda on: on.container(API)["image"].endswith(":incident"),
    "A04": lambda on: (on.store.by_key(on.key) or pytest.fail("no key")).revoked_at is not None,
    "A05": lambda on: (on.store.by_key(on.key) or pytest.fail("no key")).scopes == (),
    "A06": lambda on: on.service(AUTH)["desiredCount"] == 0,
    "A07": lambda on: on.variables(AUTH)["AUTH_DELAY"] == "20",
    "I10": lambda on: (
        on.aws.ecs.describe_task_definition(taskDefinition=API)["taskDefinition"]["taskDefinitionArn"]
        != on.service(API)["taskDefinition"]
    ),
    "P02": lambda on: on.variables(API)["GATEWAY_MAX_CONNECTIONS"] == "1",
    "P06": lambda on: "mlflow." not in on.variables(MLFLOW)["MLFLOW_SERVER_ALLOWED_HOSTS"],
    "O01": lambda on: json.loads(parameter(on, "/hokusai/development/lock"))["owner"] == "somebody else",
    "O02": lambda on: (on.injected()["kind"], on.injected()["probability"]) == ("throttle", 0.3),
    "O03": lambda on: (on.injected()["hold"], on.injected()["times"]) == (True, 1),
    "O04": lambda on: (on.injected()["after"], on.injected()["only"]) == (True, "writes"),
    "O05": lambda on: (on.injected()["kind"], on.injected()["times"]) == ("expired", -1),
    "O06": lambda on: (on.injected()["kind"], on.injected()["only"]) == ("denied", "writes"),
    "O11": lambda on: on.injected()["lag"] == 2.0,
    "O13": lambda on: on.live.control("clock", None) == {"offset": 900.0},
    "O15": lambda on: on.injected()["page"] == 2,
    "O17": lambda on: on.service(API)["deploymentController"] == {"type": "CODE_DEPLOY"},
    "W09": lambda on: tells("ThrottlingException", lambda: cloudwatch(on).describe_alarms()),
}


def cloudwatch(stage: Stage) -> Any:
    """Of a client that faults hit."""
    once = Config(retries={"total_max_attempts": 1}, proxies={})
    keys = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox", "region_name": "us-east-1"}
    return _BOTO3.client("cloudwatch", endpoint_url=stage.plane.url, config=once, **keys)


def parameter(stage: Stage, name: str) -> str:
    value: str = stage.aws.ssm.get_parameter(Name=name)["Parameter"]["Value"]
    return value


def shows(stage: Stage, name: str) -> bool:
    try:
        return bool(SHOWS[name](stage))
    except (FaultError, ClientError, KeyError, ValueError, AssertionError, pytest.fail.Exception):
        return False
