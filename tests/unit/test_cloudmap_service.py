"""cloudmap_service: TTLs in place, what cannot change in place refused, nothing lost on an update."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import cloudmap
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.discovery_service import Service
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Ambiguous, BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Missing, Observed, holds
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Resource, converge
from ansible_collections.hokusai.platform.plugins.modules import cloudmap_service as module

from sandbox.controlplane import Fault

NAMESPACE = "hokusai-development.local"
OURS = {"hokusai:managed-by": "hokusai.platform"}
RESOURCE = Resource("servicediscovery", module.desire, module.observe, module.plan, cloudmap.settle)
Options = dict[str, Any]


def params(**more: Any) -> Options:
    silent = dict.fromkeys(("vpc", "dns_records", "routing_policy", "custom_health", "description", "tags"))
    return {"name": "mlflow", "namespace": NAMESPACE, "state": "present", **silent, **more}


def records(**ttls: int) -> list[Options]:
    return [{"type": kind, "ttl": ttl} for kind, ttl in ttls.items()]


WHOLE = params(dns_records=records(A=10), routing_policy="MULTIVALUE", custom_health=True)
TABLE: dict[str, tuple[Options | None, Options, list[str]]] = {
    "a missing service is made": (None, WHOLE, ["create_service"]),
    "a missing service is made with what is usual": (None, params(), ["create_service"]),
    "an equal service is left alone": ({}, WHOLE, []),
    "what nobody gives stays": ({"records": {"A": 60}, "custom_health": False}, params(), []),
    "a TTL changes in place": ({"records": {"A": 60}}, WHOLE, ["update_service"]),
    "one of two TTLs changes in place": (
        {"records": {"A": 10, "SRV": 60}},
        params(dns_records=records(A=10, SRV=10)),
        ["update_service"],
    ),
    "a description changes in place": ({}, params(description="new"), ["update_service"]),
    "a missing tag is added": ({}, params(tags={"team": "ml"}), ["tag_resource"]),
    "a tag that YAML reads as a number is text": ({}, params(tags={"cost": 42, "paid": True}), ["tag_resource"]),
    "a number that is there as text is left alone": ({"tags": {"cost": "42"}}, params(tags={"cost": 42}), []),
    "an absent service stays absent": (None, params(state="absent"), []),
    "our service without instances is removed": ({"tags": OURS}, params(state="absent"), ["delete_service"]),
}


@pytest.fixture
def namespace(aws: Aws) -> str:
    return make_namespace(aws)


def make_namespace(aws: Aws, cidr: str = "10.0.0.0/16") -> str:
    vpc = aws.ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    answer = aws.servicediscovery.create_private_dns_namespace(Name=NAMESPACE, Vpc=vpc)
    return str(cloudmap.wait_end(aws, answer["OperationId"])["Targets"]["NAMESPACE"])


def make(aws: Aws, namespace: str, **options: Any) -> str:
    """The service made by hand; its id."""
    listed = [{"Type": kind, "TTL": ttl} for kind, ttl in options.get("records", {"A": 10}).items()]
    answer = aws.servicediscovery.create_service(
        Name="mlflow",
        NamespaceId=namespace,
        Description=options.get("description", ""),
        DnsConfig={"RoutingPolicy": options.get("routing_policy", "MULTIVALUE"), "DnsRecords": listed},
        Tags=[{"Key": key, "Value": value} for key, value in options.get("tags", {}).items()],
        **({"HealthCheckCustomConfig": {"FailureThreshold": 1}} if options.get("custom_health", True) else {}),
    )
    return str(answer["Service"]["Id"])


def seen(options: Options) -> Service:
    """What observe would make of such a service."""
    return Service(
        "mlflow",
        NAMESPACE,
        options.get("records", {"A": 10}),
        options.get("routing_policy", "MULTIVALUE"),
        options.get("custom_health", True),
        options.get("description", ""),
        options.get("tags", {}),
        "srv-1",
        "arn",
    )


@pytest.mark.parametrize("case", TABLE)
def test_the_plan_is(case: str) -> None:
    there, wanted, expected = TABLE[case]
    observed = Observed(None if there is None else seen(there), {f"namespace {NAMESPACE}": "ns-1"})
    assert [step.verb for step in module.plan(observed, module.desire(wanted))] == expected


@pytest.mark.parametrize("case", TABLE)
def test_cloud_map_ends_where_the_plan_says_and_a_second_run_writes_nothing(
    case: str, aws: Any, namespace: str
) -> None:
    there, wanted, expected = TABLE[case]
    if there is not None:
        make(aws, namespace, **there)
    predicted = converge(RESOURCE, aws, wanted, dry=True)
    applied = converge(RESOURCE, aws, wanted, dry=False)
    assert [step.verb for step in applied.steps] == expected
    assert [step.key for step in applied.steps] == [step.key for step in predicted.steps]
    assert converge(RESOURCE, aws, wanted, dry=False).steps == ()


def test_a_new_service_takes_its_health_from_ecs_and_says_who_made_it(aws: Any, namespace: str) -> None:
    made = converge(RESOURCE, aws, params(), dry=False).after
    assert made is not None
    assert (made.records, made.routing_policy, made.custom_health) == ({"A": 10}, "MULTIVALUE", True)
    assert made.tags == OURS


def test_an_update_keeps_the_records_and_the_description_it_does_not_change(aws: Any, namespace: str) -> None:
    """UpdateService deletes what it is not given."""
    made = make(aws, namespace, records={"A": 60, "SRV": 30}, description="kept")
    converge(RESOURCE, aws, params(dns_records=records(A=10, SRV=30)), dry=False)
    after = aws.servicediscovery.get_service(Id=made)["Service"]
    assert {each["Type"]: each["TTL"] for each in after["DnsConfig"]["DnsRecords"]} == {"A": 10, "SRV": 30}
    assert after["Description"] == "kept"


def test_a_description_alone_is_written_with_all_records(aws: Any, namespace: str) -> None:
    made = make(aws, namespace, records={"A": 60})
    converge(RESOURCE, aws, params(description="new"), dry=False)
    after = aws.servicediscovery.get_service(Id=made)["Service"]
    assert [each["TTL"] for each in after["DnsConfig"]["DnsRecords"]] == [60]


def test_a_health_check_that_is_not_ours_survives_an_update() -> None:
    current = dataclasses.replace(seen({}), health_check={"Type": "HTTP"})
    (step,) = module.plan(Observed(current), module.desire(params(description="new")))
    assert step.args["Service"]["HealthCheckConfig"] == {"Type": "HTTP"}


@pytest.mark.parametrize(
    ("there", "wanted", "what"),
    [
        ({"records": {"SRV": 10}}, params(dns_records=records(A=10)), "record types"),
        ({"records": {}}, params(dns_records=records(A=10)), "record types"),
        ({"custom_health": False}, params(custom_health=True), "custom health"),
        ({"routing_policy": "WEIGHTED"}, params(routing_policy="MULTIVALUE"), "routing policy"),
    ],
)
def test_what_cannot_change_in_place_is_refused_with_the_way_out(there: Options, wanted: Options, what: str) -> None:
    with pytest.raises(BadInput, match=what) as error:
        list(module.plan(Observed(seen(there)), module.desire(wanted)))
    assert "create a second service" in error.value.remedy


def test_a_missing_namespace_can_be_planned_but_not_applied(aws: Any) -> None:
    (step,) = converge(RESOURCE, aws, params(), dry=True).steps
    assert [each.what for each in holds(step.args, Missing)] == [f"namespace {NAMESPACE}"]
    with pytest.raises(BadInput, match=rf"namespace {NAMESPACE} does not exist"):
        converge(RESOURCE, aws, params(), dry=False)


def test_removing_from_a_missing_namespace_is_nothing_to_do(aws: Any) -> None:
    assert converge(RESOURCE, aws, params(state="absent"), dry=False).steps == ()


def test_two_namespaces_of_one_name_are_an_error_unless_the_vpc_decides(aws: Any, namespace: str) -> None:
    other = make_namespace(aws, "10.9.0.0/16")
    with pytest.raises(Ambiguous) as error:
        converge(RESOURCE, aws, params(), dry=True)
    assert namespace in error.value.message
    assert other in error.value.message
    (vpc,) = cloudmap.zone_vpcs(aws, cloudmap.find_namespace(aws, other, None) or {})
    (step,) = converge(RESOURCE, aws, params(vpc=vpc), dry=True).steps
    assert step.args["NamespaceId"] == other


def test_a_create_whose_answer_was_lost_is_not_repeated(aws: Any, namespace: str, control_plane: Any) -> None:
    lost = Fault(match="servicediscovery:CreateService", code="InternalFailure", status=500, after=True)
    control_plane.faults.replace([lost])
    assert len(converge(RESOURCE, aws, WHOLE, dry=False).steps) == 1
    assert len(cloudmap.list_services(aws, namespace)) == 1


def test_a_service_that_someone_else_made_is_not_removed(aws: Any, namespace: str) -> None:
    make(aws, namespace)
    with pytest.raises(BadInput, match="was not made by this collection"):
        converge(RESOURCE, aws, params(state="absent"), dry=False)


def test_a_service_with_instances_is_not_removed(aws: Any, namespace: str) -> None:
    made = make(aws, namespace, tags=OURS)
    aws.servicediscovery.register_instance(
        ServiceId=made, InstanceId="task", Attributes={"AWS_INSTANCE_IPV4": "10.0.1.7"}
    )
    with pytest.raises(BadInput, match="still has 1 instances") as error:
        converge(RESOURCE, aws, params(state="absent"), dry=False)
    assert "service_registries" in error.value.remedy


def test_an_unknown_record_type_is_refused(run_module: Any) -> None:
    result = run_module(module.main, name="mlflow", namespace=NAMESPACE, dns_records=[{"type": "MX"}])
    assert result["failed"]
    assert "MX" in result["msg"]


def test_check_mode_shows_both_ends_and_writes_nothing(
    aws: Any, namespace: str, run_module: Any, control_plane: Any
) -> None:
    make(aws, namespace, records={"A": 60})
    control_plane.calls.reset()
    wanted = [{"type": "A", "ttl": 10}]
    result = run_module(module.main, _check=True, name="mlflow", namespace=NAMESPACE, dns_records=wanted)
    assert result["diff"]["before"]["records"] == {"A": 60}
    assert result["diff"]["after"]["records"] == {"A": 10}
    assert result["steps"][0]["why"].endswith("TTL of A from 60 to 10")
    assert control_plane.calls.as_dict()["writes"] == 0
