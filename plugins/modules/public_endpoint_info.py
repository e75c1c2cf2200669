#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: public_endpoint_info
short_description: Whether public hosts lead to their load balancers, and how long their certificates last
version_added: 0.2.0
author: Hokusai Platform contributors (@hokusai)
description:
  - Reads Route 53, the listeners and ACM, and writes nothing. Never fails for what it finds. Assert on RV(problems).
  - A host of no public hosted zone of the account, or of several of one name, or that its zone delegates to other name
    servers, is resolved by the machine that the module runs on, and compared with what its load balancer resolves to
    there, in three looks at most.
  - A record that answers only while others beside it are not healthy (failover's secondary, a weight of 0) may lead
    elsewhere.
  - All certificates of the listener that cover a host are judged, for it depends on the client which one it is handed;
    an ECDSA one comes before one with RSA, even where it is over. One that is over or not issued is a problem where
    clients that take ECDSA may be handed it, else a concern, as is one that ends soon or whose renewal failed.
  - Of an IAM server certificate neither hosts nor end are looked at. Alone it is a problem, and beside an ACM
    certificate that covers the host a concern.
options:
  hosts:
    description: Lists of public host names, by the name of the load balancer that is to serve them.
    type: dict
    required: true
  port:
    description: Port of the HTTPS listeners.
    type: int
    default: 443
  certificate_days:
    description: A certificate with fewer days left is a concern.
    type: int
    default: 30
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.reads
seealso:
  - module: hokusai.platform.route53_alias
"""

EXAMPLES = r"""
- name: Look at the registry's name and certificate
  hokusai.platform.public_endpoint_info:
    hosts:
      hokusai-registry-development: [registry.hokus.ai]
  register: registry
  failed_when: registry.problems | length > 0
"""

RETURN = r"""
endpoints:
  description: What was found of each host, in the order of the option.
  returned: success
  type: list
  elements: dict
  contains:
    host:
      description: The host.
      type: str
    load_balancer:
      description: Name of its load balancer.
      type: str
    leads_to:
      description: The host's records, or the addresses it resolves to.
      type: str
    leads_to_load_balancer:
      description: Whether all of them mean the load balancer, but for those in reserve.
      type: bool
    certificate:
      description: Of the listener's good certificates that cover the host the one that ends first; null without one.
      type: dict
      contains:
        arn:
          description: Its ARN.
          type: str
        names:
          description: The names it is for.
          type: list
          elements: str
        expires:
          description: When it ends.
          type: str
        days_left:
          description: Whole days until then.
          type: int
        renews:
          description: Whether ACM renews it. It does not renew what was imported.
          type: bool
    problems:
      description: What keeps clients out, each with its remedy.
      type: list
      elements: str
    concerns:
      description: What will, unless somebody does something.
      type: list
      elements: str
  sample:
    - host: registry.hokus.ai
      load_balancer: hokusai-registry-development
      leads_to: A alias of hokusai-registry-development-1.us-east-1.elb.amazonaws.com
      leads_to_load_balancer: true
      certificate:
        arn: arn:aws:acm:us-east-1:123456789012:certificate/0a1b
        names: ["*.hokus.ai"]
        expires: "2026-12-11T00:00:00+00:00"
        days_left: 19
        renews: false
      problems: []
      concerns:
        - the certificate *.hokus.ai (0a1b) of registry.hokus.ai on hokusai-registry-development:443 has 19 days left,
          and it does not renew by itself
certificates:
  description: How long RV(endpoints[].certificate) of each host lasts, and whether it renews.
  returned: success
  type: list
  elements: str
  sample: ["registry.hokus.ai: certificate 19 days left, does not renew by itself"]
problems:
  description: The problems of all hosts.
  returned: success
  type: list
  elements: str
  sample: []
concerns:
  description: The concerns of all hosts.
  returned: success
  type: list
  elements: str
  sample:
    - the certificate *.hokus.ai (0a1b) of registry.hokus.ai on hokusai-registry-development:443 has 19 days left, and
      it does not renew by itself
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

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import acm, elb, public_dns
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Ambiguous, NotFound, calling
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params, failing, make_module
from ansible_collections.hokusai.platform.plugins.module_utils.public_endpoint import Certificate, Endpoint, judged

SPEC: dict[str, Any] = {
    "hosts": {"type": "dict", "required": True},
    "port": {"type": "int", "default": 443},
    "certificate_days": {"type": "int", "default": 30},
}
LOOKS = 3


def gather(aws: Aws, params: Params) -> Iterator[Endpoint]:
    wanted, port = public_dns.balancer_by_host(params["hosts"]), params["port"]
    if not wanted:
        return
    balancers = public_dns.balancers(aws, wanted.values())
    zones = public_dns.public_zones(aws)
    served = {name: listener_certificates(aws, balancer, port) for name, balancer in balancers.items()}
    all_arns = {arn for arns in served.values() for arn in arns or ()}
    known = {arn: describe(aws, arn) for arn in all_arns if acm.is_acms(arn)}
    for host, name in wanted.items():
        arns = served[name] or []
        endpoint = Endpoint(
            host,
            balancers[name],
            port,
            certificates=tuple(found for arn in arns if (found := known.get(arn))),
            unread=tuple(arn.partition("/")[2] for arn in arns if not acm.is_acms(arn)),
            listens=served[name] is not None,
        )
        yield located(aws, endpoint, zones)


def located(aws: Aws, endpoint: Endpoint, zones: list[public_dns.HostedZone]) -> Endpoint:
    """With its records, or with its addresses where no one zone of the account tells them."""
    try:
        return replace(endpoint, records=tuple(public_dns.answering(aws, zones, endpoint.host)))
    except (NotFound, Ambiguous):
        return replace(endpoint, addresses=addresses(endpoint.host, endpoint.balancer.dns_name))


def addresses(host: str, balancer: str) -> tuple[frozenset[str], frozenset[str]]:
    """A load balancer of many addresses answers with some of them, each time others, so that one of the host's that it
    did not name is looked for again. A host without an answer is asked again too."""
    mine, balancers = resolve(host), resolve(balancer)
    for _again in range(LOOKS - 1):
        if mine and mine <= balancers:
            break
        mine, balancers = mine or resolve(host), balancers | resolve(balancer)
    return mine, balancers


def resolve(name: str) -> frozenset[str]:
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
    except OSError:
        return frozenset()


def listener_certificates(aws: Aws, balancer: public_dns.Balancer, port: int) -> list[str] | None:
    """ARNs of the certificates that are served on the port; None when HTTPS is not."""
    listener = elb.on_port(elb.listeners(aws, balancer.arn), port, f"{balancer.name}:{port}")
    return elb.certificates(aws, listener) if listener and listener["Protocol"] == "HTTPS" else None


def describe(aws: Aws, arn: str) -> Certificate | None:
    """None for one that was never issued."""
    with calling(f"describe the certificate {arn}"):
        return Certificate.from_aws(aws.acm.describe_certificate(CertificateArn=arn)["Certificate"])


def main() -> None:
    module = make_module(SPEC)
    with failing(module):
        params = module.params
        found = judged(gather(Aws(params), params), datetime.now(UTC), params["certificate_days"])
        module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
