"""What the data plane and the agent see of the control plane, and what they may change in it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox.controlplane import ControlPlane
from sandbox.model import Answer, NetworkInterface, Target
from sandbox.world import UnknownResourceError, World

Clients = Callable[..., Any]
FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]


@pytest.fixture
def group(client: Clients, network: Any) -> str:
    created = client("elbv2").create_target_group(
        Name="tg",
        Protocol="HTTP",
        Port=8001,
        VpcId=network.vpc,
        TargetType="ip",
        HealthCheckPath="/health",
        HealthyThresholdCount=2,
        Matcher={"HttpCode": "200-299"},
    )
    arn: str = created["TargetGroups"][0]["TargetGroupArn"]
    return arn


@pytest.fixture
def balancer(client: Clients, network: Any) -> dict[str, Any]:
    created: dict[str, Any] = client("elbv2").create_load_balancer(
        Name="lb", Subnets=network.subnets, SecurityGroups=[network.group]
    )["LoadBalancers"][0]
    return created


@pytest.fixture
def listener(client: Clients, balancer: dict[str, Any], group: str) -> str:
    """A listener whose default rule forwards to the group."""
    arn: str = client("elbv2").create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )["Listeners"][0]["ListenerArn"]
    return arn


def cloud_map_service(client: Clients, vpc: str, namespace: str = "dev.local", name: str = "api") -> str:
    cloud_map = client("servicediscovery")
    operation_id = cloud_map.create_private_dns_namespace(Name=namespace, Vpc=vpc)["OperationId"]
    while (operation := cloud_map.get_operation(OperationId=operation_id)["Operation"])["Status"] != "SUCCESS":
        time.sleep(0.02)
    service: str = cloud_map.create_service(
        Name=name,
        NamespaceId=operation["Targets"]["NAMESPACE"],
        DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 10}]},
        HealthCheckCustomConfig={},
    )["Service"]["Id"]
    return service


def test_a_load_balancer_shows_its_listeners_and_rules_in_order(
    client: Clients, world: World, network: Any, balancer: dict[str, Any], listener: str
) -> None:
    for priority in (20, 10):
        condition = [{"Field": "path-pattern", "Values": [f"/{priority}"]}]
        client("elbv2").create_rule(ListenerArn=listener, Priority=priority, Conditions=condition, Actions=FIXED)
    (shown,) = world.load_balancers()
    assert (shown.name, shown.dns_name, shown.security_groups) == ("lb", balancer["DNSName"], (network.group,))
    assert shown.idle_timeout == 60
    assert sorted(address.rsplit(".", 1)[0] for address in shown.addresses) == ["10.0.1", "10.0.2"]
    (only,) = shown.listeners
    assert (only.arn, only.port, only.protocol) == (listener, 80, "HTTP")
    assert [rule.priority for rule in only.rules] == [10, 20, None]
    assert only.rules[0].conditions[0]["PathPatternConfig"] == {"Values": ["/10"]}
    assert only.rules[2].actions[0]["Type"] == "forward"


def test_a_target_group_shows_its_health_check_and_targets(world: World, group: str, listener: str) -> None:
    world.register_target(group, "10.0.1.9", 8001)
    shown = world.target_group(group)
    assert dataclasses.asdict(shown.health_check) == {
        "path": "/health",
        "port": "traffic-port",
        "protocol": "HTTP",
        "matcher": "200-299",
        "interval": 30.0,
        "timeout": 5.0,
        "healthy_threshold": 2,
        "unhealthy_threshold": 2,
    }
    assert [(each.address, each.port, each.state) for each in shown.targets] == [("10.0.1.9", 8001, "initial")]
    assert shown.attributes["deregistration_delay.timeout_seconds"] == "300"
    assert shown in world.target_groups()


def test_health_that_is_written_is_what_aws_tells(client: Clients, world: World, group: str, listener: str) -> None:
    world.register_target(group, "10.0.1.9", 8001)
    world.set_target_health(group, "10.0.1.9", 8001, "unhealthy", "Target.Timeout", "Request timed out")
    assert world.target_group(group).targets == (
        Target("10.0.1.9", 8001, "unhealthy", "Target.Timeout", "Request timed out"),
    )
    (told,) = client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    assert told["TargetHealth"]["Reason"] == "Target.Timeout"
    world.set_target_health(group, "10.0.1.9", 8001, "healthy")
    (told,) = client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    assert told["TargetHealth"] == {"State": "healthy"}


def test_a_target_of_a_group_that_no_load_balancer_uses_is_unused(world: World, group: str) -> None:
    world.register_target(group, "10.0.1.9", 8001)
    assert world.target_group(group).targets[0].state == "unused"
    assert world.target_group(group).load_balancers == ()


@pytest.mark.parametrize("scheme", ["internal", "internet-facing"])
def test_a_load_balancer_has_its_scheme(client: Clients, world: World, network: Any, scheme: str) -> None:
    client("elbv2").create_load_balancer(Name="lb", Subnets=network.subnets, Scheme=scheme)
    assert [each.scheme for each in world.load_balancers()] == [scheme]


def test_a_deregistered_target_drains_whatever_a_prober_says(world: World, group: str, listener: str) -> None:
    world.register_target(group, "10.0.1.9", 8001)
    world.deregister_target(group, "10.0.1.9", 8001)
    world.set_target_health(group, "10.0.1.9", 8001, "healthy")
    assert [each.state for each in world.target_group(group).targets] == ["draining"]


def test_a_target_that_has_drained_goes_without_anybody_writing(
    client: Clients, world: World, group: str, listener: str
) -> None:
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "6"}]
    client("elbv2").modify_target_group_attributes(TargetGroupArn=group, Attributes=delay)
    world.register_target(group, "10.0.1.9", 8001)
    world.deregister_target(group, "10.0.1.9", 8001)
    deadline = time.monotonic() + 5
    while world.target_group(group).targets:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_nothing_is_built_again_until_something_changes(
    client: Clients, world: World, group: str, listener: str, control_plane: ControlPlane
) -> None:
    before = world.load_balancers()
    client("elbv2").describe_load_balancers()
    assert world.load_balancers() is before
    world.register_target(group, "10.0.1.9", 8001)
    world.set_target_health(group, "10.0.1.9", 8001, "healthy")
    generation = control_plane.generation
    world.set_target_health(group, "10.0.1.9", 8001, "healthy")
    assert control_plane.generation == generation
    client("elbv2").create_rule(
        ListenerArn=listener, Priority=1, Conditions=[{"Field": "path-pattern", "Values": ["/a"]}], Actions=FIXED
    )
    assert len(world.load_balancers()[0].listeners[0].rules) == 2


def test_what_does_not_exist_is_unknown(world: World, network: Any) -> None:
    with pytest.raises(UnknownResourceError):
        world.target_group("arn:none")
    with pytest.raises(UnknownResourceError):
        world.register_target("arn:none", "10.0.1.9", 80)
    with pytest.raises(UnknownResourceError):
        world.certificate("arn:none")
    with pytest.raises(UnknownResourceError):
        world.register_instance("srv-none", "i", {"AWS_INSTANCE_IPV4": "10.0.1.9"})
    with pytest.raises(UnknownResourceError):
        world.attach_interface(network.subnets[0], ("sg-00000000",), "127.0.1.1", "")


def test_a_certificate_comes_with_its_key_and_the_chain_it_was_imported_with(client: Clients, world: World) -> None:
    def signed(name: str, key: Any, issuer: str, issuer_key: Any) -> str:
        now = datetime.now(UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(issuer_key, hashes.SHA256())
        )
        return built.public_bytes(serialization.Encoding.PEM).decode()

    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    chain, body = signed("root", root, "root", root), signed("*.hokus.ai", key, "root", root)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
    arn = client("acm").import_certificate(Certificate=body, PrivateKey=pem, CertificateChain=chain)["CertificateArn"]
    shown = world.certificate(arn)
    assert (shown.names, shown.body, shown.private_key) == (("*.hokus.ai",), body, pem)
    assert shown.chain.strip() == chain.strip()


@pytest.fixture
def zone(client: Clients, balancer: dict[str, Any]) -> None:
    """The public zone hokus.ai: an alias, a CNAME, an address and a wildcard."""
    route53 = client("route53")
    zone_id = route53.create_hosted_zone(Name="hokus.ai", CallerReference="1")["HostedZone"]["Id"]
    alias = {
        "HostedZoneId": balancer["CanonicalHostedZoneId"],
        "DNSName": f"dualstack.{balancer['DNSName']}.",
        "EvaluateTargetHealth": False,
    }
    records: list[dict[str, Any]] = [
        {"Name": "registry.hokus.ai", "Type": "A", "AliasTarget": alias},
        {"Name": "old.hokus.ai", "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "Registry.hokus.ai."}]},
        {"Name": "plain.hokus.ai", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "203.0.113.5"}]},
        {"Name": "loop.hokus.ai", "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "loop.hokus.ai"}]},
        {"Name": "*.apps.hokus.ai", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "203.0.113.6"}]},
    ]
    changes = [{"Action": "CREATE", "ResourceRecordSet": record} for record in records]
    route53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": changes})


@pytest.mark.usefixtures("zone")
def test_public_names_lead_to_load_balancers_and_addresses(world: World, balancer: dict[str, Any]) -> None:
    to_balancer = Answer(load_balancer=balancer["DNSName"])
    assert world.resolve_public("registry.hokus.ai") == to_balancer
    assert world.resolve_public("REGISTRY.hokus.ai.") == to_balancer
    assert world.resolve_public("old.hokus.ai") == to_balancer
    assert world.resolve_public(balancer["DNSName"]) == to_balancer
    assert world.resolve_public("plain.hokus.ai") == Answer(addresses=("203.0.113.5",))
    assert world.resolve_public("x.apps.hokus.ai") == Answer(addresses=("203.0.113.6",))
    for unknown in ("nowhere.hokus.ai", "hokus.ai", "example.com", "loop.hokus.ai"):
        assert world.resolve_public(unknown) == Answer()


def test_private_names_are_the_healthy_instances(client: Clients, world: World, network: Any) -> None:
    service = cloud_map_service(client, network.vpc)
    assert world.resolve_private("api.dev.local", network.vpc) == Answer()
    for instance, address in (("a", "10.0.1.8"), ("b", "10.0.1.9")):
        world.register_instance(service, instance, {"AWS_INSTANCE_IPV4": address})
    assert world.resolve_private("API.dev.local.", network.vpc) == Answer(addresses=("10.0.1.8", "10.0.1.9"))
    client("servicediscovery").update_instance_custom_health_status(
        ServiceId=service, InstanceId="a", Status="UNHEALTHY"
    )
    assert world.resolve_private("api.dev.local", network.vpc) == Answer(addresses=("10.0.1.9",))
    world.deregister_instance(service, "b")
    world.deregister_instance(service, "b")
    world.deregister_instance("srv-none", "b")
    assert world.resolve_private("api.dev.local", network.vpc) == Answer()
    assert world.resolve_private("mlflow.dev.local", network.vpc) == Answer()


def test_a_namespace_is_private_to_its_vpc(client: Clients, world: World, network: Any) -> None:
    world.register_instance(cloud_map_service(client, network.vpc), "a", {"AWS_INSTANCE_IPV4": "10.0.1.8"})
    assert world.resolve_private("api.dev.local", "vpc-other") == Answer()
    assert world.resolve_public("api.dev.local") == Answer()


def test_private_zones_are_asked_after_cloud_map(client: Clients, world: World, network: Any) -> None:
    route53 = client("route53")
    vpc = {"VPCRegion": "us-east-1", "VPCId": network.vpc}
    zone_id = route53.create_hosted_zone(
        Name="inside.local", CallerReference="1", VPC=vpc, HostedZoneConfig={"PrivateZone": True}
    )["HostedZone"]["Id"]
    record = {"Name": "db.inside.local", "Type": "A", "TTL": 5, "ResourceRecords": [{"Value": "10.0.2.7"}]}
    changes = [{"Action": "CREATE", "ResourceRecordSet": record}]
    route53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": changes})
    assert world.resolve_private("db.inside.local", network.vpc) == Answer(addresses=("10.0.2.7",))
    assert world.resolve_public("db.inside.local") == Answer()


def test_an_interface_is_an_eni_of_the_subnet_until_it_is_detached(client: Clients, world: World, network: Any) -> None:
    attached = world.attach_interface(network.subnets[0], (network.group,), "127.1.2.3", "ECS task t")
    assert attached == NetworkInterface("10.0.1.4", (network.group,), network.vpc, network.subnets[0], "127.1.2.3")
    assert world.interface("10.0.1.4") == attached
    (eni,) = client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    assert (eni["NetworkInterfaceId"], eni["PrivateIpAddress"]) == (world.interface_id("10.0.1.4"), "10.0.1.4")
    assert (eni["Description"], eni["Status"]) == ("ECS task t", "in-use")
    world.detach_interface("10.0.1.4")
    world.detach_interface("10.0.1.4")
    assert world.interface("10.0.1.4") is None
    assert client("ec2").describe_network_interfaces()["NetworkInterfaces"] == []


def test_an_address_is_not_given_out_again_and_a_reserved_one_never(world: World, network: Any) -> None:
    def attach() -> str:
        return world.attach_interface(network.subnets[0], (network.group,), "127.1.2.3", "").address

    assert attach() == "10.0.1.4"
    world.detach_interface("10.0.1.4")
    world.reserve_address("10.0.1.5")
    assert attach() == "10.0.1.6"


def test_a_full_subnet_has_no_address(client: Clients, world: World, network: Any) -> None:
    small = client("ec2").create_subnet(VpcId=network.vpc, CidrBlock="10.0.9.0/28")["Subnet"]["SubnetId"]
    given = [world.attach_interface(small, (network.group,), "127.1.2.3", "").address for _ in range(11)]
    assert (given[0], given[-1]) == ("10.0.9.4", "10.0.9.14")
    with pytest.raises(LookupError, match="no free address"):
        world.attach_interface(small, (network.group,), "127.1.2.3", "")
    world.detach_interface("10.0.9.7")
    assert world.attach_interface(small, (network.group,), "127.1.2.3", "").address == "10.0.9.7"


def permission(port: int, **peer: Any) -> list[dict[str, Any]]:
    return [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **peer}]


@pytest.fixture
def api(client: Clients, network: Any) -> str:
    """A second security group."""
    group: str = client("ec2").create_security_group(GroupName="api", Description="a", VpcId=network.vpc)["GroupId"]
    return group


def test_ingress_needs_a_rule_for_the_group_or_the_network_and_the_port(
    client: Clients, world: World, network: Any, api: str
) -> None:
    ec2, mlflow = client("ec2"), network.group

    def reaches(port: int, source: str = "10.0.1.4") -> bool:
        return world.allows((api,), source, (mlflow,), "10.0.2.4", port)

    assert not reaches(5000)
    by_group = permission(5000, UserIdGroupPairs=[{"GroupId": api}])
    ec2.authorize_security_group_ingress(GroupId=mlflow, IpPermissions=by_group)
    assert reaches(5000)
    assert not reaches(5001)
    assert not world.allows((mlflow,), "10.0.1.4", (mlflow,), "10.0.2.4", 5000)
    ec2.revoke_security_group_ingress(GroupId=mlflow, IpPermissions=by_group)
    assert not reaches(5000)
    by_network = permission(5000, IpRanges=[{"CidrIp": "10.0.1.0/24"}])
    ec2.authorize_security_group_ingress(GroupId=mlflow, IpPermissions=by_network)
    assert reaches(5000)
    assert not reaches(5000, source="10.0.3.4")


def test_egress_is_open_until_its_rule_is_revoked(client: Clients, world: World, network: Any, api: str) -> None:
    ec2, mlflow = client("ec2"), network.group
    ec2.authorize_security_group_ingress(
        GroupId=mlflow, IpPermissions=permission(5000, UserIdGroupPairs=[{"GroupId": api}])
    )
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=api, IpPermissions=everything)
    assert not world.allows((api,), "10.0.1.4", (mlflow,), "10.0.2.4", 5000)
    to_group = permission(5000, UserIdGroupPairs=[{"GroupId": mlflow}])
    ec2.authorize_security_group_egress(GroupId=api, IpPermissions=to_group)
    assert world.allows((api,), "10.0.1.4", (mlflow,), "10.0.2.4", 5000)


def test_udp_rules_let_no_tcp_through_and_the_outside_has_no_groups(
    client: Clients, world: World, network: Any
) -> None:
    ec2 = client("ec2")
    udp = [{"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    web = permission(443, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
    ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=udp + web)
    assert not world.allows((), "198.51.100.7", (network.group,), "10.0.2.4", 53)
    assert world.allows((), "198.51.100.7", (network.group,), "10.0.2.4", 443)
    assert world.allows((network.group,), "10.0.2.4", (), "198.51.100.7", 443)
    assert not world.allows(("sg-deleted",), "10.0.2.4", (), "198.51.100.7", 443)


def test_readers_and_writers_at_the_same_time_see_whole_states(world: World, group: str, listener: str) -> None:
    failures: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                world.load_balancers()
                assert len(world.target_group(group).targets) <= 1
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's to report
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(100):
        world.register_target(group, "10.0.1.9", 8001)
        world.deregister_target(group, "10.0.1.9", 8001)
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
