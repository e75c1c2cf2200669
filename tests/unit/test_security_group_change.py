"""Rules of a security group that change in place: which, in what order, and that nothing is refused meanwhile."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import journal_writes
from ansible_collections.hokusai.platform.plugins.module_utils import security_group as sg
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step
from ansible_collections.hokusai.platform.plugins.module_utils.runner import converge
from ansible_collections.hokusai.platform.plugins.module_utils.security_group_change import (
    Change,
    covers,
    may_meet,
    order,
    untangled,
)
from ansible_collections.hokusai.platform.plugins.module_utils.security_group_pairing import pair
from ansible_collections.hokusai.platform.plugins.modules import security_group_rules as module

from sandbox.controlplane import Fault
from tests.unit.security_group_model import (
    ALB,
    API,
    RESOURCE,
    Options,
    listed,
    make,
    make_prefix_list,
    ours,
    owned,
    params,
    rule,
    seen,
    task,
)

CHANGED = {
    "port": (rule("a", 5001), rule("a", 5000)),
    "range": (rule("a", 5001), rule("a", None, from_port=5000, to_port=5010)),
    "protocol": (rule("a", 5001), rule("a", 5001, protocol="udp")),
    "group": (rule("a", group=ALB), rule("a", group=API)),
    "IPv4 network": (rule("a", cidr="10.0.0.0/16"), rule("a", cidr="10.0.0.0/8")),
    "IPv6 network": (rule("a", cidr="2001:db8::/32"), rule("a", cidr="2001:db8::/48")),
    "egress": (rule("a", direction="egress"), rule("a", 5001, direction="egress")),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_changed_rule_keeps_its_id_tags_and_description(
    what: str, aws: Any, groups: dict[str, str], run_module: Any
) -> None:
    old, new = CHANGED[what]
    make(aws, groups, [(True, {**old, "description": "as it was"})])
    (before,) = [each for each in owned(aws, groups) if each["Tags"]]
    run_module(module.main, **task(params(new)))
    (after,) = owned(aws, groups)
    assert after["SecurityGroupRuleId"] == before["SecurityGroupRuleId"]
    assert (after["Tags"], after["Description"]) == (before["Tags"], "as it was")
    assert {key for key in after if after[key] != before.get(key)} & {
        *("IpProtocol", "FromPort", "ToPort", "CidrIpv4", "CidrIpv6", "ReferencedGroupInfo")
    }


def test_a_prefix_list_is_exchanged_in_place(aws: Any, groups: dict[str, str], run_module: Any) -> None:
    other = make_prefix_list(aws, "others", 5)
    make(aws, groups, [ours(name="offices", prefix_list=make_prefix_list(aws, "offices", 5))])
    (before,) = owned(aws, groups)
    run_module(module.main, **task(params(rule("offices", prefix_list="others"))))
    (after,) = owned(aws, groups)
    assert (after["SecurityGroupRuleId"], after["PrefixListId"]) == (before["SecurityGroupRuleId"], other)


def test_the_step_names_the_group_and_each_rule_with_what_becomes_of_it() -> None:
    live = [ours(name="api"), ours(name="net", cidr="10.0.0.0/16", description="old")]
    wanted = module.desire(params(rule("api", 5001), rule("net", cidr="10.0.0.0/16", description="new")))
    (step,) = module.plan(seen(live), wanted)
    assert step.why == (
        f"security group mlflow: describe net, change api (tcp 5000 from group {API}) to tcp 5001 from group {API}"
    )


@pytest.mark.parametrize(
    ("wanted", "action", "words"),
    [
        (
            rule("api"),
            "ModifySecurityGroupRules",
            "change api (tcp 5001 from group hokusai-api-development) to tcp 5000",
        ),
        (rule("api", cidr="10.0.0.0/16"), "AuthorizeSecurityGroupIngress", "add api (tcp 5000 from cidr 10.0.0.0/16)"),
    ],
)
def test_a_refused_write_leaves_the_traffic_that_there_was(
    wanted: Options, action: str, words: str, aws: Any, groups: dict[str, str], run_module: Any, control_plane: Any
) -> None:
    """ec2_security_group revokes before it authorises."""
    make(aws, groups, [ours(name="api", port=5001)])
    control_plane.faults.replace([Fault(match=f"ec2:{action}", code="UnauthorizedOperation")])
    result = run_module(module.main, **task(params(wanted)))
    assert words in result["msg"]
    assert "UnauthorizedOperation" in result["msg"]
    assert [each["FromPort"] for each in listed(aws, groups)] == [5001]


WRITES = {"AuthorizeSecurityGroupIngress": [], "ModifySecurityGroupRules": [ours(name="api", port=5001)]}


@pytest.mark.parametrize("action", WRITES)
def test_a_write_that_landed_though_its_answer_was_lost_is_not_repeated(
    action: str, aws: Any, groups: dict[str, str], control_plane: Any
) -> None:
    make(aws, groups, WRITES[action])
    lost = Fault(match=f"ec2:{action}", code="InternalError", status=500, after=True)
    control_plane.faults.replace([lost])
    assert len(converge(RESOURCE, aws, params(rule("api")), dry=False).steps) == 1
    assert [each["FromPort"] for each in listed(aws, groups)] == [5000]


@pytest.mark.parametrize("action", WRITES)
def test_a_stale_read_after_the_write_is_read_again(
    action: str, aws: Any, groups: dict[str, str], control_plane: Any
) -> None:
    make(aws, groups, WRITES[action])
    control_plane.faults.replace([Fault(match=f"ec2:{action}", lag=0.5)])
    assert len(converge(RESOURCE, aws, params(rule("api")), dry=False).steps) == 1
    assert [each["FromPort"] for each in listed(aws, groups)] == [5000]


def live(name: str, port: int | None = 5000, **more: Any) -> sg.Rule:
    return dataclasses.replace(sg.from_options(rule(name, port, **more)), id=f"sgr-{name}")


def change(name: str, before: Options, after: Options) -> Change:
    return Change(live(name, **before), live(name, **after))


def named(changes: Sequence[Change]) -> list[str | None]:
    return [each.after.name for each in changes]


WIDE, NARROW, ELSEWHERE = ({"cidr": cidr} for cidr in ("10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"))
ORDERS: dict[str, tuple[list[Change], list[list[str]], list[str]]] = {
    "changes that do not meet are one request": (
        [change("a", {"port": 1}, {"port": 2}), change("b", {"port": 3}, {"port": 4})],
        [["a", "b"]],
        [],
    ),
    "one goes when another has taken over": (
        [change("a", {"port": 1}, {"port": 2}), change("b", {"port": 5, "group": ALB}, {"port": 1, "group": ALB})],
        [["b"], ["a"]],
        [],
    ),
    "three go one after the other": (
        [
            change(name, {"port": port}, {"port": port + 1, "group": ALB})
            for name, port in (("a", 1), ("b", 2), ("c", 3))
        ],
        [["a"], ["b"], ["c"]],
        [],
    ),
    "networks apart do not wait": (
        [change("a", {"port": 1, **NARROW}, {"port": 2, **NARROW}), change("b", {"port": 3}, {"port": 1, **ELSEWHERE})],
        [["a", "b"]],
        [],
    ),
    "directions do not wait for each other": (
        [
            change("a", {"port": 1}, {"port": 2}),
            change("b", {"port": 3, "direction": "egress"}, {"port": 1, "direction": "egress"}),
        ],
        [["a", "b"]],
        [],
    ),
    "what becomes wider waits for nothing": (
        [change("a", {"port": 1, **NARROW}, {"port": 1, **WIDE}), change("b", {"port": 2}, {"port": 1, "group": ALB})],
        [["a", "b"]],
        [],
    ),
    "nothing waits for what was let through before": (
        [
            change("a", {"port": 1, **NARROW}, {"port": 2, **NARROW}),
            change("b", {"port": 1, **WIDE}, {"port": 1, **NARROW}),
        ],
        [["a", "b"]],
        [],
    ),
    "a description waits for nothing, and nothing for it": (
        [
            change("a", {"port": 1}, {"port": 2}),
            change("b", {"port": 1, "group": ALB}, {"port": 1, "group": ALB, "description": "new"}),
        ],
        [["a", "b"]],
        [],
    ),
    "two that swap have no order": (
        [
            change("a", {"port": 1}, {"port": 2}),
            change("b", {"port": 2}, {"port": 1}),
            change("c", {"port": 3}, {"port": 4}),
        ],
        [["c"]],
        ["a", "b"],
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_the_order_of_changes(name: str) -> None:
    changes, requests, tangled = ORDERS[name]
    found = order(changes)
    assert ([named(each) for each in found.requests], named(found.tangled)) == (requests, tangled)


def test_a_ring_is_broken_by_the_change_that_most_wait_for() -> None:
    ring = [
        change("a", {"port": 1}, {"port": 2}),
        change("b", {"port": 2}, {"port": 1}),
        change("c", {"port": 2, "group": ALB}, {"port": 3, "group": ALB}),
    ]
    assert named(untangled(ring)) == ["b", "c"]
    assert not order(untangled(ring)).tangled


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (live("a", 1), live("b", 1, group=ALB), True),
        (live("a", 1), live("b", 1, **WIDE), True),
        (live("a", 1), live("b", 1, prefix_list="pl"), True),
        (live("a", 1), live("b", 2), False),
        (live("a", 1), live("b", 1, protocol="udp"), False),
        (live("a", 1), live("b", None, protocol="all"), True),
        (live("a", None, from_port=1, to_port=5), live("b", None, from_port=5, to_port=9), True),
        (live("a", None, from_port=1, to_port=5), live("b", None, from_port=6, to_port=9), False),
        (live("a", None, protocol="icmp"), live("b", None, protocol="icmp", from_port=8, to_port=0), True),
        (live("a", 1, **NARROW), live("b", 1, **WIDE), True),
        (live("a", 1, **NARROW), live("b", 1, **ELSEWHERE), False),
        (live("a", 1, **NARROW), live("b", 1, cidr="2001:db8::/32"), False),
        (live("a", 1, **NARROW), live("b", 1, direction="egress", **NARROW), False),
    ],
)
def test_two_rules_may_let_through_the_same(one: sg.Rule, other: sg.Rule, meet: bool) -> None:
    assert may_meet(one, other) is may_meet(other, one) is meet


@pytest.mark.parametrize(
    ("outer", "inner", "does"),
    [
        (live("a", 1), live("b", 1), True),
        (live("a", 1), live("b", 1, group=ALB), False),
        (live("a", None, from_port=1, to_port=5), live("b", 5), True),
        (live("a", 5), live("b", None, from_port=1, to_port=5), False),
        (live("a", None, protocol="all"), live("b", 5), True),
        (live("a", 5), live("b", None, protocol="all"), False),
        (live("a", None, protocol="icmp"), live("b", None, protocol="icmp", from_port=8, to_port=0), True),
        (live("a", None, protocol="icmp", from_port=8, to_port=0), live("b", None, protocol="icmp"), False),
        (live("a", 1, **WIDE), live("b", 1, **NARROW), True),
        (live("a", 1, **NARROW), live("b", 1, **WIDE), False),
        (live("a", 1, **WIDE), live("b", 1), False),
        (live("a", 1, **WIDE), live("b", 1, direction="egress", **NARROW), False),
    ],
)
def test_one_rule_lets_through_all_of_another(outer: sg.Rule, inner: sg.Rule, does: bool) -> None:
    assert covers(outer, inner) is does


def test_a_name_that_two_rules_of_ours_have_is_one_rule_again() -> None:
    left_over = [dataclasses.replace(live("api", port), id=f"sgr-{port}") for port in (5001, 5002)]
    pairing = pair(left_over, [live("api")], purge=False)
    assert [each.after.ports for each in pairing.staying] == ["5000"]
    assert (len(pairing.doomed), pairing.new) == (1, ())


# --- any rules, by simulation

PEERS = [{"group": "sg-a"}, {"group": "sg-b"}, {"cidr": "10.0.0.0/16"}, {"cidr": "10.0.0.0/8"}, {"prefix_list": "pl-1"}]
PORTS: list[Options] = [
    {"port": 1},
    {"port": 2},
    {"port": None, "from_port": 1, "to_port": 2},
    {"port": None, "protocol": "all"},
]
CONTENTS = [{**ports, **peer} for ports in PORTS for peer in PEERS]
SENDERS = [(ip, groups) for ip in (0, 1) for groups in (set(), {"sg-a"}, {"sg-b"}, {"sg-a", "sg-b"})]
"""Whether the address is in the narrow network (as all of the prefix list is; the wide one has all), and the groups."""


def let_through(rules: Sequence[sg.Rule]) -> set[tuple[int, int]]:
    """As (number of the sender, port)."""
    return {
        (number, port)
        for number, (inside, members) in enumerate(SENDERS)
        for port in (1, 2)
        for each in rules
        if (each.protocol == "-1" or each.from_port <= port <= each.to_port)
        and (each.peer in members or each.peer == "10.0.0.0/8" or (inside and each.peer in ("10.0.0.0/16", "pl-1")))
    }


def moments(rules: dict[str, sg.Rule], step: Step) -> Iterator[dict[str, sg.Rule]]:
    """All states that a step may go through: any of the rules of one request may be changed before any other."""
    writes = list(journal_writes.VERBS["ec2", step.verb](step.args, {}))
    for some in chain.from_iterable(combinations(writes, count) for count in range(1, len(writes) + 1)):
        after = dict(rules)
        for write in some:
            identity = write.id or f"sgr-new-{len(after)}"
            if write.act == journal_writes.DELETE:
                del after[identity]
            elif any(not name.startswith("Tags.") for name in write.fields):
                content = {key: value for key, value in write.fields.items() if value is not None}
                listed = {"IsEgress": False, **content, "SecurityGroupRuleId": identity}
                after[identity] = sg.from_aws(listed, {}, "")
        yield after


@pytest.mark.parametrize("seed", range(10))
def test_what_both_sets_of_rules_let_through_is_let_through_at_every_moment(seed: int) -> None:
    chance = random.Random(seed)
    for _case in range(60):
        names = ["a", "b", "c", "d"]
        before = [rule(name, **content) for name, content in zip(names, chance.sample(CONTENTS, 4), strict=True)]
        chance.shuffle(names)
        wanted = [rule(name, **content) for name, content in zip(names, chance.sample(CONTENTS, 3), strict=False)]
        observed = seen([(chance.random() < 0.8, each) for each in before])
        observed = dataclasses.replace(observed, ids=IDS)
        assert observed.resource
        rules = {str(each.id): each for each in observed.resource.rules}
        desired = module.desire(params(*wanted, purge=chance.choice(["owned", "none"])))
        both = let_through(list(rules.values())) & let_through(desired.over(observed.resource).rules)
        for step in module.plan(observed, desired):
            states = list(moments(rules, step))
            for state in states:
                assert both <= let_through(list(state.values())), (before, wanted, step)
                assert len({each.content for each in state.values()}) == len(state), (before, wanted, step)
            rules = states[-1]
        assert {each.content for each in rules.values()} == {
            each.content for each in desired.over(observed.resource).rules
        }


IDS = {"security group sg-a": "sg-a", "security group sg-b": "sg-b", "prefix list pl-1": "pl-1"}
