"""Whatever a stranger changes of an environment after a plan was made, of any kind: the plan is refused by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import approved_plan, snapshot
from ansible_collections.hokusai.platform.plugins.modules import alb_target_group, platform_plan

from tests.unit.alb_edge import Edge
from tests.unit.conftest import CountingAws, RunModule
from tests.unit.ecs_model import DEFINITION, NAME
from tests.unit.restore_platform import ALARM, Platform, watch
from tests.unit.restore_runs import furnished
from tests.unit.restore_strangers import CASES, TAG, Case, found
from tests.unit.run_world import seal
from tests.unit.test_route53_alias import HOST, Zone


@pytest.fixture
def whole(aws: CountingAws, edge: Edge, platform: dict[str, str]) -> Platform:
    watch(aws)
    Zone(aws).put(Name=HOST, Type="A", ResourceRecords=[{"Value": "192.0.2.1"}])
    return furnished(aws, edge, platform)


def led_elsewhere(whole: Platform) -> None:
    zone = found(whole, "record_set")["where"]["HostedZoneId"]
    record = {"Name": HOST, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.9"}]}
    changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    whole.write("route53", "change_resource_record_sets", HostedZoneId=zone, ChangeBatch=changes)


OTHERS = [
    Case(
        [],
        lambda w: w.write("elbv2", "add_tags", ResourceArns=[w.edge.balancer], Tags=TAG),
        "load_balancer",
        {},
        "Tags.team",
    ),
    Case(
        [],
        lambda w: w.write("ec2", "create_tags", Resources=[w.ids["api"]], Tags=TAG),
        "security_group",
        {"name": "api"},
        "Tags.team",
    ),
    Case(
        [],
        lambda w: w.write("cloudwatch", "put_metric_alarm", **{**ALARM, "Threshold": 2.0}),
        "alarm",
        {},
        "Threshold",
    ),
    Case([], led_elsewhere, "record_set", {}, "ResourceRecords"),
    Case(
        [],
        lambda w: w.write("ecs", "register_task_definition", **DEFINITION),
        "task_definition_family",
        {"name": NAME},
        "newest",
    ),
]
BY_KIND = {each.kind: each for each in (*CASES.values(), *OTHERS)}


@pytest.mark.parametrize("kind", snapshot.VOLATILE)
def test_what_a_stranger_changed_refuses_the_plan_by_name(
    whole: Platform, run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(platform_plan, "Aws", lambda _params: whole.aws)  # making clients takes longer than the test
    case, file = BY_KIND[kind], str(tmp_path / "plan.json")
    place = {"file": file, "environment": "development", "runs": {"directory": str(tmp_path / "runs")}}

    def at(moment: str, **more: Any) -> dict[str, Any]:
        return run_module(platform_plan.main, moment=moment, **place, **more)

    whole.run(*case.run)
    names = {each["id"]: each["name"] for each in whole.read()["resources"]}
    at("begin", scope=whole.scope.as_data())
    wish = {"name": "two", "health_check": {"path": "/planned"}}
    assert run_module(alb_target_group.main, _check=True, plan=file, **wish)["changed"]
    at("save")
    assert not at("approve").get("failed")
    case.stranger(whole)
    told = at("approve")
    moved = f"{kind} {names[found(whole, kind, **case.of)['id']]} has changed"
    assert (told["error"], moved in told["moved"], moved in told["msg"]) == ("PlanMoved", True, True), told


def test_two_kinds_of_one_name_do_not_hide_each_other() -> None:
    def world(threshold: int) -> dict[str, Any]:
        alarm = {"kind": "alarm", "id": "api", "name": "api", "where": {}, "fields": {"Threshold": threshold}}
        return {"resources": [alarm, {**alarm, "kind": "dashboard", "fields": {}}]}

    planned, now = (approved_plan.fingerprints(seal(), world(threshold)) for threshold in (1, 99))
    assert approved_plan.moved(planned, now) == ["alarm api has changed"]
