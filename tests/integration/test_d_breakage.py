"""What is broken by hand after the repair is named by `verify.yml`, and `site.yml` repairs what is its to repair.

The repair takes the inventory of the real platform, unchanged, with nothing but the sandbox's environment set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.harness import Run, Sandbox, play
from tests.integration.conftest import Counted, counted

CLUSTER = "hokusai-development"


@dataclass(frozen=True)
class Broken:
    """What `verify.yml` said after each thing that was broken, and what `site.yml` did about all of them."""

    verdicts: dict[str, Counted]
    repair: Run


def group_id(ec2: Any, name: str) -> str:
    found = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [name]}])["SecurityGroups"]
    return str(found[0]["GroupId"])


def delete_a_route(sandbox: Sandbox) -> None:
    elbv2 = sandbox.client("elbv2")
    balancer = elbv2.describe_load_balancers(Names=["hokusai-main-development"])["LoadBalancers"][0]
    listeners = elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    secure = next(listener for listener in listeners if listener["Port"] == 443)
    rules = elbv2.describe_rules(ListenerArn=secure["ListenerArn"])["Rules"]
    elbv2.delete_rule(RuleArn=next(rule["RuleArn"] for rule in rules if rule["Priority"] == "105"))


def revoke_the_rule_from_api_to_mlflow(sandbox: Sandbox) -> None:
    ec2 = sandbox.client("ec2")
    api, mlflow = group_id(ec2, "hokusai-api-development"), group_id(ec2, "hokusai-mlflow-development")
    filters = [{"Name": "group-id", "Values": [mlflow]}]
    rules = ec2.describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
    ids = [
        rule["SecurityGroupRuleId"]
        for rule in rules
        if not rule["IsEgress"] and rule.get("ReferencedGroupInfo", {}).get("GroupId") == api
    ]
    ec2.revoke_security_group_ingress(GroupId=mlflow, SecurityGroupRuleIds=ids)


def delete_a_public_name(sandbox: Sandbox) -> None:
    route53 = sandbox.client("route53")
    zone = next(each["Id"] for each in route53.list_hosted_zones()["HostedZones"] if each["Name"] == "hokus.ai.")
    sets = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    record = next(each for each in sets if each["Name"] == "api.hokus.ai.")
    change = {"Action": "DELETE", "ResourceRecordSet": record}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})


def stop_mlflow(sandbox: Sandbox) -> None:
    service = "hokusai-mlflow-development"
    sandbox.client("ecs").update_service(cluster=CLUSTER, service=service, desiredCount=0)


def deregister_the_auth_service(sandbox: Sandbox) -> None:
    """ECS registers a task once: while it runs nothing brings its instance back."""
    discovery = sandbox.client("servicediscovery")
    auth = next(each["Id"] for each in discovery.list_services()["Services"] if each["Name"] == "auth")
    for instance in discovery.list_instances(ServiceId=auth)["Instances"]:
        discovery.deregister_instance(ServiceId=auth, InstanceId=instance["Id"])


BREAKAGES = {
    "route": delete_a_route,
    "group rule": revoke_the_rule_from_api_to_mlflow,
    "name": delete_a_public_name,
    "instance": deregister_the_auth_service,
    "mlflow": stop_mlflow,
}
NAMED = {
    "route": ("mlflow-through-api", "hokusai-main-development"),
    "group rule": ("api-to-mlflow", "hokusai-mlflow-development"),
    "name": (
        "api.hokus.ai leads to nothing, not to hokusai-main-development",
        "Remedy: run alb_routing with alb_routing_dns: true",
    ),
    "instance": (
        "service hokusai-auth-development: replace tasks that are not registered in Cloud Map",
        "auth.hokusai-development.local",
        "observed none registered",
    ),
    "mlflow": ("hokusai-mlflow-development", "desired"),
}
"""What the diagnosis of each breakage must contain: the hop, by the names of the inventory."""


@pytest.fixture(scope="module")
def broken(repaired: Sandbox, at: dict[str, str]) -> Broken:
    """Each breakage on top of the ones before, then one repair."""
    verdicts = {}
    for name, breaks in BREAKAGES.items():
        breaks(repaired)
        verdicts[name] = counted(repaired, "playbooks/verify.yml", extra=at)
    asked = ("playbooks/site.yml", "-e", "alb_routing_dns=true")
    return Broken(verdicts, play(*asked, inventory="inventories/development", extra=repaired.environment))


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_the_verification_fails_and_names_the_hop(broken: Broken, breakage: str) -> None:
    verdict = broken.verdicts[breakage].run
    assert verdict.code != 0
    diagnosis = " ".join(verdict.output[verdict.output.index("not as it should be") :].split())
    assert not [word for word in NAMED[breakage] if word not in diagnosis], verdict.output


def test_a_hop_is_not_named_before_it_is_broken(broken: Broken) -> None:
    assert "api-to-mlflow" not in broken.verdicts["route"].run.output


def test_the_verification_writes_nothing(broken: Broken) -> None:
    assert [verdict.calls["writes"] for verdict in broken.verdicts.values()] == [0] * len(BREAKAGES)


def test_one_run_repairs_all_of_it_and_proves_it(broken: Broken) -> None:
    broken.repair.wanted()
    assert {role for role, _verb, _why in broken.repair.steps} == {
        "alb_routing",
        "security_groups",
        "service_discovery",
    }


def test_a_public_name_is_given_back_when_that_is_asked_for(broken: Broken) -> None:
    (why,) = (why for _role, verb, why in broken.repair.steps if verb == "change_resource_record_sets")
    assert why == "hosted zone hokus.ai: api.hokus.ai becomes A alias of hokusai-main-development"


def test_only_the_service_that_lost_its_registration_gets_new_tasks_for_it(broken: Broken) -> None:
    reason = "replace tasks that are not registered in Cloud Map"
    assert [why for _role, _verb, why in broken.repair.steps if reason in why] == [
        f"service hokusai-auth-development: {reason}"
    ]
