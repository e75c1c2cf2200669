"""A snapshot holds everything that can be taken back, the same each time, and nothing that is secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import snapshot
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, NotFound
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot import Scope

from sandbox.controlplane import ControlPlane
from sandbox.controlplane.faults import Fault
from tests.reliability import describe
from tests.unit.alb_edge import Edge
from tests.unit.alb_model import rule
from tests.unit.ecs_model import NAME, NAMESPACE
from tests.unit.restore_platform import Platform, watch
from tests.unit.test_route53_alias import HOST, Zone


@pytest.fixture
def whole(aws: Any, edge: Edge, platform: dict[str, str]) -> Platform:
    edge.make_rule(rule("api", 10))
    watch(aws)
    Zone(aws).put(Name=HOST, Type="A", ResourceRecords=[{"Value": "192.0.2.1"}])
    return Platform(aws, edge, platform)


def test_every_kind_of_resource_is_in_it(whole: Platform) -> None:
    kinds = {each["kind"] for each in whole.read()["resources"]}
    assert kinds == set(snapshot.VOLATILE)


def test_two_reads_of_an_unchanged_environment_are_the_same_text(whole: Platform) -> None:
    assert json.dumps(whole.read()) == json.dumps(whole.read())


def test_the_scope_in_a_document_reads_the_same_document(whole: Platform) -> None:
    document = whole.read()
    assert snapshot.read(whole.aws, Scope.from_params(document["scope"])) == document


def test_no_environment_value_is_in_it(whole: Platform) -> None:
    text = json.dumps(whole.read())
    revision = whole.aws.ecs.describe_task_definition(taskDefinition=NAME)["taskDefinition"]
    values = [one["value"] for each in revision["containerDefinitions"] for one in each["environment"]]
    assert values
    assert not [value for value in values if json.dumps(value) in text]


def test_what_is_volatile_is_not_in_it(whole: Platform) -> None:
    for each in whole.read()["resources"]:
        assert not set(each["fields"]) & set(snapshot.VOLATILE[each["kind"]]), each


def test_a_rule_s_priority_tags_and_listener_are_in_it(whole: Platform) -> None:
    (arn,) = whole.edge.arns()
    whole.aws.elbv2.add_tags(ResourceArns=[arn], Tags=[{"Key": "team", "Value": "ml"}])
    entry = whole.entry("load_balancer_rule", arn)
    assert (entry["fields"]["Priority"], entry["fields"]["Tags"]) == ("10", {"team": "ml"})
    assert entry["where"] == {"ListenerArn": whole.edge.listener}


def test_what_does_not_exist_has_no_entry(whole: Platform) -> None:
    scope = Scope(load_balancers=("none",), target_groups=("none",), security_groups=("none",), namespace="none.local")
    assert snapshot.read(whole.aws, scope)["resources"] == []


def test_a_cluster_that_does_not_exist_is_an_error(whole: Platform) -> None:
    with pytest.raises(NotFound, match="no ECS cluster elsewhere"):
        snapshot.read(whole.aws, Scope(cluster="elsewhere", services=("api",)))


@pytest.mark.parametrize(
    "call",
    [
        "elasticloadbalancing:DescribeRules",
        "elasticloadbalancing:DescribeTargetGroupAttributes",
        "ec2:DescribeSecurityGroupRules",
        "servicediscovery:ListTagsForResource",
        "ecs:ListTaskDefinitions",
    ],
)
def test_a_read_that_is_denied_is_an_error_and_not_an_absence(
    whole: Platform, control_plane: ControlPlane, call: str
) -> None:
    service = call.replace("elasticloadbalancing", "elbv2")
    control_plane.faults.replace([Fault(service, code="AccessDenied", status=403)])
    with pytest.raises(AwsError, match="AccessDenied"):
        whole.read()


def test_all_pages_are_read(whole: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.hokusai.platform.plugins.module_utils.elb.PAGE", 2)
    for number in range(5):
        whole.edge.make_rule(rule(f"r{number}", 20 + number, paths=[f"/r{number}/*"]))
    rules = [each for each in whole.read()["resources"] if each["kind"] == "load_balancer_rule"]
    assert len(rules) == 6


def test_the_namespace_s_services_are_all_in_it_whoever_made_them(whole: Platform) -> None:
    records = {"DnsRecords": [{"Type": "A", "TTL": 60}]}
    namespace = whole.ids["namespace"]
    whole.aws.servicediscovery.create_service(Name="other", NamespaceId=namespace, DnsConfig=records)
    names = {each["name"] for each in whole.read()["resources"] if each["kind"] == "discovery_service"}
    assert names == {f"api.{NAMESPACE}", f"other.{NAMESPACE}"}


def published() -> list[str]:
    """The rows of the table of volatile fields."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "rollback.md").read_text()
    return [line for line in text.partition("## Volatile fields")[2].splitlines() if line.startswith("| ")]


def test_the_published_list_of_volatile_fields_is_the_one_that_is_used() -> None:
    rows = {
        f"| `{kind}` | `{name}` | {why} |" for kind, fields in snapshot.VOLATILE.items() for name, why in fields.items()
    }
    assert {row for row in published() if row.startswith("| `")} == rows


def test_what_is_not_compared_after_a_kill_and_a_rollback_is_published() -> None:
    assert {row.split("|")[2].strip(" `") for row in published()} >= describe.VOLATILE
