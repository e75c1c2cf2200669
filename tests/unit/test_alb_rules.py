"""alb_rules as a task runs it, against the sandbox's AWS."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import elb_condition

from sandbox.controlplane import ControlPlane, Fault
from tests.unit.alb_edge import Edge
from tests.unit.alb_model import LOGIN, ours, rule, theirs
from tests.unit.test_alb_rules_plan import CREATE, DELETE, MODIFY, ORDER, TRANSITIONS, Transition, case


def verbs(result: dict[str, Any]) -> list[str]:
    return [step["verb"] for step in result["steps"]]


@pytest.mark.parametrize("each", TRANSITIONS, ids=case)
def test_transition(each: Transition, rules: Any, edge: Edge, control_plane: ControlPlane) -> None:
    arns = {live.arn: edge.make_rule(live) for live in each.live}
    predicted = rules(*each.wanted, _check=True, **each.policy)
    assert control_plane.calls.writes == 0
    assert verbs(predicted) == list(each.verbs)
    applied = rules(*each.wanted, **each.policy)
    assert applied == predicted
    assert {arns[arn] for arn in each.leaves} <= edge.arns()
    again = rules(*each.wanted, **each.policy)
    assert (again["changed"], again["steps"]) == (False, [])
    assert control_plane.calls.writes == 0
    assert again["diff"]["before"] == again["diff"]["after"] == applied["diff"]["after"]


@pytest.mark.parametrize("fault", [{"kind": "denied"}, {"code": "TooManyRules"}], ids=str)
def test_a_refused_write_ends_the_plan_although_what_is_left_could_be_done_another_way(
    fault: dict[str, Any], rules: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    """Once the first rule is there, `api` could be changed in place: its replacement is not asked for any more."""
    api = edge.make_rule(ours("api", 3, paths=["/api"]))
    edge.make_rule(theirs(7, "two", paths=["/legacy"]))
    wanted = (rule("hook", 1, "three", paths=["/hook"]), rule("api", 5, paths=["/*"]))
    assert verbs(rules(*wanted, _check=True)) == [CREATE, CREATE, ORDER, DELETE]
    control_plane.faults.replace([Fault("^elbv2:CreateRule$", skip=1, times=9, **fault)])
    result = rules(*wanted)
    assert (result["error"], verbs({"steps": result["steps_done"]})) == ("AwsError", [CREATE])
    assert result["step_failed"]["verb"] == CREATE
    assert (api, "3") in {(each["RuleArn"], each["Priority"]) for each in edge.rules()}
    control_plane.faults.replace([])
    assert rules(*wanted)["changed"]


@pytest.mark.parametrize("count", [1, 20, 90])
def test_a_run_with_nothing_to_do_makes_at_most_four_calls(
    count: int, rules: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    wanted = [
        rule(f"r{n}", n, "two" if n % 2 else "one", hosts=["h.test"], paths=[f"/{n}"]) for n in range(1, count + 1)
    ]
    assert verbs(rules(*wanted)) == [CREATE] * count
    again = rules(*wanted)
    assert again["changed"] is False
    assert control_plane.calls.reads <= 4
    assert control_plane.calls.count("elbv2:DescribeTargetGroups") == 0, "the live ARNs hold the groups' names"
    assert control_plane.calls.writes == 0


def test_tags_are_read_only_of_rules_that_are_not_listed(rules: Any, edge: Edge, control_plane: ControlPlane) -> None:
    for n in range(1, 26):
        edge.make_rule(theirs(n, paths=[f"/s{n}"]))
    rules(rule("a", 100))
    rules(rule("a", 100))
    assert control_plane.calls.count("elbv2:DescribeTags") == 2


@pytest.mark.parametrize("purge", ["none", "owned"])
def test_a_rule_that_was_replaced_and_left_behind_goes_with_the_next_run(purge: str, rules: Any, edge: Edge) -> None:
    """Cut off before its last call, all that is asked for is there; what it replaced is known by its tag alone."""
    edge.make_rule(ours("g", 5, paths=["/p/2*"]))
    left = edge.make_rule(ours("g", 50000, paths=["/q/*"]))
    assert verbs(rules(rule("g", 5, paths=["/p/2*"]), purge=purge)) == [DELETE]
    assert left not in edge.arns()


def test_a_rule_that_was_renamed_is_not_replaced_where_nothing_is_purged(rules: Any, edge: Edge) -> None:
    """What replaced it has another name than its tag says, so nothing would ever remove it."""
    edge.make_rule(ours("g", 5, paths=["/p/1*"]))
    edge.make_rule(ours("old-s", 10, paths=["/p/*"]))
    result = rules(rule("g", 5, paths=["/p/2*"]), rule("s", 10, "two", paths=["/p/*"]), purge="none", unproved="warn")
    assert not result.get("failed"), result
    assert [each["Priority"] for each in edge.rules()] == ["5", "10"]


def test_every_page_of_rules_is_read(rules: Any, edge: Edge) -> None:
    """The peer reads one page of DescribeRules and fails at 60 rules."""
    wanted = [rule(f"r{n}", n) for n in range(1, 61)]
    for each in wanted:
        edge.make_rule(each)
    assert rules(*wanted)["changed"] is False


def test_groups_are_looked_up_in_one_call(rules: Any, edge: Edge, control_plane: ControlPlane) -> None:
    """The peer makes one DescribeTargetGroups for every rule."""
    rules(*(rule(name, n, name) for n, name in enumerate(("one", "two", "three"), 1)), _check=True)
    assert control_plane.calls.count("elbv2:DescribeTargetGroups") == 1


def test_a_removed_condition_is_removed_from_the_live_rule(rules: Any, edge: Edge) -> None:
    """The peer reports "ok" and leaves it live."""
    edge.make_rule(ours("a", 10, hosts=["h.test"], paths=["/a"]))
    assert verbs(rules(rule("a", 10, paths=["/a"]))) == [MODIFY]
    [live] = edge.rules()
    assert [condition["Field"] for condition in live["Conditions"]] == ["path-pattern"]


SAME = [
    (
        "order of values",
        {"paths": ["/b", "/a"]},
        [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a", "/b"]}}],
    ),
    ("case of a host", {"hosts": ["API.hokus.ai"]}, [{"Field": "host-header", "Values": ["api.HOKUS.ai"]}]),
    (
        "order of query strings",
        {"query_strings": [{"key": "a", "value": "1"}, {"value": "x"}]},
        [{"Field": "query-string", "QueryStringConfig": {"Values": [{"Value": "x"}, {"Key": "a", "Value": "1"}]}}],
    ),
    (
        "case of a header",
        {"headers": [{"name": "x-team", "values": ["ml"]}]},
        [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Team", "Values": ["ML"]}}],
    ),
    (
        "spelling of a network",
        {"source_ips": ["10.0.0.0/8"]},
        [{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}],
    ),
    (
        "regular expressions",
        {"path_regexes": ["^/a/[0-9]+$"]},
        [{"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/a/[0-9]+$"]}}],
    ),
    (
        "methods",
        {"methods": ["POST", "GET"]},
        [{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET", "POST"]}}],
    ),
]


def asked(name: str, priority: int, conditions: dict[str, Any], **action: Any) -> dict[str, Any]:
    return {"name": name, "priority": priority, **conditions, "action": action or {"target_group": "one"}}


@pytest.mark.parametrize(("what", "conditions", "live"), SAME, ids=[row[0] for row in SAME])
def test_what_means_the_same_is_no_change(what: str, conditions: Any, live: Any, rules: Any, edge: Edge) -> None:
    """The peer raises KeyError for RegexValues, and is always "changed" for query strings in another order."""
    edge.aws.elbv2.create_rule(
        ListenerArn=edge.listener,
        Priority=10,
        Conditions=live,
        Actions=[{"Type": "forward", "TargetGroupArn": edge.groups["one"]}],
    )
    assert rules(asked("a", 10, conditions))["steps"] == []


def test_a_path_in_another_case_is_another_path(rules: Any, edge: Edge) -> None:
    edge.make_rule(ours("a", 10, paths=["/A"]))
    assert verbs(rules(rule("a", 10, paths=["/a"]))) == [MODIFY]


REDIRECT = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
SAME_ACTIONS = [
    (
        "order of weighted groups, and stickiness that is off",
        {"target_groups": [{"name": "two", "weight": 1}, {"name": "one", "weight": 9}]},
        lambda groups: {
            "Type": "forward",
            "ForwardConfig": {
                "TargetGroups": [
                    {"TargetGroupArn": groups["one"], "Weight": 9},
                    {"TargetGroupArn": groups["two"], "Weight": 1},
                ],
                "TargetGroupStickinessConfig": {"Enabled": False},
            },
        },
    ),
    (
        "one group in a list",
        {"target_groups": [{"name": "one", "weight": 7}]},
        lambda groups: {"Type": "forward", "TargetGroupArn": groups["one"]},
    ),
    (
        "a redirect's defaults",
        {"type": "redirect", "redirect": {"protocol": "HTTPS", "port": "443"}},
        lambda groups: {"Type": "redirect", "RedirectConfig": REDIRECT},
    ),
    (
        "a redirect's defaults, written out live",
        {"type": "redirect", "redirect": {"protocol": "HTTPS", "port": "443"}},
        lambda groups: {
            "Type": "redirect",
            "RedirectConfig": {**REDIRECT, "Host": "#{host}", "Path": "/#{path}", "Query": "#{query}"},
        },
    ),
    (
        "a fixed response's defaults",
        {"type": "fixed_response", "fixed_response": {"status_code": 503}},
        lambda groups: {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}},
    ),
]


@pytest.mark.parametrize(("what", "action", "live"), SAME_ACTIONS, ids=[row[0] for row in SAME_ACTIONS])
def test_actions_that_mean_the_same_are_no_change(what: str, action: Any, live: Any, rules: Any, edge: Edge) -> None:
    """The peer is always "changed" for the order of groups, omitted stickiness and redirect defaults."""
    edge.aws.elbv2.create_rule(
        ListenerArn=edge.listener,
        Priority=10,
        Conditions=[{"Field": "path-pattern", "Values": ["/a"]}],
        Actions=[live(edge.groups)],
    )
    assert rules(asked("a", 10, {"paths": ["/a"]}, **action))["steps"] == []


def test_every_kind_of_condition_and_action_survives_the_way_there_and_back(rules: Any, edge: Edge) -> None:
    sticky = {"target_groups": [{"name": "one", "weight": 1}, {"name": "two", "weight": 3}], "stickiness_seconds": 60}
    fixed = {"status_code": 200, "content_type": "application/json", "message_body": "{}"}
    move = {"protocol": "HTTPS", "host": "new.test", "path": "/x", "query": "", "status_code": "HTTP_302"}
    many = {
        "hosts": ["*.test"],
        "methods": ["GET"],
        "headers": [{"name": "X-A", "regexes": ["^v[0-9]$"]}],
        "query_strings": [{"key": "q", "value": "a=b"}, {"value": "c=d"}],
    }
    rewrite = {"transforms": [{"type": "url_rewrite", "regex": "^/a/(.*)$", "replace": "/$1"}]}
    wanted = [
        asked("sticky", 1, many, **sticky),
        asked("fixed", 2, {"source_ips": ["10.1.2.3/32"]}, type="fixed_response", fixed_response=fixed),
        asked("move", 3, {"host_regexes": ["^old"]}, type="redirect", redirect=move),
        {**asked("rewrite", 4, {"paths": ["/a/*"]}), **rewrite},
    ]
    applied = rules(*wanted)
    assert verbs(applied) == [CREATE] * 4
    assert rules(*wanted)["steps"] == []
    assert elb_condition.from_aws(edge.rules()[0]["Conditions"]) == elb_condition.from_aws(
        [
            {"Field": "host-header", "Values": ["*.test"]},
            {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET"]}},
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "x-a", "RegexValues": ["^v[0-9]$"]}},
            {
                "Field": "query-string",
                "QueryStringConfig": {"Values": [{"Key": "q", "Value": "a=b"}, {"Value": "c=d"}]},
            },
        ]
    )


def test_a_transform_made_elsewhere_is_seen_and_dropped(rules: Any, edge: Edge) -> None:
    """The peer does not see Transforms."""
    edge.aws.elbv2.create_rule(
        ListenerArn=edge.listener,
        Priority=10,
        Conditions=[{"Field": "path-pattern", "Values": ["/a"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": edge.groups["one"]}],
        Transforms=[{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/a", "Replace": "/"}]}}],
    )
    assert verbs(rules(rule("a", 10))) == [MODIFY]
    assert not edge.rules()[0].get("Transforms")


def test_strangers_rules_stay_where_they_are(rules: Any, edge: Edge) -> None:
    """The peer purges what is not listed, by default."""
    stranger = edge.make_rule(theirs(5, "old", paths=["/theirs"]))
    mine = edge.make_rule(ours("gone", 6))
    rules(rule("a", 10))
    assert edge.forwards() == {5: "old", 10: "one"}
    assert stranger in edge.arns()
    assert mine not in edge.arns()


def test_the_diff_shows_the_whole_listener(rules: Any, edge: Edge) -> None:
    edge.make_rule(theirs(5, "old", paths=["/theirs"]))
    diff = rules(rule("a", 10), _check=True)["diff"]
    assert [each["priority"] for each in diff["before"]["rules"]] == [5]
    assert [(each["name"], each["priority"]) for each in diff["after"]["rules"]] == [("", 5), ("a", 10)]


def test_the_incident_is_repaired_in_place(rules: Any, edge: Edge) -> None:
    terraform = edge.make_rule(theirs(105, "old", hosts=["registry.hokus.ai"], paths=["/api/mlflow/*"]))
    fixed = rule("api-mlflow", 105, hosts=["registry.hokus.ai"], paths=["/api/mlflow", "/api/mlflow/*"])
    broader = rule("api", 110, hosts=["registry.hokus.ai"], paths=["/api/*"])
    assert verbs(rules(fixed, broader)) == [CREATE, MODIFY]
    assert terraform in edge.arns()
    assert edge.forwards() == {105: "one", 110: "one"}


def test_a_strangers_broader_rule_keeps_its_route(rules: Any, edge: Edge, control_plane: ControlPlane) -> None:
    edge.make_rule(theirs(120, "old", hosts=["*.hokus.ai"], paths=["/*"]))
    result = rules(rule("health", 120, hosts=["registry.hokus.ai"], paths=["/health*"]))
    assert "health wants 120, held by [host *.hokus.ai and path /*]" in result["msg"]
    assert control_plane.calls.writes == 0
    assert edge.forwards() == {120: "old"}


def test_a_strangers_login_in_front_of_a_route_stays(rules: Any, edge: Edge, control_plane: ControlPlane) -> None:
    edge.aws.elbv2.create_rule(
        ListenerArn=edge.listener,
        Priority=10,
        Conditions=[{"Field": "path-pattern", "Values": ["/a"]}],
        Actions=[LOGIN, {"Type": "forward", "TargetGroupArn": edge.groups["one"], "Order": 2}],
    )
    result = rules(rule("a", 10, "two"))
    assert "Rule a of edge:443" in result["msg"]
    assert "authenticate-oidc" in result["msg"]
    assert control_plane.calls.writes == 0
    assert [action["Type"] for action in edge.rules()[0]["Actions"]] == ["authenticate-oidc", "forward"]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(("path", "warned"), [("/api/*", True), ("/api/ml*", True), ("/api/mlflow/2.0/*", False)])
def test_a_strangers_rule_that_takes_all_requests_of_a_listed_one_is_warned_of(
    check: bool, path: str, warned: bool, rules: Any, edge: Edge
) -> None:
    edge.make_rule(theirs(5, "old", paths=[path]))
    asked_for = rule("mlflow", 10, hosts=["h.test"], paths=["/api/mlflow/*"])
    for told in (rules(asked_for, _check=check), rules(asked_for, _check=check)):
        taken = f"[path {path}] (5) stands before it and takes all of its requests"
        assert told["warned"] == ([f"edge:443: rule mlflow (10) never answers: {taken}"] if warned else [])


def test_a_rule_before_that_does_the_same_is_not_warned_of(rules: Any, edge: Edge) -> None:
    edge.make_rule(theirs(5, "one", paths=["/api/*"]))
    assert rules(rule("mlflow", 10, "one", paths=["/api/mlflow/*"]))["warned"] == []


def test_live_weights_are_kept_when_asked(rules: Any, edge: Edge) -> None:
    canary = asked(
        "a", 10, {"paths": ["/a"]}, target_groups=[{"name": "one", "weight": 90}, {"name": "two", "weight": 10}]
    )
    rules(canary)
    stable = asked(
        "a", 10, {"paths": ["/a"]}, target_groups=[{"name": "one", "weight": 100}, {"name": "two", "weight": 0}]
    )
    assert rules(stable, weights="observed")["steps"] == []
    assert verbs(rules(stable)) == [MODIFY]


def test_a_create_whose_answer_was_lost_is_found_again(rules: Any, edge: Edge, control_plane: ControlPlane) -> None:
    control_plane.faults.add(Fault("elbv2:CreateRule", code="InternalFailure", status=500, after=True))
    applied = rules(rule("a", 10), rule("b", 20))
    assert verbs(applied) == [CREATE, CREATE]
    assert edge.forwards() == {10: "one", 20: "one"}


def test_reads_that_lag_behind_writes_are_repeated(rules: Any, edge: Edge, control_plane: ControlPlane) -> None:
    control_plane.faults.add(Fault("elbv2:CreateRule", lag=0.5))
    assert verbs(rules(rule("a", 10))) == [CREATE]
    assert control_plane.calls.count("elbv2:CreateRule") == 1


def test_throttled_calls_are_repeated_by_the_client(rules: Any, edge: Edge, control_plane: ControlPlane) -> None:
    control_plane.faults.add(Fault("elbv2:DescribeRules", code="Throttling", times=2))
    assert verbs(rules(rule("a", 10))) == [CREATE]


def test_a_read_that_is_denied_is_an_error_and_never_an_absence(
    rules: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    for action in ("DescribeLoadBalancers", "DescribeListeners", "DescribeRules", "DescribeTags"):
        edge.make_rule(theirs(1 + len(edge.rules()), paths=[f"/{action}"]))
        control_plane.faults.replace([Fault(f"elbv2:{action}", code="AccessDenied", status=403, times=-1)])
        result = rules(rule("a", 100))
        control_plane.faults.replace([])
        assert "AccessDenied" in result["msg"], action
        assert "grant" in result["remedy"]
        assert control_plane.calls.writes == 0


def test_a_write_that_is_denied_names_what_was_done(rules: Any, edge: Edge, control_plane: ControlPlane) -> None:
    edge.make_rule(ours("gone", 5))
    control_plane.faults.add(Fault("elbv2:DeleteRule", code="AccessDenied", status=403, times=-1))
    result = rules(rule("a", 10))
    assert (result["failed"], result["changed"]) == (True, True)
    assert verbs({"steps": result["steps_done"]}) == [CREATE]
    assert result["step_failed"]["verb"] == DELETE


def test_a_load_balancer_that_does_not_exist_is_named_with_its_region(rules: Any, edge: Edge) -> None:
    result = rules(rule("a", 10), load_balancer="nope")
    assert "No load balancer nope in us-east-1" in result["msg"]
    assert result["remedy"]


def test_a_listener_that_does_not_exist_is_assumed_in_check_mode_and_refused_otherwise(rules: Any, edge: Edge) -> None:
    predicted = rules(rule("a", 10), port=8443, _check=True)
    assert verbs(predicted) == [CREATE]
    assert "does not exist yet" in predicted["warned"][0]
    applied = rules(rule("a", 10), port=8443)
    assert applied["failed"]
    assert "alb_listener" in applied["remedy"]


def test_a_target_group_that_does_not_exist_is_refused_before_the_first_write(
    rules: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    wanted = [asked("a", 10, {"paths": ["/a"]}), asked("b", 20, {"paths": ["/b"]}, target_group="nowhere")]
    result = rules(*wanted)
    assert "nowhere does not exist" in result["msg"]
    assert "rule b" in result["remedy"]
    assert control_plane.calls.writes == 0
    assert "nowhere does not exist yet" in rules(*wanted, _check=True)["warned"][0]


def test_a_rule_over_quota_is_refused_before_the_first_write(
    rules: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    crowded = asked("crowded", 10, {"paths": [f"/{n}" for n in range(6)]})
    assert "Rule crowded of edge:443: 6 condition values" in rules(asked("a", 1, {"paths": ["/a"]}), crowded)["msg"]
    assert control_plane.calls.writes == 0


def test_the_rules_of_the_load_balancers_other_listeners_count(
    rules: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    other, edge.listener = edge.listener, edge.make_listener(80)
    for n in range(1, 99):
        edge.make_rule(theirs(n, paths=[f"/{n}"]))
    edge.listener = other
    assert verbs(rules(rule("a", 10), rule("b", 20))) == [CREATE, CREATE]
    result = rules(rule("a", 10), rule("b", 20), rule("c", 30))
    assert "exceed the quota of 100" in result["msg"]
    assert control_plane.calls.writes == 0


def test_a_load_balancer_may_be_given_by_its_arn(rules: Any, edge: Edge) -> None:
    assert verbs(rules(rule("a", 10), load_balancer=edge.balancer)) == [CREATE]
    assert rules(rule("a", 10))["steps"] == []


def test_an_unknown_option_is_refused(rules: Any, edge: Edge) -> None:
    assert "host" in rules({**asked("a", 10, {"paths": ["/a"]}), "host": ["x"]})["msg"]
