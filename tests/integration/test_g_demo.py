"""`make demo` does what the README shows, and what it demands is held against the runs that other tests have seen."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import demo
from tests.docsite import blocks
from tests.harness import ROOT, run
from tests.integration.conftest import Counted


def test_it_prints_what_the_readme_shows(tmp_path: Path) -> None:
    (block,) = [each for each in blocks.read("README.md") if each.commands == ["make demo"]]
    here = {"HOKUSAI_SANDBOX_HOME": str(tmp_path / "sandbox"), "PYTHONPATH": f"{ROOT / '.collections'}:{ROOT}"}
    try:
        shown = run([sys.executable, "tests/demo.py"], here).wanted().output
    finally:
        run([sys.executable, "-m", "sandbox", "down"], here)
    assert block.printed
    assert blocks.missing(block, shown) == []


def test_the_score_before_is_shown_check_by_check(
    score_before: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert round(demo.show("Score before", score_before), 1) == 54.5
    printed = capsys.readouterr().out
    assert "Score before: 54.5 %  (6 of 11 checks)" in printed
    assert len([line for line in printed.splitlines() if line.startswith(("  pass", "  fail"))]) == 11


def test_the_end_says_the_steps_of_each_role_and_the_model(repair: Counted, capsys: pytest.CaptureFixture[str]) -> None:
    demo.recount(repair.run, seconds=1)
    printed = capsys.readouterr().out
    assert "steps of auth_config: " in printed
    assert "version 1" in printed


def test_a_play_that_registered_nothing_disappoints(repair: Counted) -> None:
    with pytest.raises(demo.Disappointment, match="which model"):
        demo.recount(dataclasses.replace(repair.run, output=""), seconds=1)


def test_a_score_that_could_not_be_taken_disappoints() -> None:
    with pytest.raises(demo.Disappointment, match="no AWS credentials"):
        demo.show("Score", {"failed": True, "msg": "no AWS credentials were found"})
