"""Drive the product from outside, as a user does: the sandbox by its command line, the collection by Ansible's.

Shared by the demo and the integration tests; needs the checkout's `.venv` and the repository's root on PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import requests

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

Step = tuple[str, str, str]
"""Role, verb and reason of one write."""


@dataclass(frozen=True)
class Run:
    """What became of a program: its exit code, all it printed, and for a playbook the steps that its roles took."""

    code: int
    output: str
    steps: tuple[Step, ...] = ()

    @property
    def changed(self) -> int:
        """Changed tasks, summed over the hosts of the recap."""
        return sum(map(int, re.findall(r"\bchanged=(\d+)", self.output)))

    def wanted(self, code: int = 0) -> Run:
        """This run, provided that it ended with `code`."""
        assert self.code == code, f"exit code {self.code}, not {code}:\n{self.output}"
        return self


def plain_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The least a program needs, and `extra`: nothing of the caller's AWS, proxy or key settings."""
    kept = {name: os.environ[name] for name in ("HOME", "LC_ALL", "TMPDIR", "USER") if name in os.environ}
    return {
        **kept,
        "ANSIBLE_NOCOLOR": "1",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        **(extra or {}),
    }


def run(
    command: Sequence[str], extra: Mapping[str, str] | None = None, cwd: Path = ROOT, *, shown: bool = False
) -> Run:
    """Run a program to its end in a plain environment; with `shown` its output also appears as it comes.

    Where the test is broken off, by its time limit say, so is the program: Ansible hangs when nobody reads it any more.
    """
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=plain_environment(extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line)
                if shown:
                    print(line, end="", flush=True)
        except BaseException:
            process.kill()
            raise
    return Run(process.returncode, "".join(lines))


def play(
    playbook: str,
    *arguments: str,
    inventory: str = "inventories/sandbox",
    extra: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    shown: bool = False,
) -> Run:
    """Run `ansible-playbook` and collect the steps that the callback `hokusai.platform.steps` writes down."""
    with tempfile.TemporaryDirectory(prefix="hokusai-steps-") as directory:
        file = Path(directory) / "steps.json"
        command = ["ansible-playbook", playbook, "-i", inventory, *arguments]
        ended = run(command, {**(extra or {}), "HOKUSAI_STEPS_FILE": str(file)}, cwd, shown=shown)
        steps = json.loads(file.read_text()) if file.exists() else []
    return Run(ended.code, ended.output, tuple((step["role"], step["verb"], step["why"]) for step in steps))


def module(
    name: str,
    options: Mapping[str, Any],
    extra: Mapping[str, str],
    *,
    inventory: str = "inventories/development",
    host: str = "hokusai_platforms",
) -> dict[str, Any]:
    """The result of one module of the collection, run by itself on the inventory's host, `failed` included."""
    command = [
        "ansible",
        host,
        "-i",
        inventory,
        "--one-line",
        "-m",
        f"hokusai.platform.{name}",
        "-a",
        json.dumps(options),
    ]
    ended = run(command, extra)
    found = re.search(r"^\S+ \| \S+ => (\{.*\})$", ended.output, re.MULTILINE)
    assert found, ended.output
    result: dict[str, Any] = json.loads(found[1])
    return {**result, "failed": ended.code != 0}


def inventory(host: str) -> dict[str, Any]:
    """The variables of an inventory's host, which has the inventory's name."""
    told: dict[str, Any] = json.loads(run(["ansible-inventory", "-i", f"inventories/{host}", "--host", host]).output)
    return told


@contextlib.contextmanager
def running_sandbox(home: Path, *arguments: str) -> Iterator[Sandbox]:
    """A sandbox that is up with these arguments, and down at the end."""
    sandbox = Sandbox(home)
    try:
        sandbox.up(*arguments)
        yield sandbox
    finally:
        sandbox.down()


class Sandbox:
    """A sandbox with its state under `home`, driven through `python -m sandbox`.

    What runs against it leaves its records there as well, whatever the inventory.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment: dict[str, str] = {}
        self._session: Any = boto3.session.Session()  # boto3's default one is not for several threads

    def command(self, *arguments: str) -> Run:
        return run([sys.executable, "-m", "sandbox", *arguments], {"HOKUSAI_SANDBOX_HOME": str(self.home)})

    def up(self, *arguments: str) -> Run:
        started = self.command("up", *arguments).wanted()
        told = json.loads((self.home / "env.json").read_text())
        self.environment = {**told, "HOKUSAI_RUNS": str(self.home / "runs")}
        return started

    def down(self) -> Run:
        return self.command("down")

    def calls(self) -> dict[str, Any]:
        """AWS calls since the last reset: {"reads": n, "writes": n, "actions": {"elbv2:CreateRule": 3}}."""
        counted: dict[str, Any] = json.loads(self.command("calls", "--json").wanted().output)
        return counted

    def forget_calls(self) -> None:
        self.command("calls", "--reset").wanted()

    def client(self, service: str) -> Any:
        """A boto3 client of the sandbox's control plane."""
        given = self.environment
        return self._session.client(
            service,
            endpoint_url=given["AWS_ENDPOINT_URL"],
            region_name=given["AWS_DEFAULT_REGION"],
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        )

    def ask(self, url: str, key: str | None = None, **options: Any) -> requests.Response:
        """The answer to a request through the sandbox's internet proxy; a key is sent as a bearer token."""
        with requests.Session() as session:
            session.trust_env = False
            session.proxies = {"http": self.environment["HTTP_PROXY"], "https": self.environment["HTTPS_PROXY"]}
            session.verify = self.environment["SSL_CERT_FILE"]
            headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {key}"} if key else {})
            return session.request(options.pop("method", "GET"), url, headers=headers, timeout=70, **options)

    def score(self, profile: str) -> dict[str, Any]:
        """The result of the judge `health_score`, asked as the role `validation` asks it."""
        told = inventory("development")
        options = {
            "hosts": told["hokusai_hosts"],
            "cluster": told["hokusai_cluster"],
            "services": {short: service["name"] for short, service in told["hokusai_services"].items()},
            "target_groups": [group["name"] for group in told["hokusai_target_groups"]],
            "namespace": told["hokusai_namespace"],
            "api_key": told["hokusai_api_key"],
        }
        return module("health_score", {"health_profile": profile, **options}, self.environment)
