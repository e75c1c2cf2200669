"""The runner of `make test`: every stage runs, everything counts, and nothing that was started stays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import json, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import stages
stages.REPORTS, stages.HOME, stages.GRACE_SECONDS = Path({reports!r}), Path({home!r}), 0.5
stages.STAGES = tuple(stages.Stage(**stage) for stage in json.loads({described!r}))
sys.argv = ["stages.py", *{names!r}]
sys.exit(stages.main())
"""
"""A process of its own, because the runner becomes the reaper of all its descendants."""


def run(directory: Path, *described: dict[str, Any], names: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(
        tests=str(ROOT / "tests"),
        reports=str(directory / "reports"),
        home=str(directory / "home"),
        described=json.dumps(described),
        names=names,
    )
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def stage(name: str, *commands: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "commands": [["sh", "-c", command] for command in commands], **more}


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process has ended meanwhile
        return b""


def last_line(ended: subprocess.CompletedProcess[str]) -> str:
    return ended.stdout.strip().splitlines()[-1]


def test_all_stages_run_although_one_fails(tmp_path: Path) -> None:
    ended = run(tmp_path, stage("one", "false", "echo still here"), stage("two", "echo and here"))
    assert ended.returncode == 1
    assert "still here" in ended.stdout
    assert "and here" in ended.stdout
    assert last_line(ended) == "2 passed, 1 failed"


def test_a_good_run_ends_with_0(tmp_path: Path) -> None:
    ended = run(tmp_path, stage("one", "true"))
    assert (ended.returncode, last_line(ended)) == (0, "1 passed, 0 failed")


def test_only_the_named_stages_run(tmp_path: Path) -> None:
    ended = run(tmp_path, stage("one", "false"), stage("two", "true"), names=("two",))
    assert (ended.returncode, last_line(ended)) == (0, "1 passed, 0 failed")


def test_named_stages_leave_the_reports_of_those_at_work_alone(tmp_path: Path) -> None:
    begun, report = stage("one", "true"), tmp_path / "reports" / "two.xml"
    report.parent.mkdir()
    report.write_text("of another run")
    run(tmp_path, begun, names=("one",))
    assert report.exists()
    run(tmp_path, begun)
    assert not report.exists()


def test_the_report_of_an_earlier_run_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "one.xml").write_text("<testsuite><testcase/></testsuite>")
    ended = run(tmp_path, stage("one", "true", reports=True), names=("one",))
    assert last_line(ended) == "0 passed, 0 failed"


def test_stages_of_one_batch_run_at_the_same_time(tmp_path: Path) -> None:
    """Each waits for the other: one after the other they would never end."""
    wait = "touch {0}/{1}; until test -e {0}/{2}; do sleep 0.05; done; echo {1} has seen {2}"
    left, right = wait.format(tmp_path, "left", "right"), wait.format(tmp_path, "right", "left")
    ended = run(tmp_path, stage("one", left, batch="x", limit=20), stage("two", right, batch="x", limit=20))
    assert (ended.returncode, last_line(ended)) == (0, "2 passed, 0 failed")
    assert "left has seen right" in ended.stdout


def test_stages_of_one_lane_run_one_after_the_other_beside_the_rest(tmp_path: Path) -> None:
    wait = f"until test -e {tmp_path}/last; do sleep 0.05; done"
    first, second = f"sleep 0.3; touch {tmp_path}/first", f"test -e {tmp_path}/first && touch {tmp_path}/last"
    options = {"batch": "x", "limit": 20}
    lane = [stage("first", first, **options, lane="own"), stage("second", second, **options, lane="own")]
    ended = run(tmp_path, stage("aside", wait, **options), *lane)
    assert (ended.returncode, last_line(ended)) == (0, "3 passed, 0 failed")


def test_a_daemon_that_outlives_its_stage_is_named_ended_and_a_failure(tmp_path: Path) -> None:
    daemon = "setsid env -i sleep 299.5 </dev/null >/dev/null 2>&1 &"
    ended = run(tmp_path, stage("leaky", daemon))
    assert ended.returncode == 1
    assert "left behind by leaky" in ended.stdout
    assert "sleep 299.5" in ended.stdout
    assert last_line(ended) == "1 passed, 1 failed"
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"299.5" in content(path)]


def test_a_stage_that_takes_too_long_is_ended_and_a_failure(tmp_path: Path) -> None:
    ended = run(tmp_path, {"name": "slow", "commands": [["sleep", "298.5"]], "limit": 0.5})
    assert ended.returncode == 1
    assert "slow took longer than" in ended.stdout


def test_the_tests_of_a_pytest_stage_are_counted_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_a(): pass\ndef test_b(): pass\ndef test_c(): assert False\n")
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", str(tmp_path / "test_it.py")]
    ended = run(tmp_path, {"name": "unit", "commands": [command], "reports": True})
    assert (ended.returncode, last_line(ended)) == (1, "2 passed, 1 failed")


def test_a_pytest_stage_that_could_not_even_start_is_a_failure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", str(tmp_path / "nowhere.py")]
    ended = run(tmp_path, {"name": "unit", "commands": [command], "reports": True})
    assert (ended.returncode, last_line(ended)) == (1, "0 passed, 1 failed")


def test_the_settings_of_the_callers_shell_do_not_reach_a_stage(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    ended = run(tmp_path, stage("one", 'test -z "$AWS_ENDPOINT_URL$HTTPS_PROXY"'))
    assert ended.returncode == 0
