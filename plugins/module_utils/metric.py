# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Metrics as alarms and dashboards name them: defined once, with dimensions that are looked up in what is there.

CloudWatch calls a load balancer and a target group by the ends of their ARNs, an ECS service by its name, a certificate
by its whole ARN (user guides: "CloudWatch metrics for your Application Load Balancer", "Container Insights metrics",
"Supported CloudWatch metrics" of ACM). A metric of the wrong dimensions has no data, and nothing says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import acm, elb
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_cluster import describe_services
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, calling
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Find, Missing

ELB, ECS, ACM = "AWS/ApplicationELB", "ECS/ContainerInsights", "AWS/CertificateManager"

HEARTBEATS = frozenset({(ELB, "HealthyHostCount"), (ECS, "RunningTaskCount"), (ACM, "DaysToExpiry")})
"""Metrics that a healthy resource always reports: their silence is a failure. Of the others, but for `VERDICTS`, it
means that nothing happened: no error, no request to measure."""
VERDICTS = frozenset({"HealthScore", "CheckPassed"})
"""What a validation found, which holds until the next one; between two of them there is no data."""

BALANCERS_OWN = re.compile(
    r"(Active|New|Rejected)ConnectionCount|ClientTLSNegotiationErrorCount|ConsumedLCUs|DesyncMitigationMode_\w+|"
    r"(Dropped|Forwarded)InvalidHeaderRequestCount|ELBAuth\w+|HTTPCode_ELB_\w+|HTTP_(Fixed|Redirect)_\w+|IPv6\w+|"
    r"ProcessedBytes|RuleEvaluations"
)
GROUPS_OWN = frozenset({"AnomalousHostCount", "HealthyHostCount", "RequestCountPerTarget", "UnHealthyHostCount"})
"""Metrics of `AWS/ApplicationELB` that are counted never, and only, by target group (user guide: "Metric dimensions
for Application Load Balancers")."""

METRICS_OPTION: dict[str, Any] = {
    "metrics": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "id": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str"},
            "statistic": {"type": "str", "default": "Sum"},
            "period": {"type": "int", "default": 60},
            "label": {"type": "str"},
            "load_balancer": {"type": "str"},
            "target_group": {"type": "str"},
            "cluster": {"type": "str"},
            "service": {"type": "str"},
            "certificate": {"type": "str"},
            "dimensions": {"type": "dict", "default": {}},
        },
        "mutually_exclusive": [("load_balancer", "cluster", "certificate"), ("target_group", "cluster", "certificate")],
        "required_by": {"service": ("cluster",)},
    }
}
"""The option of the modules that take metrics; documented in the fragment `metrics`."""

DERIVED = ("LoadBalancer", "TargetGroup", "ClusterName", "ServiceName", "CertificateArn")
SERVICES_PER_CALL = 10


@dataclass(frozen=True)
class Named:
    """The value of a dimension that a live resource tells. `words` are those by which `Observed.id` finds it."""

    words: str
    remedy: str


Dimension = tuple[str, "str | Named"]


@dataclass(frozen=True)
class Metric:
    """`statistic` is `Sum` and the like or a percentile as `p95`, `period` in seconds."""

    id: str
    namespace: str
    name: str
    statistic: str
    period: int
    dimensions: tuple[Dimension, ...]
    label: str = ""

    @property
    def is_heartbeat(self) -> bool:
        return (self.namespace, self.name) in HEARTBEATS

    @property
    def is_verdict(self) -> bool:
        return not self.namespace.startswith("AWS/") and self.name in VERDICTS

    def resolved(self, find: Find) -> list[dict[str, Any]]:
        """The dimensions in AWS's form."""
        return [{"Name": name, "Value": _value(value, find)} for name, value in self.dimensions]

    def to_aws(self, find: Find) -> dict[str, Any]:
        """As the API's `MetricStat`."""
        named = {"Namespace": self.namespace, "MetricName": self.name, "Dimensions": self.resolved(find)}
        return {"Metric": named, "Period": self.period, "Stat": self.statistic}


def _value(value: str | Named, find: Find) -> str | Missing:
    return find(value.words, value.remedy) if isinstance(value, Named) else value


Metrics = Mapping[str, Metric]


def from_options(given: Iterable[Mapping[str, Any]]) -> dict[str, Metric]:
    """The metrics by id. Raises `BadInput` for what CloudWatch would refuse, or take and never have data for."""
    found: dict[str, Metric] = {}
    for each in given:
        metric = _from_option(each)
        _check(metric)
        if metric.id in found:
            raise BadInput(f"Two metrics have the id {metric.id}", "give each its own")
        found[metric.id] = metric
    return found


def _from_option(given: Mapping[str, Any]) -> Metric:
    namespace = given["namespace"] or next(
        (space for option, space in _NAMESPACES.items() if given[option] is not None), ""
    )
    if not namespace:
        raise BadInput(f"The metric {given['id']} has no namespace", "set namespace, or name the resource it is of")
    if namespace == ELB:
        _check_of_balancers(given)
    for option in ("cluster", "service"):
        if (given[option] or "").startswith("arn:"):
            text = f"The metric {given['id']} gives its {option} by ARN, and CloudWatch knows it by name"
            raise BadInput(text, f"give the name, {given[option].rpartition('/')[2]}")
    if clash := sorted(set(given["dimensions"]) & set(DERIVED)):
        text = f"The metric {given['id']} gives the dimension {clash[0]} by its value, which changes with the resource"
        raise BadInput(text, "name the resource by load_balancer, target_group, cluster, service or certificate")
    plain = sorted((name, str(value)) for name, value in given["dimensions"].items())
    dimensions = (*_derived(given), *plain)
    return Metric(
        given["id"],
        namespace,
        given["name"],
        given["statistic"],
        given["period"],
        tuple(sorted(dimensions, key=lambda pair: pair[0])),
        given["label"] or "",
    )


def _check_of_balancers(given: Mapping[str, Any]) -> None:
    what, name = f"The metric {given['id']}", given["name"]
    if given["target_group"] and BALANCERS_OWN.fullmatch(name):
        remedy = "leave target_group out, and name the load_balancer"
        raise BadInput(f"{what}: a load balancer does not count {name} by target group", remedy)
    if name in GROUPS_OWN and not given["target_group"]:
        raise BadInput(f"{what}: {name} is counted by target group alone", "name the target_group")
    if not given["target_group"] and not given["load_balancer"]:
        raise BadInput(f"{what}: nobody counts {name} over all load balancers", "name load_balancer or target_group")


_NAMESPACES = {"load_balancer": ELB, "target_group": ELB, "cluster": ECS, "certificate": ACM}


def _derived(given: Mapping[str, Any]) -> Iterator[Dimension]:
    balancer, group = given["load_balancer"], given["target_group"]
    if group:
        yield "TargetGroup", Named(f"target group {group}", elb.GROUP_REMEDY)
    if group and balancer:
        remedy = f"let a listener rule of {balancer} forward to {group}, or name the load balancer that does"
        yield "LoadBalancer", Named(_attachment(group, balancer), remedy)
    elif balancer:
        yield "LoadBalancer", Named(f"load balancer {balancer}", "create it, or correct its name")
    elif group:
        yield "LoadBalancer", Named(f"load balancer of {group}", "let a listener rule forward to the target group")
    if given["cluster"] and given["service"]:
        where = f"ECS service {given['cluster']}/{given['service']}"
        yield "ServiceName", Named(where, "create it, or correct its name")
        yield "ClusterName", given["cluster"]
    elif given["cluster"]:
        yield "ClusterName", Named(f"ECS cluster {given['cluster']}", "create it, or correct its name")
    if given["certificate"]:
        yield "CertificateArn", Named(f"certificate {given['certificate']}", "import or request it")


def _attachment(group: str, balancer: str) -> str:
    return f"an attachment of target group {group} to load balancer {balancer}"


def _check(metric: Metric) -> None:
    what = f"The metric {metric.id}"
    if not re.fullmatch(r"[a-z]\w{0,254}", metric.id):
        raise BadInput(f"{what}: an id begins with a small letter and has letters, digits and _", "give it such an id")
    if not re.fullmatch(r"Sum|Average|Minimum|Maximum|SampleCount|p(\d{1,2}(\.\d{1,2})?|100)", metric.statistic):
        raise BadInput(f"{what}: {metric.statistic} is no statistic", "use Sum, Average, Maximum, ..., or p95")
    if metric.period not in (10, 20, 30) and (metric.period < 1 or metric.period % 60):
        raise BadInput(f"{what}: no period is {metric.period} s", "use 10, 20, 30 or a multiple of 60")


WORD = re.compile(r"(?<![\w.])([a-z]\w*)")


def used(expression: str, known: Metrics) -> list[Metric]:
    """The metrics that a metric-maths expression names, by their order in it. Raises `BadInput` for unknown ones."""
    names = list(dict.fromkeys(WORD.findall(expression)))
    if unknown := [name for name in names if name not in known]:
        raise BadInput(f"The expression {expression} names {', '.join(unknown)}, which is no metric", "define it")
    return [known[name] for name in names]


# --- what is there


def observed_ids(aws: Aws, options: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The values of the dimensions by the words of `Named`, in one call for each kind of resource (and page)."""
    return {
        **_balancers(aws, options),
        **_services(aws, options),
        **_certificates(aws, {each["certificate"] for each in options if each["certificate"]}),
    }


def _balancers(aws: Aws, options: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    names = sorted({each["load_balancer"] for each in options if each["load_balancer"]})
    groups = sorted({each["target_group"] for each in options if each["target_group"]})
    if not names and not groups:
        return {}
    with calling("describe the load balancers"):
        listed = elb.every(aws.elbv2, "describe_load_balancers", "LoadBalancers")
    names_by_arn = {each["LoadBalancerArn"]: each["LoadBalancerName"] for each in listed}
    found = {f"load balancer {name}": elb.dimension(arn) for arn, name in names_by_arn.items()}
    if groups:
        with calling("describe the target groups"):
            described = elb.every(aws.elbv2, "describe_target_groups", "TargetGroups")
        for each in described:
            group = each["TargetGroupName"]
            found[f"target group {group}"] = elb.dimension(each["TargetGroupArn"])
            for arn in (arn for arn in each["LoadBalancerArns"] if arn in names_by_arn):
                found.setdefault(f"load balancer of {group}", elb.dimension(arn))
                found[_attachment(group, names_by_arn[arn])] = elb.dimension(arn)
    return found


def _services(aws: Aws, options: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    wanted: dict[str, set[str]] = {}
    for each in options:
        if each["cluster"] and each["service"]:
            wanted.setdefault(each["cluster"], set()).add(each["service"])
    found = _clusters(aws, {each["cluster"] for each in options if each["cluster"] and not each["service"]})
    for cluster, services in wanted.items():
        names = sorted(services)
        for start in range(0, len(names), SERVICES_PER_CALL):
            for each in describe_services(aws, cluster, names[start : start + SERVICES_PER_CALL]):
                if each["status"] == "ACTIVE":
                    found[f"ECS service {cluster}/{each['serviceName']}"] = str(each["serviceName"])
    return found


def _clusters(aws: Aws, names: Iterable[str]) -> dict[str, str]:
    """Those that are there and not deleted; a request names a hundred at most."""
    names = sorted(names)
    if not names:
        return {}
    with calling("describe the ECS clusters"):
        described = aws.ecs.describe_clusters(clusters=names)["clusters"]
    return {
        f"ECS cluster {each['clusterName']}": each["clusterName"] for each in described if each["status"] == "ACTIVE"
    }


def _certificates(aws: Aws, names: Iterable[str]) -> dict[str, str]:
    names = sorted(names)
    if not names:
        return {}
    listed = acm.certificates(aws)
    return {f"certificate {name}": listed.arn(name) for name in names}
