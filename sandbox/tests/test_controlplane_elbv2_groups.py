"""Target groups, listeners and load balancers answer as AWS does where moto would not."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox.controlplane import ControlPlane

Elb = Any
FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


@pytest.fixture
def elb(client: Callable[..., Any]) -> Elb:
    return client("elbv2")


@pytest.fixture
def balancer(elb: Elb, network: Any) -> dict[str, Any]:
    created: dict[str, Any] = elb.create_load_balancer(
        Name="lb", Subnets=network.subnets, SecurityGroups=[network.group]
    )["LoadBalancers"][0]
    return created


def group(elb: Elb, network: Any, **options: Any) -> dict[str, Any]:
    arguments = {"Name": "tg", "Protocol": "HTTP", "Port": 8001, "VpcId": network.vpc, "TargetType": "ip", **options}
    created: dict[str, Any] = elb.create_target_group(**arguments)["TargetGroups"][0]
    return created


def listen(elb: Elb, balancer: dict[str, Any], **options: Any) -> dict[str, Any]:
    arguments = {"Protocol": "HTTP", "Port": 80, "DefaultActions": FIXED, **options}
    created: dict[str, Any] = elb.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], **arguments)[
        "Listeners"
    ][0]
    return created


def use(elb: Elb, balancer: dict[str, Any], arn: str) -> None:
    listen(elb, balancer, DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}])


def states(elb: Elb, arn: str, **options: Any) -> dict[tuple[str, int], tuple[str, str]]:
    found = elb.describe_target_health(TargetGroupArn=arn, **options)["TargetHealthDescriptions"]
    return {
        (each["Target"]["Id"], each["Target"]["Port"]): (
            each["TargetHealth"]["State"],
            each["TargetHealth"].get("Reason", ""),
        )
        for each in found
    }


def refused(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    code: str = caught.value.response["Error"]["Code"]
    return code


@pytest.fixture
def certificate(client: Callable[..., Any]) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "*.hokus.ai")])
    now = datetime.now(UTC)
    body = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    arn: str = client("acm").import_certificate(
        Certificate=body.public_bytes(serialization.Encoding.PEM), PrivateKey=pem
    )["CertificateArn"]
    return arn


# target groups


def test_creating_the_same_group_again_finds_it_and_another_of_the_name_is_refused(elb: Elb, network: Any) -> None:
    first = group(elb, network)
    assert group(elb, network)["TargetGroupArn"] == first["TargetGroupArn"]
    with pytest.raises(ClientError, match="DuplicateTargetGroupName"):
        group(elb, network, HealthCheckPath="/health")
    assert len(elb.describe_target_groups()["TargetGroups"]) == 1
    assert elb.describe_target_groups()["TargetGroups"][0]["HealthCheckPath"] == "/"


def test_health_checks_that_elb_refuses(elb: Elb, network: Any) -> None:
    arn = group(elb, network)["TargetGroupArn"]
    for change in (
        {"HealthCheckIntervalSeconds": 301},
        {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 5},
        {"HealthCheckTimeoutSeconds": 121, "HealthCheckIntervalSeconds": 200},
        {"HealthyThresholdCount": 11},
        {"UnhealthyThresholdCount": 11},
        {"HealthCheckPath": "health"},
    ):
        before = elb.describe_target_groups()["TargetGroups"]
        assert refused(elb.modify_target_group, TargetGroupArn=arn, **change) == "ValidationError", change
        assert elb.describe_target_groups()["TargetGroups"] == before
        with pytest.raises(ClientError, match="ValidationError"):
            group(elb, network, Name="other", **change)


def test_attributes_are_awss_and_all_come_back(elb: Elb, network: Any) -> None:
    arn = group(elb, network)["TargetGroupArn"]
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "3600"}
    answer = elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])["Attributes"]
    assert delay in answer
    assert {"Key": "stickiness.lb_cookie.duration_seconds", "Value": "86400"} in answer
    for key, value in ((delay["Key"], "3601"), ("unheard.of", "1"), ("slow_start.duration_seconds", "5")):
        change = [{"Key": key, "Value": value}]
        assert refused(elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=change) == "ValidationError"


def test_targets_are_an_address_and_a_port(elb: Elb, network: Any, balancer: Any) -> None:
    arn = group(elb, network)["TargetGroupArn"]
    use(elb, balancer, arn)
    targets = [{"Id": "10.0.1.9", "Port": 8001}, {"Id": "10.0.1.9", "Port": 8002}]
    elb.register_targets(TargetGroupArn=arn, Targets=targets)
    initial = ("initial", "Elb.RegistrationInProgress")
    assert states(elb, arn) == {("10.0.1.9", 8001): initial, ("10.0.1.9", 8002): initial}


def test_the_states_of_a_target(elb: Elb, network: Any, balancer: Any, control_plane: ControlPlane) -> None:
    arn = group(elb, network)["TargetGroupArn"]
    target = [{"Id": "10.0.1.9"}]
    key = ("10.0.1.9", 8001)
    assert states(elb, arn, Targets=target) == {key: ("unused", "Target.NotRegistered")}
    elb.register_targets(TargetGroupArn=arn, Targets=target)
    assert states(elb, arn) == {key: ("unused", "Target.NotInUse")}
    use(elb, balancer, arn)
    assert states(elb, arn) == {key: ("initial", "Elb.RegistrationInProgress")}
    with control_plane.lock:
        held = control_plane.backend("elbv2").target_groups[arn]
        held.set_state("10.0.1.9", 8001, ("unhealthy", "Target.Timeout", "Request timed out"))
    assert states(elb, arn) == {key: ("unhealthy", "Target.Timeout")}
    elb.deregister_targets(TargetGroupArn=arn, Targets=target)
    assert states(elb, arn) == {key: ("draining", "Target.DeregistrationInProgress")}
    elb.register_targets(TargetGroupArn=arn, Targets=target)
    assert states(elb, arn) == {key: ("initial", "Elb.RegistrationInProgress")}


def test_a_drained_target_goes_by_itself(elb: Elb, network: Any, balancer: Any) -> None:
    arn = group(elb, network)["TargetGroupArn"]
    use(elb, balancer, arn)
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "90"}]
    elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=delay)
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.1.9"}])
    elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.1.9"}, {"Id": "10.0.1.10"}])
    assert states(elb, arn) == {("10.0.1.9", 8001): ("draining", "Target.DeregistrationInProgress")}
    deadline = time.monotonic() + 30
    while states(elb, arn):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("address", ["banana", "192.0.2.1"])
def test_a_target_must_have_an_address_of_the_vpc(elb: Elb, network: Any, address: str) -> None:
    arn = group(elb, network)["TargetGroupArn"]
    assert refused(elb.register_targets, TargetGroupArn=arn, Targets=[{"Id": address}]) == "ValidationError"


def test_a_group_names_its_load_balancer_once_and_not_for_ever(elb: Elb, network: Any, balancer: Any) -> None:
    arn = group(elb, network)["TargetGroupArn"]
    forward = [{"Type": "forward", "TargetGroupArn": arn}]
    listener = listen(elb, balancer, DefaultActions=forward)["ListenerArn"]
    condition = [{"Field": "path-pattern", "Values": ["/a"]}]
    rule = elb.create_rule(ListenerArn=listener, Priority=1, Conditions=condition, Actions=forward)["Rules"][0]

    def attached() -> list[str]:
        arns: list[str] = elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]["LoadBalancerArns"]
        return arns

    assert attached() == [balancer["LoadBalancerArn"]]
    assert refused(elb.delete_target_group, TargetGroupArn=arn) == "ResourceInUse"
    elb.delete_rule(RuleArn=rule["RuleArn"])
    elb.modify_listener(ListenerArn=listener, DefaultActions=FIXED)
    assert attached() == []
    elb.delete_target_group(TargetGroupArn=arn)


# listeners


def test_a_port_has_one_listener(elb: Elb, balancer: Any) -> None:
    listen(elb, balancer)
    with pytest.raises(ClientError, match="DuplicateListener"):
        listen(elb, balancer)
    second = listen(elb, balancer, Port=81)["ListenerArn"]
    assert refused(elb.modify_listener, ListenerArn=second, Port=80) == "DuplicateListener"


def test_https_needs_a_certificate_and_a_policy_that_exist(elb: Elb, balancer: Any, certificate: str) -> None:
    missing = certificate[:-4] + "0000"
    for options, code in (
        ({}, "ValidationError"),
        ({"Certificates": [{"CertificateArn": missing}]}, "CertificateNotFound"),
        ({"Certificates": [{"CertificateArn": certificate}], "SslPolicy": "none"}, "SSLPolicyNotFound"),
    ):
        with pytest.raises(ClientError, match=code):
            listen(elb, balancer, Protocol="HTTPS", Port=443, **options)
    listener = listen(
        elb, balancer, Protocol="HTTPS", Port=443, Certificates=[{"CertificateArn": certificate}], SslPolicy=POLICY
    )
    assert listener["SslPolicy"] == POLICY


def test_a_listener_shows_its_default_certificate_alone(
    elb: Elb, balancer: Any, certificate: str, client: Callable[..., Any]
) -> None:
    listener = listen(
        elb, balancer, Protocol="HTTPS", Port=443, Certificates=[{"CertificateArn": certificate}], SslPolicy=POLICY
    )["ListenerArn"]
    second = client("acm").request_certificate(DomainName="b.example")["CertificateArn"]
    elb.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": second}])
    (shown,) = elb.describe_listeners(ListenerArns=[listener])["Listeners"]
    assert shown["Certificates"] == [{"CertificateArn": certificate}]
    every = elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]
    assert [each["IsDefault"] for each in every] == [True, False]

    third = client("acm").request_certificate(DomainName="c.example")["CertificateArn"]
    elb.modify_listener(ListenerArn=listener, Certificates=[{"CertificateArn": third}])
    every = elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]
    assert [each["CertificateArn"] for each in every] == [third, second], "only the default is replaced"


def test_listener_attributes_are_awss(elb: Elb, balancer: Any) -> None:
    listener = listen(elb, balancer)["ListenerArn"]
    server = {"Key": "routing.http.response.server.enabled", "Value": "true"}
    assert server in elb.describe_listener_attributes(ListenerArn=listener)["Attributes"]
    change = [{"Key": "unheard.of", "Value": "1"}]
    assert refused(elb.modify_listener_attributes, ListenerArn=listener, Attributes=change) == "ValidationError"


# load balancers


def test_a_load_balancers_name_is_its_own(elb: Elb, network: Any, balancer: Any) -> None:
    same = elb.create_load_balancer(Name="lb", Subnets=network.subnets, SecurityGroups=[network.group])
    assert same["LoadBalancers"][0]["LoadBalancerArn"] == balancer["LoadBalancerArn"]
    arguments = {"Name": "lb", "Subnets": network.subnets, "Scheme": "internal"}
    assert refused(elb.create_load_balancer, **arguments) == "DuplicateLoadBalancerName"
    assert refused(elb.create_load_balancer, Name="x", Subnets=network.subnets[:1]) == "ValidationError"
    unknown = {"Name": "x", "Subnets": network.subnets, "SecurityGroups": ["sg-00000000"]}
    assert refused(elb.create_load_balancer, **unknown) == "InvalidSecurityGroup"


def test_one_unknown_name_among_known_ones_is_not_found(elb: Elb, balancer: Any) -> None:
    assert refused(elb.describe_load_balancers, Names=[balancer["LoadBalancerName"], "none"]) == "LoadBalancerNotFound"


def test_deletion_protection_protects(elb: Elb, balancer: Any) -> None:
    arn = balancer["LoadBalancerArn"]
    for value in ("true", "false"):
        change = [{"Key": "deletion_protection.enabled", "Value": value}]
        elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=change)
        if value == "true":
            assert refused(elb.delete_load_balancer, LoadBalancerArn=arn) == "OperationNotPermitted"
    elb.delete_load_balancer(LoadBalancerArn=arn)
    assert elb.describe_load_balancers()["LoadBalancers"] == []


def test_a_load_balancer_has_an_interface_in_each_subnet_until_it_goes(
    elb: Elb, network: Any, balancer: Any, client: Callable[..., Any]
) -> None:
    def interfaces() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client("ec2").describe_network_interfaces()["NetworkInterfaces"]
        return [each for each in found if each["Description"].startswith("ELB app/lb/")]

    assert sorted(each["SubnetId"] for each in interfaces()) == sorted(network.subnets)
    assert {group["GroupId"] for each in interfaces() for group in each["Groups"]} == {network.group}
    elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    assert interfaces() == []


def test_the_idle_timeout_is_a_minute_by_default(elb: Elb, balancer: Any) -> None:
    arn = balancer["LoadBalancerArn"]
    attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    assert {"Key": "idle_timeout.timeout_seconds", "Value": "60"} in attributes
