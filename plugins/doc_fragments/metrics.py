# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The option `metrics` of the modules that watch or draw metrics."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  metrics:
    description:
      - The metrics that may be named by their ids. Those that nothing names have no effect.
      - Their dimensions are derived from the resources named, which must exist if the metric is used. CloudWatch takes
        a metric of any dimensions, and a wrong one has no data for ever.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: Id of the metric in expressions. It begins with a small letter and has letters, digits and C(_).
        type: str
        required: true
      name:
        description: Name of the metric, for instance V(HTTPCode_Target_5XX_Count).
        type: str
        required: true
      namespace:
        description:
          - Namespace of the metric. Omitted it is V(AWS/ApplicationELB) for a load balancer or target group,
            V(ECS/ContainerInsights) for a cluster, and V(AWS/CertificateManager) for a certificate.
        type: str
      statistic:
        description: V(Sum), V(Average), V(Minimum), V(Maximum), V(SampleCount), or a percentile such as V(p95).
        type: str
        default: Sum
      period:
        description: Seconds over which the statistic is taken; 10, 20, 30 or a multiple of 60.
        type: int
        default: 60
      label:
        description: What the metric is called in a legend. Omitted, a dashboard calls it by its id.
        type: str
      load_balancer:
        description: Name of the load balancer the metric is of. It gives the dimension C(LoadBalancer).
        type: str
      target_group:
        description:
          - Name of the target group the metric is of. It gives the dimensions C(TargetGroup) and C(LoadBalancer), the
            latter of O(metrics[].load_balancer), which must use the group, or else of the load balancer that does.
        type: str
      cluster:
        description: Name of the ECS cluster the metric is of, not its ARN.
        type: str
      service:
        description: Name of the ECS service the metric is of, not its ARN; with O(metrics[].cluster).
        type: str
      certificate:
        description: Domain name or ARN of the ACM certificate the metric is of.
        type: str
      dimensions:
        description: Other dimensions, by name, which are taken as they are.
        type: dict
        default: {}
"""
