"""The edge to AWS: what is wrong with credentials is told, and an error that is ours says what to check."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws, is_lost
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, BadInput, calling
from botocore.awsrequest import AWSResponse
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

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
