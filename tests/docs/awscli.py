"""AWS's command-line client, as a reader of the documents has it: real, in an environment of its own.

It pins libraries that ours does not want, so that it is no development dependency.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.harness import ROOT

VERSION = "1.46.3"


def directory() -> Path:
    """Where `aws` is; it is installed from the package index once."""
    home = ROOT / ".cache" / "awscli" / VERSION
    if not (home / "ready").exists():
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([*pip, f"awscli=={VERSION}"], check=True)
        (home / "ready").touch()
    return home / "bin"
