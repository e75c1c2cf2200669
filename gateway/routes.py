"""Route families of MLflow and the scope each needs.

A read is not a GET: MLflow searches with POST. The paths are those of ``mlflow.server.handlers.get_endpoints`` and of
the UI (mlflow 3.17); a POST that is not listed here is a write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

READ = "read"
WRITE = "write"

_API = re.compile(r"/(?:api|ajax-api)/[23]\.0/(?P<rest>.+)")

_READS_BY_POST = frozenset(
    {
        "mlflow/artifacts/presigned-download-url",
        "mlflow/datasets/search",
        "mlflow/experiments/search",
        "mlflow/experiments/search-datasets",
        "mlflow/issues/search",
        "mlflow/logged-models/search",
        "mlflow/prompt-optimization/jobs/search",
        "mlflow/registered-models/get-latest-versions",
        "mlflow/runs/search",
        "mlflow/traces/batchGetInfos",
        "mlflow/traces/calculate-filter-correlation",
        "mlflow/traces/metrics",
        "mlflow/traces/search",
    }
)

_FAMILIES = {
    "artifacts": "artifacts",
    "datasets": "datasets",
    "experiments": "experiments",
    "logged-models": "logged-models",
    "metrics": "runs",
    "model-versions": "registry",
    "registered-models": "registry",
    "runs": "runs",
    "scorers": "scorers",
    "traces": "traces",
    "assistant": "assistant",
}

_ROOTS = {
    "get-artifact": "artifacts",
    "graphql": "ui",
    "health": "service",
    "model-versions": "artifacts",
    "static-files": "ui",
    "v1": "traces",
    "version": "service",
    "": "ui",
}


@dataclass(frozen=True)
class Route:
    """``family`` is a small fixed set: it labels logs and metrics."""

    family: str
    scope: str


def classify(method: str, raw_path: bytes) -> Route:
    """Judge the path as MLflow will see it: decoded once."""
    path = unquote(raw_path.decode("latin-1"))
    match = _API.fullmatch(path)
    rest = match["rest"] if match else ""
    family = _api_family(rest) if match else _ROOTS.get(path.split("/")[1], "other")
    reads = method in {"GET", "HEAD"} or (method == "POST" and (rest in _READS_BY_POST or path == "/graphql"))
    return Route(family, READ if reads else WRITE)


def _api_family(rest: str) -> str:
    """``rest`` is the path after the version, such as ``mlflow/runs/create``."""
    if rest.startswith("mlflow-artifacts/"):
        return "artifacts"
    parts = rest.split("/")
    return _FAMILIES.get(parts[1], "other") if parts[0] == "mlflow" and len(parts) > 1 else "other"
