"""The site is built from the sources without a warning, and what is drawn or written from facts is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from mlflow.protos.databricks_pb2 import ErrorCode

from gateway import errors, openapi
from gateway.routes import MLFLOW
from sandbox.faults.catalogue import all_faults
from tests.docsite import blocks, drawing, figures, gateway_reference, pages
from tests.docsite.__main__ import SITE, main
from tests.harness import run
from tests.sanity import ROOT

MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def site() -> Path:
    assert main([]) == 0
    return SITE


def test_the_site_has_a_page_for_each_document_module_and_role(site: Path) -> None:
    generated = [f"{name}_module" for name in MODULES] + [f"{name}_role" for name in ROLES]
    wanted = {place.removesuffix(".md") for place in pages.documents().values()} | {
        "gateway-reference",
        *(f"{pages.GENERATED}/{name}" for name in generated),
    }
    assert not {name for name in wanted if not (site / f"{name}.html").exists()}


def test_the_modules_and_roles_are_documented_as_antsibull_docs_wants_it() -> None:
    checks = ["--plugin-docs", "--validate-collection-refs", "all", "--disallow-unknown-collection-refs"]
    ended = run(["antsibull-docs", "lint-collection-docs", *checks, "."])
    assert (ended.code, ended.output) == (0, "")


def test_the_drawing_says_what_the_inventory_says() -> None:
    assert drawing.DRAWING.read_text() == drawing.svg(drawing.read()), "python -m tests.docsite.drawing"


def test_the_drawing_follows_the_inventory() -> None:
    told = drawing.read()
    told["hokusai_services"]["mlflow"]["load_balancers"][0]["container_port"] = 5999
    assert "mlflow.hokusai-development.local:5999" in drawing.svg(told)


def test_the_figures_are_those_of_the_runs_of_the_benchmarks() -> None:
    page = figures.PAGE.read_text()
    assert "| `alb_rules` |" in page
    assert "| gateway |" in page
    assert page == figures.with_tables(page), "python -m tests.docsite.figures"


def test_the_reference_of_the_gateway_has_every_page_error_and_route() -> None:
    text = gateway_reference.text()
    assert not [path for path in openapi.PAGES if f"| `{path}` |" not in text]
    for kind in gateway_reference.kinds(errors.GatewayError):
        if kind is not errors.GatewayError:
            assert re.search(rf"^\| {kind.status} \| `{kind.error_code}` \| {kind.emitter} \|", text, re.MULTILINE)
    assert not [rule for rule in MLFLOW if rule.template.startswith("/api/") and f"`{rule.template}`" not in text]


def test_every_cause_of_the_incident_has_its_fault_and_a_role_that_repairs_it() -> None:
    told = {fault.cause: fault.id for fault in all_faults() if fault.cause}
    assert {number: fault for number, fault, _role in causes()} == told
    assert {role for _number, _fault, role in causes()} <= set(ROLES)


def causes() -> list[tuple[int, str, str]]:
    """Number, fault and role of the incident's."""
    rows = re.findall(r"^\| (\d+) \|.*?\| ([A-Z]\d\d) \|.*\| `(\w+)`[^|]*\|$", page("incident"), re.MULTILINE)
    return [(int(number), fault, role) for number, fault, role in rows]


def test_every_fault_that_shows_as_a_status_is_told_under_it() -> None:
    sections = re.split(r"^## (.+)$", page("troubleshooting"), flags=re.MULTILINE)
    rows = dict(zip(sections[1::2], map(told_rows, sections[2::2]), strict=True))
    shown = {fault.id: set(re.findall(r"\b(?:40[134]|50[234])\b", fault.symptom)) for fault in all_faults()}
    assert len([name for name, statuses in shown.items() if statuses]) > 40
    assert not [
        name
        for name, statuses in shown.items()
        if statuses and not any(name in row for status in statuses for row in rows[status])
    ]


def test_a_cause_of_the_incident_is_repaired_by_the_same_role_whatever_it_shows_as() -> None:
    rows = told_rows(page("troubleshooting"))
    told = [(fault, role, row) for _number, fault, role in causes() for row in rows if fault in row]
    assert {fault for fault, _role, _row in told} == {fault for _number, fault, _role in causes()} - {"T01", "I10"}
    assert not [
        row for _fault, role, row in told if set(re.findall(r"`(\w+)`", row.split("|")[-2])) & set(ROLES) != {role}
    ]


def told_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")]


def test_every_code_and_setting_of_the_troubleshooting_page_is_one_that_there_is() -> None:
    codes = {kind.error_code for kind in gateway_reference.kinds(errors.GatewayError)} | set(ErrorCode.keys())
    settings = (ROOT / "gateway" / "README.md").read_text() + (drawing.INVENTORY / "settings.yml").read_text()
    told = re.findall(r"`([A-Z]+_[A-Z_]+)`", page("troubleshooting"))
    assert not [name for name in told if name not in codes and name not in settings]


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text()


@pytest.mark.parametrize("document", blocks.documents())
def test_every_link_of_a_document_leads_to_a_file(document: str) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", (ROOT / document).read_text())
    assert not [target for target in targets if not (ROOT / document).parent.joinpath(target).exists()]


def test_a_link_leads_to_the_page_or_to_the_sources() -> None:
    places = {"docs/runs.md": "runs.md", "docs/decisions/x.md": "decisions/x.md", "gateway/README.md": "gateway.md"}
    text = "[a](../runs.md#the-lock) [b](../../gateway/README.md) [c](../../LICENSE) [d](https://x.org) [e](#here)"
    repository = yaml.safe_load((ROOT / "galaxy.yml").read_text())["repository"]
    assert pages.relinked(text, "docs/decisions/x.md", places) == (
        f"[a](../runs.md#the-lock) [b](../gateway.md) [c]({repository}/blob/main/LICENSE) [d](https://x.org) [e](#here)"
    )


def test_a_link_to_nothing_is_an_error() -> None:
    with pytest.raises(pages.MissingTargetError, match=r"nowhere\.md"):
        pages.relinked("[a](nowhere.md)", "docs/runs.md", {"docs/runs.md": "runs.md"})
