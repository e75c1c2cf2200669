"""Target health as an ALB reports it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sandbox.dataplane import prober
from sandbox.model import HealthCheck, Target
from sandbox.tests.dataplane_bench import CHECK, Bench, default, eventually, fixed, forward, rule

Health = tuple[str, str, str]
HEALTHY: Health = ("healthy", "", "")
TIMEOUT: Health = ("unhealthy", "Target.Timeout", "Request timed out")
FAILED: Health = ("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
WRONG_CODE: Health = ("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [404]")


def watch(bench: Bench, target: Target, check: HealthCheck = CHECK) -> Callable[[], Health]:
    """Attach the target's group to the listener and start; returns what reads the target's health."""
    arn = bench.group("watched", target, check=check)
    bench.serve(default(forward(arn)))
    bench.start()

    def health() -> Health:
        (now,) = bench.world.groups[arn].targets
        return now.state, now.reason, now.description

    return health


def initial(target: Target) -> Target:
    return replace(target, state="initial", reason="Elb.RegistrationInProgress")


def is_(health: Callable[[], Health], wanted: Health) -> None:
    eventually(lambda: health() == wanted)


def test_a_new_target_is_healthy_after_one_good_answer(bench: Bench) -> None:
    backend, target = bench.backend()
    is_(watch(bench, initial(target)), HEALTHY)
    method, path, headers = backend.seen[0]
    assert (method, path, len(backend.seen)) == ("GET", "/health", 1)
    assert headers["User-Agent"] == "ELB-HealthChecker/2.0"
    assert headers["Host"] == f"{target.address}:{target.port}"


def test_a_wrong_code_makes_a_target_unhealthy_by_way_of_initial(bench: Bench) -> None:
    _, target = bench.backend(lambda _: (404, {}, b""))
    is_(watch(bench, initial(target)), WRONG_CODE)
    assert bench.world.told == [
        ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress"),
        WRONG_CODE,
    ]


def test_a_healthy_target_survives_fewer_failures_than_the_threshold(bench: Bench) -> None:
    codes = iter([404, 404, 200, 404, 404, 200])
    backend, target = bench.backend(lambda _: (next(codes, 200), {}, b""))
    health = watch(bench, target, replace(CHECK, unhealthy_threshold=3))
    eventually(lambda: len(backend.seen) > 6)
    assert health()[0] == "healthy"
    assert bench.world.told == []


def test_an_unhealthy_target_needs_as_many_good_answers_as_its_threshold(bench: Bench) -> None:
    backend, target = bench.backend()
    health = watch(bench, replace(target, state="unhealthy"), replace(CHECK, healthy_threshold=3))
    is_(health, HEALTHY)
    assert len(backend.seen) == 3


def test_the_reason_follows_what_goes_wrong(bench: Bench) -> None:
    answers: list[Any] = [404]
    _, target = bench.backend(lambda _: (answers[0], {}, b""))
    health = watch(bench, target)
    is_(health, WRONG_CODE)
    answers[0] = 500
    is_(health, (*WRONG_CODE[:2], "Health checks failed with these codes: [500]"))
    answers[0] = 200
    is_(health, HEALTHY)


def test_a_port_where_nothing_listens_fails_health_checks(bench: Bench) -> None:
    is_(watch(bench, bench.nobody()), FAILED)


def test_a_target_that_does_not_speak_http_fails_health_checks(bench: Bench) -> None:
    target = bench.raw(lambda connection: connection.sendall(connection.recv(1000)[:0] + b"SSH-2.0\r\n\r\n"))
    is_(watch(bench, target), FAILED)


def test_an_address_that_nobody_has_times_out(bench: Bench) -> None:
    is_(watch(bench, Target("10.0.1.173", 5000, "healthy")), TIMEOUT)


def test_a_target_that_the_groups_keep_away_times_out(bench: Bench) -> None:
    backend, target = bench.backend()
    bench.world.denied.add((target.address, target.port))
    health = watch(bench, target)
    is_(health, TIMEOUT)
    assert not backend.seen
    bench.world.denied.clear()
    is_(health, HEALTHY)


def test_a_target_that_answers_too_late_times_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prober, "SHORTEST_PATIENCE", 0.2)
    release = threading.Event()
    bench.callback(release.set)
    _, target = bench.backend(lambda _: (release.wait(10), (200, {}, b""))[1])
    is_(watch(bench, target), TIMEOUT)


def test_a_health_check_may_have_a_port_of_its_own(bench: Bench) -> None:
    health_port = bench.raw(lambda _: None)
    _, target = bench.backend()
    is_(watch(bench, target, replace(CHECK, port=str(health_port.port))), FAILED)


def test_a_changed_health_check_holds_for_targets_already_watched(bench: Bench) -> None:
    _, target = bench.backend(lambda handler: (200 if handler.path == "/health" else 404, {}, b""))
    health = watch(bench, target, replace(CHECK, path="/health/alb"))
    is_(health, WRONG_CODE)
    group = bench.world.groups["tg/watched"]
    bench.world.groups["tg/watched"] = replace(group, health_check=CHECK)
    is_(health, HEALTHY)


def test_targets_of_a_group_that_no_rule_names_are_unused_until_one_does(bench: Bench) -> None:
    backend, target = bench.backend()
    arn = bench.group("spare", target, check=CHECK)
    bench.serve(default(fixed(404)))
    bench.start()
    eventually(lambda: bench.world.groups[arn].targets[0].reason == "Target.NotInUse")
    assert bench.world.groups[arn].targets[0].state == "unused"
    assert not backend.seen
    bench.serve(rule(1, {"path-pattern": ["/x"]}, forward((arn, 0))), default(fixed(404)))
    eventually(lambda: bench.world.groups[arn].targets[0].state == "healthy")
    assert [told[0] for told in bench.world.told] == ["unused", "initial", "healthy"]


def test_a_draining_target_is_asked_no_more_and_never_called_healthy(bench: Bench) -> None:
    backend, target = bench.backend()
    health = watch(bench, initial(target))
    is_(health, HEALTHY)
    bench.group("watched", replace(target, state="draining"), check=CHECK)
    time.sleep(0.5)
    asked = len(backend.seen)
    time.sleep(0.5)
    assert (len(backend.seen), health()[0]) == (asked, "draining")


def test_an_answer_that_comes_after_a_target_began_to_drain_changes_nothing(bench: Bench) -> None:
    release = threading.Event()
    bench.callback(release.set)
    backend, target = bench.backend(lambda _: (release.wait(10), (200, {}, b""))[1])
    check = replace(CHECK, healthy_threshold=1)
    health = watch(bench, initial(target), check)
    eventually(lambda: backend.seen)
    bench.group("watched", replace(target, state="draining"), check=check)
    release.set()
    time.sleep(0.3)
    assert health()[0] == "draining"


def test_checks_follow_the_pace(bench: Bench) -> None:
    backend, target = bench.backend()
    watch(bench, target, replace(CHECK, interval=4.0))
    time.sleep(1.0)
    assert 2 <= len(backend.seen) <= 4


def test_checks_stop_when_the_target_or_its_group_is_gone(bench: Bench) -> None:
    backend, target = bench.backend()
    watch(bench, target)
    eventually(lambda: backend.seen)
    bench.serve(default(fixed(404)))
    bench.world.groups.clear()
    time.sleep(0.5)
    asked = len(backend.seen)
    time.sleep(0.5)
    assert len(backend.seen) == asked


@pytest.mark.parametrize(
    ("matcher", "status", "accepted"),
    [
        ("200", 200, True),
        ("200", 201, False),
        ("200-299", 250, True),
        ("200,302", 302, True),
        ("200, 300-302", 301, True),
        ("200,302", 301, False),
    ],
)
def test_the_matcher_reads_codes_lists_and_ranges(matcher: str, status: int, accepted: bool) -> None:
    assert prober.accepts(matcher, status) is accepted


@pytest.mark.parametrize(("timeout", "pace", "seconds"), [(5, 30, 2), (120, 30, 4), (1, 30, 1), (5, 1, 5)])
def test_patience_is_paced_but_never_shorter_than_a_busy_process_needs(
    timeout: float, pace: float, seconds: float
) -> None:
    assert prober.patience(timeout, pace) == seconds
