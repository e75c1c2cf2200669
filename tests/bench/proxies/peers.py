"""The proxies that are measured, each a process on a core of its own, and what they cost by the kernel's account."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 20.0
STOP_SECONDS = 10.0
TICKS = os.sysconf("SC_CLK_TCK")

NGINX = """\
worker_processes 1;
daemon off;
{user}
pid {home}/nginx.pid;
error_log {home}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    client_max_body_size 0;
    keepalive_requests 1000000000;
    upstream mlflow {{
        server 127.0.0.1:{upstream};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://mlflow;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"""

HAPROXY = """\
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
listen mlflow
    bind 127.0.0.1:{port}
    server mlflow 127.0.0.1:{upstream}
"""


class StartError(Exception):
    """A program of the run does not listen; the message ends with its output."""


@dataclass(frozen=True)
class Setting:
    """What every proxy is given: where MLflow and the auth service are, its port, and a directory for its files."""

    upstream: int
    port: int
    home: Path


@dataclass(frozen=True)
class Kind:
    """How a proxy is started. `package` is the Debian package of the program it needs, if that is not ours."""

    name: str
    command: Callable[[Setting], Sequence[str]]
    environment: Callable[[Setting], Mapping[str, str]] = lambda _setting: {}
    package: str = ""

    @property
    def installed(self) -> bool:
        return not self.package or program(self.package) is not None


def program(name: str) -> str | None:
    """Debian keeps servers where an ordinary user's PATH does not look."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def nginx(setting: Setting) -> Sequence[str]:
    user = "user root;" if os.geteuid() == 0 else ""  # its workers must reach the run's private directory
    file = setting.home / "nginx.conf"
    file.write_text(NGINX.format(user=user, home=setting.home, upstream=setting.upstream, port=setting.port))
    return (str(program("nginx")), "-c", str(file), "-e", str(setting.home / "nginx.log"))


def haproxy(setting: Setting) -> Sequence[str]:
    file = setting.home / "haproxy.cfg"
    file.write_text(HAPROXY.format(upstream=setting.upstream, port=setting.port))
    return (str(program("haproxy")), "-db", "-f", str(file))


def naive(setting: Setting) -> Sequence[str]:
    options = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
    return (sys.executable, "-m", "uvicorn", "tests.bench.proxies.naive:app", "--port", str(setting.port), *options)


def gateway(profile: Path | None) -> Callable[[Setting], Sequence[str]]:
    """With `profile`, cProfile's statistics are in that file when the gateway has ended."""
    profiler = ("-m", "cProfile", "-o", str(profile)) if profile else ()
    return lambda _setting: (sys.executable, *profiler, "-m", "gateway")


def gateway_environment(setting: Setting) -> Mapping[str, str]:
    return {
        "MLFLOW_SERVER_URL": f"http://127.0.0.1:{setting.upstream}",
        "HOKUSAI_AUTH_SERVICE_URL": f"http://127.0.0.1:{setting.upstream}",
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(setting.port),
    }


def kinds(profile: Path | None = None) -> tuple[Kind, ...]:
    return (
        Kind("gateway", gateway(profile), gateway_environment),
        Kind("nginx", nginx, package="nginx"),
        Kind("haproxy", haproxy, package="haproxy"),
        Kind("naive", naive, lambda setting: {"UPSTREAM": f"http://127.0.0.1:{setting.upstream}"}),
    )


@dataclass(frozen=True)
class Peer:
    """A proxy that runs: its port, and the process it was started as."""

    name: str
    port: int
    pid: int

    def processes(self) -> list[int]:
        """The process and all below it: nginx works in a child."""
        found, unseen = [], [self.pid]
        while unseen:
            pid = unseen.pop()
            found.append(pid)
            unseen.extend(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
        return found

    def cpu_seconds(self) -> float:
        return sum(_cpu_ticks(pid) for pid in self.processes()) / TICKS

    def rss_mb(self) -> float:
        return self._memory("VmRSS")

    def peak_rss_mb(self) -> float:
        """The most since `forget_peak`."""
        return self._memory("VmHWM")

    def forget_peak(self) -> None:
        for pid in self.processes():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def descriptors(self) -> int:
        """Open ones: files, sockets and whatever else leaks."""
        return sum(1 for pid in self.processes() for _ in Path(f"/proc/{pid}/fd").iterdir())

    def _memory(self, field: str) -> float:
        lines = (line for pid in self.processes() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return sum(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024 / 1e6


def _cpu_ticks(pid: int) -> int:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return int(user) + int(system)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """What is started within inherits the core, threads and children included; None is any core."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, allowed if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextlib.contextmanager
def started(
    name: str, command: Sequence[str], port: int, core: int | None, log: Path, extra: Mapping[str, str] | None = None
) -> Iterator[Peer]:
    """A program that listens on `port`; it is ended, and waited for, at the end. Raises StartError."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **(extra or {})}
    with log.open("w") as output, on_core(core):
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _await_listening(process, port, log)
        yield Peer(name, port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise StartError(f"{process.args!r} does not listen; its output:\n{log.read_text()[-2000:]}")


def start(stack: ExitStack, kind: Kind, upstream: int, core: int, home: Path) -> Peer:
    setting = Setting(upstream, free_port(), home)
    command, environment = kind.command(setting), kind.environment(setting)
    return stack.enter_context(started(kind.name, command, setting.port, core, home / f"{kind.name}.out", environment))
