"""The routes of the installed MLflow, as its own routers have them: what the gateway's table is compared with."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import mlflow.server
from mlflow.server.fastapi_app import app as fastapi_app
from starlette.routing import Match
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

UNSERVED = frozenset({"/api/2.0mlflow/experiments/search-datasets", "/ajax-api/2.0mlflow/experiments/search-datasets"})
"""A slip in MLflow's protobuf: it answers 404 there, and the route is left out of our table on purpose."""

OLDER = Path(__file__).with_name("older_routes.txt")

READING_HANDLERS = frozenset(
    {
        "_batch_get_trace_infos",
        "_calculate_trace_filter_correlation",
        "_create_presigned_download_url",
        "_get_latest_versions",
        "_graphql",
        "_query_trace_metrics",
        "_search_datasets_handler",
        "_search_evaluation_datasets_handler",
        "_search_experiments",
        "_search_issues",
        "_search_logged_models",
        "_search_prompt_optimization_jobs",
        "_search_runs",
        "_search_traces_v3",
        "search_jobs",
        "serve_search_datasets",
    }
)
"""What MLflow calls its handlers that only read though they are asked by POST: read in its source, not in our table."""


@dataclass(frozen=True)
class Endpoint:
    method: str
    template: str
    handler: str

    @property
    def path(self) -> str:
        """An example: every parameter is ``x``, and what may hold slashes ``x/y``."""
        return re.sub(
            r"[<{](path:)?\w+(:path)?[>}]", lambda found: "x/y" if found[1] or found[2] else "x", self.template
        )

    @property
    def writes(self) -> bool:
        return self.method not in {"GET", "HEAD"} and self.handler not in READING_HANDLERS


def installed() -> list[Endpoint]:
    rules = [(rule.rule, rule.endpoint, rule.methods or ()) for rule in mlflow.server.app.url_map.iter_rules()]
    native = [(prefix + route.path, route.endpoint.__name__, route.methods) for prefix, route in _native_routes()]
    return [
        Endpoint(method, template, handler)
        for template, handler, methods in [*rules, *native]
        for method in sorted(set(methods) - {"HEAD", "OPTIONS"})
        if template not in UNSERVED
    ]


def _native_routes() -> Iterator[tuple[str, Any]]:
    """Prefix and route. FastAPI keeps an included router whole, or (older) its routes one by one."""
    for route in fastapi_app.routes:
        if included := getattr(route, "original_router", None):
            prefix = getattr(route, "include_context").prefix  # noqa: B009 - no type knows of it
            yield from ((prefix, inner) for inner in included.routes)
        elif hasattr(route, "methods"):
            yield "", route


def routed(method: str, raw_path: str) -> str | None:
    """The handler that MLflow gives a request to, or None: it answers with an error or a redirect of its own."""
    path = unquote(raw_path)
    for prefix, route in _native_routes():
        scope = {"type": "http", "method": method, "path": path.removeprefix(prefix), "root_path": "", "headers": []}
        if path.startswith(prefix) and route.matches(scope)[0] is Match.FULL:
            return str(route.endpoint.__name__)
    try:
        endpoint, _ = mlflow.server.app.url_map.bind("mlflow").match(path, method)
    except (HTTPException, RequestRedirect):
        return None
    return str(endpoint)


def authentication_paths() -> list[str]:
    """Of MLflow's own authentication. Its package needs Flask-WTF; the module with the routes does not."""
    where = Path(mlflow.server.__file__).parent / "auth" / "routes.py"
    spec = importlib.util.spec_from_file_location("mlflow_auth_routes", where)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return sorted({value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)})


def older() -> list[Endpoint]:
    lines = [line for line in OLDER.read_text().splitlines() if not line.startswith("#")]
    return [Endpoint(method, template, "") for method, template, *_ in map(str.split, lines)]
