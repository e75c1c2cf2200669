"""The evaluation of identity-based policies, as far as this project's own need it.

IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements: Condition operators". A document that uses more
than this is refused, for a policy that is only half understood would prove nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

Context = Mapping[str, tuple[str, ...]]
ELEMENTS = frozenset({"Sid", "Effect", "Action", "Resource", "NotResource", "Condition"})
LIKE = frozenset({"StringLike", "StringNotLike", "ArnLike", "ArnEquals"})
OPERATORS = frozenset({"StringEquals", "StringNotEquals", "Bool", "Null"}) | LIKE
NEGATED = frozenset({"StringNotEquals", "StringNotLike"})


class PolicyError(ValueError):
    """A document that is no policy, or says what this evaluator does not know."""


@dataclass(frozen=True)
class Request:
    """One thing that a caller wants to do. The keys of `context` are in lower case; one that is absent is not there."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """One key of a statement's Condition; `operator` is without its prefix and suffix."""

    operator: str
    key: str
    values: tuple[str, ...]
    quantifier: str = ""
    if_exists: bool = False

    def holds(self, context: Context) -> bool:
        present = context.get(self.key.lower())
        if self.operator == "Null":
            return (present is None) == (self.values == ("true",))
        if present is None:
            return self.if_exists or self.quantifier == "ForAllValues" or self.operator in NEGATED
        if self.quantifier == "ForAllValues":
            return all(map(self._accepts, present))
        return any(map(self._accepts, present))

    def _accepts(self, value: str) -> bool:
        found = any(matches(each, value) if self.operator in LIKE else each == value for each in self.values)
        return found != (self.operator in NEGATED)


@dataclass(frozen=True)
class Statement:
    """`resources` are those it is about; with `excludes` all but those."""

    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    excludes: bool = False
    conditions: tuple[Condition, ...] = ()

    def concerns(self, request: Request) -> bool:
        named = any(matches(each.lower(), request.action.lower()) for each in self.actions)
        within = any(matches(each, request.resource) for each in self.resources) != self.excludes
        return named and within and all(each.holds(request.context) for each in self.conditions)


@dataclass(frozen=True)
class Policy:
    statements: tuple[Statement, ...]

    @classmethod
    def parse(cls, document: Any) -> Policy:
        """Raises PolicyError, which names the statement."""
        if not isinstance(document, dict) or not isinstance(document.get("Statement"), list):
            raise PolicyError("a policy is an object with a list of statements")
        if document.get("Version") != "2012-10-17":
            raise PolicyError("a policy's Version is 2012-10-17")
        return cls(tuple(map(_statement, document["Statement"])))


def refusal(policies: Iterable[Policy], request: Request) -> str:
    """Why the request is refused, in the words of AWS; empty when it is not. A Deny wins over every Allow."""
    about = [each for policy in policies for each in policy.statements if each.concerns(request)]
    if any(each.effect == "Deny" for each in about):
        return "with an explicit deny in an identity-based policy"
    if any(each.effect == "Allow" for each in about):
        return ""
    return f"because no identity-based policy allows the {request.action} action"


def matches(pattern: str, text: str) -> bool:
    """`*` stands for any characters, `?` for one."""
    return _expression(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(each, re.escape(each)) for each in pattern), re.DOTALL)


def _statement(raw: Mapping[str, Any]) -> Statement:
    unknown = set(raw) - ELEMENTS
    if unknown or raw.get("Effect") not in {"Allow", "Deny"} or "Action" not in raw:
        raise PolicyError(f"statement {raw.get('Sid', raw)}: it has {sorted(raw)}; known are {sorted(ELEMENTS)}")
    if ("Resource" in raw) == ("NotResource" in raw):
        raise PolicyError(f"statement {raw.get('Sid', raw)}: one of Resource and NotResource is needed")
    return Statement(
        effect=raw["Effect"],
        actions=_listed(raw["Action"]),
        resources=_listed(raw.get("Resource", raw.get("NotResource"))),
        excludes="NotResource" in raw,
        conditions=tuple(_conditions(raw.get("Condition", {}))),
    )


def _conditions(raw: Mapping[str, Mapping[str, Any]]) -> Iterator[Condition]:
    for written, keys in raw.items():
        quantifier, _, rest = written.rpartition(":")
        operator = rest.removesuffix("IfExists")
        if operator not in OPERATORS or quantifier not in {"", "ForAllValues", "ForAnyValue"}:
            raise PolicyError(f"the condition operator {written} is not known here; known are {sorted(OPERATORS)}")
        for key, values in keys.items():
            yield Condition(operator, key, _listed(values), quantifier, rest != operator)


def _listed(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
