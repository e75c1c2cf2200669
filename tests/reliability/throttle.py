"""Modules while AWS throttles: every one must converge at 30 %, and at 70 % stop cleanly or converge, and go on later.

    python -m tests.reliability.throttle [--runs N] [--chance P] [--workers N] [--seed N]

A run is a process that runs one module once, as a task does, on an account of its own in the sandbox's control plane,
with throttling on every API. Converged is: it succeeded, and once nothing is throttled any more the same task has
nothing to do, and nothing is there twice. A clean stop is a failure that names the call and AWS's code, with no
traceback, after which the same task, unthrottled, ends in the same state.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from moto.core.base_backend import BackendDict

from sandbox.controlplane import ControlPlane, Fault
from tests.reliability.counts import THROTTLED_TASKS
from tests.unit.ecs_model import CLUSTER, CONTAINER, NAME, NAMESPACE
from tests.unit.ecs_platform import Agent, build

TASK = """
import json, sys
from importlib import import_module
from ansible.module_utils import basic
given = json.load(sys.stdin)
basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = json.dumps({"ANSIBLE_MODULE_ARGS": given["options"]}).encode(), "legacy"
import_module("ansible_collections.hokusai.platform.plugins.modules." + given["module"]).main()
"""
LIMIT_SECONDS = 900
TASKS_PER_WORKER = 50
"""A worker then makes way for a new one: each account that it made stays in its memory."""
TASKS_PER_REPORT = 20
BALANCER, PORT = "lb", 80
METRICS = [{"id": "errors", "name": "Errors", "namespace": "Test"}]
CODES = ("Throttling", "RequestLimitExceeded", "ThrottlingException", "TooManyRequests")

Options = dict[str, Any]


def rules() -> list[Options]:
    return [
        {"name": f"r{n}", "priority": n, "paths": [f"/{n}/*"], "action": {"target_group": "reg-api"}}
        for n in range(1, 6)
    ]


TASKS: dict[str, Options] = {
    "alb_target_group": {
        "name": "reg-api",
        "port": 8001,
        "health_check": {"path": "/health", "interval": 30, "timeout": 5},
        "attributes": {"deregistration_delay.timeout_seconds": "120"},
    },
    "alb_listener": {
        "load_balancer": BALANCER,
        "port": PORT,
        "protocol": "HTTP",
        "default_action": {"type": "forward", "target_group": "api-tg"},
    },
    "alb_rules": {"load_balancer": BALANCER, "port": PORT, "rules": rules()},
    "security_group_rules": {
        "group": "api",
        "rules": [{"name": f"p{port}", "port": port, "group": "extra"} for port in (8001, 8002, 8003)],
    },
    "cloudmap_namespace": {"name": "other.local", "vpc": "the-vpc"},
    "cloudmap_service": {"name": "mlflow", "namespace": NAMESPACE, "dns_records": [{"type": "A", "ttl": 10}]},
    "ecs_service": {
        "cluster": CLUSTER,
        "service": NAME,
        "containers": [{"name": CONTAINER, "environment": {"AUTH_SERVICE_ID": "platform"}}],
        "wait_timeout": 120,
        "wait_delay": 0.2,
    },
    "log_groups": {
        "groups": [
            {
                "name": f"/ecs/{name}",
                "retention_days": 30,
                "metric_filters": [{"name": "errors", "pattern": "FATAL", "namespace": "Test", "metric": "Errors"}],
            }
            for name in ("api", "mlflow")
        ]
    },
    "cloudwatch_alarms": {
        "metrics": METRICS,
        "alarms": [
            {"name": "errors", "metric": "errors", "threshold": 9},
            {"name": "any", "metric": "errors", "threshold": 1},
            {"name": "either", "rule": "ALARM(errors) OR ALARM(any)"},
        ],
    },
    "cloudwatch_dashboard": {
        "name": "board",
        "metrics": METRICS,
        "widgets": [{"title": "errors", "metrics": ["errors"]}],
    },
    "route53_alias": {"hosts": {BALANCER: ["api.hokus.ai", "registry.hokus.ai"]}},
}


@dataclass(frozen=True)
class Outcome:
    module: str
    failed: bool
    seconds: float
    throttled: int
    wrong: str = ""


@contextmanager
def account() -> Iterator[tuple[ControlPlane, Aws]]:
    """The platform's parts in an account of their own."""
    plane = ControlPlane(pace=1000)
    plane.start()
    agent = Agent(plane)
    try:
        with plane.lock:
            BackendDict.reset()
            plane.touch()
        aws = Aws(options(plane))
        build(aws, plane)
        vpc = aws.ec2.describe_security_groups(GroupNames=["api"])["SecurityGroups"][0]["VpcId"]
        aws.ec2.create_tags(Resources=[vpc], Tags=[{"Key": "Name", "Value": "the-vpc"}])
        aws.route53.create_hosted_zone(Name="hokus.ai", CallerReference="the public zone")
        agent.thread.start()
        yield plane, aws
    finally:
        agent.over.set()
        plane.stop()


def options(plane: ControlPlane) -> Options:
    return {"endpoint_url": plane.url, "region": "us-east-1", "access_key": "testing", "secret_key": "testing"}


def run_task(plane: ControlPlane, module: str) -> Options:
    """What the module says, as a process of its own."""
    given = json.dumps({"module": module, "options": options(plane) | TASKS[module]})
    done = subprocess.run(
        [sys.executable, "-c", TASK], input=given, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS
    )
    try:
        told: Options = json.loads(done.stdout)
    except ValueError:
        told = {"failed": True, "msg": "", "traceback": done.stdout + done.stderr}
    return told


def census(aws: Aws) -> Counter[str]:
    """How many there are of what a repeated call would duplicate."""
    ids = (each["ListenerArn"] for each in listeners(aws))
    alarms = aws.cloudwatch.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    zones = (each["Id"] for each in aws.route53.list_hosted_zones()["HostedZones"])
    return Counter(
        rules=sum(len(aws.elbv2.describe_rules(ListenerArn=arn)["Rules"]) for arn in ids),
        listeners=len(listeners(aws)),
        groups=len(aws.elbv2.describe_target_groups()["TargetGroups"]),
        permissions=len(aws.ec2.describe_security_group_rules()["SecurityGroupRules"]),
        namespaces=len(aws.servicediscovery.list_namespaces()["Namespaces"]),
        services=len(aws.servicediscovery.list_services()["Services"]),
        revisions=len(aws.ecs.list_task_definitions(familyPrefix=NAME)["taskDefinitionArns"]),
        alarms=len(alarms["MetricAlarms"]) + len(alarms["CompositeAlarms"]),
        log_groups=len(aws.logs.describe_log_groups()["logGroups"]),
        filters=len(aws.logs.describe_metric_filters()["metricFilters"]),
        records=sum(
            len(aws.route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]) for zone in zones
        ),
    )


def listeners(aws: Aws) -> list[Options]:
    balancers = aws.elbv2.describe_load_balancers()["LoadBalancers"]
    arns = (each["LoadBalancerArn"] for each in balancers)
    return [each for arn in arns for each in aws.elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"]]


def expected(module: str) -> Counter[str]:
    """The census after an unthrottled run."""
    with account() as (plane, aws):
        told = run_task(plane, module)
        if told.get("failed"):
            raise SystemExit(f"{module} fails unthrottled: {told}")
        return census(aws)


def throttled(module: str, chance: float, seed: int, wanted: Counter[str]) -> Outcome:
    began = time.monotonic()
    with account() as (plane, aws):
        before = plane.calls.reads + plane.calls.writes
        plane.faults.replace([Fault(match=".*", kind="throttle", probability=chance, times=-1, seed=seed)])
        told = run_task(plane, module)
        calls = plane.calls.reads + plane.calls.writes - before
        plane.faults.replace([])
        wrong = "; ".join(problems(told, lambda: run_task(plane, module), lambda: census(aws), wanted))
    return Outcome(module, bool(told.get("failed")), time.monotonic() - began, calls, wrong)


def throttled_task(given: tuple[str, float, int, Counter[str]]) -> Outcome:
    return throttled(*given)


def problems(
    told: Options, again: Callable[[], Options], count: Callable[[], Counter[str]], wanted: Counter[str]
) -> Iterator[str]:
    failed = told.get("failed")
    if failed and ("traceback" in told or not any(code in told["msg"] for code in CODES) or not told.get("remedy")):
        yield f"no clean stop: {told}"
    after = again()
    if after.get("failed"):
        yield f"unthrottled, it still fails: {after.get('msg')}"
    elif not failed and after["changed"]:
        yield f"it said that it was done, and was not: {after['steps']}"
    if (seen := count()) != wanted:
        yield f"there are {dict(seen)}, and should be {dict(wanted)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=THROTTLED_TASKS)
    parser.add_argument("--chance", type=float, default=0.3, help="of each call to be throttled (0.3)")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    modules = [list(TASKS)[number % len(TASKS)] for number in range(given.runs)]
    outcomes = []
    with get_context("spawn").Pool(given.workers, maxtasksperchild=TASKS_PER_WORKER) as pool:
        names = list(dict.fromkeys(modules))
        wanted = dict(zip(names, pool.map(expected, names), strict=True))
        work = [(module, given.chance, given.seed + number, wanted[module]) for number, module in enumerate(modules)]
        for outcome in pool.imap_unordered(throttled_task, work):
            outcomes.append(outcome)
            if outcome.wrong:
                print(f"BAD  {outcome.module}: {outcome.wrong}", flush=True)
            if len(outcomes) % TASKS_PER_REPORT == 0:
                print(f"{len(outcomes)} of {len(work)}", flush=True)
    good, stopped = (sum(map(test, outcomes)) for test in (lambda each: not each.wrong, lambda each: each.failed))
    calls, seconds = sum(each.throttled for each in outcomes), sum(each.seconds for each in outcomes)
    print(
        f"{given.chance:.0%} of the calls throttled: {good} of {len(outcomes)} runs good, {stopped} stopped and went on"
    )
    print(f"{calls / len(outcomes):.0f} calls and {seconds / len(outcomes):.1f} s a run")
    allowed = len(outcomes) if given.chance > 0.5 else 0
    return 0 if good == len(outcomes) and stopped <= allowed else 1


if __name__ == "__main__":
    sys.exit(main())
