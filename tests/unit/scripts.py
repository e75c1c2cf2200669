"""How the tests run a verification script: as its users do, and without this machine's proxy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILES = Path(__file__).resolve().parents[2] / "roles" / "verification" / "files"
REGISTRATION = "test_model_registration_complete.py"


@dataclass(frozen=True)
class Ran:
    code: int
    report: dict[str, Any]
    text: str

    @property
    def failing(self) -> list[str]:
        return [check["name"] for check in self.report["checks"] if not check["passed"]]

    def detail(self, name: str) -> str:
        return next(f"{check['hop']}: {check['detail']}" for check in self.report["checks"] if check["name"] == name)


def environment(key: str | None, **more: str) -> dict[str, str]:
    """What a script sees of the environment: no proxy of this machine, and the key if there is one."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and "HOKUSAI" not in name}
    return {**kept, "NO_PROXY": "*", **({"HOKUSAI_API_KEY": key} if key is not None else {}), **more}


def call(script: str, *arguments: str, key: str | None, **more: str) -> Ran:
    run = subprocess.run(
        [sys.executable, str(FILES / script), "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        env=environment(key, **more),
        check=False,
    )
    text = run.stdout + run.stderr
    assert "Traceback" not in text, text
    return Ran(run.returncode, json.loads(run.stdout) if run.stdout else {}, text)
