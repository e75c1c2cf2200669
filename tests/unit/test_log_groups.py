"""log_groups against the sandbox's AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils.log_group import MetricFilter, filter_from_aws
from ansible_collections.hokusai.platform.plugins.modules import log_groups

from tests.unit.conftest import CountingAws, RunModule

FILTER = {
    "name": "401",
    "pattern": "{ $.status = 401 }",
    "namespace": "Test",
    "metric": "AuthenticationFailures",
    "default_value": 0,
}
GROUPS: list[dict[str, Any]] = [
    {"name": "/ecs/api", "retention_days": 30, "metric_filters": [FILTER]},
    {"name": "/ecs/auth", "retention_days": 30},
]
Set = Callable[..., dict[str, Any]]


@pytest.fixture
def set_groups(run_module: RunModule, aws: CountingAws) -> Set:
    """With the API's log group there already."""
    aws.logs.create_log_group(logGroupName="/ecs/api")

    def run(groups: list[dict[str, Any]] = GROUPS, **options: Any) -> dict[str, Any]:
        return run_module(log_groups.main, groups=groups, **options)

    return run


def whys(result: dict[str, Any]) -> list[str]:
    assert not result.get("failed"), result
    return [step["why"] for step in result["steps"]]


FIRST = [
    "log group /ecs/api: keep events for 30 days",
    "log group /ecs/api: add the metric filter 401",
    "log group /ecs/auth: create",
    "log group /ecs/auth: keep events for 30 days",
]


def test_check_mode_predicts_what_the_first_run_does_and_the_second_does_nothing(set_groups: Set) -> None:
    assert whys(set_groups(_check=True)) == FIRST
    assert whys(set_groups()) == FIRST
    assert set_groups()["changed"] is False


def test_what_is_made_says_who_made_it(set_groups: Set, aws: CountingAws) -> None:
    set_groups()
    found = {each["logGroupName"]: each["arn"] for each in aws.logs.describe_log_groups()["logGroups"]}
    tags = aws.logs.list_tags_for_resource(resourceArn=found["/ecs/auth"].removesuffix(":*"))["tags"]
    assert tags == {"hokusai:managed-by": "hokusai.platform"}


@pytest.mark.parametrize(
    ("pattern", "change"),
    [
        ("other", {}),
        (FILTER["pattern"], {"metricValue": "2"}),
        (FILTER["pattern"], {"dimensions": {"Client": "$.client"}}),
        (FILTER["pattern"], {"unit": "Seconds"}),
        (FILTER["pattern"], {"defaultValue": 1.0}),
    ],
)
def test_a_filter_changed_behind_its_back_is_one_write(
    set_groups: Set, aws: CountingAws, pattern: str, change: dict[str, Any]
) -> None:
    set_groups()
    (there,) = aws.logs.describe_metric_filters(logGroupName="/ecs/api")["metricFilters"]
    changed = [{**there["metricTransformations"][0], **change}]
    aws.logs.put_metric_filter(
        logGroupName="/ecs/api", filterName="401", filterPattern=pattern, metricTransformations=changed
    )
    assert whys(set_groups()) == ["log group /ecs/api: change the metric filter 401"]
    assert set_groups()["steps"] == []


def test_a_transformation_is_compared_as_a_whole_without_what_says_nothing() -> None:
    change = {"metricName": "A", "metricNamespace": "Test", "metricValue": "1", "unit": "None", "dimensions": {}}
    described = {"filterName": "a", "filterPattern": "", "metricTransformations": [change]}
    assert filter_from_aws(described) == MetricFilter("a", "", "Test", "A")
    assert filter_from_aws({**described, "applyOnTransformedLogs": False}) == MetricFilter("a", "", "Test", "A")
    change["newer"] = "x"
    assert filter_from_aws(described).more == {"newer": "x"}
    selecting = {
        **described,
        "fieldSelectionCriteria": "@aws.region",
        "metricTransformations": [{**change, "newer": ""}],
    }
    assert filter_from_aws(selecting).more == {"fieldSelectionCriteria": "@aws.region"}


def test_filters_of_others_stay_and_a_retention_nobody_gives_is_left(set_groups: Set, aws: CountingAws) -> None:
    set_groups()
    change = {"metricName": "Theirs", "metricNamespace": "Theirs", "metricValue": "1"}
    aws.logs.put_metric_filter(
        logGroupName="/ecs/api", filterName="theirs", filterPattern="", metricTransformations=[change]
    )
    assert set_groups([{"name": "/ecs/api"}])["steps"] == []
    assert len(aws.logs.describe_metric_filters(logGroupName="/ecs/api")["metricFilters"]) == 2


def test_events_can_be_kept_for_ever_again(set_groups: Set) -> None:
    set_groups()
    assert whys(set_groups([{"name": "/ecs/api", "retention_days": 0}])) == ["log group /ecs/api: keep events for ever"]


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ([{"name": "/ecs/api", "retention_days": 8}], "No log group keeps its events for 8 days"),
        ([GROUPS[1]] * 2, "/ecs/auth is listed twice"),
        ([{"name": "/ecs/api", "metric_filters": [FILTER] * 2}], "have the same name"),
    ],
)
def test_bad_input_is_refused(set_groups: Set, groups: list[dict[str, Any]], said: str) -> None:
    assert said in set_groups(groups)["msg"]
