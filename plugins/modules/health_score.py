#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: health_score
short_description: Score the platform's health, explained check by check
version_added: 0.1.0
description:
  - Gathers through HTTP and the AWS API, then decides each check by a rule that is named in the result.
  - Never fails because of a low score. Assert on RV(score).
  - What could not be found out, for want of a permission or a key, has not passed.
  - Respects the proxy and CA variables of the environment, as M(hokusai.platform.http_probe) does.
author:
  - Hokusai Platform contributors (@hokusai)
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.reads
options:
  publish:
    description:
      - Namespace of CloudWatch in which the score is published, as C(HealthScore), with C(CheckPassed) (1 or 0) and
        C(ProbeLatency) (milliseconds) for each check, by the dimension C(Check). Omitted or empty, nothing is.
      - A data point is an observation and changes no resource. In check mode none is published. One that cannot be
        published is warned of.
    type: str
    version_added: 0.2.0
  health_profile:
    description:
      - V(legacy) is the eleven checks of the old script with their old expectations, some of which only a broken
        platform meets. No key is sent.
      - V(connectivity) is what a client needs. Hosts answer, the proxy refuses and admits as it should, a search
        reaches MLflow, services are settled, Cloud Map names exactly the running tasks, targets are healthy.
    type: str
    choices: [legacy, connectivity]
    default: connectivity
  hosts:
    description: Public host names, or base URLs. Without a scheme, C(https) is used.
    type: dict
    required: true
    suboptions:
      registry:
        description: Host of the model registry.
        type: str
        required: true
      api:
        description: Host of the API.
        type: str
        required: true
      auth:
        description: Host of the auth service.
        type: str
        required: true
  cluster:
    description: ECS cluster of the services.
    type: str
    required: true
  services:
    description: Names of the ECS services.
    type: dict
    required: true
    suboptions:
      api:
        description: Name of the API's service.
        type: str
        required: true
      mlflow:
        description: Name of MLflow's service.
        type: str
        required: true
      auth:
        description: Name of the auth service's service.
        type: str
        required: true
  namespace:
    description:
      - Private DNS namespace in which the services are to be found as C(api), C(mlflow) and C(auth).
      - Required with O(health_profile=connectivity).
    type: str
  target_groups:
    description:
      - Names of the target groups to check. Omitted, those in which the services register their tasks.
      - A group to which no load balancer forwards and in which no service registers is left out.
    type: list
    elements: str
  api_key:
    description: Where the platform key is read. Exactly one of its options. Omitted, checks that need it do not pass.
    type: dict
    suboptions:
      environment:
        description: Name of an environment variable of the host the module runs on.
        type: str
      file:
        description: Path of a file that holds the key and nothing else. One that every user may open is refused.
        type: path
      value:
        description: The key itself, for one that comes out of Ansible Vault.
        type: str
      ssm_parameter:
        description: Name of an SSM parameter.
        type: str
      secret:
        description: Name or ARN of a secret of Secrets Manager, the whole value of which is the key.
        type: str
  timeout:
    description: Seconds to wait for each answer.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: Measure the platform
  hokusai.platform.health_score:
    hosts:
      registry: registry.hokus.ai
      api: api.hokus.ai
      auth: auth.hokus.ai
    cluster: hokusai-development
    services:
      api: hokusai-api-development
      mlflow: hokusai-mlflow-development
      auth: hokusai-auth-development
    namespace: hokusai-development.local
    api_key:
      environment: HOKUSAI_API_KEY
  register: health

- name: Require more than 90 percent
  ansible.builtin.assert:
    that: health.score > 90
    fail_msg: "{{ [health.score ~ ' %'] + health.problems }}"
"""

RETURN = r"""
score:
  description: Checks passed, in percent of all, unweighted, with one decimal.
  returned: success
  type: float
  sample: 94.7
passed:
  description: How many checks passed.
  returned: success
  type: int
  sample: 18
total:
  description: How many checks there are.
  returned: success
  type: int
  sample: 19
failing:
  description: Ids of the checks that did not pass.
  returned: success
  type: list
  elements: str
  sample: [discovery_mlflow]
problems:
  description: A sentence for each check that did not pass, with what was expected and observed.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      Cloud Map mlflow.hokusai-development.local: expected its instances = running tasks, observed none registered,
      10.0.3.13 running (repaired by the role service_discovery)
profile:
  description: The profile.
  returned: success
  type: str
  sample: connectivity
checks:
  description: Every check, in a fixed order.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Id of the check.
      type: str
    name:
      description: What is checked.
      type: str
    expected:
      description: What is expected.
      type: str
    observed:
      description: What was observed; begins with C(unknown) when it could not be.
      type: str
    passed:
      description: Whether the check passed.
      type: bool
    rule:
      description: The rule that decided.
      type: str
    role:
      description: The role that repairs what is behind it; empty when it passed, or no role does.
      type: str
    remedy:
      description: What repairs what is behind it where no role does, as far as that is known.
      type: str
    evidence:
      description: What was seen, such as the answer's status, telling headers and the beginning of its body.
      type: dict
  sample:
    - id: discovery_mlflow
      name: Cloud Map mlflow.hokusai-development.local
      expected: its instances = running tasks
      observed: none registered, 10.0.3.13 running
      passed: false
      rule: mlflow.hokusai-development.local has the addresses of exactly the running tasks
      role: service_discovery
      remedy: ""
      evidence: {names: [mlflow.hokusai-development.local], registered: [], tasks: [10.0.3.13]}
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: check the option cluster, the region and the account
error:
  description: Kind of the failure, such as V(BadInput), V(NotFound), V(AwsError).
  returned: failure
  type: str
  sample: NotFound
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import score_metrics
from ansible_collections.hokusai.platform.plugins.module_utils.auth_service import REFUSED, AuthService
from ansible_collections.hokusai.platform.plugins.module_utils.credentials import (
    Credentials,
    Key,
    refused_key,
    source_option,
)
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, PlatformError
from ansible_collections.hokusai.platform.plugins.module_utils.health_checks import (
    NOUNS,
    Check,
    Fact,
    Known,
    connectivity,
    decide,
    is_refusal,
    legacy,
    total,
)
from ansible_collections.hokusai.platform.plugins.module_utils.http_client import Prober, Request, check_url
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params, failing, make_module
from ansible_collections.hokusai.platform.plugins.module_utils.platform_state import Discovery, PlatformReader, Unknown

PARALLEL = 8
HOSTS = {"type": "str", "required": True}
SPEC: dict[str, dict[str, Any]] = {
    "health_profile": {"type": "str", "choices": ["legacy", "connectivity"], "default": "connectivity"},
    "hosts": {"type": "dict", "required": True, "options": {"registry": HOSTS, "api": HOSTS, "auth": HOSTS}},
    "cluster": {"type": "str", "required": True},
    "services": {"type": "dict", "required": True, "options": {"api": HOSTS, "mlflow": HOSTS, "auth": HOSTS}},
    "namespace": {"type": "str"},
    "target_groups": {"type": "list", "elements": "str"},
    "api_key": source_option(),
    "timeout": {"type": "float", "default": 10},
    "publish": {"type": "str"},
}


class Gatherer:
    """Finds out the fact of each check's subject."""

    def __init__(self, params: Params, credentials: Credentials, reader: PlatformReader) -> None:
        self._reader = reader
        self._bases = {name: base_url(host, name) for name, host in params["hosts"].items()}
        self._scrub, self._timeout = credentials.scrub, params["timeout"]
        self._prober = Prober(self._scrub, timeout=self._timeout)
        given = credentials.read(params["api_key"]) if params["api_key"] else Unknown("no api_key is given")
        self._keys: Mapping[str, Key | Unknown | None] = {
            "key": given,
            "no key": None,
            "refused key": credentials.adopt(refused_key().reveal(), "chance"),
        }

    def gather(self, check: Check) -> Fact:
        kind, *rest = check.subject
        finders: dict[str, Callable[..., Fact]] = {
            "http": self._ask,
            "service": self._reader.service,
            "discovery": self._reader.discovery,
            "group": self._reader.group,
            "unknown": Unknown,
        }
        return finders[kind](*rest)

    def _ask(self, host: str, method: str, path: str, which: str) -> Fact:
        key = self._keys[which]
        if isinstance(key, Unknown):
            return key
        body = '{"max_results": 1}' if method == "POST" else None
        headers = {"Content-Type": "application/json"} if body else {}
        return self._prober.send(Request(self._bases[host] + path, method, headers, body, key))

    def known(self, facts: Mapping[Check, Fact]) -> Known:
        """What the facts say about each other, and the auth service about a key that was refused."""
        services = {noun: self._reader.service(noun) for noun in NOUNS}
        down = {
            noun: each
            for noun, each in services.items()
            if not isinstance(each, Unknown) and (each is None or each.running == 0)
        }
        unlisted = frozenset(
            check.subject[-1]
            for check, fact in facts.items()
            if isinstance(fact, Discovery) and fact.tasks - fact.registered
        )
        refused = any(is_refusal(check, fact) for check, fact in facts.items())
        return Known(down, unlisted, refused and self._is_key_refused())

    def _is_key_refused(self) -> bool:
        """A key that the auth service refuses is so for every service: which one is asked for makes no difference."""
        key = self._keys["key"]
        if not isinstance(key, Key):
            return False
        try:
            standing = AuthService(self._bases["auth"], self._scrub, self._timeout).validate(key, "platform")
        except PlatformError:
            return False
        return standing.verdict == REFUSED


def base_url(host: str, name: str) -> str:
    url = host if "://" in host else f"https://{host}"
    return check_url(url, f"The host {name}").rstrip("/")


def measure(params: Params, credentials: Credentials) -> dict[str, Any]:
    """All checks at once; their order in the result is the profile's."""
    if params["health_profile"] == "connectivity" and not params["namespace"]:
        raise BadInput("The namespace is empty", "give the private DNS namespace of the services")
    reader = PlatformReader(credentials.aws, params["cluster"], params["services"])
    if params["health_profile"] == "legacy":
        checks = list(legacy())
    else:
        checks = list(connectivity(params["namespace"], reader.group_names(params["target_groups"] or ())))
    gatherer = Gatherer(params, credentials, reader)
    with ThreadPoolExecutor(PARALLEL) as pool:
        facts = dict(zip(checks, pool.map(gatherer.gather, checks), strict=True))
    known = gatherer.known(facts)
    return total(decide(check, fact, known) for check, fact in facts.items())


def main() -> None:
    module = make_module(SPEC, required_if=[("health_profile", "connectivity", ["namespace"])])
    with failing(module):
        credentials = Credentials(module.params, module.no_log_values.add)
        result = measure(module.params, credentials)
        if module.params["publish"] and not module.check_mode:
            problem = score_metrics.publish(credentials.aws, module.params["publish"], score_metrics.data(result))
            if problem:
                module.warn(problem)
        module.exit_json(changed=False, profile=module.params["health_profile"], **result)


if __name__ == "__main__":
    main()
