"""The rule of a composite alarm: `ALARM("a") OR (OK(b) AND NOT INSUFFICIENT_DATA(c))`, `TRUE`, `FALSE`."""

from __future__ import annotations

import re
from collections.abc import Callable

_TOKEN = re.compile(
    r'\s*(?:(ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:"([^"]+)"|([^")\s]+))\s*\)|(AND|OR|NOT|TRUE|FALSE|[()]))'
)

StateOf = Callable[[str], str]
Tokens = list["str | tuple[str, str]"]


class RuleError(ValueError):
    """A rule that cannot be read."""


def names(rule: str) -> list[str]:
    """The alarms (names or ARNs) that the rule asks about."""
    return [token[1] for token in _tokens(rule) if isinstance(token, tuple)]


def holds(rule: str, state_of: StateOf) -> bool:
    """Whether the rule is true; AND binds stronger than OR. Raises RuleError."""
    tokens = _tokens(rule)
    value = _either(tokens, state_of)
    if tokens:
        raise RuleError("AlarmRule must not end here")
    return value


def _tokens(rule: str) -> Tokens:
    found: Tokens = []
    place = 0
    while rule[place:].strip():
        match = _TOKEN.match(rule, place)
        if not match:
            raise RuleError(f"AlarmRule cannot be read from '{rule[place:].strip()[:40]}'")
        state, quoted, bare, word = match.groups()
        found.append(word or (state, quoted or bare))
        place = match.end()
    return found


def _either(tokens: Tokens, state_of: StateOf) -> bool:
    value = _both(tokens, state_of)
    while tokens and tokens[0] == "OR":
        tokens.pop(0)
        value = _both(tokens, state_of) or value
    return value


def _both(tokens: Tokens, state_of: StateOf) -> bool:
    value = _one(tokens, state_of)
    while tokens and tokens[0] == "AND":
        tokens.pop(0)
        value = _one(tokens, state_of) and value
    return value


def _one(tokens: Tokens, state_of: StateOf) -> bool:
    if not tokens:
        raise RuleError("AlarmRule ends too early")
    token = tokens.pop(0)
    if isinstance(token, tuple):
        return state_of(token[1]) == token[0]
    if token == "NOT":  # noqa: S105 - a word of the rule
        return not _one(tokens, state_of)
    if token in {"TRUE", "FALSE"}:
        return token == "TRUE"  # noqa: S105
    if token != "(":  # noqa: S105
        raise RuleError(f"AlarmRule must not have {token} here")
    value = _either(tokens, state_of)
    if not tokens or tokens.pop(0) != ")":
        raise RuleError("AlarmRule lacks a closing parenthesis")
    return value
