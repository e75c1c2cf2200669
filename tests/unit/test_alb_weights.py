"""alb_weights: the canary's share of every rule, and all as it was once it is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import canary_routes, elb_action, elb_rules
from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.canary import UNDOING, Seen, Step, state
from ansible_collections.hokusai.platform.plugins.module_utils.canary_routes import Pair
from ansible_collections.hokusai.platform.plugins.modules import alb_rules
from ansible_collections.hokusai.platform.plugins.modules.alb_weights import main

from sandbox.controlplane import ControlPlane
from sandbox.controlplane.clock import CLOCK
from sandbox.controlplane.faults import Fault
from sandbox.world import World
from tests.unit.alb_edge import BALANCER, PORT, Edge, as_options
from tests.unit.alb_model import LOGIN, rule
from tests.unit.conftest import RunModule

SINCE, LATER = "2026-11-21T15:00:00Z", "2026-11-21T15:05:00Z"
WHO = {"canary": "api-canary", "target_groups": [{"stable": "one", "canary": "three"}]}
ABSENT = {**WHO, "state": "absent"}
MARK, WEIGH, UNMARK = "add_tags", "modify_rule", "remove_tags"
Snapshot = list[dict[str, Any]]


def share(weight: int, **more: Any) -> dict[str, Any]:
    return {**WHO, "weight": weight, "since": SINCE, **more}


@pytest.fixture
def routes(edge: Edge, control_plane: ControlPlane) -> Edge:
    """Two rules to `one`, the second sticky, and one to `two`; `three`, the canary's, has a healthy target."""
    edge.make_rule(replace(rule("a", 10), tags={"team": "ml"}))
    edge.make_rule(replace(rule("b", 20), actions=(elb_action.forward({"one": 1}, 3600),)))
    edge.make_rule(rule("c", 30, "two"))
    world = World(control_plane)
    world.register_target(edge.groups["three"], "10.0.0.9", 8001)
    world.set_target_health(edge.groups["three"], "10.0.0.9", 8001, "healthy")
    return edge


@pytest.fixture
def canary(routes: Edge, weigh: Callable[..., list[str]]) -> Edge:
    """With the canary in both rules, so that its target counts, and no requests for it yet."""
    weigh(share(0))
    return routes


@pytest.fixture
def weigh(run_module: RunModule) -> Callable[..., list[str]]:
    """Run the module, want success, and give the verbs of its steps; a second run must find nothing to do."""

    def run(options: dict[str, Any]) -> list[str]:
        result = run_module(main, **options)
        assert not result.get("failed"), result
        assert run_module(main, **options)["steps"] == []
        return [step["verb"] for step in result["steps"]]

    return run


def snapshot(edge: Edge) -> Snapshot:
    """All that AWS says of the rules, tags included."""
    rules = edge.rules()
    tags = edge.aws.elbv2.describe_tags(ResourceArns=[each["RuleArn"] for each in rules])["TagDescriptions"]
    return [*rules, *tags]


def shares(edge: Edge) -> dict[int, dict[str, int]]:
    """Weights by group, by priority."""
    return {each.priority: dict(each.actions[-1].weights) for each in map(elb_rules.from_aws, edge.rules())}


def marks(edge: Edge) -> list[str]:
    """The marks in the order of the rules; "" for a rule without one."""
    described = edge.aws.elbv2.describe_tags(ResourceArns=[each["RuleArn"] for each in edge.rules()])["TagDescriptions"]
    return [tagging.from_aws(each["Tags"]).get(tagging.CANARY, "") for each in described]


# what was done before, what is asked for, and the steps it takes
TABLE: dict[str, tuple[list[dict[str, Any]], dict[str, Any], list[str]]] = {
    "a part of nothing marks the rules first": ([], share(0), [MARK, MARK, WEIGH, WEIGH]),
    "the first weight": ([share(0)], share(5), [WEIGH, WEIGH]),
    "a weight there already": ([share(0), share(5)], share(5), []),
    "a weight there already, since whenever": ([share(0), share(5)], {**WHO, "weight": 5}, []),
    "the next step": ([share(0), share(5)], share(25, since=LATER), [MARK, MARK, WEIGH, WEIGH]),
    "the same step anew": ([share(0), share(5)], share(5, since=LATER), [MARK, MARK]),
    "a phase alone": ([share(0), share(100)], share(100, phase="promote"), [MARK, MARK]),
    "taken back": ([share(0), share(25)], ABSENT, [MARK, MARK, WEIGH, WEIGH, UNMARK]),
    "taken back twice": ([share(0), share(25), ABSENT], ABSENT, []),
    "nothing to take back": ([], ABSENT, []),
}


@pytest.mark.parametrize("case", TABLE)
def test_each_transition_is_foretold_takes_its_steps_and_then_none(
    case: str, routes: Edge, run_module: RunModule, weigh: Callable[..., list[str]]
) -> None:
    before, wanted, steps = TABLE[case]
    for each in before:
        weigh(each)
    was = snapshot(routes)
    assert [step["verb"] for step in run_module(main, _check=True, **wanted)["steps"]] == steps
    assert snapshot(routes) == was
    assert weigh(wanted) == steps


def test_every_rule_to_the_stable_group_gets_the_weight_and_no_other(
    canary: Edge, weigh: Callable[..., list[str]]
) -> None:
    weigh(share(5))
    assert shares(canary) == {10: {"one": 95, "three": 5}, 20: {"one": 95, "three": 5}, 30: {"two": 1}}


def test_no_client_sticks_to_a_group_meanwhile_and_the_mark_remembers(
    canary: Edge, weigh: Callable[..., list[str]]
) -> None:
    weigh(share(5))
    assert [elb_rules.from_aws(each).actions[0].stickiness for each in canary.rules()] == [0, 0, 0]
    assert marks(canary) == [
        f"api-canary phase=bake since={SINCE} stickiness=0",
        f"api-canary phase=bake since={SINCE} stickiness=3600",
        "",
    ]


def test_afterwards_aws_says_what_it_said_before(routes: Edge, weigh: Callable[..., list[str]]) -> None:
    before = snapshot(routes)
    for options in (share(0), share(5), share(100, phase="promote"), ABSENT):
        weigh(options)
    assert snapshot(routes) == before


def test_what_was_cut_off_on_the_way_is_completed(canary: Edge, weigh: Callable[..., list[str]]) -> None:
    """The mark is written, the weights of one rule are not."""
    weigh(share(5))
    first = canary.rules()[0]["RuleArn"]
    alone = {"TargetGroups": [{"TargetGroupArn": canary.groups["one"], "Weight": 1}]}
    canary.aws.elbv2.modify_rule(RuleArn=first, Actions=[{"Type": "forward", "ForwardConfig": alone}])
    assert weigh(share(5)) == [WEIGH]
    assert shares(canary)[10] == {"one": 95, "three": 5}


def test_a_step_begins_by_the_clock_of_aws_and_once(
    canary: Edge, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine's clock is 200 s fast, and each look takes two more seconds."""
    monkeypatch.setattr(CLOCK, "offset", -200.0)
    read, before = canary_routes.read, CLOCK.datetime().replace(microsecond=0)

    def read_slowly(*args: Any) -> Any:
        CLOCK.offset += 2
        return read(*args)

    monkeypatch.setattr(canary_routes, "read", read_slowly)
    result = run_module(main, **share(5, since="now"))
    assert [step["verb"] for step in result["steps"]] == [MARK, MARK, WEIGH, WEIGH]
    since = result["resource"]["since"]
    assert [since in mark for mark in marks(canary)[:2]] == [True, True]
    assert before <= datetime.fromisoformat(since).replace(tzinfo=None) <= CLOCK.datetime()


@pytest.mark.parametrize("lands", [MARK, WEIGH])
def test_whatever_lands_of_a_way_back_says_that_it_goes_back(
    lands: str, canary: Edge, control_plane: ControlPlane, run_module: RunModule, weigh: Callable[..., list[str]]
) -> None:
    """All writes of the other kind are refused: the canary is not to be taken for one that is running."""
    weigh(share(25))
    other = {MARK: "elbv2:ModifyRule", WEIGH: "elbv2:AddTags"}[lands]
    control_plane.faults.replace([Fault.parse({"match": other, "code": "AccessDenied", "status": 403, "times": 99})])
    result = run_module(main, **ABSENT)
    assert (result["error"], {step["verb"] for step in result["steps_done"]}) == ("AwsError", {lands})
    assert len(result["steps_done"]) == 2
    rules, _ids = canary_routes.read(canary.aws, [Pair("one", "three")])
    seen = Seen(tuple(each.route for each in rules), ("three",), service=True)
    assert state(seen, "api-canary", (Step(25, 1), Step(100, 1))).kind == UNDOING
    control_plane.faults.replace([])
    weigh(ABSENT)
    assert (shares(canary), marks(canary)) == ({10: {"one": 1}, 20: {"one": 1}, 30: {"two": 1}}, ["", "", ""])


def test_the_marks_of_a_way_back_keep_what_the_rules_were_like(
    canary: Edge, control_plane: ControlPlane, run_module: RunModule, weigh: Callable[..., list[str]]
) -> None:
    weigh(share(25))
    control_plane.faults.replace(
        [Fault.parse({"match": "elbv2:ModifyRule", "code": "AccessDenied", "status": 403, "times": 99})]
    )
    run_module(main, **ABSENT)
    assert marks(canary) == [
        f"api-canary phase=back since={SINCE} stickiness=0",
        f"api-canary phase=back since={SINCE} stickiness=3600",
        "",
    ]


def test_a_login_in_front_of_the_forward_stays(canary: Edge, weigh: Callable[..., list[str]]) -> None:
    forward = {"Type": "forward", "Order": 2, "TargetGroupArn": canary.groups["one"]}
    canary.aws.elbv2.modify_rule(RuleArn=canary.rules()[0]["RuleArn"], Actions=[LOGIN, forward])
    weigh(share(5))
    login = canary.rules()[0]["Actions"][0]
    assert login["Type"] == "authenticate-oidc"
    assert login["AuthenticateOidcConfig"]["UseExistingClientSecret"] in (True, "true")
    weigh(ABSENT)
    assert [each["Type"] for each in canary.rules()[0]["Actions"]] == ["authenticate-oidc", "forward"]


def refused(run_module: RunModule, options: dict[str, Any]) -> str:
    result = run_module(main, **options)
    assert result.get("failed"), result
    assert result["error"] in {"BadInput", "NotFound"}
    assert "steps_done" not in result
    return str(result["msg"])


def test_a_group_without_a_healthy_target_gets_no_requests(
    canary: Edge, control_plane: ControlPlane, run_module: RunModule, weigh: Callable[..., list[str]]
) -> None:
    weigh(share(5))
    World(control_plane).set_target_health(canary.groups["three"], "10.0.0.9", 8001, "unhealthy")
    was = snapshot(canary)
    assert "three has no healthy target" in refused(run_module, share(25))
    assert snapshot(canary) == was


def test_the_way_back_asks_nothing_of_the_targets(
    canary: Edge, control_plane: ControlPlane, weigh: Callable[..., list[str]]
) -> None:
    weigh(share(5))
    World(control_plane).set_target_health(canary.groups["three"], "10.0.0.9", 8001, "unhealthy")
    weigh(ABSENT)
    assert shares(canary) == {10: {"one": 1}, 20: {"one": 1}, 30: {"two": 1}}


def test_a_rule_that_forwards_elsewhere_too_is_somebody_elses(routes: Edge, run_module: RunModule) -> None:
    routes.make_rule(replace(rule("d", 40), actions=(elb_action.forward({"one": 90, "old": 10}),)))
    was = snapshot(routes)
    assert "rule 40 forwards to old as well" in refused(run_module, share(5))
    assert snapshot(routes) == was


def test_the_way_back_leaves_the_share_of_a_group_that_somebody_added(
    canary: Edge, weigh: Callable[..., list[str]]
) -> None:
    weigh(share(25))
    split = elb_action.forward({"one": 75, "three": 25, "two": 200})
    forward = elb_action.to_aws(split, canary.groups.__getitem__)
    canary.aws.elbv2.modify_rule(RuleArn=canary.rules()[0]["RuleArn"], Actions=[forward])
    weigh(ABSENT)
    assert shares(canary) == {10: {"one": 100, "two": 200}, 20: {"one": 1}, 30: {"two": 1}}
    assert marks(canary) == ["", "", ""]


@pytest.mark.parametrize("options", [share(5), ABSENT])
def test_another_canary_is_left_alone(
    options: dict[str, Any], canary: Edge, run_module: RunModule, weigh: Callable[..., list[str]]
) -> None:
    weigh(ABSENT)
    weigh(share(0, canary="other"))
    was = snapshot(canary)
    assert "carries the canary other" in refused(run_module, options)
    assert snapshot(canary) == was


def test_sticky_targets_are_refused(routes: Edge, run_module: RunModule) -> None:
    sticky = [{"Key": "stickiness.enabled", "Value": "true"}]
    routes.aws.elbv2.modify_target_group_attributes(TargetGroupArn=routes.groups["one"], Attributes=sticky)
    assert "one keeps clients with one target" in refused(run_module, share(5))


def test_a_start_is_foretold_before_the_canarys_group_is_made(routes: Edge, run_module: RunModule) -> None:
    early = {**share(0), "target_groups": [{"stable": "one", "canary": "unmade"}]}
    result = run_module(main, _check=True, **early)
    assert [step["verb"] for step in result["steps"]] == [MARK, MARK, WEIGH, WEIGH]
    routes.make_rule(replace(rule("d", 40), actions=(elb_action.forward({"one": 90, "old": 10}),)))
    result = run_module(main, _check=True, **early)
    assert "rule 40 forwards to old as well" in result["msg"]


def test_a_stable_group_must_be_there_and_used(routes: Edge, run_module: RunModule) -> None:
    nowhere = {**WHO, "target_groups": [{"stable": "nowhere", "canary": "three"}], "weight": 0}
    assert "There is no target group nowhere" in refused(run_module, nowhere)
    idle = {**WHO, "target_groups": [{"stable": "old", "canary": "three"}], "weight": 0}
    assert "No rule forwards" in refused(run_module, idle)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (share(101), "no percentage"),
        (share(-1), "no percentage"),
        (share(5, since="yesterday"), "no moment in UTC"),
        (share(5, target_groups=[]), "target_groups is empty"),
    ],
)
def test_bad_input_is_refused(options: dict[str, Any], text: str, routes: Edge, run_module: RunModule) -> None:
    assert text in refused(run_module, options)


# alb_rules


def rules_of_the_platform(run_module: RunModule) -> list[dict[str, Any]]:
    """The steps that alb_rules takes to the rules without a canary."""
    wanted = [rule("a", 10), rule("b", 20), rule("c", 30, "two")]
    result = run_module(alb_rules.main, load_balancer=BALANCER, port=PORT, rules=as_options(wanted))
    assert not result.get("failed"), result
    return list(result["steps"])


def test_alb_rules_leaves_the_weights_of_a_running_canary_alone(
    canary: Edge, run_module: RunModule, weigh: Callable[..., list[str]]
) -> None:
    rules_of_the_platform(run_module)
    weigh(share(25))
    was = snapshot(canary)
    assert rules_of_the_platform(run_module) == []
    assert snapshot(canary) == was


def test_alb_rules_sets_weights_that_no_canary_owns(
    canary: Edge, run_module: RunModule, weigh: Callable[..., list[str]]
) -> None:
    weigh(share(25))
    arns = [each["RuleArn"] for each in canary.rules()]
    canary.aws.elbv2.remove_tags(ResourceArns=arns, TagKeys=[tagging.CANARY])
    assert {step["verb"] for step in rules_of_the_platform(run_module)} == {"modify_rule"}
    assert shares(canary) == {10: {"one": 1}, 20: {"one": 1}, 30: {"two": 1}}


def test_alb_rules_still_sends_a_rule_elsewhere_when_that_is_asked_for(
    canary: Edge, run_module: RunModule, weigh: Callable[..., list[str]]
) -> None:
    """A canary of `one` has no say about a route that is to lead to `two`."""
    weigh(share(25))
    elsewhere = as_options([rule("a", 10, "two")])
    result = run_module(alb_rules.main, load_balancer=BALANCER, port=PORT, rules=elsewhere, purge="none")
    assert not result.get("failed"), result
    assert shares(canary)[10] == {"two": 1}
