"""public_endpoint_info against the sandbox's AWS: where a public host leads, and what its listener hands out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hokusai.platform.plugins.modules import public_endpoint_info as module

from tests.unit.alb_edge import BALANCER, NOT_FOUND, Edge
from tests.unit.conftest import CountingAws, RunModule
from tests.unit.test_route53_alias import HOST, OTHER, Zone, lead

ROOT = Path(__file__).resolve().parents[2]


def test_the_validation_says_it_at_its_end() -> None:
    tasks = yaml.safe_load((ROOT / "roles/validation/tasks/main.yml").read_text())
    assert "__validation_endpoints.certificates" in tasks[-1]["ansible.builtin.debug"]["msg"]


def ask(run_module: RunModule, **changes: Any) -> dict[str, Any]:
    return run_module(module.main, hosts=lead(), **changes)


def test_a_live_host_is_judged_by_route_53_the_listener_and_acm(
    edge: Edge, aws: CountingAws, run_module: RunModule
) -> None:
    zone = Zone(aws)
    bare = ask(run_module)
    assert [text.split(" ")[0:2] for text in bare["problems"]] == [[HOST, "leads"], ["edge:443", "does"]]

    arn = edge.make_certificate("*.hokus.ai")
    edge.make_listener(8443, Protocol="HTTPS", Certificates=[{"CertificateArn": arn}], DefaultActions=[NOT_FOUND])
    balancer = aws.elbv2.describe_load_balancers(Names=[BALANCER])["LoadBalancers"][0]
    zone.put(Name=HOST, Type="CNAME", ResourceRecords=[{"Value": balancer["DNSName"]}])
    aws.calls.clear()
    seen = ask(run_module, port=8443)

    (found,) = seen["endpoints"]
    assert (seen["problems"], found["leads_to_load_balancer"]) == ([], True)
    assert (found["certificate"]["arn"], found["certificate"]["renews"]) == (arn, False)
    assert found["certificate"]["days_left"] > 0


def test_a_certificate_of_iam_is_not_asked_of_acm_and_never_called_good(
    edge: Edge, aws: CountingAws, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    arns = ["arn:aws:iam::123456789012:server-certificate/old"]
    monkeypatch.setattr(module, "listener_certificates", lambda *_: arns)
    Zone(aws)
    assert "IAM server certificate old" in ask(run_module)["problems"][1]


@pytest.mark.parametrize(
    ("chain", "leads"),
    [
        ({"*.hokus.ai": "LB"}, True),
        ({HOST: "lb.hokus.ai", "lb.hokus.ai": "LB"}, True),
        ({"*.hokus.ai": "lb.hokus.ai", "lb.hokus.ai": "LB"}, True),
        ({"*.hokus.ai": "LB", HOST: "elsewhere.test"}, False),
        ({HOST: "lb.hokus.ai", "lb.hokus.ai": "elsewhere.test"}, False),
        ({HOST: "lb.hokus.ai", "lb.hokus.ai": HOST}, False),
        ({"*.other.hokus.ai": "LB"}, False),
    ],
)
def test_wildcards_and_names_that_lead_to_names_are_followed(
    edge: Edge, aws: CountingAws, run_module: RunModule, chain: dict[str, str], leads: bool
) -> None:
    zone = Zone(aws)
    balancer = aws.elbv2.describe_load_balancers(Names=[BALANCER])["LoadBalancers"][0]
    for name, target in chain.items():
        value = target.replace("LB", balancer["DNSName"])
        zone.put(Name=name, Type="CNAME", ResourceRecords=[{"Value": value}])
    assert ask(run_module)["endpoints"][0]["leads_to_load_balancer"] is leads


@pytest.mark.parametrize(
    ("host", "beside", "leads"),
    [
        (HOST, {}, True),
        (HOST, {HOST: "TXT"}, False),
        (HOST, {f"_acme-challenge.{HOST}": "TXT"}, False),
        (f"a.{HOST}", {}, True),
        (f"a.{HOST}", {HOST: "TXT"}, False),
        (f"a.{HOST}", {f"x.{HOST}": "TXT"}, False),
        (f"a.{HOST}", {f"*.{HOST}": "TXT"}, False),
        (HOST, {f"x{HOST}": "TXT"}, True),
        ("hokus.ai", {}, False),
    ],
)
def test_a_wildcard_answers_for_no_name_that_is_there_nor_below_one(
    edge: Edge, aws: CountingAws, run_module: RunModule, host: str, beside: dict[str, str], leads: bool
) -> None:
    zone = Zone(aws)
    balancer = aws.elbv2.describe_load_balancers(Names=[BALANCER])["LoadBalancers"][0]
    zone.put(Name="*.hokus.ai", Type="CNAME", ResourceRecords=[{"Value": balancer["DNSName"]}])
    for name, kind in beside.items():
        zone.put(Name=name, Type=kind, ResourceRecords=[{"Value": '"kept"'}])
    (found,) = run_module(module.main, hosts=lead(host))["endpoints"]
    assert (found["leads_to_load_balancer"], found["leads_to"] == "nothing") == (leads, not leads)


PRIMARY, SECONDARY, ALL, NONE = {"Failover": "PRIMARY"}, {"Failover": "SECONDARY"}, {"Weight": 100}, {"Weight": 0}


@pytest.mark.parametrize(
    ("sets", "leads"),
    [
        ([("CNAME", "LB", PRIMARY), ("CNAME", "elsewhere.test", SECONDARY)], True),
        ([("CNAME", "LB", PRIMARY), ("CNAME", "page.hokus.ai", SECONDARY)], True),
        ([("CNAME", "lb.hokus.ai", PRIMARY), ("CNAME", "elsewhere.test", SECONDARY)], True),
        ([("CNAME", "elsewhere.test", PRIMARY), ("CNAME", "LB", SECONDARY)], False),
        ([("CNAME", "LB", SECONDARY)], False),
        ([("CNAME", "lb.hokus.ai", SECONDARY)], False),
        ([("CNAME", "LB", ALL), ("CNAME", "elsewhere.test", NONE)], True),
        ([("CNAME", "LB", ALL), ("CNAME", "page.hokus.ai", NONE)], True),
        ([("CNAME", "LB", ALL), ("CNAME", "elsewhere.test", ALL)], False),
        ([("CNAME", "LB", NONE), ("CNAME", "elsewhere.test", ALL)], False),
        ([("CNAME", "LB", NONE), ("CNAME", "elsewhere.test", NONE)], False),
        ([("CNAME", "LB", NONE), ("CNAME", "lb.hokus.ai", NONE)], True),
        ([("A", "LB", ALL), ("AAAA", "2001:db8::1", NONE)], False),
        ([("A", "LB", ALL), ("AAAA", "2001:db8::1", SECONDARY)], False),
    ],
)
def test_what_answers_only_in_place_of_another_record_may_lead_elsewhere(
    edge: Edge, aws: CountingAws, run_module: RunModule, sets: list[tuple[str, str, dict[str, Any]]], leads: bool
) -> None:
    zone = Zone(aws)
    balancer = aws.elbv2.describe_load_balancers(Names=[BALANCER])["LoadBalancers"][0]
    target = {
        "HostedZoneId": balancer["CanonicalHostedZoneId"],
        "DNSName": balancer["DNSName"],
        "EvaluateTargetHealth": True,
    }
    zone.put(Name="lb.hokus.ai", Type="CNAME", ResourceRecords=[{"Value": balancer["DNSName"]}])
    zone.put(Name="page.hokus.ai", Type="A", ResourceRecords=[{"Value": "192.0.2.1"}])
    for number, (kind, value, policy) in enumerate(sets):
        values = [{"Value": value.replace("LB", balancer["DNSName"])}]
        where = {"AliasTarget": target} if (kind, value) == ("A", "LB") else {"ResourceRecords": values}
        zone.put(Name=HOST, Type=kind, SetIdentifier=str(number), **policy, **where)
    assert ask(run_module)["endpoints"][0]["leads_to_load_balancer"] is leads


@pytest.mark.parametrize("host", [HOST, f"a.{HOST}", OTHER])
def test_a_host_that_is_delegated_is_resolved_here(
    edge: Edge, aws: CountingAws, run_module: RunModule, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    zone = Zone(aws)
    zone.put(Name=HOST, Type="NS", ResourceRecords=[{"Value": "ns.elsewhere.test"}])
    zone.put(Name=f"a.{HOST}", Type="A", ResourceRecords=[{"Value": "192.0.2.9"}])
    zone.put(Name=OTHER, Type="CNAME", ResourceRecords=[{"Value": HOST}])
    monkeypatch.setattr(module, "resolve", lambda _name: frozenset({"192.0.2.1"}))
    (found,) = run_module(module.main, hosts=lead(host))["endpoints"]
    assert (found["leads_to"], found["leads_to_load_balancer"]) == ("192.0.2.1", True)


def test_a_host_of_two_zones_of_one_name_is_resolved_here(
    edge: Edge, aws: CountingAws, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Route 53 does not tell which of the two the registrar names, so its records prove nothing."""
    balancer = aws.elbv2.describe_load_balancers(Names=[BALANCER])["LoadBalancers"][0]
    for twin in (Zone(aws), Zone(aws, HostedZoneConfig={"Comment": "twin", "PrivateZone": False})):
        twin.put(Name=HOST, Type="CNAME", ResourceRecords=[{"Value": balancer["DNSName"]}])
    monkeypatch.setattr(module, "resolve", lambda name: frozenset({"192.0.2.9"} if name == HOST else {"192.0.2.1"}))

    seen = ask(run_module)

    assert "leads to 192.0.2.9, not to edge" in seen["problems"][0]
    assert "does not listen for HTTPS" in seen["problems"][1]


def test_a_host_of_no_zone_is_resolved_here(edge: Edge, run_module: RunModule, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {HOST: ["192.0.2.1"], "edge": ["192.0.2.1", "192.0.2.2"]}

    monkeypatch.setattr(module, "resolve", lambda name: frozenset(answers[name.partition("-")[0]]))

    assert ask(run_module)["endpoints"][0]["leads_to_load_balancer"] is True
    answers[HOST] = ["192.0.2.3"]
    assert "leads to 192.0.2.3, not to edge" in ask(run_module)["problems"][0]
    turns = iter(["192.0.2.1", "192.0.2.3"])
    monkeypatch.setattr(module, "resolve", lambda name: frozenset([answers[HOST][0] if name == HOST else next(turns)]))
    assert ask(run_module)["endpoints"][0]["leads_to_load_balancer"] is True


def looked(monkeypatch: pytest.MonkeyPatch, **answers: list[set[str]]) -> tuple[frozenset[str], frozenset[str]]:
    """Of the names `host` and `edge`, each of which answers otherwise each time."""
    left = {name: iter(sets) for name, sets in answers.items()}
    monkeypatch.setattr(module, "resolve", lambda name: frozenset(next(left[name])))
    return module.addresses("host", "edge")


def test_a_load_balancer_is_asked_again_for_an_address_that_it_did_not_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked(monkeypatch, host=[{"a"}], edge=[{"a", "b"}]) == ({"a"}, {"a", "b"})
    assert looked(monkeypatch, host=[{"a", "d"}], edge=[{"a"}, {"b"}, {"c", "d"}]) == ({"a", "d"}, {"a", "b", "c", "d"})
    assert looked(monkeypatch, host=[{"z"}], edge=[{"a"}, {"b"}, {"c"}]) == ({"z"}, {"a", "b", "c"})


def test_a_host_that_did_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked(monkeypatch, host=[set(), {"a"}], edge=[{"a"}, {"a"}]) == ({"a"}, {"a"})
    assert looked(monkeypatch, host=[set()] * 3, edge=[{"a"}] * 3) == (set(), {"a"})


def test_a_name_that_nobody_knows_has_no_address() -> None:
    assert "127.0.0.1" in module.resolve("localhost")
    assert module.resolve("nobody.invalid") == frozenset()
