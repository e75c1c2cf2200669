"""The ways to bring rules to a listener: modules, each run by a fresh Python process, as a task does, and plain boto3.

boto3 runs warm, in this process, and knows beforehand what differs: nobody can do with fewer calls.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

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
    """`api_seconds` is from the first call to the end of the last one; `error` is what the module failed with."""

    seconds: float
    api_seconds: float
    calls: int
    error: str = ""


class Way(Protocol):
    """`bring` leads from the rules before to those after, all of which the listener then has."""

    @property
    def name(self) -> str: ...

    def bring(self, edge: Edge, before: list[scene.Rule], after: list[scene.Rule]) -> Taken: ...


@dataclass(frozen=True)
class Module:
    """A module, and the Python that has it."""

    name: str
    python: Path
    module: str

    def bring(self, edge: Edge, before: list[scene.Rule], after: list[scene.Rule]) -> Taken:
        arguments = {**edge.options, **(ours(after) if self.module == OURS else theirs(edge, after))}
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


class Boto3:
    name = "boto3"

    def bring(self, edge: Edge, before: list[scene.Rule], after: list[scene.Rule]) -> Taken:
        edge.plane.calls.reset()
        began = time.perf_counter()
        arns = self._read(edge)
        known = {rule.name: rule for rule in before}
        for rule in after:
            if rule.name not in known:
                edge.create(rule)
            elif (known[rule.name].group, known[rule.name].path) != (rule.group, rule.path):
                edge.elbv2.modify_rule(RuleArn=arns[known[rule.name].priority], **edge.stated(rule))
        moved = {
            arns[known[each.name].priority]: each.priority
            for each in after
            if each.name in known and known[each.name].priority != each.priority
        }
        if moved:
            listed = [{"RuleArn": arn, "Priority": priority} for arn, priority in moved.items()]
            edge.elbv2.set_rule_priorities(RulePriorities=listed)
        seconds = time.perf_counter() - began
        return Taken(seconds, seconds, edge.plane.calls.reads + edge.plane.calls.writes)

    def _read(self, edge: Edge) -> dict[int, str]:
        """The live rules' ARNs by priority, found by the load balancer's name and the port."""
        balancer = edge.elbv2.describe_load_balancers(Names=[BALANCER])["LoadBalancers"][0]["LoadBalancerArn"]
        listeners = edge.elbv2.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
        listener = next(each["ListenerArn"] for each in listeners if each["Port"] == PORT)
        found = edge.elbv2.describe_rules(ListenerArn=listener, PageSize=400)["Rules"]
        return {int(each["Priority"]): each["RuleArn"] for each in found if not each["IsDefault"]}


def ways(peer: Path | None) -> list[Way]:
    """Ours, the fewest calls that there can be, and the peer's if there is a Python that has it."""
    found: list[Way] = [Module("alb_rules", Path(sys.executable), OURS), Boto3()]
    return [*found, Module("elb_application_lb", peer, PEERS)] if peer else found
