"""route53_alias: a host leads to its load balancer, in one batch of a zone, and no name is taken by accident."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.modules import route53_alias as module
from botocore.exceptions import ClientError

from sandbox.controlplane import ControlPlane
from tests.unit.alb_edge import BALANCER, Edge
from tests.unit.conftest import CountingAws, RunModule

HOST, OTHER = "registry.hokus.ai", "api.hokus.ai"
WRITE = "route53:ChangeResourceRecordSets"


class Zone:
    """A public hosted zone, filled with plain boto3."""

    def __init__(self, aws: CountingAws, name: str = "hokus.ai", **options: Any) -> None:
        self.aws = aws
        made = aws.route53.create_hosted_zone(Name=name, CallerReference=f"{name}{options}", **options)
        self.id = made["HostedZone"]["Id"].rpartition("/")[2]

    def put(self, action: str = "CREATE", **record: Any) -> None:
        self.change(action, {"TTL": 60, **record})

    def change(self, action: str, record: dict[str, Any]) -> None:
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        self.aws.route53.change_resource_record_sets(HostedZoneId=self.id, ChangeBatch=batch)

    def sets(self, host: str = HOST) -> list[dict[str, Any]]:
        listed = self.aws.route53.list_resource_record_sets(HostedZoneId=self.id)["ResourceRecordSets"]
        kinds = {"A", "AAAA", "CNAME", "TXT"}
        return [each for each in listed if each["Name"] == f"{host}." and each["Type"] in kinds]

    def held(self, host: str = HOST) -> dict[str, str]:
        """What the host leads to, by type of record."""
        return {
            each["Type"]: each["AliasTarget"]["DNSName"].rstrip(".")
            if "AliasTarget" in each
            else each["ResourceRecords"][0]["Value"]
            for each in self.sets(host)
        }


@pytest.fixture
def zone(edge: Edge, aws: CountingAws) -> Zone:
    made = Zone(aws)
    aws.calls.clear()
    return made


@pytest.fixture
def dns_name(edge: Edge, aws: CountingAws) -> str:
    found = aws.elbv2.describe_load_balancers(Names=[BALANCER])["LoadBalancers"][0]["DNSName"]
    aws.calls.clear()
    return str(found)


def lead(*hosts: str) -> dict[str, Any]:
    return {BALANCER: list(hosts or (HOST,))}


def test_hosts_become_aliases_by_one_call_and_then_nothing_is_left(
    zone: Zone, dns_name: str, run_module: RunModule, control_plane: Any
) -> None:
    asked = {"hosts": lead(HOST, OTHER)}
    predicted = run_module(module.main, **asked, _check=True)
    assert zone.held() == {}
    first = run_module(module.main, **asked)
    second = run_module(module.main, **asked)

    assert zone.held() == zone.held(OTHER) == {"A": dns_name}
    assert predicted["steps"] == first["steps"]
    assert [step["verb"] for step in first["steps"]] == ["change_resource_record_sets"]
    assert (second["changed"], second["resource"]) == (False, first["resource"])
    assert first["resource"] == {host: [f"A alias of {dns_name.lower()}"] for host in (HOST, OTHER)}


def test_a_change_is_waited_for(zone: Zone, run_module: RunModule, control_plane: ControlPlane) -> None:
    for expected in (1, 0):
        control_plane.calls.reset()
        run_module(module.main, hosts=lead())
        assert control_plane.calls.count("route53:GetChange") == expected


def test_a_dual_stack_load_balancer_gets_an_aaaa_too(
    zone: Zone, edge: Edge, aws: CountingAws, dns_name: str, run_module: RunModule
) -> None:
    aws.elbv2.set_ip_address_type(LoadBalancerArn=edge.balancer, IpAddressType="dualstack")

    run_module(module.main, hosts=lead())

    assert zone.held() == {"A": f"dualstack.{dns_name}", "AAAA": f"dualstack.{dns_name}"}


def test_the_consoles_spelling_of_an_alias_is_the_same_alias(
    zone: Zone, aws: CountingAws, dns_name: str, run_module: RunModule
) -> None:
    balancer = aws.elbv2.describe_load_balancers(Names=[BALANCER])["LoadBalancers"][0]
    target = {
        "HostedZoneId": balancer["CanonicalHostedZoneId"],
        "DNSName": f"dualstack.{dns_name.upper()}.",
        "EvaluateTargetHealth": True,
    }
    alias = {"Name": HOST, "Type": "A", "AliasTarget": target}
    aws.route53.change_resource_record_sets(
        HostedZoneId=zone.id, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": alias}]}
    )

    assert run_module(module.main, hosts=lead())["changed"] is False
    assert run_module(module.main, hosts=lead(), evaluate_target_health=False)["changed"] is True


@pytest.mark.parametrize(
    ("kind", "value"), [("CNAME", "old.example"), ("A", "192.0.2.1"), ("AAAA", "2001:db8::1")], ids=str
)
def test_a_name_that_leads_elsewhere_is_only_taken_when_that_is_said(
    zone: Zone, dns_name: str, run_module: RunModule, kind: str, value: str
) -> None:
    zone.put(Name=HOST, Type=kind, ResourceRecords=[{"Value": value}])
    zone.put(Name=HOST, Type="TXT", ResourceRecords=[{"Value": '"kept"'}]) if kind != "CNAME" else None

    refused = run_module(module.main, hosts=lead(OTHER, HOST))

    assert refused["failed"]
    assert value in refused["msg"]
    assert (zone.held()[kind], zone.held(OTHER)) == (value, {})
    run_module(module.main, hosts=lead(), replace=True)
    assert {name: to for name, to in zone.held().items() if name != "TXT"} == {"A": dns_name}
    assert run_module(module.main, hosts=lead(), replace=True)["changed"] is False


@pytest.mark.parametrize(
    ("held", "actions"),
    [({}, ["CREATE"]), ({"CNAME": "old.example"}, ["DELETE", "CREATE"]), ({"A": "192.0.2.1"}, ["UPSERT"])],
    ids=str,
)
def test_only_a_record_that_was_seen_is_written_over(
    zone: Zone, dns_name: str, aws: CountingAws, held: dict[str, str], actions: list[str]
) -> None:
    """Of one that came meanwhile AWS refuses the CREATE."""
    for kind, value in held.items():
        zone.put(Name=HOST, Type=kind, ResourceRecords=[{"Value": value}])
    params = {"hosts": lead(), "zone": None, "evaluate_target_health": True, "replace": True}
    (step,) = module.plan(module.observe(aws, params), module.desire(params))
    assert [each["Action"] for each in step.args["ChangeBatch"]["Changes"]] == actions


def test_a_name_that_somebody_deleted_is_given_back(zone: Zone, dns_name: str, run_module: RunModule) -> None:
    zone.put(Name=f"z.{HOST}", Type="A", ResourceRecords=[{"Value": "192.0.2.1"}])
    run_module(module.main, hosts=lead())
    (made,) = zone.sets()
    zone.change("DELETE", made)
    assert run_module(module.main, hosts=lead())["changed"]
    assert zone.held() == {"A": dns_name}


def test_a_record_that_came_meanwhile_is_not_written_over(zone: Zone, dns_name: str, aws: CountingAws) -> None:
    params = {"hosts": lead(), "zone": None, "evaluate_target_health": True, "replace": False}
    (step,) = module.plan(module.observe(aws, params), module.desire(params))
    zone.put(Name=HOST, Type="A", ResourceRecords=[{"Value": "192.0.2.1"}])
    with pytest.raises(ClientError, match="already exists"):
        aws.route53.change_resource_record_sets(**step.args)
    assert zone.held() == {"A": "192.0.2.1"}


def test_a_cname_to_the_load_balancer_is_not_said_to_lead_elsewhere(
    zone: Zone, dns_name: str, run_module: RunModule
) -> None:
    zone.put(Name=HOST, Type="CNAME", ResourceRecords=[{"Value": dns_name}])

    refused = run_module(module.main, hosts=lead())

    assert f"{HOST} is a CNAME to {BALANCER}, no alias" in refused["msg"]
    assert "elsewhere" not in refused["msg"]
    assert "alb_routing_dns_replace" in refused["remedy"]
    run_module(module.main, hosts=lead(), replace=True)
    assert zone.held() == {"A": dns_name}


def test_a_name_with_a_routing_policy_is_never_taken(zone: Zone, run_module: RunModule) -> None:
    zone.put(Name=HOST, Type="A", SetIdentifier="blue", Weight=10, ResourceRecords=[{"Value": "192.0.2.1"}])

    refused = run_module(module.main, hosts=lead(), replace=True)

    assert (refused["failed"], refused["error"]) == (True, "BadInput")
    assert "blue" in refused["msg"]


def test_the_nearest_zone_gets_the_record_and_a_private_one_never(
    zone: Zone, edge: Edge, aws: CountingAws, dns_name: str, run_module: RunModule
) -> None:
    nearer = Zone(aws, "registry.hokus.ai")
    Zone(
        aws,
        "registry.hokus.ai",
        VPC={"VPCRegion": "us-east-1", "VPCId": edge.vpc},
        HostedZoneConfig={"PrivateZone": True},
    )

    run_module(module.main, hosts=lead())

    assert (zone.held(), nearer.held()) == ({}, {"A": dns_name})


def test_the_zone_can_be_named(zone: Zone, aws: CountingAws, dns_name: str, run_module: RunModule) -> None:
    twin = Zone(aws, "hokus.ai", HostedZoneConfig={"Comment": "twin", "PrivateZone": False})

    assert "hosted zones are named hokus.ai" in run_module(module.main, hosts=lead())["msg"]
    run_module(module.main, hosts=lead(), zone=twin.id)
    assert (zone.held(), twin.held()) == ({}, {"A": dns_name})


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        (lead("registry.example"), "No public hosted zone of this account holds registry.example"),
        ({"nobody": [HOST]}, "No load balancer nobody"),
        ({**lead(), "other": [HOST]}, "is listed for edge and for other"),
        ({BALANCER: HOST}, "are no list of names"),
    ],
)
def test_what_is_not_there_is_named(
    zone: Zone, aws: CountingAws, run_module: RunModule, hosts: dict[str, Any], words: str
) -> None:
    refused = run_module(module.main, hosts=hosts)

    assert words in refused["msg"]
    assert refused["remedy"]
