"""Security groups answer as AWS does where moto would not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

Ec2 = Any


@pytest.fixture
def ec2(client: Callable[..., Any]) -> Ec2:
    return client("ec2")


@pytest.fixture
def other(ec2: Ec2, network: Any) -> str:
    group: str = ec2.create_security_group(GroupName="other", Description="o", VpcId=network.vpc)["GroupId"]
    return group


def from_group(group: str, port: int = 5000, description: str = "") -> dict[str, Any]:
    pair = {"GroupId": group, **({"Description": description} if description else {})}
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": [pair]}


def from_network(cidr: str, port: int = 443) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr}]}


def ingress(ec2: Ec2, group: str) -> list[dict[str, Any]]:
    filters = [{"Name": "group-id", "Values": [group]}]
    rules = ec2.describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
    return [rule for rule in rules if not rule["IsEgress"]]


def refused(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    code: str = caught.value.response["Error"]["Code"]
    return code


def test_a_group_reference_keeps_its_description(ec2: Ec2, network: Any, other: str) -> None:
    ec2.authorize_security_group_ingress(
        GroupId=network.group, IpPermissions=[from_group(other, description="from api")]
    )
    (rule,) = ingress(ec2, network.group)
    assert rule["Description"] == "from api"
    assert rule["ReferencedGroupInfo"] == {"GroupId": other, "UserId": "123456789012"}


def test_a_described_rule_can_be_revoked_without_its_description(ec2: Ec2, network: Any, other: str) -> None:
    ec2.authorize_security_group_ingress(
        GroupId=network.group, IpPermissions=[from_group(other, description="from api")]
    )
    ec2.revoke_security_group_ingress(GroupId=network.group, IpPermissions=[from_group(other)])
    assert ingress(ec2, network.group) == []


def test_a_rule_is_a_duplicate_whatever_its_description(ec2: Ec2, network: Any, other: str) -> None:
    ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=[from_group(other, description="a")])
    again = [from_group(other, description="b")]
    code = refused(ec2.authorize_security_group_ingress, GroupId=network.group, IpPermissions=again)
    assert code == "InvalidPermission.Duplicate"


def test_a_request_takes_effect_whole_or_not_at_all(ec2: Ec2, network: Any) -> None:
    ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=[from_network("10.0.0.0/16")])
    new_and_old = [from_network("10.0.0.0/16", 80), from_network("10.0.0.0/16")]
    refused(ec2.authorize_security_group_ingress, GroupId=network.group, IpPermissions=new_and_old)
    refused(ec2.revoke_security_group_ingress, GroupId=network.group, IpPermissions=new_and_old[::-1])
    assert [rule["FromPort"] for rule in ingress(ec2, network.group)] == [443]


def test_authorize_answers_with_every_rule_it_made(ec2: Ec2, network: Any, other: str) -> None:
    permissions = [from_network("10.0.0.0/16", 80), from_group(other)]
    made = ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=permissions)["SecurityGroupRules"]
    assert [rule["FromPort"] for rule in made] == [80, 5000]


def test_descriptions_are_updated_by_permission_and_by_id(ec2: Ec2, network: Any, other: str) -> None:
    ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=[from_group(other)])
    described = [from_group(other, description="by permission")]
    answer = ec2.update_security_group_rule_descriptions_ingress(GroupId=network.group, IpPermissions=described)
    assert answer["Return"] is True
    (rule,) = ingress(ec2, network.group)
    assert rule["Description"] == "by permission"
    change = [{"SecurityGroupRuleId": rule["SecurityGroupRuleId"], "Description": "by id"}]
    ec2.update_security_group_rule_descriptions_ingress(GroupId=network.group, SecurityGroupRuleDescriptions=change)
    assert ingress(ec2, network.group)[0]["Description"] == "by id"


def test_a_group_rule_is_modified_under_its_id(ec2: Ec2, network: Any, other: str) -> None:
    made = ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=[from_group(other)])
    rule_id = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    new = {"IpProtocol": "tcp", "FromPort": 8001, "ToPort": 8001, "ReferencedGroupId": other, "Description": "api"}
    change = [{"SecurityGroupRuleId": rule_id, "SecurityGroupRule": new}]
    ec2.modify_security_group_rules(GroupId=network.group, SecurityGroupRules=change)
    (rule,) = ingress(ec2, network.group)
    assert (rule["SecurityGroupRuleId"], rule["FromPort"], rule["Description"]) == (rule_id, 8001, "api")
    change[0]["SecurityGroupRule"] = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "CidrIpv4": "10.0.0.0/8"}
    code = refused(ec2.modify_security_group_rules, GroupId=network.group, SecurityGroupRules=change)
    assert code == "InvalidParameterValue"


def opened(ec2: Ec2, group: str, *ports: int) -> list[str]:
    """The ids of rules for these ports."""
    permissions = [from_network("10.0.0.0/16", port) for port in ports]
    made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=permissions)["SecurityGroupRules"]
    return [rule["SecurityGroupRuleId"] for rule in made]


def moved(rule_id: str, port: int, **peer: str) -> dict[str, Any]:
    rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **(peer or {"CidrIpv4": "10.0.0.0/16"})}
    return {"SecurityGroupRuleId": rule_id, "SecurityGroupRule": rule}


def test_several_rules_are_modified_at_once_and_keep_their_tags(ec2: Ec2, network: Any) -> None:
    ids = opened(ec2, network.group, 1, 2)
    ec2.create_tags(Resources=ids, Tags=[{"Key": "a", "Value": "b"}])
    changes = [moved(ids[0], 11), moved(ids[1], 12, CidrIpv4="10.1.0.0/16")]
    ec2.modify_security_group_rules(GroupId=network.group, SecurityGroupRules=changes)
    rules = ingress(ec2, network.group)
    assert [(rule["SecurityGroupRuleId"], rule["FromPort"], rule["CidrIpv4"]) for rule in rules] == [
        (ids[0], 11, "10.0.0.0/16"),
        (ids[1], 12, "10.1.0.0/16"),
    ]
    assert [rule["Tags"] for rule in rules] == [[{"Key": "a", "Value": "b"}]] * 2
    (group,) = ec2.describe_security_groups(GroupIds=[network.group])["SecurityGroups"]
    assert [permission["FromPort"] for permission in group["IpPermissions"]] == [11, 12]


@pytest.mark.parametrize("ports", [(11, 2), (11, 11), (3, 1)])
def test_no_rule_gets_what_another_one_lets_through_and_then_none_is_modified(
    ec2: Ec2, network: Any, ports: tuple[int, int]
) -> None:
    one, _two, three = opened(ec2, network.group, 1, 2, 3)
    changes = [moved(one, ports[0]), moved(three, ports[1])]
    code = refused(ec2.modify_security_group_rules, GroupId=network.group, SecurityGroupRules=changes)
    assert code == "InvalidPermission.Duplicate"
    assert [rule["FromPort"] for rule in ingress(ec2, network.group)] == [1, 2, 3]


def test_one_rule_that_cannot_be_modified_keeps_the_others_as_they_are(ec2: Ec2, network: Any, other: str) -> None:
    one, two = opened(ec2, network.group, 1, 2)
    for wrong in (moved(two, 12, ReferencedGroupId=other), moved("sgr-0123456789abcdef0", 12)):
        refused(ec2.modify_security_group_rules, GroupId=network.group, SecurityGroupRules=[moved(one, 11), wrong])
    assert [rule["FromPort"] for rule in ingress(ec2, network.group)] == [1, 2]


def test_a_rule_can_be_modified_to_what_it_is(ec2: Ec2, network: Any) -> None:
    (one,) = opened(ec2, network.group, 1)
    described = moved(one, 1)
    described["SecurityGroupRule"]["Description"] = "the same"
    ec2.modify_security_group_rules(GroupId=network.group, SecurityGroupRules=[described])
    assert [rule["Description"] for rule in ingress(ec2, network.group)] == ["the same"]


def test_a_rule_is_modified_to_all_protocols_and_back(ec2: Ec2, network: Any) -> None:
    (one,) = opened(ec2, network.group, 1)
    everything = {"IpProtocol": "-1", "CidrIpv4": "10.0.0.0/16"}
    change = {"SecurityGroupRuleId": one, "SecurityGroupRule": everything}
    ec2.modify_security_group_rules(GroupId=network.group, SecurityGroupRules=[change])
    (rule,) = ingress(ec2, network.group)
    assert (rule["IpProtocol"], rule.get("FromPort", -1)) == ("-1", -1)
    ec2.modify_security_group_rules(GroupId=network.group, SecurityGroupRules=[moved(one, 1)])
    (rule,) = ingress(ec2, network.group)
    assert (rule["IpProtocol"], rule["FromPort"]) == ("tcp", 1)


def test_a_prefix_list_rule_is_modified_to_another_list(ec2: Ec2, network: Any) -> None:
    lists = [
        ec2.create_managed_prefix_list(PrefixListName=name, MaxEntries=5, AddressFamily="IPv4")["PrefixList"]
        for name in ("one", "two")
    ]
    before, after = (each["PrefixListId"] for each in lists)
    permission = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "PrefixListIds": [{"PrefixListId": before}]}
    made = ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=[permission])
    rule_id = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    ec2.modify_security_group_rules(GroupId=network.group, SecurityGroupRules=[moved(rule_id, 1, PrefixListId=after)])
    assert [rule["PrefixListId"] for rule in ingress(ec2, network.group)] == [after]


@pytest.mark.parametrize("ports", [{"FromPort": 90, "ToPort": 80}, {"FromPort": 0, "ToPort": 65536}, {}])
def test_a_port_range_must_be_one(ec2: Ec2, network: Any, ports: dict[str, int]) -> None:
    permission = {"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.0.0.0/8"}], **ports}
    code = refused(ec2.authorize_security_group_ingress, GroupId=network.group, IpPermissions=[permission])
    assert code == "InvalidParameterValue"


def test_a_group_in_use_cannot_be_deleted(ec2: Ec2, network: Any, other: str) -> None:
    interface = ec2.create_network_interface(SubnetId=network.subnets[0], Groups=[other])["NetworkInterface"]
    assert refused(ec2.delete_security_group, GroupId=other) == "DependencyViolation"
    ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
    ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=[from_group(other)])
    assert refused(ec2.delete_security_group, GroupId=other) == "DependencyViolation"
    ec2.revoke_security_group_ingress(GroupId=network.group, IpPermissions=[from_group(other)])
    ec2.delete_security_group(GroupId=other)


def test_rules_come_in_pages_when_asked(ec2: Ec2, network: Any) -> None:
    permissions = [from_network("10.0.0.0/16", port) for port in range(1, 8)]
    ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=permissions)
    filters = [{"Name": "group-id", "Values": [network.group]}]
    first = ec2.describe_security_group_rules(Filters=filters, MaxResults=5)
    rest = ec2.describe_security_group_rules(Filters=filters, MaxResults=5, NextToken=first["NextToken"])
    assert (len(first["SecurityGroupRules"]), len(rest["SecurityGroupRules"])) == (5, 3)
