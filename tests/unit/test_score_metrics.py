"""A score as data points: what is published, and that one which cannot be published is only told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import score_metrics
from ansible_collections.hokusai.platform.plugins.modules import health_score

from sandbox.controlplane import ControlPlane
from sandbox.controlplane.faults import Fault
from tests.unit.conftest import CountingAws, RunModule

SCORE: dict[str, Any] = {
    "score": 50.0,
    "checks": [
        {"id": "api_health", "passed": True, "evidence": {"ms": 12.5, "url": "https://api.hokus.ai/health"}},
        {"id": "ecs_mlflow", "passed": False, "evidence": {"running": 0}},
    ],
}
CHECK = {name: [{"Name": "Check", "Value": name}] for name in ("api_health", "ecs_mlflow")}


def test_score_status_and_latency_are_points_of_their_own() -> None:
    assert list(score_metrics.data(SCORE)) == [
        {"MetricName": "HealthScore", "Value": 50.0, "Unit": "Percent"},
        {"MetricName": "CheckPassed", "Value": 1.0, "Unit": "None", "Dimensions": CHECK["api_health"]},
        {"MetricName": "ProbeLatency", "Value": 12.5, "Unit": "Milliseconds", "Dimensions": CHECK["api_health"]},
        {"MetricName": "CheckPassed", "Value": 0.0, "Unit": "None", "Dimensions": CHECK["ecs_mlflow"]},
    ]


def test_what_is_published_can_be_read(aws: CountingAws) -> None:
    assert score_metrics.publish(aws, "Test", score_metrics.data(SCORE)) == ""
    now = datetime.now(UTC)
    found = aws.client("cloudwatch").get_metric_statistics(
        Namespace="Test",
        MetricName="CheckPassed",
        Dimensions=CHECK["ecs_mlflow"],
        StartTime=now - timedelta(minutes=2),
        EndTime=now + timedelta(minutes=2),
        Period=60,
        Statistics=["Maximum"],
    )
    assert [point["Maximum"] for point in found["Datapoints"]] == [0.0]


@pytest.mark.parametrize(("check", "calls"), [(False, 1), (True, 0)])
def test_check_mode_publishes_nothing(
    run_module: RunModule, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, check: bool, calls: int
) -> None:
    monkeypatch.setattr(health_score, "measure", lambda *_: SCORE)
    nouns = {"api": "a", "auth": "b"}
    options = {"hosts": {**nouns, "registry": "c"}, "services": {**nouns, "mlflow": "c"}, "namespace": "n"}
    result = run_module(health_score.main, _check=check, cluster="c", publish="Test", **options)
    assert (result["score"], control_plane.calls.count("cloudwatch:PutMetricData")) == (50.0, calls)


def test_what_is_denied_is_told_and_no_error(aws: CountingAws, control_plane: ControlPlane) -> None:
    control_plane.faults.replace([Fault("cloudwatch:PutMetricData", code="AccessDenied", status=403)])
    assert "AccessDenied" in score_metrics.publish(aws, "Test", score_metrics.data(SCORE))
