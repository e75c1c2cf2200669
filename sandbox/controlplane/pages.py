"""Small pages: a request that asks for no page size, or a larger one, is made to ask for this one."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from sandbox.controlplane.request import Call

# Only what AWS pages without being asked to; EC2 answers in one piece unless MaxResults is given.
_PARAMETERS = {
    "elbv2:DescribeListeners": "PageSize",
    "elbv2:DescribeLoadBalancers": "PageSize",
    "elbv2:DescribeRules": "PageSize",
    "elbv2:DescribeTargetGroups": "PageSize",
    "ecs:ListClusters": "maxResults",
    "ecs:ListServices": "maxResults",
    "ecs:ListTasks": "maxResults",
    "servicediscovery:ListInstances": "MaxResults",
    "servicediscovery:ListNamespaces": "MaxResults",
    "servicediscovery:ListOperations": "MaxResults",
    "servicediscovery:ListServices": "MaxResults",
}


def shrink(call: Call, environ: dict[str, Any], size: int) -> Call:
    """Return the call as it is with small pages, and put its body into the WSGI environment."""
    parameter = _PARAMETERS.get(call.name)
    if parameter is None:
        return call
    if call.protocol == "json":
        asked = json.loads(call.body or b"{}")
        body = json.dumps({**asked, parameter: min(size, asked.get(parameter, size))}).encode()
    else:
        form = dict(parse_qsl(call.body.decode(), keep_blank_values=True))
        body = urlencode({**form, parameter: min(size, int(form.get(parameter, size)))}).encode()
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
    return replace(call, body=body)
