"""One task: its processes, its interface, its targets and its life from PROVISIONING to STOPPED."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.agent import secrets
from sandbox.agent.configuration import Configuration
from sandbox.agent.definition import ContainerDefinition, TaskDefinition
from sandbox.agent.process import OWNER_VARIABLE, Process, listens
from sandbox.agent.records import ContainerRecord, TaskRecord
from sandbox.agent.seam import GONE, ControlPlane, Host, World
from sandbox.images.catalogue import CannotPullContainerError, CannotStartContainerError, resolve

BOOT_LIMIT = 60.0
"""Real seconds that a program may take to listen before its task counts as RUNNING anyway."""
STOP_TIMEOUT, STOP_MINIMUM = 30.0, 3.0
"""ECS kills a container 30 s after asking it to stop; ours are given 3 real seconds, whatever the pace."""
DEREGISTRATION_DELAY = "300"
START_FAILURES = (CannotPullContainerError, CannotStartContainerError, secrets.ResourceInitializationError)
LOOPBACKS = 250


class NoLoopbackError(LookupError):
    """As many tasks live as there are private addresses for."""


class Loopbacks:
    """Private addresses for tasks below a prefix such as `127.81.7`: the one given back longest ago goes first."""

    def __init__(self, prefix: str) -> None:
        self._free = deque(f"{prefix}.{last}" for last in range(2, 2 + LOOPBACKS))

    def take(self) -> str:
        """Raises NoLoopbackError."""
        if not self._free:
            raise NoLoopbackError(f"{LOOPBACKS} tasks have an interface already")
        return self._free.popleft()

    def give_back(self, address: str) -> None:
        self._free.append(address)


@dataclass
class Container:
    definition: ContainerDefinition
    record: ContainerRecord
    process: Process | None = None


@dataclass
class Registration:
    """A task's place in a target group (an ARN and a port) or a Cloud Map service (an id)."""

    where: str
    port: int | None = None
    failure: str = ""

    def __str__(self) -> str:
        return f"service discovery service {self.where}" if self.port is None else f"target-group {self.where}"


@dataclass
class ServiceTask:
    """A task of a service. Every method is called under the control plane's lock; `now` is monotonic time."""

    control_plane: ControlPlane
    world: World
    host: Host
    service: str
    definition: TaskDefinition
    configuration: Configuration
    record: TaskRecord
    loopbacks: Loopbacks
    containers: list[Container] = field(default_factory=list)
    loopback: str = ""
    address: str = ""
    notices: list[str] = field(default_factory=list)
    failing: bool = False
    running_since: float = 0.0
    _deadline: float = 0.0
    _unregistered: list[Registration] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def state(self) -> str:
        return self.record.last_status

    @property
    def is_leaving(self) -> bool:
        return self.state in {"DEACTIVATING", "STOPPING", "STOPPED"}

    @property
    def log(self) -> Path:
        return self.host.state_dir / "logs" / "tasks" / f"{self.service}.{self.id}.log"

    @property
    def _directory(self) -> Path:
        """The container's own file system: gone with it."""
        return self.host.state_dir / "tasks" / self.id

    def start(self, now: float, subnet_id: str) -> None:
        """Attach the interface and start the containers; a failure to do so stops the task with ECS's own reason."""
        try:
            self._attach(subnet_id)
        except GONE as error:
            reason = (
                f"Unexpected EC2 error while attempting to Create Network Interface in subnet '{subnet_id}': {error}"
            )
            self._finish("TaskFailedToStart", reason)
            return
        self.record.containers = [
            ContainerRecord(container, self.record.task_arn, self.address) for container in self.definition.containers
        ]
        self.containers = [
            Container(definition, record)
            for definition, record in zip(self.definition.containers, self.record.containers, strict=True)
        ]
        self.record.move("PENDING")
        self._deadline = now + BOOT_LIMIT
        try:
            for container in self.containers:
                container.process = self._launch(container.definition)
        except START_FAILURES as error:
            self._finish("TaskFailedToStart", str(error))

    def advance(self, now: float) -> None:
        """Follow the processes and the clock."""
        if self.state in {"PENDING", "RUNNING"} and (ended := self._ended()):
            self._exited(ended)
        elif self.state == "PENDING" and (now > self._deadline or self._all_listen()):
            self._run(now)
        elif self.state == "DEACTIVATING" and now >= self._deadline:
            self._ask_to_stop(now)
        elif self.state == "RUNNING" and self._unregistered:
            self._register()
        elif self.state == "STOPPING" and (now >= self._deadline or self._none_runs()):
            self._finish(self.record.stop_code or "", self.record.stopped_reason or "")

    def stop(self, now: float, code: str, reason: str) -> None:
        """Leave the targets and Cloud Map at once, the machine after the connections have drained."""
        if self.is_leaving:
            return
        was_running = self.state == "RUNNING"
        self.record.stop_code, self.record.stopped_reason, self.record.desired_status = code, reason, "STOPPED"
        self.record.move("DEACTIVATING")
        if was_running:
            self._deregister()
        self._deadline = now + (self._drain_time() if was_running else 0.0)

    def end_at_once(self) -> None:
        """For the end of the sandbox: no draining, no grace."""
        if self.state != "STOPPED":
            self._finish("ServiceSchedulerInitiated", "The sandbox was taken down")

    def target_states(self) -> list[tuple[str, int, str, str]]:
        """(target group ARN, port, state, description) of this task's own targets."""
        found = []
        for arn, port in self.configuration.load_balancers:
            with contextlib.suppress(*GONE):
                found += [
                    (arn, port, target.state, target.description)
                    for target in self.world.target_group(arn).targets
                    if (target.address, target.port) == (self.address, port)
                ]
        return found

    def _attach(self, subnet_id: str) -> None:
        groups = self.configuration.security_groups
        self.loopback = self.loopbacks.take()
        interface = self.world.attach_interface(subnet_id, groups, self.loopback, f"ECS task {self.id}")
        self.address = interface.address
        zone = self.control_plane.backend("ec2").get_subnet(subnet_id).availability_zone
        self.record.attach(interface, zone, self.world.interface_id(self.address))

    def _launch(self, definition: ContainerDefinition) -> Process:
        program = resolve(definition.image, self.loopback, definition.command)
        environment = {
            **self._machine(),
            **program.environment,
            **definition.environment,
            **secrets.resolve(self.control_plane, definition.secrets),
            **program.binding,
        }
        try:
            return Process(program.argv, environment, self.log, self._directory)
        except (OSError, ValueError) as error:  # the kernel's limits, and a NUL in what it is given
            raise CannotStartContainerError(str(error)) from error

    def _machine(self) -> dict[str, str]:
        """What a container has from its host rather than from its task definition; nothing of ours leaks in."""
        trust = str(self.host.trust)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._directory),
            "LANG": "C.UTF-8",
            "HOSTNAME": f"ip-{self.address.replace('.', '-')}.ec2.internal",
            "ALL_PROXY": self.host.fabric(self.address),
            "SSL_CERT_FILE": trust,
            "REQUESTS_CA_BUNDLE": trust,
            OWNER_VARIABLE: self.host.owner,
        }

    def _all_listen(self) -> bool:
        ports = [container.definition.port for container in self.containers]
        return all(port is None or listens(self.loopback, port) for port in ports)

    def _none_runs(self) -> bool:
        return all(
            container.process is None or container.process.exit_code is not None for container in self.containers
        )

    def _ended(self) -> Container | None:
        essential = (container for container in self.containers if container.definition.essential)
        return next((one for one in essential if one.process and one.process.exit_code is not None), None)

    def _run(self, now: float) -> None:
        self.record.move("RUNNING")
        self.running_since = now
        self._unregistered = [
            *(Registration(arn, port) for arn, port in self.configuration.load_balancers),
            *(Registration(service_id) for service_id in self.configuration.registries),
        ]
        self._register()

    def _register(self) -> None:
        """What could not be done is tried again at the next tick, and told of when it fails in another way."""
        self._unregistered = [each for each in self._unregistered if not self._registered(each)]

    def _registered(self, wanted: Registration) -> bool:
        try:
            if wanted.port is None:
                self.world.register_instance(wanted.where, self.id, self._instance_attributes())
            else:
                self.world.register_target(wanted.where, self.address, wanted.port)
                self.notices.append(f"registered 1 targets in ({wanted})")
        except GONE as error:
            if wanted.failure != str(error):
                wanted.failure = str(error)
                self.notices.append(f"failed to register in ({wanted}) with (error {error})")
            return False
        return True

    def _deregister(self) -> None:
        for arn, port in self.configuration.load_balancers:
            with contextlib.suppress(*GONE):
                self.world.deregister_target(arn, self.address, port)
                self.notices.append(f"deregistered 1 targets in (target-group {arn})")
        for service_id in self.configuration.registries:
            with contextlib.suppress(*GONE):
                self.world.deregister_instance(service_id, self.id)

    def _instance_attributes(self) -> dict[str, str]:
        """The attributes that ECS writes (Cloud Map developer guide)."""
        port = self.configuration.registered_port
        return {
            **({"AWS_INSTANCE_PORT": str(port)} if port else {}),
            "AWS_INSTANCE_IPV4": self.address,
            "AWS_INIT_HEALTH_STATUS": "HEALTHY",
            "AVAILABILITY_ZONE": self.record.availability_zone or "",
            "REGION": self.record.region_name,
            "ECS_CLUSTER_NAME": self.record.cluster_name,
            "ECS_SERVICE_NAME": self.service,
            "ECS_TASK_DEFINITION_FAMILY": self.definition.family,
        }

    def _drain_time(self) -> float:
        delays = [0.0]
        for arn, _ in self.configuration.load_balancers:
            with contextlib.suppress(*GONE):
                attributes = self.world.target_group(arn).attributes
                delays.append(float(attributes.get("deregistration_delay.timeout_seconds", DEREGISTRATION_DELAY)))
        return max(delays) / self.host.pace

    def _ask_to_stop(self, now: float) -> None:
        self.record.move("STOPPING")
        self._deadline = now + max(STOP_TIMEOUT / self.host.pace, STOP_MINIMUM)
        for container in self.containers:
            if container.process:
                container.process.terminate()

    def _exited(self, ended: Container) -> None:
        if self.state == "RUNNING":
            self._deregister()
        ended.record.reason = f"exit code {ended.process.exit_code}" if ended.process else None
        self._finish("EssentialContainerExited", "Essential container in task exited")

    def _finish(self, code: str, reason: str) -> None:
        for container in self.containers:
            container.record.last_status = "STOPPED"
            if container.process:
                container.process.kill()
                container.record.exit_code = container.process.exit_code
        shutil.rmtree(self._directory, ignore_errors=True)
        self.world.detach_interface(self.address)
        if self.loopback:
            self.loopbacks.give_back(self.loopback)
        self.record.stop_code, self.record.stopped_reason, self.record.desired_status = code, reason, "STOPPED"
        self.record.move("STOPPED")
