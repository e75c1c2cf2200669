"""The OpenAPI 3.1 description of this service, made of the tables the service itself runs on.

``python -m gateway.openapi > gateway/openapi.json`` writes the copy that is kept for readers; a test compares the two.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from gateway import __version__
from gateway.errors import GatewayError
from gateway.mounts import PREFIX

Document = dict[str, Any]

METHODS = ("get", "head", "post", "put", "patch", "delete")
PAGES: dict[str, tuple[str, str, tuple[int, ...]]] = {
    "/health": ("The process lives.", "application/json", (200,)),
    "/live": ("The process lives.", "application/json", (200,)),
    "/ready": (
        "The auth service and MLflow answer; each with its reason if it does not.",
        "application/json",
        (200, 503),
    ),
    "/api/health/mlflow": ("A search at MLflow goes well, by the way of a client's.", "application/json", (200, 503)),
    "/version": ("This service's version; with a key, MLflow's.", "application/json", (200,)),
    "/metrics": ("Measures in Prometheus's text format.", "text/plain", (200,)),
    "/openapi.json": ("This description.", "application/json", (200,)),
}
"""What is served without a key: words, type and statuses."""

ROOTS = (
    "/ajax-api",
    "/api/2.0/mlflow",
    "/api/2.0/mlflow-artifacts",
    "/api/3.0/jobs",
    "/api/3.0/mlflow",
    "/build",
    "/gateway",
    "/get-artifact",
    "/graphql",
    "/model-versions/get-artifact",
    "/server-info",
    "/signup",
    "/static-files",
    "/v1/traces",
)
"""Where MLflow's own paths begin; the bare host is a tracking URI too."""

_PAGE_ERRORS = (400, 405, 408, 414, 500, 503)
_RETRY_AFTER = (429, 503)


def errors() -> dict[int, list[str]]:
    """Statuses of the gateway's own answers, and the error codes that come with each."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for kind in _kinds(GatewayError):
        found[kind.status].add(kind.error_code)
    return {status: sorted(codes) for status, codes in sorted(found.items())}


def _kinds(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    yield kind
    for special in kind.__subclasses__():
        yield from _kinds(special)


def document() -> Document:
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "MLflow through the Hokusai API service",
            "version": __version__,
            "license": {"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
            "description": (
                "MLflow's REST API behind API keys. Paths, queries and bodies pass byte for byte, as streams; answers "
                "of MLflow's pass unchanged. Answers of the service's own are in MLflow's shape, with a request id."
            ),
        },
        "servers": [{"url": "https://registry.hokus.ai"}],
        "security": [{"bearer": []}, {"authorization": []}, {"key": []}],
        "tags": [
            {"name": "service", "description": "This service; no key is needed."},
            {"name": "mlflow", "description": "MLflow's own API (https://mlflow.org/docs/latest/rest-api.html)."},
        ],
        "paths": dict(_paths()),
        "components": {
            "securitySchemes": _security(),
            "schemas": {"Error": _error_schema()},
            "pathItems": {
                "Mount": _route(),
                "Below": _route() | {"parameters": [{"$ref": "#/components/parameters/Path"}]},
            },
            "parameters": {"Path": _path_parameter()},
            "headers": {"Allow": _ALLOW, "RequestId": _REQUEST_ID, "RetryAfter": _RETRY},
            "responses": {f"Error{status}": _error(status, codes) for status, codes in errors().items()},
        },
    }


_ALLOW = {"description": "The methods there are.", "schema": {"type": "string"}}
_REQUEST_ID = {"description": "The id of the request in this service's log.", "schema": {"type": "string"}}
_RETRY = {"description": "Seconds after which another try may go well.", "schema": {"type": "integer", "minimum": 1}}


def _paths() -> Iterator[tuple[str, Document]]:
    for path, (words, kind, statuses) in PAGES.items():
        yield path, _page(words, kind, statuses)
    prefix = PREFIX.decode()
    redirect = _operation("The mount without its slash.", _route_responses() | {"308": _redirect()})
    yield prefix, {"get": redirect}
    yield f"{prefix}/{{path}}", {"$ref": "#/components/pathItems/Below"}
    for root in ROOTS:
        yield root, {"$ref": "#/components/pathItems/Mount"}
        yield f"{root}/{{path}}", {"$ref": "#/components/pathItems/Below"}


def _page(words: str, kind: str, statuses: tuple[int, ...]) -> Document:
    responses = _refer(_PAGE_ERRORS) | {str(status): _answer(status, kind) for status in statuses}
    return {verb: _operation(words, responses) | {"security": [], "tags": ["service"]} for verb in ("get", "head")}


def _route() -> Document:
    words = "MLflow, at its own path; below /api/mlflow, which is the tracking URI of clients, with that taken off."
    item: Document = {verb: _operation(words, _route_responses()) for verb in METHODS}
    item["options"] = {
        "summary": "The methods there are; no origin is granted anything.",
        "tags": ["mlflow"],
        "security": [],
        "responses": {"204": {"description": "Allow names the methods."}},
    }
    return item


def _operation(words: str, responses: Document) -> Document:
    return {"summary": words, "tags": ["mlflow"], "responses": responses}


def _route_responses() -> Document:
    return _refer(errors()) | {"default": {"description": "MLflow's answer, as it is.", "headers": _headers()}}


def _refer(statuses: Iterable[int]) -> Document:
    return {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in sorted(statuses)}


def _headers(status: int = 200) -> Document:
    found = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        found["Allow"] = {"$ref": "#/components/headers/Allow"}
    return found | ({"Retry-After": {"$ref": "#/components/headers/RetryAfter"}} if status in _RETRY_AFTER else {})


def _answer(status: int, kind: str) -> Document:
    schema = {"type": "string"} if kind == "text/plain" else {"type": "object"}
    words = "Well." if status == HTTPStatus.OK else "Not well."
    return {"description": words, "headers": _headers(), "content": {kind: {"schema": schema}}}


def _redirect() -> Document:
    location = {"description": "The mount with its slash.", "schema": {"type": "string"}}
    return {"description": "MLflow's pages use relative links.", "headers": _headers() | {"Location": location}}


def _error(status: int, codes: list[str]) -> Document:
    schema = {
        "allOf": [{"$ref": "#/components/schemas/Error"}],
        "properties": {"error_code": {"enum": codes}},
    }
    return {
        "description": f"{' or '.join(codes)}; the message says why.",
        "headers": _headers(status),
        "content": {"application/json": {"schema": schema}},
    }


def _error_schema() -> Document:
    return {
        "type": "object",
        "required": ["error_code", "message", "request_id"],
        "properties": {
            "error_code": {"type": "string", "description": "One of MLflow's."},
            "message": {"type": "string", "description": "What the MLflow client prints."},
            "request_id": {"type": "string"},
            "hop": {"enum": ["auth", "gateway", "mlflow"], "description": "The service that did not answer."},
            "tries": {"type": "integer", "description": "How often it was asked."},
        },
    }


def _path_parameter() -> Document:
    words = "The rest of the path, slashes included, as MLflow gets it."
    return {"name": "path", "in": "path", "required": True, "description": words, "schema": {"type": "string"}}


def _security() -> Document:
    return {
        "bearer": {"type": "http", "scheme": "bearer", "description": "MLFLOW_TRACKING_TOKEN"},
        "authorization": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "ApiKey <key>"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }


def text() -> str:
    return json.dumps(document(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
