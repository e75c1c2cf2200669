"""Filter patterns of CloudWatch Logs: terms, and `{ ... }` over the properties of JSON events.

Source: CloudWatch Logs user guide, "Filter pattern syntax for metric filters". Of the syntax there are terms (with `?`,
`-` and quotes), and for JSON the comparisons, `IS NULL`, `IS TRUE`, `IS FALSE`, `EXISTS`, `NOT EXISTS`, `&&`, `||` and
parentheses.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

Event = Any
Test = Callable[[Event], bool]

_TOKEN = re.compile(
    r'\s*(?:(\$(?:\.\w+|\["[^"]+"\]|\[\d+\])+)|"((?:[^"\\]|\\.)*)"|(&&|\|\||!=|>=|<=|[=<>()])|([^\s=<>()&|!"]+))'
)
_ABSENT = object()
_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_PROPERTIES: Mapping[tuple[str, ...], Callable[[Any], bool]] = {
    ("IS", "NULL"): lambda value: value is None,
    ("IS", "TRUE"): lambda value: value is True,
    ("IS", "FALSE"): lambda value: value is False,
    ("EXISTS",): lambda value: value is not _ABSENT,
    ("NOT", "EXISTS"): lambda value: value is _ABSENT,
}


class PatternError(ValueError):
    """A pattern that cannot be read."""


def compiled(pattern: str) -> Callable[[str], bool]:
    """Whether a log line matches. Raises PatternError."""
    text = pattern.strip()
    if text.startswith("{"):
        if not text.endswith("}"):
            raise PatternError("Invalid metric filter pattern: } is missing")
        return _of_json(text[1:-1])
    return _of_terms(text)


def _of_terms(text: str) -> Callable[[str], bool]:
    terms = [quoted or bare for quoted, bare in re.findall(r'([?-]?"[^"]*")|(\S+)', text)]
    words = [(term[0] if term[0] in "?-" else "", term.lstrip("?-").strip('"')) for term in terms]
    required = [word for sign, word in words if sign == ""]
    optional = [word for sign, word in words if sign == "?"]
    excluded = [word for sign, word in words if sign == "-"]

    def matches(line: str) -> bool:
        return (
            all(word in line for word in required)
            and (not optional or bool(required) or any(word in line for word in optional))
            and not any(word in line for word in excluded)
        )

    return matches


def _of_json(text: str) -> Callable[[str], bool]:
    parser = _Parser(text)
    test = parser.either()
    if parser.left:
        raise PatternError(f"Invalid metric filter pattern: unexpected {parser.left[0]}")

    def matches(line: str) -> bool:
        try:
            event = json.loads(line)
        except ValueError:
            return False
        return isinstance(event, (dict, list)) and test(event)

    return matches


class _Parser:
    """`&&` binds stronger than `||`. A token is its kind (path, text, sign, word) and its text."""

    def __init__(self, text: str) -> None:
        self.left: list[tuple[str, str]] = []
        place = 0
        while text[place:].strip():
            match = _TOKEN.match(text, place)
            if not match:
                raise PatternError(f"Invalid metric filter pattern: cannot read '{text[place:].strip()}'")
            kinds = zip(("path", "text", "sign", "word"), match.groups(), strict=True)
            self.left.append(next((kind, found) for kind, found in kinds if found is not None))
            place = match.end()

    def either(self) -> Test:
        tests = [self._both()]
        while self._takes("||"):
            tests.append(self._both())
        return lambda event: any(test(event) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._takes("&&"):
            tests.append(self._one())
        return lambda event: all(test(event) for test in tests)

    def _one(self) -> Test:
        if self._takes("("):
            test = self.either()
            if not self._takes(")"):
                raise PatternError("Invalid metric filter pattern: ) is missing")
            return test
        kind, path = self._next()
        if kind != "path":
            raise PatternError(f"Invalid metric filter pattern: {path} is no property")
        kind, sign = self._next()
        if kind == "word":
            return self._property(path, sign)
        if sign not in {"=", "!=", *_ORDERS}:
            raise PatternError(f"Invalid metric filter pattern: {sign} does not compare")
        _, wanted = self._next()
        return _comparison(path, sign, wanted)

    def _property(self, path: str, first: str) -> Test:
        words: tuple[str, ...] = (first,) if first == "EXISTS" else (first, self._next()[1])
        if words not in _PROPERTIES:
            raise PatternError(f"Invalid metric filter pattern: {' '.join(words)}")
        return lambda event: _PROPERTIES[words](_value(event, path))

    def _takes(self, sign: str) -> bool:
        if self.left and self.left[0] == ("sign", sign):
            self.left.pop(0)
            return True
        return False

    def _next(self) -> tuple[str, str]:
        if not self.left:
            raise PatternError("Invalid metric filter pattern: it ends too early")
        return self.left.pop(0)


def _comparison(path: str, sign: str, wanted: str) -> Test:
    number = _number(wanted)

    def test(event: Event) -> bool:
        value = _value(event, path)
        if value is _ABSENT or value is None:
            return False
        if sign in _ORDERS:
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            return is_number and number is not None and _ORDERS[sign](value, number)
        return _equals(value, wanted, number) == (sign == "=")

    return test


def _equals(value: Any, wanted: str, number: float | None) -> bool:
    """A number by its value, a text with `*` for anything."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number is not None and value == number
    return isinstance(value, str) and fnmatchcase(value, wanted.replace("[", "[[]"))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _value(event: Event, path: str) -> Any:
    """What is at `$.a.b[0]`, or `_ABSENT`."""
    for name, quoted, index in re.findall(r'\.(\w+)|\["([^"]+)"\]|\[(\d+)\]', path):
        if index:
            if not isinstance(event, list) or int(index) >= len(event):
                return _ABSENT
            event = event[int(index)]
        elif isinstance(event, dict) and (name or quoted) in event:
            event = event[name or quoted]
        else:
            return _ABSENT
    return event


def value_at(line: str, path: str) -> float | None:
    """The number at a metric value's selector (`$.ms`), None without one."""
    try:
        found = _value(json.loads(line), path)
    except ValueError:
        return None
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None
