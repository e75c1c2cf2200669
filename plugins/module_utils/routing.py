# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which rule of a listener answers a request: what an Application Load Balancer decides, without one.

Sources: Elastic Load Balancing user guide, "Condition types for listener rules"; API reference, `RuleCondition` and the
configurations it names. What they leave open is decided so: a regular expression is looked for anywhere in its subject
(AWS's own examples carry their anchors), and compared without case wherever values are; a backslash in front of a
wildcard takes it literally in every field, as is documented for query strings.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb_action
from ansible_collections.hokusai.platform.plugins.module_utils.elb_action import Actions, Forward
from ansible_collections.hokusai.platform.plugins.module_utils.elb_condition import CASELESS, Condition
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Rule
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput

STANDARD_PORTS = {"http": ":80", "https": ":443"}
SOMEWHERE = "192.0.2.1"
"""A source address (RFC 5737) for a request that does not say where it comes from."""


@dataclass(frozen=True)
class Request:
    """What conditions look at. `path` and `query` are as sent, not decoded; a header may be there several times."""

    host: str
    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""
    source_ip: str = SOMEWHERE
    scheme: str = "https"

    def shown(self) -> dict[str, Any]:
        headers: dict[str, list[str]] = {}
        for name, value in self.headers:
            headers.setdefault(name, []).append(value)
        given = {"method": self.method, "host": self.host, "path": self.path, "query": self.query, "headers": headers}
        return {**{key: value for key, value in given.items() if value}, "source_ip": self.source_ip}

    def __str__(self) -> str:
        line = f"{self.method} {self.scheme}://{self.host}{self.path}" + (f"?{self.query}" if self.query else "")
        headers = "".join(f", {name}: {value}" for name, value in self.headers)
        return line + headers + (f", from {self.source_ip}" if self.source_ip != SOMEWHERE else "")

    def of_header(self, name: str) -> Iterator[str]:
        """White space around a value is taken off where it arrives (RFC 9110, 5.5)."""
        return (value.strip(" \t") for key, value in self.headers if key.lower() == name)

    @property
    def hostname(self) -> str:
        """Lower case and without the port that goes with the scheme; any other port is part of the value."""
        return self.host.lower().removesuffix(STANDARD_PORTS.get(self.scheme, ""))

    def parameters(self) -> Iterator[tuple[str | None, str]]:
        """Key and value of each part of the query; a part without `=` is a value that has no key."""
        for part in self.query.split("&"):
            key, separator, value = part.partition("=")
            if part:
                yield (key, value) if separator else (None, part)


def holds(condition: Condition, request: Request) -> bool:
    """Whether a condition is met. One of its values, or of its regular expressions, is enough."""
    if condition.field == "http-request-method":
        return request.method in condition.values
    if condition.field == "source-ip":
        return any(contains(block, request.source_ip) for block in condition.values)
    if condition.field == "query-string":
        return any(_is_sent(text, request) for text in condition.values)
    return any(_meets(condition, text) for text in _subjects(condition, request))


def _subjects(condition: Condition, request: Request) -> Iterable[str]:
    if condition.field == "http-header":
        return request.of_header(condition.header)
    return {"host-header": (request.hostname,), "path-pattern": (request.path,)}.get(condition.field, ())


def _meets(condition: Condition, text: str) -> bool:
    caseless = condition.field in CASELESS
    if any(glob_matches(pattern, text, caseless=caseless) for pattern in condition.values):
        return True
    return any(_regex(regex, caseless).search(text) for regex in condition.regexes)


def _is_sent(text: str, request: Request) -> bool:
    wanted_key, wanted = key_and_value(text)
    return any(
        glob_matches(wanted, value, caseless=True)
        and (wanted_key is None or (key is not None and glob_matches(wanted_key, key, caseless=True)))
        for key, value in request.parameters()
    )


def key_and_value(text: str) -> tuple[str | None, str]:
    """The patterns in a query string's value (`Condition`); the key is None when any key, or none, will do."""
    key, separator, value = text.partition("=")
    return (key or None, value) if separator else (None, text)


@lru_cache(maxsize=4096)
def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The block a text means; None for what is none, in which no address lies."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def contains(block: str, address: str) -> bool:
    within = network(block)
    return within is not None and ipaddress.ip_address(address) in within


STAR, ONE = "*", "?"
Token = tuple[str, bool]
"""A character, and whether it is a wildcard."""


@lru_cache(maxsize=4096)
def tokens(pattern: str) -> tuple[Token, ...]:
    """The characters of a pattern. Stars in a row are one; a backslash takes the character after it literally."""
    found: list[Token] = []
    literal = False
    for letter in pattern:
        if letter == "\\" and not literal:
            literal = True
            continue
        token = (letter, not literal and letter in (STAR, ONE))
        literal = False
        if token != (STAR, True) or found[-1:] != [token]:
            found.append(token)
    return (*found, ("\\", False)) if literal else tuple(found)


@lru_cache(maxsize=4096)
def _glob(pattern: str, caseless: bool) -> re.Pattern[str]:
    wild = {STAR: ".*", ONE: "."}
    text = "".join(wild[letter] if is_wild else re.escape(letter) for letter, is_wild in tokens(pattern))
    return re.compile(text, re.DOTALL | (re.IGNORECASE if caseless else 0))


def glob_matches(pattern: str, text: str, *, caseless: bool) -> bool:
    return _glob(pattern, caseless).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _regex(regex: str, caseless: bool) -> re.Pattern[str]:
    try:
        return re.compile(regex, re.IGNORECASE if caseless else 0)
    except re.error as error:
        remedy = "take the rule apart by hand: this module reads what Python's re does"
        raise BadInput(f"The regular expression {regex} cannot be read: {error}", remedy) from error


def unmet(rule: Rule, request: Request) -> Condition | None:
    """The first of a rule's conditions that the request does not meet; None when it meets them all."""
    return next((each for each in sorted(rule.conditions) if not holds(each, request)), None)


def matches(rule: Rule, request: Request) -> bool:
    return all(holds(each, request) for each in rule.conditions)


def ordered(rules: Iterable[Rule]) -> list[Rule]:
    return sorted(rules, key=lambda rule: rule.priority)


def select(rules: Iterable[Rule], request: Request) -> Rule | None:
    """The first rule, by priority, all of whose conditions are met; None is the listener's default action."""
    return next((rule for rule in ordered(rules) if matches(rule, request)), None)


def shares(actions: Actions) -> Mapping[str, float]:
    """Which part of the requests each target group gets, in percent; none when all weights are 0 (the ALB's 503)."""
    for action in actions:
        if isinstance(action, Forward):
            total = sum(weight for _name, weight in action.weights)
            return {name: round(100 * weight / total, 2) for name, weight in action.weights if weight}
    return {}


def says(rule: Rule | None) -> str:
    """What a rule does with its requests, for a message."""
    return f"{elb_action.says(rule.actions)} (rule {rule})" if rule else "the default action"
