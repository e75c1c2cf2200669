"""What a request to the AWS endpoint asks for: service, action, region, and the wire protocol of its answer."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from moto.core.request import Request
from moto.core.routing import get_service_router

from sandbox.environment import OWN_AGENT

# SigV4 scopes name a service otherwise than boto3 does; counters speak boto3.
_CLIENT_NAMES = {
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
}
_CREDENTIAL = re.compile(r"Credential=([^,]+)/\d{8}/([^/,]+)/([^/,]+)/aws4_request")
_READ = re.compile(
    r"(Describe|List|Get|BatchGet|Discover|Head|Lookup|Search|Select|Filter|Query|Scan|Test|Validate|Simulate|Check|GenerateMac|VerifyMac)"
)
_XML_SERVICES = frozenset({"s3", "route53", "cloudfront"})


@dataclass(frozen=True)
class Call:
    """One API call. `protocol` is `json`, `cbor`, `query`, `ec2` or `rest-xml`.

    `path` has the query string. `credential` is the access key's id, as the client gave it. `is_own`: the
    sandbox makes it itself, to break or heal something; nobody counts it.
    """

    service: str
    action: str
    region: str
    protocol: str
    body: bytes
    path: str = "/"
    credential: str = ""
    is_own: bool = False

    @property
    def name(self) -> str:
        """The key of counters and fault patterns: `elbv2:CreateRule`."""
        return f"{self.service}:{self.action}"

    @property
    def is_read(self) -> bool:
        """Whether the call leaves the resources as they are; credentials and data points are none."""
        if self.service == "sts" or self.action in {"GET", "HEAD", "PutMetricData"}:
            return True
        return _READ.match(self.action) is not None


def parse_call(environ: dict[str, Any]) -> Call:
    """Read the call from a WSGI environment; its body is consumed and put back."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    signed = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    credential, region, signed_as = signed.groups() if signed else ("", "-", "-")
    service = _CLIENT_NAMES.get(signed_as, signed_as)
    content_type = environ.get("CONTENT_TYPE", "")
    action = _action(environ, service, content_type, body)
    environ["wsgi.input"] = io.BytesIO(body)
    path = f"{environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"
    is_own = OWN_AGENT in environ.get("HTTP_USER_AGENT", "")
    return Call(service, action, region, _protocol(service, content_type), body, path, credential, is_own)


def _action(environ: dict[str, Any], service: str, content_type: str, body: bytes) -> str:
    target: str = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return target.rsplit(".", 1)[-1]
    smithy = re.search(r"/operation/(\w+)$", environ.get("PATH_INFO", ""))
    if smithy:
        return smithy.group(1)
    if "form-urlencoded" in content_type:
        form = parse_qs(body.decode("utf-8", "replace"))
        if "Action" in form:
            return form["Action"][0]
    return _rest_action(environ, service)


def _rest_action(environ: dict[str, Any], service: str) -> str:
    """REST protocols carry no action: ask moto's router, fall back to the HTTP method."""
    method: str = environ["REQUEST_METHOD"]
    if service == "-":
        return method
    try:
        operation, _ = get_service_router(service).match(Request(environ.copy()))
    except Exception:  # noqa: BLE001 - the router raises a different error per service; a name is all that is lost
        return method
    return str(operation.name)


def _protocol(service: str, content_type: str) -> str:
    if "cbor" in content_type:
        return "cbor"
    if service == "ec2":
        return "ec2"
    if service in _XML_SERVICES:
        return "rest-xml"
    return "query" if "form-urlencoded" in content_type else "json"
