# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: alb_rules
short_description: The ordered rules of one listener of an Application Load Balancer
version_added: 0.1.0
author: Hokusai Platform contributors (@hokusai)
description:
  - Brings the rules of a listener to the set asked for, and keeps every route served on the way.
  - New rules are created before the ones they replace are deleted, and all moves, swaps included, are one call.
  - A rule that changes keeps its ARN. Only where changes to overlapping rules depend on one another, so that requests
    would go astray meanwhile, a rule made by this module is replaced.
  - Before the first call it is proved that no request goes astray, see RV(proof). Where no safe order is found,
    be it for want of room for old and new rules at once, or because rules made by somebody else cannot be replaced,
    the plan is refused. Where it is not known, O(unproved) decides.
  - Which live rule is which is decided by equal conditions and action, then by the tag C(hokusai:name), then
    by equal conditions, then by an equal priority where the listed rule's conditions cover the live one's.
  - Only rules created by this module (tag C(hokusai:managed-by)) are ever removed, unless O(purge=all).
  - A run that finds nothing to do makes at most four calls, whatever the number of rules, and one more for every 20
    rules on the listener that are not listed.
  - The default action comes with the listener, see M(hokusai.platform.alb_listener). Where it is to change beside the
    rules, O(default_action) makes both one plan.
options:
  load_balancer:
    description: Name or ARN of the load balancer.
    type: str
    required: true
  port:
    description: Port of the listener.
    type: int
    required: true
  rules:
    description:
      - The rules. A rule's conditions, action and transforms are stated as a whole, what is omitted is not there.
      - An empty list with O(purge=owned) removes all rules that this module created.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the rule, unique in the list, kept in the tag C(hokusai:name).
        type: str
        required: true
      priority:
        description: From 1 to 50000, unique in the list. The lowest number is tried first.
        type: int
        required: true
      hosts:
        description: Host names, of which one must match. Case does not matter, C(*) and C(?) are wildcards.
        type: list
        elements: str
      host_regexes:
        description: Regular expressions for the host, instead of O(rules[].hosts).
        type: list
        elements: str
      paths:
        description: Paths, of which one must match. Case matters, C(*) and C(?) are wildcards.
        type: list
        elements: str
      path_regexes:
        description: Regular expressions for the path, instead of O(rules[].paths).
        type: list
        elements: str
      methods:
        description: HTTP methods, of which one must match.
        type: list
        elements: str
      headers:
        description: HTTP headers, all of which must match.
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of the header. Case does not matter.
            type: str
            required: true
          values:
            description: Values, of which one must match. Case does not matter.
            type: list
            elements: str
          regexes:
            description: Regular expressions for the value, instead of O(rules[].headers[].values).
            type: list
            elements: str
      query_strings:
        description: Query parameters, of which one must match. Case does not matter.
        type: list
        elements: dict
        suboptions:
          key:
            description: Name of the parameter. Omitted, any will do.
            type: str
          value:
            description: Value of the parameter.
            type: str
            required: true
      source_ips:
        description: CIDR blocks, of which one must contain the client's address.
        type: list
        elements: str
      action:
        description: What is done with a request that meets the conditions.
        type: dict
        required: true
        suboptions:
          type:
            description: Kind of action.
            type: str
            choices: [forward, redirect, fixed_response]
            default: forward
          target_group:
            description: Name or ARN of the one target group to forward to.
            type: str
          target_groups:
            description: Several target groups to forward to, five at most.
            type: list
            elements: dict
            suboptions:
              name:
                description: Name or ARN of the target group.
                type: str
                required: true
              weight:
                description: Share of the requests, from 0 to 999.
                type: int
                default: 1
          stickiness_seconds:
            description: How long a client stays with its target group. 0 is not at all.
            type: int
            default: 0
          redirect:
            description: Where to redirect to. An omitted part stays as the request has it.
            type: dict
            suboptions:
              protocol:
                description: Protocol.
                type: str
                choices: [HTTP, HTTPS, "#{protocol}"]
              port:
                description: Port.
                type: str
              host:
                description: Host name.
                type: str
              path:
                description: Path, with a leading slash.
                type: str
              query:
                description: Query, without the question mark.
                type: str
              status_code:
                description: Permanent or temporary.
                type: str
                choices: [HTTP_301, HTTP_302]
                default: HTTP_301
          fixed_response:
            description: What to answer with.
            type: dict
            suboptions:
              status_code:
                description: A 2xx, 4xx or 5xx status.
                type: int
                required: true
              content_type:
                description: Content type. Omitted, C(text/plain).
                type: str
              message_body:
                description: Body, 1024 characters at most. Omitted, empty.
                type: str
      transforms:
        description: Rewrites of the request on its way to the target, one of each type at most. Omitted means none.
        type: list
        elements: dict
        suboptions:
          type:
            description: What is rewritten.
            type: str
            choices: [host_header_rewrite, url_rewrite]
            required: true
          regex:
            description: What to look for.
            type: str
            required: true
          replace:
            description: What to put in its place, with C($1) for the first group.
            type: str
            required: true
      tags:
        description: Tags for a rule that this task creates. The tags of a rule that exists are unmanaged.
        type: dict
  default_action:
    description:
      - What is done with a request that meets no rule. Omitted, it is unmanaged.
      - Its change is one of the steps, in the place among those of the rules where no request goes astray.
      - Where the live default action begins with one that this module does not write, such as
        C(authenticate-oidc), stating this option is an error, as that one would be dropped.
  purge:
    description:
      - What happens to live rules that are not listed. V(owned) removes those of this O(owner).
      - V(all) removes strangers' rules too, and V(none) removes nothing.
    type: str
    choices: [owned, none, all]
    default: owned
  owner:
    description: Value of the tag C(hokusai:managed-by) by which rules are known as one's own.
    type: str
    default: hokusai.platform
  adopt:
    description:
      - Whether a rule made by somebody else (Terraform, the console) may be changed in place when it is a listed
        one, by equal conditions, or by an equal priority where the live rule is no broader. That is where both have
        the same kinds of conditions, and every value of the live rule is covered by one of the listed rule.
      - A broader one is another rule, whose route would be lost. If its priority is wanted that is an error.
      - So is dropping an action that this module does not write, such as C(authenticate-oidc), from a rule made by
        somebody else.
      - It keeps its ARN and its tags, so it is managed while it is listed, and never purged.
      - When V(false) such a rule is left alone, and if its priority is wanted that is an error.
    type: bool
    default: true
  weights:
    description:
      - V(observed) leaves live weights alone where a rule forwards to the same groups, as a canary owns them.
      - The weights of a rule that M(hokusai.platform.alb_weights) has marked are left alone in any case, as long as the
        rule forwards to the group that is asked for. Such a rule is changed in place, and never replaced by another;
        one that is listed no more is an error until the canary has ended.
    type: str
    choices: [desired, observed]
    default: desired
  unproved:
    description:
      - What happens to a plan of which it can neither be proved that no request goes astray nor be told which one does,
        as where rules that change places have regular expressions, or tell more than 200000 kinds of requests apart.
      - V(refuse) writes nothing, V(warn) carries it out with a warning.
    type: str
    choices: [refuse, warn]
    default: refuse
  rules_quota:
    description: Rules the load balancer may have, default rules apart. AWS allows 100 and raises it on request.
    type: int
    default: 100
extends_documentation_fragment:
  - hokusai.platform.elb
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
seealso:
  - module: hokusai.platform.alb_listener
  - module: hokusai.platform.alb_target_group
"""

EXAMPLES = r"""
- name: Route the tracking API through the API service, which checks keys
  hokusai.platform.alb_rules:
    load_balancer: hokusai-registry-development
    port: 443
    rules:
      - name: api-mlflow
        priority: 105
        hosts: [registry.hokus.ai]
        paths: [/api/mlflow, /api/mlflow/*]
        action:
          target_group: hokusai-reg-api-development
      - name: api
        priority: 110
        hosts: [registry.hokus.ai]
        paths: [/api/*]
        action:
          target_group: hokusai-reg-api-development

- name: Take the API's paths out of the default action, which is to answer 404 from now on
  hokusai.platform.alb_rules:
    load_balancer: hokusai-main-development
    port: 443
    rules:
      - name: api
        priority: 110
        paths: [/api/v1/*]
        action:
          target_group: hokusai-api-tg-development
    default_action:
      type: fixed_response
      fixed_response:
        status_code: 404

- name: Keep a canary's weights, remove nothing
  hokusai.platform.alb_rules:
    load_balancer: hokusai-main-development
    port: 443
    purge: none
    weights: observed
    rules:
      - name: api
        priority: 110
        paths: [/api/v1/*]
        action:
          target_groups:
            - name: hokusai-api-tg-development
              weight: 100
            - name: hokusai-api-canary-development
              weight: 0
"""

RETURN = r"""
steps:
  description: The writes in the order in which they were made, or in check mode would be.
  returned: success
  type: list
  elements: dict
  contains:
    verb:
      description: The API call.
      type: str
    why:
      description: The rule, and the reason.
      type: str
  sample:
    - verb: modify_rule
      why: >-
        rule api-mlflow of hokusai-registry-development:443: forward to hokusai-reg-mlflow-development becomes
        forward to hokusai-reg-api-development
proof:
  description:
    - What is known, before the first call, of the requests that arrive while the steps are made. The diff's header says
      it too.
    - A plan of which it is known that a request would go astray is refused, in check mode too, and so is one of which
      it is not known, unless O(unproved=warn).
    - What is left to do is planned anew after some steps, and proved anew before its first call, as somebody else may
      have written meanwhile. This is then the worst of the proofs. A refusal leaves made what RV(steps_done) lists.
  returned: success
  type: dict
  contains:
    safe:
      description:
        - Whether it is proved that every request gets, at every moment, the answer it got before or the one it gets in
          the end. A request that both sets of rules answer alike is then never answered otherwise.
      type: bool
    classes:
      description: Kinds of requests that the rules tell apart and that were looked at. A single step needs none.
      type: int
    states:
      description: States of the listener, both ends included, each of which stands for all orders inside a batch.
      type: int
    reason:
      description: Why it could not be proved. Only with O(unproved=warn), else that is refused.
      type: str
  sample: {safe: true, classes: 102, states: 5, reason: ""}
resource:
  description: The listener's rules by priority, others' included, as they are now or in check mode would be.
  returned: success
  type: dict
  contains:
    listener:
      description: Name of the load balancer, and port.
      type: str
    rules:
      description: Name, priority, conditions, actions and transforms of each rule.
      type: list
      elements: dict
    default_action:
      description: The default actions.
      type: list
      elements: dict
  sample:
    listener: hokusai-registry-development:443
    rules:
      - name: api-mlflow
        priority: 105
        conditions:
          - {field: host-header, values: [registry.hokus.ai]}
          - {field: path-pattern, values: [/api/mlflow, /api/mlflow/*]}
        actions:
          - {type: forward, target_groups: {hokusai-reg-api-development: 1}, stickiness_seconds: 0}
        transforms: []
    default_action:
      - {type: fixed_response, status_code: 404, content_type: text/plain, message_body: Not Found}
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: grant the calling identity this action on this resource (docs/iam.md has the policies), then run again
error:
  description: Kind of the failure, such as V(BadInput), V(NotFound), V(Unsafe), V(AwsError) or V(NotConverged).
  returned: failure
  type: str
  sample: AwsError
steps_done:
  description: The writes that were made before the failure, as in RV(steps). They stay made; the next run goes on.
  returned: failure after the first write was begun
  type: list
  elements: dict
  sample:
    - {verb: create_rule, why: "rule api-mlflow of hokusai-registry-development:443 is absent"}
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample: {verb: delete_rule, why: "rule old of hokusai-registry-development:443 is no longer wanted"}
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb, elb_action, elb_rules, tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rule_plan import LISTENER, plan, prove_safe
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Policy, Rule, RuleSet
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed
from ansible_collections.hokusai.platform.plugins.module_utils.runner import run

SPEC: dict[str, Any] = {
    "load_balancer": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "rules": {"type": "list", "elements": "dict", "required": True, "options": elb_rules.RULE_SPEC},
    "default_action": elb_action.ACTION_SPEC,
    "purge": {"type": "str", "choices": ["owned", "none", "all"], "default": "owned"},
    "owner": {"type": "str", "default": tags.OWNER},
    "adopt": {"type": "bool", "default": True},
    "weights": {"type": "str", "choices": ["desired", "observed"], "default": "desired"},
    "rules_quota": {"type": "int", "default": 100},
    "unproved": {"type": "str", "choices": ["refuse", "warn"], "default": "refuse"},
}


def desire(params: Params) -> RuleSet:
    """Raises `BadInput` for what AWS would refuse whatever is live."""
    listener = f"{elb.balancer_name(params['load_balancer'])}:{params['port']}"
    rules = tuple(elb_rules.desired(option, listener) for option in params["rules"])
    elb_rules.refuse_clashes(rules, listener)
    policy = Policy(*(params[name] for name in ("owner", "purge", "adopt", "weights", "rules_quota", "unproved")))
    action = params["default_action"]
    default = (elb_action.desired(action, f"Default action of {listener}"),) if action else None
    return RuleSet(listener, rules, policy=policy, default=default)


def observe(aws: Aws, params: Params) -> Observed[RuleSet]:
    wanted = desire(params)
    actions = [*(rule["action"] for rule in params["rules"]), params["default_action"]]
    references = [name for action in actions for name in elb_action.references(action)]
    listeners = elb.listeners(aws, elb.balancer_arn(aws, params["load_balancer"]))
    listener = elb.on_port(listeners, params["port"], wanted.listener)
    if listener is None:
        return Observed(None, elb.group_ids(aws, references, ()))
    described = elb.rules(aws, listener["ListenerArn"], wanted.listener)
    live_actions = [action for rule in described for action in rule["Actions"]] + listener["DefaultActions"]
    live_groups = elb_action.group_arns(live_actions)
    ids = {**elb.group_ids(aws, references, live_groups), LISTENER: listener["ListenerArn"]}
    live = with_names(aws, [elb_rules.from_aws(rule) for rule in described], wanted)
    others = [each["ListenerArn"] for each in listeners if each is not listener]
    elsewhere = others if elb_rules.match(live, wanted).may_grow(wanted.policy) else []
    count = sum(len(elb.rules(aws, arn, wanted.listener)) for arn in elsewhere)
    default = elb_action.from_aws(listener["DefaultActions"])
    return Observed(RuleSet(wanted.listener, tuple(live), count, default=default), ids)


def with_names(aws: Aws, live: list[Rule], wanted: RuleSet) -> list[Rule]:
    """Live rules with their names: from the rule asked for that they equal, else (read only then) from their tag.

    Also where each rule asked for has one: what it replaces may have been left behind, and is known by its tag alone.
    """
    names = {
        rule.arn: want.name
        for rule in live
        for want in wanted.rules
        if rule.priority == want.priority and wanted.policy.same(want, rule)
    }
    unexplained = [rule.arn for rule in live if rule.arn not in names]
    read: Mapping[str, Mapping[str, str]] = elb.tags_of(aws, unexplained)
    return [
        replace(rule, name=names[rule.arn])
        if rule.arn in names
        else replace(rule, name=read.get(rule.arn, {}).get(tags.NAME, ""), tags=read.get(rule.arn))
        for rule in live
    ]


def main() -> None:
    run(service="elbv2", spec=SPEC, desire=desire, observe=observe, plan=plan, prove=prove_safe)


if __name__ == "__main__":
    main()
