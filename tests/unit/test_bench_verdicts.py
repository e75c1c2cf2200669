"""What the soak excuses, and what the measurements call met."""

from __future__ import annotations

import pytest

from tests.bench.proxies.report import Figures, bars
from tests.bench.soak.client import CLOSED, Failure, Ledger
from tests.bench.soak.upstream import Outage, Upstream
from tests.bench.soak.verdict import MARGIN, MEMORY_MB, Held, excused, verdicts

AWAY = Outage(10.0, 11.0)
RECOVERY = 1.0
IDLE = Held(50.0, 40, 2)


def failure(sent: float, ended: float, status: int = 502) -> Failure:
    return Failure(sent, ended, status, "GET /", "")


def judged(ledger: Ledger, upstream: Upstream, last: Held = IDLE) -> list[bool]:
    return [verdict.good for verdict in verdicts(ledger, upstream, IDLE, last, RECOVERY)]


@pytest.mark.parametrize(
    ("what", "accepted"),
    [
        (failure(9.9, 10.1), True),
        (failure(10.5, 10.6, CLOSED), True),
        (failure(11.0 + MARGIN / 2, 11.2), True),
        (failure(11.5, 11.6, 503), True),
        (failure(9.0, 9.9), False),
        (failure(11.5, 11.6), False),
        (failure(11.5, 11.6, 504), False),
        (failure(12.5, 12.6, 503), False),
    ],
)
def test_a_failure_is_excused_only_while_the_upstream_is_away_and_the_breaker_a_little_longer(
    what: Failure, accepted: bool
) -> None:
    assert excused(what, [AWAY], RECOVERY) is accepted


def test_a_soak_without_faults_is_good() -> None:
    upstream, ledger = Upstream(), Ledger(3, [failure(10.1, 10.2)], {"a"})
    upstream.outages.append(AWAY)
    upstream.created.update(["a", "b"])
    assert all(judged(ledger, upstream))


def test_a_write_that_arrived_twice_is_a_fault() -> None:
    upstream = Upstream()
    upstream.created.update(["a", "a"])
    assert judged(Ledger(), upstream).count(False) == 1


def test_a_write_that_was_acknowledged_and_never_arrived_is_a_fault() -> None:
    assert judged(Ledger(acknowledged={"a"}), Upstream()).count(False) == 1


@pytest.mark.parametrize("last", [Held(50.1 + MEMORY_MB, 40, 2), Held(50.0, 43, 2), Held(50.0, 40, 3)])
def test_what_is_held_longer_than_it_is_needed_is_a_fault(last: Held) -> None:
    assert judged(Ledger(), Upstream(), last).count(False) == 1


FAST = {"rps": 5000.0, "cpu_us": 200.0, "p50_1_ms": 0.5, "upload_mb_s": 600.0, "download_mb_s": 600.0}
OURS = FAST | {"stream_rss_growth_mb": 3.0, "p99_8_ms": 4.0, "p99_8_crowd_ms": 6.0}
OTHERS: Figures = {"nginx": FAST | {"rps": 40_000.0, "p50_1_ms": 0.25}, "naive": FAST | {"rps": 300.0}}


@pytest.mark.parametrize(
    "worse",
    [
        {"rps": 2900.0},
        {"p50_1_ms": 0.7},
        {"upload_mb_s": 400.0},
        {"download_mb_s": 400.0},
        {"stream_rss_growth_mb": 21.0},
        {"p99_8_crowd_ms": 9.0},
    ],
)
def test_each_bar_can_be_missed(worse: dict[str, float]) -> None:
    assert all(bar.met for bar in bars({"gateway": OURS, **OTHERS}))
    assert not all(bar.met for bar in bars({"gateway": OURS | worse, **OTHERS}))


def test_a_bar_without_its_peer_is_not_met_and_says_that_it_was_not_measured() -> None:
    told = [bar.line() for bar in bars({"gateway": OURS})]
    assert sum("not measured" in line for line in told) == 5
