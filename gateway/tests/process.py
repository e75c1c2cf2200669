"""The gateway as a process of its own, and a client that changes nothing on the way."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import socket
import string
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def new_key() -> str:
    alphabet = string.ascii_letters + string.digits
    return "hk_test_" + "".join(secrets.choice(alphabet) for _ in range(32))


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def values(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header.lower() == name.lower()]

    def value(self, name: str) -> str:
        return ", ".join(self.values(name))


@dataclass
class GatewayProcess:
    process: subprocess.Popen[str]
    port: int = 0
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def follow(self) -> None:
        """Collect the log until the process ends; returns once it listens."""
        listening = threading.Event()
        threading.Thread(target=self._read, args=(listening,), daemon=True).start()
        assert listening.wait(20), self.lines

    def _read(self, listening: threading.Event) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if '"listening"' in line:
                self.port = json.loads(line)["port"]
                listening.set()

    def access(self, request_id: str) -> dict[str, Any]:
        """The access log's line of a request; it is written just after the answer."""
        deadline = time.monotonic() + 5
        wanted = request_id if '"' in request_id else f'"request_id": "{request_id}"'
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if '"message": "request"' in line and wanted in line:
                    record: dict[str, Any] = json.loads(line)
                    return record
            time.sleep(0.01)
        raise AssertionError(f"no access log line for {request_id}: {self.lines[-5:]}")

    def rss(self) -> int:
        """Resident bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
        body: bytes | Iterator[bytes] | None = None,
        timeout: float = 20,
    ) -> Answer:
        """Send exactly these headers (plus Host and framing) and return the whole answer."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers or []
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in pairs:
                connection.putheader(name, value)
            chunked = body is not None and not isinstance(body, bytes)
            if chunked and not any(name.lower() == "content-length" for name, _ in pairs):
                connection.putheader("Transfer-Encoding", "chunked")
                connection.endheaders(body, encode_chunked=True)
            else:
                if isinstance(body, bytes):
                    connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())

    def connect(self, timeout: float = 10) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)


@contextlib.contextmanager
def running_gateway(files: int | None = None, /, **variables: str) -> Iterator[GatewayProcess]:
    """Start ``python -m gateway`` with these variables and nothing of ours but the path; end it with SIGTERM.

    ``files`` is its soft limit of open files.
    """
    env = {"PATH": os.environ["PATH"], "GATEWAY_HOST": "127.0.0.1", "GATEWAY_PORT": "0"} | variables
    command = [sys.executable, "-m", "gateway"]
    if files is not None:
        command = ["prlimit", f"--nofile={files}:", *command]
    process = subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    gateway = GatewayProcess(process)
    try:
        gateway.follow()
        yield gateway
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
