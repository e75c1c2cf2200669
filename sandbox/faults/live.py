"""The running platform as faults see it: the AWS API, names instead of ARNs, and a way back for every change."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from sandbox.faults.memory import Broken, Memory
from sandbox.images.keystore import KeyStore
from sandbox.platform.clients import Clients
from sandbox.platform.description import CLUSTER, NAMESPACE

Json = dict[str, Any]
SETTLED = 5.0


class FaultError(Exception):
    """A fault that cannot be made or healed; the text says why, and what to do."""


def call(service: str, verb: str, forgive: tuple[str, ...] = (), /, **arguments: Any) -> Json:
    """One AWS call as data; an error with a code in `forgive` counts as done."""
    return {"do": "call", "service": service, "verb": verb, "arguments": arguments, "forgive": list(forgive)}


@dataclass
class Live:
    """`control` asks the sandbox's own endpoint (path, body); `data` is the directory of the databases."""

    aws: Clients
    control: Callable[[str, Any], Any]
    memory: Memory
    data: Path
    api_key: str = ""
    fault: str = ""
    """The ID of the fault that is being made."""
    unrolled: set[str] = field(default_factory=set)
    """ECS services whose overlays have changed since the last roll-out."""

    # changes, and the way back

    def change(self, touched: str, forward: Json, back: Json) -> Any:
        """Do `forward`; `back` is remembered before. FaultError if another fault has changed the same."""
        self.claim(touched)
        self.remember(back)
        return self.do(forward)

    def create(self, touched: str, forward: Json, back: Callable[[Any], Json]) -> Any:
        """The same where the way back needs an id that the answer brings."""
        self.claim(touched)
        answer = self.do(forward)
        self.remember(back(answer))
        return answer

    def inject(self, *faults: Json) -> None:
        """Faults of calls to the API (`controlplane/faults.py`)."""
        owned = [{"times": -1, **fault, "owner": self.fault} for fault in faults]
        back = {"do": "control", "path": "faults/remove", "body": {"owner": self.fault}}
        self.change(f"injection {self.fault}", {"do": "control", "path": "faults/add", "body": {"faults": owned}}, back)

    def do(self, step: Json) -> Any:
        """One step, there or back."""
        done = getattr(self, f"_do_{step['do']}")(step)
        if isinstance(done, Mapping) and "OperationId" in done:
            self._settle(done["OperationId"])
        return done

    def claim(self, touched: str) -> None:
        """Say what the fault changes; FaultError if another has changed it."""
        other = self.memory.toucher(touched)
        if other and other != self.fault:
            raise FaultError(f"{self.fault} would change what {other} has broken ({touched}); heal {other} first")
        self.memory.broken.setdefault(self.fault, Broken()).touched.append(touched)
        self.memory.save()

    def remember(self, back: Json) -> None:
        """A step of the way back; write it down before going there."""
        self.memory.broken[self.fault].undo.append(back)
        self.memory.save()

    def _do_call(self, step: Json) -> Any:
        try:
            return getattr(getattr(self.aws, step["service"]), step["verb"])(**step["arguments"])
        except ClientError as error:
            if error.response["Error"]["Code"] not in step["forgive"]:
                raise
        return None

    def _do_control(self, step: Json) -> Any:
        return self.control(step["path"], step["body"])

    def _do_key(self, step: Json) -> None:
        """Change columns of a key of the auth service."""
        KeyStore(self.data / "auth" / "keys.sqlite").amend(step["digest"], step["columns"])

    def _do_discard(self, step: Json) -> None:
        """Delete a Cloud Map service of ours with the instances that are still in it."""
        discovery, service = self.aws.servicediscovery, step["id"]
        for instance in discovery.list_instances(ServiceId=service)["Instances"]:
            discovery.deregister_instance(ServiceId=service, InstanceId=instance["Id"])
        discovery.delete_service(Id=service)

    def _do_namespace(self, step: Json) -> None:
        """Make the namespace and its services again, and let ECS register there; what somebody has made is taken."""
        discovery = self.aws.servicediscovery
        try:
            operation = discovery.create_private_dns_namespace(Name=NAMESPACE, Vpc=step["vpc"])["OperationId"]
            self._settle(operation)
            namespace = discovery.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
        except discovery.exceptions.NamespaceAlreadyExists as error:
            namespace = error.response["NamespaceId"]
        for service in step["services"]:
            try:
                registry = discovery.create_service(NamespaceId=namespace, **service["made"])["Service"]["Arn"]
            except discovery.exceptions.ServiceAlreadyExists as error:
                registry = discovery.get_service(Id=error.response["ServiceId"])["Service"]["Arn"]
            for name, held in service["bound"].items():
                registries = [{**held, "registryArn": registry}]
                self.aws.ecs.update_service(cluster=CLUSTER, service=name, serviceRegistries=registries)

    def _do_overlay(self, step: Json) -> None:
        """Take a fault's overlay off a service; the revision without it follows in `revisions.flush`."""
        revised = self.memory.revised[step["ecs"]]
        revised.overlays.pop(step["fault"], None)
        self.unrolled.add(step["ecs"])
        self.memory.save()

    def _settle(self, operation: str) -> None:
        """Wait for a Cloud Map operation."""
        deadline = time.monotonic() + SETTLED
        while time.monotonic() < deadline:
            found = self.aws.servicediscovery.get_operation(OperationId=operation)["Operation"]
            if found["Status"] == "SUCCESS":
                return
            if found["Status"] == "FAIL":
                break
            time.sleep(0.05)
        raise FaultError(f"Cloud Map's operation {operation} did not succeed")

    # names

    def load_balancer(self, name: str) -> str:
        found: str = self.aws.elbv2.describe_load_balancers(Names=[name])["LoadBalancers"][0]["LoadBalancerArn"]
        return found

    def listener(self, load_balancer: str, port: int = 443) -> Json:
        held = self.aws.elbv2.describe_listeners(LoadBalancerArn=self.load_balancer(load_balancer))["Listeners"]
        return self._one([each for each in held if each["Port"] == port], f"listener {port} of {load_balancer}")

    def rules(self, load_balancer: str) -> list[Json]:
        """The rules of the HTTPS listener but the default one."""
        listener = self.listener(load_balancer)["ListenerArn"]
        pages = self.aws.elbv2.get_paginator("describe_rules").paginate(ListenerArn=listener)
        return [rule for rule in pages.build_full_result()["Rules"] if not rule["IsDefault"]]

    def rule(self, load_balancer: str, priority: int) -> Json:
        found = [rule for rule in self.rules(load_balancer) if rule["Priority"] == str(priority)]
        return self._one(found, f"rule {priority} of {load_balancer}")

    def target_group(self, name: str) -> Json:
        found: Json = self.aws.elbv2.describe_target_groups(Names=[name])["TargetGroups"][0]
        return found

    def target_group_arn(self, name: str) -> str:
        return str(self.target_group(name)["TargetGroupArn"])

    def security_group(self, name: str) -> str:
        held = self.aws.ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [name]}])
        return str(self._one(held["SecurityGroups"], f"security group {name}")["GroupId"])

    def vpc(self, security_group: str) -> str:
        held = self.aws.ec2.describe_security_groups(GroupIds=[self.security_group(security_group)])
        return str(held["SecurityGroups"][0]["VpcId"])

    def service(self, name: str) -> Json:
        found: Json = self.aws.ecs.describe_services(cluster=CLUSTER, services=[name])["services"][0]
        return found

    def namespace(self) -> str:
        held = self.aws.servicediscovery.list_namespaces()["Namespaces"]
        return str(self._one([each for each in held if each["Name"] == NAMESPACE], f"namespace {NAMESPACE}")["Id"])

    def discovery_service(self, name: str) -> Json:
        wanted = [{"Name": "NAMESPACE_ID", "Values": [self.namespace()]}]
        held = self.aws.servicediscovery.list_services(Filters=wanted)["Services"]
        return self._one([each for each in held if each["Name"] == name], f"Cloud Map service {name}")

    def _one(self, found: list[Json], what: str) -> Json:
        if not found:
            raise FaultError(f"{self.fault} needs the {what}, and there is none")
        return found[0]
