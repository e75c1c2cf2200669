"""The reference of the gateway's endpoints and errors, written from the tables that the gateway itself runs on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from gateway import errors, openapi
from gateway.mlflow_routes import OPTIONAL_FAMILIES
from gateway.routes import MLFLOW, Rule
from tests.docsite.tables import rows

INTRODUCTION = """\
# The gateway's endpoints and errors

This page is written by `make docs` from the tables that the gateway itself runs on. What the limits are and why is in
[gateway](gateway.md); the same as OpenAPI 3.1 is served at `/openapi.json`.
"""


def kinds(kind: type[errors.GatewayError]) -> Iterator[type[errors.GatewayError]]:
    yield kind
    for special in kind.__subclasses__():
        yield from kinds(special)


def in_words(kind: type[errors.GatewayError]) -> str:
    """`BodyTooLargeError` as `body too large`."""
    return " ".join(re.findall(r"[A-Z][a-z]+", kind.__name__.removesuffix("Error"))).lower()


def pages() -> str:
    body = (
        (f"`{path}`", words, media, ", ".join(map(str, statuses)))
        for path, (words, media, statuses) in openapi.PAGES.items()
    )
    return "## Without a key\n\n" + rows(("path", "says", "type", "status"), body)


def refusals() -> str:
    """Every answer of the gateway's own; who decided it, and which hop it names."""
    found = {
        (kind.status, kind.error_code, kind.emitter, kind.hop, in_words(kind))
        for kind in kinds(errors.GatewayError)
        if kind is not errors.GatewayError
    }
    body = (
        (str(status), f"`{code}`", emitter, f"`{hop}`" if hop else "", words)
        for status, code, emitter, hop, words in sorted(found)
    )
    head = ("status", "`error_code`", "decided by", "`hop`", "kind")
    return (
        "## Errors\n\nEach is a JSON object with `error_code`, `message` and `request_id`, and where a hop is named "
        "with `hop` and `tries`. Any other answer is MLflow's own.\n\n" + rows(head, body)
    )


def family(name: str, rules: Iterable[Rule]) -> str:
    off = OPTIONAL_FAMILIES.get(name)
    note = f"Off unless `GATEWAY_ENABLED_FAMILIES` names it: {off}.\n\n" if off else ""
    own = (rule for rule in rules if not rule.template.startswith("/ajax-api/"))
    ordered = sorted(own, key=lambda rule: (rule.template, rule.route.scope, rule.method))
    merged = groupby(ordered, key=lambda rule: (rule.template, rule.route.scope))
    body = ((", ".join(rule.method for rule in same), f"`{template}`", scope) for (template, scope), same in merged)
    return f"### {name}\n\n{note}" + rows(("method", "path at MLflow", "scope"), body)


def routes() -> str:
    ordered = sorted(MLFLOW, key=lambda rule: rule.route.family)
    parts = [family(name, rules) for name, rules in groupby(ordered, key=lambda rule: rule.route.family)]
    words = "Both below `/api/mlflow` and at the bare host. What begins with `/api/` is there with `/ajax-api/` too."
    return f"## MLflow's routes\n\n{words}\n\n" + "\n".join(parts)


def text() -> str:
    return "\n".join([INTRODUCTION, pages(), refusals(), routes()])
