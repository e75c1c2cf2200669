"""What others wrote between a run and its rollback stays as they wrote it, and is told with all three values."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import restore_network
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_field import flat
from ansible_collections.hokusai.platform.plugins.module_utils.three_way import Kept
from ansible_collections.hokusai.platform.plugins.modules import (
    alb_target_group,
    cloudmap_namespace,
    cloudmap_service,
)

from tests.unit.alb_edge import Edge
from tests.unit.alb_model import LOGIN, rule, theirs
from tests.unit.ecs_model import CLUSTER, NAMESPACE
from tests.unit.restore_platform import Platform, watch
from tests.unit.restore_runs import (
    API,
    HEALTH,
    container,
    ecs,
    furnished,
    group_rules,
    permitted,
    route,
    rules,
    text,
)
from tests.unit.restore_strangers import (
    CASES,
    FILTER,
    MOVED,
    RULE,
    TAG,
    TEAPOT,
    arn,
    board,
    filter_of,
    found,
    logs,
    sgr,
)


@pytest.fixture
def whole(aws: Any, edge: Edge, platform: dict[str, str]) -> Platform:
    watch(aws)
    return furnished(aws, edge, platform)


@pytest.mark.parametrize("name", CASES)
def test_a_field_that_holds_something_else_is_kept_and_told_while_its_neighbour_goes_back(
    whole: Platform, name: str
) -> None:
    case = CASES[name]
    before = whole.read()
    notes = whole.run(*case.run)
    written = (
        found(whole, case.kind, **({} if case.kind == "security_group_rule" else case.of))
        if not case.of.get("Description")
        else found(whole, case.kind, Description="now")
    )
    case.stranger(whole)
    theirs_now = flat(found(whole, case.kind, **case.of)["fields"])[case.field]
    restored = whole.take_back(before, notes)
    after = whole.entry(case.kind, written["id"])
    (was,) = [each for each in before["resources"] if (each["kind"], each["id"]) == (case.kind, written["id"])]
    assert flat(after["fields"])[case.field] == theirs_now
    assert flat(after["fields"]).get(case.returns) == flat(was["fields"]).get(case.returns)
    told = [each for each in restored.kept if each.id == written["id"] and each.field == case.field]
    assert [each.now for each in told] == [theirs_now]
    assert [each.before for each in told] == [flat(was["fields"]).get(case.field)]
    assert whole.take_back(before, notes).steps == []


def kept(whole: Platform, before: Any, notes: Any) -> list[Kept]:
    return whole.take_back(before, notes).kept


def test_a_rule_of_others_that_came_since_stays_and_is_told(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(MOVED)
    stranger = whole.edge.make_rule(theirs(60, "one", paths=["/new"]))
    assert [each.id for each in kept(whole, before, notes)] == [stranger]
    assert stranger in whole.edge.arns()


def test_a_rule_does_not_go_back_to_a_priority_that_others_took(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(MOVED)
    mine = arn(whole, **RULE)
    stranger = whole.edge.make_rule(theirs(10, "one", paths=["/new"]))
    restored = whole.take_back(before, notes)
    assert {each.field for each in restored.kept if each.id == mine} == {"Priority"}
    assert stranger in {each["RuleArn"] for each in whole.edge.rules() if each["Priority"] == "10"}
    assert whole.edge.forwards()[40] == "one"


def test_a_rule_that_others_deleted_is_not_made_again(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(MOVED)
    gone = arn(whole, **RULE)
    whole.write("elbv2", "delete_rule", RuleArn=gone)
    told = kept(whole, before, notes)
    assert [(each.id, each.reason) for each in told] == [(gone, "deleted, and not by the run")]
    assert len(whole.edge.rules()) == 2


def test_a_login_that_others_put_on_a_rule_stays_and_the_rest_of_it_goes_back(whole: Platform) -> None:
    before = whole.read()
    mine = arn(whole, **RULE)
    conditions = whole.entry("load_balancer_rule", mine)["fields"]["Conditions"]
    notes = whole.run(rules(route("api", 10, "one", "/v2/*"), HEALTH))
    forward = {"Type": "forward", "Order": 2, "TargetGroupArn": whole.edge.groups["one"]}
    whole.write("elbv2", "modify_rule", RuleArn=mine, Actions=[LOGIN, forward])
    restored = whole.take_back(before, notes)
    assert {(each.id, each.field) for each in restored.kept} == {(mine, "Actions")}
    now = whole.entry("load_balancer_rule", mine)["fields"]
    assert (now["Conditions"], now["Actions"][0]["Type"]) == (conditions, "authenticate-oidc")


def test_a_created_rule_that_others_changed_stays(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(rules(route("api", 10, "one", "/api", "/api/*", **API), HEALTH, route("new", 15, "two", "/new")))
    made = arn(whole, **{"Tags.hokusai:name": "new"})
    whole.write("elbv2", "modify_rule", RuleArn=made, Actions=TEAPOT)
    assert [(each.id, each.field) for each in kept(whole, before, notes)] == [(made, "Actions")]
    assert made in whole.edge.arns()


def test_a_created_metric_filter_and_a_created_dashboard_that_others_changed_stay(whole: Platform) -> None:
    whole.write("cloudwatch", "delete_dashboards", DashboardNames=["board"])
    whole.write("logs", "delete_metric_filter", logGroupName="/ecs/api", filterName="errors")
    before = whole.read()
    notes = whole.run(board("errors"), logs(metric_filters=[{**FILTER, "pattern": "FATAL"}]))
    whole.write("cloudwatch", "put_dashboard", DashboardName="board", DashboardBody='{"widgets": []}')
    whole.write("logs", "put_metric_filter", **{**filter_of(whole), "filterPattern": "THEIRS"})
    told = {(each.kind, each.field) for each in kept(whole, before, notes)}
    assert told == {("dashboard", "DashboardBody"), ("metric_filter", "filterPattern")}
    assert found(whole, "dashboard", name="board")["fields"]["DashboardBody"] == {"widgets": []}
    assert filter_of(whole)["filterPattern"] == "THEIRS"


def test_a_created_group_rule_that_others_tagged_stays(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(group_rules(permitted("alb-to-api", description="was"), permitted("b", port=9000)))
    made = found(whole, "security_group_rule", **{"Tags.hokusai:name": "b"})["id"]
    whole.write("ec2", "create_tags", Resources=[made], Tags=TAG)
    assert [(each.id, each.field) for each in kept(whole, before, notes)] == [(made, "Tags.team")]
    assert found(whole, "security_group_rule", **{"Tags.hokusai:name": "b"})["id"] == made


def modified(whole: Platform, identity: str, **content: Any) -> None:
    rule = {"IpProtocol": "tcp", "ReferencedGroupId": whole.ids["extra"], **content}
    change = [{"SecurityGroupRuleId": identity, "SecurityGroupRule": rule}]
    whole.write("ec2", "modify_security_group_rules", GroupId=whole.ids["api"], SecurityGroupRules=change)


def test_a_group_rule_of_which_others_changed_a_part_keeps_all_that_it_lets_through(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(group_rules(permitted("alb-to-api", port=9000, description="now")))
    mine = sgr(whole)
    modified(whole, mine, FromPort=9000, ToPort=9010, Description="now")
    restored = whole.take_back(before, notes)
    assert {each.field: (each.before, each.written, each.now) for each in restored.kept if each.id == mine} == {
        "FromPort": (8001, 9000, 9000),
        "ToPort": (8001, 9000, 9010),
    }
    now = whole.entry("security_group_rule", mine)["fields"]
    assert (now["FromPort"], now["ToPort"], now["Description"]) == (9000, 9010, "was")


def test_a_group_rule_that_others_change_meanwhile_keeps_all_that_it_lets_through(
    whole: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = whole.read()
    notes = whole.run(group_rules(permitted("alb-to-api", port=9000)))
    mine, judgement = sgr(whole), whole.judge(before, notes)
    modified(whole, mine, FromPort=9000, ToPort=9010, Description="was")
    monkeypatch.setattr(Platform, "judge", lambda *_: judgement)
    assert whole.take_back(before, notes).steps == []
    now = whole.entry("security_group_rule", mine)["fields"]
    assert (now["FromPort"], now["ToPort"]) == (9000, 9010)


def test_a_group_rule_does_not_go_back_to_what_a_rule_of_others_lets_through(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(group_rules(permitted("alb-to-api", port=9001)))
    mine = sgr(whole)
    pair = {"GroupId": whole.ids["extra"]}
    permission = {"IpProtocol": "tcp", "FromPort": 8001, "ToPort": 8001, "UserIdGroupPairs": [pair]}
    made = whole.write("ec2", "authorize_security_group_ingress", GroupId=whole.ids["api"], IpPermissions=[permission])
    stranger = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    restored = whole.take_back(before, notes)
    told = {each.field: each.reason for each in restored.kept if each.id == mine}
    assert told == dict.fromkeys(("FromPort", "ToPort"), f"another rule, {stranger}, lets through what it did before")
    assert whole.entry("security_group_rule", mine)["fields"]["FromPort"] == 9001
    assert whole.take_back(before, notes).steps == []


def test_a_created_target_group_that_others_forward_to_stays(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run((alb_target_group, {"name": "old2", "vpc": "the-vpc", "port": 8001, "protocol": "HTTP"}))
    scope = {**whole.scope.as_data()}
    group = whole.write("elbv2", "describe_target_groups", Names=["old2"])["TargetGroups"][0]["TargetGroupArn"]
    before["scope"]["target_groups"] = [*scope["target_groups"], "old2"]
    whole.write(
        "elbv2",
        "modify_listener",
        ListenerArn=whole.edge.listener,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    told = kept(whole, before, notes)
    assert "in use by the listener edge:443" in {each.reason.partition(", ")[2] for each in told if each.id == group}
    whole.write("elbv2", "modify_listener", ListenerArn=whole.edge.listener, DefaultActions=TEAPOT)
    assert [step.verb for step in whole.take_back(before, notes).steps] == ["delete_target_group"]


def test_a_created_discovery_service_that_others_register_in_stays(
    whole: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ansible_collections.hokusai.platform.plugins.module_utils.restore_network.LEAVING_SECONDS", 0.0
    )
    before = whole.read()
    notes = whole.run((cloudmap_service, {"name": "new", "namespace": NAMESPACE}))
    made = found(whole, "discovery_service", name=f"new.{NAMESPACE}")["id"]
    whole.write(
        "servicediscovery",
        "register_instance",
        ServiceId=made,
        InstanceId="theirs",
        Attributes={"AWS_INSTANCE_IPV4": "10.0.9.9"},
    )
    told = kept(whole, before, notes)
    assert [each.reason for each in told] == ["created by the run, and 10.0.9.9 are still registered there"]
    assert found(whole, "discovery_service", name=f"new.{NAMESPACE}")["id"] == made


def test_the_namespace_of_a_discovery_service_that_stays_stays_too_and_all_else_goes_back(
    whole: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore_network, "LEAVING_SECONDS", 0.0)
    monkeypatch.setattr(restore_network, "REREAD_DELAYS", (0.0,))
    before = whole.read()
    before["scope"]["namespace"] = "new.local"
    notes = whole.run(
        MOVED,
        (cloudmap_namespace, {"name": "new.local", "vpc": "the-vpc"}),
        (cloudmap_service, {"name": "api", "namespace": "new.local"}),
    )
    (made,) = whole.aws.servicediscovery.list_services(
        Filters=[{"Name": "NAMESPACE_ID", "Values": [namespace_id(whole, "new.local")]}]
    )["Services"]
    attributes = {"AWS_INSTANCE_IPV4": "10.0.9.9"}
    whole.write(
        "servicediscovery", "register_instance", ServiceId=made["Id"], InstanceId="theirs", Attributes=attributes
    )
    done = whole.take_back(before, notes)
    assert {each.reason for each in done.kept if each.name == "new.local"} == {"in use by api.new.local"}
    assert "set_rule_priorities" in {step.verb for step in done.steps}


def namespace_id(whole: Platform, name: str) -> str:
    listed = whole.aws.servicediscovery.list_namespaces()["Namespaces"]
    return str(next(each["Id"] for each in listed if each["Name"] == name))


def test_a_revision_that_another_service_runs_is_not_deregistered(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run(ecs(containers=container(image="hokusai-api:2026.11.0")))
    running = found(whole, "ecs_service")["fields"]["taskDefinition"]
    network = found(whole, "ecs_service")["fields"]["networkConfiguration"]
    whole.write(
        "ecs",
        "create_service",
        cluster=CLUSTER,
        serviceName="theirs",
        taskDefinition=running,
        desiredCount=0,
        launchType="FARGATE",
        networkConfiguration=network,
    )
    told = kept(whole, before, notes)
    assert [each.id for each in told] == [running]
    assert "service/hokusai-development/theirs" in told[0].reason
    assert found(whole, "ecs_service")["fields"]["taskDefinition"].endswith(":1")


def test_nothing_is_written_when_others_already_took_it_back(whole: Platform) -> None:
    before = whole.read()
    notes = whole.run((alb_target_group, {"name": "one", "health_check": {"path": "/health"}}))
    whole.write("elbv2", "modify_target_group", TargetGroupArn=whole.edge.groups["one"], HealthCheckPath="/")
    restored = whole.take_back(before, notes)
    assert (restored.steps, restored.kept) == ([], [])
    assert text(whole.read()) == text(before)


def test_a_stranger_who_writes_while_it_is_taken_back_is_not_written_over(
    whole: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = whole.read()
    notes = whole.run((alb_target_group, {"name": "one", "health_check": {"path": "/health"}}))
    judgement = whole.judge(before, notes)
    whole.write("elbv2", "modify_target_group", TargetGroupArn=whole.edge.groups["one"], HealthCheckPath="/theirs")
    monkeypatch.setattr(Platform, "judge", lambda *_: judgement)
    assert whole.take_back(before, notes).steps == []
    assert found(whole, "target_group", name="one")["fields"]["HealthCheckPath"] == "/theirs"


def test_the_rules_that_a_run_wrote_are_not_confused_with_equal_ones(whole: Platform) -> None:
    """The rule's content is equal to a stranger's, which came later."""
    before = whole.read()
    notes = whole.run(rules(route("api", 10, "one", "/api", "/api/*", **API), HEALTH, route("new", 15, "two", "/new")))
    stranger = whole.edge.make_rule(rule("", 16, "two", paths=["/new"]))
    assert [each.id for each in kept(whole, before, notes)] == [stranger]
    assert stranger in whole.edge.arns()
    assert len(whole.edge.rules()) == 4
