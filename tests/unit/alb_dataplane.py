"""Rules and requests as the sandbox's load balancers have them, which judge by code of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb_action, elb_condition, elb_rules
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Rule
from ansible_collections.hokusai.platform.plugins.module_utils.routing import Request

from sandbox import model
from sandbox.dataplane import routing
from tests.unit.alb_model import arn


def listener(rules: Iterable[Rule]) -> model.Listener:
    """The rules, and behind them a default action of which nothing is known."""
    return model.Listener("arn", 443, "HTTPS", (), (*map(one, rules), model.Rule("default", None, (), ())))


def one(given: Rule) -> model.Rule:
    return model.Rule(
        given.arn or given.name,
        given.priority,
        tuple(elb_condition.to_aws(given.conditions)),
        tuple(elb_action.to_aws(each, arn) for each in given.actions),
        tuple(elb_rules.transforms_to_aws(given.transforms)),
    )


def sent(request: Request) -> routing.Request:
    return routing.Request(
        request.method,
        request.host,
        request.path,
        request.query,
        request.headers,
        request.source_ip,
        request.scheme,
        443,
    )


def answer(given: model.Listener, request: Request) -> Any:
    """What is done with a request, and how it is rewritten."""
    asked = sent(request)
    found = routing.select(given, asked)
    assert found
    return routing.action(found, asked), found.transforms
