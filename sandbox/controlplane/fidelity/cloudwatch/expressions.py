"""Metric maths: the expressions of GetMetricData and of alarms.

Source: CloudWatch user guide, "Using math expressions with CloudWatch metrics". There are numbers, other queries by
their ids, lists of them in brackets, arithmetic, comparisons, AND and OR, and the functions in `FUNCTIONS`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.controlplane.fidelity.cloudwatch.series import Points

Value = Any
"""A number, the points of a series, or a list of series."""

_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*|\.\d+)|([A-Za-z]\w*)|(&&|\|\||>=|<=|==|!=|[-+*/^()\[\],<>]))")
_WORDS = {"AND": "&&", "OR": "||"}
_LEVELS: tuple[Mapping[str, Callable[[float, float], float]], ...] = (
    {"||": lambda a, b: float(bool(a) or bool(b))},
    {"&&": lambda a, b: float(bool(a) and bool(b))},
    {
        ">=": lambda a, b: float(a >= b),
        "<=": lambda a, b: float(a <= b),
        "==": lambda a, b: float(a == b),
        "!=": lambda a, b: float(a != b),
        ">": lambda a, b: float(a > b),
        "<": lambda a, b: float(a < b),
    },
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv},
    {"^": operator.pow},
)


class ExpressionError(ValueError):
    """An expression that cannot be read, or that asks for what does not exist."""


@dataclass(frozen=True)
class Scope:
    """What an expression may name: the other queries by id; `times` are the periods that FILL fills."""

    lookup: Callable[[str], Value]
    times: Sequence[float]


def evaluate(text: str, scope: Scope) -> Value:
    """A number or the points of a series. Raises ExpressionError."""
    parser = _Parser(_tokens(text), scope)
    value = parser.level(0)
    if parser.left:
        raise ExpressionError(f"Error in expression '{text}': unexpected {parser.left[0]}")
    return value


def names(text: str) -> set[str]:
    """The ids of the queries that the expression reads."""
    return {token for token in _tokens(text) if re.fullmatch(r"[a-z]\w*", token)}


def _tokens(text: str) -> list[str]:
    found, place = [], 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if not match:
            raise ExpressionError(f"Error in expression '{text}': cannot read '{text[place:].strip()}'")
        token = match.group().strip()
        found.append(_WORDS.get(token, token))
        place = match.end()
    return found


class _Parser:
    """Precedence climbing over `_LEVELS`, computing as it goes."""

    def __init__(self, tokens: list[str], scope: Scope) -> None:
        self.left, self._scope = tokens, scope

    def level(self, number: int) -> Value:
        if number == len(_LEVELS):
            return self._primary()
        value = self.level(number + 1)
        while self.left and self.left[0] in _LEVELS[number]:
            apply = _LEVELS[number][self.left.pop(0)]
            value = combine(apply, value, self.level(number + 1))
        return value

    def _primary(self) -> Value:
        token = self._next()
        if token == "-":  # noqa: S105 - a minus sign is no password
            return combine(operator.mul, -1.0, self._primary())
        if token == "(":  # noqa: S105
            return self._until(")", self.level(0))
        if token == "[":  # noqa: S105
            return self._list("]")
        return float(token) if token[0].isdigit() or token[0] == "." else self._named(token)

    def _named(self, token: str) -> Value:
        if self.left and self.left[0] == "(" and token in FUNCTIONS:
            self._next()
            return FUNCTIONS[token](self._scope, *self._list(")"))
        return token if token in FILLINGS else self._scope.lookup(token)

    def _list(self, end: str) -> list[Value]:
        found = [self.level(0)]
        while self.left and self.left[0] == ",":
            self._next()
            found.append(self.level(0))
        self._until(end, None)
        return found

    def _until(self, end: str, value: Value) -> Value:
        if self._next() != end:
            raise ExpressionError(f"Error in expression: '{end}' is missing")
        return value

    def _next(self) -> str:
        if not self.left:
            raise ExpressionError("Error in expression: it ends too early")
        return self.left.pop(0)


def combine(apply: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Number with number, or period by period where both have a point; a division by zero has no point."""

    def safely(one: float, other: float) -> float | None:
        try:
            return apply(one, other)
        except ZeroDivisionError:
            return None

    if isinstance(left, dict) and isinstance(right, dict):
        pairs = {time: safely(value, right[time]) for time, value in left.items() if time in right}
    elif isinstance(left, dict):
        pairs = {time: safely(value, right) for time, value in left.items()}
    elif isinstance(right, dict):
        pairs = {time: safely(left, value) for time, value in right.items()}
    else:
        return safely(left, right) or 0.0
    return {time: value for time, value in pairs.items() if value is not None}


def _reduced(reduce: Callable[[Sequence[float]], float]) -> Callable[..., Value]:
    """Of a list, period by period over the series that have a point there; of one series, a number."""

    def function(_scope: Scope, given: Value) -> Value:
        if isinstance(given, dict):
            return reduce(tuple(given.values())) if given else {}
        if not isinstance(given, list):
            raise ExpressionError("Error in expression: a series or a list of series is expected")
        times = sorted({time for each in given for time in each})
        return {time: reduce([each[time] for each in given if time in each]) for time in times}

    return function


FILLINGS = ("REPEAT", "LINEAR")


def _fill(scope: Scope, given: Points, filling: Value) -> Points:
    found: Points = {}
    for time in scope.times:
        before = next(reversed(found.values()), None)
        if time in given:
            found[time] = given[time]
        elif isinstance(filling, float):
            found[time] = filling
        elif isinstance(filling, dict) and time in filling:
            found[time] = filling[time]
        elif filling in FILLINGS and before is not None:
            found[time] = before if filling == "REPEAT" else _between(given, time, before)
    return found


def _between(given: Points, time: float, before: float) -> float:
    """Half-way to the next point, which for gaps of one period is LINEAR."""
    following = next((value for each, value in given.items() if each > time), before)
    return (before + following) / 2


def _if(_scope: Scope, condition: Value, then: Value, otherwise: Value = None) -> Value:
    if not isinstance(condition, dict):
        return (then if condition else otherwise) if otherwise is not None or condition else {}

    def at(value: Value, time: float) -> float | None:
        return value.get(time) if isinstance(value, dict) else value

    chosen = {time: at(then if holds else otherwise, time) for time, holds in condition.items()}
    return {time: value for time, value in chosen.items() if value is not None}


FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "MAX": _reduced(max),
    "MIN": _reduced(min),
    "SUM": _reduced(sum),
    "AVG": _reduced(lambda values: sum(values) / len(values)),
    "FILL": _fill,
    "IF": _if,
    "ABS": lambda _scope, given: (
        {time: abs(value) for time, value in given.items()} if isinstance(given, dict) else abs(given)
    ),
}
