"""The proof says of a plan what trying it out says, of every order inside a batch; and the planner's plans are safe."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_condition
from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rule_plan import LISTENER, plan, prove_safe
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Rule, RuleSet, default_rule
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, Unsafe
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Later, Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.routing import Request
from ansible_collections.hokusai.platform.plugins.module_utils.routing_proof import prove
from ansible_collections.hokusai.platform.plugins.module_utils.runner import batches
from ansible_collections.hokusai.platform.plugins.modules import alb_rules

from tests.bench.rules import scene
from tests.reliability.counts import RULE_SETS
from tests.unit import rule_sets
from tests.unit.alb_dataplane import answer, listener
from tests.unit.alb_model import GROUPS, NAME, Model, arn, ours, rule, theirs, to, wanting


def delete(given: Rule, batch: str = "") -> Step:
    return Step("delete_rule", {"RuleArn": given.arn}, f"rule {given} goes", batch)


def forward(given: Rule, group: str, batch: str = "") -> Step:
    actions = [elb_action.to_aws(elb_action.forward({group: 1}), arn)]
    return Step("modify_rule", {"RuleArn": given.arn, "Actions": actions}, f"rule {given} to {group}", batch)


def move(**priorities: int) -> Step:
    listed = [{"RuleArn": arn.replace("_", "-"), "Priority": priority} for arn, priority in priorities.items()]
    return Step("set_rule_priorities", {"RulePriorities": listed}, "order")


NARROW, WIDE, OTHER = ours("n", 10, "two", paths=["/a/b"]), ours("w", 20, paths=["/a/*"]), ours("o", 30, paths=["/o"])


def test_one_step_leaves_nothing_in_between() -> None:
    proof = prove([NARROW, WIDE], [delete(NARROW)])
    assert proof.shown() == {"safe": True, "classes": 0, "states": 2, "reason": ""}


def test_a_request_that_falls_through_to_another_rule_goes_astray() -> None:
    wide = replace(WIDE, priority=5)
    steps = [delete(NARROW), forward(WIDE, "two")]
    proof = prove([NARROW, WIDE], steps)
    assert proof.astray is not None
    assert not proof.safe
    assert proof.astray.request.path == "/a/b"
    assert str(proof.astray).startswith(
        "GET https://elsewhere.test/a/b gets forward to two now and forward to two in the end, but meanwhile forward "
        "to one (delete_rule: rule n goes)"
    )
    assert prove([NARROW, WIDE], steps[::-1]).safe
    assert prove([NARROW, wide], steps).safe


def test_in_a_batch_any_step_may_be_the_first() -> None:
    steps = [forward(WIDE, "two", "b"), delete(NARROW, "b")]
    assert prove([NARROW, WIDE], [replace(step, batch="") for step in steps]).safe
    assert prove([NARROW, WIDE], steps).astray


def test_a_batch_that_is_safe_is_one_state_between_the_ends() -> None:
    steps = [forward(NARROW, "old", "b"), forward(OTHER, "two", "b")]
    assert prove([NARROW, WIDE, OTHER], steps).shown() == {"safe": True, "classes": 4, "states": 3, "reason": ""}


def test_rules_move_all_at_once() -> None:
    live = [NARROW, WIDE]
    swap = move(**{NARROW.arn.replace("-", "_"): 20, WIDE.arn.replace("-", "_"): 10})
    assert prove([*live, OTHER], [swap, forward(OTHER, "two")]).safe
    assert prove([*live, OTHER], [forward(OTHER, "two"), swap, forward(WIDE, "old")]).astray


def test_where_regular_expressions_meet_is_not_known_and_said() -> None:
    one, other = ours("a", 10, path_regexes=["^/a"]), ours("b", 20, "two", path_regexes=["b$"])
    proof = prove([one, other], [forward(one, "old"), forward(other, "old"), forward(one, "three")])
    assert proof.shown()["safe"] is False
    assert proof.astray is None
    assert "path ^/a" in proof.reason
    assert "^/a" in next(iter(proof.concerns()))


def test_a_regular_expression_that_never_changes_hands_is_no_matter() -> None:
    live = [ours("a", 10, path_regexes=["^/a"]), OTHER, NARROW]
    assert prove(live, [forward(OTHER, "two"), forward(live[0], "two")]).safe


def test_a_step_of_which_the_effect_is_not_known_is_not_proved() -> None:
    for verb, args in (("delete_listener", {}), ("modify_listener", {"DefaultActions": []})):
        proof = prove([NARROW], [Step(verb, args, "else"), delete(NARROW)])
        assert not proof.safe
        assert verb.partition("_")[2] in proof.reason or "default action" in proof.reason


def test_steps_that_concern_the_same_new_name_or_a_rule_that_is_gone_are_not_proved() -> None:
    made = Step("create_rule", {"Priority": 1, "Conditions": [], "Actions": []}, "nameless")
    assert "same name" in prove([NARROW], [made, made, delete(NARROW)]).reason
    assert "not there" in prove([NARROW], [delete(NARROW), forward(NARROW, "two")]).reason


@pytest.mark.parametrize("verb", ["add_tags", "remove_tags", "modify_listener_attributes", "modify_listener"])
def test_a_write_that_routes_nothing_otherwise_is_no_matter(verb: str) -> None:
    steps = [delete(NARROW), Step(verb, {"Port": 443}, "beside"), forward(OTHER, "two")]
    assert prove([NARROW, WIDE, OTHER], steps).safe


def turn(group: str) -> Step:
    actions = [elb_action.to_aws(elb_action.forward({group: 1}), arn)]
    return Step("modify_listener", {"ListenerArn": "l", "DefaultActions": actions}, f"default to {group}")


def test_a_request_that_falls_to_a_default_action_which_is_yet_to_change_goes_astray() -> None:
    live = [OTHER, default_rule(to("old"))]
    proof = prove(live, [delete(OTHER), turn("one")])
    assert str(proof.astray).startswith(
        "GET https://elsewhere.test/o gets forward to one now and forward to one in the end, "
        "but meanwhile forward to old"
    )
    assert prove(live, [turn("one"), delete(OTHER)]).safe


def test_a_default_action_that_does_the_same_as_a_rule_leads_nobody_astray() -> None:
    again = {
        "Priority": 30,
        "Conditions": elb_condition.to_aws(OTHER.conditions),
        "Actions": [elb_action.to_aws(to("one")[0], arn)],
    }
    steps = [delete(OTHER), Step("create_rule", again, "o again")]
    assert prove([OTHER, default_rule(to("one"))], steps).safe
    assert prove([OTHER, default_rule(to("two"))], steps).astray


# --- beside trying it out


def strays(live: Sequence[Rule], steps: Sequence[Step], requests: Sequence[Request]) -> Iterator[Request]:
    """Requests that get neither the first nor the last answer in some state; every set of a batch's steps is tried.

    The sandbox's load balancers answer them: by the code that the proof is made with, both might be wrong alike.
    """
    start = {each.arn: each for each in live}
    states = [start]
    for batch in batches(steps):
        before = states[-1]
        for count in range(len(batch) + 1):
            states += [made(before, some) for some in itertools.combinations(batch, count)]
    listeners = [listener(state.values()) for state in states]
    for request in requests:
        answers = [answer(each, request) for each in listeners]
        if any(each not in (answers[0], answers[-1]) for each in answers):
            yield request


def made(state: dict[Any, Rule], steps: Sequence[Step]) -> dict[Any, Rule]:
    model = Model(list(state.values()))
    for step in steps:
        getattr(model, f"_{step.verb}")(step.args)
    return {(Later(each.name) if each.arn.startswith("arn-of-new") else each.arn): each for each in model.rules}


def shuffled(draw: random.Random, steps: Sequence[Step]) -> list[Step]:
    """The steps in any order, in batches of any size, without what needs another step before it."""
    apart = [step for step in steps if step.verb in ("create_rule", "modify_rule", "delete_rule")]
    draw.shuffle(apart)
    sizes = iter(lambda: draw.randint(1, 3), 0)
    return [replace(step, batch=f"{next(sizes)}" if draw.random() < 0.6 else "") for step in apart]


def others(draw: random.Random) -> tuple[list[Rule], list[Rule]]:
    live = rule_sets.rules(draw, ours, regexes=False, most=4)
    return live, [replace(each, priority=each.priority + 20) for each in rule_sets.rules(draw, rule, most=4)]


def akin(draw: random.Random) -> tuple[list[Rule], list[Rule]]:
    """Rules of one target group, and some of them again: they differ in weights, stickiness and rewrites alone."""
    drawn = rule_sets.rules(draw, lambda name, priority, _to, **given: ours(name, priority, **given), regexes=False)
    live, wanted = ([rule_sets.rerouted(draw, each, chance=0.8) for each in drawn] for _ in range(2))
    return live, [each for each in wanted if draw.random() < 0.7]


@pytest.mark.parametrize("drawn", [others, akin])
def test_the_proof_of_any_steps_in_any_order_is_what_trying_them_out_says(
    drawn: Callable[[random.Random], tuple[list[Rule], list[Rule]]],
) -> None:
    draw = random.Random(17)
    counts = {True: 0, False: 0}
    for _ in range(RULE_SETS):
        live, wanted = drawn(draw)
        found = Model(live).observed(), wanting(*wanted)
        steps = shuffled(draw, list(plan(*found)))
        proof = prove(live, steps)
        requests = [rule_sets.request(draw) for _ in range(60)]
        seen = list(strays(live, steps, [replace(each, scheme="https") for each in requests]))
        counts[proof.safe] += 1
        assert not (proof.safe and seen), f"{seen[0]} {live} {steps}"
        if proof.astray:
            assert list(strays(live, steps, [proof.astray.request])), f"{proof.astray} {live} {steps}"
    assert min(counts.values()) > RULE_SETS / 20


def sets_of_rules(draw: random.Random) -> tuple[list[Rule], RuleSet]:
    def make(name: str, priority: int, to: str, **conditions: Any) -> Rule:
        return theirs(priority, to, **conditions)

    policy = {
        "purge": draw.choice(("owned", "all", "none")),
        "weights": draw.choice(("desired", "desired", "observed")),
        "quota": draw.choice((100, 100, 8)),
        "unproved": "warn",
    }
    live = rule_sets.rules(draw, make if draw.random() < 0.3 else ours, regexes=draw.random() < 0.2)
    strangers = rule_sets.rules(draw, make, lowest=40, most=2)
    desired = wanting(*rule_sets.rules(draw, rule, regexes=draw.random() < 0.2), **policy)
    known = {each.conditions for each in live}
    return [*live, *(each for each in strangers if each.conditions not in known)], desired


def judged(model: Model, desired: RuleSet) -> str:
    """What becomes of a plan. Refused is only what lacks the room, or would have to replace others' rules."""
    observed = model.observed()
    try:
        steps = tuple(plan(observed, desired))
        proof = prove_safe(observed, desired, steps)
    except Unsafe:
        assert desired.policy.quota == 8 or any(not each.tags for each in model.rules)
        return "refused"
    except BadInput:
        return "bad input"
    turns = [step.verb for step in steps].count("modify_listener")
    assert turns == (desired.default is not None and desired.default != model.default)
    return "safe" if proof.safe else "not known"


@pytest.mark.parametrize(("seed", "turning"), [(31, False), (29, True)], ids=["rules", "rules and default actions"])
def test_any_change_is_made_in_a_safe_order_or_not_at_all(seed: int, turning: bool) -> None:
    draw, verdicts = random.Random(seed), Counter[str]()
    for _ in range(RULE_SETS):
        live, desired = sets_of_rules(draw)
        model = Model(live, to(draw.choice(GROUPS))) if turning else Model(live)
        verdicts[judged(model, replace(desired, default=to(draw.choice(GROUPS))) if turning else desired)] += 1
    assert verdicts["safe"] > 10 * verdicts["refused"], verdicts
    assert verdicts["safe"] > 10 * verdicts["not known"], verdicts


@pytest.mark.parametrize("turns", [False, True])
def test_a_plan_that_is_carried_out_leads_to_the_rules_asked_for_by_no_other_states(turns: bool) -> None:
    draw = random.Random(23)
    for _ in range(RULE_SETS // 3):
        live, desired = sets_of_rules(draw)
        model = Model(live, to("old") if turns else None)
        desired = replace(desired, default=to(draw.choice(GROUPS)) if turns else None)
        try:
            predicted = tuple(plan(model.observed(), desired))
            proof = prove_safe(model.observed(), desired, predicted)
        except (BadInput, Unsafe):
            continue
        model.run(desired, prove_safe)
        moments = [listener(moment) for moment in model.moments]
        requests = [rule_sets.request(draw) for _ in range(30)]
        for request in requests if proof.safe else ():
            answers = [answer(moment, request) for moment in moments]
            assert all(each in (answers[0], answers[-1]) for each in answers)


def test_where_a_rule_of_others_cannot_be_replaced_another_order_is_found() -> None:
    """The usual order has the new rule wait at the bottom while the stranger's changes; it may come first."""
    live = [theirs(4, "old", paths=["/a"]), theirs(12, "two", paths=["/c"])]
    desired = wanting(rule("p", 9, "three", hosts=["h.test"], paths=["/c"]), rule("q", 10, paths=["/c"]))
    steps = list(plan(Model(live).observed(), desired))
    assert [step.verb for step in steps] == ["create_rule", "modify_rule", "set_rule_priorities"]
    assert steps[0].args["Priority"] == 9
    assert prove(live, steps).safe


def test_without_room_a_path_passes_to_the_rule_behind_before_the_one_in_front_gives_it_up() -> None:
    live = [ours("a", 10, paths=["/x"]), ours("b", 20, "two", paths=["/z"])]
    desired = wanting(rule("a", 10, paths=["/y"]), rule("b", 20, "two", paths=["/x"]), quota=2)
    steps = list(plan(Model(live).observed(), desired))
    assert [step.why.split()[1] for step in steps] == ["b", "a"]
    assert [step.batch for step in steps] == ["", ""]
    assert prove(live, steps).safe


def test_a_plan_in_which_a_request_would_go_astray_is_refused_with_the_request() -> None:
    live = [ours("a", 10, paths=["/x"]), ours("b", 20, "two", paths=["/z"])]
    steps = [forward(live[0], "old"), forward(live[0], "three")]
    with pytest.raises(
        Unsafe, match=f"^{NAME}: a request would go astray .*GET https://elsewhere.test/x gets"
    ) as error:
        prove_safe(Model(live).observed(), wanting(*live), steps)
    assert "quota" in error.value.remedy
    assert error.value.details["proof"]["safe"] is False


@pytest.mark.parametrize(
    ("space", "told"),
    [(" ", "user-agent: (chrome|safari) mobile gets"), ("\t", "not proved .*header user-agent")],
)
def test_rules_that_exchange_headers_with_white_space_in_place_are_refused(space: str, told: str) -> None:
    """A header is known to have spaces inside, so a request is named; of a tab it is not known."""
    chrome, safari = ([{"name": "User-Agent", "values": [f"*{name}{space}Mobile*"]}] for name in ("Chrome", "Safari"))
    live = [ours("a", 10, "one", headers=chrome), ours("b", 20, "two", headers=safari)]
    desired = wanting(rule("a", 10, "old", headers=safari), rule("b", 20, "three", headers=chrome), quota=2)
    observed = Model(live).observed()
    steps = tuple(plan(observed, desired))
    assert [step.verb for step in steps] == ["modify_rule", "modify_rule"]
    with pytest.raises(Unsafe, match=told):
        prove_safe(observed, desired, steps)


def test_a_hundred_rules_in_reverse_and_all_replaced_are_proved_in_less_than_a_second() -> None:
    live = [ours(f"r{n}", n + 1, GROUPS[n % 4], hosts=["h.test"], paths=[f"/{n}*"]) for n in range(100)]
    wanted = [rule(f"r{n}", 100 - n, GROUPS[(n + 1) % 4], hosts=["*.test"], paths=[f"/{n}*", "/*"]) for n in range(100)]
    observed, desired = Model(live).observed(), wanting(*wanted, quota=200)
    steps = tuple(plan(observed, desired))
    assert len(steps) > 200
    proof = prove(live, steps)
    assert proof.safe
    assert proof.classes > 100


@pytest.mark.parametrize("count", [1, 20, 100])
def test_all_that_the_bench_measures_is_proved(count: int) -> None:
    for operation, before, after in scene.stages(count):
        live = [replace(stated(each), arn=each.name, tags=tagging.owned({}, name=each.name)) for each in before]
        desired = wanting(*map(stated, after), quota=200)
        observed = Model(live, to("old")).observed()
        assert prove_safe(observed, desired, tuple(plan(observed, desired))).safe, operation


def stated(given: scene.Rule) -> Rule:
    return rule(given.name, given.priority, given.group, hosts=[scene.HOST], paths=[given.path])


LISTENERS = [
    (f"{place.parts[-4]} {balancer['name']}:{listener['port']}", listener)
    for place in sorted(Path(__file__).parents[2].glob("inventories/*/group_vars/hokusai_platforms/routing.yml"))
    for balancer in yaml.safe_load(place.read_text())["hokusai_load_balancers"]
    for listener in balancer["listeners"]
    if "rules" in listener
]


@pytest.mark.parametrize(("name", "listener"), LISTENERS, ids=[row[0] for row in LISTENERS])
def test_the_inventories_rules_are_proved_from_nothing_and_back_whatever_the_default_action_was(
    name: str, listener: dict[str, Any]
) -> None:
    options = {"load_balancer": name, **{key: listener[key] for key in ("port", "rules", "default_action")}}
    desired = alb_rules.desire(ArgumentSpecValidator(alb_rules.SPEC).validate(options).validated_parameters)
    groups = {*forwarded(desired.default), *(group for each in desired.rules for group in forwarded(each.actions))}
    ids = {LISTENER: "arn-of-listener", **{each: arn(each) for each in groups}}
    mine = (replace(each, arn=each.name, tags=tagging.owned({}, name=each.name)) for each in desired.rules)
    everything = replace(desired, rules=tuple(mine))
    for group in groups:
        empty = replace(desired, rules=(), default=to(group))
        for live, wanted in ((empty, desired), (everything, empty)):
            observed = Observed(live, ids)
            steps = tuple(plan(observed, wanted))
            assert prove_safe(observed, wanted, steps).safe
            assert len(steps) >= len(desired.rules)


def forwarded(actions: Any) -> list[str]:
    return [group for each in actions for group in getattr(each, "groups", ())]
