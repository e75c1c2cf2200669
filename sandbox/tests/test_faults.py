"""Each fault on the control plane: what it changes, what heal brings back, and that neither touches anything else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox import lifecycle
from sandbox.controlplane import ControlPlane
from sandbox.daemon import issued
from sandbox.dataplane import CertificateAuthority
from sandbox.environment import OWN_AGENT, Home
from sandbox.faults import registry
from sandbox.faults.catalogue import NOT_MADE, all_faults, table
from sandbox.faults.live import FaultError, Live, call
from sandbox.faults.memory import Memory
from sandbox.faults.registry import FAULTS
from sandbox.faults.session import controller
from sandbox.images.catalogue import ROOT
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
    NAMESPACE,
    REG_API,
    REGISTRY_LB,
    healthy,
)

_BOTO3: Any = boto3
Json = dict[str, Any]
VOLATILE = {"deployments", "events", "createdAt", "runningCount", "pendingCount", "taskSets", "currentServiceRevisions"}
VOLATILE |= {"currentServiceDeployment", "registeredAt", "InstanceCount"}
RECREATED = {"D01", "E07"}
CLOUD_MAPS_OWN = re.compile(
    r'\b(ns|srv)-\w+|/hostedzone/\w+|"(HostedZoneId|CallerReference|CreatorRequestId|CreateDate)": "[^"]*"'
)
CATALOGUE = {
    "E": "01 03 04 05 06 07 08 09 10 12 13 14 16 17 18 19 20 21",
    "T": "01 02 03 04 06 07 09 11 12 13 14 15",
    "C": "01 02 03 04 05 07 08 09 11 13",
    "D": "01 03 04 05 07 08 11 12 13 14",
    "N": "01 03 04 05 06 10 11 12 13",
    "A": "01 02 04 05 06 07 08 09 10",
    "P": "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15",
    "M": "01 02 03 04 05 07",
    "W": "01 02 04 05 08 09 10",
    "O": "01 02 03 04 05 06 07 09 10 11 13 14 15 16 17",
}
"""The rows of the fault catalogue."""
SPECIFIED = ROOT.parent / "shared" / "spec" / "faults.md"
NOT_IN_THE_CATALOGUE = {"I10"}
"""The tenth cause of the incident."""


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
        found["certificates"] = self.aws.acm.list_certificates()["CertificateSummaryList"]
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


@pytest.fixture(scope="module")
def built(shared_control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    shared_control_plane.reset()
    return Stage(shared_control_plane, tmp_path_factory.mktemp("home"))


@pytest.fixture
def stage(built: Stage) -> Iterator[Stage]:
    """The same platform for every test, which finds it healthy."""
    yield built
    if built.live.memory.broken:
        built.heal()


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


@pytest.mark.parametrize("name", sorted(SHOWS))
def test_a_fault_shows_in_the_api_and_heal_brings_everything_back(stage: Stage, name: str) -> None:
    assert not shows(stage, name)
    stage.make(name)
    assert shows(stage, name)
    assert stage.heal() == [name]
    if name in RECREATED:
        before, stage.baseline = stage.baseline, stage.described()
        assert without_arns(stage.baseline) == without_arns(before)
    assert stage.described() == stage.baseline
    assert stage.live.control("faults", None) == {"faults": []}


def shows(stage: Stage, name: str) -> bool:
    try:
        return bool(SHOWS[name](stage))
    except (FaultError, ClientError, KeyError, ValueError, AssertionError, pytest.fail.Exception):
        return False


def without_arns(found: Json) -> list[str]:
    """Rules without their own ARN, Cloud Map without its ids and dates."""
    rules = [{**value, "RuleArn": ""} if "RuleArn" in value else value for value in found.values()]
    return sorted(CLOUD_MAPS_OWN.sub("", json.dumps(rule, default=str, sort_keys=True)) for rule in rules)


def test_every_fault_has_a_row_of_proof_and_none_is_both_made_and_not() -> None:
    assert set(SHOWS) == set(FAULTS)
    assert not set(FAULTS) & set(NOT_MADE)
    assert set(FAULTS) - NOT_IN_THE_CATALOGUE | set(NOT_MADE) == catalogued()
    assert {entry.id for entry in all_faults() if entry.recreates} == RECREATED


def catalogued() -> set[str]:
    return {f"{group}{number}" for group, numbers in CATALOGUE.items() for number in numbers.split()}


@pytest.mark.skipif(not SPECIFIED.exists(), reason="the fault catalogue does not lie beside this checkout")
def test_the_catalogue_has_no_other_rows() -> None:
    assert set(re.findall(r"^\| ([A-Z]\d\d) \|", SPECIFIED.read_text(), re.MULTILINE)) == catalogued()


def test_what_proves_a_fault_that_is_not_made_is_there() -> None:
    named = re.findall(r"\S+\.py", " ".join(NOT_MADE.values()))
    assert named
    assert not [path for path in named if not (ROOT / path).is_file()]


def test_the_documentation_lists_what_there_is() -> None:
    lines = (ROOT / "docs" / "faults.md").read_text().splitlines()
    rows = [line for line in lines if re.match(r"\| [A-Z]\d\d \|", line)]
    assert rows == [*table(), *(f"| {name} | {why} |" for name, why in sorted(NOT_MADE.items()))]


def test_faults_of_one_service_hold_together_and_go_one_by_one(stage: Stage) -> None:
    base = stage.service(API)["taskDefinition"]
    stage.make("C07")
    stage.make("A01", "E19")
    stage.heal("C07")
    found = stage.variables(API)
    assert found["MLFLOW_SERVER_URL"] == "http://mlflow.hokusai-development.local:5000"
    assert (found["AUTH_SERVICE_ID"], found["MLFLOW_PROXY_TIMEOUT"]) == ("ml-platform", "120")
    stage.heal("E19")
    stage.heal("A01")
    assert stage.service(API)["taskDefinition"] == base


def test_faults_of_one_command_are_rolled_out_once(stage: Stage) -> None:
    before = len(stage.service(API)["deployments"])
    stage.make("C07", "A01", "A02", "E19")
    assert len(stage.service(API)["deployments"]) == before + 1


def test_the_whole_incident_can_be_made_at_once_and_healed(stage: Stage) -> None:
    causes = [entry.id for entry in all_faults() if entry.cause]
    assert sorted(entry.cause for entry in all_faults() if entry.cause) == list(range(1, 11))
    stage.make(*causes)
    assert all(shows(stage, name) for name in causes if name != "I10")
    assert sorted(stage.heal()) == sorted(causes)
    before, stage.baseline = stage.baseline, stage.described()
    assert without_arns(stage.baseline) == without_arns(before)


def test_a_secret_and_what_else_the_revision_has_stay_in_a_broken_one(stage: Stage) -> None:
    before = stage.container(API)
    stage.make("A01")
    apart = {"environment"}
    after = stage.container(API)
    assert {key: value for key, value in after.items() if key not in apart} == {
        key: value for key, value in before.items() if key not in apart
    }


def test_two_faults_that_change_the_same_are_refused_and_the_first_stays(stage: Stage) -> None:
    stage.make("E08")
    before = stage.described()
    with pytest.raises(FaultError, match=r"what E08 has broken .* heal E08 first"):
        stage.make("T01", "E13")
    assert stage.described() == before
    assert list(stage.live.memory.broken) == ["E08"]


def test_an_unknown_fault_is_refused_with_those_near_it(stage: Stage) -> None:
    with pytest.raises(FaultError, match="no fault is called T05; near it: T0"):
        stage.make("T05")
    with pytest.raises(FaultError, match="`python -m sandbox faults` lists them"):
        stage.make("ZZZ")
    assert stage.live.memory.broken == {}


def test_what_is_broken_already_is_said_to_be_and_so_is_what_is_not(stage: Stage) -> None:
    stage.make("t13")
    with pytest.raises(FaultError, match="T13: broken already"):
        stage.make("T13")
    with pytest.raises(FaultError, match="T01: not broken"):
        stage.heal("T01")


def test_another_process_heals_what_this_one_broke(stage: Stage) -> None:
    stage.make("T02", "A01", "O02")
    stage.live.memory = Memory(stage.path)
    assert stage.heal() == ["O02", "A01", "T02"]
    assert stage.described() == stage.baseline


def test_a_command_that_died_before_the_change_is_healed_as_if_it_had_made_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Live, "do", lambda *_: None)
        patch.setattr(registry, "heal", lambda *_: pytest.fail("dead"))
        stage.make("T01", "N01")
    stage.live.memory = Memory(stage.path)
    assert stage.heal() == ["N01", "T01"]
    assert stage.described() == stage.baseline


def test_own_calls_are_not_counted_nor_logged_nor_hit_by_an_injection(stage: Stage) -> None:
    stage.plane.forget_calls()
    stage.make("O06")
    stage.live.inject({"match": ".*", "kind": "denied"})
    stage.make("T01")
    stage.heal("T01")
    assert stage.plane.calls.as_dict() == {"reads": 0, "writes": 0, "actions": {}}
    assert stage.plane.writes.as_list() == []


def test_what_somebody_else_has_repaired_meanwhile_is_no_obstacle(stage: Stage) -> None:
    stage.make("E09", "N12", "O01")
    stage.aws.elbv2.delete_rule(RuleArn=stage.live.rule(REGISTRY_LB, 40)["RuleArn"])
    stage.aws.ssm.delete_parameter(Name="/hokusai/development/lock")
    rules = stage.aws.ec2.describe_security_group_rules()["SecurityGroupRules"]
    (opening,) = (rule for rule in rules if rule.get("Description") == "temporary")
    stage.aws.ec2.revoke_security_group_ingress(
        GroupId=opening["GroupId"], SecurityGroupRuleIds=[opening["SecurityGroupRuleId"]]
    )
    assert stage.heal() == ["O01", "N12", "E09"]
    assert stage.described() == stage.baseline


def test_a_namespace_that_somebody_has_made_again_meanwhile_is_used(stage: Stage) -> None:
    stage.make("D01")
    discovery = stage.aws.servicediscovery
    vpc = stage.live.vpc(API)
    asked = stage.live.do(call("servicediscovery", "create_private_dns_namespace", Name=NAMESPACE, Vpc=vpc))
    namespace = discovery.get_operation(OperationId=asked["OperationId"])["Operation"]["Targets"]["NAMESPACE"]
    records = {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": 10}]}
    made = discovery.create_service(
        Name="mlflow", NamespaceId=namespace, DnsConfig=records, HealthCheckCustomConfig={"FailureThreshold": 1}
    )["Service"]["Arn"]
    assert stage.heal() == ["D01"]
    assert (stage.live.namespace(), registered_as(stage)["Arn"]) == (namespace, made)
    before, stage.baseline = stage.baseline, stage.described()
    assert without_arns(stage.baseline) == without_arns(before)


def test_what_cannot_be_healed_is_named_and_stays_broken_and_the_rest_is_healed(stage: Stage) -> None:
    stage.make("T13", "T03")
    step = stage.live.memory.broken["T13"].undo[0]["arguments"]
    arn = step["TargetGroupArn"]
    step["TargetGroupArn"] = f"{arn}gone"
    with pytest.raises(FaultError, match=r"T13: .*not found"):
        stage.heal()
    assert list(stage.live.memory.broken) == ["T13"]
    step["TargetGroupArn"] = arn
    assert stage.heal() == ["T13"]


def test_down_forgets_what_was_broken(tmp_path: Path) -> None:
    home = Home(tmp_path)
    lifecycle.claim(home)
    Memory(home.faults).save()
    lifecycle.down(home)
    assert not home.faults.exists()
