"""Everything that makes the promises of a run likely, in full: hours. A part that fails does not keep back the next.

python -m tests.reliability            every part
python -m tests.reliability draws      only these
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from tests.harness import ROOT
from tests.reliability.counts import FULL

DRAWN = (
    *("tests/unit/test_run_record.py", "tests/unit/test_lock.py", "tests/unit/test_routing.py"),
    *("tests/unit/test_routing_proof.py", "tests/unit/test_request_space.py", "tests/unit/test_platform_restore.py"),
)
A_PART = 4 * 3600
"""Seconds after which a test in full counts as hanging."""
PARTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "draws": (("pytest", "--quiet", "--durations=5", "--timeout", str(A_PART), *DRAWN),),
    "schedules": (("tests.reliability.schedules",),),
    "throttle": (("tests.reliability.throttle",), ("tests.reliability.throttle", "--runs", "40", "--chance", "0.7")),
    "throttle-site": (
        ("tests.reliability.throttle_site",),
        ("tests.reliability.throttle_site", "--runs", "1", "--chance", "0.7"),
    ),
    "kill": (("tests.reliability.kill", "--workers", "2"),),
}
"""By name the modules that are run, with their arguments; the counts are those of `counts.py`."""


def run(part: str) -> bool:
    began, codes = time.monotonic(), []
    for arguments in PARTS[part]:
        print(f"\n=== {part}: {' '.join(arguments)}", flush=True)
        command = [sys.executable, "-m", *arguments]
        codes.append(subprocess.run(command, cwd=ROOT, env={**os.environ, **FULL}, check=False).returncode)
    print(f"{part}: {'failed' if any(codes) else 'passed'} after {(time.monotonic() - began) / 60:.0f} min", flush=True)
    return not any(codes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (all)")
    parts = parser.parse_args().parts or list(PARTS)
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}, but {', '.join(PARTS)}")
    passed = [run(part) for part in parts]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
