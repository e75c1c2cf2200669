"""JSON that names paths: read once, as MLflow will read it, and judged field by field.

Parsed at C's speed into tuples and lists, which is quick enough for what the caps of inspection.py and ``MAX_VALUES``
let through, and then walked in slices, between which other requests have their turn.
"""

from __future__ import annotations

import asyncio
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.errors import BadRequestError, FeatureDisabledError
from gateway.paths import check_location, check_name, check_source, refuse_local

MAX_VALUES = 50_000
"""Commas and opening brackets in a body, those in its texts included. A prompt of 100,000 characters has some 2,000,
the 10,000 parts of an upload have 40,000; parsing 50,000 of the costliest takes some 30 ms in which nothing else is
served."""

MAX_PATHS = 1000
_SLICE = 500
"""Fields judged, some 2 us each, before somebody else has a turn; a path costs as many as a fourth of its bytes."""

_WHERE = "the request's JSON"
_NAMES = frozenset({"path", "artifactpath", "artifactdirectorypath", "artifactfilepath", "runid", "runuuid", "modelid"})
_LOCATIONS = frozenset({"artifactlocation", "defaultartifactroot"})


@dataclass(frozen=True)
class Rules:
    """``absolute`` allows ``path`` to be absolute, ``local`` a location on MLflow's own disk. ``tags`` are the keys (as
    ``_folded`` makes them) of tags that nobody may set, and ``jobs`` of those that have the server run something."""

    absolute: bool = False
    local: bool = False
    tags: frozenset[str] = frozenset()
    jobs: frozenset[str] = frozenset()


def parse(body: bytes) -> tuple[tuple[str, Any], ...]:
    """The fields of one JSON object; objects in it are tuples too, and arrays are lists. Raises BadRequestError."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise BadRequestError(f"The request's JSON has more than {MAX_VALUES} commas and brackets.")
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        raise BadRequestError("The request's body is not JSON in UTF-8.") from None
    if not isinstance(value, tuple):
        raise BadRequestError("The request's body is not one JSON object.")
    return value


async def judge(parsed: tuple[tuple[str, Any], ...], rules: Rules) -> None:
    """Raises BadRequestError or FeatureDisabledError."""
    work = 0
    for cost in _steps(parsed, rules):
        work += cost
        if work > _SLICE:
            work = 0
            await asyncio.sleep(0)


def _steps(parsed: object, rules: Rules) -> Iterator[int]:
    """Judges field by field, and says what each cost."""
    paths = 0
    for key, value in _fields(parsed):
        yield 1
        if rules.tags and _sets(key, value, rules.tags):
            raise BadRequestError("The request sets a tag that says where MLflow keeps a trace; only MLflow may.")
        if rules.jobs and _sets(key, value, rules.jobs):
            raise FeatureDisabledError(
                "The request sets a tag that has the server run issue detection, and 'scorer-execution' is off here. "
                "Its operator can enable it in GATEWAY_ENABLED_FAMILIES."
            )
        field = _plain(key)
        for text in _texts(value) if field in _JUDGED else ():
            paths += 1
            if paths > MAX_PATHS:
                raise BadRequestError(f"The request's JSON names more than {MAX_PATHS} paths.")
            _check_field(field, text, rules)
            yield len(text) // 4


def _fields(parsed: object) -> Iterator[tuple[str, Any]]:
    """Of all objects. Raises BadRequestError for one that has a key twice."""
    waiting: list[Any] = [parsed]
    while waiting:
        values = waiting.pop()
        if isinstance(values, tuple):
            if len({key for key, _ in values}) != len(values):
                raise BadRequestError("The request's JSON has a key twice.")
            yield from values
            values = [value for _, value in values]
        waiting += [value for value in values if isinstance(value, (tuple, list))]


def _plain(key: str) -> str:
    """Protobuf reads ``artifactLocation`` and ``artifact_location`` as one field."""
    return key.replace("_", "").lower()


def _texts(value: object) -> Iterator[bytes]:
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            yield text.encode("utf-8", "surrogatepass")


def _check_field(field: str, text: bytes, rules: Rules) -> None:
    if field in _NAMES:
        check_name(text, _WHERE, absolute=rules.absolute and field == "path")
    elif field in _LOCATIONS:
        check_location(text, _WHERE)
        if not rules.local:
            refuse_local(text, _WHERE)
    else:
        check_source(text, _WHERE)


_JUDGED = _NAMES | _LOCATIONS | {"source"}


def _sets(key: str, value: object, tags: frozenset[str]) -> bool:
    """Tags are a map of JSON's, or a list of ``{"key": ..., "value": ...}``."""
    return _folded(key) in tags or (key == "key" and isinstance(value, str) and _folded(value) in tags)


def _folded(key: str) -> str:
    """Equal for keys that some database takes for one: MySQL compares without case, accents and trailing spaces."""
    if not (key.isascii() and key.isprintable()):
        key = "".join(filter(_is_said, unicodedata.normalize("NFKD", key[:_MAX_KEY])))
    return key.lower().rstrip()


def _is_said(character: str) -> bool:
    """Neither an accent of the character before nor one that sorting ignores."""
    return character.isascii() and character.isprintable()


_MAX_KEY = 300
"""Characters; MLflow's keys have at most 250."""
