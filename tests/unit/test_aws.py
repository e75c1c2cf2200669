"""The edge to AWS: what is wrong with credentials is told, and an error that is ours says what to check."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import moto.sts.models
import pytest
from ansible_collections.hokusai.platform.plugins.module_utils.aws import LONGEST_PAUSE, TRIES, Aws, guarded, is_lost
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, BadInput, calling
from botocore.awsrequest import AWSResponse
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from sandbox.controlplane import ControlPlane, Fault
from tests.unit.conftest import CountingAws

ROLE = "arn:aws:iam::123456789012:role/platform"
REGION = {"region": "us-east-1"}


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No credentials but those of the test."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_no_credentials_at_all_are_named() -> None:
    with pytest.raises(BadInput, match="no AWS credentials were found"):
        Aws(REGION)


def test_an_access_key_of_the_environment_without_its_secret_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    with pytest.raises(BadInput, match="missing: AWS_SECRET_ACCESS_KEY") as refused:
        Aws(REGION)
    assert "both halves" in refused.value.remedy


@pytest.mark.parametrize("half", ["access_key", "secret_key"])
def test_half_a_key_among_the_options_is_refused(half: str) -> None:
    with pytest.raises(BadInput, match="Only one of the options access_key and secret_key"):
        Aws({**REGION, half: "testing"})


def test_a_value_that_the_api_does_not_accept_points_at_the_option_and_not_at_the_network() -> None:
    client = Aws({**REGION, "access_key": "testing", "secret_key": "testing"}).ecs
    with pytest.raises(AwsError, match="Invalid type for parameter cluster") as refused, calling("describe"):
        client.describe_services(cluster=42, services=["a"])
    assert refused.value.code == "ParamValidationError"
    assert "check the option that the message names" in refused.value.remedy


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("ThrottlingException", "run again later"),
        ("InvalidConfigurationRequest", "first give the rules of the target group stickiness_seconds"),
        ("ServiceNotActiveException", "API reference under UpdateService"),
    ],
)
def test_every_error_of_aws_has_a_remedy(code: str, remedy: str) -> None:
    with pytest.raises(AwsError) as refused, calling("update the service"):
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "UpdateService")
    assert remedy in refused.value.remedy
    assert code in str(refused.value)


@pytest.mark.parametrize(
    ("code", "message", "remedy"),
    [
        ("IncompleteSignature", "Credential must have exactly 5 elements, got '{}/20260101'", "swapped"),
        ("IncompleteSignatureException", "Credential must have exactly 5 elements, got '{}/20260101'", "swapped"),
        ("AuthorizationHeaderMalformed", "Credential must have exactly 5 elements, got '{}/20260101'", "swapped"),
        ("SignatureDoesNotMatch", "The Canonical String should have been 'x-amz-security-token:{}'", "clock"),
        ("InvalidSignatureException", "The Canonical String should have been 'x-amz-security-token:{}'", "clock"),
    ],
)
def test_what_aws_repeats_of_a_signature_it_refuses_is_left_out(code: str, message: str, remedy: str) -> None:
    secret = "made/up+secret"
    answer = {"Error": {"Code": code, "Message": message.format(secret)}}
    wanted = f"Could not list: AWS answered {code}. Remedy: .*{remedy}"
    with pytest.raises(AwsError, match=wanted) as refused, calling("list"):
        raise ClientError(answer, "ListServices")  # type: ignore[arg-type]
    assert secret not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (ConnectionClosedError(endpoint_url="u"), True),
        (ReadTimeoutError(endpoint_url="u"), True),
        (EndpointConnectionError(endpoint_url="u"), False),
        (ConnectTimeoutError(endpoint_url="u"), False),
    ],
)
def test_without_an_answer_a_call_may_have_taken_effect_unless_it_was_never_sent(error: Exception, lost: bool) -> None:
    assert is_lost(None, error) is lost


@pytest.mark.parametrize(
    ("status", "code", "lost"),
    [
        (200, "", False),
        (400, "ValidationError", False),
        (403, "AccessDenied", False),
        (400, "ThrottlingException", False),
        (503, "RequestLimitExceeded", False),
        (503, "SlowDown", False),
        (503, "TooManyUpdates", False),
        (400, "PriorRequestNotComplete", False),
        (400, "RequestTimeout", True),
        (500, "InternalFailure", True),
        (502, "502", True),
        (503, "ServiceUnavailable", True),
    ],
)
def test_after_an_error_a_call_may_have_taken_effect_when_aws_failed_at_it(status: int, code: str, lost: bool) -> None:
    response = AWSResponse("u", status, {}, None)
    assert is_lost((response, {"Error": {"Code": code}} if code else {}), None) is lost


@pytest.fixture
def assume(
    control_plane: ControlPlane, aws_options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., CountingAws]:
    """Assume the role by credentials that are issued for so many seconds first; for an hour when it is done again."""

    def assumed(seconds: int) -> CountingAws:
        make, issued = moto.sts.models.AssumedRole.__init__, iter([seconds])

        def short(role: Any, *args: Any, **kwargs: Any) -> None:
            make(role, *args, **kwargs)
            role.expiration += timedelta(seconds=next(issued, 3600) - 3600)

        monkeypatch.setattr(moto.sts.models.AssumedRole, "__init__", short)
        return CountingAws({**aws_options, "assume_role_arn": ROLE})

    return assumed


def signers(aws: CountingAws) -> list[str]:
    """The keys that the calls to SSM are signed with, from now on."""
    seen: list[str] = []

    def see(request: Any, **_: Any) -> None:
        seen.append(str(request.headers["Authorization"]).split("Credential=")[1].split("/")[0])

    aws.ssm.meta.events.register("before-send", see)
    return seen


@pytest.mark.parametrize(("seconds", "assumed"), [(3600, 1), (60, 2), (-60, 2)])
def test_a_role_is_assumed_again_when_what_it_was_issued_expires(
    seconds: int, assumed: int, assume: Callable[..., CountingAws]
) -> None:
    aws = assume(seconds)
    first = aws._session._session.get_credentials()._access_key
    keys = signers(aws)
    for _call in range(3):
        aws.ssm.get_parameters(Names=["/one"])
    assert aws.calls["sts:AssumeRole"] == assumed
    assert len(set(keys)) == 1
    assert (keys[0] == first) == (assumed == 1)
    assert aws.region == "us-east-1"


def test_a_role_that_is_refused_is_told_at_once(
    assume: Callable[..., CountingAws], control_plane: ControlPlane
) -> None:
    control_plane.faults.add(Fault("sts:AssumeRole", kind="denied"))
    with pytest.raises(AwsError, match=f"Could not assume the role {ROLE}: AWS answered AccessDenied"):
        assume(3600)


@pytest.mark.parametrize("code", ["AccessDenied", "SignatureDoesNotMatch"])
def test_a_role_that_is_refused_when_it_is_assumed_again_is_told_in_the_call_that_needs_it(
    code: str, assume: Callable[..., CountingAws], control_plane: ControlPlane
) -> None:
    aws = assume(60)
    control_plane.faults.add(Fault("sts:AssumeRole", code=code, status=403, message="sent was made/up+secret"))
    with pytest.raises(AwsError, match=f"Could not assume the role {ROLE}") as refused, calling("list"):
        aws.ssm.get_parameters(Names=["/one"])
    assert refused.value.code == code
    told = "".join(traceback.format_exception(refused.value))
    assert ("made/up+secret" in told) == (code == "AccessDenied")


class Asked:
    """A guard that notes what it is asked about, and looks at something itself before a further try."""

    def __init__(self, aws: CountingAws) -> None:
        self.aws = aws
        self.about: list[str] = []

    def lost(self, verb: str) -> bool:
        self.about.append(verb)
        return True

    def again(self, verb: str) -> None:
        self.about.append(verb)
        self.aws.ssm.get_parameters(Names=["/one"])


def test_who_guards_a_call_is_not_asked_about_the_role_that_is_assumed_for_it(
    assume: Callable[..., CountingAws], control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = assume(60)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    control_plane.faults.add(Fault("sts:AssumeRole", code="InternalFailure", status=500, after=True))
    guard = Asked(aws)
    with guarded(guard):
        aws.ssm.put_parameter(Name="/one", Value="1", Type="String")
    assert control_plane.calls.count("sts:AssumeRole") == 3
    assert guard.about == []


def test_a_parameter_that_others_write_at_the_same_time_is_written_after_a_while(
    aws: CountingAws, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    control_plane.faults.add(Fault("ssm:PutParameter", code="TooManyUpdates", times=TRIES - 1))
    aws.ssm.put_parameter(Name="/one", Value="1", Type="String")
    pauses = [seconds for seconds in waited if seconds]  # the sandbox's delay is none
    assert len(pauses) == TRIES - 1
    assert max(pauses) <= LONGEST_PAUSE


def test_a_parameter_that_others_never_let_be_written_is_given_up(
    aws: CountingAws, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    control_plane.faults.add(Fault("ssm:PutParameter", code="TooManyUpdates", times=-1))
    with pytest.raises(AwsError, match="others went on writing the same SSM parameter"), calling("write"):
        aws.ssm.put_parameter(Name="/one", Value="1", Type="String")
    assert control_plane.calls.count("ssm:PutParameter") == TRIES
