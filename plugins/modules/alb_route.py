#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: alb_route
short_description: Which rule of a load balancer answers a request, and which rules never can
version_added: 0.2.0
author:
  - Hokusai Platform contributors (@hokusai)
description:
  - Reads the rules of a listener and works out what the load balancer would do with a request. Nothing is sent.
  - Also looks at the rules as a whole, for those that can never answer, duplicates, and quotas that are exceeded.
  - Whether a rule can answer is decided over all requests there can be, not by comparing rules two by two. A rule that
    several others cover only together is found too.
  - What regular expressions have in common with other conditions is not looked into, and neither is a pattern with
    letters that requests are not known to have (a tab in a header, a letter outside ASCII), see RV(unknown). What is
    found is true nevertheless.
  - Never fails because of what it finds. Assert on RV(findings) and RV(routes).
options:
  load_balancer:
    description: Name or ARN of the load balancer.
    type: str
    required: true
  port:
    description: Port of the listener.
    type: int
    required: true
  request:
    description: The request. Omitted, and O(requests) too, only the rules as a whole are looked at.
    type: dict
    suboptions: &request
      host:
        description: Host, as the C(Host) header has it.
        type: str
        required: true
      path:
        description: Path as it is sent, without the query.
        type: str
        default: /
      method:
        description: HTTP method, in capitals.
        type: str
        default: GET
      headers:
        description: Other headers. One may be there several times.
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of the header.
            type: str
            required: true
          value:
            description: Value of the header. White space around it is no part of it.
            type: str
            required: true
      query:
        description: Query as it is sent, without the question mark.
        type: str
        default: ""
      source_ip:
        description: Address that the request comes from, that of the last proxy. Omitted, one that nobody has.
        type: str
        default: 192.0.2.1
  requests:
    description: Several requests.
    type: list
    elements: dict
    suboptions: *request
  rules_quota:
    description: Rules the load balancer may have, default rules apart. AWS allows 100 and raises it on request.
    type: int
    default: 100
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.reads
seealso:
  - module: hokusai.platform.alb_rules
"""

EXAMPLES = r"""
- name: See who answers a registration
  hokusai.platform.alb_route:
    load_balancer: hokusai-registry-development
    port: 443
    request:
      host: registry.hokus.ai
      path: /api/mlflow/api/2.0/mlflow/registered-models/create
      method: POST
  register: route

- name: Require that it passes the API service, which checks keys, and that no rule is dead
  ansible.builtin.assert:
    that:
      - route.routes[0].target_groups | map(attribute='name') == ['hokusai-reg-api-development']
      - not route.findings
"""

RETURN = r"""
routes:
  description: What becomes of each request, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    request:
      description: The request.
      type: dict
    rule:
      description: Name of the rule that answers, else its conditions in brackets; C(default) is the default action.
      type: str
    priority:
      description: Its priority, null for the default action.
      type: int
    rule_arn:
      description: Its ARN, empty for the default action.
      type: str
    action:
      description: What it does, in words.
      type: str
    actions:
      description: What it does, as M(hokusai.platform.alb_rules) shows it.
      type: list
      elements: dict
    target_groups:
      description: Where it forwards to, with weights and shares; empty when it does not forward.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the target group.
          type: str
        weight:
          description: Its weight.
          type: int
        percent:
          description: Its share of the requests.
          type: float
    passed_over:
      description: The rules before it, each with the first condition that the request does not meet.
      type: list
      elements: dict
      contains:
        rule:
          description: Name of the rule, else its conditions in brackets.
          type: str
        priority:
          description: Its priority.
          type: int
        condition:
          description: The condition.
          type: str
        observed:
          description: What the request has there.
          type: str
  sample:
    - request: {method: GET, host: registry.hokus.ai, path: /api/x, source_ip: 192.0.2.1}
      rule: api
      priority: 110
      rule_arn: arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/registry/a/b/c
      action: forward to hokusai-reg-api-development
      actions:
        - {type: forward, target_groups: {hokusai-reg-api-development: 1}, stickiness_seconds: 0}
      target_groups:
        - {name: hokusai-reg-api-development, weight: 1, percent: 100.0}
      passed_over:
        - {rule: api-mlflow, priority: 105, condition: path /api/mlflow|/api/mlflow/*, observed: /api/x}
findings:
  description: What is amiss with the rules.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(shadowed) is a rule that never answers, because rules in front of it answer all that it would.
        - V(matches_nothing) is a rule whose conditions no request can meet.
        - V(duplicate) is a rule with the conditions of another, and V(over_quota) is what AWS does not allow.
      type: str
    text:
      description: A sentence that says it.
      type: str
    rule:
      description: Name of the rule, else its conditions in brackets; empty when it is about all of them.
      type: str
    priority:
      description: Its priority, null when it is about all of them.
      type: int
    by:
      description: Priorities of the rules that answer in its place.
      type: list
      elements: int
  sample:
    - kind: shadowed
      text: "rule health (120) never answers: every request that meets it is answered by all (100)"
      rule: health
      priority: 120
      by: [100]
unknown:
  description: What was not looked into, so that there may be more findings than these. Empty, there are not.
  returned: success
  type: str
  sample: ""
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: check its name, the region and the account of the profile
error:
  description: Kind of the failure, such as V(BadInput), V(NotFound) or V(AwsError).
  returned: failure
  type: str
  sample: NotFound
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb, elb_action, elb_rules, tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, NotFound
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params, failing, make_module
from ansible_collections.hokusai.platform.plugins.module_utils.plan import as_data
from ansible_collections.hokusai.platform.plugins.module_utils.routing import SOMEWHERE, Request
from ansible_collections.hokusai.platform.plugins.module_utils.routing_report import Listener, findings

REQUEST: dict[str, Any] = {
    "host": {"type": "str", "required": True},
    "path": {"type": "str", "default": "/"},
    "method": {"type": "str", "default": "GET"},
    "headers": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str", "required": True}, "value": {"type": "str", "required": True}},
    },
    "query": {"type": "str", "default": ""},
    "source_ip": {"type": "str", "default": SOMEWHERE},
}
SPEC: dict[str, Any] = {
    "load_balancer": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "request": {"type": "dict", "options": REQUEST},
    "requests": {"type": "list", "elements": "dict", "options": REQUEST},
    "rules_quota": {"type": "int", "default": 100},
}


def asked(option: Mapping[str, Any]) -> Request:
    """The request an option states. Raises `BadInput` for one that nobody can send."""
    path = option["path"]
    if not path.startswith("/") or "?" in path:
        raise BadInput(f"The path {path} is none", "begin it with a slash, and give what follows ? as query")
    try:
        ipaddress.ip_address(option["source_ip"])
    except ValueError as error:
        raise BadInput(f"The source_ip {option['source_ip']} is no address", "give an IPv4 or IPv6 address") from error
    headers = tuple((each["name"].lower(), each["value"]) for each in option["headers"] or ())
    return Request(option["host"], path, option["method"], headers, option["query"], option["source_ip"])


def gather(aws: Aws, params: Params) -> Listener:
    """The listener with its rules, named by their tags."""
    name = f"{elb.balancer_name(params['load_balancer'])}:{params['port']}"
    listeners = elb.listeners(aws, elb.balancer_arn(aws, params["load_balancer"]))
    listener = elb.on_port(listeners, params["port"], name)
    if listener is None:
        raise NotFound(f"There is no listener {name}", "create it with alb_listener, or correct the port")
    live = [elb_rules.from_aws(rule) for rule in elb.rules(aws, listener["ListenerArn"], name)]
    read = elb.tags_of(aws, [rule.arn for rule in live])
    named = (replace(rule, name=read.get(rule.arn, {}).get(tags.NAME, "")) for rule in live)
    others = [each["ListenerArn"] for each in listeners if each is not listener]
    elsewhere = sum(len(elb.rules(aws, arn, name)) for arn in others)
    default = elb_action.from_aws(listener["DefaultActions"])
    return Listener(name, listener["Protocol"].lower(), tuple(named), default, elsewhere)


def main() -> None:
    module = make_module(SPEC, mutually_exclusive=[("request", "requests")])
    with failing(module):
        params = module.params
        lone = [params["request"]] if params["request"] else []
        requests = [asked(option) for option in params["requests"] or lone]
        listener = gather(Aws(params), params)
        found, unknown = findings(listener, params["rules_quota"])
        routes = [listener.route(request) for request in requests]
        module.exit_json(changed=False, routes=routes, findings=as_data(found), unknown=unknown)


if __name__ == "__main__":
    main()
