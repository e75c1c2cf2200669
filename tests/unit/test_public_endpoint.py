"""Public endpoints judged: what keeps clients out, what will, and which certificate a client is handed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils.public_dns import Balancer, Record
from ansible_collections.hokusai.platform.plugins.module_utils.public_endpoint import (
    Certificate,
    Endpoint,
    covers,
    judged,
)

HOST = "registry.hokus.ai"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
LB = Balancer("edge", "arn:edge", "edge-1.elb.test", "Z1")
ALIAS = Record(HOST, "A", "edge-1.elb.test", True, {})


def certificate(days: float = 100, **changes: Any) -> Certificate:
    good = Certificate(
        "arn:aws:acm:us-east-1:1:certificate/one", ("*.hokus.ai",), "ISSUED", NOW + timedelta(days=days), renews=True
    )
    return replace(good, **changes)


def ecdsa(days: float = 100, **changes: Any) -> Certificate:
    """One more, which clients that take ECDSA are handed."""
    return certificate(days, arn="arn:aws:acm:us-east-1:1:certificate/two", names=(HOST,), ecdsa=True, **changes)


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
        ({"certificates": ()}, "no certificate of edge:443 is known to cover registry.hokus.ai: none"),
        ({"certificates": (certificate(names=("other.test",)),)}, "cover registry.hokus.ai: other.test (one) (ISSUED)"),
        ({"certificates": (), "unread": ("old",)}, "cover registry.hokus.ai: IAM server certificate old, of which"),
        ({"certificates": (certificate(-1, status="EXPIRED"),)}, "*.hokus.ai (one), which is over since 2026-11-20"),
        ({"certificates": (certificate(-2),)}, "is over since 2026-11-19"),
        ({"certificates": (certificate(status="REVOKED"),)}, "is REVOKED"),
        ({"certificates": (certificate(status="REVOKED"), certificate())}, "is REVOKED"),
        (
            {"certificates": (certificate(), ecdsa(-2))},
            "hands clients of registry.hokus.ai the certificate registry.hokus.ai (two)",
        ),
        ({"certificates": (certificate(), ecdsa(status="REVOKED"))}, "(two), which is REVOKED"),
    ],
)
def test_what_keeps_clients_out_is_a_problem_and_says_its_remedy(changes: dict[str, Any], words: str) -> None:
    problems = list(endpoint(**changes).problems(NOW))

    assert len(problems) == 1
    assert words in problems[0]
    assert ". Remedy: " in problems[0]


ELSEWHERE = replace(ALIAS, target="other.elb.test")


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"records": ()}, "run alb_routing with alb_routing_dns: true"),
        (
            {"records": (ELSEWHERE,)},
            "run alb_routing with alb_routing_dns: true and alb_routing_dns_replace: true, or correct the inventory",
        ),
        ({"records": (replace(ELSEWHERE, aws={"SetIdentifier": "blue"}),)}, "have a routing policy"),
        ({"records": (), "addresses": (frozenset(), frozenset({"192.0.2.1"}))}, "where its DNS is kept"),
        ({"listens": False, "certificates": ()}, "list the listener with protocol HTTPS in hokusai_load_balancers"),
        ({"certificates": ()}, "import or request one in ACM, name it in the listener's certificates"),
        ({"certificates": (certificate(-2),)}, "import or request one in ACM, name it in the listener's certificates"),
    ],
)
def test_the_remedy_is_that_of_the_cause(changes: dict[str, Any], remedy: str) -> None:
    (problem,) = endpoint(**changes).problems(NOW)
    assert remedy in problem.partition(". Remedy: ")[2]


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (
            [certificate(29, renews=False)],
            "*.hokus.ai (one) of registry.hokus.ai on edge:443 has 29 days left, and it does not renew by itself",
        ),
        ([certificate(29)], "ACM should have renewed it by now"),
        ([certificate(50, renewal="FAILED")], "has 50 days left, and its renewal is FAILED"),
        ([certificate(50, renewal="PENDING_VALIDATION")], "its renewal is PENDING_VALIDATION"),
        (
            [certificate(300), ecdsa(3, renews=False)],
            "registry.hokus.ai (two) of registry.hokus.ai on edge:443 has 3 days",
        ),
        ([certificate(3, renews=False), ecdsa(300)], "*.hokus.ai (one) of registry.hokus.ai on edge:443 has 3 days"),
        (
            [certificate(), ecdsa(300, renewal="FAILED")],
            "(two) of registry.hokus.ai on edge:443 has 300 days left, and its",
        ),
        (
            [certificate(-5), certificate(90)],
            "*.hokus.ai (one) of edge:443, which covers registry.hokus.ai beside others,",
        ),
        ([certificate(-5), ecdsa()], "is over since 2026-11-16: take it out of the listener's certificates"),
        ([certificate(status="REVOKED"), ecdsa()], "beside others, is REVOKED"),
    ],
)
def test_what_will_keep_them_out_is_a_concern(held: list[Certificate], words: str) -> None:
    for certificates in (held, held[::-1]):
        seen = endpoint(certificates=tuple(certificates))

        assert list(seen.problems(NOW)) == []
        (concern,) = seen.concerns(NOW, 30)
        assert words in concern


def test_a_certificate_of_iam_beside_a_good_one_is_a_concern() -> None:
    seen = endpoint(unread=("old",))
    assert list(seen.problems(NOW)) == []
    (concern,) = seen.concerns(NOW, 30)
    assert "IAM server certificate old, of which neither hosts nor end are looked at" in concern


DESCRIBED: dict[str, Any] = {
    "CertificateArn": "arn:aws:acm:us-east-1:1:certificate/one",
    "DomainName": "*.hokus.ai",
    "Status": "ISSUED",
    "NotAfter": NOW,
    "Type": "AMAZON_ISSUED",
    "RenewalEligibility": "ELIGIBLE",
    "KeyAlgorithm": "RSA-2048",
}


@pytest.mark.parametrize(
    ("live", "told"),
    [
        ({}, {"renews": True, "renewal": "", "ecdsa": False}),
        ({"RenewalEligibility": "INELIGIBLE"}, {"renews": False}),
        ({"Type": "IMPORTED"}, {"renews": False}),
        ({"RenewalSummary": {"RenewalStatus": "FAILED"}}, {"renewal": "FAILED"}),
        ({"KeyAlgorithm": "EC_prime256v1"}, {"ecdsa": True}),
    ],
)
def test_a_certificate_is_read_as_acm_describes_it(live: dict[str, Any], told: dict[str, Any]) -> None:
    read = Certificate.from_aws({**DESCRIBED, **live})
    assert {name: getattr(read, name) for name in told} == told


def test_one_that_was_never_issued_is_none() -> None:
    assert Certificate.from_aws({key: value for key, value in DESCRIBED.items() if key != "NotAfter"}) is None


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"certificates": (certificate(31, renews=False),)},
        {"certificates": (certificate(31, renews=False), ecdsa(31, renews=False))},
        {"certificates": (certificate(), certificate(-5, names=("other.test",)))},
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
        ([certificate(300), ecdsa(3, renews=False)], [f"{HOST}: certificate 3 days left, does not renew by itself"]),
        ([certificate(90), certificate(-2)], [f"{HOST}: certificate 90 days left, renews"]),
        ([certificate(-2)], []),
        ([], []),
    ],
)
def test_how_long_a_certificate_lasts_is_told_of_each_host_that_has_one(
    held: list[Certificate], told: list[str]
) -> None:
    assert judged([endpoint(certificates=tuple(held))], NOW, 30)["certificates"] == told
