"""`make reliability` works, on a small scale: a killed run is taken back, and modules converge while AWS throttles."""

from __future__ import annotations

import sys

from tests.harness import ROOT, run

HERE = {"PYTHONPATH": f"{ROOT / '.collections'}:{ROOT}"}
A_CREATED_RULE = "6"
"""Of the writes of a repair: the answer that nobody hears has the new rule's ARN."""


def test_a_run_that_is_killed_is_taken_back_to_the_byte() -> None:
    options = ["--writes", A_CREATED_RULE, "--moments", "response", "--then", "rollback"]
    run([sys.executable, "-m", "tests.reliability.kill", *options], HERE).wanted()


def test_every_module_converges_while_aws_throttles() -> None:
    run([sys.executable, "-m", "tests.reliability.throttle", "--runs", "7", "--workers", "2"], HERE).wanted()
