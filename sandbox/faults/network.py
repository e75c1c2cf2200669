"""Faults of security groups. Rules are changed in place, so that their `sgr-` ids stay."""

from __future__ import annotations

from typing import Any

from sandbox.faults.live import FaultError, Json, Live, call
from sandbox.faults.registry import fault
from sandbox.platform.description import ALB_GROUP, ANYWHERE, API, API_PORT, AUTH_PORT, MLFLOW, MLFLOW_PORT

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


@fault("N12", "MLflow's port is open to the world", "nobody; authentication can be bypassed", api_only=True)
def mlflow_is_open_to_the_world(live: Live) -> None:
    group = live.security_group(MLFLOW)
    world = [{"CidrIp": ANYWHERE, "Description": "temporary"}]
    opening = {"IpProtocol": "tcp", "FromPort": MLFLOW_PORT, "ToPort": MLFLOW_PORT, "IpRanges": world}
    live.create(
        f"opening of {MLFLOW}",
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
