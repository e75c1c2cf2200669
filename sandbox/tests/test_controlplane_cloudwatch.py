"""CloudWatch as AWS has it: statistics, metric maths, alarms that are evaluated, and metric filters."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.controlplane import ControlPlane
from sandbox.controlplane.fidelity.cloudwatch import composite
from sandbox.controlplane.fidelity.cloudwatch.evaluation import Condition, judge
from sandbox.controlplane.fidelity.cloudwatch.expressions import ExpressionError, Scope, evaluate
from sandbox.controlplane.fidelity.logs.pattern import PatternError, compiled

Client = Callable[..., Any]

FLAG = {"Namespace": "Test", "MetricName": "Errors"}
SIMPLE = {
    "AlarmName": "errors",
    **FLAG,
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
}


@pytest.fixture
def cloudwatch(client: Client) -> Any:
    return client("cloudwatch")


def put(cloudwatch: Any, *values: float, name: str = "Errors") -> None:
    cloudwatch.put_metric_data(Namespace="Test", MetricData=[{"MetricName": name, "Values": list(values)}])


def query(id_: str, stat: str, name: str = "Errors") -> dict[str, Any]:
    return {"Id": id_, "MetricStat": {"Metric": {**FLAG, "MetricName": name}, "Period": 60, "Stat": stat}}


def data(cloudwatch: Any, *queries: dict[str, Any]) -> dict[str, list[float]]:
    now = datetime.now(UTC)
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=list(queries), StartTime=now - timedelta(minutes=1), EndTime=now + timedelta(minutes=1)
    )
    return {each["Id"]: each["Values"] for each in answer["MetricDataResults"]}


def in_one_minute() -> None:
    """Wait out the last seconds of a minute: what follows lands in one period."""
    if time.time() % 60 > 55:
        time.sleep(60.1 - time.time() % 60)


def test_statistics_and_percentiles_are_computed(cloudwatch: Any) -> None:
    in_one_minute()
    put(cloudwatch, *range(1, 101))
    found = data(cloudwatch, *(query(f"q{number}", stat) for number, stat in enumerate(["Sum", "Average", "p95"])))
    assert [found["q0"], found["q1"]] == [[5050.0], [50.5]]
    assert 94 <= found["q2"][0] <= 96


def test_an_unknown_statistic_is_refused(cloudwatch: Any) -> None:
    put(cloudwatch, 1)
    with pytest.raises(ClientError, match="is not supported"):
        data(cloudwatch, query("q", "Median"))


def test_maths_joins_metrics(cloudwatch: Any) -> None:
    in_one_minute()
    put(cloudwatch, 8, name="Desired")
    put(cloudwatch, 3, name="Running")
    metrics = [query("desired", "Maximum", "Desired"), query("running", "Minimum", "Running")]
    assert data(cloudwatch, *metrics, {"Id": "gap", "Expression": "desired - running"})["gap"] == [5.0]


SERIES = {"a": {0.0: 1.0, 60.0: 2.0}, "b": {60.0: 5.0}, "empty": {}}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a + b * 2", {60.0: 12.0}),
        ("(a + 1) / 2", {0.0: 1.0, 60.0: 1.5}),
        ("a / 0", {}),
        ("FILL(b, 0)", {0.0: 0.0, 60.0: 5.0}),
        ("FILL(empty, 7)", {0.0: 7.0, 60.0: 7.0}),
        ("FILL(b, REPEAT)", {60.0: 5.0}),
        ("MAX([a, b])", {0.0: 1.0, 60.0: 5.0}),
        ("SUM([a, b])", {0.0: 1.0, 60.0: 7.0}),
        ("MAX(a)", 2.0),
        ("IF(a > 1, 10, 20)", {0.0: 20.0, 60.0: 10.0}),
        ("IF(a > 1 AND b >= 5, b, 0)", {60.0: 5.0}),
        ("-a", {0.0: -1.0, 60.0: -2.0}),
    ],
)
def test_an_expression_comes_to(text: str, wanted: Any) -> None:
    assert evaluate(text, Scope(SERIES.__getitem__, (0.0, 60.0))) == wanted


@pytest.mark.parametrize("text", ["a +", "(a", "a b", "a ? b", "MAX(1)"])
def test_an_expression_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text, Scope(SERIES.__getitem__, (0.0, 60.0)))


X, O = 5.0, 0.0  # noqa: E741 - as in the table of the user guide: breaching, and not
TABLE = [
    # points, missing, ignore, breaching, notBreaching (user guide, table of 3 out of 3)
    ((O, None, X, None, X), "OK", "OK", "OK", "OK"),
    ((None, None, None, None, O), "OK", "OK", "OK", "OK"),
    ((None, None, None, None, None), "INSUFFICIENT_DATA", None, "ALARM", "OK"),
    ((O, X, X, None, X), "ALARM", "ALARM", "ALARM", "ALARM"),
    ((None, None, X, None, None), "ALARM", None, "ALARM", "OK"),
]


@pytest.mark.parametrize(("points", "missing", "ignore", "breaching", "not_breaching"), TABLE)
def test_missing_data_is_treated_as_the_user_guide_has_it(
    points: Sequence[float | None], missing: str, ignore: str | None, breaching: str, not_breaching: str
) -> None:
    def state(treatment: str) -> str | None:
        verdict = judge(Condition("GreaterThanThreshold", 1, 3, 3, treatment), list(enumerate(points)))
        return verdict.state if verdict else None

    found = [state(each) for each in ("missing", "ignore", "breaching", "notBreaching")]
    assert found == [missing, ignore, breaching, not_breaching]


def test_two_out_of_three_are_enough_where_the_alarm_says_so() -> None:
    verdict = judge(Condition("GreaterThanThreshold", 1, 3, 2, "missing"), list(enumerate([O, O, X, O, X])))
    assert verdict
    assert (verdict.state, "2 out of the last 3 datapoints" in verdict.reason) == ("ALARM", True)


STATES = {"a": "ALARM", "b b": "OK", "c": "INSUFFICIENT_DATA"}


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ('ALARM("a")', True),
        ('ALARM(a) AND ALARM("b b")', False),
        ('ALARM(a) AND (ALARM("b b") OR INSUFFICIENT_DATA(c))', True),
        ('NOT OK("b b") OR FALSE', False),
        ("TRUE", True),
        ('AT_LEAST(2, ALARM, (a, "b b", c))', False),
        ('AT_LEAST(2, NOT OK, (a, "b b", c))', True),
        ('AT_LEAST(50%, ALARM, (a, "b b")) AND ALARM(a)', True),
        ('AT_LEAST(50%, ALARM, (a, "b b", c))', False),
    ],
)
def test_a_composite_rule_holds(rule: str, wanted: bool) -> None:
    assert composite.holds(rule, STATES.__getitem__) is wanted


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "ALARM(a",
        "ALARM(a) ALARM(c)",
        "a AND c",
        "ALARM(a) OR",
        "ALARM(b b)",
        "AT_LEAST(2, ALARM, a, c)",
        "AT_LEAST(3, ALARM, (a, c))",
        "AT_LEAST(101%, ALARM, (a, c))",
    ],
)
def test_a_composite_rule_that_cannot_be_read_is_refused(rule: str) -> None:
    with pytest.raises(composite.RuleError):
        composite.holds(rule, STATES.__getitem__)


def states(cloudwatch: Any) -> dict[str, str]:
    found = cloudwatch.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    return {each["AlarmName"]: each["StateValue"] for each in (*found["MetricAlarms"], *found["CompositeAlarms"])}


def evaluated(control_plane: ControlPlane) -> None:
    """As after one more minute, which the fixture's pace makes short."""
    time.sleep(0.25)
    with control_plane.lock:
        control_plane.backend("cloudwatch").evaluate_alarms()


@pytest.fixture
def fast(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    """A minute of an alarm takes a tenth of a second."""
    monkeypatch.setattr(type(control_plane.backend("cloudwatch")), "pace", 600.0)
    return control_plane


def test_an_alarm_begins_without_data_and_follows_its_metric(fast: ControlPlane, cloudwatch: Any) -> None:
    cloudwatch.put_metric_alarm(**SIMPLE, TreatMissingData="notBreaching", AlarmActions=["arn:aws:sns:us-east-1:1:x"])
    cloudwatch.put_composite_alarm(AlarmName="platform", AlarmRule='ALARM("errors")')
    assert states(cloudwatch) == {"errors": "INSUFFICIENT_DATA", "platform": "INSUFFICIENT_DATA"}
    evaluated(fast)
    assert states(cloudwatch) == {"errors": "OK", "platform": "OK"}
    put(cloudwatch, 3)
    evaluated(fast)
    assert states(cloudwatch) == {"errors": "ALARM", "platform": "ALARM"}
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"]
    assert "greater than or equal to the threshold (1.0)" in alarm["StateReason"]
    time.sleep(0.3)
    evaluated(fast)
    assert states(cloudwatch) == {"errors": "OK", "platform": "OK"}
    history = cloudwatch.describe_alarm_history(AlarmName="errors", ScanBy="TimestampAscending")["AlarmHistoryItems"]
    assert [(item["HistoryItemType"], item["HistorySummary"]) for item in history] == [
        ("ConfigurationUpdate", 'Alarm "errors" created'),
        ("StateUpdate", "Alarm updated from INSUFFICIENT_DATA to OK"),
        ("StateUpdate", "Alarm updated from OK to ALARM"),
        ("Action", "Successfully executed action arn:aws:sns:us-east-1:1:x"),
        ("StateUpdate", "Alarm updated from ALARM to OK"),
    ]


def test_an_alarm_whose_actions_are_disabled_sets_off_none(fast: ControlPlane, cloudwatch: Any) -> None:
    cloudwatch.put_metric_alarm(**SIMPLE, ActionsEnabled=False, AlarmActions=["arn:aws:sns:us-east-1:1:x"])
    put(cloudwatch, 3)
    evaluated(fast)
    assert states(cloudwatch) == {"errors": "ALARM"}
    assert not cloudwatch.describe_alarm_history(HistoryItemType="Action")["AlarmHistoryItems"]


def test_an_alarm_on_maths_watches_the_query_that_returns_data(fast: ControlPlane, cloudwatch: Any) -> None:
    metrics = [
        {**query("desired", "Maximum", "Desired"), "ReturnData": False},
        {**query("running", "Minimum", "Running"), "ReturnData": False},
        {"Id": "gap", "Expression": "desired - FILL(running, 0)", "ReturnData": True},
    ]
    rest = {key: SIMPLE[key] for key in ("AlarmName", "EvaluationPeriods", "Threshold", "ComparisonOperator")}
    cloudwatch.put_metric_alarm(**rest, Metrics=metrics)
    put(cloudwatch, 1, name="Desired")
    evaluated(fast)
    assert states(cloudwatch) == {"errors": "ALARM"}


def test_an_update_replaces_all_settings_and_keeps_the_state(cloudwatch: Any) -> None:
    cloudwatch.put_metric_alarm(**SIMPLE, AlarmDescription="first", Tags=[{"Key": "a", "Value": "b"}])
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a test")
    cloudwatch.put_metric_alarm(**{**SIMPLE, "Threshold": 2.0})
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"]
    assert ("AlarmDescription" in alarm, alarm["Threshold"], alarm["StateValue"]) == (False, 2.0, "ALARM")
    assert alarm["ActionsEnabled"] is True
    tags = cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
    assert tags == [{"Key": "a", "Value": "b"}]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Period": 7}, "must be 10, 20, 30 or a multiple of 60"),
        ({"Period": 86400, "EvaluationPeriods": 8}, "more than a week"),
        ({"Period": 60, "EvaluationPeriods": 1441}, "more than a day"),
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm"),
        ({"TreatMissingData": "never"}, "treat missing data"),
        ({"Statistic": "Median"}, "statistic"),
        ({"ExtendedStatistic": "p95"}, "exactly one"),
        ({"Metrics": [query("m", "Sum")]}, "not both"),
    ],
)
def test_what_aws_refuses_is_refused(cloudwatch: Any, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=said):
        cloudwatch.put_metric_alarm(**{**SIMPLE, **change})


def test_a_composite_alarm_needs_those_it_asks_about_and_keeps_them(cloudwatch: Any) -> None:
    with pytest.raises(ClientError, match="do not exist: errors"):
        cloudwatch.put_composite_alarm(AlarmName="platform", AlarmRule="ALARM(errors)")
    cloudwatch.put_metric_alarm(**SIMPLE)
    cloudwatch.put_composite_alarm(AlarmName="platform", AlarmRule="ALARM(errors)")
    with pytest.raises(ClientError, match="referenced by the composite alarm platform"):
        cloudwatch.delete_alarms(AlarmNames=["errors"])


def test_only_metric_alarms_are_described_unless_others_are_asked_for(cloudwatch: Any) -> None:
    cloudwatch.put_composite_alarm(AlarmName="always", AlarmRule="TRUE")
    assert cloudwatch.describe_alarms()["CompositeAlarms"] == []
    assert states(cloudwatch) == {"always": "INSUFFICIENT_DATA"}


def test_metrics_are_listed_by_their_dimensions(cloudwatch: Any) -> None:
    dimensions = [{"Name": "Service", "Value": "api"}]
    cloudwatch.put_metric_data(
        Namespace="Test", MetricData=[{"MetricName": "Up", "Value": 1, "Dimensions": dimensions}]
    )
    put(cloudwatch, 1)
    found = cloudwatch.list_metrics(Namespace="Test", Dimensions=[{"Name": "Service"}])["Metrics"]
    assert found == [{"Namespace": "Test", "MetricName": "Up", "Dimensions": dimensions}]


@pytest.mark.parametrize(
    ("pattern", "line", "wanted"),
    [
        ("{ $.status = 401 }", '{"status": 401}', True),
        ("{ $.status = 401 }", '{"status": 200}', False),
        ("{ $.status = 401 }", '{"other": 401}', False),
        ("{ $.status = 401 }", "status 401", False),
        ('{ $.status >= 500 && $.emitter = "upstream*" }', '{"status": 502, "emitter": "upstream_mlflow"}', True),
        ('{ $.status >= 500 && $.emitter = "upstream*" }', '{"status": 502, "emitter": "gateway"}', False),
        ("{ ($.a = 1) || ($.b = 2) }", '{"b": 2}', True),
        ("{ $.a != 1 }", '{"a": 2}', True),
        ("{ $.a.b[1] = x }", '{"a": {"b": ["y", "x"]}}', True),
        ("{ $.a NOT EXISTS }", "{}", True),
        ("{ $.a IS NULL }", '{"a": null}', True),
        ("ERROR -retry", "ERROR at last", True),
        ("ERROR -retry", "ERROR retry", False),
        ("?one ?two", "a two", True),
        ('"not found"', "it was not found", True),
        ("", "anything", True),
    ],
)
def test_a_filter_pattern_matches(pattern: str, line: str, wanted: bool) -> None:
    assert compiled(pattern)(line) is wanted


@pytest.mark.parametrize("pattern", ["{ $.a = 1", "{ a = 1 }", "{ $.a ~ 1 }", "{ ($.a = 1 }"])
def test_a_filter_pattern_that_cannot_be_read_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        compiled(pattern)


def test_a_metric_filter_counts_what_matches(client: Client, cloudwatch: Any) -> None:
    logs = client("logs")
    logs.create_log_group(logGroupName="/ecs/api")
    logs.create_log_stream(logGroupName="/ecs/api", logStreamName="one")
    change = {"metricName": "Errors", "metricNamespace": "Test", "metricValue": "1", "defaultValue": 0.0}
    for _ in range(2):
        logs.put_metric_filter(
            logGroupName="/ecs/api",
            filterName="401",
            filterPattern="{ $.status = 401 }",
            metricTransformations=[change],
        )
    assert len(logs.describe_metric_filters(logGroupName="/ecs/api")["metricFilters"]) == 1
    in_one_minute()
    lines = ['{"status": 401}', '{"status": 200}', '{"status": 401}', "no JSON"]
    events = [{"timestamp": int(time.time() * 1000), "message": line} for line in lines]
    logs.put_log_events(logGroupName="/ecs/api", logStreamName="one", logEvents=events)
    assert data(cloudwatch, query("q", "Sum"))["q"] == [2.0]


def test_a_metric_filter_needs_its_log_group(client: Client) -> None:
    change = {"metricName": "Errors", "metricNamespace": "Test", "metricValue": "1"}
    with pytest.raises(ClientError, match="does not exist"):
        client("logs").put_metric_filter(
            logGroupName="/none", filterName="a", filterPattern="", metricTransformations=[change]
        )


def test_a_retention_that_aws_does_not_know_is_refused(client: Client) -> None:
    client("logs").create_log_group(logGroupName="/ecs/api")
    with pytest.raises(ClientError, match="8 is no valid retention"):
        client("logs").put_retention_policy(logGroupName="/ecs/api", retentionInDays=8)
