"""A bypass is a way on which a request to MLflow's API reaches MLflow unauthenticated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils.bypass import bypasses
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry

from tests.unit.alb_model import arn

LISTENER = Entry("listener", "L", "edge:443", {"DefaultActions": [{"Type": "forward", "TargetGroupArn": arn("api")}]})


def forward(**weights: int) -> list[dict[str, Any]]:
    listed = [{"TargetGroupArn": arn(name), "Weight": weight} for name, weight in weights.items()]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": listed}}]


def rule(*paths: str, to: str = "mlflow", **conditions: Any) -> Entry:
    listed = [{"Field": "path-pattern", "Values": list(paths)}] if paths else []
    listed += [{"Field": field.replace("_", "-"), "Values": values} for field, values in conditions.items()]
    fields = {"Priority": "10", "Conditions": listed, "Actions": forward(**{to: 1})}
    return Entry("load_balancer_rule", "R", "edge:443 priority 10", fields, {"ListenerArn": "L"})


def weighted(**weights: int) -> Entry:
    return replace(rule("/api/mlflow/*"), fields={**rule("/api/mlflow/*").fields, "Actions": forward(**weights)})


OPEN = {
    "the incident's rule": [LISTENER, rule("/api/mlflow/*")],
    "the bare path": [LISTENER, rule("/api/mlflow")],
    "a wider path": [LISTENER, rule("/api/*")],
    "a narrower path": [LISTENER, rule("/api/mlflow/api/2.0/*")],
    "any path": [LISTENER, rule(host_header=["registry.test"])],
    "one of two paths": [LISTENER, rule("/health", "/api/mlflow/*")],
    "a default action that no rule stands before": [
        Entry("listener", "L", "edge:443", {"DefaultActions": forward(mlflow=1)})
    ],
    "a small weight": [
        LISTENER,
        Entry(
            "load_balancer_rule",
            "R",
            "r",
            {
                "Conditions": [{"Field": "path-pattern", "Values": ["/api/mlflow/*"]}],
                "Actions": forward(api=99, mlflow=1),
            },
            {"ListenerArn": "L"},
        ),
    ],
    "another group of MLflow's service": [
        LISTENER,
        rule("/api/mlflow/*", to="mlflow2"),
        Entry(
            "ecs_service",
            "S",
            "c/mlflow",
            {"loadBalancers": [{"targetGroupArn": arn("mlflow")}, {"targetGroupArn": arn("mlflow2")}]},
        ),
    ],
}
CLOSED = {
    "a rule to the API": [LISTENER, rule("/api/mlflow/*", to="api")],
    "MLflow's own path": [LISTENER, rule("/mlflow", "/mlflow/*")],
    "a path that only begins so": [LISTENER, rule("/api/mlflows")],
    "no rules": [LISTENER],
    "a weight of nothing": [
        LISTENER,
        Entry(
            "load_balancer_rule",
            "R",
            "r",
            {
                "Conditions": [{"Field": "path-pattern", "Values": ["/api/mlflow/*"]}],
                "Actions": forward(api=1, mlflow=0),
            },
            {"ListenerArn": "L"},
        ),
    ],
    "a default action behind a rule that takes all of it": [
        Entry("listener", "L", "edge:443", {"DefaultActions": forward(mlflow=1)}),
        rule("/api/mlflow", "/api/mlflow/*", to="api"),
    ],
}


@pytest.mark.parametrize("name", OPEN)
def test_it_is_open(name: str) -> None:
    assert len(bypasses(OPEN[name], ["mlflow"])) == 1


@pytest.mark.parametrize("name", CLOSED)
def test_it_is_closed(name: str) -> None:
    assert bypasses(CLOSED[name], ["mlflow"]) == []


def test_the_groups_of_a_service_that_is_named_are_asked_of_aws() -> None:
    registered = {"loadBalancers": [{"targetGroupArn": arn("elsewhere")}]}
    service = Entry("ecs_service", "S", "c/mlflow", registered, {"cluster": "c", "service": "mlflow"})
    world = [LISTENER, rule("/api/mlflow/*", to="elsewhere"), service]
    assert bypasses(world, []) == []
    assert bypasses(world, [], ["auth"]) == []
    assert len(bypasses(world, [], ["mlflow"])) == 1
