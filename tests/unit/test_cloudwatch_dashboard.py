"""cloudwatch_dashboard against the sandbox's AWS: what it writes, when two bodies are the same, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import dashboard
from ansible_collections.hokusai.platform.plugins.modules.cloudwatch_dashboard import main

from sandbox.controlplane.fidelity.cloudwatch.responses import CloudWatchResponse
from tests.unit.alb_edge import BALANCER, Edge
from tests.unit.conftest import RunModule

METRICS = [
    {"id": "elb", "name": "HTTPCode_ELB_5XX_Count", "load_balancer": BALANCER, "label": "load balancer"},
    {"id": "target", "name": "HTTPCode_Target_5XX_Count", "load_balancer": BALANCER},
    {"id": "slow", "name": "TargetResponseTime", "statistic": "p95", "load_balancer": BALANCER},
]
WIDGETS: list[dict[str, Any]] = [
    {"title": "errors", "metrics": ["elb", "target"], "stacked": True},
    {"title": "all", "type": "single_value", "expressions": [{"expression": "elb + target", "label": "5xx"}]},
    {"title": "latency", "metrics": ["slow"], "minimum": 0},
    {"type": "text", "markdown": "# platform", "width": 24, "height": 2},
]
EXPLORER: dict[str, Any] = {
    "type": "explorer",
    "x": 0,
    "y": 20,
    "width": 24,
    "height": 15,
    "properties": {
        "metrics": [{"metricName": "CPUUtilization", "resourceType": "AWS::EC2::Instance", "stat": "Average"}],
        "labels": [{"key": "State", "value": "running"}],
    },
}
Put = Callable[..., dict[str, Any]]


@pytest.fixture
def put(run_module: RunModule, edge: Edge) -> Put:
    def run(widgets: list[dict[str, Any]] = WIDGETS, **options: Any) -> dict[str, Any]:
        return run_module(main, **{"name": "platform", "metrics": METRICS, "widgets": widgets, **options})

    return run


def body(edge: Edge) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        edge.aws.client("cloudwatch").get_dashboard(DashboardName="platform")["DashboardBody"]
    )
    return found


def verbs(result: dict[str, Any]) -> list[tuple[str, str]]:
    assert not result.get("failed"), result
    return [(step["verb"], step["why"]) for step in result["steps"]]


def test_the_first_run_creates_it_and_the_second_writes_nothing(put: Put) -> None:
    assert verbs(put()) == [("put_dashboard", "dashboard platform: create")]
    assert put()["changed"] is False


def test_widgets_without_a_place_follow_one_another(put: Put, edge: Edge) -> None:
    put()
    places = [tuple(each[key] for key in ("x", "y", "width", "height")) for each in body(edge)["widgets"]]
    assert places == [(0, 0, 12, 6), (12, 0, 12, 6), (0, 6, 12, 6), (0, 12, 24, 2)]


def test_lines_have_the_dimensions_of_what_is_there(put: Put, edge: Edge) -> None:
    put()
    balancer = edge.balancer.partition("loadbalancer/")[2]
    first, second = body(edge)["widgets"][0]["properties"]["metrics"]
    assert first[:4] == ["AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", "LoadBalancer", balancer]
    assert first[4] == {"id": "elb", "stat": "Sum", "period": 60, "label": "load balancer"}
    assert second[4] == {"id": "target", "stat": "Sum", "period": 60, "label": "target"}
    drawn = [line[-1].get("visible", True) for line in body(edge)["widgets"][1]["properties"]["metrics"]]
    assert drawn == [True, False, False]


def test_another_spelling_of_the_same_is_the_same(put: Put, edge: Edge) -> None:
    """The console moves widgets in the list, leaves out what repeats, and writes out defaults."""
    put()
    live = body(edge)
    lines = live["widgets"][0]["properties"]["metrics"]
    lines[1] = [".", lines[1][1], "...", {**lines[1][-1], "visible": True, "yAxis": "left"}]
    live["widgets"][2]["properties"].pop("stacked")
    live["widgets"].reverse()
    live |= {"variables": [], "periodOverride": "auto"}
    written = json.dumps(live, indent=2, sort_keys=True)
    edge.aws.client("cloudwatch").put_dashboard(DashboardName="platform", DashboardBody=written)
    again = put()
    assert again["steps"] == []
    assert again["diff"]["before"] == again["diff"]["after"]


def test_what_a_widget_says_once_for_all_its_lines_is_the_same(put: Put, edge: Edge) -> None:
    """And a line that says nothing has AWS's default."""
    slow = {
        "id": "slow",
        "name": "TargetResponseTime",
        "statistic": "Average",
        "period": 300,
        "load_balancer": BALANCER,
    }
    given: dict[str, Any] = {
        "widgets": [{"title": "errors", "metrics": ["elb", "target"]}, {"title": "latency", "metrics": ["slow"]}],
        "metrics": [*METRICS[:2], slow],
    }
    put(**given)
    live = body(edge)
    lines = [line[-1] for widget in live["widgets"] for line in widget["properties"]["metrics"]]
    assert [(line.pop("stat"), line.pop("period")) for line in lines] == [("Sum", 60), ("Sum", 60), ("Average", 300)]
    live["widgets"][0]["properties"] |= {"stat": "Sum", "period": 60}
    edge.aws.client("cloudwatch").put_dashboard(DashboardName="platform", DashboardBody=json.dumps(live))
    assert put(**given)["steps"] == []


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["widgets"][0]["properties"]["metrics"][0][-1].pop("period"),
        lambda found: found["widgets"][0]["properties"].update(title="other"),
        lambda found: found["widgets"][0].update(width=6),
        lambda found: found["widgets"][0]["properties"]["metrics"][0].__setitem__(3, "app/edge/1"),
        lambda found: found["widgets"].pop(),
        lambda found: found.update(start="-PT1H"),
        lambda found: found.update(end="2026-11-22T00:00:00Z"),
        lambda found: found.update(variables=[{"type": "property", "property": "region", "inputType": "input"}]),
        lambda found: found.update(periodOverride="inherit"),
        lambda found: found["widgets"].append(EXPLORER),
        lambda found: found["widgets"][0]["properties"].update(metrics=[[]]),
        lambda found: found["widgets"][0]["properties"].update(metrics=[EXPLORER["properties"]["metrics"][0]]),
    ],
)
def test_a_change_behind_its_back_is_one_write(put: Put, edge: Edge, change: Callable[[dict[str, Any]], Any]) -> None:
    put()
    live = body(edge)
    change(live)
    edge.aws.client("cloudwatch").put_dashboard(DashboardName="platform", DashboardBody=json.dumps(live))
    foreseen = put(_check=True)
    result = put()
    assert verbs(result) == verbs(foreseen) == [("put_dashboard", "dashboard platform: set its widgets")]
    assert foreseen["resource"] == result["resource"]
    assert put()["steps"] == []


def test_one_that_is_not_wanted_goes(put: Put) -> None:
    put()
    assert verbs(put(state="absent")) == [("delete_dashboards", "dashboard platform: delete")]
    assert put(state="absent")["steps"] == []


def test_check_mode_predicts_and_writes_nothing(put: Put) -> None:
    assert verbs(put(_check=True)) == verbs(put())


def test_check_mode_shows_what_would_be(put: Put, edge: Edge) -> None:
    made = put()
    live = body(edge)
    live["widgets"][0]["properties"].update(title="other")
    live["widgets"].append(EXPLORER)
    live |= {"start": "-PT1H", "variables": [{"type": "property", "property": "region", "inputType": "input"}]}
    edge.aws.client("cloudwatch").put_dashboard(DashboardName="platform", DashboardBody=json.dumps(live))
    foreseen = put(_check=True)
    before, after = foreseen["diff"]["before"], foreseen["diff"]["after"]
    assert [each["title"] for each in before["widgets"]] == ["other", "all", "latency", "", ""]
    assert (before["start"], "variables" in before) == ("-PT1H", True)
    assert foreseen["resource"] == after == made["resource"]
    named = [f"AWS/ApplicationELB {each['name']}" for each in METRICS]
    assert [each["shows"] for each in after["widgets"]] == [
        named[:2],
        ["elb + target", *named[:2]],
        named[2:],
        "# platform",
    ]
    assert put()["diff"]["after"] == after


def test_an_alarm_that_does_not_exist_is_refused(put: Put) -> None:
    result = put([{"type": "alarms", "title": "states", "alarms": ["nobody"]}])
    assert "alarm nobody does not exist" in result["msg"]


@pytest.mark.parametrize(
    ("widgets", "said"),
    [
        ([{"title": "a", "metrics": ["elb"], "x": 20, "y": 0}], "a does not fit the grid"),
        ([{"title": "a", "metrics": ["elb"], "height": 0}], "a does not fit the grid"),
        ([{"title": "a", "metrics": ["elb"], "x": -1, "y": 0}], "a is off the grid: its x is -1"),
        ([{"title": "a", "metrics": ["elb"], "x": 0, "y": -2}], "a is off the grid: its y is -2"),
        ([{"title": "a", "type": "text", "markdown": "x"}] * 501, "501 widgets are more than the 500"),
        ([{"title": "a", "expressions": [{"expression": "elb", "label": ""}] * 500}], "more than 500 metrics"),
        ([{"title": "a"}], "a shows nothing"),
        ([{"title": "a", "metrics": ["other"]}], "other, which is no metric"),
        ([{"title": "a", "expressions": [{"expression": "other", "label": "x"}]}], "names other"),
        (
            [{"title": "a", "metrics": ["elb"], "x": 0, "y": 0}, {"title": "b", "metrics": ["elb"], "x": 6, "y": 3}],
            "lies over",
        ),
        ([{"title": "a", "type": "text", "markdown": "x", "metrics": ["elb"]}], "type text and cannot show metrics"),
        ([{"title": "a", "type": "alarms", "metrics": ["elb"]}], "type alarms and cannot show metrics"),
        ([{"title": "a", "metrics": ["elb"], "markdown": "x"}], "type time_series and cannot show markdown"),
        ([{"title": "a", "type": "bar", "alarms": ["x"]}], "type bar and cannot show alarms"),
        ([{"title": "a", "type": "alarms", "alarms": ["x"] * 101}], "more than 100 alarms"),
        ([{"title": "a", "metrics": ["elb"], "minimum": 2, "maximum": 1}], "begins at 2.0 and ends at 1.0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(put: Put, widgets: list[dict[str, Any]], said: str) -> None:
    result = put(widgets)
    assert result.get("failed"), result
    assert said in result["msg"]


def test_what_aws_says_of_a_body_that_it_accepts_is_warned_of(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = CloudWatchResponse.put_dashboard

    def complain(self: Any) -> Any:
        answer = plain(self)
        said = [{"DataPath": "/widgets/0/properties/metrics/0", "Message": "it will not be rendered"}]
        answer.result["DashboardValidationMessages"] = said
        return answer

    monkeypatch.setattr(CloudWatchResponse, "put_dashboard", complain)
    said = "AWS says of the dashboard platform: it will not be rendered (/widgets/0/properties/metrics/0)"
    assert (put(_check=True)["warned"], put()["warned"], put()["warned"]) == ([], [said], [])


def test_a_service_that_was_deleted_is_not_there(put: Put, edge: Edge) -> None:
    """DescribeServices goes on showing it, as INACTIVE."""
    ecs = edge.aws.ecs
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family="f", containerDefinitions=[{"name": "n", "image": "i", "memory": 64}])
    ecs.create_service(cluster="c", serviceName="s", taskDefinition="f", desiredCount=0)
    metrics = [{"id": "tasks", "name": "RunningTaskCount", "cluster": "c", "service": "s"}]
    widgets = [{"title": "tasks", "metrics": ["tasks"]}]
    assert not put(widgets, metrics=metrics, _check=True)["warned"]
    ecs.delete_service(cluster="c", service="s", force=True)
    assert "ECS service c/s does not exist" in put(widgets, metrics=metrics)["msg"]


def test_a_metric_with_the_id_of_an_expression_is_refused(put: Put) -> None:
    widget = {"title": "a", "expressions": [{"expression": "expression1 * 2", "label": "twice"}]}
    result = put([widget], metrics=[{**METRICS[0], "id": "expression1"}])
    assert "the metric expression1 has the id of an expression" in result["msg"]


@pytest.mark.parametrize("start", ["-PT3H", "-P7D", "-P1DT12H", "-P3M", "2026-01-31T00:00:00Z", ""])
def test_a_dashboard_starts_before_now_or_at_a_time(put: Put, start: str) -> None:
    assert not put(start=start).get("failed")


@pytest.mark.parametrize("start", ["yesterday", "PT3H", "-P", "-PT", "-3H", "31.1.2026"])
def test_a_start_that_is_neither_is_refused(put: Put, start: str) -> None:
    assert f"cannot start at {start}" in put(start=start)["msg"]


def test_only_a_metric_widget_has_lines() -> None:
    lines = [["N", "A"], ["...", "B"]]
    kinds = {kind: dashboard.metric_lines({"type": kind, "properties": {"metrics": lines}}) for kind in ("metric", "x")}
    assert kinds == {"metric": lines, "x": []}


def test_shorthand_is_written_out() -> None:
    lines = [["N", "A", "D", "x"], ["...", "y"], [".", "B", ".", "."]]
    assert list(dashboard.expanded(lines)) == [["N", "A", "D", "x"], ["N", "A", "D", "y"], ["N", "B", "D", "y"]]
