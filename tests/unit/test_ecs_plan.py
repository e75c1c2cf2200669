"""What ecs_service plans, purely from what is there and what is asked for."""

from __future__ import annotations

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_service import Registry
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Later, holds
from ansible_collections.hokusai.platform.plugins.modules import ecs_service as module

from tests.unit.ecs_model import (
    CONTAINER,
    NAME,
    TABLE,
    Options,
    balancer,
    container,
    network,
    params,
    registry,
    seen,
)


@pytest.mark.parametrize("case", TABLE)
def test_the_plan_is(case: str) -> None:
    wanted, expected = TABLE[case]
    assert [step.verb for step in module.plan(seen(), module.desire(wanted))] == expected


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (container(environment={"SESSION_SECRET": "x"}), "both an environment variable and a secret"),
        (container(environment={"A": "1"}, remove_environment=["A"]), "both given and in remove_environment"),
        (container(secrets={"A": "/a"}, remove_secrets=["A"]), "both given and in remove_secrets"),
        (container(environment={"A": ["1"]}), "environment A is list, not a string"),
        (container(environment={"A": None}), "environment A is NoneType, not a string"),
        (params(containers=container()["containers"] * 2), "listed twice"),
        (params(service_registries=[registry(), registry("mlflow")]), "one service registry per service"),
        (params(network=network(subnets=[])), "subnets is empty"),
        (params(load_balancers=[{**balancer("reg-api"), "container_name": "nobody"}]), "no container nobody"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read_or_written(wanted: Options, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        list(module.plan(seen(), module.desire(wanted)))


def test_yaml_numbers_and_booleans_become_the_strings_ecs_wants() -> None:
    wish = module.desire(container(environment={"A": True, "B": 8001, "C": "x"}))
    assert wish.changes[CONTAINER].environment == {"A": "true", "B": "8001", "C": "x"}


def test_the_second_step_waits_for_the_id_the_first_one_brings() -> None:
    register, update = module.plan(seen(), module.desire(container(image="x")))
    assert not list(holds(register.args, Later))
    assert [each.what for each in holds(update.args, Later)] == [f"the new revision of {NAME}"]


def test_a_no_longer_wanted_registry_is_taken_away() -> None:
    current = seen(registries=frozenset({Registry("arn:aws:servicediscovery:x")}))
    (step,) = module.plan(current, module.desire(params(service_registries=[])))
    assert step.args["serviceRegistries"] == []


@pytest.mark.parametrize(("running", "expected"), [(0, 2), (1, 2), (2, None), (5, None)])
def test_a_minimum_count_raises_the_desired_count_and_never_scales_in(running: int, expected: int | None) -> None:
    wanted = module.desire(params(minimum_count=2))
    steps = list(module.plan(seen(desired_count=running), wanted))
    assert [step.args["desiredCount"] for step in steps] == ([] if expected is None else [expected])
