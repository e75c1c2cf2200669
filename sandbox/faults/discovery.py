"""Faults of Cloud Map: records of the wrong kind, too long-lived, twice, or of nobody."""

from __future__ import annotations

from typing import Any

from sandbox.faults.live import Json, Live, call
from sandbox.faults.registry import fault
from sandbox.faults.revisions import update
from sandbox.platform.description import API, AUTH, CLUSTER, MLFLOW, NAMESPACE
from sandbox.platform.incident import DEAD_ADDRESSES

STRANGER = "sandbox-d14"


@fault(
    "D01",
    "there is no Cloud Map namespace",
    "API: 503 and 502, the names do not exist",
    recreates="the namespace and its services",
)
def namespace_is_missing(live: Live) -> None:
    """It goes only with all that is in it, and that only once ECS registers nothing there."""
    namespace = live.namespace()
    wanted = [{"Name": "NAMESPACE_ID", "Values": [namespace]}]
    services = live.aws.servicediscovery.list_services(Filters=wanted)["Services"]
    bound = {name: held for name in (API, MLFLOW, AUTH) for held in live.service(name)["serviceRegistries"]}
    for touched in ("instance of mlflow", "DnsRecords of mlflow", *(f"serviceRegistries of {name}" for name in bound)):
        live.claim(touched)
    again = [as_made(service, bound) for service in services]
    live.remember({"do": "namespace", "vpc": live.vpc(API), "services": again})
    for name in bound:
        live.do(call("ecs", "update_service", cluster=CLUSTER, service=name, serviceRegistries=[]))
    for service in services:
        live.do({"do": "discard", "id": service["Id"]})
    live.do(call("servicediscovery", "delete_namespace", Id=namespace))


def as_made(service: Json, bound: dict[str, Json]) -> Json:
    """What CreateService needs to make it again, and the ECS services that register in it."""
    made: Json = {key: service[key] for key in ("Name", "HealthCheckCustomConfig") if key in service}
    if "DnsConfig" in service:
        made["DnsConfig"] = {key: value for key, value in service["DnsConfig"].items() if key != "NamespaceId"}
    here = {name: held for name, held in bound.items() if held["registryArn"] == service["Arn"]}
    return {"made": made, "bound": here}


@fault("D03", "the VPC has no DNS support", "API: 502 and 503, no private name resolves", api_only=True)
def vpc_resolves_no_names(live: Live) -> None:
    there, back = (
        call("ec2", "modify_vpc_attribute", VpcId=live.vpc(API), EnableDnsSupport={"Value": value})
        for value in (False, True)
    )
    live.change("DNS support of the VPC", there, back)


@fault("D04", "MLflow registers in a Cloud Map service without DNS", "API: 502, the name does not exist")
def registered_without_dns(live: Live) -> None:
    register_elsewhere(live, "mlflow-undiscoverable", {})


@fault("D05", "MLflow registers as SRV where the API asks for A", "API: 502, the name has no address")
def registered_as_srv(live: Live) -> None:
    register_elsewhere(live, "mlflow-srv", {"DnsConfig": {"DnsRecords": [{"Type": "SRV", "TTL": 10}]}})


@fault("D07", "MLflow's records live for a day", "API: 502 after MLflow moves, up to the TTL", api_only=True)
def records_live_too_long(live: Live) -> None:
    held = live.discovery_service("mlflow")
    records = held["DnsConfig"]["DnsRecords"]
    there, back = (
        call("servicediscovery", "update_service", Id=held["Id"], Service={"DnsConfig": {"DnsRecords": given}})
        for given in ([{**record, "TTL": 86400} for record in records], records)
    )
    live.change("DnsRecords of mlflow", there, back)


@fault("D11", "a second namespace of the same name, in another VPC", "nobody; edits may land in the wrong one")
def namespace_exists_twice(live: Live) -> None:
    made = live.create(
        "second VPC",
        call("ec2", "create_vpc", CidrBlock="10.99.0.0/16"),
        lambda answer: call("ec2", "delete_vpc", ("InvalidVpcID.NotFound",), VpcId=answer["Vpc"]["VpcId"]),
    )
    asked = call("servicediscovery", "create_private_dns_namespace", Name=NAMESPACE, Vpc=made["Vpc"]["VpcId"])
    live.create("second namespace", asked, lambda answer: _deletion(live, answer["OperationId"]))


def _deletion(live: Live, operation: str) -> Json:
    made = live.aws.servicediscovery.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
    return call("servicediscovery", "delete_namespace", ("NamespaceNotFound",), Id=made)


@fault(
    "D14", "Cloud Map lists an address as MLflow's where nothing listens", "API: 502 for half of its new connections"
)
def registered_but_not_listening(live: Live) -> None:
    """The API's own address, where port 5000 refuses; one that nobody has while the API has no task."""
    interfaces = live.aws.ec2.describe_network_interfaces(
        Filters=[{"Name": "group-id", "Values": [live.security_group(API)]}]
    )["NetworkInterfaces"]
    address = interfaces[0]["PrivateIpAddress"] if interfaces else DEAD_ADDRESSES[1]
    instance = {"ServiceId": live.discovery_service("mlflow")["Id"], "InstanceId": STRANGER}
    live.change(
        "instance of mlflow",
        call("servicediscovery", "register_instance", **instance, Attributes={"AWS_INSTANCE_IPV4": address}),
        call("servicediscovery", "deregister_instance", ("InstanceNotFound",), **instance),
    )


def register_elsewhere(live: Live, name: str, more: dict[str, Any]) -> None:
    """Bind MLflow to a new Cloud Map service; the old one stays as it is, without instances."""
    made = live.create(
        f"Cloud Map service {name}",
        call("servicediscovery", "create_service", Name=name, NamespaceId=live.namespace(), **more),
        lambda answer: {"do": "discard", "id": answer["Service"]["Id"]},
    )
    port = {"containerName": "hokusai-mlflow", "containerPort": 5000} if more else {}
    update(live, MLFLOW, serviceRegistries=[{"registryArn": made["Service"]["Arn"], **port}])
