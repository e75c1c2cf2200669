"""`make bench-gateway`, `make soak` and `make bench-rules` work on a small scale. Figures need a quiet machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.harness import ROOT, run

HERE = {"PYTHONPATH": str(ROOT)}
FIGURES = {
    "rps",
    "p50_ms",
    "p99_ms",
    "cpu_us",
    "rss_mb",
    "upload_mb_s",
    "download_mb_s",
    "stream_rss_growth_mb",
}


def test_a_short_soak_finds_no_failure_of_the_gateways_own(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    options = ["--requests", "2000", "--gaps", "5", "--repeats", "2", "--output", str(file)]
    run([sys.executable, "-m", "tests.bench.soak", *options], HERE).wanted()
    told = json.loads(file.read_text())
    assert told["answered"] >= 2000
    assert told["restarts"] == 2
    assert told["unexcused"] == 0


def test_the_gateway_is_measured_and_judged(tmp_path: Path) -> None:
    file = tmp_path / "gateway.json"
    options = ["--only", "gateway", "--seconds", "0.3", "--rounds", "1", "--output", str(file)]
    ended = run([sys.executable, "-m", "tests.bench.proxies", *options], HERE).wanted()
    told = json.loads(file.read_text())
    assert told["figures"].keys() == {"gateway"}
    assert told["figures"]["gateway"].keys() >= FIGURES
    assert "growth of RSS during 1 GB up and down" in ended.output


def test_listener_rules_are_measured_and_no_request_is_lost_on_the_way(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    options = ["4", "--delay", "0.02", "--output", str(file)]
    here = {"PYTHONPATH": f"{ROOT / '.collections'}:{ROOT}"}
    ended = run([sys.executable, "-m", "tests.bench.rules", *options], here).wanted()
    told = json.loads(file.read_text())
    ours = [each for each in told["figures"] if each["way"] == "alb_rules"]
    assert [each["operation"] for each in ours] == ["create", "no-op", "change-one", "reorder", "replace"]
    for each in ours:
        assert (each["lost"], each["misrouted"], each["right"]) == (0, 0, True), each
        assert each["sent"] > 50
    assert ours[1]["calls"] <= 4
    assert "calls of a no-op" in ended.output
