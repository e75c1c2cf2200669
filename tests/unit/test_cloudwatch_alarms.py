"""cloudwatch_alarms against the sandbox's AWS: what it writes, what it leaves, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.hokusai.platform.plugins.module_utils import alarm_observation
from ansible_collections.hokusai.platform.plugins.module_utils.alarm import different, wanted
from ansible_collections.hokusai.platform.plugins.module_utils.cloudwatch import alarm_states
from ansible_collections.hokusai.platform.plugins.module_utils.metric import from_options
from ansible_collections.hokusai.platform.plugins.modules.cloudwatch_alarms import SPEC, main

from sandbox.controlplane import ControlPlane
from tests.unit.alb_edge import BALANCER, Edge
from tests.unit.conftest import RunModule

TOPIC = "arn:aws:sns:us-east-1:123456789012:platform"
ECS = "arn:aws:ecs:us-east-1:123456789012"
OWNER = "hokusai.platform/test"
GROUP = "one"
LOW_SAMPLES = "EvaluateLowSampleCountPercentile"
METRICS: list[dict[str, Any]] = [
    {"id": "elb_5xx", "name": "HTTPCode_ELB_5XX_Count", "load_balancer": BALANCER},
    {"id": "healthy", "name": "HealthyHostCount", "statistic": "Minimum", "target_group": GROUP},
    {"id": "unhealthy", "name": "UnHealthyHostCount", "statistic": "Maximum", "target_group": GROUP},
    {"id": "slow", "name": "TargetResponseTime", "statistic": "p95", "load_balancer": BALANCER},
]
ALARMS: list[dict[str, Any]] = [
    {"name": "elb-5xx", "description": "of its own", "metric": "elb_5xx", "threshold": 5},
    {"name": "no-host", "metric": "healthy", "comparison": "<", "threshold": 1, "evaluation_periods": 2},
    {"name": "slow", "metric": "slow", "threshold": 2, "evaluation_periods": 3, "datapoints_to_alarm": 2},
    {"name": "sick", "expression": "unhealthy / (healthy + unhealthy)", "label": "share", "threshold": 0.5},
    {"name": "platform", "rule": 'ALARM("elb-5xx")\n  OR ALARM("no-host")'},
]
Set = Callable[..., dict[str, Any]]


@pytest.fixture
def cloudwatch(edge: Edge) -> Any:
    """With a load balancer that forwards to the target group."""
    action = {"Type": "forward", "TargetGroupArn": edge.groups[GROUP]}
    edge.aws.elbv2.modify_listener(ListenerArn=edge.listener, DefaultActions=[action])
    client = edge.aws.client("cloudwatch")
    edge.aws.calls.clear()
    return client


@pytest.fixture
def set_alarms(run_module: RunModule, cloudwatch: Any) -> Set:
    def run(alarms: list[dict[str, Any]] = ALARMS, **options: Any) -> dict[str, Any]:
        common = {"metrics": METRICS, "owner": OWNER, "alarm_actions": [TOPIC]}
        return run_module(main, **{**common, "alarms": alarms, **options})

    return run


def alarm(cloudwatch: Any, name: str) -> dict[str, Any]:
    found = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    (described,) = (*found["MetricAlarms"], *found["CompositeAlarms"])
    return dict(described)


def verbs(result: dict[str, Any]) -> list[tuple[str, str]]:
    assert not result.get("failed"), result
    return [(step["verb"], step["why"]) for step in result["steps"]]


def test_the_first_run_creates_them_and_the_second_writes_nothing(set_alarms: Set) -> None:
    assert len(verbs(set_alarms())) == len(ALARMS)
    again = set_alarms()
    assert (again["changed"], again["steps"]) == (False, [])


def test_check_mode_predicts_the_steps_and_writes_nothing(set_alarms: Set, edge: Edge) -> None:
    predicted = verbs(set_alarms(_check=True))
    assert not alarm_states(edge.aws, [each["name"] for each in ALARMS])
    assert verbs(set_alarms()) == predicted


def test_dimensions_are_the_ends_of_the_arns(set_alarms: Set, cloudwatch: Any, edge: Edge) -> None:
    set_alarms()
    balancer = edge.balancer.partition("loadbalancer/")[2]
    group = edge.groups[GROUP].rpartition(":")[2]
    own = alarm(cloudwatch, "elb-5xx")["Dimensions"]
    assert own == [{"Name": "LoadBalancer", "Value": balancer}]
    both = {each["Name"]: each["Value"] for each in alarm(cloudwatch, "no-host")["Dimensions"]}
    assert both == {"LoadBalancer": balancer, "TargetGroup": group}


def test_missing_data_is_treated_by_the_kind_of_the_metric(set_alarms: Set, cloudwatch: Any) -> None:
    given = {"name": "kept", "metric": "elb_5xx", "threshold": 1, "treat_missing_data": "ignore"}
    set_alarms([*ALARMS, given])
    found = {name: alarm(cloudwatch, name)["TreatMissingData"] for name in ("elb-5xx", "no-host", "sick", "kept")}
    assert found == {"elb-5xx": "notBreaching", "no-host": "breaching", "sick": "breaching", "kept": "ignore"}


@pytest.mark.parametrize(
    ("metric", "treatment"),
    [
        ({"name": "RunningTaskCount", "cluster": "c", "service": "s"}, "breaching"),
        ({"name": "DaysToExpiry", "certificate": "registry.test"}, "breaching"),
        ({"name": "HealthScore", "namespace": "Hokusai", "dimensions": {"Environment": "test"}}, "ignore"),
        ({"name": "CheckPassed", "namespace": "Hokusai", "dimensions": {"Check": "a"}}, "ignore"),
        (
            {"name": "AuthenticationFailures", "namespace": "Hokusai", "dimensions": {"Environment": "test"}},
            "notBreaching",
        ),
    ],
)
def test_silence_is_a_failure_of_what_always_reports_and_nothing_of_a_verdict(
    metric: dict[str, Any], treatment: str
) -> None:
    asked = {"metrics": [{"id": "watched", **metric}], "alarms": [{"name": "a", "metric": "watched", "threshold": 1}]}
    given = ArgumentSpecValidator(SPEC).validate(asked).validated_parameters
    common = {"owner": OWNER, "tags": {}, "alarm_actions": [], "ok_actions": [], "insufficient_data_actions": []}
    (found,) = wanted(given["alarms"], from_options(given["metrics"]), common)
    assert found.settings["TreatMissingData"] == treatment


def test_maths_watches_the_expression_alone(set_alarms: Set, cloudwatch: Any) -> None:
    set_alarms()
    queries = {each["Id"]: each for each in alarm(cloudwatch, "sick")["Metrics"]}
    assert {name: query["ReturnData"] for name, query in queries.items()} == {
        "healthy": False,
        "unhealthy": False,
        "watched": True,
    }
    assert (queries["watched"]["Expression"], queries["watched"]["Label"]) == (ALARMS[3]["expression"], "share")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("elb-5xx", {"Threshold": 50.0}, "Threshold"),
        ("elb-5xx", {"ActionsEnabled": False}, "ActionsEnabled"),
        ("elb-5xx", {"AlarmActions": []}, "AlarmActions"),
        ("elb-5xx", {"AlarmDescription": "other"}, "AlarmDescription"),
        ("no-host", {"TreatMissingData": "notBreaching"}, "TreatMissingData"),
        ("no-host", {"Dimensions": [{"Name": "LoadBalancer", "Value": "app/edge/1"}]}, "Dimensions"),
        ("slow", {"ExtendedStatistic": "p50"}, "ExtendedStatistic"),
        ("platform", {"AlarmRule": 'ALARM("elb-5xx")'}, "AlarmRule"),
    ],
)
def test_one_field_changed_behind_its_back_is_one_write(
    set_alarms: Set, cloudwatch: Any, name: str, change: dict[str, Any], said: str
) -> None:
    set_alarms()
    put = cloudwatch.put_composite_alarm if name == "platform" else cloudwatch.put_metric_alarm
    kept = {key: value for key, value in alarm(cloudwatch, name).items() if key in SETTINGS}
    put(**{**kept, **change})
    verb = "put_composite_alarm" if name == "platform" else "put_metric_alarm"
    assert verbs(set_alarms()) == [(verb, f"alarm {name}: set {said}")]
    assert set_alarms()["steps"] == []


def inner(found: Any) -> Any:
    return found["healthy"]["MetricStat"]


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["watched"].update(Expression="healthy / (healthy + unhealthy)"),
        lambda found: found["watched"].update(Label="other"),
        lambda found: found["watched"].pop("Label"),
        lambda found: (found["watched"].update(ReturnData=False), found["healthy"].update(ReturnData=True)),
        lambda found: inner(found).update(Stat="Maximum"),
        lambda found: inner(found).update(Period=300),
        lambda found: inner(found)["Metric"].update(MetricName="UnHealthyHostCount"),
        lambda found: inner(found)["Metric"]["Dimensions"][0].update(Value="app/edge/1"),
        lambda found: inner(found)["Metric"]["Dimensions"].pop(),
        lambda found: found.update(more={**found["healthy"], "Id": "more"}),
    ],
)
def test_maths_changed_behind_its_back_is_one_write(
    set_alarms: Set, cloudwatch: Any, change: Callable[[Any], Any]
) -> None:
    set_alarms()
    live = alarm(cloudwatch, "sick")
    queries = {each["Id"]: each for each in live["Metrics"]}
    change(queries)
    kept = {key: value for key, value in live.items() if key in SETTINGS}
    cloudwatch.put_metric_alarm(**{**kept, "Metrics": list(queries.values())})
    assert verbs(set_alarms()) == [("put_metric_alarm", "alarm sick: set Metrics")]
    assert set_alarms()["steps"] == []


@pytest.mark.parametrize(("live", "changed"), [("", []), ("evaluate", []), ("ignore", [LOW_SAMPLES])])
def test_a_percentile_of_few_samples_is_evaluated_unless_said_otherwise(live: str, changed: list[str]) -> None:
    wanted = {"ExtendedStatistic": "p95", "Period": 60}
    assert different({**wanted, LOW_SAMPLES: live}, wanted) == changed


SETTINGS = {
    *("AlarmName", "AlarmDescription", "ActionsEnabled", "AlarmActions", "Namespace", "MetricName", "Statistic"),
    *("ExtendedStatistic", "Dimensions", "Period", "EvaluationPeriods", "DatapointsToAlarm", "Threshold"),
    *("ComparisonOperator", "TreatMissingData", "AlarmRule", "Metrics"),
}


def foreign(cloudwatch: Any, name: str) -> None:
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Theirs",
        MetricName="Theirs",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )


def test_ours_that_are_not_wanted_go_and_foreign_ones_stay(set_alarms: Set, cloudwatch: Any, edge: Edge) -> None:
    set_alarms()
    foreign(cloudwatch, "theirs")
    taken = verbs(set_alarms(ALARMS[:1]))
    assert taken == [
        ("delete_alarms", "alarm platform: not wanted any more"),
        ("delete_alarms", "alarms no-host, sick, slow: not wanted any more"),
    ]
    assert alarm_states(edge.aws, ["theirs", "elb-5xx", "slow"]).keys() == {"theirs", "elb-5xx"}


def test_alarms_on_alarms_come_and_go_in_the_order_that_aws_takes(set_alarms: Set) -> None:
    joined = [{"name": "a-top", "rule": "ALARM(m-middle)"}, {"name": "m-middle", "rule": "ALARM(elb-5xx)"}]
    made = verbs(set_alarms([*joined, ALARMS[0]]))
    assert [why for _verb, why in made] == [f"alarm {name}: create" for name in ("elb-5xx", "m-middle", "a-top")]
    assert [why for _verb, why in verbs(set_alarms([]))] == [
        "alarm a-top: not wanted any more",
        "alarm m-middle: not wanted any more",
        "alarms elb-5xx: not wanted any more",
    ]


@pytest.mark.parametrize("rule", ["ALARM(no-host)", "AT_LEAST(1, ALARM, (elb-5xx, no-host))"])
def test_a_rule_about_an_alarm_that_would_be_deleted_is_refused(
    set_alarms: Set, control_plane: ControlPlane, rule: str
) -> None:
    set_alarms()
    control_plane.calls.reset()
    left = [ALARMS[0], {"name": "platform", "rule": rule}]
    for check in (True, False):
        result = set_alarms(left, _check=check)
        assert (result.get("error"), control_plane.calls.writes) == ("BadInput", 0)
        assert "platform asks about no-host, which is not listed any more and would be deleted" in result["msg"]
    assert not set_alarms(left, purge="none").get("failed")


def test_tags_of_others_stay_and_check_mode_says_so(set_alarms: Set, cloudwatch: Any) -> None:
    set_alarms(ALARMS[:1])
    arn = alarm(cloudwatch, "elb-5xx")["AlarmArn"]
    cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "cost", "Value": "7"}, {"Key": "team", "Value": "theirs"}])
    predicted = set_alarms(ALARMS[:1], tags={"team": "ours"}, _check=True)
    after = predicted["diff"]["after"]["elb-5xx"]["tags"]
    assert after == {"cost": "7", "team": "ours", "hokusai:managed-by": OWNER}
    assert set_alarms(ALARMS[:1], tags={"team": "ours"})["resource"] == predicted["resource"]


def test_as_many_data_points_as_are_said_sound_an_alarm(set_alarms: Set, cloudwatch: Any) -> None:
    set_alarms()
    slow = alarm(cloudwatch, "slow")
    assert (slow["DatapointsToAlarm"], slow["EvaluationPeriods"]) == (2, 3)


def test_an_alarm_that_is_not_listed_by_its_tags_yet_is_ours(set_alarms: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    set_alarms()
    monkeypatch.setattr(alarm_observation, "_tagged", lambda *_: {})
    assert verbs(set_alarms()) == []


def test_an_alarm_of_the_other_kind_is_not_written_over(set_alarms: Set, cloudwatch: Any) -> None:
    set_alarms()
    result = set_alarms([*ALARMS[:2], {**ALARMS[0], "name": "platform"}])
    assert "The alarm platform exists and is a composite alarm" in result["msg"]
    assert "give this one another name" in result["remedy"]
    assert "AlarmRule" in alarm(cloudwatch, "platform")


def test_nothing_goes_without_purge(set_alarms: Set) -> None:
    set_alarms()
    assert set_alarms(ALARMS[:1], purge="none")["steps"] == []


def test_the_alarms_of_another_owner_stay(set_alarms: Set) -> None:
    set_alarms()
    assert set_alarms([], owner="hokusai.platform/other")["steps"] == []


def test_a_foreign_alarm_of_a_wanted_name_is_refused(set_alarms: Set, cloudwatch: Any) -> None:
    foreign(cloudwatch, "elb-5xx")
    result = set_alarms()
    assert (result["failed"], result["error"]) == (True, "BadInput")
    assert "exists and is not of hokusai.platform/test" in result["msg"]
    assert alarm(cloudwatch, "elb-5xx")["Namespace"] == "Theirs"


def test_a_resource_that_does_not_exist_is_refused_before_the_first_write(set_alarms: Set, edge: Edge) -> None:
    metrics = [*METRICS, {"id": "gone", "name": "RequestCount", "load_balancer": "no-such"}]
    result = set_alarms([*ALARMS, {"name": "gone", "metric": "gone", "threshold": 1}], metrics=metrics)
    assert result["failed"]
    assert "load balancer no-such does not exist" in result["msg"]
    assert not alarm_states(edge.aws, [each["name"] for each in ALARMS])


def test_an_alarm_without_actions_is_warned_of(set_alarms: Set) -> None:
    warnings = set_alarms(ALARMS[:1], alarm_actions=[])["warned"]
    assert warnings == ["the alarm elb-5xx has no alarm action: nobody is told when it sounds"]


def test_an_alarm_whose_actions_are_not_enabled_is_warned_of(set_alarms: Set) -> None:
    warnings = set_alarms([{**ALARMS[0], "actions_enabled": False}])["warned"]
    assert warnings == ["the actions of the alarm elb-5xx are not enabled: nobody is told when it sounds"]


def test_a_target_group_is_counted_under_the_load_balancer_that_uses_it(
    set_alarms: Set, cloudwatch: Any, edge: Edge
) -> None:
    edge.make_balancer("other")
    healthy = {"id": "healthy", "name": "HealthyHostCount", "target_group": GROUP}
    wanted = [{"name": "no-host", "metric": "healthy", "comparison": "<", "threshold": 1}]
    verbs(set_alarms(wanted, metrics=[{**healthy, "load_balancer": BALANCER}]))
    dimensions = alarm(cloudwatch, "no-host")["Dimensions"]
    assert {"Name": "LoadBalancer", "Value": edge.balancer.partition("loadbalancer/")[2]} in dimensions

    for group, balancer in ((GROUP, "other"), ("two", BALANCER), (GROUP, "nobody")):
        result = set_alarms(wanted, metrics=[{**healthy, "target_group": group, "load_balancer": balancer}])
        assert result.get("failed"), result
        said = f"an attachment of target group {group} to load balancer {balancer} does not exist"
        assert (said in result["msg"], result["error"]) == (True, "BadInput")


@pytest.mark.parametrize(
    "name",
    [
        "DesyncMitigationMode_NonCompliant_Request_Count",
        "DroppedInvalidHeaderRequestCount",
        "ForwardedInvalidHeaderRequestCount",
        "NewConnectionCount",
    ],
)
def test_what_a_load_balancer_counts_before_it_chooses_a_target_group_has_none(set_alarms: Set, name: str) -> None:
    metric = {"id": "a", "name": name, "load_balancer": BALANCER}
    result = set_alarms([], metrics=[{**metric, "target_group": GROUP}])
    assert (f"does not count {name} by target group" in result["msg"], result["error"]) == (True, "BadInput")
    assert not set_alarms([], metrics=[metric]).get("failed")


def test_a_metric_of_a_whole_cluster_has_its_name(set_alarms: Set, cloudwatch: Any, edge: Edge) -> None:
    edge.aws.ecs.create_cluster(clusterName="whole")
    metrics = [{"id": "tasks", "name": "TaskCount", "cluster": "whole"}]
    verbs(set_alarms([{"name": "tasks", "metric": "tasks", "threshold": 9}], metrics=metrics))
    assert alarm(cloudwatch, "tasks")["Dimensions"] == [{"Name": "ClusterName", "Value": "whole"}]


@pytest.mark.parametrize(
    ("metrics", "alarms", "said"),
    [
        (
            [{"id": "a", "name": "HTTPCode_ELB_5XX_Count", "load_balancer": BALANCER, "target_group": GROUP}],
            [],
            "does not count HTTPCode_ELB_5XX_Count by target group",
        ),
        (
            [{"id": "a", "name": "ActiveConnectionCount", "target_group": GROUP}],
            [],
            "ActiveConnectionCount by target group",
        ),
        ([{"id": "a", "name": "HealthyHostCount", "load_balancer": BALANCER}], [], "counted by target group alone"),
        ([{"id": "a", "name": "RequestCount", "namespace": "AWS/ApplicationELB"}], [], "over all load balancers"),
        (
            [{"id": "a", "name": "TaskCount", "cluster": "none"}],
            [{"name": "a", "metric": "a", "threshold": 1}],
            "ECS cluster none does not exist",
        ),
        ([{"id": "a", "name": "A", "cluster": f"{ECS}:cluster/c", "service": "s"}], [], "gives its cluster by ARN"),
        ([{"id": "a", "name": "A", "cluster": "c", "service": f"{ECS}:service/c/s"}], [], "gives its service by ARN"),
        ([{"id": "a", "name": "A", "dimensions": {"LoadBalancer": "arn:aws:x"}}], [], "has no namespace"),
        ([{"id": "a", "name": "A", "namespace": "N", "dimensions": {"LoadBalancer": "x"}}], [], "by its value"),
        ([{"id": "A", "name": "A", "namespace": "N"}], [], "begins with a small letter"),
        ([{"id": "a", "name": "A", "namespace": "N", "period": 7}], [], "no period is 7 s"),
        ([{"id": "a", "name": "A", "namespace": "N", "statistic": "Median"}], [], "is no statistic"),
        ([{"id": "a", "name": "A", "namespace": "N"}] * 2, [], "Two metrics have the id a"),
        (METRICS, [{"name": "a", "metric": "other", "threshold": 1}], "which is no metric"),
        (METRICS, [{"name": "a", "expression": "other * 2", "threshold": 1}], "names other"),
        (
            [{"id": "watched", "name": "A", "namespace": "N"}],
            [{"name": "a", "expression": "watched * 2", "threshold": 1}],
            "has the id watched",
        ),
        (METRICS, [{"name": "a", "metric": "slow"}], "has no threshold"),
        (METRICS, [{"name": "a", "metric": "slow", "threshold": 1, "datapoints_to_alarm": 2}], "2 of 1 data points"),
        (METRICS, [ALARMS[0]] * 2, "Two alarms are called elb-5xx"),
        (METRICS, [{"name": "a", "rule": "ALARM(nobody)"}], "asks about the alarm nobody"),
        (METRICS, [{"name": "a", "rule": 'AT_LEAST(1, OK, (a1, "no body"))'}], "asks about the alarm a1"),
        (METRICS, [{"name": "a", "rule": "MOST(nobody)"}], "cannot be read from MOST(nobody)"),
        (METRICS, [{"name": "a", "rule": "ALARM(b)"}, {"name": "b", "rule": "OK(a)"}], "ask about one another"),
        (
            METRICS,
            [{"name": "a", "rule": "AT_LEAST(50%, ALARM, (b))"}, {"name": "b", "rule": "OK(a)"}],
            "ask about one another",
        ),
        (METRICS, [{"name": "a", "metric": "slow", "threshold": 1, "evaluation_periods": 1441}], "more than a day"),
        (
            [{"id": "a", "name": "A", "namespace": "N", "period": 3600}],
            [{"name": "a", "metric": "a", "threshold": 1, "evaluation_periods": 169}],
            "more than a week",
        ),
    ],
)
def test_bad_input_is_refused(
    set_alarms: Set,
    control_plane: ControlPlane,
    metrics: list[dict[str, Any]],
    alarms: list[dict[str, Any]],
    said: str,
) -> None:
    control_plane.calls.reset()
    result = set_alarms(alarms, metrics=metrics)
    assert result.get("failed"), result
    assert said in result["msg"]
    assert control_plane.calls.writes == 0


def test_twenty_alarms_take_few_reads(set_alarms: Set, control_plane: ControlPlane) -> None:
    many = [{**ALARMS[0], "name": f"elb-5xx-{number}"} for number in range(20)]
    set_alarms(many)
    control_plane.calls.reset()
    set_alarms(many)
    assert control_plane.calls.as_dict() == {
        "reads": 4,
        "writes": 0,
        "actions": {
            "cloudwatch:DescribeAlarms": 1,
            "elbv2:DescribeLoadBalancers": 1,
            "elbv2:DescribeTargetGroups": 1,
            "resourcegroupstaggingapi:GetResources": 1,
        },
    }
