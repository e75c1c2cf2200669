"""Each alarm of the inventory sounds when one of its metrics alone is wrong for as long as it asks, and not before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.hokusai.platform.plugins.module_utils.alarm import Alarm, wanted
from ansible_collections.hokusai.platform.plugins.module_utils.metric import Metric, from_options, used
from ansible_collections.hokusai.platform.plugins.modules.cloudwatch_alarms import SPEC

from sandbox.controlplane.fidelity.cloudwatch.evaluation import ALARM, EXTRA_PERIODS, OK, Condition, Verdict, judge
from sandbox.controlplane.fidelity.cloudwatch.expressions import Scope, evaluate
from tests.harness import ROOT

INVENTORY = ROOT / "inventories" / "development" / "group_vars" / "hokusai_platforms"
SILENCE = None
GOOD: dict[str, float | None] = {
    "HTTPCode_ELB_5XX_Count": SILENCE,
    "HTTPCode_Target_5XX_Count": SILENCE,
    "HealthyHostCount": 1,
    "UnHealthyHostCount": 0,
    "DesiredTaskCount": 1,
    "RunningTaskCount": 1,
    "TargetResponseTime": 0.2,
    "CheckPassed": 1,
    "AuthenticationFailures": SILENCE,
    "DaysToExpiry": 200,
}
BAD: dict[str, list[float | None]] = {
    "HTTPCode_ELB_5XX_Count": [5],
    "HTTPCode_Target_5XX_Count": [5],
    "HealthyHostCount": [0, SILENCE],
    "UnHealthyHostCount": [1],
    "DesiredTaskCount": [2],
    "RunningTaskCount": [0, SILENCE],
    "TargetResponseTime": [5],
    "CheckPassed": [0],
    "AuthenticationFailures": [50],
    "DaysToExpiry": [29, SILENCE],
}


def options() -> dict[str, Any]:
    """As `cloudwatch_alarms` gets them, with its defaults."""
    given = yaml.safe_load((INVENTORY / "monitoring.yml").read_text())
    asked = {"metrics": given["hokusai_metrics"], "alarms": given["hokusai_alarms"]}
    checked = ArgumentSpecValidator(SPEC).validate(asked)
    assert not checked.error_messages
    found: dict[str, Any] = checked.validated_parameters
    return found


OPTIONS = options()
METRICS = from_options(OPTIONS["metrics"])
COMMON = {"owner": "o", "tags": {}, "alarm_actions": [], "ok_actions": [], "insufficient_data_actions": []}
ALARMS = {each.name: each for each in wanted(OPTIONS["alarms"], METRICS, COMMON) if not each.settings.get("AlarmRule")}
GIVEN = {each["name"]: each for each in OPTIONS["alarms"]}


def watched(name: str) -> Sequence[Metric]:
    given = GIVEN[name]
    return used(given["expression"], METRICS) if given["expression"] else [METRICS[given["metric"]]]


CASES = [(name, each.id, bad) for name in ALARMS for each in watched(name) for bad in BAD[each.name]]


def verdict(alarm: Alarm, values: Mapping[str, Sequence[float | None]]) -> Verdict | None:
    times = [float(time) for time in range(len(next(iter(values.values()))))]
    series = {
        name: {time: value for time, value in zip(times, each, strict=True) if value is not None}
        for name, each in values.items()
    }
    expression = GIVEN[alarm.name]["expression"] or GIVEN[alarm.name]["metric"]
    points = evaluate(expression, Scope(series.__getitem__, times))
    return judge(Condition.of(alarm.settings), [(time, points.get(time)) for time in times])


def values(name: str, bad_id: str = "", bad: float | None = SILENCE, periods: int = 0) -> dict[str, list[float | None]]:
    """All good, but for the last `periods` of one metric; what is silent is so from the beginning."""
    length = ALARMS[name].settings["EvaluationPeriods"] + EXTRA_PERIODS
    found: dict[str, list[float | None]] = {each.id: [GOOD[each.name]] * length for each in watched(name)}
    if bad_id:
        many = length if bad is SILENCE else periods
        found[bad_id] = found[bad_id][: length - many] + [bad] * many
    return found


def test_all_but_the_composite_one_are_tried() -> None:
    assert len({name for name, _, _ in CASES}) == len(ALARMS) == len(OPTIONS["alarms"]) - 1


@pytest.mark.parametrize("name", ALARMS)
def test_it_is_quiet_while_all_is_well(name: str) -> None:
    judged = verdict(ALARMS[name], values(name))
    assert judged
    assert judged.state == OK


@pytest.mark.parametrize(("name", "bad_id", "bad"), CASES)
def test_it_sounds_when_one_of_its_metrics_is_wrong(name: str, bad_id: str, bad: float | None) -> None:
    periods = ALARMS[name].settings["EvaluationPeriods"]
    judged = verdict(ALARMS[name], values(name, bad_id, bad, periods))
    assert judged
    assert judged.state == ALARM


@pytest.mark.parametrize(("name", "bad_id", "bad"), [case for case in CASES if case[2] is not SILENCE])
def test_it_does_not_sound_a_period_too_early(name: str, bad_id: str, bad: float) -> None:
    periods = ALARMS[name].settings["EvaluationPeriods"]
    judged = verdict(ALARMS[name], values(name, bad_id, bad, periods - 1))
    assert judged
    assert judged.state == OK


def test_the_alarms_that_gate_a_canary_are_among_them() -> None:
    canary = yaml.safe_load((INVENTORY / "canary.yml").read_text())
    assert set(canary["hokusai_canary_gates"]["alarms"]) <= ALARMS.keys()


ALL_SILENT = {
    **dict.fromkeys(("api-no-healthy-host", "mlflow-no-healthy-host", "auth-no-healthy-host"), ALARM),
    "certificate-expiry": ALARM,
    "discovery-unhealthy": None,
}
"""What each alarm is when none of its metrics has data. Where Container Insights is off, no task count ever has: that
is no failure. What a validation found holds until the next one. All others are quiet."""


@pytest.mark.parametrize("name", ALARMS)
def test_when_all_its_metrics_are_silent_it_sounds_only_where_that_is_the_failure(name: str) -> None:
    length = ALARMS[name].settings["EvaluationPeriods"] + EXTRA_PERIODS
    judged = verdict(ALARMS[name], {each.id: [SILENCE] * length for each in watched(name)})
    wanted = ALL_SILENT.get(name.removeprefix("hokusai-development-"), OK)
    assert (judged.state if judged else None) == wanted
