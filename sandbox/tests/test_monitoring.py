"""What is reported of services and certificates, and that alarms are evaluated while the sandbox is up."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.agent.metrics import NAMESPACE, Insights
from sandbox.controlplane import ControlPlane
from sandbox.dataplane import CertificateAuthority
from sandbox.monitoring import CERTIFICATES, Monitoring
from sandbox.tests.dataplane_bench import FakeWorld, eventually
from sandbox.world import World

INSIGHTS = [{"name": "containerInsights", "value": "enabled"}]
OFF = [{"name": "containerInsights", "value": "disabled"}]
SERVICE = SimpleNamespace(
    arn="arn:service",
    name="api",
    cluster_name="platform",
    status="ACTIVE",
    desired_count=2,
    running_count=1,
    pending_count=1,
    deployments=[{}, {}],
)


def reported(settings: list[dict[str, str]], *restarts: int) -> list[dict[str, float]]:
    """What Container Insights has after each look, with so many restarts until then."""
    world, told = FakeWorld(), iter(restarts)
    insights = Insights(world, 30, lambda _: next(told))  # type: ignore[arg-type]  # the part of a world it uses
    found = []
    for look, _ in enumerate(restarts):
        world.points.clear()
        insights.report([SimpleNamespace(name="platform", settings=settings)], [SERVICE], look * 10.0)
        assert {point.dimensions for point in world.points} <= {(("ClusterName", "platform"), ("ServiceName", "api"))}
        found.append({point.name: point.values[0] for point in world.points})
    return found


def test_a_service_is_reported_with_its_tasks_and_what_failed_since_the_last_look() -> None:
    first, second = reported(INSIGHTS, 3, 5)
    assert first == {
        "DesiredTaskCount": 2.0,
        "RunningTaskCount": 1.0,
        "PendingTaskCount": 1.0,
        "DeploymentCount": 2.0,
        "RestartCount": 3.0,
    }
    assert second["RestartCount"] == 2


def test_nothing_is_reported_of_a_cluster_without_container_insights() -> None:
    assert reported(OFF, 0) == [{}]
    assert NAMESPACE == "ECS/ContainerInsights"


@pytest.fixture
def monitoring(world: World, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(type(control_plane.backend("cloudwatch")), "pace", 600.0)
    started = Monitoring(world, 600)
    started.start()
    yield started
    started.stop()


def test_an_alarm_is_evaluated_by_itself_and_a_certificate_has_its_days(
    client: Callable[..., Any],
    monitoring: Monitoring,
) -> None:
    made = CertificateAuthority().issue("example.org")
    arn = client("acm").import_certificate(
        Certificate=made.body, CertificateChain=made.chain, PrivateKey=made.private_key
    )["CertificateArn"]
    cloudwatch = client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="days",
        Namespace=CERTIFICATES,
        MetricName="DaysToExpiry",
        Dimensions=[{"Name": "CertificateArn", "Value": arn}],
        Statistic="Minimum",
        Period=86400,
        EvaluationPeriods=1,
        Threshold=10_000,
        ComparisonOperator="LessThanThreshold",
        TreatMissingData="notBreaching",
    )

    def state() -> str:
        return str(cloudwatch.describe_alarms(AlarmNames=["days"])["MetricAlarms"][0]["StateValue"])

    eventually(lambda: state() == "ALARM")
