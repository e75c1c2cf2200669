"""The Cloud Map backend with AWS's checks in front of moto's store."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from moto.ec2.models import ec2_backends
from moto.route53.models import route53_backends
from moto.servicediscovery import models

from sandbox.controlplane.fidelity.replace import Replacement
from sandbox.controlplane.fidelity.servicediscovery.errors import CloudMapError, invalid

Json = dict[str, Any]


class ServiceDiscoveryBackend(Replacement, models.ServiceDiscoveryBackend):  # type: ignore[misc]  # moto is untyped here
    """Sources of the rules: AWS Cloud Map API reference 2017-03-14."""

    moto_package = "moto.servicediscovery"

    # namespaces

    def visible_namespaces(self) -> list[Any]:
        """Those whose creation is done."""
        return [namespace for namespace in self.namespaces.values() if namespace.is_visible]

    def list_namespaces(self) -> list[Any]:
        return self.visible_namespaces()

    def get_namespace(self, namespace_id: str) -> Any:
        namespace = super().get_namespace(namespace_id)
        if not namespace.is_visible:
            raise CloudMapError("NamespaceNotFound", f"Namespace '{namespace_id}' not found.")
        return namespace

    def create_http_namespace(self, name: str, *args: Any, **kwargs: Any) -> str:
        self._check_name("HTTP", name, None)
        return self._creating(lambda: super(ServiceDiscoveryBackend, self).create_http_namespace(name, *args, **kwargs))

    def create_public_dns_namespace(self, name: str, *args: Any, **kwargs: Any) -> str:
        self._check_name("DNS_PUBLIC", name, None)
        operation_id = self._creating(
            lambda: super(ServiceDiscoveryBackend, self).create_public_dns_namespace(name, *args, **kwargs)
        )
        self._settle_zone(operation_id, None)
        return operation_id

    def create_private_dns_namespace(
        self,
        name: str,
        creator_request_id: str,
        description: str,
        vpc: str,
        tags: list[dict[str, str]],
        properties: Json,
    ) -> str:
        """Any number per VPC, but one of a name; an unknown VPC fails the operation, not the call."""
        self._check_name("DNS_PRIVATE", name, vpc)
        if vpc not in ec2_backends[self.account_id][self.region_name].vpcs:
            return self._failed("CANNOT_CREATE_HOSTED_ZONE", f"The VPC '{vpc}' does not exist")
        others = {each: each.vpc for each in self.namespaces.values()}
        for each in others:  # moto allows one namespace per VPC
            each.vpc = None
        try:
            operation_id = self._creating(
                lambda: super(ServiceDiscoveryBackend, self).create_private_dns_namespace(
                    name, creator_request_id, description, vpc, tags, properties or {}
                )
            )
        finally:
            for each, its_vpc in others.items():
                each.vpc = its_vpc
        self._settle_zone(operation_id, vpc)
        return operation_id

    def update_private_dns_namespace(self, _id: str, description: str, properties: Json) -> str:
        return self._update_dns_namespace(_id, description, properties)

    def update_public_dns_namespace(self, _id: str, description: str, properties: Json) -> str:
        return self._update_dns_namespace(_id, description, properties)

    def delete_namespace(self, namespace_id: str) -> str:
        namespace = self.get_namespace(namespace_id)
        if any(service.namespace_id == namespace_id for service in self.services.values()):
            raise CloudMapError("ResourceInUse", f"Namespace '{namespace_id}' has associated services.")
        operation_id: str = super().delete_namespace(namespace_id)
        zone = namespace.dns_properties.get("HostedZoneId")
        route53_backends[self.account_id][self.partition].zones.pop(zone, None)
        return operation_id

    def _update_dns_namespace(self, namespace_id: str, description: str, properties: Json) -> str:
        namespace = self.get_namespace(namespace_id)
        if description is not None:
            namespace.description = description
        namespace.dns_properties = {**namespace.dns_properties, **(properties or {})}
        return str(self._create_operation("UPDATE_NAMESPACE", targets={"NAMESPACE": namespace.id}))

    def _check_name(self, kind: str, name: str, vpc: str | None) -> None:
        for namespace in self.namespaces.values():
            if (namespace.type, namespace.name, namespace.vpc) == (kind, name, vpc):
                raise CloudMapError(
                    "NamespaceAlreadyExists",
                    f"Namespace with name '{name}' already exists.",
                    NamespaceId=namespace.id,
                    CreatorRequestId=namespace.creator_request_id,
                )

    def _creating(self, create: Callable[[], str]) -> str:
        operation_id = create()
        operation = self.operations[operation_id]
        self.namespaces[operation.targets["NAMESPACE"]].created_by = operation
        return operation_id

    def _failed(self, code: str, message: str) -> str:
        operation_id: str = self._create_operation("CREATE_NAMESPACE", targets={})
        self.operations[operation_id].error = (code, message)
        return operation_id

    def _settle_zone(self, operation_id: str, vpc: str | None) -> None:
        """Give the hosted zone the namespace's own name and its VPC; moto calls it `<name>-hz`."""
        namespace = self.namespaces[self.operations[operation_id].targets["NAMESPACE"]]
        zone_id = namespace.dns_properties["HostedZoneId"].removeprefix("/hostedzone/")
        zone = route53_backends[self.account_id][self.partition].zones[zone_id]
        zone.name = f"{namespace.name}."
        for record in zone.rrsets:
            record.name = zone.name
        if vpc:
            zone.add_vpc(vpc, self.region_name)
        namespace.dns_properties["HostedZoneId"] = zone_id

    # services

    def create_service(self, name: str, namespace_id: str, *args: Any, **kwargs: Any) -> Any:
        namespace = self.get_namespace(namespace_id)
        for service in self.services.values():
            if service.namespace_id == namespace_id and service.name.lower() == name.lower():
                raise CloudMapError(
                    "ServiceAlreadyExists",
                    "Service already exists.",
                    ServiceId=service.id,
                    ServiceArn=service.arn,
                    CreatorRequestId=service.creator_request_id,
                )
        if kwargs.get("dns_config") and namespace.type == "HTTP":
            raise invalid("DnsConfig cannot be specified for a service in an HTTP namespace.")
        _check_health(kwargs.get("health_check_config"), kwargs.get("health_check_custom_config"), namespace)
        return super().create_service(name, namespace_id, *args, **kwargs)

    def get_service(self, service_id: str) -> Any:
        if service_id not in self.services:
            raise CloudMapError("ServiceNotFound", f"Service '{service_id}' not found.")
        return self.services[service_id]

    def update_service(self, service_id: str, details: Json) -> str:
        """DNS record types stay what they are: only TTLs change, and records go (UpdateService, API reference)."""
        service = self.get_service(service_id)
        held = {record["Type"] for record in (service.dns_config or {}).get("DnsRecords", [])}
        wanted = {record["Type"] for record in details.get("DnsConfig", {}).get("DnsRecords", [])}
        if wanted - held:
            raise invalid(f"DNS record types cannot be added to or changed in a service: {sorted(wanted - held)}.")
        _check_health(
            details.get("HealthCheckConfig"),
            service.health_check_custom_config,
            self.namespaces[service.namespace_id],
        )
        service.stage(details)
        operation_id: str = self._create_operation("UPDATE_SERVICE", targets={"SERVICE": service.id})
        service.staged_by(self.operations[operation_id])
        return operation_id

    def delete_service(self, service_id: str) -> None:
        if self.get_service(service_id).instances:
            raise CloudMapError(
                "ResourceInUse",
                "Service contains registered instances; delete the instances before deleting the service.",
            )
        super().delete_service(service_id)

    # instances and operations

    def register_instance(
        self, service_id: str, instance_id: str, creator_request_id: str, attributes: dict[str, str]
    ) -> str:
        """Registering an id again replaces the instance."""
        service = self.get_service(service_id)
        _check_attributes(service, attributes)
        service.instances = [each for each in service.instances if each.instance_id != instance_id]
        operation_id: str = super().register_instance(service_id, instance_id, creator_request_id, attributes)
        if service.health_check_custom_config is not None:
            service.instances[-1].health_status = attributes.get("AWS_INIT_HEALTH_STATUS", "HEALTHY")
        return operation_id

    def list_operations(self) -> list[Any]:
        return list(self.operations.values())

    # tags

    def tag_resource(self, resource_arn: str, tags: list[dict[str, str]]) -> None:
        self._check_arn(resource_arn)
        super().tag_resource(resource_arn, tags)

    def untag_resource(self, resource_arn: str, tag_keys: list[str]) -> None:
        self._check_arn(resource_arn)
        super().untag_resource(resource_arn, tag_keys)

    def list_tags_for_resource(self, resource_arn: str) -> Json:
        self._check_arn(resource_arn)
        tags: Json = super().list_tags_for_resource(resource_arn)
        return tags

    def _check_arn(self, arn: str) -> None:
        known = [*self.namespaces.values(), *self.services.values()]
        if arn not in {resource.arn for resource in known}:
            raise CloudMapError("ResourceNotFoundException", f"Resource '{arn}' not found.", ResourceName=arn)


def _check_health(config: Json | None, custom: Json | None, namespace: Any) -> None:
    if config and custom is not None:
        raise invalid("A service can have either HealthCheckConfig or HealthCheckCustomConfig, not both.")
    if config and namespace.type != "DNS_PUBLIC":
        raise invalid("HealthCheckConfig is only supported for services in public DNS namespaces.")


def _check_attributes(service: Any, attributes: dict[str, str]) -> None:
    """An A record needs an address (RegisterInstance, API reference)."""
    types = {record["Type"] for record in (service.dns_config or {}).get("DnsRecords", [])}
    if "A" in types and not {"AWS_INSTANCE_IPV4", "AWS_ALIAS_DNS_NAME"} & set(attributes):
        raise invalid("Attributes must contain 'AWS_INSTANCE_IPV4' for a service with A records.")
    if "SRV" in types and "AWS_INSTANCE_PORT" not in attributes:
        raise invalid("Attributes must contain 'AWS_INSTANCE_PORT' for a service with SRV records.")
    try:
        ipaddress.IPv4Address(attributes.get("AWS_INSTANCE_IPV4", "0.0.0.0"))  # noqa: S104 - stands for none given
    except ValueError:
        raise invalid(f"'{attributes['AWS_INSTANCE_IPV4']}' is not an IPv4 address.") from None
