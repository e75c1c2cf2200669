"""The way in: certificate, load balancers, target groups, listeners, rules, and the public zone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from sandbox.platform.clients import Clients, tags
from sandbox.platform.description import ALB_GROUP, DOMAIN, LoadBalancer, Platform, Rule, TargetGroup
from sandbox.platform.network import Network

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
NOT_FOUND = {
    "Type": "fixed-response",
    "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": "Not Found"},
}
TO_HTTPS = {
    "Type": "redirect",
    "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
}


class Certificate(Protocol):
    """What a certificate authority hands out: PEM text."""

    @property
    def body(self) -> str: ...

    @property
    def chain(self) -> str: ...

    @property
    def private_key(self) -> str: ...


def build(aws: Clients, platform: Platform, network: Network, issued: Certificate) -> dict[str, str]:
    """Return the target groups' ARNs by name."""
    certificate = aws.acm.import_certificate(
        Certificate=issued.body.encode(),
        CertificateChain=issued.chain.encode(),
        PrivateKey=issued.private_key.encode(),
        Tags=tags(f"*.{DOMAIN}"),
    )["CertificateArn"]
    groups = {group.name: target_group(aws, network, group) for group in platform.target_groups}
    made = [(described, load_balancer(aws, network, described)) for described in platform.load_balancers]
    for described, found in made:
        listeners(aws, described, found["LoadBalancerArn"], certificate, groups)
    public_zone(aws, ((described.host, found) for described, found in made))
    return groups


def target_group(aws: Clients, network: Network, group: TargetGroup) -> str:
    made = aws.elbv2.create_target_group(
        Name=group.name,
        Protocol="HTTP",
        ProtocolVersion="HTTP1",
        Port=group.port,
        VpcId=network.vpc_id,
        TargetType="ip",
        HealthCheckProtocol="HTTP",
        HealthCheckPort="traffic-port",
        HealthCheckPath=group.path_at_rollout,
        HealthCheckIntervalSeconds=30,
        HealthCheckTimeoutSeconds=5,
        HealthyThresholdCount=2,
        UnhealthyThresholdCount=2,
        Matcher={"HttpCode": "200"},
        Tags=tags(group.name),
    )
    arn: str = made["TargetGroups"][0]["TargetGroupArn"]
    return arn


def load_balancer(aws: Clients, network: Network, described: LoadBalancer) -> dict[str, Any]:
    made = aws.elbv2.create_load_balancer(
        Name=described.name,
        Subnets=list(network.public_subnets),
        SecurityGroups=[network.groups[ALB_GROUP]],
        Scheme="internet-facing",
        Type="application",
        Tags=tags(described.name),
    )
    found: dict[str, Any] = made["LoadBalancers"][0]
    return found


def listeners(aws: Clients, described: LoadBalancer, arn: str, certificate: str, groups: dict[str, str]) -> None:
    aws.elbv2.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=[TO_HTTPS])
    default = forward(groups[described.default]) if described.default else NOT_FOUND
    secure = aws.elbv2.create_listener(
        LoadBalancerArn=arn,
        Protocol="HTTPS",
        Port=443,
        SslPolicy=TLS_POLICY,
        Certificates=[{"CertificateArn": certificate}],
        DefaultActions=[default],
        Tags=tags(described.name),
    )["Listeners"][0]["ListenerArn"]
    for rule in (*described.rules, *described.lost_rules):
        listener_rule(aws, secure, described.host, rule, groups)


def listener_rule(aws: Clients, listener: str, host: str, rule: Rule, groups: dict[str, str]) -> None:
    aws.elbv2.create_rule(
        ListenerArn=listener,
        Priority=rule.priority,
        Conditions=[
            {"Field": "host-header", "HostHeaderConfig": {"Values": [host]}},
            {"Field": "path-pattern", "PathPatternConfig": {"Values": list(rule.paths)}},
        ],
        Actions=[forward(groups[rule.target_group])],
    )


def forward(target_group_arn: str) -> dict[str, str]:
    return {"Type": "forward", "TargetGroupArn": target_group_arn}


def public_zone(aws: Clients, hosts: Iterable[tuple[str, dict[str, Any]]]) -> None:
    zone = aws.route53.create_hosted_zone(Name=DOMAIN, CallerReference="sandbox")["HostedZone"]["Id"]
    changes = [{"Action": "CREATE", "ResourceRecordSet": alias(host, found)} for host, found in hosts]
    aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def alias(host: str, found: dict[str, Any]) -> dict[str, Any]:
    target = {
        "HostedZoneId": found["CanonicalHostedZoneId"],
        "DNSName": found["DNSName"],
        "EvaluateTargetHealth": True,
    }
    return {"Name": host, "Type": "A", "AliasTarget": target}


def drift(aws: Clients, platform: Platform, groups: dict[str, str]) -> None:
    """Do what somebody did after the services' roll-out: change health paths, delete rules."""
    for group in platform.target_groups:
        if group.health_path != group.path_at_rollout:
            aws.elbv2.modify_target_group(TargetGroupArn=groups[group.name], HealthCheckPath=group.health_path)
    for described in platform.load_balancers:
        lost = {str(rule.priority) for rule in described.lost_rules}
        for rule in rules_of(aws, described.name) if lost else ():
            if rule["Priority"] in lost:
                aws.elbv2.delete_rule(RuleArn=rule["RuleArn"])


def rules_of(aws: Clients, load_balancer_name: str) -> list[dict[str, Any]]:
    """The rules of a load balancer's HTTPS listener."""
    found = aws.elbv2.describe_load_balancers(Names=[load_balancer_name])["LoadBalancers"][0]["LoadBalancerArn"]
    held = aws.elbv2.describe_listeners(LoadBalancerArn=found)["Listeners"]
    secure = next(listener["ListenerArn"] for listener in held if listener["Port"] == 443)
    rules: list[dict[str, Any]] = aws.elbv2.describe_rules(ListenerArn=secure)["Rules"]
    return rules
