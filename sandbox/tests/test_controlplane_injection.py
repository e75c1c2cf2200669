"""Injection: errors in each service's words, by chance and by count, held calls, clocks, small pages."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.request
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.retries import standard

from sandbox.controlplane import ControlPlane, Fault
from sandbox.controlplane.clock import CLOCK
from sandbox.controlplane.faults import FOR_EVER

Clients = Callable[..., Any]
THROTTLED: Any = standard.ThrottledRetryableChecker
READS = [
    ("elbv2", "describe_load_balancers", "Throttling"),
    ("ec2", "describe_vpcs", "RequestLimitExceeded"),
    ("ecs", "list_clusters", "ThrottlingException"),
    ("servicediscovery", "list_namespaces", "RequestLimitExceeded"),
    ("ssm", "describe_parameters", "ThrottlingException"),
    ("route53", "list_hosted_zones", "Throttling"),
    ("s3", "list_buckets", "SlowDown"),
    ("kms", "list_keys", "ThrottlingException"),
    ("secretsmanager", "list_secrets", "ThrottlingException"),
    ("logs", "describe_log_groups", "ThrottlingException"),
    ("acm", "list_certificates", "ThrottlingException"),
    ("resourcegroupstaggingapi", "get_resources", "ThrottledException"),
]


def control(plane: ControlPlane, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"{plane.url}/_sandbox/{path}", data=data) as response:
        return json.load(response)


def error_of(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    code: str = caught.value.response["Error"]["Code"]
    return code


@pytest.mark.parametrize(("service", "operation", "code"), READS)
def test_throttling_is_in_each_services_own_words_and_one_that_the_standard_mode_repeats(
    control_plane: ControlPlane, client: Clients, service: str, operation: str, code: str
) -> None:
    control_plane.faults.add(Fault(f"{service}:.*", kind="throttle"))
    assert error_of(getattr(client(service), operation)) == code
    assert code in THROTTLED._THROTTLED_ERROR_CODES
    control_plane.faults.replace([Fault(f"{service}:.*", kind="throttle", times=1)])
    retrying = client(service, retries={"mode": "standard", "total_max_attempts": 3})
    getattr(retrying, operation)()


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("expired", {"elbv2": "ExpiredToken", "ec2": "RequestExpired", "ecs": "ExpiredTokenException"}),
        ("denied", {"elbv2": "AccessDenied", "ec2": "UnauthorizedOperation", "ecs": "AccessDeniedException"}),
        ("5xx", {"elbv2": "InternalFailure", "ec2": "InternalError", "ecs": "ServerException"}),
    ],
)
def test_other_errors_too_have_the_code_of_the_service(
    control_plane: ControlPlane, client: Clients, kind: str, codes: dict[str, str]
) -> None:
    control_plane.faults.add(Fault(".*", kind=kind, times=FOR_EVER))
    calls = {"elbv2": "describe_load_balancers", "ec2": "describe_vpcs", "ecs": "list_clusters"}
    assert {service: error_of(getattr(client(service), call)) for service, call in calls.items()} == codes


def test_a_probability_hits_its_share_and_a_seed_hits_the_same_calls_again(
    control_plane: ControlPlane, client: Clients
) -> None:
    def outcomes() -> list[bool]:
        control_plane.faults.replace([Fault("ecs:.*", kind="throttle", times=FOR_EVER, probability=0.3, seed=7)])
        found = []
        for _ in range(60):
            try:
                client("ecs").list_clusters()
                found.append(True)
            except ClientError:
                found.append(False)
        return found

    first = outcomes()
    assert 8 <= first.count(False) <= 28
    assert outcomes() == first


def test_skipped_calls_pass_and_only_writes_are_hit(control_plane: ControlPlane, client: Clients) -> None:
    control_plane.faults.add(Fault("ecs:.*", kind="denied", only="writes", skip=1))
    ecs = client("ecs")
    ecs.create_cluster(clusterName="first")
    ecs.list_clusters()
    assert error_of(ecs.create_cluster, clusterName="second") == "AccessDeniedException"
    ecs.create_cluster(clusterName="third")


def test_one_owners_faults_end_and_the_others_stay(control_plane: ControlPlane) -> None:
    throttled = {"match": ".*", "kind": "throttle", "times": -1}
    control(control_plane, "faults/add", {"faults": [{**throttled, "owner": "O02"}, {**throttled, "owner": "mine"}]})
    assert control(control_plane, "faults/remove", {"owner": "O02"}) == {"removed": 1}
    assert [fault["owner"] for fault in control(control_plane, "faults")["faults"]] == ["mine"]


@pytest.mark.parametrize(
    "wrong", [{"kind": "slow"}, {"only": "both"}, {"probability": 1.5}], ids=lambda given: next(iter(given))
)
def test_what_is_no_fault_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Fault.parse({"match": ".*", **wrong})


class Held:
    """A CreateCluster in a thread of its own, which is held."""

    def __init__(self, plane: ControlPlane, client: Clients, *, after: bool) -> None:
        self.plane, self.failure = plane, ""
        plane.faults.add(Fault("ecs:CreateCluster", hold=True, after=after))
        self.ecs = client("ecs")
        self.thread = threading.Thread(target=self._create)
        self.thread.start()
        deadline = time.monotonic() + 5
        while not self.held():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _create(self) -> None:
        try:
            self.ecs.create_cluster(clusterName="c")
        except ConnectionClosedError as error:
            self.failure = type(error).__name__

    def held(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = control(self.plane, "held")["held"]
        return found

    def clusters(self) -> int:
        return len(self.ecs.list_clusters()["clusterArns"])

    def release(self, outcome: str) -> str:
        assert control(self.plane, "held/release", {"outcome": outcome}) == {"released": 1}
        self.thread.join(5)
        return self.failure


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("outcome", ["proceed", "drop"])
def test_a_held_write_waits_before_or_after_its_effect_until_it_is_released(
    control_plane: ControlPlane, client: Clients, after: bool, outcome: str
) -> None:
    call = Held(control_plane, client, after=after)
    assert [(one["action"], one["landed"]) for one in call.held()] == [("CreateCluster", after)]
    assert call.clusters() == int(after)
    assert call.release(outcome) == ("" if outcome == "proceed" else "ConnectionClosedError")
    assert call.clusters() == int(after or outcome == "proceed")
    assert call.held() == []
    (write,) = control(control_plane, "writes")["writes"]
    assert (write["landed"], write["answered"]) == (after or outcome == "proceed", outcome == "proceed")


def test_a_client_that_is_killed_while_its_write_is_held_never_wrote(
    control_plane: ControlPlane, client: Clients
) -> None:
    control_plane.faults.add(Fault("ecs:CreateCluster", hold=True))
    impatient = client("ecs", read_timeout=0.3)
    with pytest.raises(Exception, match="Read timeout"):
        impatient.create_cluster(clusterName="c")
    deadline = time.monotonic() + 5
    while control_plane.holds.as_list():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert client("ecs").list_clusters()["clusterArns"] == []
    assert [(one["landed"], one["answered"]) for one in control_plane.writes.as_list()] == [(False, False)]


def test_writes_are_logged_in_order_with_what_became_of_them(control_plane: ControlPlane, client: Clients) -> None:
    ecs, ssm = client("ecs"), client("ssm")
    begun = time.time()
    first = ecs.create_cluster(clusterName="a")["ResponseMetadata"]["RequestId"]
    ecs.list_clusters()
    ssm.put_parameter(Name="/a", Value="v", Type="String")
    error_of(ssm.put_parameter, Name="/a", Value="v", Type="String")
    control_plane.faults.add(Fault("ecs:CreateCluster", kind="throttle"))
    error_of(ecs.create_cluster, clusterName="b")
    control_plane.faults.add(Fault("ecs:CreateCluster", after=True))
    with pytest.raises(ConnectionClosedError):
        ecs.create_cluster(clusterName="c")
    log = control(control_plane, "writes")["writes"]
    assert [(one["number"], one["action"], one["error"], one["landed"], one["answered"]) for one in log] == [
        (1, "CreateCluster", "", True, True),
        (2, "PutParameter", "", True, True),
        (3, "PutParameter", "ParameterAlreadyExists", False, True),
        (4, "CreateCluster", "ThrottlingException", False, True),
        (5, "CreateCluster", "", True, False),
    ]
    assert log[0]["request_id"] == first
    assert begun <= log[0]["time"] <= log[4]["time"] <= time.time()
    control(control_plane, "calls/reset", {})
    assert control(control_plane, "writes") == {"writes": []}


def test_stale_reads_of_rest_services_are_those_of_the_same_path(control_plane: ControlPlane, client: Clients) -> None:
    s3 = client("s3", s3={"addressing_style": "path"})
    s3.create_bucket(Bucket="bucket")
    for key in ("a", "b"):
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode())
    control_plane.faults.add(Fault("s3:PutObject", lag=5))
    assert [s3.get_object(Bucket="bucket", Key=key)["Body"].read() for key in ("a", "b")] == [b"a", b"b"]
    s3.put_object(Bucket="bucket", Key="a", Body=b"new")
    assert [s3.get_object(Bucket="bucket", Key=key)["Body"].read() for key in ("a", "b")] == [b"a", b"b"]
    control_plane.faults.replace([])
    assert s3.get_object(Bucket="bucket", Key="a")["Body"].read() == b"new"


def test_the_clock_shows_in_every_answers_date_and_in_parameters(control_plane: ControlPlane, client: Clients) -> None:
    control(control_plane, "clock", {"offset": -200})
    answer = client("ssm").put_parameter(Name="/lock", Value="v", Type="String")
    date = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    modified = client("ssm").get_parameter(Name="/lock")["Parameter"]["LastModifiedDate"]
    assert abs(date.timestamp() - (time.time() - 200)) < 3
    assert abs(modified.timestamp() - (time.time() - 200)) < 3


def test_a_clock_too_far_off_refuses_every_signature_until_it_is_set_right(
    control_plane: ControlPlane, client: Clients
) -> None:
    control(control_plane, "clock", {"offset": 900})
    assert error_of(client("elbv2").describe_load_balancers) == "SignatureDoesNotMatch"
    assert error_of(client("ecs").create_cluster, clusterName="c") == "InvalidSignatureException"
    control(control_plane, "clock", {"offset": 0})
    assert client("ecs").list_clusters()["clusterArns"] == []
    assert CLOCK.offset == 0


def test_small_pages_hide_the_rest_from_a_client_that_does_not_paginate(
    control_plane: ControlPlane, client: Clients, network: Any
) -> None:
    elbv2 = client("elbv2")
    for number in range(3):
        elbv2.create_load_balancer(Name=f"lb-{number}", Subnets=network.subnets)
        client("ecs").create_cluster(clusterName=f"c-{number}")
    control_plane.faults.add(Fault(".*", page=2, times=FOR_EVER))
    assert len(elbv2.describe_load_balancers()["LoadBalancers"]) == 2
    assert len(client("ecs").list_clusters()["clusterArns"]) == 2
    pages = elbv2.get_paginator("describe_load_balancers").paginate().build_full_result()
    assert len(pages["LoadBalancers"]) == 3
    assert len(client("ecs").get_paginator("list_clusters").paginate().build_full_result()["clusterArns"]) == 3


def test_a_parameter_is_a_lock(client: Clients) -> None:
    ssm = client("ssm")

    def put(**more: Any) -> int:
        version: int = ssm.put_parameter(Name="/lock", Value="v", Type="String", **more)["Version"]
        return version

    assert put() == 1
    assert error_of(put) == "ParameterAlreadyExists"
    assert [put(Overwrite=True) for _ in range(3)] == [2, 3, 4]
    ssm.delete_parameter(Name="/lock")
    assert error_of(ssm.get_parameter, Name="/lock") == error_of(ssm.delete_parameter, Name="/lock")
    assert put(Overwrite=True) == 1


def test_a_bucket_keeps_versions_and_refuses_what_is_there(client: Clients) -> None:
    s3 = client("s3", s3={"addressing_style": "path"})
    s3.create_bucket(Bucket="records")
    s3.put_bucket_versioning(Bucket="records", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="records", Key="k", Body=b"1", IfNoneMatch="*")["VersionId"]
    assert error_of(s3.put_object, Bucket="records", Key="k", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    second = s3.put_object(Bucket="records", Key="k", Body=b"2")["VersionId"]
    assert s3.get_object(Bucket="records", Key="k", VersionId=first)["Body"].read() == b"1"
    assert [one["VersionId"] for one in s3.list_object_versions(Bucket="records")["Versions"]] == [second, first]


def test_a_mac_is_verified_by_its_key_alone(client: Clients, control_plane: ControlPlane) -> None:
    kms = client("kms")
    keys = [kms.create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")["KeyMetadata"]["Arn"] for _ in range(2)]
    kms.create_alias(AliasName="alias/runs", TargetKeyId=keys[0])
    before = control_plane.generation
    asked = {"MacAlgorithm": "HMAC_SHA_256", "Message": b"m"}
    made = kms.generate_mac(KeyId="alias/runs", **asked)
    assert made["KeyId"] == keys[0]
    assert kms.verify_mac(KeyId=keys[0], Mac=made["Mac"], **asked)["MacValid"]
    assert kms.verify_mac(KeyId="alias/runs", Mac=made["Mac"], **asked)["KeyId"] == keys[0]
    assert control_plane.generation == before
    assert error_of(kms.verify_mac, KeyId=keys[1], Mac=made["Mac"], **asked) == "KMSInvalidMacException"
    forged = base64.b64encode(made["Mac"])[:32]
    assert error_of(kms.verify_mac, KeyId=keys[0], Mac=forged, **asked) == "KMSInvalidMacException"
    assert error_of(kms.generate_mac, KeyId=keys[0], **{**asked, "MacAlgorithm": "HMAC_SHA_512"}) == (
        "InvalidKeyUsageException"
    )
    assert error_of(kms.generate_mac, KeyId=keys[0], **{**asked, "Message": b"m" * 4097}) == "ValidationException"
    kms.disable_key(KeyId=keys[0].rpartition("/")[2])
    assert error_of(kms.generate_mac, KeyId=keys[0], **asked) == "DisabledException"
