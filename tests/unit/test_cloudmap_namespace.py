"""cloudmap_namespace: adopted by name, type and VPC, made once, removed only when ours and empty."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import cloudmap
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Ambiguous, BadInput, GaveUp, NotFound
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Resource, converge
from ansible_collections.hokusai.platform.plugins.modules import cloudmap_namespace as module

from sandbox.controlplane import ControlPlane, Fault

NAME = "hokusai-development.local"
OURS = {"hokusai:managed-by": "hokusai.platform"}
RESOURCE = Resource("servicediscovery", module.desire, module.observe, module.plan, cloudmap.settle)
Options = dict[str, Any]


def params(**more: Any) -> Options:
    return {"name": NAME, "state": "present", "vpc": "hokusai", "description": None, "tags": None, **more}


# what is there (None: nothing), what is asked for, the steps
TABLE: dict[str, tuple[Options | None, Options, list[str]]] = {
    "a missing namespace is made": (None, params(), ["create_private_dns_namespace"]),
    "a namespace that is there is left alone": ({}, params(), []),
    "an equal description and tags are left alone": (
        {"description": "d", "tags": {"team": "ml", "other": "kept"}},
        params(description="d", tags={"team": "ml"}),
        [],
    ),
    "a description changes in place": (
        {"description": "old"},
        params(description="new"),
        ["update_private_dns_namespace"],
    ),
    "a missing tag is added": ({"tags": {"team": "x"}}, params(tags={"team": "ml"}), ["tag_resource"]),
    "a tag that YAML reads as a number is text": ({}, params(tags={"cost": 42, "paid": True}), ["tag_resource"]),
    "a number that is there as text is left alone": ({"tags": {"cost": "42"}}, params(tags={"cost": 42}), []),
    "an absent namespace stays absent": (None, params(state="absent"), []),
    "our empty namespace is removed": ({"tags": OURS}, params(state="absent"), ["delete_namespace"]),
}


@pytest.fixture
def vpc(aws: Aws) -> str:
    return make_vpc(aws, "hokusai")


def make_vpc(aws: Aws, name: str) -> str:
    tagged = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": name}]}]
    return str(aws.ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged)["Vpc"]["VpcId"])


def make(aws: Aws, vpc: str, **options: Any) -> str:
    """A namespace made by hand; its id."""
    answer = aws.servicediscovery.create_private_dns_namespace(
        Name=NAME,
        Vpc=vpc,
        Description=options.get("description", ""),
        Tags=[{"Key": key, "Value": value} for key, value in options.get("tags", {}).items()],
    )
    return str(cloudmap.wait_end(aws, answer["OperationId"])["Targets"]["NAMESPACE"])


def ids(aws: Aws) -> list[str]:
    return [each["Id"] for each in aws.servicediscovery.list_namespaces()["Namespaces"]]


@pytest.mark.parametrize("case", TABLE)
def test_the_plan_is(case: str) -> None:
    there, wanted, expected = TABLE[case]
    current = None
    if there is not None:
        current = module.Namespace(NAME, "hokusai", there.get("description", ""), there.get("tags", {}), "ns-1", "arn")
    observed = Observed(current, {"vpc": "vpc-1"})
    assert [step.verb for step in module.plan(observed, module.desire(wanted))] == expected


@pytest.mark.parametrize("case", TABLE)
def test_cloud_map_ends_where_the_plan_says_and_a_second_run_writes_nothing(case: str, aws: Any, vpc: str) -> None:
    there, wanted, expected = TABLE[case]
    if there is not None:
        make(aws, vpc, **there)
    predicted = converge(RESOURCE, aws, wanted, dry=True)
    applied = converge(RESOURCE, aws, wanted, dry=False)
    assert [step.verb for step in applied.steps] == expected
    assert [step.key for step in applied.steps] == [step.key for step in predicted.steps]
    assert (applied.after is None) == (wanted["state"] == "absent")
    assert converge(RESOURCE, aws, wanted, dry=False).steps == ()


def test_a_new_namespace_resolves_in_its_vpc_and_says_who_made_it(aws: Any, vpc: str) -> None:
    made = converge(RESOURCE, aws, params(tags={"team": "ml"}), dry=False).after
    assert made is not None
    assert made.tags == {**OURS, "team": "ml"}
    assert cloudmap.find_namespace(aws, NAME, vpc) is not None


def test_a_create_whose_answer_was_lost_is_not_repeated(aws: Any, vpc: str, control_plane: Any) -> None:
    lost = Fault(match="servicediscovery:CreatePrivateDnsNamespace", code="InternalFailure", status=500, after=True)
    control_plane.faults.replace([lost])
    assert len(converge(RESOURCE, aws, params(), dry=False).steps) == 1
    assert len(ids(aws)) == 1


def test_a_create_still_in_flight_from_a_run_that_was_killed_is_waited_for(aws: Any, vpc: str) -> None:
    aws.servicediscovery.create_private_dns_namespace(Name=NAME, Vpc=vpc, CreatorRequestId="of another run")
    assert converge(RESOURCE, aws, params(), dry=False).steps == ()
    assert len(ids(aws)) == 1


def test_creations_that_have_ended_are_not_asked_about(aws: Any, vpc: str, control_plane: ControlPlane) -> None:
    make(aws, make_vpc(aws, "other"))
    control_plane.calls.reset()
    converge(RESOURCE, aws, params(), dry=True)
    assert "servicediscovery:GetOperation" not in control_plane.calls.as_dict()["actions"]


def test_the_request_id_is_the_same_for_the_same_name_and_vpc_in_the_same_run_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = cloudmap.request_id(NAME, "vpc-1")
    assert first == cloudmap.request_id(NAME, "vpc-1")
    assert first != cloudmap.request_id(NAME, "vpc-2")
    assert len(first) <= 64
    monkeypatch.setattr(cloudmap, "INVOCATION", "another run")
    assert first != cloudmap.request_id(NAME, "vpc-1")


def test_each_run_of_the_module_has_requests_of_its_own() -> None:
    show = f"from {cloudmap.__name__} import INVOCATION; print(INVOCATION)"
    runs = {subprocess.run([sys.executable, "-c", show], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(runs) == 2


def test_a_namespace_of_the_name_in_another_vpc_is_not_adopted(aws: Any, vpc: str) -> None:
    other = make(aws, make_vpc(aws, "other"))
    made = converge(RESOURCE, aws, params(), dry=False).after
    assert made is not None
    assert made.id != other


def test_an_http_namespace_of_the_name_is_not_adopted(aws: Any, vpc: str) -> None:
    aws.servicediscovery.create_http_namespace(Name=NAME)
    assert [step.verb for step in converge(RESOURCE, aws, params(), dry=True).steps] == ["create_private_dns_namespace"]


@pytest.fixture
def shared(aws: Any, vpc: str, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> str:
    """A namespace that another account shares with this one; its id."""
    made = make(aws, vpc)
    (theirs,) = (each for each in control_plane.backend("servicediscovery").namespaces.values() if each.id == made)
    monkeypatch.setattr(theirs, "owner", "OTHER_ACCOUNTS")
    return made


def test_a_namespace_of_another_account_is_not_adopted(aws: Any, vpc: str, shared: str) -> None:
    assert cloudmap.find_namespace(aws, NAME, None) is None
    assert cloudmap.find_namespace(aws, shared, None) is None


def test_a_namespace_that_does_not_tell_its_zone_is_in_no_vpc(aws: Any) -> None:
    assert cloudmap.zone_vpcs(aws, {"Id": "ns-1", "Properties": {"DnsProperties": {}}}) == set()
    assert cloudmap.zone_vpcs(aws, {"Id": "ns-1"}) == set()


def test_two_namespaces_of_one_name_are_an_error_that_lists_both(aws: Any, vpc: str) -> None:
    both = {make(aws, vpc), make(aws, make_vpc(aws, "other"))}
    with pytest.raises(Ambiguous) as error:
        converge(RESOURCE, aws, params(vpc=None), dry=True)
    assert all(each in error.value.message for each in both)
    assert "give vpc" in error.value.remedy


def test_an_operation_that_fails_is_reported_in_cloud_maps_own_words(
    aws: Any, vpc: str, control_plane: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = control_plane.backend("servicediscovery")
    failed = lambda *_, **__: backend._failed("NAMESPACE_LIMIT", "no more than 50 namespaces")  # noqa: E731
    monkeypatch.setattr(backend, "create_private_dns_namespace", failed)
    with pytest.raises(GaveUp, match="NAMESPACE_LIMIT: no more than 50 namespaces"):
        converge(RESOURCE, aws, params(), dry=False)


def test_an_operation_that_does_not_end_is_waited_for_within_a_bound(
    aws: Any, vpc: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = {"Operation": {"Id": "op", "Status": "PENDING"}}
    monkeypatch.setattr(aws.servicediscovery, "get_operation", lambda **_: stuck)
    monkeypatch.setattr(cloudmap, "OPERATION_TIMEOUT", 0.2)
    with pytest.raises(GaveUp, match="has not ended after"):
        converge(RESOURCE, aws, params(), dry=False)


def test_a_namespace_we_did_not_make_is_not_removed(aws: Any, vpc: str) -> None:
    made = make(aws, vpc)
    with pytest.raises(BadInput, match="was not made by this collection"):
        converge(RESOURCE, aws, params(state="absent"), dry=False)
    assert ids(aws) == [made]


def test_a_namespace_with_services_is_not_removed_and_they_are_listed(aws: Any, vpc: str) -> None:
    made = make(aws, vpc, tags=OURS)
    for name in ("mlflow", "api"):
        aws.servicediscovery.create_service(Name=name, NamespaceId=made)
    with pytest.raises(BadInput, match="still holds api, mlflow"):
        converge(RESOURCE, aws, params(state="absent"), dry=False)


def test_a_vpc_is_needed_to_create(aws: Any) -> None:
    with pytest.raises(BadInput, match="no VPC to create it in"):
        converge(RESOURCE, aws, params(vpc=None), dry=True)


def test_a_vpc_that_does_not_exist_is_named(aws: Any) -> None:
    with pytest.raises(NotFound, match="There is no VPC nowhere"):
        converge(RESOURCE, aws, params(vpc="nowhere"), dry=True)


def test_two_vpcs_of_one_name_are_an_error_that_lists_both(aws: Any, vpc: str) -> None:
    twin = make_vpc(aws, "hokusai")
    with pytest.raises(Ambiguous) as error:
        converge(RESOURCE, aws, params(), dry=True)
    assert vpc in error.value.message
    assert twin in error.value.message


def test_denied_reads_are_an_error_and_not_an_absence(aws: Any, vpc: str, control_plane: Any, run_module: Any) -> None:
    make(aws, vpc)
    control_plane.faults.replace([Fault(match="route53:GetHostedZone", code="AccessDenied", status=403)])
    result = run_module(module.main, name=NAME, vpc="hokusai")
    assert result["failed"]
    assert "AccessDenied" in result["msg"]
    assert len(ids(aws)) == 1


def test_no_credentials_are_named_before_anything_is_done(run_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    result = run_module(module.main, name=NAME, access_key=None, secret_key=None)
    assert "no AWS credentials were found" in result["msg"]


def test_an_option_nobody_knows_is_refused(run_module: Any) -> None:
    result = run_module(module.main, name=NAME, vpcs="hokusai")
    assert result["failed"]
    assert "vpcs" in result["msg"]


def test_check_mode_shows_both_ends_and_writes_nothing(aws: Any, vpc: str, run_module: Any, control_plane: Any) -> None:
    make(aws, vpc, description="old")
    control_plane.calls.reset()
    result = run_module(module.main, _check=True, name=NAME, vpc="hokusai", description="new")
    assert result["changed"]
    assert result["diff"]["before"]["description"] == "old"
    assert result["diff"]["after"]["description"] == "new"
    assert control_plane.calls.as_dict()["writes"] == 0
