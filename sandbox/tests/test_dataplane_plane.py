"""The data plane as a whole: start, stop, what it leaves behind, and the real control plane beneath it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from cryptography import x509

from sandbox.dataplane import CertificateAuthority, DataPlane
from sandbox.dataplane.ca import system_roots
from sandbox.tests.dataplane_bench import Bench, FakeWorld, default, eventually, fixed, forward
from sandbox.world import World


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_it_starts_at_once_and_stops_without_leaving_anything(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    bench.callback(release.set)
    backend, target = bench.backend(lambda _: (release.wait(10), (200, {}, b""))[1])
    bench.serve(default(forward(bench.group("a", target))))
    once(bench)
    descriptors_before, threads_before = descriptors(), threading.active_count()
    began = time.monotonic()
    bench.plane.start()
    assert time.monotonic() - began < 0.5
    session = bench.session()
    waiting = threading.Thread(target=lambda: failed(session))
    waiting.start()
    silent, before_handshake = knock(bench), knock(bench)
    before_handshake.sendall(b"CONNECT registry.hokus.ai:443 HTTP/1.1\r\n\r\n")
    assert before_handshake.recv(100)
    eventually(lambda: backend.seen)
    began = time.monotonic()
    bench.plane.stop()
    bench.plane.stop()
    assert time.monotonic() - began < 2
    waiting.join(5)
    assert not waiting.is_alive()
    silent.close()
    before_handshake.close()
    session.close()
    release.set()
    eventually(lambda: threading.active_count() <= threads_before)
    eventually(lambda: descriptors() <= descriptors_before)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def once(bench: Bench) -> None:
    """What the event loop's library opens once per process and keeps is none of our business."""
    plane = DataPlane(FakeWorld(), 30, bench.home / "once")
    plane.start()
    plane.stop()


def knock(bench: Bench) -> socket.socket:
    """A connection to the internet proxy that has said nothing yet."""
    proxy = urlsplit(bench.plane.proxy_url)
    return socket.create_connection((proxy.hostname or "", proxy.port or 0))


def failed(session: requests.Session) -> bool:
    try:
        session.get("https://registry.hokus.ai/")
    except requests.exceptions.RequestException:
        return True
    return False


def test_an_idle_data_plane_costs_next_to_no_processor_time(bench: Bench) -> None:
    bench.serve(default(forward(bench.group("a", bench.backend()[1]))))
    bench.start()
    time.sleep(0.3)
    before = os.times()
    time.sleep(1.0)
    after = os.times()
    assert after.user + after.system - before.user - before.system < 0.15


def test_what_keeps_it_from_starting_is_raised(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where a directory must be")
    with pytest.raises(OSError, match="logs"):
        DataPlane(FakeWorld(), 30, tmp_path).start()


def test_a_world_that_fails_for_a_while_is_followed_again_afterwards(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.serve(default(fixed(200)))
    bench.start()

    def broken() -> Any:
        raise RuntimeError("the control plane is busy")

    with monkeypatch.context() as patched, caplog.at_level(logging.CRITICAL):
        patched.setattr(bench.world, "target_groups", broken)
        time.sleep(0.5)
    _, target = bench.backend(name="back")
    bench.serve(default(forward(bench.group("a", target))))
    assert bench.session().get("https://registry.hokus.ai/").text == "back"


def test_it_works_on_the_loop_of_the_standard_library_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.dataplane.plane._new_loop", lambda: asyncio.new_event_loop)
    bench.serve(default(forward(bench.group("a", bench.backend(name="std")[1]))))
    bench.start()
    assert bench.session().get("https://registry.hokus.ai/").text == "std"


# the certificate authority


def test_an_issued_certificate_names_what_it_was_issued_for(tmp_path: Path) -> None:
    authority = CertificateAuthority()
    issued = authority.issue("*.hokus.ai", "hokus.ai")
    certificate = x509.load_pem_x509_certificate(issued.body.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["*.hokus.ai", "hokus.ai"]
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(issued.chain.encode()))


def test_a_certificate_may_be_issued_expired() -> None:
    issued = CertificateAuthority().issue("hokus.ai", lifetime=timedelta(days=-1))
    certificate = x509.load_pem_x509_certificate(issued.body.encode())
    assert certificate.not_valid_after_utc.timestamp() < time.time()
    assert certificate.not_valid_before_utc < certificate.not_valid_after_utc


def test_the_bundle_trusts_the_sandbox_and_what_the_machine_trusts(tmp_path: Path) -> None:
    authority = CertificateAuthority()
    bundle = authority.write_bundle(tmp_path / "deep" / "ca.pem").read_text()
    assert bundle.startswith(authority.pem)
    assert bundle.endswith(system_roots())
    ssl.create_default_context(cadata=bundle)


# on the real control plane


def test_on_the_real_control_plane_a_client_reaches_a_task_and_its_health_is_told(
    world: World, client: Callable[..., Any], tmp_path: Path
) -> None:
    with Bench(tmp_path) as targets, ExitStack() as stack:
        backend, local = targets.backend(name="real")
        made = build(world, client, backend.loopback, local.port)
        plane = DataPlane(world, 30, tmp_path)
        plane.start()
        stack.callback(plane.stop)
        elb = client("elbv2")

        def health() -> dict[str, str]:
            (only,) = elb.describe_target_health(TargetGroupArn=made["group"])["TargetHealthDescriptions"]
            return dict(only["TargetHealth"])

        eventually(lambda: health()["State"] == "healthy")
        session = stack.enter_context(requests.Session())
        session.trust_env, session.verify = False, str(made["authority"].write_bundle(tmp_path / "real.pem"))
        session.proxies = {"https": plane.proxy_url}
        assert session.get("https://registry.hokus.ai/x").text == "real"
        client("ec2").revoke_security_group_ingress(GroupId=made["task"], IpPermissions=made["permission"])
        eventually(
            lambda: health() == {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"}
        )


def build(world: World, client: Callable[..., Any], loopback: str, port: int) -> dict[str, Any]:
    """The smallest platform with an HTTPS load balancer before one task, through the AWS API."""
    ec2, elb = client("ec2"), client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in ((101, "a"), (102, "b"))
    ]
    edge, task = (
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"] for name in ("alb", "task")
    )
    everyone = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.authorize_security_group_ingress(GroupId=edge, IpPermissions=everyone)
    permission = [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": [{"GroupId": edge}]}]
    ec2.authorize_security_group_ingress(GroupId=task, IpPermissions=permission)
    balancer = elb.create_load_balancer(Name="registry", Subnets=subnets, SecurityGroups=[edge])["LoadBalancers"][0]
    group = elb.create_target_group(
        Name="api",
        Protocol="HTTP",
        Port=port,
        VpcId=vpc,
        TargetType="ip",
        HealthCheckPath="/health",
        UnhealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    authority = CertificateAuthority()
    issued = authority.issue("*.hokus.ai")
    certificate = client("acm").import_certificate(
        Certificate=issued.body, CertificateChain=issued.chain, PrivateKey=issued.private_key
    )["CertificateArn"]
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": certificate}],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    zone = client("route53").create_hosted_zone(Name="hokus.ai", CallerReference="1")["HostedZone"]["Id"]
    alias = {
        "HostedZoneId": balancer["CanonicalHostedZoneId"],
        "DNSName": balancer["DNSName"],
        "EvaluateTargetHealth": False,
    }
    record = {"Name": "registry.hokus.ai", "Type": "A", "AliasTarget": alias}
    change = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=change)
    interface = world.attach_interface(subnets[0], (task,), loopback, "task")
    world.register_target(group, interface.address, port)
    return {"group": group, "task": task, "permission": permission, "authority": authority}
