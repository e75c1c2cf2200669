# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A plan is data: what was observed, the steps that lead to what is desired, and the two ends of the difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Later:
    """A value that an earlier step of the same plan brings about ("known after apply")."""

    what: str


@dataclass(frozen=True)
class Missing:
    """An id of a resource that does not exist and that this module does not make.

    In check mode an earlier task of the play may be the one to create it, so the plan can still be shown;
    applying such a plan is refused before the first write.
    """

    what: str
    remedy: str


Find = Callable[[str, str], "str | Missing"]
"""How a plan finds an id (`Observed.id`): by the thing's words ("target group x"), with the remedy if there is none."""


@dataclass(frozen=True)
class Step:
    """One write. `verb` is the botocore method, `args` its keyword arguments, `why` names the resource and the reason.

    Two plans predict the same step when `verb` and `why` are equal: so `why` carries names, never ids that differ
    from run to run. Consecutive steps with the same non-empty `batch` do not depend on each other and run in parallel.
    `over` is set where the verb creates what is not there, and writes over what is: the resource was seen there.
    """

    verb: str
    args: Mapping[str, Any]
    why: str
    batch: str = ""
    over: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.verb, self.why

    def shown(self) -> dict[str, str]:
        """What a result may show: arguments stay out of it, they can carry environment values."""
        return {"verb": self.verb, "why": self.why}


@dataclass(frozen=True)
class Observed(Generic[T]):
    """A resource as it is (None: absent) and the ids, by name, that were seen on the way and that a plan may need."""

    resource: T | None
    ids: Mapping[str, str] = field(default_factory=dict)

    def id(self, name: str, remedy: str) -> str | Missing:
        return self.ids.get(name) or Missing(name, remedy)


def holds(value: Any, kind: type[T]) -> Iterator[T]:
    """Every `kind` (`Later` or `Missing`) inside the arguments of a step."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from holds(inner, kind)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from holds(inner, kind)


def overlay(current: T | None, desired: T | None) -> T | None:
    """The state after the plan: what is desired, and where that is silent (a None field) what is there now.

    A state whose parts merge otherwise says so itself, with a method `over(current)`.
    """
    if current is None or desired is None:
        return desired
    if hasattr(desired, "over"):
        merged: T = desired.over(current)
        return merged
    if not dataclasses.is_dataclass(desired):
        return desired
    return filled(current, desired)


def filled(current: T, desired: T) -> T:
    """What is desired, its fields that are None as they are now."""
    unmanaged = {
        each.name: getattr(current, each.name)
        for each in dataclasses.fields(desired)  # type: ignore[arg-type]
        if getattr(desired, each.name) is None
    }
    return dataclasses.replace(desired, **unmanaged)  # type: ignore[type-var]


def as_data(value: Any) -> Any:
    """A state as plain, ordered data for diff and results. A value with a `shown` method decides for itself."""
    if hasattr(value, "shown"):
        return as_data(value.shown())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: as_data(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_data(inner) for key, inner in sorted(value.items(), key=lambda pair: str(pair[0]))}
    if isinstance(value, (set, frozenset)):
        return sorted((as_data(inner) for inner in value), key=str)
    if isinstance(value, (list, tuple)):
        return [as_data(inner) for inner in value]
    return value
