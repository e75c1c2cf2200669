"""The wrapper round moto: counts, faults, gaps reported as such, control endpoints, services left as they are."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from sandbox.controlplane import ControlPlane, Fault
from sandbox.controlplane.errors import render_error

Clients = Callable[..., Any]
RETRYING = {"retries": {"mode": "standard", "total_max_attempts": 4}}


def control(plane: ControlPlane, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"{plane.url}/_sandbox/{path}", data=data) as response:
        return json.load(response)


def test_calls_are_counted_by_client_name_and_apart_as_reads_and_writes(
    control_plane: ControlPlane, client: Clients, network: Any
) -> None:
    control(control_plane, "calls/reset", {})
    client("elbv2").describe_load_balancers()
    client("sts").get_caller_identity()
    client("sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="session")
    client("route53").create_hosted_zone(Name="hokus.ai", CallerReference="1")
    client("route53").list_hosted_zones()
    client("cloudwatch").describe_alarms()
    client("ec2").create_tags(Resources=[network.vpc], Tags=[{"Key": "k", "Value": "v"}])
    assert control(control_plane, "calls") == {
        "reads": 5,
        "writes": 2,
        "actions": {
            "cloudwatch:DescribeAlarms": 1,
            "ec2:CreateTags": 1,
            "elbv2:DescribeLoadBalancers": 1,
            "route53:CreateHostedZone": 1,
            "route53:ListHostedZones": 1,
            "sts:AssumeRole": 1,
            "sts:GetCallerIdentity": 1,
        },
    }
    assert control_plane.calls.count("ec2:CreateTags") == 1
    assert control(control_plane, "calls/reset", {})["writes"] == 2
    assert control_plane.calls.writes == control_plane.calls.reads == 0


def test_every_write_moves_the_generation_and_no_read_does(control_plane: ControlPlane, client: Clients) -> None:
    before = control_plane.generation
    client("ecs").list_clusters()
    assert control_plane.generation == before
    client("ecs").create_cluster(clusterName="c")
    assert control_plane.generation > before
    assert control(control_plane, "health") == {"status": "ok", "generation": control_plane.generation}


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("elbv2", "describe_trust_stores", {}),
        ("ec2", "get_security_groups_for_vpc", {"VpcId": "vpc-1"}),
        ("ecs", "list_services_by_namespace", {"namespace": "n"}),
        ("cloudwatch", "get_metric_widget_image", {"MetricWidget": "{}"}),
        ("networkmonitor", "list_monitors", {}),
    ],
)
def test_what_moto_lacks_is_a_clear_refusal_that_is_not_retried(
    control_plane: ControlPlane, client: Clients, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ClientError, match="the sandbox cannot answer") as caught:
        getattr(client(service, **RETRYING), operation)(**arguments)
    assert caught.value.response["Error"]["Code"] == "SandboxUnsupported"
    assert control_plane.calls.as_dict()["reads"] == 1


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("elbv2", "describe_load_balancers"),
        ("ec2", "describe_vpcs"),
        ("ecs", "list_clusters"),
        ("servicediscovery", "list_namespaces"),
        ("route53", "list_hosted_zones"),
        ("s3", "list_buckets"),
        ("cloudwatch", "describe_alarms"),
        ("ssm", "describe_parameters"),
    ],
)
def test_a_fault_is_an_error_of_the_services_own_protocol(
    control_plane: ControlPlane, client: Clients, service: str, operation: str
) -> None:
    control_plane.faults.add(Fault(match=f"{service}:.*", code="Throttling", message="slow & steady"))
    with pytest.raises(ClientError) as caught:
        getattr(client(service), operation)()
    assert caught.value.response["Error"]["Code"] == "Throttling"
    assert caught.value.response["Error"]["Message"] == "slow & steady"
    getattr(client(service), operation)()


def test_a_cbor_error_is_a_cbor_map() -> None:
    answer = render_error("cbor", "Throttling", "slow", 400)
    assert answer.body == b"\xa2" + b"".join(
        b"\x7a" + len(text).to_bytes(4, "big") + text for text in (b"__type", b"Throttling", b"message", b"slow")
    )
    assert ("smithy-protocol", "rpc-v2-cbor") in answer.headers


def test_standard_retries_outlast_throttling(control_plane: ControlPlane, client: Clients) -> None:
    control(control_plane, "faults", {"faults": [{"match": "ecs:List.*", "times": 2, "code": "ThrottlingException"}]})
    client("ecs", **RETRYING).list_clusters()
    assert control_plane.calls.count("ecs:ListClusters") == 3
    assert control(control_plane, "faults") == {"faults": []}


def test_a_lost_response_is_an_error_to_the_client_though_the_write_landed(
    control_plane: ControlPlane, client: Clients
) -> None:
    control_plane.faults.add(Fault(match="ecs:CreateCluster", after=True, code="ServerException", status=500))
    with pytest.raises(ClientError):
        client("ecs").create_cluster(clusterName="seen")
    control_plane.faults.add(Fault(match="ecs:CreateCluster", after=True))
    with pytest.raises(ConnectionClosedError):
        client("ecs").create_cluster(clusterName="unseen")
    arns = client("ecs").list_clusters()["clusterArns"]
    assert [arn.rsplit("/", 1)[-1] for arn in arns] == ["seen", "unseen"]


def test_reads_lag_behind_a_write(control_plane: ControlPlane, client: Clients) -> None:
    ecs = client("ecs")
    control_plane.faults.add(Fault(match="ecs:Create.*", lag=0.3))
    assert ecs.list_clusters()["clusterArns"] == []
    ecs.create_cluster(clusterName="late")
    assert ecs.list_clusters()["clusterArns"] == []
    deadline = time.monotonic() + 5
    while not ecs.list_clusters()["clusterArns"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_delay_delays(control_plane: ControlPlane, client: Clients) -> None:
    ecs = client("ecs")
    ecs.list_clusters()
    control_plane.faults.add(Fault(match="ecs:ListClusters", times=-1, delay=0.2))
    for _ in range(2):
        begun = time.monotonic()
        ecs.list_clusters()
        assert time.monotonic() - begun >= 0.2


def test_a_fault_that_is_not_one_is_refused(control_plane: ControlPlane) -> None:
    for body in ({"faults": [{"code": "X"}]}, {"faults": [{"match": "("}]}, {"faults": [{"match": "a", "x": 1}]}, {}):
        with pytest.raises(urllib.error.HTTPError) as caught:
            control(control_plane, "faults", body)
        assert caught.value.code == 400
        assert json.load(caught.value)["error"]


def test_other_parts_add_their_own_endpoints(control_plane: ControlPlane) -> None:
    control_plane.endpoints.add("POST", "tasks/stop", lambda body: {"stopped": body["task"]})
    assert control(control_plane, "tasks/stop", {"task": "t"}) == {"stopped": "t"}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        control(control_plane, "nothing")


def test_calls_at_the_same_time_do_not_disturb_one_another(control_plane: ControlPlane, client: Clients) -> None:
    ecs = client("ecs", max_pool_connections=8)
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            for round_number in range(10):
                ecs.create_cluster(clusterName=f"c{number}-{round_number}")
        except Exception as error:  # noqa: BLE001 - a thread's failure is the test's to report
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(control_plane.backend("ecs").clusters) == 60


def test_a_reset_leaves_an_empty_account(client: Clients, control_plane: ControlPlane) -> None:
    client("ecs").create_cluster(clusterName="c")
    control_plane.faults.add(Fault(match=".*", code="Throttling"))
    generation = control_plane.generation
    control_plane.reset()
    assert control_plane.generation > generation
    assert client("ecs").list_clusters()["clusterArns"] == []
    assert control_plane.calls.as_dict() == {"reads": 1, "writes": 0, "actions": {"ecs:ListClusters": 1}}


def test_it_starts_on_a_port_of_its_own_and_stops() -> None:
    plane = ControlPlane()
    with pytest.raises(RuntimeError, match="not started"):
        _ = plane.url
    plane.start()
    assert control(plane, "health")["status"] == "ok"
    url = plane.url
    plane.stop()
    plane.stop()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}/_sandbox/health")


def test_the_services_that_are_motos_own_work_through_the_wrapper(client: Clients) -> None:
    client("ssm").put_parameter(Name="/a", Value="v", Type="SecureString")
    assert client("ssm").get_parameter(Name="/a", WithDecryption=True)["Parameter"]["Value"] == "v"
    client("secretsmanager").create_secret(Name="s", SecretString="v")
    assert client("secretsmanager").get_secret_value(SecretId="s")["SecretString"] == "v"
    logs = client("logs")
    logs.create_log_group(logGroupName="/ecs/a")
    logs.create_log_stream(logGroupName="/ecs/a", logStreamName="t")
    now = int(time.time() * 1000)
    logs.put_log_events(logGroupName="/ecs/a", logStreamName="t", logEvents=[{"timestamp": now, "message": "hello"}])
    assert [each["message"] for each in logs.filter_log_events(logGroupName="/ecs/a")["events"]] == ["hello"]
    client("cloudwatch").put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Value": 1.0}])
    assert client("cloudwatch").list_metrics(Namespace="n")["Metrics"][0]["MetricName"] == "m"
    client("s3").create_bucket(Bucket="bucket")
    client("s3").put_object(Bucket="bucket", Key="k", Body=b"v")
    assert client("s3").get_object(Bucket="bucket", Key="k")["Body"].read() == b"v"
    assert client("sts").get_caller_identity()["Account"] == "123456789012"


def test_regions_are_apart(client: Clients) -> None:
    client("ecs").create_cluster(clusterName="c")
    assert client("ecs", region="eu-west-1").list_clusters()["clusterArns"] == []


def test_tagged_resources_are_found_across_services(client: Clients, network: Any) -> None:
    tag = {"Key": "environment", "Value": "development"}
    client("elbv2").create_load_balancer(Name="lb", Subnets=network.subnets, Tags=[tag])
    client("ec2").create_tags(Resources=[network.group], Tags=[tag])
    wanted = [{"Key": "environment", "Values": ["development"]}]
    found = client("resourcegroupstaggingapi").get_resources(TagFilters=wanted)["ResourceTagMappingList"]
    assert sorted(each["ResourceARN"].split(":")[2] for each in found) == ["ec2", "elasticloadbalancing"]


@pytest.mark.parametrize(
    ("service", "action", "code"),
    [
        ("ecs", "list_clusters", "IncompleteSignatureException"),
        ("elbv2", "describe_load_balancers", "IncompleteSignature"),
        ("ec2", "describe_vpcs", "AuthFailure"),
        ("s3", "list_buckets", "AuthorizationHeaderMalformed"),
    ],
)
def test_a_secret_key_in_the_place_of_an_access_keys_id_is_refused_as_aws_does(
    control_plane: ControlPlane, service: str, action: str, code: str
) -> None:
    swapped = boto3.session.Session("made/up+secret", "testing", region_name="us-east-1")
    client: Any = swapped.client(service, endpoint_url=control_plane.url)  # type: ignore[call-overload]
    with pytest.raises(ClientError) as refused:
        getattr(client, action)()
    assert refused.value.response["Error"]["Code"] == code
    assert service == "ec2" or "got 'made/up+secret'" in str(refused.value)
