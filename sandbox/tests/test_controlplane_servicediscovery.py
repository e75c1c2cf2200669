"""Cloud Map answers as AWS does where moto would not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

CloudMap = Any
RECORDS = {"DnsRecords": [{"Type": "A", "TTL": 10}]}


@pytest.fixture
def cloud_map(client: Callable[..., Any]) -> CloudMap:
    return client("servicediscovery")


def wait(cloud_map: CloudMap, operation_id: str) -> dict[str, Any]:
    """Poll an operation to its end, as a client must."""
    for _ in range(50):
        operation: dict[str, Any] = cloud_map.get_operation(OperationId=operation_id)["Operation"]
        if operation["Status"] in {"SUCCESS", "FAIL"}:
            return operation
        time.sleep(0.02)
    raise AssertionError(f"operation {operation} does not end")


def private(cloud_map: CloudMap, network: Any, name: str = "dev.local") -> str:
    """Create a private namespace and return its id."""
    operation = wait(cloud_map, cloud_map.create_private_dns_namespace(Name=name, Vpc=network.vpc)["OperationId"])
    namespace: str = operation["Targets"]["NAMESPACE"]
    return namespace


def service_in(cloud_map: CloudMap, namespace: str, name: str = "api", **options: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"DnsConfig": RECORDS, "HealthCheckCustomConfig": {}, **options}
    created: dict[str, Any] = cloud_map.create_service(Name=name, NamespaceId=namespace, **arguments)["Service"]
    return created


def refused(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return {**caught.value.response["Error"], **caught.value.response}


def test_a_namespace_appears_when_its_operation_is_done(cloud_map: CloudMap, network: Any) -> None:
    operation_id = cloud_map.create_private_dns_namespace(Name="dev.local", Vpc=network.vpc)["OperationId"]
    assert cloud_map.get_operation(OperationId=operation_id)["Operation"]["Status"] in {"SUBMITTED", "PENDING"}
    assert cloud_map.list_namespaces()["Namespaces"] == []
    operation = wait(cloud_map, operation_id)
    assert operation["Status"] == "SUCCESS"
    (listed,) = cloud_map.list_namespaces()["Namespaces"]
    assert listed["Id"] == operation["Targets"]["NAMESPACE"]
    assert listed["Properties"]["DnsProperties"]["SOA"] == {"TTL": 15}


def test_an_unknown_vpc_fails_the_operation(cloud_map: CloudMap) -> None:
    operation = wait(cloud_map, cloud_map.create_private_dns_namespace(Name="a", Vpc="vpc-0")["OperationId"])
    assert (operation["Status"], operation["ErrorCode"]) == ("FAIL", "CANNOT_CREATE_HOSTED_ZONE")
    assert cloud_map.list_namespaces()["Namespaces"] == []


def test_a_second_namespace_of_the_name_is_refused_with_the_id_of_the_first(cloud_map: CloudMap, network: Any) -> None:
    first = private(cloud_map, network)
    error = refused(cloud_map.create_private_dns_namespace, Name="dev.local", Vpc=network.vpc)
    assert (error["Code"], error["NamespaceId"]) == ("NamespaceAlreadyExists", first)


def test_namespaces_of_one_vpc_and_of_one_name_can_be_many(
    cloud_map: CloudMap, network: Any, client: Callable[..., Any]
) -> None:
    other = client("ec2").create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    private(cloud_map, network, "a.local")
    private(cloud_map, network, "b.local")
    wait(cloud_map, cloud_map.create_private_dns_namespace(Name="a.local", Vpc=other)["OperationId"])
    named = cloud_map.list_namespaces(Filters=[{"Name": "NAME", "Values": ["a.local"], "Condition": "EQ"}])
    assert [each["Name"] for each in named["Namespaces"]] == ["a.local", "a.local"]


def test_the_hosted_zone_bears_the_name_of_the_namespace_and_goes_with_it(
    cloud_map: CloudMap, network: Any, client: Callable[..., Any]
) -> None:
    namespace = private(cloud_map, network)
    zone_id = cloud_map.get_namespace(Id=namespace)["Namespace"]["Properties"]["DnsProperties"]["HostedZoneId"]
    assert "/" not in zone_id
    zone = client("route53").get_hosted_zone(Id=zone_id)
    assert zone["HostedZone"]["Name"] == "dev.local."
    assert zone["VPCs"] == [{"VPCRegion": "us-east-1", "VPCId": network.vpc}]
    cloud_map.delete_namespace(Id=namespace)
    assert client("route53").list_hosted_zones()["HostedZones"] == []


def test_changing_a_namespace_keeps_its_hosted_zone(cloud_map: CloudMap, network: Any) -> None:
    namespace = private(cloud_map, network)
    before = cloud_map.get_namespace(Id=namespace)["Namespace"]["Properties"]["DnsProperties"]
    change = {"Description": "d", "Properties": {"DnsProperties": {"SOA": {"TTL": 60}}}}
    cloud_map.update_private_dns_namespace(Id=namespace, Namespace=change)
    after = cloud_map.get_namespace(Id=namespace)["Namespace"]
    assert after["Properties"]["DnsProperties"] == {"HostedZoneId": before["HostedZoneId"], "SOA": {"TTL": 60}}
    assert after["Description"] == "d"


def test_a_second_service_of_the_name_is_refused_with_the_id_of_the_first(cloud_map: CloudMap, network: Any) -> None:
    namespace = private(cloud_map, network)
    first = service_in(cloud_map, namespace)
    error = refused(cloud_map.create_service, Name="API", NamespaceId=namespace, DnsConfig=RECORDS)
    assert (error["Code"], error["ServiceId"]) == ("ServiceAlreadyExists", first["Id"])
    service_in(cloud_map, private(cloud_map, network, "other.local"))


def test_a_service_reads_back_with_cloud_maps_defaults(cloud_map: CloudMap, network: Any) -> None:
    namespace = private(cloud_map, network)
    service = service_in(cloud_map, namespace)
    shown = cloud_map.get_service(Id=service["Id"])["Service"]
    assert shown["DnsConfig"] == {**RECORDS, "RoutingPolicy": "MULTIVALUE", "NamespaceId": namespace}
    assert shown["HealthCheckCustomConfig"] == {"FailureThreshold": 1}
    assert shown["Type"] == "DNS_HTTP"


def test_unknown_ids_are_refused(cloud_map: CloudMap) -> None:
    assert refused(cloud_map.create_service, Name="a", NamespaceId="ns-0")["Code"] == "NamespaceNotFound"
    assert refused(cloud_map.get_service, Id="srv-0")["Code"] == "ServiceNotFound"
    assert refused(cloud_map.delete_service, Id="srv-0")["Code"] == "ServiceNotFound"
    assert refused(cloud_map.tag_resource, ResourceARN="arn:x", Tags=[])["Code"] == "ResourceNotFoundException"


def test_filters_and_pages_work(cloud_map: CloudMap, network: Any) -> None:
    first, second = private(cloud_map, network, "a.local"), private(cloud_map, network, "b.local")
    for name in ("x", "y", "z"):
        service_in(cloud_map, first, name)
    service_in(cloud_map, second, "other")
    mine = [{"Name": "NAMESPACE_ID", "Values": [first], "Condition": "EQ"}]
    page = cloud_map.list_services(Filters=mine, MaxResults=2)
    rest = cloud_map.list_services(Filters=mine, MaxResults=2, NextToken=page["NextToken"])
    assert [each["Name"] for each in page["Services"] + rest["Services"]] == ["x", "y", "z"]
    assert "NextToken" not in rest
    typed = [{"Name": "TYPE", "Values": ["HTTP"], "Condition": "EQ"}]
    assert cloud_map.list_namespaces(Filters=typed)["Namespaces"] == []
    assert refused(cloud_map.list_services, Filters=[{"Name": "NAME", "Values": ["x"]}])["Code"] == "InvalidInput"


def test_an_update_replaces_the_records_once_its_operation_is_done(cloud_map: CloudMap, network: Any) -> None:
    service = service_in(cloud_map, private(cloud_map, network))
    change = {"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 60}]}}
    operation_id = cloud_map.update_service(Id=service["Id"], Service=change)["OperationId"]

    def ttl() -> int:
        records = cloud_map.get_service(Id=service["Id"])["Service"]["DnsConfig"]["DnsRecords"]
        return int(records[0]["TTL"])

    assert ttl() == 10
    assert wait(cloud_map, operation_id)["Status"] == "SUCCESS"
    assert ttl() == 60


def test_an_update_that_omits_the_records_deletes_them(cloud_map: CloudMap, network: Any) -> None:
    service = service_in(cloud_map, private(cloud_map, network))
    wait(cloud_map, cloud_map.update_service(Id=service["Id"], Service={"Description": "d"})["OperationId"])
    shown = cloud_map.get_service(Id=service["Id"])["Service"]
    assert "DnsConfig" not in shown
    assert shown["HealthCheckCustomConfig"] == {"FailureThreshold": 1}


def test_the_type_of_a_record_cannot_change(cloud_map: CloudMap, network: Any) -> None:
    service = service_in(cloud_map, private(cloud_map, network))
    change = {"DnsConfig": {"DnsRecords": [{"Type": "SRV", "TTL": 10}]}}
    assert refused(cloud_map.update_service, Id=service["Id"], Service=change)["Code"] == "InvalidInput"


def test_what_is_in_use_cannot_be_deleted(cloud_map: CloudMap, network: Any) -> None:
    namespace = private(cloud_map, network)
    service = service_in(cloud_map, namespace)["Id"]
    cloud_map.register_instance(ServiceId=service, InstanceId="i", Attributes={"AWS_INSTANCE_IPV4": "10.0.1.9"})
    assert refused(cloud_map.delete_namespace, Id=namespace)["Code"] == "ResourceInUse"
    assert refused(cloud_map.delete_service, Id=service)["Code"] == "ResourceInUse"
    cloud_map.deregister_instance(ServiceId=service, InstanceId="i")
    cloud_map.delete_service(Id=service)
    cloud_map.delete_namespace(Id=namespace)


def test_an_a_record_needs_an_address_and_registering_again_replaces(cloud_map: CloudMap, network: Any) -> None:
    service = service_in(cloud_map, private(cloud_map, network))["Id"]
    for attributes in ({}, {"AWS_INSTANCE_IPV4": "here"}):
        error = refused(cloud_map.register_instance, ServiceId=service, InstanceId="i", Attributes=attributes)
        assert error["Code"] == "InvalidInput"
    for address in ("10.0.1.8", "10.0.1.9"):
        cloud_map.register_instance(ServiceId=service, InstanceId="i", Attributes={"AWS_INSTANCE_IPV4": address})
    (instance,) = cloud_map.list_instances(ServiceId=service)["Instances"]
    assert instance["Attributes"]["AWS_INSTANCE_IPV4"] == "10.0.1.9"


def test_instances_are_discovered_with_their_initial_health(cloud_map: CloudMap, network: Any) -> None:
    service = service_in(cloud_map, private(cloud_map, network))["Id"]
    for name, health in (("a", "HEALTHY"), ("b", "UNHEALTHY")):
        attributes = {"AWS_INSTANCE_IPV4": "10.0.1.8", "AWS_INIT_HEALTH_STATUS": health}
        cloud_map.register_instance(ServiceId=service, InstanceId=name, Attributes=attributes)
    found = cloud_map.discover_instances(NamespaceName="dev.local", ServiceName="api", HealthStatus="HEALTHY")
    assert [each["InstanceId"] for each in found["Instances"]] == ["a"]


def test_listing_operations_forgets_none(cloud_map: CloudMap, network: Any) -> None:
    namespace = private(cloud_map, network)
    service = service_in(cloud_map, namespace)["Id"]
    cloud_map.update_service(Id=service, Service={"DnsConfig": RECORDS})
    assert len(cloud_map.list_operations()["Operations"]) == 2
    updates = [{"Name": "TYPE", "Values": ["UPDATE_SERVICE"], "Condition": "EQ"}]
    assert len(cloud_map.list_operations(Filters=updates)["Operations"]) == 1
