"""public_endpoint_info: where a public host leads, and how long it is served with a good certificate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hokusai.platform.plugins.module_utils.public_dns import Balancer, Record
from ansible_collections.hokusai.platform.plugins.module_utils.public_endpoint import (
    Certificate,
    Endpoint,
    covers,
    judged,
)
from ansible_collections.hokusai.platform.plugins.modules import public_endpoint_info as module

from tests.unit.alb_edge import BALANCER, NOT_FOUND, Edge
from tests.unit.conftest import CountingAws, RunModule
from tests.unit.test_route53_alias import HOST, OTHER, Zone, lead

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 21, tzinfo=UTC)
LB = Balancer("edge", "arn:edge", "edge-1.elb.test", "Z1")
ALIAS = Record(HOST, "A", "edge-1.elb.test", True, {})


def certificate(days: float = 100, **changes: Any) -> Certificate:
    good = Certificate("arn:1", ("*.hokus.ai",), "ISSUED", NOW + timedelta(days=days), renews=True)
    return replace(good, **changes)


def endpoint(**changes: Any) -> Endpoint:
    return replace(Endpoint(HOST, LB, 443, (ALIAS,), certificates=(certificate(),)), **changes)


@pytest.mark.parametrize(
    ("name", "host", "expected"),
    [
        ("*.hokus.ai", "registry.hokus.ai", True),
        ("registry.hokus.ai", "registry.hokus.ai", True),
        ("*.hokus.ai", "a.registry.hokus.ai", False),
        ("*.hokus.ai", "hokus.ai", False),
        ("hokus.ai", "registry.hokus.ai", False),
    ],
)
def test_a_wildcard_stands_for_one_label(name: str, host: str, expected: bool) -> None:
    assert covers(name, host) is expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"records": ()}, "leads to nothing, not to edge"),
        ({"records": (replace(ALIAS, target="other.elb.test"),)}, "leads to A alias of other.elb.test, not to edge"),
        ({"records": (ALIAS, replace(ALIAS, type="AAAA", target="other"))}, "leads to"),
        ({"records": (replace(ALIAS, alias=False, target="192.0.2.1"),)}, "leads to A 192.0.2.1"),
        ({"records": (), "addresses": (frozenset(), frozenset({"192.0.2.1"}))}, "leads to nothing"),
        ({"records": (), "addresses": (frozenset({"192.0.2.2"}), frozenset({"192.0.2.1"}))}, "leads to 192.0.2.2"),
        ({"records": (replace(ALIAS, standby=True),)}, "leads to A alias of edge-1.elb.test"),
        (
            {"records": (replace(ALIAS, aws={"Failover": "SECONDARY"}),)},
            "leads to A alias of edge-1.elb.test (secondary)",
        ),
        ({"listens": False, "certificates": ()}, "does not listen for HTTPS"),
        ({"certificates": ()}, "no certificate of edge:443 covers registry.hokus.ai: none"),
        ({"certificates": (certificate(names=("other.test",)),)}, "covers registry.hokus.ai: other.test (ISSUED)"),
        ({"certificates": (certificate(status="EXPIRED"),)}, "*.hokus.ai (EXPIRED)"),
        ({"certificates": (certificate(-2),)}, "is over since 2026-11-19"),
    ],
)
def test_what_keeps_clients_out_is_a_problem(changes: dict[str, Any], words: str) -> None:
    problems = list(endpoint(**changes).problems(NOW))

    assert len(problems) == 1
    assert words in problems[0]


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (certificate(29, renews=False), "has 29 days left, and it does not renew by itself"),
        (certificate(29), "ACM should have renewed it by now"),
        (certificate(50, renewal="FAILED"), "the renewal of the certificate of registry.hokus.ai is FAILED, with 50"),
        (certificate(50, renewal="PENDING_VALIDATION"), "is PENDING_VALIDATION"),
    ],
)
def test_what_will_keep_them_out_is_a_concern(held: Certificate, words: str) -> None:
    seen = endpoint(certificates=(held,))

    assert list(seen.problems(NOW)) == []
    (concern,) = seen.concerns(NOW, 30)
    assert words in concern


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"certificates": (certificate(31, renews=False),)},
        {"certificates": (certificate(-5), certificate(90))},
        {"records": (Record(HOST, "CNAME", "edge-1.elb.test", False, {}),)},
        {"records": (ALIAS, replace(ALIAS, alias=False, target="192.0.2.1", standby=True))},
        {"records": (), "addresses": (frozenset({"192.0.2.1"}), frozenset({"192.0.2.1", "192.0.2.2"}))},
    ],
)
def test_what_is_good_is_neither(changes: dict[str, Any]) -> None:
    seen = endpoint(**changes)

    assert (list(seen.problems(NOW)), list(seen.concerns(NOW, 30))) == ([], [])


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ([certificate(180.5)], [f"{HOST}: certificate 180 days left, renews"]),
        ([certificate(19, renews=False)], [f"{HOST}: certificate 19 days left, does not renew by itself"]),
        ([certificate(-2)], []),
        ([], []),
    ],
)
def test_how_long_a_certificate_lasts_is_told_of_each_host_that_has_one(
    held: list[Certificate], told: list[str]
) -> None:
    assert judged([endpoint(certificates=tuple(held))], NOW, 30)["certificates"] == told


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
