"""Faults of security groups and of network ACLs. Rules are changed in place, so that their `sgr-` ids stay."""

from __future__ import annotations

from typing import Any

from sandbox.faults.edge import subnets_of
from sandbox.faults.live import FaultError, Json, Live, call
from sandbox.faults.registry import fault
from sandbox.faults.revisions import update
from sandbox.platform.description import (
    ALB_GROUP,
    ANYWHERE,
    API,
    API_PORT,
    AUTH_PORT,
    MLFLOW,
    MLFLOW_PORT,
    REGISTRY_LB,
)

RULE_QUOTA = 60
DISCARD = 9
"""The port that a rule is moved to when it is to let nothing through."""


@fault("N03", "the API's group lets out to 8000 only", "API: 504, connections to MLflow time out")
def api_may_not_reach_mlflow(live: Live) -> None:
    narrow_egress(live, API, AUTH_PORT, AUTH_PORT)


@fault("N04", "the ALBs' group does not let out to the API's port", "ALB: 504; targets time out")
def load_balancers_may_not_reach_the_api(live: Live) -> None:
    narrow_egress(live, ALB_GROUP, MLFLOW_PORT, AUTH_PORT)


@fault("N05", "the API's group does not let the ALBs in", "ALB: 504; targets time out")
def api_shuts_out_the_load_balancers(live: Live) -> None:
    shut(live, API, API_PORT, ALB_GROUP)


@fault("N06", "the network ACL denies MLflow's port", "API: 504, connections time out", api_only=True)
def network_acl_denies_mlflow(live: Live) -> None:
    """Before every other entry of the ACL that the VPC's subnets share."""
    wanted = [{"Name": "vpc-id", "Values": [live.vpc(MLFLOW)]}, {"Name": "default", "Values": ["true"]}]
    acl = live.aws.ec2.describe_network_acls(Filters=wanted)["NetworkAcls"][0]["NetworkAclId"]
    entry = {"NetworkAclId": acl, "RuleNumber": 1, "Egress": False}
    ports = {"From": MLFLOW_PORT, "To": MLFLOW_PORT}
    denial = {"Protocol": "6", "RuleAction": "deny", "CidrBlock": ANYWHERE, "PortRange": ports}
    live.change(
        "entry 1 of the network ACL",
        call("ec2", "create_network_acl_entry", **entry, **denial),
        call("ec2", "delete_network_acl_entry", ("InvalidNetworkAclEntry.NotFound",), **entry),
    )


@fault("N10", "MLflow is to run in the public subnets", "ECS: pulling the image times out", api_only=True)
def mlflow_is_in_the_wrong_subnets(live: Live) -> None:
    """Without a public address it has no way out there."""
    held = live.service(MLFLOW)["networkConfiguration"]["awsvpcConfiguration"]
    public = list(subnets_of(live, REGISTRY_LB).values())
    update(live, MLFLOW, networkConfiguration={"awsvpcConfiguration": {**held, "subnets": public}})


@fault(
    "N11", f"MLflow's group has {RULE_QUOTA} ingress rules", "EC2: RulesPerSecurityGroupLimitExceeded", api_only=True
)
def group_has_no_room(live: Live) -> None:
    missing = RULE_QUOTA - len(rules_of(live, MLFLOW, egress=False))
    let_in(live, f"fillers of {MLFLOW}", DISCARD, [{"CidrIp": f"192.0.2.{number}/32"} for number in range(missing)])


@fault("N12", "MLflow's port is open to the world", "nobody; authentication can be bypassed", api_only=True)
def mlflow_is_open_to_the_world(live: Live) -> None:
    let_in(live, f"opening of {MLFLOW}", MLFLOW_PORT, [{"CidrIp": ANYWHERE, "Description": "temporary"}])


def let_in(live: Live, touched: str, port: int, sources: list[Json]) -> None:
    """Add ingress rules to MLflow's group."""
    group = live.security_group(MLFLOW)
    opening = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": sources}
    live.create(
        touched,
        call("ec2", "authorize_security_group_ingress", GroupId=group, IpPermissions=[opening]),
        lambda answer: call(
            "ec2",
            "revoke_security_group_ingress",
            ("InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound"),
            GroupId=group,
            SecurityGroupRuleIds=[rule["SecurityGroupRuleId"] for rule in answer["SecurityGroupRules"]],
        ),
    )


def shut(live: Live, group: str, port: int, peer: str) -> None:
    """Take an ingress rule out of the way: it lets in to the discard port, and is the same rule still."""
    source = peer if "/" in peer else live.security_group(peer)
    held = [rule for rule in rules_of(live, group, egress=False) if rule["FromPort"] == port and source in peers(rule)]
    if not held:
        raise FaultError(f"{live.fault} needs the rule {port} from {peer} in {group}, and there is none")
    for rule in held:
        change_rule(live, rule, FromPort=DISCARD, ToPort=DISCARD)


def narrow_egress(live: Live, group: str, low: int, high: int) -> None:
    """Of the rules that let everything out, let these ports out only."""
    for rule in rules_of(live, group, egress=True):
        if rule["IpProtocol"] == "-1":
            change_rule(live, rule, IpProtocol="tcp", FromPort=low, ToPort=high)


def rules_of(live: Live, group: str, *, egress: bool) -> list[Json]:
    wanted = [{"Name": "group-id", "Values": [live.security_group(group)]}]
    held = live.aws.ec2.describe_security_group_rules(Filters=wanted)["SecurityGroupRules"]
    return [rule for rule in held if rule["IsEgress"] == egress]


def peers(rule: Json) -> set[str]:
    found = {rule.get("CidrIpv4"), rule.get("CidrIpv6"), rule.get("ReferencedGroupInfo", {}).get("GroupId")}
    return {peer for peer in found if peer}


def change_rule(live: Live, rule: Json, **fields: Any) -> None:
    """ModifySecurityGroupRules takes a rule whole."""
    held = {"ReferencedGroupId": rule.get("ReferencedGroupInfo", {}).get("GroupId")}
    held |= {key: rule.get(key) for key in ("IpProtocol", "FromPort", "ToPort", "CidrIpv4", "CidrIpv6", "Description")}
    old = {key: value for key, value in held.items() if value is not None}
    there, back = (
        call(
            "ec2",
            "modify_security_group_rules",
            GroupId=rule["GroupId"],
            SecurityGroupRules=[{"SecurityGroupRuleId": rule["SecurityGroupRuleId"], "SecurityGroupRule": whole}],
        )
        for whole in ({**old, **fields}, old)
    )
    live.change(f"security group rule {rule['SecurityGroupRuleId']}", there, back)
