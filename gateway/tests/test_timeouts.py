"""Who gives up first, decided before the start."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.config import Config, load
from gateway.errors import ConfigError
from gateway.timeouts import ORDER, VARIABLES, check_order

URLS = {"MLFLOW_SERVER_URL": "http://mlflow.internal:5000", "HOKUSAI_AUTH_SERVICE_URL": "http://auth.internal:8000"}


@pytest.mark.parametrize(("shorter", "longer"), [(shorter, longer) for shorter, longer, _ in ORDER])
def test_a_wrong_order_names_both_variables(shorter: str, longer: str) -> None:
    """Equal is wrong too: both would end at once, and chance would say who is heard."""
    config = Config("http://m", "http://a")
    if longer == "total_timeout":  # by default far beyond the others that are longer, too
        config = dataclasses.replace(config, total_timeout=config.proxy_timeout + 1)
    limit = getattr(config, longer)

    check_order(dataclasses.replace(config, **{shorter: limit - 0.5}))
    with pytest.raises(ConfigError) as stopped:
        check_order(dataclasses.replace(config, **{shorter: limit}))

    assert str(stopped.value).startswith(VARIABLES[shorter])
    assert VARIABLES[longer] in str(stopped.value)


def test_every_timeout_is_read_under_the_name_that_its_error_gives() -> None:
    for field, variable in VARIABLES.items():
        inside = str(getattr(Config, field) - 0.25)
        assert getattr(load(URLS | {variable: inside}), field) == float(inside)


def test_a_timeout_as_long_as_the_load_balancers_stops_the_start_unless_that_is_longer_too() -> None:
    with pytest.raises(ConfigError, match=r"^MLFLOW_PROXY_TIMEOUT \(120 s\).* GATEWAY_ALB_IDLE_TIMEOUT \(60 s\)"):
        load(URLS | {"MLFLOW_PROXY_TIMEOUT": "120"})

    longer = {"MLFLOW_PROXY_TIMEOUT": "120", "GATEWAY_ALB_IDLE_TIMEOUT": "180", "GATEWAY_KEEP_ALIVE": "195"}
    assert load(URLS | longer).proxy_timeout == 120


def test_a_call_may_take_longer_in_all_than_mlflow_may_be_silent() -> None:
    with pytest.raises(ConfigError, match=r"^MLFLOW_PROXY_TIMEOUT \(55 s\).* GATEWAY_TOTAL_TIMEOUT \(40 s\)"):
        load(URLS | {"GATEWAY_TOTAL_TIMEOUT": "40"})
