"""The description says what the code does: no page, mount, status or error code is missing."""

from __future__ import annotations

import re
from pathlib import Path

from openapi_spec_validator import validate

from gateway import openapi
from gateway.app import METHODS, Gateway
from gateway.config import Config
from gateway.mounts import PREFIX
from gateway.routes import MLFLOW
from gateway.tests.conftest import Keys
from gateway.tests.process import ROOT, GatewayProcess, new_key

DOCUMENT = openapi.document()
CODE = "".join(path.read_text() for path in Path(ROOT, "gateway").glob("*.py"))


def test_it_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_the_copy_for_readers_is_the_one_that_is_served(gateway: GatewayProcess) -> None:
    kept = Path(ROOT, "gateway", "openapi.json").read_text()

    assert kept == openapi.text(), "python -m gateway.openapi > gateway/openapi.json"
    assert gateway.ask("GET", "/openapi.json").body == kept.encode()


def test_every_page_is_in_it_and_needs_no_key() -> None:
    pages = {path.decode() for path in Gateway(Config("http://m", "http://a"))._pages}

    assert pages == set(openapi.PAGES)
    for path in pages:
        assert [verb["security"] for verb in DOCUMENT["paths"][path].values()] == [[], []]


def test_every_mount_is_in_it_with_every_method() -> None:
    mounts = {f"{PREFIX.decode()}/{{path}}"} | {f"{root}{end}" for root in openapi.ROOTS for end in ("", "/{path}")}

    assert set(DOCUMENT["paths"]) == mounts | set(openapi.PAGES) | {PREFIX.decode()}
    for mount in mounts:
        name = DOCUMENT["paths"][mount]["$ref"].rpartition("/")[2]
        item = DOCUMENT["components"]["pathItems"][name]
        assert {method.lower() for method in METHODS} == set(item) - {"parameters"}
        assert ("parameters" in item) == mount.endswith("/{path}")


def test_every_route_of_mlflows_is_below_a_mount_but_those_of_pages_of_ours() -> None:
    roots = tuple(f"{root}/" for root in openapi.ROOTS)

    outside = {rule.template for rule in MLFLOW if not f"{rule.template}/".startswith(roots)}
    assert outside == {"/", "/health", "/version"}


def test_every_status_and_error_code_of_the_code_is_in_it() -> None:
    statuses = set(re.findall(r"^    status = (\d{3})$", CODE, re.MULTILINE))
    codes = set(re.findall(r'^    error_code = "([A-Z_]+)"$', CODE, re.MULTILINE))
    responses = DOCUMENT["components"]["responses"]
    schemas = [one["content"]["application/json"]["schema"] for one in responses.values()]

    assert {f"Error{status}" for status in statuses} == set(responses)
    assert {code for schema in schemas for code in schema["properties"]["error_code"]["enum"]} == codes
    assert statuses | {"default"} == set(DOCUMENT["components"]["pathItems"]["Below"]["get"]["responses"])


def test_an_answer_is_what_the_description_says(gateway: GatewayProcess, keys: Keys) -> None:
    refused = gateway.ask("GET", "/api/mlflow/version", {"X-API-Key": new_key()})
    described = DOCUMENT["components"]["responses"][f"Error{refused.status}"]
    schema = described["content"]["application/json"]["schema"]

    assert refused.json()["error_code"] in schema["properties"]["error_code"]["enum"]
    assert set(DOCUMENT["components"]["schemas"]["Error"]["required"]) <= set(refused.json())
    assert all(refused.values(name) for name in described["headers"])
