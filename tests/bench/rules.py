"""What managing N listener rules costs: alb_rules beside the fewest calls that plain boto3 needs for the same.

Each figure of ours is a fresh Python process that runs the module once, as a task does; boto3 runs warm, in this
process, and knows beforehand what has changed. Both talk to the sandbox's control plane on loopback, which counts.

    PYTHONPATH=.collections:. python tests/bench/rules.py [--delay SECONDS_PER_CALL] [N ...]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3

from sandbox.controlplane import ControlPlane, Fault

TASK = """
import json, sys
from ansible.module_utils import basic
from ansible_collections.hokusai.platform.plugins.modules import alb_rules
basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = sys.stdin.buffer.read(), "legacy"
alb_rules.main()
"""
BALANCER, PORT = "bench", 443
NOT_FOUND = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
Timed = tuple[float, int]


class Bench:
    """A listener in the control plane, and the ways to bring rules to it."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.options = {
            "endpoint_url": plane.url,
            "region": "us-east-1",
            "access_key": "bench",
            "secret_key": "bench",
        }
        self.elbv2, ec2 = self.client("elbv2"), self.client("ec2")
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        zones = {"us-east-1a": "10.0.1.0/24", "us-east-1b": "10.0.2.0/24"}
        made = (ec2.create_subnet(VpcId=self.vpc, CidrBlock=c, AvailabilityZone=z) for z, c in zones.items())
        balancer = self.elbv2.create_load_balancer(Name=BALANCER, Subnets=[each["Subnet"]["SubnetId"] for each in made])
        self.balancer = balancer["LoadBalancers"][0]["LoadBalancerArn"]
        self.groups = {name: self.group(name) for name in ("one", "two")}
        self.listener = self.listen()

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]  # the service is a variable here
            endpoint_url=self.options["endpoint_url"],
            region_name=self.options["region"],
            aws_access_key_id="bench",
            aws_secret_access_key="bench",
        )

    def group(self, name: str) -> str:
        made = self.elbv2.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=self.vpc, TargetType="ip")
        return str(made["TargetGroups"][0]["TargetGroupArn"])

    def listen(self) -> str:
        made = self.elbv2.create_listener(
            LoadBalancerArn=self.balancer, Protocol="HTTP", Port=PORT, DefaultActions=[NOT_FOUND]
        )
        return str(made["Listeners"][0]["ListenerArn"])

    def fresh(self) -> None:
        self.elbv2.delete_listener(ListenerArn=self.listener)
        self.listener = self.listen()

    def timed(self, work: Callable[[], Any]) -> Timed:
        self.plane.calls.reset()
        started = time.perf_counter()
        work()
        return time.perf_counter() - started, self.plane.calls.reads + self.plane.calls.writes

    def task(self, count: int, changed: int = 0) -> Timed:
        rules = [
            {
                "name": f"r{n}",
                "priority": n,
                "hosts": ["bench.test"],
                "paths": [f"/{n}"],
                "action": {"target_group": "two" if n <= changed else "one"},
            }
            for n in range(1, count + 1)
        ]
        arguments = {**self.options, "load_balancer": BALANCER, "port": PORT, "rules": rules}
        return self.timed(lambda: run_task(arguments))

    def raw_create(self, count: int) -> Timed:
        def create() -> None:
            self.raw_reads()
            for number in range(1, count + 1):
                self.raw_rule(number)

        return self.timed(create)

    def raw_reads(self) -> list[dict[str, Any]]:
        arn = self.elbv2.describe_load_balancers(Names=[BALANCER])["LoadBalancers"][0]["LoadBalancerArn"]
        listener = self.elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"][0]["ListenerArn"]
        found: list[dict[str, Any]] = self.elbv2.describe_rules(ListenerArn=listener, PageSize=400)["Rules"]
        return found

    def raw_rule(self, number: int) -> None:
        self.elbv2.create_rule(
            ListenerArn=self.listener,
            Priority=number,
            Conditions=[
                {"Field": "host-header", "Values": ["bench.test"]},
                {"Field": "path-pattern", "Values": [f"/{number}"]},
            ],
            Actions=[{"Type": "forward", "TargetGroupArn": self.groups["one"]}],
        )

    def raw_change(self) -> None:
        rule = self.raw_reads()[0]["RuleArn"]
        actions = [{"Type": "forward", "TargetGroupArn": self.groups["two"]}]
        self.elbv2.modify_rule(RuleArn=rule, Actions=actions)

    def rows(self, count: int) -> Iterator[tuple[str, Timed, Timed]]:
        """Create all, find nothing to do, change one: ours and boto3's, on a listener of their own each."""
        ours = self.task(count), self.task(count), self.task(count, changed=1)
        self.fresh()
        raw = self.raw_create(count), self.timed(self.raw_reads), self.timed(self.raw_change)
        self.fresh()
        yield from zip(("create", "no-op", "change one"), ours, raw, strict=True)


def run_task(arguments: dict[str, Any]) -> None:
    given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments})
    done = subprocess.run([sys.executable, "-c", TASK], input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"The module failed: {done.stdout}{done.stderr}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", metavar="N", type=int, nargs="*", default=[1, 20, 100], help="rules (1 20 100)")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that every call takes longer")
    options = parser.parse_args()
    plane = ControlPlane()
    plane.start()
    try:
        bench = Bench(plane)
        if options.delay:
            plane.faults.add(Fault(".*", times=-1, delay=options.delay))
        print(f"{'N':>4}  {'':<11} {'alb_rules':>16}  {'boto3':>16}")
        for count in options.counts:
            for what, ours, raw in bench.rows(count):
                figures = (f"{seconds:6.2f} s {calls:4} calls" for seconds, calls in (ours, raw))
                print(f"{count:>4}  {what:<11} {'  '.join(figures)}")
    finally:
        plane.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
