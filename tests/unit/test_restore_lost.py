"""A run that was killed, or whose answers were lost, is taken back all the same."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.alb_edge import Edge
from tests.unit.restore_platform import Notes, Platform
from tests.unit.restore_runs import RUNS, furnished, text


@pytest.fixture
def whole(aws: Any, edge: Edge, platform: dict[str, str]) -> Platform:
    return furnished(aws, edge, platform)


@pytest.mark.parametrize("name", RUNS)
def test_writes_whose_answers_were_lost_go_back_all_the_same(whole: Platform, name: str) -> None:
    before = whole.read()
    notes = whole.run(*RUNS[name])
    killed = Notes()
    killed.entries = [entry for entry in notes.entries if entry["kind"] == "intent"]
    restored = whole.take_back(before, killed)
    assert text(whole.read()) == text(before)
    assert restored.kept == []
