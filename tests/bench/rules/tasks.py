"""The two ways to bring rules to a listener, each a fresh Python process that runs a module once, as a task does."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.rules import scene
from tests.bench.rules.edge import BALANCER, DEFAULT, PORT, Edge

TASK = """
import importlib, json, sys, threading, time
import botocore.client
from ansible.module_utils import basic

lock, began, ended = threading.Lock(), [], []
make = botocore.client.BaseClient._make_api_call

def timed(client, operation, arguments):
    with lock:
        began.append(time.perf_counter())
    try:
        return make(client, operation, arguments)
    finally:
        with lock:
            ended.append(time.perf_counter())

botocore.client.BaseClient._make_api_call = timed
module = importlib.import_module(sys.argv[1])
basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = sys.stdin.buffer.read(), "legacy"
try:
    module.main()
finally:
    spent = max(ended) - min(began) if began else 0.0
    print(json.dumps({"api_seconds": spent}), file=sys.stderr)
"""
OURS = "ansible_collections.hokusai.platform.plugins.modules.alb_rules"
PEERS = "ansible_collections.amazon.aws.plugins.modules.elb_application_lb"


@dataclass(frozen=True)
class Taken:
    """`api_seconds` is from the first call's beginning to the last one's end; `error` is what the module failed with."""

    seconds: float
    api_seconds: float
    calls: int
    error: str = ""


@dataclass(frozen=True)
class Way:
    """A module, and the Python that has it."""

    name: str
    python: Path
    module: str

    def bring(self, edge: Edge, rules: list[scene.Rule]) -> Taken:
        arguments = {**edge.options, **(ours(rules) if self.module == OURS else theirs(edge, rules))}
        edge.plane.calls.reset()
        began = time.perf_counter()
        done = subprocess.run(
            [self.python, "-c", TASK, self.module],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
        calls = edge.plane.calls.reads + edge.plane.calls.writes
        return Taken(seconds, api_seconds(done.stderr), calls, failure(done))


def ours(rules: list[scene.Rule]) -> dict[str, Any]:
    return {"load_balancer": BALANCER, "port": PORT, "rules": scene.ours(rules)}


def theirs(edge: Edge, rules: list[scene.Rule]) -> dict[str, Any]:
    """The whole load balancer has to be stated; its other listener is left alone."""
    listener = {"Protocol": "HTTP", "Port": PORT, "DefaultActions": [DEFAULT], "Rules": scene.theirs(rules)}
    return {
        "name": BALANCER,
        "subnets": edge.subnets,
        "security_groups": [edge.security_group],
        "scheme": "internet-facing",
        "listeners": [listener],
        "purge_listeners": False,
        "purge_rules": True,
        "state": "present",
    }


def api_seconds(stderr: str) -> float:
    for line in reversed(stderr.splitlines()):
        if line.startswith('{"api_seconds"'):
            return float(json.loads(line)["api_seconds"])
    return 0.0


def failure(done: subprocess.CompletedProcess[str]) -> str:
    if not done.returncode:
        return ""
    try:
        return str(json.loads(done.stdout)["msg"])
    except (ValueError, KeyError):
        return f"{done.stdout}{done.stderr}"[-400:]


def ways(peer: Path | None) -> list[Way]:
    """Ours, and the peer's if there is a Python that has it."""
    found = [Way("alb_rules", Path(sys.executable), OURS)]
    return [*found, Way("elb_application_lb", peer, PEERS)] if peer else found
