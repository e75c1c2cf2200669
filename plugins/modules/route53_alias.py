#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: route53_alias
short_description: Public host names as Route 53 aliases of load balancers
version_added: 0.2.0
author: Hokusai Platform contributors (@hokusai)
description:
  - Makes each host an alias (A, and AAAA where the load balancer is dual-stack) of its load balancer.
  - The changes of a hosted zone are one batch, of which Route 53 makes all or none. It is waited for until all of
    Route 53's servers answer by it.
  - A host that leads elsewhere, or there by a CNAME, is an error unless O(replace=true), and one with a routing policy
    always is. Nothing else of the zone is touched.
options:
  hosts:
    description: Lists of public host names, by the name of the load balancer that they are to lead to.
    type: dict
    required: true
  zone:
    description:
      - Name or id of the public hosted zone. Omitted, it is the one with the longest name that a host is below.
    type: str
  evaluate_target_health:
    description: Whether Route 53 leaves out a load balancer that has no healthy target.
    type: bool
    default: true
  replace:
    description:
      - Whether a host that leads elsewhere, or to its load balancer by a CNAME, is taken. Its A, AAAA or CNAME records
        go in the same batch, so that the name is never without an answer.
    type: bool
    default: false
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
seealso:
  - module: hokusai.platform.public_endpoint_info
"""

EXAMPLES = r"""
- name: Give the registry its public name
  hokusai.platform.route53_alias:
    hosts:
      hokusai-registry-development: [registry.hokus.ai]
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
    - verb: change_resource_record_sets
      why: "hosted zone hokus.ai: registry.hokus.ai becomes A alias of hokusai-registry-development"
resource:
  description: What each host leads to now, or in check mode would.
  returned: success
  type: dict
  sample:
    registry.hokus.ai: [A alias of hokusai-registry-development-1.us-east-1.elb.amazonaws.com]
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: set replace (alb_routing_dns_replace of the role) to take the name, or correct host and load balancer
error:
  description: Kind of the failure, such as V(BadInput), V(NotFound), V(AwsError), V(NotConverged) or V(GaveUp).
  returned: failure
  type: str
  sample: BadInput
steps_done:
  description: The writes that were made before the failure, as in RV(steps). They stay made; the next run goes on.
  returned: failure after the first write was begun
  type: list
  elements: dict
  sample:
    - verb: change_resource_record_sets
      why: "hosted zone hokus.ai: registry.hokus.ai becomes A alias of hokusai-registry-development"
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample:
    verb: change_resource_record_sets
    why: "hosted zone hokus.ai: registry.hokus.ai becomes A alias of hokusai-registry-development"
"""

from collections.abc import Sequence
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import public_dns
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import NotFound
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed
from ansible_collections.hokusai.platform.plugins.module_utils.route53_alias_plan import Aliases, plan
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Response, run

SPEC: dict[str, Any] = {
    "hosts": {"type": "dict", "required": True},
    "zone": {"type": "str"},
    "evaluate_target_health": {"type": "bool", "default": True},
    "replace": {"type": "bool", "default": False},
}
PROPAGATION = {"Delay": 3, "MaxAttempts": 60}
"""Route 53 says 60 seconds."""


def desire(params: Params) -> Aliases:
    wanted = public_dns.balancer_by_host(params["hosts"])
    return Aliases(wanted, params["evaluate_target_health"], params["replace"])


def observe(aws: Aws, params: Params) -> Observed[Aliases]:
    wanted = desire(params).wanted
    zones = chosen(public_dns.public_zones(aws), params["zone"])
    by_host = {host: public_dns.zone_of(host, zones) for host in wanted}
    balancers = public_dns.balancers(aws, wanted.values())
    records = [record for host, zone in by_host.items() for record in public_dns.records(aws, zone, host)]
    return Observed(Aliases(zones=by_host, balancers=balancers, records=tuple(records)))


def chosen(zones: list[public_dns.HostedZone], reference: str | None) -> list[public_dns.HostedZone]:
    if reference is None:
        return zones
    found = [zone for zone in zones if reference.lower().rstrip(".") in (zone.name, zone.id.lower())]
    if not found:
        raise NotFound(f"No public hosted zone {reference} in this account", "give its name or its id")
    return found


def settle(aws: Aws, _params: Params, responses: Sequence[Response]) -> None:
    """A change whose answer was lost cannot be asked about; that the records are there is seen in any case."""
    for _step, response in responses:
        if response:
            change = response["ChangeInfo"]["Id"]
            aws.route53.get_waiter("resource_record_sets_changed").wait(Id=change, WaiterConfig=PROPAGATION)


def main() -> None:
    run(service="route53", spec=SPEC, desire=desire, observe=observe, plan=plan, settle=settle)


if __name__ == "__main__":
    main()
