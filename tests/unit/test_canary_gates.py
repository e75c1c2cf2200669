"""Each gate of a canary: when it passes, when it fails, and when it does not know."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import canary_gates
from ansible_collections.hokusai.platform.plugins.module_utils.canary import FAIL, INCONCLUSIVE, PASS
from ansible_collections.hokusai.platform.plugins.module_utils.canary_gates import Counts, Limits
from ansible_collections.hokusai.platform.plugins.module_utils.platform_state import Unknown

DENIED = Unknown("AWS answered AccessDenied")
LIMITS = Limits(minimum_sample=100, ratio=0.02, above_stable=0.01)
STABLE = Counts(10_000, 50)

ALARMS: list[tuple[dict[str, str] | Unknown, str]] = [
    ({"a": "OK"}, PASS),
    ({"a": "ALARM"}, FAIL),
    ({"a": "INSUFFICIENT_DATA"}, INCONCLUSIVE),
    ({"a": "A state of the future"}, INCONCLUSIVE),
    ({}, INCONCLUSIVE),
    (Unknown("AWS answered ThrottlingException"), INCONCLUSIVE),
    (DENIED, INCONCLUSIVE),
]


@pytest.mark.parametrize(("states", "verdict"), ALARMS)
def test_an_alarm(states: dict[str, str] | Unknown, verdict: str) -> None:
    (finding,) = canary_gates.alarms(["a"], states)
    assert (finding.gate, finding.verdict) == ("alarm a", verdict)


TARGETS: list[tuple[list[str] | Unknown, str]] = [
    (["healthy"], PASS),
    (["healthy", "healthy"], PASS),
    (["healthy", "draining"], PASS),
    ([], FAIL),
    (["draining"], FAIL),
    (["healthy", "unhealthy"], FAIL),
    (["unhealthy"], FAIL),
    (["healthy", "initial"], INCONCLUSIVE),
    (["unused"], INCONCLUSIVE),
    (["unavailable"], INCONCLUSIVE),
    (["initial", "unhealthy"], FAIL),
    (DENIED, INCONCLUSIVE),
]


@pytest.mark.parametrize(("states", "verdict"), TARGETS)
def test_targets(states: list[str] | Unknown, verdict: str) -> None:
    assert canary_gates.targets("g", states).verdict == verdict


RATIOS: dict[str, tuple[Counts | Unknown, Counts | Unknown, str]] = {
    "no request failed": (Counts(100, 0), STABLE, PASS),
    "no request at all": (Counts(0, 0), STABLE, INCONCLUSIVE),
    "one request too few": (Counts(99, 0), STABLE, INCONCLUSIVE),
    "as many as are borne": (Counts(200, 3), STABLE, PASS),
    "one more than is borne": (Counts(100, 3), STABLE, FAIL),
    "few requests, some failed, the others may make up for it": (Counts(10, 2), STABLE, INCONCLUSIVE),
    "few requests, more failed than the others can make up for": (Counts(10, 3), STABLE, FAIL),
    "as bad as the stable service": (Counts(1000, 18), Counts(1000, 15), PASS),
    "much worse than the stable service": (Counts(1000, 18), Counts(1000, 5), FAIL),
    "the stable service had too few to compare": (Counts(1000, 18), Counts(99, 0), PASS),
    "the stable service has no requests any more": (Counts(1000, 0), Counts(), PASS),
    "a stable service that is worse is no excuse": (Counts(1000, 100), Counts(1000, 500), FAIL),
    "requests without an answer": (Counts(1000, 0, 100), STABLE, INCONCLUSIVE),
    "a few requests under way": (Counts(1000, 0, 10), STABLE, PASS),
    "the canary's unknown": (DENIED, STABLE, INCONCLUSIVE),
    "the stable service's unknown": (Counts(1000, 0), DENIED, INCONCLUSIVE),
}


@pytest.mark.parametrize("case", RATIOS)
def test_the_error_ratio(case: str) -> None:
    canary, stable, verdict = RATIOS[case]
    finding = canary_gates.error_ratio(canary, stable, LIMITS)
    assert finding.verdict == verdict, finding.why


def test_an_unknown_says_why() -> None:
    finding = canary_gates.error_ratio(Counts(1000, 0), DENIED, LIMITS)
    assert finding.why == "unknown: AWS answered AccessDenied"


PROBES: list[tuple[dict[str, Any], str]] = [
    ({"name": "p", "ok": True, "count": 5}, PASS),
    ({"name": "p", "ok": False, "mismatches": ["status is 502, not 2xx"]}, FAIL),
    ({"name": "p"}, FAIL),
]


@pytest.mark.parametrize(("report", "verdict"), PROBES)
def test_a_probe(report: dict[str, Any], verdict: str) -> None:
    (finding,) = canary_gates.probes([report])
    assert (finding.gate, finding.verdict) == ("probe p", verdict)
