"""Rule conditions: ELB's limits, and the form in which it reads them back."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from copy import deepcopy
from typing import Any

from moto.elbv2.exceptions import InvalidConditionFieldError, ValidationError

MAX_VALUES_PER_RULE = 5
MAX_WILDCARDS_PER_RULE = 6

_CONFIGS = {
    "host-header": "HostHeaderConfig",
    "path-pattern": "PathPatternConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}
_SHORT_FORM = frozenset({"host-header", "path-pattern"})
_REGEX_FIELDS = frozenset({"host-header", "path-pattern", "http-header"})
_WILDCARD_FIELDS = frozenset({"host-header", "path-pattern", "http-header", "query-string"})
_REPEATABLE = frozenset({"http-header", "query-string"})
_ALPHABETS = {
    "host-header": re.compile(r"[A-Za-z0-9.*?-]{1,128}"),
    "path-pattern": re.compile(r"""[A-Za-z0-9_.$/~"'@:+&*?-]{1,128}"""),
    "http-request-method": re.compile(r"[A-Z_-]{1,40}"),
}


def read_back(conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Conditions as DescribeRules returns them: host and path in both forms, `Values` and the `Config`."""
    return [_read_back(condition) for condition in conditions]


def _read_back(condition: dict[str, Any]) -> dict[str, Any]:
    shown = deepcopy(condition)
    field = shown.get("Field", "")
    config_name = _CONFIGS.get(field)
    if config_name is None:
        raise InvalidConditionFieldError(field)
    config = shown.setdefault(config_name, {})
    for name in ("Values", "RegexValues"):
        if name not in shown:
            continue
        allowed = _SHORT_FORM if name == "Values" else _REGEX_FIELDS
        if field not in allowed:
            raise ValidationError(f"The '{name}' field is not compatible with '{field}'")
        if name in config:
            raise ValidationError(
                f"You cannot provide both {name} and '{config_name}' for a condition of type '{field}'"
            )
        config[name] = shown.pop(name)
    if field in _SHORT_FORM and config.get("Values"):
        shown["Values"] = list(config["Values"])
    return shown


def check(conditions: list[dict[str, Any]]) -> None:
    """Reject what ELB rejects; takes conditions in read-back form.

    Source: ELB API reference (RuleCondition), ALB user guide (condition types, quotas).
    """
    if not conditions:
        raise ValidationError("A condition must be specified")
    fields = Counter(condition["Field"] for condition in conditions)
    for field, count in fields.items():
        if count > 1 and field not in _REPEATABLE:
            raise ValidationError(f"A rule can only have one '{field}' condition")
    for condition in conditions:
        _check_one(condition)
    _check_quotas(conditions)


def _check_one(condition: dict[str, Any]) -> None:
    field = condition["Field"]
    config = condition[_CONFIGS[field]]
    if config.get("RegexValues") and field not in _REGEX_FIELDS:
        raise ValidationError(f"The 'RegexValues' field is not compatible with '{field}'")
    if not config.get("Values") and not config.get("RegexValues"):
        raise ValidationError("A condition value must be specified")
    if config.get("Values") and config.get("RegexValues"):
        raise ValidationError("You cannot specify both values and regex values in a condition")
    if field == "http-header" and not 0 < len(config.get("HttpHeaderName", "")) <= 40:
        raise ValidationError("The 'HttpHeaderName' must have between 1 and 40 characters")
    for value in config.get("RegexValues", []):
        _check_regex(value)
    for value in config.get("Values", []):
        _check_value(field, value)


def _check_regex(value: str) -> None:
    try:
        re.compile(value)
    except re.error as error:
        raise ValidationError(f"The regular expression '{value}' is not valid: {error}") from error


def _check_value(field: str, value: Any) -> None:
    if field == "source-ip":
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise ValidationError(f"The source-ip value '{value}' must be in CIDR notation") from None
        if "/" not in value:
            raise ValidationError(f"The source-ip value '{value}' must be in CIDR notation")
    elif field == "query-string":
        if not value.get("Value"):
            raise ValidationError("A 'Value' must be specified in 'QueryStringKeyValuePair'")
        if max(len(value.get("Key", "")), len(value["Value"])) > 128:
            raise ValidationError("The 'query-string' value is too long; the limit is '128'")
    elif len(value) > 128:
        raise ValidationError(f"The '{field}' value is too long; the limit is '128'")
    elif field in _ALPHABETS and not _ALPHABETS[field].fullmatch(value):
        raise ValidationError(f"The '{field}' value '{value}' contains invalid characters")


def _check_quotas(conditions: list[dict[str, Any]]) -> None:
    values = [(condition["Field"], value) for condition in conditions for value in values_of(condition)]
    if len(values) > MAX_VALUES_PER_RULE:
        raise ValidationError(f"A rule can only have '{MAX_VALUES_PER_RULE}' condition values")
    plain = [(c["Field"], v) for c in conditions for v in c[_CONFIGS[c["Field"]]].get("Values", [])]
    wildcards = sum(_wildcards(value) for field, value in plain if field in _WILDCARD_FIELDS)
    if wildcards > MAX_WILDCARDS_PER_RULE:
        raise ValidationError(f"A rule can only have '{MAX_WILDCARDS_PER_RULE}' condition wildcards")


def values_of(condition: dict[str, Any]) -> list[Any]:
    """Values and regular expressions of a condition in read-back form."""
    config = condition[_CONFIGS[condition["Field"]]]
    return [*config.get("Values", []), *config.get("RegexValues", [])]


def _wildcards(value: Any) -> int:
    texts = value.values() if isinstance(value, dict) else [value]
    return sum(text.count("*") + text.count("?") for text in texts)
