#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: http_probe
short_description: Make many HTTP requests at once and compare the answers with what is expected
version_added: 0.1.0
description:
  - Sends all requests through a pool of threads and reports statuses, mismatches and latency percentiles of each.
  - An answer that is not as expected does not fail the task. Assert on RV(ok).
  - No answer at all is reported by its cause, V(resolve), V(connect), V(tls), V(timeout) or V(http).
  - Respects the proxy variables and E(SSL_CERT_FILE), E(REQUESTS_CA_BUNDLE) and E(CURL_CA_BUNDLE) of the environment.
    Cookies and C(~/.netrc) are not used.
author:
  - Hokusai Platform contributors (@hokusai)
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.reads
options:
  requests:
    description: The requests, each with what its answer is expected to be.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the request in the result.
        type: str
        required: true
      url:
        description: URL, with C(http) or C(https).
        type: str
        required: true
      method:
        description: Method.
        type: str
        choices: [GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS]
        default: GET
      headers:
        description: Request headers. A key belongs in O(requests[].credential), not here.
        type: dict
        default: {}
      body:
        description: Request body. A mapping or a list is sent as JSON, with that content type.
        type: raw
      status:
        description: Expected statuses, codes such as V(200) or classes such as V(2xx).
        type: list
        elements: str
        default: [2xx]
      expect_headers:
        description: Expected response headers, by name and exact value.
        type: dict
        default: {}
      json:
        description: Expected values by dotted path in the JSON of the response, such as V(experiments.0.name).
        type: dict
        default: {}
      count:
        description: How many times the request is made.
        type: int
        default: 1
      max_p95_ms:
        description: The 95th percentile of the latency in milliseconds that is still as expected. Omitted, any is.
        type: float
      credential:
        description:
          - Where a platform key is read that is sent as C(Authorization) bearer, though not to where a redirect leads.
          - Exactly one of its options. Omitted, no key is sent.
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
  concurrency:
    description: How many requests are under way at once.
    type: int
    default: 8
  timeout:
    description: Seconds to wait for the connection, and each time for data.
    type: float
    default: 10
  follow_redirects:
    description: Whether redirects are followed. If not, they are the answer.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Probe the public entrances of the platform
  hokusai.platform.http_probe:
    requests:
      - name: registry
        url: https://registry.hokus.ai/health
        status: [200]
      - name: search without a key
        url: https://registry.hokus.ai/api/mlflow/api/2.0/mlflow/experiments/search
        status: [401]
        json:
          error_code: UNAUTHENTICATED
      - name: version
        url: https://registry.hokus.ai/api/mlflow/version
        count: 50
        max_p95_ms: 500
        credential:
          environment: HOKUSAI_API_KEY
  register: probe

- name: Require that all is as expected
  ansible.builtin.assert:
    that: probe.ok
    fail_msg: "{{ probe.mismatches | join('; ') }}"
"""

RETURN = r"""
ok:
  description: Whether all answers are as expected.
  returned: success
  type: bool
  sample: false
mismatches:
  description: Every mismatch of every request, with the request's name before it.
  returned: success
  type: list
  elements: str
  sample: ["registry: status is 503, not 200"]
requests:
  description: What came of each request, in the order of O(requests).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the request.
      type: str
    ok:
      description: Whether all its answers are as expected.
      type: bool
    count:
      description: How many times it was made.
      type: int
    outcomes:
      description: How often each status, or each cause of there being none, occurred.
      type: dict
    mismatches:
      description: In which ways the answers differ from what is expected, each once.
      type: list
      elements: str
    latency_ms:
      description: Percentiles C(p50), C(p95) and C(p99) in milliseconds, the body included.
      type: dict
    evidence:
      description: One answer, the first that is not as expected if there is one, with an excerpt of the body.
      type: dict
  sample:
    - name: registry
      ok: false
      count: 5
      outcomes: {"200": 4, "503": 1}
      mismatches: ["status is 503, not 200"]
      latency_ms: {p50: 12.1, p95: 31.9, p99: 31.9}
      evidence:
        url: https://registry.hokus.ai/health
        outcome: "503"
        detail: ""
        headers: {server: awselb/2.0, content-type: text/html}
        body: <html>
        ms: 31.9
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: give it as https://host/path
error:
  description: Kind of the failure, such as V(BadInput) or V(NotFound).
  returned: failure
  type: str
  sample: BadInput
"""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.credentials import (
    KEY_TRACE,
    Credentials,
    source_option,
)
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.expectations import Expectation, judge, mismatches
from ansible_collections.hokusai.platform.plugins.module_utils.http_client import Answer, Prober, Request, check_url
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params, failing, make_module

REQUEST: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "url": {"type": "str", "required": True},
    "method": {
        "type": "str",
        "choices": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        "default": "GET",
    },
    "headers": {"type": "dict", "default": {}},
    "body": {"type": "raw"},
    "status": {"type": "list", "elements": "str", "default": ["2xx"]},
    "expect_headers": {"type": "dict", "default": {}},
    "json": {"type": "dict", "default": {}},
    "count": {"type": "int", "default": 1},
    "max_p95_ms": {"type": "float"},
    "credential": source_option(),
}
SPEC: dict[str, dict[str, Any]] = {
    "requests": {"type": "list", "elements": "dict", "options": REQUEST, "required": True},
    "concurrency": {"type": "int", "default": 8},
    "timeout": {"type": "float", "default": 10},
    "follow_redirects": {"type": "bool", "default": False},
}
CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "cookie"})


def refuse_shown_keys(option: Mapping[str, Any], hide: Callable[[str], None]) -> None:
    """A key in a header, URL or body would be shown in the invocation, which only `credential` is kept out of."""
    named = sorted(name for name in option["headers"] if name.lower() in CREDENTIAL_HEADERS)
    shown = KEY_TRACE.findall(json.dumps([option["url"], option["headers"], option["body"]]))
    for secret in [*shown, *(str(option["headers"][name]) for name in named)]:
        hide(secret)
    if named or shown:
        raise BadInput(
            f"The request {option['name']} carries a credential in {', '.join(named) or 'its URL, headers or body'}",
            "name where the key is read in the option credential, which is never shown",
        )


def request(option: Mapping[str, Any], credentials: Credentials) -> Request:
    if option["count"] < 1:
        raise BadInput(f"The request {option['name']} has count {option['count']}", "make it at least once")
    headers = {str(name): str(value) for name, value in option["headers"].items()}
    body = option["body"]
    if isinstance(body, (dict, list)):
        headers.setdefault("Content-Type", "application/json")
        body = json.dumps(body)
    key = credentials.read(option["credential"]) if option["credential"] else None
    url = check_url(option["url"], f"The url of the request {option['name']}")
    return Request(url, option["method"], headers, None if body is None else str(body), key)


def expectation(option: Mapping[str, Any]) -> Expectation:
    headers = {str(name): str(value) for name, value in option["expect_headers"].items()}
    return Expectation(tuple(option["status"]), headers, option["json"], option["max_p95_ms"])


def report(option: Mapping[str, Any], expected: Expectation, answers: Sequence[Answer]) -> dict[str, Any]:
    findings = judge(expected, answers)
    telling = next((answer for answer in answers if any(mismatches(expected, answer))), answers[0])
    return {
        "name": option["name"],
        "ok": findings.ok,
        "count": len(answers),
        "outcomes": dict(findings.outcomes),
        "mismatches": list(findings.mismatches),
        "latency_ms": dict(findings.latency_ms),
        "evidence": telling.evidence(),
    }


def probe(params: Params, credentials: Credentials) -> list[dict[str, Any]]:
    """A report of each request, in the order of the option."""
    options = params["requests"]
    if not options:
        raise BadInput("There is no request to make", "list at least one in the option requests")
    expected = [expectation(option) for option in options]
    made = [each for option in options for each in [request(option, credentials)] * option["count"]]
    prober = Prober(credentials.scrub, timeout=params["timeout"], follow_redirects=params["follow_redirects"])
    answers = iter(prober.send_all(made, params["concurrency"]))
    return [
        report(option, each, list(islice(answers, option["count"])))
        for option, each in zip(options, expected, strict=True)
    ]


def main() -> None:
    module = make_module(SPEC, needs_boto3=False)
    with failing(module):
        for option in module.params["requests"]:
            refuse_shown_keys(option, module.no_log_values.add)
        reports = probe(module.params, Credentials(module.params, module.no_log_values.add))
        module.exit_json(
            changed=False,
            ok=all(each["ok"] for each in reports),
            mismatches=[f"{each['name']}: {mismatch}" for each in reports for mismatch in each["mismatches"]],
            requests=reports,
        )


if __name__ == "__main__":
    main()
