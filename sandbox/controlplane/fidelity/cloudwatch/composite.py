"""The rule of a composite alarm: `ALARM("a") OR (OK(b) AND NOT INSUFFICIENT_DATA(c))`, `TRUE`, `FALSE`.

`AT_LEAST(2, ALARM, (a, b, c))` counts; it takes a share as well (`50%`), and `NOT ALARM` as its state.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_NAME = r'(?:"(?:[^"\\]|\\.)+"|[^\s"(),]+)'
_STATE = r"ALARM|OK|INSUFFICIENT_DATA"
_ONE = rf"(?P<state>{_STATE})\s*\(\s*(?P<one>{_NAME})\s*\)"
_SOME = (
    rf"AT_LEAST\s*\(\s*(?P<least>\d+%?)\s*,\s*(?P<other>NOT\s+)?(?P<counted>{_STATE})\s*,"
    rf"\s*\(\s*(?P<some>{_NAME}(?:\s*,\s*{_NAME})*)\s*\)\s*\)"
)
_TOKEN = re.compile(rf"\s*(?:{_ONE}|{_SOME}|(?P<word>AND|OR|NOT|TRUE|FALSE|[()]))")

StateOf = Callable[[str], str]


class RuleError(ValueError):
    """A rule that cannot be read."""


@dataclass(frozen=True)
class Asked:
    """How many of the alarms must be in the state, or in another one; `least` is a number or a share as `50%`."""

    names: tuple[str, ...]
    state: str
    least: str = "1"
    other: bool = False

    def __post_init__(self) -> None:
        most = 100 if self.least.endswith("%") else len(self.names)
        if not 1 <= int(self.least.rstrip("%")) <= most:
            raise RuleError(f"AlarmRule cannot ask for {self.least} of {len(self.names)} alarms")

    def holds(self, state_of: StateOf) -> bool:
        found = sum((state_of(name) == self.state) != self.other for name in self.names)
        least = int(self.least.rstrip("%"))
        return found * 100 >= least * len(self.names) if self.least.endswith("%") else found >= least


Tokens = list[str | Asked]


def names(rule: str) -> list[str]:
    """The alarms (names or ARNs) that the rule asks about."""
    return [name for token in _tokens(rule) if isinstance(token, Asked) for name in token.names]


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
        found.append(match["word"] or _asked(match))
        place = match.end()
    return found


def _asked(match: re.Match[str]) -> Asked:
    listed = tuple(_plain(name) for name in re.findall(_NAME, match["one"] or match["some"]))
    if match["one"]:
        return Asked(listed, match["state"])
    return Asked(listed, match["counted"], match["least"], bool(match["other"]))


def _plain(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name.startswith('"') else name


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
    if isinstance(token, Asked):
        return token.holds(state_of)
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
