"""Which rule of a listener answers a request, and what its action says: pure functions, no sockets.

Source: Elastic Load Balancing user guide, "Condition types for listener rules", and the API reference's
`RuleCondition`, `Action` and `RuleTransform`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any, cast

from sandbox.model import Listener, Rule

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Request:
    """What conditions look at: `path` and `query` as sent (not decoded), header names in lower case."""

    method: str
    host: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    source: str
    scheme: str
    port: int


@dataclass(frozen=True)
class Forward:
    """Target group ARNs with their weights, in the order of the action; a client is kept with one for some seconds."""

    groups: tuple[tuple[str, int], ...]
    sticky_seconds: int = 0


@dataclass(frozen=True)
class Redirect:
    status: int
    location: str


@dataclass(frozen=True)
class FixedResponse:
    status: int
    content_type: str
    body: str


Action = Forward | Redirect | FixedResponse


def select(listener: Listener, request: Request) -> Rule | None:
    """The first rule, by priority, all of whose conditions hold; the default rule has none, so it comes last."""
    ordered = sorted(listener.rules, key=lambda rule: (rule.priority is None, rule.priority or 0))
    return next((rule for rule in ordered if rule.priority is None or matches(rule, request)), None)


def matches(rule: Rule, request: Request) -> bool:
    """Conditions are joined by AND, the values of one condition by OR."""
    return all(_holds(condition, request) for condition in rule.conditions)


def action(rule: Rule, request: Request) -> Action | None:
    """The last action in order decides; None when it is of a kind the sandbox does not serve (authentication)."""
    for candidate in sorted(rule.actions, key=lambda item: int(item.get("Order") or 0), reverse=True):
        kind = candidate.get("Type")
        if kind == "forward":
            return _forward(candidate)
        if kind == "redirect":
            return _redirect(candidate["RedirectConfig"], request)
        if kind == "fixed-response":
            return _fixed(candidate["FixedResponseConfig"])
    return None


def groups(rule: Rule) -> tuple[str, ...]:
    """ARNs of all target groups to which a rule's actions can send traffic."""
    forwards = (_forward(item) for item in rule.actions if item.get("Type") == "forward")
    return tuple(arn for forward in forwards for arn, _ in forward.groups)


def rewritten(rule: Rule, host: str, target: str) -> tuple[str, str]:
    """`host` and request target (path and query) after the rule's transforms."""
    for transform in rule.transforms:
        if transform.get("Type") == "host-header-rewrite":
            host = _rewrite(transform.get("HostHeaderRewriteConfig"), host)
        elif transform.get("Type") == "url-rewrite":
            target = _rewrite(transform.get("UrlRewriteConfig"), target)
    return host, target


def _holds(condition: dict[str, Any], request: Request) -> bool:
    judge = _JUDGES.get(str(condition.get("Field")))
    return judge is not None and judge(condition, request)


def _host(condition: dict[str, Any], request: Request) -> bool:
    # A standard port never counts; any other stays part of the value (the guide: only RegexValues can match it).
    host = request.host.lower().removesuffix(f":{DEFAULT_PORTS.get(request.scheme)}")
    return _any_pattern(condition, "HostHeaderConfig", (host,), ignore_case=True)


def _path(condition: dict[str, Any], request: Request) -> bool:
    return _any_pattern(condition, "PathPatternConfig", (request.path,), ignore_case=False)


def _header(condition: dict[str, Any], request: Request) -> bool:
    name = str(condition["HttpHeaderConfig"]["HttpHeaderName"]).lower()
    present = tuple(value for key, value in request.headers if key == name)
    return _any_pattern(condition, "HttpHeaderConfig", present, ignore_case=True)


def _method(condition: dict[str, Any], request: Request) -> bool:
    return request.method in _values(condition, "HttpRequestMethodConfig")


def _query(condition: dict[str, Any], request: Request) -> bool:
    pairs = [part.partition("=") for part in request.query.split("&") if part]
    return any(
        _glob(str(wanted["Value"]), ignore_case=True).fullmatch(value if separator else key)
        and ("Key" not in wanted or (separator and _glob(str(wanted["Key"]), ignore_case=True).fullmatch(key)))
        for wanted in _values(condition, "QueryStringConfig")
        for key, separator, value in pairs
    )


def _source(condition: dict[str, Any], request: Request) -> bool:
    source = ip_address(request.source)
    return any(source in ip_network(cidr, strict=False) for cidr in _values(condition, "SourceIpConfig"))


_JUDGES = {
    "host-header": _host,
    "path-pattern": _path,
    "http-header": _header,
    "http-request-method": _method,
    "query-string": _query,
    "source-ip": _source,
}


def _values(condition: dict[str, Any], config: str) -> list[Any]:
    """The modern form's values, or those of the legacy `Values` next to `Field`."""
    return cast("list[Any]", (condition.get(config) or {}).get("Values") or condition.get("Values") or [])


def _any_pattern(condition: dict[str, Any], config: str, subjects: tuple[str, ...], *, ignore_case: bool) -> bool:
    expressions = (condition.get(config) or {}).get("RegexValues") or []
    return any(
        any(_glob(value, ignore_case=ignore_case).fullmatch(subject) for value in _values(condition, config))
        or any(_regex(value, ignore_case=ignore_case).search(subject) for value in expressions)
        for subject in subjects
    )


@lru_cache(maxsize=4096)
def _glob(pattern: str, *, ignore_case: bool) -> re.Pattern[str]:
    """`*` is any run of characters, `?` exactly one, a backslash takes the next character literally."""
    pieces = {"*": ".*", "?": "."}
    tokens = re.findall(r"\\.|.", pattern, re.DOTALL)
    source = "".join(pieces.get(token) or re.escape(token[-1]) for token in tokens)
    return re.compile(source, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


@lru_cache(maxsize=4096)
def _regex(pattern: str, *, ignore_case: bool) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE if ignore_case else 0)


def _forward(item: dict[str, Any]) -> Forward:
    config = item.get("ForwardConfig") or {}
    weighted = config.get("TargetGroups") or [{"TargetGroupArn": item["TargetGroupArn"]}]
    sticky = config.get("TargetGroupStickinessConfig") or {}
    seconds = int(sticky.get("DurationSeconds") or 0) if sticky.get("Enabled") else 0
    return Forward(tuple((str(group["TargetGroupArn"]), _weight(group.get("Weight"))) for group in weighted), seconds)


def _weight(value: Any) -> int:
    return 1 if value is None else int(value)


def _redirect(config: dict[str, Any], request: Request) -> Redirect:
    host = re.sub(r":\d+$", "", request.host)
    known = {
        "#{protocol}": request.scheme,
        "#{host}": host,
        "#{port}": str(request.port),
        "#{path}": request.path.removeprefix("/"),
        "#{query}": request.query,
    }

    def fill(name: str, default: str) -> str:
        given = config.get(name)
        return re.sub(
            r"#\{\w+\}", lambda found: known.get(found[0], found[0]), default if given is None else str(given)
        )

    protocol = fill("Protocol", "#{protocol}").lower()
    query = fill("Query", "#{query}")
    location = f"{protocol}://{fill('Host', '#{host}')}:{fill('Port', '#{port}')}{fill('Path', '/#{path}')}"
    status = int(str(config["StatusCode"]).removeprefix("HTTP_"))
    return Redirect(status, f"{location}?{query}" if query else location)


def _fixed(config: dict[str, Any]) -> FixedResponse:
    content_type = str(config.get("ContentType") or "text/plain")
    return FixedResponse(int(config["StatusCode"]), content_type, str(config.get("MessageBody") or ""))


def _rewrite(config: dict[str, Any] | None, subject: str) -> str:
    for rule in (config or {}).get("Rewrites") or []:
        replacement = re.sub(r"\$(\d)", r"\\\1", str(rule["Replace"]).replace("\\", r"\\"))
        subject = _regex(str(rule["Regex"]), ignore_case=False).sub(replacement, subject, count=1)
    return subject
