"""Rules of a listener: which one answers, and what it says."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.dataplane import routing
from sandbox.dataplane.balancing import Balancer, candidates
from sandbox.dataplane.routing import FixedResponse, Forward, Redirect, Request
from sandbox.model import Listener, Rule, Target, TargetGroup
from sandbox.tests.dataplane_bench import CHECK, default, fixed, forward, redirect, rule

HOST, PATH, HEADER = "host-header", "path-pattern", "http-header"
METHOD, QUERY, SOURCE = "http-request-method", "query-string", "source-ip"


def ask(**changes: Any) -> Request:
    plain: dict[str, Any] = {
        "method": "GET",
        "host": "registry.hokus.ai",
        "path": "/api/mlflow/x",
        "query": "",
        "headers": (),
        "source": "203.0.113.10",
        "scheme": "https",
        "port": 443,
    }
    return Request(**{**plain, **changes})


@pytest.mark.parametrize(
    ("conditions", "request_"),
    [
        ({HOST: ["REGISTRY.hokus.ai"]}, ask()),
        ({HOST: {"Values": ["*.hokus.ai"]}}, ask(host="Registry.Hokus.AI")),
        ({HOST: ["registry.hokus.ai"]}, ask(host="registry.hokus.ai:443")),
        ({HOST: ["registr?.hokus.ai"]}, ask()),
        ({HOST: {"RegexValues": [r"^registry\.hokus\.ai:8443$"]}}, ask(host="Registry.hokus.ai:8443")),
        ({PATH: ["/api/mlflow", "/api/mlflow/*"]}, ask()),
        ({PATH: {"Values": ["/api/%2F/*"]}}, ask(path="/api/%2F/x")),
        ({PATH: ["*"]}, ask(path="/anything/at/all")),
        ({PATH: {"RegexValues": [r"^/api/v\d+/"]}}, ask(path="/api/v2/x")),
        ({HEADER: {"HttpHeaderName": "X-Canary", "Values": ["YES*"]}}, ask(headers=(("x-canary", "yes please"),))),
        ({HEADER: {"HttpHeaderName": "Accept", "Values": ["b"]}}, ask(headers=(("accept", "a"), ("accept", "B")))),
        ({METHOD: {"Values": ["PUT", "GET"]}}, ask()),
        ({QUERY: {"Values": [{"Key": "Version", "Value": "v?"}]}}, ask(query="a=b&version=V1")),
        ({QUERY: {"Values": [{"Value": "b"}]}}, ask(query="a=b")),
        ({QUERY: {"Values": [{"Key": "q", "Value": r"\*"}]}}, ask(query="q=*")),
        ({SOURCE: {"Values": ["198.51.100.0/24", "203.0.113.0/24"]}}, ask()),
        ({HOST: ["*.hokus.ai"], PATH: ["/api/*"]}, ask()),
        ({}, ask()),
    ],
)
def test_a_condition_holds(conditions: dict[str, Any], request_: Request) -> None:
    assert routing.matches(rule(1, conditions), request_)


@pytest.mark.parametrize(
    ("conditions", "request_"),
    [
        ({HOST: ["hokus.ai"]}, ask()),
        ({HOST: ["registry.hokus.ai"]}, ask(host="registry.hokus.ai:8443")),
        ({HOST: ["registryxhokus.ai"]}, ask()),
        ({PATH: ["/API/*"]}, ask()),
        ({PATH: ["/api/mlflow"]}, ask()),
        ({PATH: ["/api/mlflow/*"]}, ask(path="/api/mlflow")),
        ({PATH: ["/a b"]}, ask(path="/a%20b")),
        ({PATH: ["/x?y=1"]}, ask(path="/x", query="y=1")),
        ({PATH: {"RegexValues": ["^/API/"]}}, ask()),
        ({HEADER: {"HttpHeaderName": "X-Canary", "Values": ["yes"]}}, ask()),
        ({METHOD: {"Values": ["get"]}}, ask()),
        ({QUERY: {"Values": [{"Key": "version", "Value": "v1"}]}}, ask(query="version=v2")),
        ({QUERY: {"Values": [{"Key": "q", "Value": r"\*"}]}}, ask(query="q=x")),
        ({SOURCE: {"Values": ["198.51.100.0/24"]}}, ask()),
        ({HOST: ["*.hokus.ai"], PATH: ["/mlflow/*"]}, ask()),
        ({"no-such-field": ["x"]}, ask()),
    ],
)
def test_a_condition_does_not_hold(conditions: dict[str, Any], request_: Request) -> None:
    assert not routing.matches(rule(1, conditions), request_)


def listener(*rules: Rule) -> Listener:
    return Listener("l", 443, "HTTPS", (), rules)


def test_the_lowest_priority_that_matches_wins_whatever_the_order_of_the_rules() -> None:
    broad, narrow = rule(110, {PATH: ["/api/*"]}), rule(105, {PATH: ["/api/mlflow/*"]})
    assert routing.select(listener(default(), broad, narrow), ask()) == narrow


def test_the_default_rule_answers_when_no_other_does() -> None:
    last = default(fixed(404))
    assert routing.select(listener(last, rule(1, {PATH: ["/else"]})), ask()) == last


def test_a_bare_target_group_and_a_forward_config_say_the_same() -> None:
    bare = default({"Type": "forward", "TargetGroupArn": "tg/a"})
    assert routing.action(bare, ask()) == Forward((("tg/a", 1),))
    assert routing.action(default(forward("tg/a")), ask()) == Forward((("tg/a", 1),))


def test_the_routing_action_is_the_last_in_order() -> None:
    ordered = default({"Type": "fixed-response", "Order": 2, **fixed(404)}, {"Type": "authenticate-oidc", "Order": 1})
    assert routing.action(ordered, ask()) == FixedResponse(404, "text/plain", "")


def test_an_action_the_sandbox_does_not_serve_is_none() -> None:
    assert routing.action(default({"Type": "authenticate-oidc"}), ask()) is None


@pytest.mark.parametrize(
    ("config", "location"),
    [
        ({"Protocol": "HTTPS", "Port": "443"}, "https://registry.hokus.ai:443/a/b?c=d"),
        (
            {"Protocol": "#{protocol}", "Port": "#{port}", "Path": "/new/#{path}"},
            "http://registry.hokus.ai:80/new/a/b?c=d",
        ),
        ({"Host": "www.#{host}", "Query": ""}, "http://www.registry.hokus.ai:80/a/b"),
        ({"Query": "#{query}&e=f", "Path": "/x"}, "http://registry.hokus.ai:80/x?c=d&e=f"),
    ],
)
def test_a_redirect_fills_its_placeholders(config: dict[str, str], location: str) -> None:
    request = ask(scheme="http", port=80, host="registry.hokus.ai:80", path="/a/b", query="c=d")
    assert routing.action(default(redirect(**config)), request) == Redirect(301, location)


def test_transforms_rewrite_host_and_url() -> None:
    url = {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/api/mlflow(.*)$", "Replace": "$1"}]}}
    host = {
        "Type": "host-header-rewrite",
        "HostHeaderRewriteConfig": {"Rewrites": [{"Regex": "^.*$", "Replace": "a.b"}]},
    }
    changed = rule(1, {}, transforms=(url, host))
    assert routing.rewritten(changed, "registry.hokus.ai", "/api/mlflow/x?y=1") == ("a.b", "/x?y=1")


def test_weights_are_shares_and_zero_gets_nothing() -> None:
    balancer, action = Balancer(), Forward((("a", 9), ("b", 1), ("c", 0)))
    turns = [balancer.group("rule", action) for _ in range(100)]
    assert (turns.count("a"), turns.count("b"), turns.count("c")) == (90, 10, 0)
    assert balancer.group("rule", Forward((("a", 0),))) is None


def test_only_healthy_targets_are_candidates_unless_there_is_none() -> None:
    states = ("healthy", "unhealthy", "initial", "draining", "unused")
    targets = {state: Target("10.0.0.1", number, state) for number, state in enumerate(states)}
    group = TargetGroup("a", "a", "HTTP", 80, CHECK, tuple(targets.values()))
    assert candidates(group) == (targets["healthy"],)
    failed = TargetGroup("a", "a", "HTTP", 80, CHECK, group.targets[1:], ("lb/main",))
    assert candidates(failed) == (targets["unhealthy"], targets["initial"])


def test_a_request_that_chose_a_group_just_before_the_rules_left_it_still_finds_its_targets() -> None:
    unused = Target("10.0.0.1", 80, "unused")
    assert candidates(TargetGroup("a", "a", "HTTP", 80, CHECK, (unused,))) == (unused,)
    assert candidates(TargetGroup("a", "a", "HTTP", 80, CHECK, (unused,), ("lb/main",))) == ()
