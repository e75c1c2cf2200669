"""The fixtures every part of the sandbox's tests may use."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.config import Config

from sandbox.agent.process import owned_by
from sandbox.controlplane import ControlPlane
from sandbox.environment import Home
from sandbox.images.catalogue import ROOT
from sandbox.tests.dataplane_bench import Bench
from sandbox.world import World

ClientFactory = Callable[..., Any]
_BOTO3: Any = boto3


class Network(NamedTuple):
    """A VPC 10.0.0.0/16 with two subnets (10.0.1.0/24, 10.0.2.0/24) in two zones, and one security group."""

    vpc: str
    subnets: list[str]
    group: str


@pytest.fixture(scope="session")
def shared_control_plane() -> Iterator[ControlPlane]:
    """One server for all tests: moto's state is the process's anyway."""
    plane = ControlPlane()
    plane.start()
    yield plane
    plane.stop()


@pytest.fixture
def control_plane(shared_control_plane: ControlPlane) -> ControlPlane:
    """A started control plane with an empty account."""
    shared_control_plane.reset()
    return shared_control_plane


@pytest.fixture
def world(control_plane: ControlPlane) -> World:
    return World(control_plane)


@pytest.fixture(scope="session")
def clients(shared_control_plane: ControlPlane) -> ClientFactory:
    """Makes each boto3 client once; making one takes longer than most tests."""

    @functools.cache
    def make(service: str, region: str, options: str) -> Any:
        config = Config(inject_host_prefix=False, **({"retries": {"total_max_attempts": 1}} | json.loads(options)))
        return _BOTO3.client(
            service,
            region_name=region,
            endpoint_url=shared_control_plane.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=config,
        )

    return make


@pytest.fixture
def client(control_plane: ControlPlane, clients: ClientFactory) -> ClientFactory:
    """Gives boto3 clients of the control plane: `client("elbv2")`. They do not retry unless told to."""

    def give(service: str, region: str = "us-east-1", **options: Any) -> Any:
        return clients(service, region, json.dumps(options, sort_keys=True))

    return give


@pytest.fixture
def network(client: ClientFactory) -> Network:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for number, zone in ((1, "us-east-1a"), (2, "us-east-1b"))
    ]
    group = ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=vpc)["GroupId"]
    return Network(vpc, subnets, group)


def sandbox(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m sandbox`, run as a user of another directory does."""
    environ = {**os.environ, "HOKUSAI_SANDBOX_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        env=environ,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


def running(state: str, path: Path) -> Iterator[Home]:
    """A sandbox that is up, at the end of which nothing of it is left."""
    done = sandbox(path, "up", f"--{state}")
    assert done.returncode == 0, done.stderr
    assert f"The sandbox is up ({state}" in done.stdout
    owner = Home(path).marker.read_text()
    yield Home(path)
    sandbox(path, "down")
    assert list(owned_by(owner)) == []


@pytest.fixture(scope="session")
def healthy_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One for all tests: each leaves its services as it found them."""
    yield from running("healthy", tmp_path_factory.mktemp("healthy") / "state")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A data plane that serves nothing yet."""
    with Bench(tmp_path) as made:
        yield made
