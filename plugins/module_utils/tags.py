# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tags: what this collection creates says so, and only what says so is ever removed by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MANAGED_BY = "hokusai:managed-by"
NAME = "hokusai:name"
CANARY = "hokusai:canary"
OWNER = "hokusai.platform"


def owned(tags: Mapping[str, str] | None, *, owner: str = OWNER, name: str = "") -> dict[str, str]:
    """The tags of something created: the given ones, who manages it, and the name by which it is found again."""
    return {**(tags or {}), MANAGED_BY: owner, **({NAME: name} if name else {})}


def is_owned(tags: Mapping[str, str], owner: str = OWNER) -> bool:
    return tags.get(MANAGED_BY) == owner


def from_aws(listed: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """AWS's list form as a mapping; EC2 and ELB write `Key`/`Value`, ECS writes `key`/`value`."""
    pairs = ({key.lower(): value for key, value in each.items()} for each in listed or ())
    return {str(pair["key"]): str(pair.get("value", "")) for pair in pairs}


def to_aws(tags: Mapping[str, str], *, lower: bool = False) -> list[dict[str, str]]:
    """A mapping as AWS's list form, in a stable order; `lower` is ECS's spelling."""
    key, value = ("key", "value") if lower else ("Key", "Value")
    return [{key: name, value: text} for name, text in sorted(tags.items())]


def missing(current: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """The wanted tags that are absent or differ; tags nobody asked for stay, other tools write theirs too."""
    return {name: text for name, text in wanted.items() if current.get(name) != text}


def texts(given: Mapping[str, Any] | None) -> dict[str, str] | None:
    """An option's values as AWS writes them, in tags and in attributes: all text, booleans in lower case."""
    if given is None:
        return None
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}


def among(found: Mapping[str, str], asked: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Of what was found, that which was asked for: the rest is not ours to compare."""
    return None if asked is None else {name: found[name] for name in asked if name in found}
