"""Who repairs what a check found: the role that is named can take the step, and where none can, none is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hokusai.platform.plugins.module_utils.health_checks import (
    CREATE,
    RESTARTED,
    STALE,
    Check,
    Known,
    connectivity,
    decide,
    has_healthy_targets,
    repairing_role,
)
from ansible_collections.hokusai.platform.plugins.module_utils.http_client import Answer
from ansible_collections.hokusai.platform.plugins.module_utils.platform_state import Discovery, EcsService

from tests.unit.test_health_score import FOUND, GROUP, REFUSAL, SERVICE, answer

ROOT = Path(__file__).resolve().parents[2]
CHECKS = {check.id: check for check in connectivity("example.local", ["reg-api"])}
NOTHING = ("", "")
STOPPED = replace(SERVICE, running=0, desired=0)
FAILED = replace(SERVICE, running=0, rollout="FAILED")
DYING = replace(SERVICE, running=0)
NO_TARGETS = answer(503, server="awselb/2.0")


def hop(name: str, status: int = 503) -> Answer:
    return answer(status, json.dumps({"error_code": "X", "message": "x", "request_id": "r", "hop": name, "tries": 1}))


def able(module: str, option: str) -> list[str]:
    """The roles a task of which gives this option to this module."""
    roles = []
    for path in sorted((ROOT / "roles").glob("*/tasks/main.yml")):
        given = [task.get(f"hokusai.platform.{module}", {}) for task in yaml.safe_load(path.read_text())]
        roles += [path.parts[-3]] * any(option in options for options in given)
    return roles


# the check, what it found, what else is known, and the option of the module that repairs it; with none, the remedy
TABLE: dict[str, tuple[str, Any, Known, tuple[str, str], str]] = {
    "a service that is told to run nothing": ("ecs_api", STOPPED, Known(), ("ecs_service", "minimum_count"), ""),
    "a deployment that failed": ("ecs_api", FAILED, Known(), ("ecs_service", "containers"), ""),
    "a task that died": ("ecs_api", DYING, Known(), NOTHING, RESTARTED),
    "no such service": ("ecs_api", None, Known(), NOTHING, CREATE),
    "no such service, so no name": ("discovery_api", None, Known(), NOTHING, CREATE),
    "a task that lost its instance": (
        "discovery_api",
        replace(FOUND, registered=frozenset()),
        Known(),
        ("ecs_service", "replace_unregistered"),
        "",
    ),
    "a name that is not registered": (
        "discovery_api",
        replace(FOUND, names=()),
        Known(),
        ("ecs_service", "service_registries"),
        "",
    ),
    "an instance without a task": (
        "discovery_api",
        replace(FOUND, registered=FOUND.tasks | {"10.0.9.9"}),
        Known(),
        NOTHING,
        STALE,
    ),
    "no task to register": (
        "discovery_api",
        Discovery(FOUND.names, frozenset(), frozenset()),
        Known({"api": DYING}),
        NOTHING,
        RESTARTED,
    ),
    "a group of no load balancer": (
        "targets_reg-api",
        replace(GROUP, attached=False),
        Known(),
        ("alb_rules", "rules"),
        "",
    ),
    "a group that lost the service": (
        "targets_reg-api",
        replace(GROUP, targets=()),
        Known(),
        ("ecs_service", "load_balancers"),
        "",
    ),
    "the auth service behind its load balancer": (
        "auth_health",
        NO_TARGETS,
        Known({"auth": STOPPED}),
        ("ecs_service", "minimum_count"),
        "",
    ),
    "the api behind its load balancer": (
        "registry_health",
        NO_TARGETS,
        Known({"api": FAILED}),
        ("ecs_service", "containers"),
        "",
    ),
    "the auth service behind the api": (
        "search",
        hop("auth"),
        Known({"auth": STOPPED}),
        ("ecs_service", "minimum_count"),
        "",
    ),
    "an auth service that was never made": ("search", hop("auth"), Known({"auth": None}), NOTHING, CREATE),
    "a wrong URL of an auth service that runs": (
        "search",
        hop("auth"),
        Known(),
        ("ecs_service", "containers"),
        "",
    ),
    "an auth service that lost its instance": (
        "search",
        hop("auth"),
        Known(unlisted=frozenset({"auth"})),
        ("ecs_service", "replace_unregistered"),
        "",
    ),
    "a load balancer that needs no name": (
        "registry_health",
        answer(504, server="awselb/2.0"),
        Known(unlisted=frozenset({"api"})),
        ("security_group_rules", "rules"),
        "",
    ),
    "mlflow behind the api": (
        "proxy_health",
        hop("mlflow", 502),
        Known({"mlflow": STOPPED}),
        ("ecs_service", "minimum_count"),
        "",
    ),
    "packets that are dropped": ("proxy_health", hop("mlflow", 504), Known(), ("security_group_rules", "rules"), ""),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_role_that_is_named_is_the_one_that_can_take_the_step(case: str) -> None:
    check, fact, known, step, remedy = TABLE[case]
    line = decide(CHECKS[check], fact, known)
    assert not line["passed"]
    assert ([line["role"]] if line["role"] else []) == able(*step)
    assert line["remedy"] == remedy


def test_what_passed_needs_neither_a_role_nor_a_remedy() -> None:
    line = decide(CHECKS["ecs_api"], EcsService("api", 1, 1, "COMPLETED"), Known({"api": STOPPED}))
    assert (line["passed"], line["role"], line["remedy"]) == (True, "", "")


@pytest.mark.parametrize(
    ("given", "role"),
    [
        (answer(None, error="resolve"), "alb_routing"),
        (answer(404, server="awselb/2.0"), "alb_routing"),
        (answer(503, server="awselb/2.0"), "service_discovery"),
        (answer(503, REFUSAL), "auth_config"),
        (answer(504, server="awselb/2.0"), "security_groups"),
        (answer(404, "<html>"), "alb_routing"),
        (answer(401, REFUSAL), "auth_config"),
        (answer(403, "Invalid Host header"), "auth_config"),
        (answer(502, REFUSAL), "service_discovery"),
        (answer(504, REFUSAL), "security_groups"),
    ],
)
def test_an_answer_points_at_the_role_that_repairs_the_hop_it_came_from(given: Answer, role: str) -> None:
    assert repairing_role(given) == role


@pytest.mark.parametrize(
    ("reason", "role"),
    [
        ("MLflow at mlflow.example.local:5000: cannot resolve or reach the host name.", "service_discovery"),
        ("MLflow at x: no connection within 3 s: packets are dropped (security group, ...).", "security_groups"),
        ("no answer within 5 s", "security_groups"),
        ("MLflow refuses the Host header 'x' (403): put exactly that into ...", "auth_config"),
        ("MLflow answered 500 to experiments/search", ""),
    ],
)
def test_the_apis_reason_why_it_does_not_reach_mlflow_says_which_role_repairs_it(reason: str, role: str) -> None:
    check = next(check for check in connectivity("example.local", []) if check.id == "api_to_mlflow")
    line = decide(check, answer(503, json.dumps({"reason": reason})))
    assert (line["passed"], line["observed"], line["role"]) == (False, f"503: {reason}", role)


def test_a_group_without_a_target_is_for_the_role_that_registers_the_service_in_it() -> None:
    check = Check("id", "name", "expected", ("group",), has_healthy_targets)
    assert decide(check, replace(GROUP, targets=()))["role"] == "service_discovery"
