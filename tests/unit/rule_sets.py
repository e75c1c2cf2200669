"""Rule sets and requests by chance, close enough to one another that they meet often."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb_action
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import Rule, Transform
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.routing import Request

from tests.unit.alb_model import GROUPS

HOSTS = ("h.test", "*.test", "a.h.test", "?.test", "*", "H.Test")
HOST_REGEXES = (r"^[a-z]+\.h\.test$", r"test", r"^h\.test:8443$", r"^A\.")
PATHS = ("/a", "/a/*", "/A", "/a/b", "/b*", "*", "/?", "/a/?", "*/b", "/a*b", "/")
PATH_REGEXES = (r"^/a", r"b$", r"^/[ab]/?$", r"/A")
METHODS = ("GET", "POST", "PURGE")
VALUES = ("1", "2", "*", "a*", "?", r"\*", "A")
KEYS = ("k", "K", "l", "k*", None)
BLOCKS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "0.0.0.0/0", "2001:db8::/32", "::/0")
WEIGHTS = (0, 1, 5, 95, 999)
REWRITES = (Transform("host-header-rewrite", "^(.+)$", "in.$1"), Transform("url-rewrite", "^/a/(.*)$", "/$1"))

SENT_HOSTS = ("h.test", "H.TEST", "a.h.test", "b.h.test", "x.test", "h.test:443", "h.test:80", "h.test:8443", "other")
SENT_PATHS = ("/", "/a", "/A", "/a/", "/a/b", "/b", "/bb", "/x", "/a/x/b", "/ab", "/a/b/")
SENT_VALUES = ("1", "2", "", "a", "A", "ab", "*", "x")
SENT_QUERIES = ("", "k=1", "K=2", "l=1&k=a", "1", "k", "k=", "=1", "&&k=*", "k=1=2", "kk=A&2", "k=x&k=2")
ADDRESSES = ("10.1.2.3", "10.1.9.9", "10.9.9.9", "192.0.2.1", "2001:db8::9", "fe80::1")


def conditions(draw: random.Random, *, regexes: bool = True) -> dict[str, Any]:
    """Some options of a rule, within the quotas."""

    def some(values: Sequence[Any], most: int = 2) -> list[Any]:
        return draw.sample(values, draw.randint(1, most))

    def text(name: str, values: Sequence[str], expressions: Sequence[str]) -> dict[str, Any]:
        if regexes and draw.random() < 0.25:
            return {f"{name}_regexes": some(expressions, 1)}
        return {f"{name}s": some(values)}

    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "host": lambda: text("host", HOSTS, HOST_REGEXES),
        "path": lambda: text("path", PATHS, PATH_REGEXES),
        "methods": lambda: {"methods": some(METHODS)},
        "headers": lambda: {
            "headers": [
                {"name": draw.choice(("X-A", "x-b")), "regexes": some((r"^1", r"b", r"^A$"), 1)}
                if regexes and draw.random() < 0.2
                else {"name": draw.choice(("X-A", "x-b")), "values": some(VALUES, 1)}
                for _ in range(draw.randint(1, 2))
            ]
        },
        "query_strings": lambda: {"query_strings": [{"key": draw.choice(KEYS), "value": v} for v in some(VALUES)]},
        "source_ips": lambda: {"source_ips": some(BLOCKS)},
    }
    chosen = draw.sample(sorted(makers), draw.choice((1, 1, 1, 2, 2, 3)))
    given: dict[str, Any] = {}
    for name in chosen:
        given.update(makers[name]())
    return given


def rules(draw: random.Random, make: Callable[..., Rule], *, lowest: int = 1, most: int = 6, **how: Any) -> list[Rule]:
    """Rules of different conditions; what AWS would refuse is left out."""
    made: dict[Any, Rule] = {}
    names = "pqrstuvw"[: draw.randint(0, most)]
    for name, priority in zip(names, draw.sample(range(lowest, lowest + 12), len(names)), strict=True):
        try:
            each = make(name, priority, draw.choice(GROUPS), **conditions(draw, **how))
        except BadInput:
            continue
        made.setdefault(each.conditions, rerouted(draw, each))
    return list(made.values())


def rerouted(draw: random.Random, given: Rule, chance: float = 0.3) -> Rule:
    """The rule, which forwards to one group, now and then with weights, stickiness and rewrites."""
    if draw.random() < chance:
        weights = {group: draw.choice(WEIGHTS) for group in draw.sample(GROUPS[:3], draw.randint(1, 3))}
        given = replace(given, actions=(elb_action.forward(weights, draw.choice((0, 0, 60))),))
    if draw.random() < chance:
        given = replace(given, transforms=tuple(sorted(draw.sample(REWRITES, draw.randint(1, 2)))))
    return given


def request(draw: random.Random) -> Request:
    headers = tuple(
        (draw.choice(("x-a", "x-b", "x-c")), draw.choice(SENT_VALUES)) for _ in range(draw.choice((0, 0, 1, 1, 2, 3)))
    )
    return Request(
        host=draw.choice(SENT_HOSTS),
        path=draw.choice(SENT_PATHS),
        method=draw.choice(("GET", "POST", "get", "PURGE")),
        headers=headers,
        query=draw.choice(SENT_QUERIES),
        source_ip=draw.choice(ADDRESSES),
        scheme=draw.choice(("http", "https")),
    )
