# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One resource of a snapshot, and reading many of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")

PARALLEL_READS = 8


@dataclass(frozen=True)
class Entry:
    """A resource as AWS describes it. `id` is what AWS knows it by for good, `name` what people call it."""

    kind: str
    id: str
    name: str
    fields: Mapping[str, Any]
    where: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_data(cls, given: Mapping[str, Any]) -> Entry:
        return cls(given["kind"], given["id"], given["name"], given["fields"], given["where"])

    def as_data(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "id": self.id,
            "name": self.name,
            "where": plain(self.where),
            "fields": plain(self.fields),
        }

    @property
    def ids(self) -> tuple[str, ...]:
        """What others refer to it by."""
        return tuple(dict.fromkeys((self.id, str(self.where.get("Arn", self.id)))))

    def renamed(self, names: Mapping[str, str]) -> Entry:
        """The resource under another id, if `names` has its own, with what it refers to under theirs."""
        fields, where = renamed(self.fields, names), renamed(self.where, names)
        return replace(self, id=names.get(self.id, self.id), fields=fields, where=where)

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.id


def plain(value: Any) -> Any:
    """The value as JSON can hold it, mappings in order."""
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime) else value


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The value with other ids in the place of those that `names` has."""
    if isinstance(value, Mapping):
        return {key: renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(renamed(inner, names) for inner in value)
    return names.get(value, value) if isinstance(value, str) else value


def without(given: Mapping[str, Any], *left_out: Iterable[str]) -> dict[str, Any]:
    """What AWS answered but for some fields, and for what it answers empty: that is the same as not answering it."""
    names = {name for names in left_out for name in names}
    return {key: value for key, value in given.items() if key not in names and value not in (None, [], {}, "")}


def each(read: Callable[[S], T], things: Iterable[S]) -> list[T]:
    """`read` of all things, several at a time, in their order; the first error is raised."""
    with ThreadPoolExecutor(PARALLEL_READS) as pool:
        return list(pool.map(read, things))
