"""What the load balancers report to CloudWatch: which metric, of which resource, and how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.dataplane.metrics import NAMESPACE, Happened, Metrics, suffix
from sandbox.model import MetricPoint
from sandbox.tests.dataplane_bench import Bench, FakeWorld, default, eventually, fixed, forward, rule
from sandbox.world import World

BASE = "https://registry.hokus.ai"
Dimensions = tuple[tuple[str, str], ...]
BALANCER: Dimensions = (("LoadBalancer", "lb/main"),)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path, pace=600) as made:
        yield made


def totals(bench: Bench) -> Counter[tuple[str, Dimensions]]:
    """The sums of all that was reported of requests, but for times."""
    found: Counter[tuple[str, Dimensions]] = Counter()
    for point in tuple(bench.world.points):
        if not point.name.endswith(("TargetResponseTime", "HostCount")):
            found[point.name, point.dimensions] += int(sum(point.values))
    return found


def of(group: str) -> Dimensions:
    return (("TargetGroup", f"tg/{group}"), *BALANCER)


def reported(bench: Bench, wanted: dict[tuple[str, Dimensions], int]) -> None:
    """Fails with what was reported instead."""
    eventually(lambda: totals(bench)["RequestCount", BALANCER] >= wanted.get(("RequestCount", BALANCER), 0))
    assert totals(bench) == wanted


def test_answers_of_the_target_are_counted_by_class_for_the_balancer_and_for_the_group(bench: Bench) -> None:
    statuses = iter([200, 404, 503])
    bench.one_target(bench.backend(lambda _: (next(statuses), {}, b"x"))[1])
    for _ in range(3):
        bench.session().get(BASE)
    wanted: dict[tuple[str, Dimensions], int] = {}
    for dimensions in (BALANCER, of("only")):
        wanted |= {(f"HTTPCode_Target_{each}XX_Count", dimensions): 1 for each in (2, 4, 5)}
        wanted |= {("RequestCount", dimensions): 3}
    reported(bench, wanted)


def test_a_refused_connection_is_the_groups_and_the_502_the_balancers_own(bench: Bench) -> None:
    bench.one_target(bench.nobody())
    assert bench.session().get(BASE).status_code == 502
    wanted = {("HTTPCode_ELB_5XX_Count", BALANCER): 1}
    for dimensions in (BALANCER, of("only")):
        wanted |= {("RequestCount", dimensions): 1, ("TargetConnectionErrorCount", dimensions): 1}
    reported(bench, wanted)


def test_a_request_for_which_there_is_no_target_is_no_request_and_yet_an_error(bench: Bench) -> None:
    bench.serve(default(forward(bench.group("empty"))))
    assert bench.start().session().get(BASE).status_code == 503
    eventually(lambda: totals(bench))
    reported(bench, {("HTTPCode_ELB_5XX_Count", BALANCER): 1})


def test_a_fixed_response_is_no_error_of_the_balancer(bench: Bench) -> None:
    bench.serve(
        rule(1, {"path-pattern": ["/fixed"]}, fixed(503)), default(forward(bench.group("a", bench.backend()[1])))
    )
    session = bench.start().session()
    assert [session.get(f"{BASE}/{path}").status_code for path in ("fixed", "other")] == [503, 200]
    reported(
        bench,
        {(name, each): 1 for name in ("RequestCount", "HTTPCode_Target_2XX_Count") for each in (BALANCER, of("a"))},
    )


def test_each_group_of_a_weighted_rule_has_its_own_count(bench: Bench) -> None:
    groups = [(bench.group(name, bench.backend()[1]), weight) for name, weight in (("stable", 3), ("canary", 1))]
    bench.serve(default(forward(*groups)))
    session = bench.start().session()
    for _ in range(8):
        session.get(BASE)
    eventually(lambda: totals(bench)["RequestCount", BALANCER] == 8)
    assert (totals(bench)["RequestCount", of("stable")], totals(bench)["RequestCount", of("canary")]) == (6, 2)


def test_the_time_until_the_target_answers_is_reported(bench: Bench) -> None:
    bench.one_target(bench.backend()[1])
    bench.session().get(BASE)
    eventually(lambda: any(point.name == "TargetResponseTime" for point in tuple(bench.world.points)))
    (taken,) = {point.values for point in bench.world.points if point.name == "TargetResponseTime"}
    assert 0 < taken[0] < 5


def test_healthy_and_unhealthy_hosts_are_counted_apart_and_those_that_drain_not_at_all(bench: Bench) -> None:
    bench.one_target(bench.backend()[1])

    def hosts() -> dict[str, float]:
        found = {point.name: point for point in tuple(bench.world.points) if point.name.endswith("HostCount")}
        assert {point.dimensions for point in found.values()} <= {of("only")}
        return {name: point.values[0] for name, point in found.items()}

    eventually(lambda: hosts() == {"HealthyHostCount": 1.0, "UnHealthyHostCount": 0.0})


def test_nothing_is_handed_over_twice_within_a_period() -> None:
    world = FakeWorld()
    metrics = Metrics(world, 1)
    for _ in range(2):
        metrics.count(Happened("lb/main", own_status=502))
        metrics.reconcile()
    assert [point.values for point in world.points] == [(1.0,)]


@pytest.mark.parametrize(
    ("arn", "without", "called"),
    [
        ("arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/edge/50d", "loadbalancer/", "app/edge/50d"),
        ("arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/api/73e", "", "targetgroup/api/73e"),
    ],
)
def test_resources_are_called_as_cloudwatch_calls_them(arn: str, without: str, called: str) -> None:
    assert suffix(arn, without) == called


def test_what_is_published_is_what_cloudwatch_answers(world: World, client: Callable[..., Any]) -> None:
    points = (MetricPoint("RequestCount", of("a"), (1.0, 1.0)), MetricPoint("RequestCount", BALANCER, (1.0, 1.0, 1.0)))
    world.publish_metrics(NAMESPACE, points)
    now = datetime.now(UTC)
    dimensions = [{"Name": name, "Value": value} for name, value in of("a")]
    metric = {"Namespace": NAMESPACE, "MetricName": "RequestCount", "Dimensions": dimensions}
    span = {"StartTime": now - timedelta(minutes=1), "EndTime": now + timedelta(minutes=1)}
    query = {"Id": "a", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    answer = client("cloudwatch").get_metric_data(MetricDataQueries=[query], **span)
    assert sum(answer["MetricDataResults"][0]["Values"]) == 2
    points = client("cloudwatch").get_metric_statistics(**metric, **span, Period=120, Statistics=["Sum"])["Datapoints"]
    assert sum(point["Sum"] for point in points) == 2
