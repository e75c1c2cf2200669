# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: alb_listener
short_description: One listener of an Application Load Balancer
version_added: 0.1.0
author: Hokusai Platform contributors (@hokusai)
description:
  - Creates a listener, or changes its protocol, certificates, TLS policy, default action and attributes in place.
  - The load balancer exists already. The listener's rules belong to M(hokusai.platform.alb_rules).
  - An omitted option is unmanaged, unless said otherwise.
options:
  load_balancer:
    description: Name or ARN of the load balancer.
    type: str
    required: true
  port:
    description: Port of the listener.
    type: int
    required: true
  state:
    description:
      - Whether the listener is there.
      - V(absent) deletes a listener made by this module (tag C(hokusai:managed-by)). For any other it is an error.
    type: str
    choices: [present, absent]
    default: present
  protocol:
    description: Protocol of the clients. Required for a new listener.
    type: str
    choices: [HTTP, HTTPS]
  certificates:
    description:
      - ACM certificates by domain name or ARN, all of them. The first is the default, the others serve by SNI.
      - They must be issued. When two have the name, give the ARN.
      - The ARN of an IAM server certificate is refused, for nobody could tell when it ends. Import it into ACM.
      - Required for a new HTTPS listener.
    type: list
    elements: str
  ssl_policy:
    description:
      - Name of the TLS policy. Omitted, it is unmanaged on a listener that is HTTPS already.
      - The default for a new HTTPS listener, and for an HTTP one that becomes HTTPS, is
        V(ELBSecurityPolicy-TLS13-1-2-2021-06), as what AWS would choose still speaks TLS 1.0.
    type: str
  default_action:
    description:
      - What is done with a request that meets no rule. Required for a new listener.
      - Where the live default action begins with one that this module does not write, such as
        C(authenticate-oidc), stating this option is an error, as that one would be dropped.
  update_default_action:
    description:
      - V(always) changes the default action of a listener that exists too, in a task that knows nothing of its rules.
      - V(on_create) leaves it alone there. Where rules change with it, as when a path is to go from the default action
        to a rule, leave it to O(hokusai.platform.alb_rules#module:default_action), which changes both in an order in
        which no request goes astray.
    type: str
    choices: [always, on_create]
    default: always
  attributes:
    description: Listener attributes by AWS's names. Attributes not listed are unmanaged.
    type: dict
  tags:
    description: Tags that are there. Tags not listed are unmanaged.
    type: dict
extends_documentation_fragment:
  - hokusai.platform.elb
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
seealso:
  - module: hokusai.platform.alb_rules
"""

EXAMPLES = r"""
- name: Serve HTTPS, and answer 404 to what no rule wants
  hokusai.platform.alb_listener:
    load_balancer: hokusai-main-development
    port: 443
    protocol: HTTPS
    certificates: ["*.hokus.ai"]
    ssl_policy: ELBSecurityPolicy-TLS13-1-2-2021-06
    default_action:
      type: fixed_response
      fixed_response:
        status_code: 404
        message_body: Not Found

- name: Send HTTP to HTTPS
  hokusai.platform.alb_listener:
    load_balancer: hokusai-main-development
    port: 80
    protocol: HTTP
    default_action:
      type: redirect
      redirect:
        protocol: HTTPS
        port: "443"
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
      description: The resource, and the reason.
      type: str
  sample:
    - verb: modify_listener
      why: >-
        listener hokusai-auth-development:443: default_action forward to hokusai-auth-tg-development becomes
        fixed response 404
resource:
  description: The listener as it is now, or in check mode would be. Null when absent.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the load balancer, and port.
      type: str
    port:
      description: Port.
      type: int
    protocol:
      description: Protocol.
      type: str
    certificates:
      description: Certificates as they were asked for, the default one first.
      type: list
      elements: str
    ssl_policy:
      description: Name of the TLS policy.
      type: str
    default_action:
      description: The default actions.
      type: list
      elements: dict
    attributes:
      description: The attributes that were asked for.
      type: dict
    tags:
      description: The tags that were asked for.
      type: dict
  sample:
    name: hokusai-auth-development:443
    port: 443
    protocol: HTTPS
    certificates: ["*.hokus.ai"]
    ssl_policy: ELBSecurityPolicy-TLS13-1-2-2021-06
    default_action:
      - {type: fixed_response, status_code: 404, content_type: text/plain, message_body: Not Found}
    attributes: {routing.http.response.server.enabled: "false"}
    tags: {team: ml}
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: grant the calling identity this action on this resource (docs/iam.md has the policies), then run again
error:
  description: Kind of the failure, such as V(BadInput), V(NotFound), V(AwsError), V(NotConverged) or V(GaveUp).
  returned: failure
  type: str
  sample: AwsError
steps_done:
  description: The writes that were made before the failure, as in RV(steps). They stay made; the next run goes on.
  returned: failure after the first write was begun
  type: list
  elements: dict
  sample:
    - {verb: create_listener, why: "listener hokusai-auth-development:443 is absent"}
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample:
    verb: modify_listener_attributes
    why: "attributes of listener hokusai-auth-development:443: routing.http.response.server.enabled"
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import acm, elb, elb_action, tags
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.elb_listener import BALANCER, LISTENER, Listener, plan
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, calling
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed
from ansible_collections.hokusai.platform.plugins.module_utils.runner import run

SPEC: dict[str, Any] = {
    "load_balancer": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "protocol": {"type": "str", "choices": ["HTTP", "HTTPS"]},
    "certificates": {"type": "list", "elements": "str"},
    "ssl_policy": {"type": "str"},
    "default_action": elb_action.ACTION_SPEC,
    "update_default_action": {"type": "str", "choices": ["always", "on_create"], "default": "always"},
    "attributes": {"type": "dict"},
    "tags": {"type": "dict"},
}


def desire(params: Params) -> Listener | None:
    """Raises `BadInput` for what AWS would refuse whatever is live."""
    if params["state"] == "absent":
        return None
    name, action, wanted = name_of(params), params["default_action"], params["certificates"]
    if wanted == []:
        raise BadInput(f"Listener {name}: the list of certificates is empty", "name one, or omit the option")
    return Listener(
        name=name,
        port=params["port"],
        protocol=params["protocol"],
        certificates=(wanted[0], *sorted(set(wanted[1:]) - {wanted[0]})) if wanted else None,
        ssl_policy=params["ssl_policy"],
        default_action=(elb_action.desired(action, f"Default action of {name}"),) if action else None,
        attributes=tags.texts(params["attributes"]),
        tags=tags.texts(params["tags"]),
        keeps_default=params["update_default_action"] == "on_create",
    )


def name_of(params: Params) -> str:
    return f"{elb.balancer_name(params['load_balancer'])}:{params['port']}"


def observe(aws: Aws, params: Params) -> Observed[Listener]:
    balancer = elb.balancer_arn(aws, params["load_balancer"])
    live = elb.on_port(elb.listeners(aws, balancer), params["port"], name_of(params))
    groups = elb_action.group_arns(live["DefaultActions"] if live else ())
    ids = {BALANCER: balancer, **elb.group_ids(aws, elb_action.references(params["default_action"]), groups)}
    available = acm.certificates(aws) if params["certificates"] else acm.Certificates((), aws.region)
    meant = {each: available.arn(each) for each in params["certificates"] or ()}
    if live is None:
        return Observed(None, {**ids, **meant})
    arn = live["ListenerArn"]
    used = certificate_names(available, meant, elb.certificates(aws, live)) if meant else {}
    found_tags = elb.tags_of(aws, [arn])[arn] if params["tags"] or params["state"] == "absent" else {}
    listener = Listener(
        name=name_of(params),
        port=params["port"],
        protocol=live["Protocol"],
        certificates=(*list(used)[:1], *sorted(list(used)[1:])) if meant else None,
        ssl_policy=live.get("SslPolicy"),
        default_action=elb_action.from_aws(live["DefaultActions"]),
        attributes=attributes(aws, arn, params["attributes"]),
        tags=found_tags if params["state"] == "absent" else tags.among(found_tags, params["tags"]),
    )
    return Observed(listener, {**ids, **used, **meant, LISTENER: arn})


def certificate_names(
    available: acm.Certificates, references: Mapping[str, str], arns: Iterable[str]
) -> dict[str, str]:
    """ARN by name; of two certificates of one domain (RSA and ECDSA, old and renewed) the second keeps its ARN."""
    named: dict[str, str] = {}
    for arn in arns:
        name = available.name(arn, references)
        named[arn if name in named else name] = arn
    return named


def attributes(aws: Aws, arn: str, asked: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    """Those that were asked for; none are read when none are."""
    if not asked:
        return None
    with calling("describe the listener's attributes"):
        answer = aws.elbv2.describe_listener_attributes(ListenerArn=arn)
    return tags.among(tags.from_aws(answer["Attributes"]), asked)


def main() -> None:
    run(service="elbv2", spec=SPEC, desire=desire, observe=observe, plan=plan)


if __name__ == "__main__":
    main()
