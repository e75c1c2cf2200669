"""`make reliability` works, on a small scale: killed runs go back, throttled ones converge, no two write at once."""

from __future__ import annotations

import sys

from tests.harness import ROOT, run

HERE = {"PYTHONPATH": f"{ROOT / '.collections'}:{ROOT}"}
A_CREATED_RULE = "6"
"""Of the writes of a repair: the answer that nobody hears has the new rule's ARN."""


def test_a_run_that_is_killed_is_taken_back_to_the_byte() -> None:
    options = ["--writes", A_CREATED_RULE, "--moments", "response", "--then", "rollback"]
    ended = run([sys.executable, "-m", "tests.reliability.kill", *options], HERE).wanted()
    assert "CreateRule" in ended.output


def test_every_module_converges_while_aws_throttles() -> None:
    run([sys.executable, "-m", "tests.reliability.throttle", "--workers", "2"], HERE).wanted()


def test_runs_that_are_started_at_the_same_time_never_write_with_a_stale_token() -> None:
    run([sys.executable, "-m", "tests.reliability.schedules"], HERE).wanted()
