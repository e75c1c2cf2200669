"""The complete story of a client: what the official `mlflow` package does, by both tracking URIs, and the UI."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.harness import ROOT, Sandbox, run, running_sandbox
from tests.story import browser

REGISTRY = "https://registry.hokus.ai"
UI = f"{REGISTRY}/api/mlflow/#/experiments"
SESSION = ROOT / "tests" / "story" / "mlflow_session.py"
PICTURES = ROOT / "build" / "ui"
MEGABYTES = {f"{REGISTRY}/api/mlflow": 300, REGISTRY: 5}
"""Size of the artifact by tracking URI: what is streamed by one way is streamed by the other."""

REFUSALS = {"401", "403", "502", "503", "504"}

Told = Mapping[str, dict[str, Any]]

STORY: dict[str, dict[str, Any]] = {
    "runs": {"history": 1000, "last": 0.001, "param": "5", "tag": "risk & fraud", "status": "FINISHED"},
    "search": {"pages": 3, "all": True, "found_by_name": True},
    "artifacts": {"listed": ["plots/a b&c=d+e 100% größe.txt"], "text": "as it was sent", "left": 0},
    "models": {"versions": [1, 2], "champion": 1, "tag": "challenger", "predicted": [2, 4, 42], "left": 0},
    "traces": {"spans": ["question", "retrieval"], "found": True, "tag": "yes", "feedback": ["correct"]},
    "prompts": {"version": 2, "text": "Is 42 right, and why?"},
    "datasets": {"records": 3, "left": 0},
    "deletion": {"stages": ["deleted", "active", "deleted"]},
}
"""What the client must have seen, chapter by chapter; `large_artifact` has a test of its own."""


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The platform as it should be."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox"), "--healthy") as started:
        yield started


@pytest.fixture(scope="module", params=MEGABYTES)
def session(request: pytest.FixtureRequest, healthy: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What the client says that it saw in one session."""
    directory = tmp_path_factory.mktemp("session")
    environment = healthy.environment | {"MLFLOW_TRACKING_URI": request.param}
    command = [sys.executable, str(SESSION), str(MEGABYTES[request.param]), str(directory / "told.json")]
    run(command, environment, directory).wanted()
    told: Told = json.loads((directory / "told.json").read_text())
    return {**told, "megabytes": {"sent": MEGABYTES[request.param]}}


@pytest.mark.parametrize("chapter", STORY)
def test_the_client_sees_what_it_did(session: Told, chapter: str) -> None:
    seen = session[chapter]
    assert "error" not in seen, seen["error"]
    assert {name: seen[name] for name in STORY[chapter]} == STORY[chapter]


def test_a_large_artifact_comes_back_as_it_was_sent(session: Told) -> None:
    seen = session["large_artifact"]
    assert "error" not in seen, seen["error"]
    assert seen["bytes"] == session["megabytes"]["sent"] * 2**20
    assert seen["same"]


@pytest.mark.skipif(browser.CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)")
@pytest.mark.parametrize("session", [f"{REGISTRY}/api/mlflow"], indirect=True)
class TestTheUserInterfaceInChromium:
    """The pictures of the pages stay in `build/ui`."""

    def test_the_list_of_experiments_shows_the_experiment(self, healthy: Sandbox, session: Told) -> None:
        name = session["experiment"]["name"]
        page = look(healthy, UI, expected=name, picture="experiments.png")
        assert name in page.text, page
        assert not refused(page)

    def test_the_page_of_a_run_shows_its_metric_parameter_and_tag(self, healthy: Sandbox, session: Told) -> None:
        run = f"{UI}/{session['experiment']['id']}/runs/{session['runs']['run']}"
        page = look(healthy, run, expected="risk & fraud", picture="run.png")
        assert all(f"\n{shown}\n" in page.text for shown in ("loss", "0.001", "depth", "5", ": risk & fraud")), page
        assert any(url.endswith("/graphql") and status == "200" for url, status in page.loaded), page.loaded
        assert not refused(page)


def look(sandbox: Sandbox, url: str, *, expected: str, picture: str) -> browser.Page:
    headers = {"Authorization": f"Bearer {sandbox.environment['HOKUSAI_API_KEY']}"}
    page = asyncio.run(browser.look(url, expected, headers, sandbox.environment))
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / picture).write_bytes(page.picture)
    return page


def refused(page: browser.Page) -> list[tuple[str, str]]:
    """Requests of the page that were kept from MLflow; what is switched off (501) the UI does without."""
    return [(url, status) for url, status in page.loaded if status in REFUSALS]
