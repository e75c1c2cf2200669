# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The conditions of a listener rule: one form for what AWS reads back and for what is asked for."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

CONFIGS = {
    "host-header": "HostHeaderConfig",
    "path-pattern": "PathPatternConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "http-header": "HttpHeaderConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}
CASELESS = {"host-header", "http-header", "query-string"}
"""Fields compared without case (ELB API reference: RuleCondition); paths and methods are compared with it."""


@dataclass(frozen=True, order=True)
class Condition:
    """One condition. Values are a sorted set: neither order nor repetition means anything.

    A query string's value is `key=value`, or `value` alone (`=value` if it has an `=`) when any key will do. A rule
    may have several conditions on `http-header` and `query-string`, all of which must hold; of others one at most.
    """

    field: str
    values: tuple[str, ...] = ()
    regexes: tuple[str, ...] = ()
    header: str = ""

    def shown(self) -> dict[str, Any]:
        listed = {"field": self.field, "header": self.header, "values": self.values, "regexes": self.regexes}
        return {key: value for key, value in listed.items() if value}

    def __str__(self) -> str:
        name = f"header {self.header}" if self.header else self.field.split("-", maxsplit=1)[0]
        return f"{name} {'|'.join(self.values + self.regexes)}"


Conditions = frozenset[Condition]


def says(conditions: Conditions) -> str:
    """The conditions in words, for reasons and messages: what a header is to hold may be a secret that a CDN sends."""
    return " and ".join(f"header {each.header} ***" if each.header else str(each) for each in sorted(conditions))


def condition(field: str, values: Iterable[str] = (), regexes: Iterable[str] = (), header: str = "") -> Condition:
    """A condition in the one form: compared as the load balancer compares, so equal text is equal meaning."""
    texts = (text.lower() if field in CASELESS else text for text in values)
    if field == "source-ip":
        texts = (network(text) for text in texts)
    return Condition(field, tuple(sorted(set(texts))), tuple(sorted(set(regexes))), header.lower())


def network(text: str) -> str:
    """A CIDR block in its canonical spelling; what is no CIDR block stays as it is, for AWS to refuse."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return text


def from_aws(conditions: Iterable[Mapping[str, Any]]) -> Conditions:
    """AWS reads hosts and paths back twice, as `Values` and as `*Config`; either form alone is as good."""
    return frozenset(_from_aws(each) for each in conditions)


def _from_aws(given: Mapping[str, Any]) -> Condition:
    field = str(given["Field"])
    config: Mapping[str, Any] = given.get(CONFIGS.get(field, ""), {})
    values = [*given.get("Values", ()), *config.get("Values", ())]
    regexes = [*given.get("RegexValues", ()), *config.get("RegexValues", ())]
    return condition(field, map(_text, values), regexes, config.get("HttpHeaderName", ""))


def _text(value: str | Mapping[str, str]) -> str:
    if isinstance(value, str):
        return value
    return pair_text(value.get("Key"), value["Value"])


def pair_text(key: str | None, value: str) -> str:
    return f"{key or ''}={value}" if key or "=" in value else value


def to_aws(conditions: Conditions) -> list[dict[str, Any]]:
    """The whole list, as CreateRule and ModifyRule want it."""
    return [{"Field": each.field, CONFIGS[each.field]: _config(each)} for each in sorted(conditions)]


def _config(each: Condition) -> dict[str, Any]:
    values: list[Any] = [_pair(text) for text in each.values] if each.field == "query-string" else list(each.values)
    config = {"HttpHeaderName": each.header, "Values": values, "RegexValues": list(each.regexes)}
    return {key: value for key, value in config.items() if value}


def _pair(text: str) -> dict[str, str]:
    key, separator, value = text.partition("=")
    return {"Key": key, "Value": value} if key and separator else {"Value": value if separator else text}


def overlap(one: Conditions, other: Conditions) -> bool:
    """Whether some request may meet both; where that is costly to decide (regexes, addresses) the answer is yes."""
    for field in ("host-header", "path-pattern", "http-request-method"):
        mine, theirs = _patterns(one, field), _patterns(other, field)
        if mine and theirs and not any(globs_meet(a, b) for a in mine for b in theirs):
            return False
    return True


def _patterns(conditions: Conditions, field: str) -> tuple[str, ...]:
    """The patterns of a field, none if any value will do."""
    for each in conditions:
        if each.field == field:
            return () if each.regexes else each.values
    return ()


@cache
def globs_meet(one: str, other: str) -> bool:
    """Whether a text exists that both patterns match; `*` is any text, `?` any character."""
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*":
        return globs_meet(one[1:], other) or globs_meet(one, other[1:])
    if other[0] == "*":
        return globs_meet(one, other[1:]) or globs_meet(one[1:], other)
    return (one[0] == other[0] or "?" in (one[0], other[0])) and globs_meet(one[1:], other[1:])


def covers(wide: Conditions, narrow: Conditions) -> bool:
    """Whether both have conditions on the same things, and every request that meets `narrow` meets `wide`."""
    return {_subject(each) for each in wide} == {_subject(each) for each in narrow} and meets_all(wide, narrow)


def meets_all(wide: Conditions, narrow: Conditions) -> bool:
    """Whether every request that meets `narrow` meets `wide`.

    True is certain. What would take more than comparing value by value (regexes, headers, addresses) has to be equal.
    """
    return all(any(_covers(broad, each) for each in narrow) for broad in wide)


def _subject(each: Condition) -> tuple[str, str]:
    return each.field, each.header


def _covers(wide: Condition, narrow: Condition) -> bool:
    return (
        _subject(wide) == _subject(narrow)
        and set(narrow.regexes) <= set(wide.regexes)
        and all(_is_among(value, wide) for value in narrow.values)
    )


def _is_among(value: str, wide: Condition) -> bool:
    if wide.field not in ("host-header", "path-pattern"):
        return value in wide.values
    return any(glob_covers(pattern, value) for pattern in wide.values)


@cache
def glob_covers(wide: str, narrow: str) -> bool:
    """Whether every text that `narrow` matches is matched by `wide` too; a wildcard is covered by a wildcard only."""
    if not wide:
        return not narrow
    if wide[0] == "*":
        return glob_covers(wide[1:], narrow) or (bool(narrow) and glob_covers(wide, narrow[1:]))
    alike = bool(narrow) and narrow[0] != "*" and wide[0] in ("?", narrow[0])
    return alike and glob_covers(wide[1:], narrow[1:])


def wildcards(conditions: Conditions) -> int:
    return sum(text.count("*") + text.count("?") for each in conditions for text in each.values)


def desired(rule: Mapping[str, Any]) -> Iterator[Condition]:
    """The conditions of a rule as the module's options state them."""
    plain = {"host-header": ("hosts", "host_regexes"), "path-pattern": ("paths", "path_regexes")}
    for field, (values, regexes) in plain.items():
        if rule.get(values) or rule.get(regexes):
            yield condition(field, rule.get(values) or (), rule.get(regexes) or ())
    for field, option in {"http-request-method": "methods", "source-ip": "source_ips"}.items():
        if rule.get(option):
            yield condition(field, rule[option])
    for header in rule.get("headers") or ():
        yield condition("http-header", header.get("values") or (), header.get("regexes") or (), header["name"])
    if rule.get("query_strings"):
        texts = (pair_text(pair.get("key"), pair["value"]) for pair in rule["query_strings"])
        yield condition("query-string", texts)
