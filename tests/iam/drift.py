"""What people do to a platform by hand, and what an inventory may ask for besides, so that a run has much to write.

All of it is undone by the run; taking that run back does it again.
"""

from __future__ import annotations

import json
from typing import Any

from tests.harness import Sandbox, inventory
from tests.iam.grants import CLUSTER, DOMAIN, ENVIRONMENT, MANAGED, OWNER

AUTH, MAIN = f"hokusai-auth-{ENVIRONMENT}", f"hokusai-main-{ENVIRONMENT}"
MLFLOW, API = f"hokusai-mlflow-{ENVIRONMENT}", f"hokusai-api-{ENVIRONMENT}"
GROUP = f"hokusai-mlflow-tg-{ENVIRONMENT}"
ALARM_OWNER = f"{OWNER}/{CLUSTER}"
"""As the role `monitoring` has it."""
OURS = [{"Key": MANAGED, "Value": OWNER}]
NAMES = f"other.{DOMAIN}", f"another.{DOMAIN}"
"""Of the certificates that a listener has too many and too few."""


def asked() -> dict[str, Any]:
    """Variables of the inventory with an attribute, a second certificate, and a rule for what goes out."""
    told = inventory(ENVIRONMENT)
    groups, balancers, security = (
        told[f"hokusai_{each}"] for each in ("target_groups", "load_balancers", "security_groups")
    )
    groups[0]["attributes"] = {"deregistration_delay.timeout_seconds": 60}
    main = next(each for each in balancers if each["name"] == MAIN)
    listener = next(each for each in main["listeners"] if each["port"] == 443)
    listener["certificates"] = [*listener["certificates"], NAMES[1]]
    mlflow = next(each for each in security if each["group"] == MLFLOW)
    mlflow["rules"] += [{"name": "mlflow-to-api", "direction": "egress", "port": 8001, "group": API}]
    return {
        "hokusai_target_groups": groups,
        "hokusai_load_balancers": balancers,
        "hokusai_security_groups": security,
    }


def drift(sandbox: Sandbox) -> None:
    """Change what the inventory asks for, and add things of ours that it does not."""
    sandbox.command("break", "E01", "E06", "N05").wanted()
    load_balancing(sandbox)
    security_groups(sandbox)
    discovery(sandbox)
    monitoring(sandbox)


def load_balancing(sandbox: Sandbox) -> None:
    elbv2 = sandbox.client("elbv2")
    first, _second = (certificate(sandbox, name) for name in NAMES)
    balancer = elbv2.describe_load_balancers(Names=[AUTH])["LoadBalancers"][0]["LoadBalancerArn"]
    listeners = elbv2.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
    listener = next(each["ListenerArn"] for each in listeners if each["Port"] == 443)
    elbv2.modify_listener(ListenerArn=listener, SslPolicy="ELBSecurityPolicy-TLS13-1-2-Res-2021-06")
    elbv2.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": first}])
    rules = elbv2.describe_rules(ListenerArn=listener)["Rules"]
    health = next(each["RuleArn"] for each in rules if each["Priority"] == "100")
    elbv2.set_rule_priorities(RulePriorities=[{"RuleArn": health, "Priority": 300}])
    elbv2.create_rule(
        ListenerArn=listener,
        Priority=900,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/old"]}}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
        Tags=[*OURS, {"Key": "hokusai:name", "Value": "old"}],
    )
    unused = elbv2.describe_target_groups(Names=[GROUP])["TargetGroups"][0]["TargetGroupArn"]
    elbv2.delete_target_group(TargetGroupArn=unused)


def certificate(sandbox: Sandbox, name: str) -> str:
    """The ARN of one that has been issued; the sandbox takes a minute over it."""
    acm = sandbox.client("acm")
    arn: str = acm.request_certificate(DomainName=name, ValidationMethod="DNS")["CertificateArn"]
    acm.get_waiter("certificate_validated").wait(CertificateArn=arn, WaiterConfig={"Delay": 5, "MaxAttempts": 60})
    return arn


def security_groups(sandbox: Sandbox) -> None:
    ec2 = sandbox.client("ec2")
    found = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [MLFLOW, API]}])["SecurityGroups"]
    ids = {each["GroupName"]: each["GroupId"] for each in found}
    tagged = [{"ResourceType": "security-group-rule", "Tags": OURS}]
    wanted = {"UserIdGroupPairs": [{"GroupId": ids[API], "Description": "by hand"}]}
    unwanted = {"UserIdGroupPairs": [{"GroupId": ids[API]}]}
    for way, port, peer in (("ingress", 5000, wanted), ("ingress", 5001, unwanted), ("egress", 5001, unwanted)):
        permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **peer}
        authorize = getattr(ec2, f"authorize_security_group_{way}")
        authorize(GroupId=ids[MLFLOW], IpPermissions=[permission], TagSpecifications=tagged)


def discovery(sandbox: Sandbox) -> None:
    """No service registers in the incident, so that the namespace can go."""
    cloudmap = sandbox.client("servicediscovery")
    for each in cloudmap.list_services()["Services"]:
        cloudmap.delete_service(Id=each["Id"])
    for each in cloudmap.list_namespaces()["Namespaces"]:
        cloudmap.delete_namespace(Id=each["Id"])


def monitoring(sandbox: Sandbox) -> None:
    logs, cloudwatch = sandbox.client("logs"), sandbox.client("cloudwatch")
    logs.delete_log_group(logGroupName=f"/ecs/{AUTH}")
    logs.put_retention_policy(logGroupName=f"/ecs/{MLFLOW}", retentionInDays=7)
    counted = [{"metricName": "BadGateway", "metricNamespace": f"Hokusai/{ENVIRONMENT}", "metricValue": "2"}]
    logs.put_metric_filter(
        logGroupName=f"/ecs/{API}", filterName="bad-gateway", filterPattern="502", metricTransformations=counted
    )
    tags = [{"Key": MANAGED, "Value": ALARM_OWNER}]
    for name in ("slow", "old"):
        cloudwatch.put_metric_alarm(
            AlarmName=f"{CLUSTER}-{name}",
            Namespace="AWS/ApplicationELB",
            MetricName="RequestCount",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
            Tags=tags,
        )
    rule = f'ALARM("{CLUSTER}-old")'
    cloudwatch.put_composite_alarm(AlarmName=f"{CLUSTER}-older", AlarmRule=rule, Tags=tags)
    widget = {"type": "text", "width": 6, "height": 2, "properties": {"markdown": "by hand"}}
    cloudwatch.put_dashboard(DashboardName=CLUSTER, DashboardBody=json.dumps({"widgets": [widget]}))
