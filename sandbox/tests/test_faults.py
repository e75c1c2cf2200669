"""Each fault on the control plane: what it changes, what heal brings back, and that neither touches anything else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import lifecycle
from sandbox.controlplane import ControlPlane
from sandbox.environment import Home
from sandbox.faults import registry
from sandbox.faults.catalogue import NOT_MADE, all_faults, table
from sandbox.faults.live import FaultError, Live, call
from sandbox.faults.memory import Memory
from sandbox.faults.registry import FAULTS
from sandbox.images.catalogue import ROOT
from sandbox.platform.description import (
    API,
    NAMESPACE,
    REGISTRY_LB,
)
from sandbox.tests.fault_stage import SHOWS, Json, Stage, registered_as, shows

RECREATED = {"D01", "E07"}
CLOUD_MAPS_OWN = re.compile(
    r'\b(ns|srv)-\w+|/hostedzone/\w+|"(HostedZoneId|CallerReference|CreatorRequestId|CreateDate)": "[^"]*"'
)
CATALOGUE = {
    "E": "01 03 04 05 06 07 08 09 10 12 13 14 16 17 18 19 20 21",
    "T": "01 02 03 04 06 07 09 11 12 13 14 15",
    "C": "01 02 03 04 05 07 08 09 11 13",
    "D": "01 03 04 05 07 08 11 12 13 14",
    "N": "01 03 04 05 06 10 11 12 13",
    "A": "01 02 04 05 06 07 08 09 10",
    "P": "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15",
    "M": "01 02 03 04 05 07",
    "W": "01 02 04 05 08 09 10",
    "O": "01 02 03 04 05 06 07 09 10 11 13 14 15 16 17",
}
"""The rows of the fault catalogue."""
SPECIFIED = ROOT.parent / "shared" / "spec" / "faults.md"
NOT_IN_THE_CATALOGUE = {"I10"}
"""The tenth cause of the incident."""


@pytest.fixture(scope="module")
def built(shared_control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    shared_control_plane.reset()
    return Stage(shared_control_plane, tmp_path_factory.mktemp("home"))


@pytest.fixture
def stage(built: Stage) -> Iterator[Stage]:
    """The same platform for every test, which finds it healthy."""
    yield built
    if built.live.memory.broken:
        built.heal()


@pytest.mark.parametrize("name", sorted(SHOWS))
def test_a_fault_shows_in_the_api_and_heal_brings_everything_back(stage: Stage, name: str) -> None:
    assert not shows(stage, name)
    stage.make(name)
    assert shows(stage, name)
    assert stage.heal() == [name]
    if name in RECREATED:
        before, stage.baseline = stage.baseline, stage.described()
        assert without_arns(stage.baseline) == without_arns(before)
    assert stage.described() == stage.baseline
    assert stage.live.control("faults", None) == {"faults": []}


def without_arns(found: Json) -> list[str]:
    """Rules without their own ARN, Cloud Map without its ids and dates."""
    rules = [{**value, "RuleArn": ""} if "RuleArn" in value else value for value in found.values()]
    return sorted(CLOUD_MAPS_OWN.sub("", json.dumps(rule, default=str, sort_keys=True)) for rule in rules)


def test_every_fault_has_a_row_of_proof_and_none_is_both_made_and_not() -> None:
    assert set(SHOWS) == set(FAULTS)
    assert not set(FAULTS) & set(NOT_MADE)
    assert set(FAULTS) - NOT_IN_THE_CATALOGUE | set(NOT_MADE) == catalogued()
    assert {entry.id for entry in all_faults() if entry.recreates} == RECREATED


def catalogued() -> set[str]:
    return {f"{group}{number}" for group, numbers in CATALOGUE.items() for number in numbers.split()}


@pytest.mark.skipif(not SPECIFIED.exists(), reason="the fault catalogue does not lie beside this checkout")
def test_the_catalogue_has_no_other_rows() -> None:
    assert set(re.findall(r"^\| ([A-Z]\d\d) \|", SPECIFIED.read_text(), re.MULTILINE)) == catalogued()


def test_what_proves_a_fault_that_is_not_made_is_there() -> None:
    named = re.findall(r"\S+\.py", " ".join(NOT_MADE.values()))
    assert named
    assert not [path for path in named if not (ROOT / path).is_file()]


def test_the_documentation_lists_what_there_is() -> None:
    lines = (ROOT / "docs" / "faults.md").read_text().splitlines()
    rows = [line for line in lines if re.match(r"\| [A-Z]\d\d \|", line)]
    assert rows == [*table(), *(f"| {name} | {why} |" for name, why in sorted(NOT_MADE.items()))]


def test_faults_of_one_service_hold_together_and_go_one_by_one(stage: Stage) -> None:
    base = stage.service(API)["taskDefinition"]
    stage.make("C07")
    stage.make("A01", "E19")
    stage.heal("C07")
    found = stage.variables(API)
    assert found["MLFLOW_SERVER_URL"] == "http://mlflow.hokusai-development.local:5000"
    assert (found["AUTH_SERVICE_ID"], found["MLFLOW_PROXY_TIMEOUT"]) == ("ml-platform", "120")
    stage.heal("E19")
    stage.heal("A01")
    assert stage.service(API)["taskDefinition"] == base


def test_faults_of_one_command_are_rolled_out_once(stage: Stage) -> None:
    before = len(stage.service(API)["deployments"])
    stage.make("C07", "A01", "A02", "E19")
    assert len(stage.service(API)["deployments"]) == before + 1


def test_the_whole_incident_can_be_made_at_once_and_healed(stage: Stage) -> None:
    causes = [entry.id for entry in all_faults() if entry.cause]
    assert sorted(entry.cause for entry in all_faults() if entry.cause) == list(range(1, 11))
    stage.make(*causes)
    assert all(shows(stage, name) for name in causes if name != "I10")
    assert sorted(stage.heal()) == sorted(causes)
    before, stage.baseline = stage.baseline, stage.described()
    assert without_arns(stage.baseline) == without_arns(before)


def test_a_secret_and_what_else_the_revision_has_stay_in_a_broken_one(stage: Stage) -> None:
    before = stage.container(API)
    stage.make("A01")
    apart = {"environment"}
    after = stage.container(API)
    assert {key: value for key, value in after.items() if key not in apart} == {
        key: value for key, value in before.items() if key not in apart
    }


def test_two_faults_that_change_the_same_are_refused_and_the_first_stays(stage: Stage) -> None:
    stage.make("E08")
    before = stage.described()
    with pytest.raises(FaultError, match=r"what E08 has broken .* heal E08 first"):
        stage.make("T01", "E13")
    assert stage.described() == before
    assert list(stage.live.memory.broken) == ["E08"]


def test_an_unknown_fault_is_refused_with_those_near_it(stage: Stage) -> None:
    with pytest.raises(FaultError, match="no fault is called T05; near it: T0"):
        stage.make("T05")
    with pytest.raises(FaultError, match="`python -m sandbox faults` lists them"):
        stage.make("ZZZ")
    assert stage.live.memory.broken == {}


def test_what_is_broken_already_is_said_to_be_and_so_is_what_is_not(stage: Stage) -> None:
    stage.make("t13")
    with pytest.raises(FaultError, match="T13: broken already"):
        stage.make("T13")
    with pytest.raises(FaultError, match="T01: not broken"):
        stage.heal("T01")


def test_another_process_heals_what_this_one_broke(stage: Stage) -> None:
    stage.make("T02", "A01", "O02")
    stage.live.memory = Memory(stage.path)
    assert stage.heal() == ["O02", "A01", "T02"]
    assert stage.described() == stage.baseline


def test_a_command_that_died_before_the_change_is_healed_as_if_it_had_made_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Live, "do", lambda *_: None)
        patch.setattr(registry, "heal", lambda *_: pytest.fail("dead"))
        stage.make("T01", "N01")
    stage.live.memory = Memory(stage.path)
    assert stage.heal() == ["N01", "T01"]
    assert stage.described() == stage.baseline


def test_own_calls_are_not_counted_nor_logged_nor_hit_by_an_injection(stage: Stage) -> None:
    stage.plane.forget_calls()
    stage.make("O06")
    stage.live.inject({"match": ".*", "kind": "denied"})
    stage.make("T01")
    stage.heal("T01")
    assert stage.plane.calls.as_dict() == {"reads": 0, "writes": 0, "actions": {}}
    assert stage.plane.writes.as_list() == []


def test_what_somebody_else_has_repaired_meanwhile_is_no_obstacle(stage: Stage) -> None:
    stage.make("E09", "N12", "O01")
    stage.aws.elbv2.delete_rule(RuleArn=stage.live.rule(REGISTRY_LB, 40)["RuleArn"])
    stage.aws.ssm.delete_parameter(Name="/hokusai/development/lock")
    rules = stage.aws.ec2.describe_security_group_rules()["SecurityGroupRules"]
    (opening,) = (rule for rule in rules if rule.get("Description") == "temporary")
    stage.aws.ec2.revoke_security_group_ingress(
        GroupId=opening["GroupId"], SecurityGroupRuleIds=[opening["SecurityGroupRuleId"]]
    )
    assert stage.heal() == ["O01", "N12", "E09"]
    assert stage.described() == stage.baseline


def test_a_namespace_that_somebody_has_made_again_meanwhile_is_used(stage: Stage) -> None:
    stage.make("D01")
    discovery = stage.aws.servicediscovery
    vpc = stage.live.vpc(API)
    asked = stage.live.do(call("servicediscovery", "create_private_dns_namespace", Name=NAMESPACE, Vpc=vpc))
    namespace = discovery.get_operation(OperationId=asked["OperationId"])["Operation"]["Targets"]["NAMESPACE"]
    records = {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": 10}]}
    made = discovery.create_service(
        Name="mlflow", NamespaceId=namespace, DnsConfig=records, HealthCheckCustomConfig={"FailureThreshold": 1}
    )["Service"]["Arn"]
    assert stage.heal() == ["D01"]
    assert (stage.live.namespace(), registered_as(stage)["Arn"]) == (namespace, made)
    before, stage.baseline = stage.baseline, stage.described()
    assert without_arns(stage.baseline) == without_arns(before)


def test_what_cannot_be_healed_is_named_and_stays_broken_and_the_rest_is_healed(stage: Stage) -> None:
    stage.make("T13", "T03")
    step = stage.live.memory.broken["T13"].undo[0]["arguments"]
    arn = step["TargetGroupArn"]
    step["TargetGroupArn"] = f"{arn}gone"
    with pytest.raises(FaultError, match=r"T13: .*not found"):
        stage.heal()
    assert list(stage.live.memory.broken) == ["T13"]
    step["TargetGroupArn"] = arn
    assert stage.heal() == ["T13"]


def test_down_forgets_what_was_broken(tmp_path: Path) -> None:
    home = Home(tmp_path)
    lifecycle.claim(home)
    Memory(home.faults).save()
    lifecycle.down(home)
    assert not home.faults.exists()
