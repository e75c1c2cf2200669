"""The client's story against other versions of MLflow, client and server alike, with the gateway and without.

    python -m tests.story.versions [VERSION ...] [--megabytes N]

Each version is installed from the package index into `.cache/mlflow/VERSION` once, served with and without a static
prefix, and gone through twice: directly, and through the gateway. A chapter that goes well directly must go well
through the gateway and tell the same; what a version cannot do by itself is said and is no failure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway.tests.auth import AuthStandIn, grant
from gateway.tests.mlflow_process import serving
from gateway.tests.process import new_key, running_gateway
from tests.harness import ROOT, plain_environment
from tests.story.test_story import SESSION, STORY

CACHE = ROOT / ".cache" / "mlflow"
VERSIONS = ("3.4.0", "3.6.0", "3.8.1", "3.11.1", "3.12.0", "3.17.2", "3.18.0")
PREFIXES = ("", "/tracking")
TOO_NEW = ("sqlalchemy<2.1",)
"""What the older versions do not run with, though they do not say so."""

STORY_SECONDS = 180.0

Told = dict[str, dict[str, Any]]


def python(version: str) -> str:
    """The interpreter of a virtual environment with this version of MLflow."""
    home = CACHE / version
    if not (home / "ready").exists():
        print(f"installing mlflow {version}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        install(str(home / "bin" / "python"), version)
        (home / "ready").touch()
    return str(home / "bin" / "python")


def install(interpreter: str, version: str) -> None:
    """An index may have a release before it has mlflow-skinny of it; all of MLflow is in the release's own wheel."""
    pip = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, f"mlflow=={version}", *TOO_NEW], check=False).returncode:
        print(f"mlflow {version} cannot be installed whole: on what the newest whole one needs", flush=True)
        subprocess.run([*pip, "mlflow", *TOO_NEW], check=True)
        subprocess.run([*pip, "--no-deps", f"mlflow=={version}"], check=True)


def tell(interpreter: str, uri: str, token: str, megabytes: int, home: Path) -> Told:
    file = home / "told.json"
    variables = {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_TRACKING_TOKEN": token,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "PYTHONWARNINGS": "ignore",
    }
    command = [interpreter, str(SESSION), str(megabytes), str(file)]
    options: dict[str, Any] = {"cwd": home, "capture_output": True, "text": True, "timeout": STORY_SECONDS}
    try:
        done = subprocess.run(command, env=plain_environment(variables), check=False, **options)
    except subprocess.TimeoutExpired:
        return {"experiment": {"error": f"no end within {STORY_SECONDS:.0f} s"}}
    if done.returncode:
        return {"experiment": {"error": done.stderr}}
    told: Told = json.loads(file.read_text())
    return told


def judge(direct: Told, proxied: Told) -> Iterator[tuple[str, str]]:
    """Chapter and verdict: `ok`, `not in this version`, or what went wrong."""
    if "error" in proxied["experiment"]:
        yield "experiment", proxied["experiment"]["error"]
        return
    for chapter, wanted in {**STORY, "large_artifact": {"same": True}}.items():
        seen, before = proxied[chapter], direct.get(chapter, {"error": "nothing"})
        if "error" in before:
            yield chapter, "not in this version"
        elif "error" in seen:
            yield chapter, seen["error"].strip().splitlines()[-1]
        else:
            other = {name for name in wanted if seen[name] != before[name]}
            yield chapter, f"differs in {', '.join(sorted(other))}" if other else "ok"


def go_through(version: str, prefix: str, megabytes: int) -> bool:
    interpreter, key = python(version), new_key()
    auth = AuthStandIn()
    auth.answers[key] = grant()
    auth.start()
    with tempfile.TemporaryDirectory() as place, serving(Path(place), prefix, interpreter) as url:
        variables = {"MLFLOW_SERVER_URL": url, "HOKUSAI_AUTH_SERVICE_URL": auth.url, "MLFLOW_STATIC_PREFIX": prefix}
        direct = tell(interpreter, url + prefix, "", megabytes, Path(place))
        if "error" in direct["experiment"]:  # until 3.11 the API is not below the prefix
            direct = tell(interpreter, url, "", megabytes, Path(place))
        with running_gateway(**variables) as gateway:
            proxied = tell(interpreter, f"{gateway.url}/api/mlflow", key, megabytes, Path(place))
    auth.stop()
    verdicts = dict(judge(direct, proxied))
    good = set(verdicts.values()) <= {"ok", "not in this version"}
    count = sum(verdict == "ok" for verdict in verdicts.values())
    print(f"{version:8} prefix {prefix or 'none':10} {'good' if good else 'BAD '}  {count} of {len(verdicts)} chapters")
    for chapter, verdict in verdicts.items():
        if verdict != "ok":
            print(f"    {chapter}: {verdict}")
    sys.stdout.flush()
    return good


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", default=VERSIONS, metavar="VERSION")
    parser.add_argument("--megabytes", type=int, default=5, help="size of the large artifact")
    options = parser.parse_args(arguments)
    good = [go_through(version, prefix, options.megabytes) for version in options.versions for prefix in PREFIXES]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
