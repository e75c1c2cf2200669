"""alb_rules as a task runs it: what becomes of requests meanwhile, and the default action that changes with rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_condition, runner
from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rule_plan import prove_safe
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Rule
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Unsafe

from sandbox.controlplane import ControlPlane
from tests.unit.alb_edge import Edge
from tests.unit.alb_model import LOGIN, Model, astray, ours, rule, wanting
from tests.unit.test_alb_rules import verbs
from tests.unit.test_alb_rules_plan import CREATE, DELETE, MODIFY, TURN

NOT_FOUND = {"type": "fixed_response", "fixed_response": {"status_code": 404}}


def test_a_plan_says_that_it_is_proved_in_its_result_and_in_the_head_of_its_diff(rules: Any, edge: Edge) -> None:
    edge.make_rule(ours("old", 10, "old", paths=["/a/*"]))
    wanted = (rule("a", 5, paths=["/a/b"]), rule("new", 20, paths=["/a/*", "/b"]))
    predicted = rules(*wanted, _check=True)
    assert predicted["proof"] == {"safe": True, "classes": 4, "states": 5, "reason": ""}
    assert predicted["diff"]["after_header"].startswith("proved: no request goes astray (4 kinds of requests")
    assert rules(*wanted)["proof"] == predicted["proof"]
    assert rules(*wanted)["proof"] == {"safe": True, "classes": 0, "states": 1, "reason": ""}


@pytest.mark.parametrize("check", [True, False])
def test_a_plan_in_which_a_request_would_go_astray_is_refused_before_the_first_write(
    check: bool, rules: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    """Two rules exchange their paths, and there is no room for a third."""
    for each in (ours("a", 10, paths=["/x"]), ours("b", 20, "two", paths=["/y"])):
        edge.make_rule(each)
    before = edge.rules()
    wanted = (rule("a", 10, "old", paths=["/y"]), rule("b", 20, "three", paths=["/x"]))
    result = rules(*wanted, rules_quota=2, _check=check)
    assert result["error"] == "Unsafe"
    assert "GET https://elsewhere.test/" in result["msg"]
    assert "rules_quota" in result["remedy"]
    assert control_plane.calls.writes == 0
    assert edge.rules() == before
    assert rules(*wanted, rules_quota=4)["proof"]["safe"] is True


def test_a_plan_that_cannot_be_proved_is_refused_unless_a_warning_is_enough(
    rules: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    """As above, but which requests the regular expressions mean is not looked into."""
    for each in (ours("a", 10, path_regexes=["^/x$"]), ours("b", 20, "two", path_regexes=["^/y$"])):
        edge.make_rule(each)
    wanted = (expression("a", 10, "old", "^/y$"), expression("b", 20, "three", "^/x$"))
    for check in (True, False):
        refused = rules(*wanted, rules_quota=2, _check=check)
        assert refused["error"] == "Unsafe"
        assert "not proved that no request goes astray" in refused["msg"]
        assert "path ^/x$, path ^/y$" in refused["msg"]
        assert "unproved=warn" in refused["remedy"]
        assert (control_plane.calls.writes, edge.forwards()) == (0, {10: "one", 20: "two"})
    result = rules(*wanted, rules_quota=2, unproved="warn")
    assert verbs(result) == [MODIFY, MODIFY]
    assert result["proof"]["safe"] is False
    assert "path ^/x$, path ^/y$" in result["proof"]["reason"]
    assert any("not proved" in warning for warning in result["warned"])


def test_where_a_request_is_known_to_go_astray_a_warning_is_never_enough(rules: Any, edge: Edge) -> None:
    for each in (ours("a", 10, paths=["/x"]), ours("b", 20, "two", paths=["/y"])):
        edge.make_rule(each)
    wanted = (rule("a", 10, "old", paths=["/y"]), rule("b", 20, "three", paths=["/x"]))
    assert rules(*wanted, rules_quota=2, unproved="warn")["error"] == "Unsafe"


def test_what_a_stranger_writes_between_the_rounds_is_not_set_right_with_a_request_going_astray(
    rules: Any, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the third rule changes, the first two get each other's paths; there is no room for more rules."""
    wanted = (rule("a", 10, paths=["/x"]), rule("b", 20, "two", paths=["/y"]), rule("c", 30, "three", paths=["/z"]))
    arns = [
        edge.make_rule(ours(each.name, each.priority, group, paths=[path]))
        for each, group, path in zip(wanted, ("one", "two", "old"), ("/x", "/y", "/z"), strict=True)
    ]
    changes = iter(zip(arns[:2], ("old", "three"), (wanted[1], wanted[0]), strict=True))

    def write(*_: Any) -> tuple[str, ...]:
        for arn, group, other in changes:
            edge.aws.elbv2.modify_rule(
                RuleArn=arn,
                Conditions=elb_condition.to_aws(other.conditions),
                Actions=[{"Type": "forward", "TargetGroupArn": edge.groups[group]}],
            )
        return ()

    monkeypatch.setattr(runner, "settled", write)
    assert rules(*wanted, rules_quota=3, _check=True)["proof"]["safe"] is True
    result = rules(*wanted, rules_quota=3)
    assert result["error"] == "Unsafe"
    assert "GET https://elsewhere.test/" in result["msg"]
    assert result["proof"]["safe"] is False
    assert verbs({"steps": result["steps_done"]}) == [MODIFY]
    assert edge.forwards() == {10: "old", 20: "three", 30: "three"}
    assert rules(*wanted, rules_quota=5)["proof"]["safe"] is True
    assert edge.forwards() == {10: "one", 20: "two", 30: "three"}


def expression(name: str, priority: int, group: str, regex: str) -> dict[str, Any]:
    return {"name": name, "priority": priority, "path_regexes": [regex], "action": {"target_group": group}}


def default_of(edge: Edge) -> str:
    (found,) = edge.aws.elbv2.describe_listeners(ListenerArns=[edge.listener])["Listeners"]
    action = found["DefaultActions"][0]
    return str(action.get("TargetGroupArn", "/404").split("/")[1])


def test_a_default_action_and_the_rules_that_take_over_from_it_are_one_plan(
    rules: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    """From everything to the API to its paths alone: the paths never get a 404, and what is to get one gets it last."""
    forward = {"type": "forward", "target_group": "one"}
    assert verbs(rules(default_action=forward)) == [TURN]
    wanted = rule("api", 110, paths=["/api/v1/*"])
    predicted = rules(wanted, default_action=NOT_FOUND, _check=True)
    assert verbs(predicted) == [CREATE, TURN]
    assert predicted["proof"]["safe"] is True
    before, after = (predicted["diff"][end]["default_action"][0]["type"] for end in ("before", "after"))
    assert (before, after) == ("forward", "fixed_response")
    assert rules(wanted, default_action=NOT_FOUND) == predicted
    assert (edge.forwards(), default_of(edge)) == ({110: "one"}, "404")
    again = rules(wanted, default_action=NOT_FOUND)
    assert (again["steps"], control_plane.calls.writes) == ([], 0)
    assert control_plane.calls.reads <= 4
    back = rules(default_action=forward)
    assert (verbs(back), back["proof"]["safe"]) == ([TURN, DELETE], True)


def test_a_default_action_that_is_not_stated_stays_and_is_shown(rules: Any, edge: Edge) -> None:
    predicted = rules(rule("a", 10), _check=True)
    result = rules(rule("a", 10))
    assert (result["resource"], default_of(edge)) == (predicted["resource"], "404")
    assert result["resource"]["default_action"][0]["status_code"] == 404
    assert result["diff"]["before"]["default_action"] == result["diff"]["after"]["default_action"]


@pytest.mark.parametrize("check", [True, False])
def test_a_default_action_that_cannot_change_without_a_misroute_is_refused(
    check: bool, rules: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    """The one rule that there may be and the default action exchange a path each, both of which stay with group one."""
    edge.make_rule(ours("a", 10, paths=["/x"]))
    rules(rule("a", 10, paths=["/x"]), default_action={"type": "forward", "target_group": "two"})
    wanted = rule("a", 10, "two", paths=["/y"])
    result = rules(wanted, default_action={"type": "forward", "target_group": "one"}, rules_quota=1, _check=check)
    assert result["error"] == "Unsafe"
    assert "GET https://elsewhere.test/" in result["msg"]
    assert (control_plane.calls.writes, edge.forwards(), default_of(edge)) == (0, {10: "one"}, "two")
    roomy = rules(wanted, default_action={"type": "forward", "target_group": "one"}, rules_quota=2, _check=check)
    assert roomy["proof"]["safe"] is True


def test_a_login_in_front_of_the_default_action_stays(rules: Any, edge: Edge, control_plane: ControlPlane) -> None:
    actions = [LOGIN, {"Type": "forward", "TargetGroupArn": edge.groups["one"], "Order": 2}]
    edge.aws.elbv2.modify_listener(ListenerArn=edge.listener, DefaultActions=actions)
    result = rules(rule("a", 10), default_action=NOT_FOUND)
    assert "Default action of edge:443" in result["msg"]
    assert control_plane.calls.writes == 0
    assert verbs(rules(rule("a", 10))) == [CREATE]


# Weights that are not ours to write

HALF = (elb_action.forward({"one": 50, "two": 50}),)
STABLE = (elb_action.forward({"one": 100, "two": 0}),)


def sharing(name: str, priority: int, path: str, **tags: str) -> Rule:
    live = ours(name, priority, paths=[path])
    return replace(live, actions=HALF, tags={**(live.tags or {}), **tags})


def test_a_rule_that_a_running_canary_has_marked_keeps_its_weights_and_its_mark_where_others_come_beside_it() -> None:
    """Its route becomes narrower, and another rule gets what is left."""
    model = Model([sharing("api", 10, "/api/*", **{tagging.CANARY: "mark"})])
    wanted = wanting(rule("api", 10, paths=["/api/v1/*"]), rule("rest", 20, "three", paths=["/api/*"]))
    assert [step.verb for step in model.run(wanted, prove_safe)] == [CREATE, MODIFY]
    api = next(each for each in model.rules if each.priority == 10)
    assert (api.actions, (api.tags or {})[tagging.CANARY]) == (HALF, "mark")
    assert not astray(model, wanted)


def test_where_only_another_rule_in_its_place_would_do_a_running_canary_is_not_discarded() -> None:
    model = Model([sharing("a", 10, "/x", **{tagging.CANARY: "mark"}), ours("b", 20, "three", paths=["/y"])])
    model.rules[1] = replace(model.rules[1], tags={**(model.rules[1].tags or {}), tagging.CANARY: "mark"})
    wanted = wanting(rule("a", 10, "one", paths=["/y"]), rule("b", 20, "three", paths=["/x"]))
    with pytest.raises(Unsafe) as refused:
        model.run(wanted, prove_safe)
    assert "let the canary end first" in refused.value.remedy


@pytest.mark.parametrize("purge", ["owned", "all"])
def test_a_rule_that_a_running_canary_has_marked_is_not_removed_by_being_listed_no_more(
    purge: str, rules: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    api = edge.make_rule(ours("api", 10, paths=["/api"]))
    rules(rule("api", 10, paths=["/api"]), rule("rest", 20, paths=["/rest"]))
    edge.aws.elbv2.add_tags(ResourceArns=[api], Tags=[{"Key": tagging.CANARY, "Value": "mark"}])
    refused = rules(rule("rest", 20, paths=["/rest"]), purge=purge)
    assert "to be removed: api (10), which carries a running canary" in refused["msg"]
    assert control_plane.calls.writes == 0
    edge.aws.elbv2.remove_tags(ResourceArns=[api], TagKeys=[tagging.CANARY])
    assert verbs(rules(rule("rest", 20, paths=["/rest"]), purge=purge)) == [DELETE]


def test_a_rule_that_takes_the_place_of_another_has_its_weights_where_those_are_kept() -> None:
    model = Model([sharing("api", 10, "/api/*"), ours("new", 30, "three", paths=["/x"])])
    api = replace(rule("api", 10, paths=["/x"]), actions=STABLE)
    wanted = wanting(api, rule("new", 30, "three", paths=["/api/*"]), weights="observed")
    assert DELETE in [step.verb for step in model.run(wanted, prove_safe)]
    assert next(each for each in model.rules if each.priority == 10).actions == HALF
    assert not astray(model, wanted)
