"""The planner of alb_rules alone: which steps, in which order, and that no request goes astray between two of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_condition, elb_rules
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rule_plan import plan
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Rule, RuleSet, Transform
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Missing, Observed, Step, holds

from tests.unit.alb_model import GROUPS, NAME, Model, astray, option, ours, rule, theirs, to, wanting

CREATE, MODIFY, ORDER, DELETE = "create_rule", "modify_rule", "set_rule_priorities", "delete_rule"


@dataclass(frozen=True)
class Transition:
    """Live rules, the rules asked for, and the verbs of the steps between them."""

    title: str
    live: tuple[Rule, ...]
    wanted: tuple[Rule, ...]
    verbs: tuple[str, ...]
    policy: dict[str, Any] = field(default_factory=dict)
    leaves: tuple[str, ...] = ()
    """ARNs of live rules that must still be there."""


def transition(title: str, live: Any, wanted: Any, verbs: Any, *leaves: str, **policy: Any) -> Transition:
    return Transition(title, tuple(live), tuple(wanted), tuple(verbs), policy, leaves)


TRANSITIONS = [
    transition("nothing is there, nothing is wanted", [], [], []),
    transition("a rule is added", [], [rule("a", 10)], [CREATE]),
    transition("a rule is as it is wanted", [ours("a", 10)], [rule("a", 10)], []),
    transition("a stranger's rule is as it is wanted", [theirs(10, paths=["/a"])], [rule("a", 10)], []),
    transition("an action changes", [ours("a", 10)], [rule("a", 10, "two")], [MODIFY], "arn-of-a-10"),
    transition(
        "a condition is removed",
        [ours("a", 10, hosts=["h.test"], paths=["/a"])],
        [rule("a", 10, paths=["/a"])],
        [MODIFY],
        "arn-of-a-10",
    ),
    transition(
        "a value is removed from a condition",
        [ours("a", 10, paths=["/a", "/b"])],
        [rule("a", 10, paths=["/a"])],
        [MODIFY],
        "arn-of-a-10",
    ),
    transition("a rule moves", [ours("a", 10)], [rule("a", 20)], [ORDER], "arn-of-a-10"),
    transition(
        "two rules swap their places",
        [ours("a", 10), ours("b", 20)],
        [rule("a", 20), rule("b", 10)],
        [ORDER],
        "arn-of-a-10",
        "arn-of-b-20",
    ),
    transition(
        "two names swap their conditions, which is the same",
        [ours("a", 10, paths=["/x"]), ours("b", 20, paths=["/y"])],
        [rule("a", 10, paths=["/y"]), rule("b", 20, paths=["/x"])],
        [ORDER],
        "arn-of-a-10",
        "arn-of-b-20",
    ),
    transition(
        "three rules move in a ring",
        [ours("a", 10), ours("b", 20), ours("c", 30)],
        [rule("a", 20), rule("b", 30), rule("c", 10)],
        [ORDER],
    ),
    transition("a rule of ours is no longer listed", [ours("a", 10)], [], [DELETE]),
    transition(
        "a rule of ours is no longer listed, purge is none", [ours("a", 10)], [], [], "arn-of-a-10", purge="none"
    ),
    transition("a stranger's rule is not listed", [theirs(10, paths=["/a"])], [], [], "arn-of-stranger-10"),
    transition("a stranger's rule is not listed, purge is all", [theirs(10, paths=["/a"])], [], [DELETE], purge="all"),
    transition(
        "another owner's rule is not listed", [replace(ours("a", 10), tags={"hokusai:managed-by": "else"})], [], []
    ),
    transition(
        "a rule replaces one that is no longer listed, elsewhere",
        [ours("old", 10, "old", paths=["/a/*"])],
        [rule("new", 20, paths=["/a/*", "/b"])],
        [CREATE, ORDER, DELETE],
    ),
    transition(
        "a rule takes the priority of one that is no longer listed",
        [ours("old", 10, "old", paths=["/b"])],
        [rule("new", 10, paths=["/a"])],
        [CREATE, ORDER, DELETE],
    ),
    transition(
        "a rule is no longer listed and stands in front of one that stays",
        [ours("old", 10, "old", paths=["/a"]), ours("a", 20, paths=["/*"])],
        [rule("a", 20, paths=["/*"])],
        [ORDER, DELETE],
    ),
    transition(
        "a rule is no longer listed and stands in front of one that changes",
        [ours("old", 10, "old", paths=["/a"]), ours("a", 20, paths=["/*"])],
        [rule("a", 20, "two", paths=["/*"])],
        [MODIFY, ORDER, DELETE],
        "arn-of-a-20",
    ),
    transition(
        "the incident: Terraform's rule goes to the wrong group and misses a path",
        [theirs(105, "old", paths=["/api/mlflow/*"])],
        [rule("api-mlflow", 105, paths=["/api/mlflow", "/api/mlflow/*"])],
        [MODIFY],
        "arn-of-stranger-105",
    ),
    transition(
        "the incident: Terraform's rule goes to the wrong group",
        [theirs(105, "old", hosts=["registry.test"], paths=["/api/mlflow", "/api/mlflow/*"])],
        [rule("api-mlflow", 105, hosts=["registry.test"], paths=["/api/mlflow", "/api/mlflow/*"])],
        [MODIFY],
        "arn-of-stranger-105",
    ),
    transition(
        "a rule moves up and narrows: it narrows first",
        [ours("k", 10, paths=["/a"]), ours("m", 20, "two", paths=["/*"])],
        [rule("m", 5, "two", paths=["/b"]), rule("k", 10, paths=["/a"])],
        [MODIFY, ORDER],
        "arn-of-m-20",
    ),
    transition(
        "a rule moves down and widens: it moves first",
        [ours("m", 5, "two", paths=["/b"]), ours("k", 10, paths=["/a"])],
        [rule("k", 10, paths=["/a"]), rule("m", 20, "two", paths=["/*"])],
        [ORDER, MODIFY],
        "arn-of-m-5",
    ),
    transition(
        "a path passes from one rule of ours to another: both are replaced",
        [ours("a", 10, paths=["/x"]), ours("b", 20, "two", paths=["/z"])],
        [rule("a", 10, paths=["/y"]), rule("b", 20, "two", paths=["/x"])],
        [CREATE, CREATE, ORDER, DELETE, DELETE],
    ),
    transition(
        "a path passes from one rule of ours to another, purge is none: what was replaced goes nevertheless",
        [ours("a", 10, paths=["/x"]), ours("b", 20, "two", paths=["/z"])],
        [rule("a", 10, paths=["/y"]), rule("b", 20, "two", paths=["/x"])],
        [CREATE, CREATE, ORDER, DELETE, DELETE],
        purge="none",
    ),
    transition(
        "a transform is added",
        [ours("a", 10)],
        [replace(rule("a", 10), transforms=(Transform("url-rewrite", "^/a", "/b"),))],
        [MODIFY],
    ),
    transition(
        "a transform is live that nobody asked for",
        [replace(ours("a", 10), transforms=(Transform("url-rewrite", "^/a", "/b"),))],
        [rule("a", 10)],
        [MODIFY],
    ),
]


def case(each: Transition) -> str:
    return each.title


@pytest.mark.parametrize("each", TRANSITIONS, ids=case)
def test_transition(each: Transition) -> None:
    model, desired = Model(list(each.live)), wanting(*each.wanted, **each.policy)
    predicted = [step.key for step in plan(model.observed(), desired)]
    assert [verb for verb, _why in predicted] == list(each.verbs)
    assert [step.key for step in model.run(desired)] == predicted
    assert astray(model, desired) == []
    live = {(one.priority, one.content) for one in model.rules}
    assert {(one.priority, one.content) for one in each.wanted} <= live
    assert set(each.leaves) <= {one.arn for one in model.rules}


@pytest.mark.parametrize("seed", range(12))
def test_no_request_goes_astray_between_any_two_sets_of_rules(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(25):
        desired = wanting(*random_rules(draw, rule, 1), purge=draw.choice(("owned", "all", "none")))
        strangers = random_rules(draw, lambda name, p, to, **c: theirs(p, to, **c), 40)[: draw.randint(0, 2)]
        if {one.conditions for one in strangers} & {one.conditions for one in desired.rules}:
            continue
        model = Model([*random_rules(draw, ours, 1), *strangers])
        try:
            model.run(desired)
        except BadInput:
            continue
        assert astray(model, desired) == []


def random_rules(draw: random.Random, make: Callable[..., Rule], lowest: int) -> list[Rule]:
    paths = ("/a", "/a/*", "/a/b", "/b", "/b/*", "/*", "/c")
    made: dict[Any, Rule] = {}
    for name, priority in zip("pqrst", draw.sample(range(lowest, lowest + 12), draw.randint(0, 5)), strict=False):
        hosts = {"hosts": [draw.choice(("h.test", "*.test"))]} if draw.random() < 0.3 else {}
        each = make(name, priority, draw.choice(GROUPS), paths=draw.sample(paths, draw.randint(1, 2)), **hosts)
        made.setdefault(each.conditions, each)
    return list(made.values())


def steps(live: list[Rule], *wanted: Rule, elsewhere: int = 0, **policy: Any) -> list[Step]:
    seen = Model(live).observed()
    resource = RuleSet(NAME, tuple(live), elsewhere)
    return list(plan(Observed(resource, seen.ids), wanting(*wanted, **policy)))


def test_independent_rules_are_created_in_one_batch_and_a_broader_one_after_those_before_it() -> None:
    made = steps([], rule("a", 10, paths=["/a/b"]), rule("b", 20, paths=["/a/*"]), rule("c", 30, paths=["/c"]))
    assert [(step.why.split()[1], step.batch) for step in made] == [
        ("a", "create 0"),
        ("c", "create 0"),
        ("b", "create 1"),
    ]


def test_modifications_are_one_batch() -> None:
    live = [ours(name, n) for n, name in enumerate("abcd", 1)]
    made = steps(live, *(rule(name, n, "two") for n, name in enumerate("abcd", 1)))
    assert {(step.verb, step.batch) for step in made} == {(MODIFY, "change")}


def test_a_rule_is_modified_with_whole_lists_of_what_differs_and_nothing_else() -> None:
    [step] = steps([ours("a", 10, hosts=["h.test"], paths=["/a"])], rule("a", 10, paths=["/a"]))
    assert step.args == {
        "RuleArn": "arn-of-a-10",
        "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a"]}}],
    }
    assert step.why == f"rule a of {NAME}: host h.test and path /a becomes path /a"


def test_a_transform_that_is_not_asked_for_is_reset() -> None:
    live = replace(ours("a", 10), transforms=(Transform("url-rewrite", "x", "y"),))
    [step] = steps([live], rule("a", 10))
    assert step.args == {"RuleArn": "arn-of-a-10", "ResetTransforms": True}


def test_a_created_rule_carries_its_tags() -> None:
    [step] = steps([], replace(rule("a", 10), tags={"team": "ml"}), owner="me")
    assert {tag["Key"]: tag["Value"] for tag in step.args["Tags"]} == {
        "hokusai:managed-by": "me",
        "hokusai:name": "a",
        "team": "ml",
    }


def test_a_rule_to_a_group_that_does_not_exist_is_planned_with_the_group_missing() -> None:
    [step] = steps([], rule("a", 10, "nowhere"))
    [missing] = holds(step.args, Missing)
    assert missing.what == "nowhere"
    assert "alb_target_group" in missing.remedy


def test_a_priority_that_a_stranger_holds_is_refused_and_both_are_named() -> None:
    with pytest.raises(BadInput, match=r"a wants 10, held by \[path /else\]"):
        steps([theirs(10, paths=["/else"])], rule("a", 10))


BROADER: list[tuple[str, dict[str, Any]]] = [
    ("host and path", {"hosts": ["*.hokus.ai"], "paths": ["/*"]}),
    ("path", {"hosts": ["registry.hokus.ai"], "paths": ["/health*", "/other"]}),
    ("host", {"hosts": ["registry.hokus.ai", "else.hokus.ai"], "paths": ["/health*"]}),
    ("no condition on the path", {"hosts": ["registry.hokus.ai"]}),
    ("another kind of condition", {"hosts": ["registry.hokus.ai"], "paths": ["/health*"], "methods": ["GET"]}),
]


@pytest.mark.parametrize(("what", "conditions"), BROADER, ids=[row[0] for row in BROADER])
def test_a_strangers_rule_that_answers_more_is_not_taken_over_by_its_priority(what: str, conditions: Any) -> None:
    with pytest.raises(BadInput, match=r"health wants 120, held by \[host .*\] \(forward to old\)") as error:
        steps([theirs(120, "old", **conditions)], rule("health", 120, hosts=["registry.hokus.ai"], paths=["/health*"]))
    assert "only adopted when" in error.value.remedy


def test_a_rule_of_another_task_that_answers_more_is_not_taken_over_by_its_priority() -> None:
    with pytest.raises(BadInput, match="b wants 10, held by a"):
        steps([ours("a", 10, paths=["/*"])], rule("b", 10, paths=["/b"]), purge="none")


LOCKS = ("authenticate-oidc", "authenticate-cognito", "jwt-validation")


def locked(live: Rule, kind: str) -> Rule:
    return replace(live, actions=(elb_action.Foreign(kind, "{}"), *live.actions))


@pytest.mark.parametrize("kind", LOCKS)
@pytest.mark.parametrize("paths", [["/a"], ["/a", "/b"]], ids=["equal conditions", "equal priority"])
def test_an_authentication_on_a_strangers_rule_is_never_dropped(kind: str, paths: list[str]) -> None:
    with pytest.raises(
        BadInput, match=rf"Rule a of {NAME}: the live rule 10 \(path /a\) .* action {kind} would"
    ) as error:
        steps([locked(theirs(10, paths=["/a"]), kind)], rule("a", 10, paths=paths))
    assert "take that action off" in error.value.remedy


def test_an_authentication_on_a_strangers_rule_that_is_not_listed_is_no_matter() -> None:
    stranger = locked(theirs(5, paths=["/s"]), LOCKS[0])
    assert [step.verb for step in steps([stranger, ours("a", 10)], rule("a", 10, "two"))] == [MODIFY]


def test_an_authentication_that_appeared_on_a_rule_of_ours_is_a_difference_like_any_other() -> None:
    [step] = steps([locked(ours("a", 10), LOCKS[0])], rule("a", 10))
    assert step.why == f"rule a of {NAME}: authenticate-oidc then forward to one becomes forward to one"


def test_a_priority_held_by_a_rule_that_purge_spares_is_refused() -> None:
    with pytest.raises(BadInput, match="b wants 10, held by a"):
        steps([ours("a", 10)], rule("b", 10, paths=["/b"]), purge="none")


def test_a_rule_that_may_not_be_adopted_is_in_the_way() -> None:
    with pytest.raises(BadInput, match="held by"):
        steps([theirs(10, "old", paths=["/a"])], rule("a", 10), adopt=False)


def test_another_owners_rule_is_never_changed() -> None:
    others = replace(ours("a", 10, "old"), tags={"hokusai:managed-by": "someone"})
    with pytest.raises(BadInput, match="held by"):
        steps([others], rule("a", 10))


def test_the_quota_counts_the_moment_in_which_old_and_new_rules_are_both_there() -> None:
    live = [ours(f"a{n}", n) for n in range(1, 91)]
    kept = [rule(f"a{n}", n) for n in range(1, 90)]
    assert len(steps(live, *kept, rule("new", 200), elsewhere=9)) == 2
    with pytest.raises(BadInput, match=r"has 100 rules, and 1 more \(new\) would exceed the quota of 100"):
        steps(live, *kept, rule("new", 200), elsewhere=10)
    assert len(steps(live, *kept, rule("new", 200), elsewhere=10, quota=200)) == 2


def test_at_the_quota_dependent_changes_are_made_in_place() -> None:
    live = [ours("a", 10, paths=["/x"]), ours("b", 20, "two", paths=["/z"])]
    wanted = (rule("a", 10, paths=["/y"]), rule("b", 20, "two", paths=["/x"]))
    assert {step.verb for step in steps(live, *wanted, quota=2)} == {MODIFY}


def weighted(name: str, priority: int, **weights: int) -> Rule:
    return replace(rule(name, priority), actions=(elb_action.forward(weights),))


def test_weights_that_a_canary_owns_are_left_alone_when_asked() -> None:
    live = replace(weighted("a", 10, one=90, two=10), arn="arn", tags=ours("a", 10).tags)
    assert steps([live], weighted("a", 10, one=100, two=0), weights="observed") == []
    assert len(steps([live], weighted("a", 10, one=100, two=0))) == 1


def test_observed_weights_do_not_hide_another_set_of_groups() -> None:
    live = replace(weighted("a", 10, one=90, two=10), arn="arn", tags=ours("a", 10).tags)
    assert len(steps([live], weighted("a", 10, one=1, three=1), weights="observed")) == 1


def test_the_state_after_a_plan_has_ours_and_the_strangers_that_stay() -> None:
    current = RuleSet(NAME, (theirs(1, paths=["/s"]), ours("gone", 2), ours("a", 10)))
    after = wanting(rule("a", 20), rule("new", 30)).over(current)
    assert [(str(one), one.priority) for one in after.shown()["rules"]] == [("[path /s]", 1), ("a", 20), ("new", 30)]


BAD_RULES = [
    ({"priority": 0}, "priority 0 is out of range"),
    ({"priority": 50001}, "priority 50001 is out of range"),
    ({"paths": []}, "it has no condition"),
    ({"paths": [f"/{n}" for n in range(6)]}, "6 condition values"),
    ({"paths": ["/*/*/*/*"], "hosts": ["*.*.*"]}, "7 wildcards"),
    ({"paths": ["/a"], "path_regexes": ["^/a"]}, "both paths and path_regexes"),
    ({"transforms": [{"type": "url_rewrite", "regex": r, "replace": ""} for r in "ab"]}, "two transforms of one type"),
    ({"action": {"type": "forward", "target_groups": [{"name": f"g{n}", "weight": 1} for n in range(6)]}}, "6 target"),
]


@pytest.mark.parametrize(("change", "problem"), BAD_RULES, ids=[problem for _change, problem in BAD_RULES])
def test_what_aws_would_refuse_is_refused_with_the_rules_name(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadInput, match=f"Rule api of {NAME}: {problem}") as error:
        elb_rules.desired({**option("api", 10), **change}, NAME)
    assert error.value.remedy


def test_six_wildcards_are_a_rule() -> None:
    given = {**option("api", 10), "paths": ["/*/*/*"], "hosts": ["*.*.*"]}
    assert elb_condition.wildcards(elb_rules.desired(given, NAME).conditions) == 6


@pytest.mark.parametrize(
    ("what", "one", "other"),
    [
        ("name", rule("a", 1, paths=["/x"]), rule("a", 2, paths=["/y"])),
        ("priority", rule("a", 1), rule("b", 1)),
        ("set of conditions", rule("a", 1, paths=["/x"]), rule("b", 2, paths=["/x"])),
    ],
)
def test_rules_that_cannot_both_be_are_refused(what: str, one: Rule, other: Rule) -> None:
    with pytest.raises(BadInput, match=f"have the same {what}"):
        elb_rules.refuse_clashes([one, other], NAME)


def turned(live: list[Rule], was: str, becomes: str, *wanted: Rule) -> list[str]:
    """The verbs that lead from one default action and its rules to others; no request goes astray."""
    model, desired = Model(live, to(was)), wanting(*wanted, default=to(becomes))
    predicted = [step.key for step in plan(model.observed(), desired)]
    taken = model.run(desired)
    assert [step.key for step in taken] == predicted
    assert astray(model, desired) == []
    assert model.default == to(becomes)
    return [step.verb for step in taken]


TURN = "modify_listener"


def test_rules_that_take_over_from_a_default_action_come_before_it_changes() -> None:
    assert turned([], "one", "old", rule("a", 10), rule("b", 20)) == [CREATE, CREATE, TURN]


def test_rules_that_a_default_action_takes_over_from_go_after_it_has_changed() -> None:
    assert turned([ours("a", 10), ours("b", 20)], "old", "one") == [TURN, DELETE, DELETE]


def test_a_default_action_changes_between_the_rules_that_come_and_those_that_go() -> None:
    live = [ours("gone", 10, "old", paths=["/old"])]
    assert turned(live, "one", "old", rule("new", 20, paths=["/new"])) == [CREATE, TURN, DELETE]


def test_rules_of_ours_keep_their_arns_where_a_default_action_leaves_them_alone() -> None:
    assert turned([ours("a", 10)], "one", "two", rule("a", 10, "two")) == [MODIFY, TURN]
    assert turned([ours("a", 10, paths=["/a"])], "one", "two", rule("a", 10, paths=["/a", "/b"])) == [MODIFY, TURN]


def test_a_rule_that_narrows_does_so_after_the_default_action_that_takes_over() -> None:
    live = [ours("a", 10, "two", paths=["/a", "/b"])]
    assert turned(live, "one", "two", rule("a", 10, "two", paths=["/a"])) == [TURN, MODIFY]


def test_a_rule_of_ours_that_trades_a_path_with_the_default_action_is_replaced() -> None:
    live = [ours("a", 10, paths=["/x"])]
    assert turned(live, "two", "one", rule("a", 10, "two", paths=["/y"])) == [CREATE, ORDER, TURN, DELETE]


def test_an_authentication_in_a_default_action_is_never_dropped() -> None:
    model = Model([], (elb_action.Foreign(LOCKS[0], "{}"), *to("one")))
    with pytest.raises(BadInput, match=f"Default action of {NAME}: .*{LOCKS[0]}"):
        list(plan(model.observed(), wanting(rule("a", 10), default=to("two"))))
    assert [step.verb for step in plan(model.observed(), wanting(rule("a", 10)))] == [CREATE]


def test_a_listener_that_is_yet_to_be_made_comes_with_its_default_action() -> None:
    seen = Model([]).observed()
    assert [s.verb for s in plan(Observed(None, seen.ids), wanting(rule("a", 10), default=to("two")))] == [CREATE]
