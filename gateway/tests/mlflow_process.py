"""A real MLflow server: of the installed version, or of another interpreter's."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ALLOWED_HOSTS = "localhost:*,127.0.0.1:*"
START_SECONDS = 120.0


@contextlib.contextmanager
def serving(home: Path, prefix: str = "", interpreter: str = sys.executable) -> Iterator[str]:
    """The URL of a server with its data in `home`, without the prefix.

    One worker and no job consumers: it starts in about 8 s instead of 16.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [interpreter, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--artifacts-destination", f"{home}/artifacts"]
    command += ["--static-prefix", prefix] if prefix else []
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": ALLOWED_HOSTS,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    url = f"http://127.0.0.1:{port}"
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=home, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            if not _answers(url, prefix, server):
                raise AssertionError(f"MLflow did not start:\n{(home / 'log').read_text()}")
            yield url
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)  # its state is thrown away; a shutdown takes another second
            server.wait(20)


def _answers(url: str, prefix: str, server: subprocess.Popen[bytes]) -> bool:
    """Whether it is up: /health is below the prefix from MLflow 3.7 on."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        for path in dict.fromkeys((f"{prefix}/health", "/health")):
            with contextlib.suppress(OSError), urllib.request.urlopen(url + path, timeout=1):
                return True
        time.sleep(0.1)
    return False
