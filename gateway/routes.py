"""Which of MLflow's routes a request is, and what it needs: default deny.

A request that is no route of the table (mlflow_routes.py) is none at all: nothing is guessed from its method. The path
is judged as MLflow will see it, decoded once; of several templates that fit, the one with the earlier literal segment
wins, as in werkzeug.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from gateway.mlflow_routes import OPTIONAL_FAMILIES, TABLE

READ = "read"
WRITE = "write"
ADMIN = "admin"
SCOPES = (READ, WRITE, ADMIN)
EXTRA = "extra"
"""The family of the routes an operator adds."""

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_PREFIXES = ("/api/", "/ajax-api/")
_PARAMETER = re.compile(r"\{\w+\}")
_TAIL = re.compile(r"\{\w+:path\}")
_LITERAL = re.compile(r"[A-Za-z0-9._~:@-]+")
_CONTROL = re.compile(rb"[\0-\x1f\x7f]")
_PLAIN = re.compile(rb"[a-z][a-z-]{0,29}|[0-9]\.0|v[0-9]")
_MAX_SHAPE = 12


@dataclass(frozen=True, slots=True)
class Route:
    """``family`` is of a small fixed set: it labels logs and metrics. ``body`` is a kind of gateway/inspection.py."""

    family: str
    scope: str
    body: str = ""

    @property
    def carries_path(self) -> bool:
        """Path and query name an artifact: both keep the path rules."""
        return self.family == "artifacts"


@dataclass(frozen=True)
class Rule:
    """A route and where it is; ``template`` is a whole path such as ``/api/2.0/mlflow/traces/{request_id}/info``."""

    method: str
    template: str
    route: Route


@dataclass
class _Node:
    """One segment of the templates that begin alike."""

    literals: dict[bytes, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    routes: dict[str, Route] = field(default_factory=dict)
    tail: dict[str, Route] = field(default_factory=dict)


class RouteTable:
    """The routes of ``rules``; a literal path costs two look-ups."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._exact: dict[tuple[str, bytes], Route] = {}
        self._root = _Node()
        for rule in rules:
            self._add(rule)

    def _add(self, rule: Rule) -> None:
        if "{" not in rule.template:
            self._exact[rule.method, rule.template.encode()] = rule.route
        node = self._root
        for segment in rule.template.split("/")[1:]:
            if _TAIL.fullmatch(segment):
                node.tail[rule.method] = rule.route
                return
            node = _child(node, segment)
        node.routes[rule.method] = rule.route

    def classify(self, method: str, raw_path: bytes) -> Route | None:
        """The route of a request, or None: unknown, and not to be forwarded."""
        if method == "HEAD":
            method = "GET"
        route = self._exact.get((method, raw_path))
        if route is not None:
            return route
        path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
        if _CONTROL.search(path):  # a line break at the end matches MLflow's FastAPI routes as if it were not there
            return None
        return _walk(self._root, method, path.split(b"/"), 1)


def _child(node: _Node, segment: str) -> _Node:
    if not _PARAMETER.fullmatch(segment):
        return node.literals.setdefault(segment.encode(), _Node())
    if node.parameter is None:
        node.parameter = _Node()
    return node.parameter


def _walk(node: _Node, method: str, segments: list[bytes], at: int) -> Route | None:
    if at == len(segments):
        return node.routes.get(method)
    segment = segments[at]
    child = node.literals.get(segment)
    found = _walk(child, method, segments, at + 1) if child is not None else None
    if found is None and node.parameter is not None and segment:
        found = _walk(node.parameter, method, segments, at + 1)
    if found is None and segments[at:] != [b""]:
        found = node.tail.get(method)
    return found


def parse_table(text: str) -> Iterator[Rule]:
    """The rules of a table as mlflow_routes.py describes it."""
    family = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("["):
            family = line.strip("[]")
            continue
        scope, methods, path, *body = line.split()
        route = Route(family, scope, *body)
        for template in [path] if path.startswith("/") else [prefix + path for prefix in _PREFIXES]:
            for method in methods.split(","):
                yield Rule(method, template, route)


MLFLOW = tuple(parse_table(TABLE))


def parse_extra(text: str) -> tuple[Rule, ...]:
    """Routes an operator allows, ``METHOD /path scope`` with commas between them. Raises ValueError."""
    known = {(rule.method, _PARAMETER.sub("{}", rule.template)) for rule in MLFLOW}
    return tuple(_extra(entry, known) for entry in text.split(",") if entry.strip())


def _extra(entry: str, known: set[tuple[str, str]]) -> Rule:
    words = entry.split()
    if len(words) != 3 or words[0] not in _METHODS or words[2] not in SCOPES:
        raise ValueError("has an entry that is not 'METHOD /path scope' (scope: read, write or admin)")
    method, template, scope = words
    first, *segments = template.split("/")
    if first or not segments or not _LITERAL.fullmatch(segments[0]) or not all(map(_is_segment, segments[:-1])):
        raise ValueError("has a path that is not /words/and/{names}, with a word first")
    if not (_is_segment(segments[-1]) or _TAIL.fullmatch(segments[-1])):
        raise ValueError("has a path that is not /words/and/{names}, with a word first")
    if (method, _PARAMETER.sub("{}", template)) in known:
        raise ValueError(f"names {method} {template}, which is in the table already")
    return Rule(method, template, Route(EXTRA, scope))


def _is_segment(text: str) -> bool:
    return text != ".." and bool(_LITERAL.fullmatch(text) or _PARAMETER.fullmatch(text))


def shape(raw_path: bytes) -> str:
    """A path fit for a log line: words of MLflow's kind stay, and whatever could be a name or a key is ``*``."""
    segments = raw_path.split(b"/")[1:]
    words = [part.decode() if not part or _PLAIN.fullmatch(part) else "*" for part in segments[:_MAX_SHAPE]]
    return "/" + "/".join(words) + ("/..." if len(segments) > _MAX_SHAPE else "")


def parse_families(text: str) -> frozenset[str]:
    """Optional families by name, with commas between them. Raises ValueError."""
    names = frozenset(filter(None, map(str.strip, text.split(","))))
    if names - OPTIONAL_FAMILIES.keys():
        raise ValueError(f"names a family that is none of {', '.join(OPTIONAL_FAMILIES)}")
    return names
