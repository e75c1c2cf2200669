"""The VPC, its subnets and routes, and the security groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.platform.clients import Clients, tags
from sandbox.platform.description import ANYWHERE, PREFIX, REGION, Platform

VPC_CIDR = "10.0.0.0/16"
ZONES = ("a", "b", "c")


@dataclass(frozen=True)
class Network:
    """Ids of what was built; groups by name."""

    vpc_id: str
    private_subnets: tuple[str, ...]
    public_subnets: tuple[str, ...]
    groups: dict[str, str]


def build(aws: Clients, platform: Platform) -> Network:
    vpc_id = vpc(aws)
    private = tuple(subnet(aws, vpc_id, "private", index, zone) for index, zone in enumerate(ZONES, 1))
    public = tuple(subnet(aws, vpc_id, "public", index + 100, zone) for index, zone in enumerate(ZONES, 1))
    routes(aws, vpc_id, private, public)
    return Network(vpc_id, private, public, security_groups(aws, vpc_id, platform))


def vpc(aws: Clients) -> str:
    vpc_id: str = aws.ec2.create_vpc(CidrBlock=VPC_CIDR, TagSpecifications=specification("vpc", PREFIX))["Vpc"]["VpcId"]
    aws.ec2.modify_vpc_attribute(VpcId=vpc_id, EnableDnsSupport={"Value": True})
    aws.ec2.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames={"Value": True})
    return vpc_id


def subnet(aws: Clients, vpc_id: str, kind: str, third_octet: int, zone: str) -> str:
    made = aws.ec2.create_subnet(
        VpcId=vpc_id,
        CidrBlock=f"10.0.{third_octet}.0/24",
        AvailabilityZone=f"{REGION}{zone}",
        TagSpecifications=specification("subnet", f"{PREFIX}-{kind}-{REGION[-1]}{zone}"),
    )
    subnet_id: str = made["Subnet"]["SubnetId"]
    return subnet_id


def routes(aws: Clients, vpc_id: str, private: tuple[str, ...], public: tuple[str, ...]) -> None:
    """Public subnets leave through an internet gateway, private ones through a NAT gateway."""
    gateway = aws.ec2.create_internet_gateway(TagSpecifications=specification("internet-gateway", PREFIX))
    gateway_id = gateway["InternetGateway"]["InternetGatewayId"]
    aws.ec2.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)
    address = aws.ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = aws.ec2.create_nat_gateway(
        SubnetId=public[0], AllocationId=address, TagSpecifications=specification("natgateway", PREFIX)
    )
    route_table(aws, vpc_id, "public", public, {"GatewayId": gateway_id})
    route_table(aws, vpc_id, "private", private, {"NatGatewayId": nat["NatGateway"]["NatGatewayId"]})


def route_table(aws: Clients, vpc_id: str, kind: str, subnets: tuple[str, ...], way_out: dict[str, str]) -> None:
    made = aws.ec2.create_route_table(VpcId=vpc_id, TagSpecifications=specification("route-table", f"{PREFIX}-{kind}"))
    table_id = made["RouteTable"]["RouteTableId"]
    aws.ec2.create_route(RouteTableId=table_id, DestinationCidrBlock=ANYWHERE, **way_out)
    for subnet_id in subnets:
        aws.ec2.associate_route_table(RouteTableId=table_id, SubnetId=subnet_id)


def security_groups(aws: Clients, vpc_id: str, platform: Platform) -> dict[str, str]:
    """All groups first, for they refer to one another."""
    ids = {
        group.name: aws.ec2.create_security_group(
            GroupName=group.name,
            Description=f"{group.name} managed by Terraform",
            VpcId=vpc_id,
            TagSpecifications=specification("security-group", group.name),
        )["GroupId"]
        for group in platform.security_groups
    }
    for group in platform.security_groups:
        permissions = [permission(port, source, ids) for port, source in group.ingress]
        if permissions:
            aws.ec2.authorize_security_group_ingress(GroupId=ids[group.name], IpPermissions=permissions)
    return ids


def permission(port: int, source: str, groups: dict[str, str]) -> dict[str, Any]:
    allowed: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
    if source in groups:
        return {**allowed, "UserIdGroupPairs": [{"GroupId": groups[source], "Description": f"from {source}"}]}
    return {**allowed, "IpRanges": [{"CidrIp": source, "Description": f"from {source}"}]}


def specification(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": tags(name)}]
