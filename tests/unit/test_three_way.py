"""What somebody adds inside a value that the run wrote is theirs; what AWS filled in by the run's end is the run's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import journal_writes, three_way
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_field import holds
from ansible_collections.hokusai.platform.plugins.module_utils.three_way import Judgement

WHERE = {"cluster": "main", "service": "api"}
CONFIGURATION: dict[str, Any] = {"maximumPercent": 200, "deploymentCircuitBreaker": {"enable": True, "rollback": True}}
FILLED_IN = {**CONFIGURATION, "strategy": "ROLLING", "bakeTimeInMinutes": 0}
BREAKER = {"resetOnHealthyTask": True, "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50}}
FILLED_IN_MORE = {
    **FILLED_IN,
    "deploymentCircuitBreaker": {**CONFIGURATION["deploymentCircuitBreaker"], **BREAKER},
    "alarms": {"alarmNames": [], "enable": False, "rollback": False},
    "lifecycleHooks": [],
}
"""What a service of today has beside what it was asked for."""
ALARMED = {"alarms": {"alarmNames": ["theirs"], "enable": True, "rollback": True}}
QUERIES = [
    {"Id": "m1", "MetricStat": {"Metric": {"Namespace": "A", "MetricName": "B"}, "Period": 60, "Stat": "Sum"}},
    {"Id": "watched", "Expression": "m1*2", "ReturnData": True},
]
MORE = {
    "another query": [*QUERIES, {"Id": "m9", "Expression": "m1/2", "ReturnData": False}],
    "a label": [QUERIES[0], {**QUERIES[1], "Label": "theirs"}],
}


def document(*entries: Entry) -> dict[str, Any]:
    return {"scope": {}, "resources": [entry.as_data() for entry in entries]}


def wrote(service: str, verb: str, /, **arguments: Any) -> journal_writes.Journal:
    intent = {"kind": "intent", "seq": 1, "service": service, "verb": verb, "args": arguments, "why": ""}
    return journal_writes.read([intent, {"kind": "outcome", "of": 1, "seq": 2, "result": "done", "response": {}}])


def service(configuration: dict[str, Any]) -> Entry:
    return Entry("ecs_service", "arn:api", "api", {"deploymentConfiguration": configuration}, WHERE)


def configured(now: dict[str, Any], ended: dict[str, Any] | None) -> Judgement:
    journal = wrote("ecs", "update_service", **WHERE, deploymentConfiguration=CONFIGURATION)
    after = None if ended is None else document(service(ended))
    return three_way.judge(document(service({"maximumPercent": 100})), journal, document(service(now)), after)


def alarm(queries: list[dict[str, Any]]) -> Entry:
    return Entry("alarm", "errors", "errors", {"Metrics": queries, "Threshold": 1.0}, {"Arn": "arn:errors"})


def alarmed(before: list[Entry], now: list[dict[str, Any]], after: dict[str, Any] | None) -> Judgement:
    journal = wrote("cloudwatch", "put_metric_alarm", AlarmName="errors", Metrics=QUERIES, Threshold=1.0)
    return three_way.judge(document(*before), journal, document(alarm(now)), after)


@pytest.mark.parametrize("ended", [FILLED_IN, CONFIGURATION, None])
def test_a_part_that_somebody_added_since_keeps_the_value(ended: dict[str, Any] | None) -> None:
    judgement = configured({**(ended or FILLED_IN), **ALARMED}, ended)
    assert judgement.undos == ()
    assert [(each.field, each.reason) for each in judgement.kept] == [
        ("deploymentConfiguration", "changed since the run wrote it")
    ]


@pytest.mark.parametrize("now", [FILLED_IN, FILLED_IN_MORE], ids=["little", "more"])
@pytest.mark.parametrize("has_ended", [True, False])
def test_what_aws_filled_in_goes_back_with_the_rest(now: dict[str, Any], has_ended: bool) -> None:
    judgement = configured(now, now if has_ended else None)
    assert [(undo.act, [*undo.fields]) for undo in judgement.undos] == [("change", ["deploymentConfiguration"])]
    assert judgement.kept == ()


def test_a_read_that_did_not_show_the_write_yet_at_the_end_is_no_obstacle() -> None:
    judgement = configured(FILLED_IN, {"maximumPercent": 100})
    assert [(undo.act, [*undo.fields]) for undo in judgement.undos] == [("change", ["deploymentConfiguration"])]
    assert judgement.kept == ()


def test_what_there_was_at_the_end_is_the_run_s_whatever_aws_filled_in() -> None:
    odd = {**FILLED_IN, "newInAws": 1}
    assert configured(odd, odd).kept == ()
    assert [each.field for each in configured(odd, None).kept] == ["deploymentConfiguration"]


def test_a_part_that_somebody_adds_while_it_is_taken_back_keeps_the_value() -> None:
    (undo,) = configured(FILLED_IN, FILLED_IN).undos
    assert undo.due(service(FILLED_IN)) == {"deploymentConfiguration": {"maximumPercent": 100}}
    assert undo.due(service({**FILLED_IN, "bakeTimeInMinutes": 5})) == {}


@pytest.mark.parametrize("what", MORE)
@pytest.mark.parametrize("ended", [document(alarm(QUERIES)), None], ids=["ended", "cut off"])
def test_an_alarm_to_which_somebody_added_something_is_kept(what: str, ended: dict[str, Any] | None) -> None:
    was = alarm([{"Id": "watched", "Expression": "1", "ReturnData": True}])
    for before, reason in (([was], "changed since"), ([], "created by the run, and changed since")):
        judgement = alarmed(before, MORE[what], ended)
        assert [undo.due(alarm(MORE[what])) for undo in judgement.undos if undo.act == "change"] == [{}] * len(before)
        assert "remove" not in {undo.act for undo in judgement.undos}
        assert [each.field for each in judgement.kept] == ["Metrics"]
        assert reason in judgement.kept[0].reason
        assert [undo.act for undo in alarmed(before, QUERIES, ended).undos] == ["change" if before else "remove"]


def test_a_written_structure_is_not_held_where_a_part_of_it_differs() -> None:
    def is_held(now: dict[str, Any]) -> bool:
        return holds("ecs_service", "deploymentConfiguration", now, CONFIGURATION)

    assert is_held(FILLED_IN)
    assert not is_held({**FILLED_IN, "maximumPercent": 175})
    assert not is_held({**FILLED_IN, "deploymentCircuitBreaker": {"enable": True}})


DEFAULTS = {
    "EvaluateLowSampleCountPercentile": "evaluate",
    "EvaluationWindow": {"SlidingWindow": {}},
    "ActionConfiguration": {"AlarmTagsPropagation": {"Enabled": False}},
}


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("setting", DEFAULTS)
def test_an_alarm_of_which_aws_names_a_default_goes_back(setting: str, ended: bool) -> None:
    """The put leaves it out."""
    made = alarm(QUERIES)
    named = replace(made, fields={**made.fields, setting: DEFAULTS[setting]})
    journal = wrote("cloudwatch", "put_metric_alarm", AlarmName="errors", Metrics=QUERIES, Threshold=1.0)
    judgement = three_way.judge(document(), journal, document(named), document(named) if ended else None)
    assert [undo.act for undo in judgement.undos] == ["remove"]
    assert judgement.kept == ()


USERS = {
    "as what mutes it": Entry("alarm", "top", "top", {"AlarmRule": "ALARM(x)", "ActionsSuppressor": "errors"}),
    "as what mutes it, by its ARN": Entry(
        *("alarm", "top", "top"),
        {"AlarmRule": "ALARM(x)", "ActionsSuppressor": "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:errors"},
    ),
    "in a rule": Entry("alarm", "top", "top", {"AlarmRule": "ALARM(errors)"}),
    "by a deployment": service({"alarms": {"alarmNames": ["errors"], "enable": True, "rollback": True}}),
}


@pytest.mark.parametrize("user", USERS)
def test_an_alarm_that_something_uses_since_is_not_removed(user: str) -> None:
    made, its = alarm(QUERIES), USERS[user]
    journal = wrote("cloudwatch", "put_metric_alarm", AlarmName="errors", Metrics=QUERIES, Threshold=1.0)
    judgement = three_way.judge(document(), journal, document(made, its), document(made))
    assert judgement.undos == ()
    assert f"in use by the {its.kind.replace('_', ' ')} {its.name}" in str(judgement.kept)
