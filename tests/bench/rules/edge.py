"""The sandbox's control plane and data plane in this process, with one load balancer and two targets that say who
they are."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3

from sandbox.controlplane import ControlPlane, Fault
from sandbox.dataplane import DataPlane
from sandbox.world import World
from tests.bench.rules import scene

BALANCER, PORT, SPARE_PORT = "bench", 80, 81
DEFAULT = {
    "Type": "fixed-response",
    "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": "default"},
}
LOOPBACK = {"one": "127.93.7.1", "two": "127.93.7.2"}
"""Addresses of the targets, by the names of their groups."""
PACE = 30.0
HEALTHY_SECONDS = 30.0


@contextmanager
def targets(addresses: dict[str, str]) -> Iterator[dict[str, int]]:
    """The port of each target, for as long as the block runs."""
    command = [sys.executable, "-m", "tests.bench.rules.targets", json.dumps(addresses)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as servers:
        assert servers.stdin is not None
        assert servers.stdout is not None
        try:
            yield json.loads(servers.stdout.readline())
        finally:
            servers.stdin.close()


class Edge:
    """Everything is there, and healthy, once it is made; the stack ends it."""

    def __init__(self, stack: ExitStack, state: Path) -> None:
        self.plane = ControlPlane()
        self.plane.start()
        stack.callback(self.plane.stop)
        self.options = {"endpoint_url": self.plane.url, "region": "us-east-1", "access_key": "b", "secret_key": "b"}
        self.elbv2, self._ec2 = self.client("elbv2"), self.client("ec2")
        self.subnets, self.security_group, vpc = self._network()
        made = self.elbv2.create_load_balancer(
            Name=BALANCER, Subnets=self.subnets, SecurityGroups=[self.security_group], Scheme="internet-facing"
        )["LoadBalancers"][0]
        self.balancer, self.dns_name = str(made["LoadBalancerArn"]), str(made["DNSName"])
        self.groups = {name: self._group(name, vpc) for name in LOOPBACK}
        self.listener = self._listen(PORT, DEFAULT)
        shares = [{"TargetGroupArn": arn, "Weight": 1} for arn in self.groups.values()]
        self._listen(SPARE_PORT, {"Type": "forward", "ForwardConfig": {"TargetGroups": shares}})
        world = World(self.plane)
        for name, port in stack.enter_context(targets(LOOPBACK)).items():
            made = world.attach_interface(self.subnets[0], (self.security_group,), LOOPBACK[name], name)
            world.register_target(self.groups[name], made.address, port)
        self.data = DataPlane(world, PACE, state)
        self.data.start()
        stack.callback(self.data.stop)
        self._await_health()

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]  # the service is a variable here
            endpoint_url=self.options["endpoint_url"],
            region_name=self.options["region"],
            aws_access_key_id="b",
            aws_secret_access_key="b",
        )

    def _network(self) -> tuple[list[str], str, str]:
        vpc = str(self._ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])
        zones = {"us-east-1a": "10.0.1.0/24", "us-east-1b": "10.0.2.0/24"}
        made = [self._ec2.create_subnet(VpcId=vpc, CidrBlock=c, AvailabilityZone=z) for z, c in zones.items()]
        group = str(self._ec2.create_security_group(GroupName="bench", Description="bench", VpcId=vpc)["GroupId"])
        everyone = [{"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        self._ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=everyone)
        return [each["Subnet"]["SubnetId"] for each in made], group, vpc

    def _group(self, name: str, vpc: str) -> str:
        made = self.elbv2.create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip", HealthyThresholdCount=2
        )
        return str(made["TargetGroups"][0]["TargetGroupArn"])

    def _listen(self, port: int, action: dict[str, Any]) -> str:
        made = self.elbv2.create_listener(
            LoadBalancerArn=self.balancer, Protocol="HTTP", Port=port, DefaultActions=[action]
        )
        return str(made["Listeners"][0]["ListenerArn"])

    def _await_health(self) -> None:
        ended = time.monotonic() + HEALTHY_SECONDS
        while time.monotonic() < ended:
            found = [self.elbv2.describe_target_health(TargetGroupArn=arn) for arn in self.groups.values()]
            states = [each["TargetHealth"]["State"] for one in found for each in one["TargetHealthDescriptions"]]
            if states == ["healthy"] * len(LOOPBACK):
                return
            time.sleep(0.1)
        raise RuntimeError(f"the targets are {states}")

    def fresh(self) -> None:
        """A listener without rules."""
        found = self.elbv2.describe_rules(ListenerArn=self.listener, PageSize=400)["Rules"]
        for rule in found:
            if not rule["IsDefault"]:
                self.elbv2.delete_rule(RuleArn=rule["RuleArn"])

    def create(self, rule: scene.Rule) -> None:
        self.elbv2.create_rule(ListenerArn=self.listener, Priority=rule.priority, **self.stated(rule))

    def stated(self, rule: scene.Rule) -> dict[str, Any]:
        """A rule's conditions and actions as boto3 wants them."""
        values = {"host-header": scene.HOST, "path-pattern": rule.path}
        return {
            "Conditions": [{"Field": field, "Values": [value]} for field, value in values.items()],
            "Actions": [{"Type": "forward", "TargetGroupArn": self.groups[rule.group]}],
        }

    def served(self) -> dict[int, tuple[str, str]]:
        """Path and group by priority, as they are."""
        found = self.elbv2.describe_rules(ListenerArn=self.listener, PageSize=400)["Rules"]
        return {
            int(each["Priority"]): (
                next(
                    condition["Values"][0] for condition in each["Conditions"] if condition["Field"] == "path-pattern"
                ),
                each["Actions"][0]["TargetGroupArn"].split("/")[1],
            )
            for each in found
            if not each["IsDefault"]
        }

    @contextmanager
    def delayed(self, seconds: float) -> Iterator[None]:
        """Every call of the API takes longer by so much."""
        self.plane.faults.replace([Fault(".*", times=-1, delay=seconds)] if seconds else [])
        try:
            yield
        finally:
            self.plane.faults.replace([])

    @contextmanager
    def traffic(self, before: list[scene.Rule], after: list[scene.Rule], rate: float) -> Iterator[dict[str, Any]]:
        """Clients, while the block runs; afterwards the value yielded has what they saw."""
        config = {
            "proxy": int(self.data.proxy_url.rsplit(":", 1)[1]),
            "authority": f"{self.dns_name}:{PORT}",
            "host": scene.HOST,
            "rate": rate,
            "answers": scene.answers(before, after),
        }
        command = [sys.executable, "-m", "tests.bench.rules.load", json.dumps(config)]
        seen: dict[str, Any] = {}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
            assert load.stdin is not None
            assert load.stdout is not None
            try:
                if load.stdout.readline().strip() != "ready":
                    raise RuntimeError("the clients did not start")
                yield seen
            finally:
                load.stdin.close()
                seen.update(json.loads(load.stdout.readline() or "{}"))


def paths(rules: list[scene.Rule]) -> dict[int, tuple[str, str]]:
    return {rule.priority: (rule.path, rule.group) for rule in rules}
