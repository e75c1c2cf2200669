# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One resource of a snapshot, and reading many of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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
    def key(self) -> tuple[str, str]:
        return self.kind, self.id


def plain(value: Any) -> Any:
    """The value as JSON can hold it, mappings in order."""
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime) else value


def without(given: Mapping[str, Any], *left_out: Iterable[str]) -> dict[str, Any]:
    """What AWS answered but for some fields, and for what it answers empty: that is the same as not answering it."""
    names = {name for names in left_out for name in names}
    return {key: value for key, value in given.items() if key not in names and value not in (None, [], {}, "")}


def each(read: Callable[[S], T], things: Iterable[S]) -> list[T]:
    """`read` of all things, several at a time, in their order; the first error is raised."""
    with ThreadPoolExecutor(PARALLEL_READS) as pool:
        return list(pool.map(read, things))
