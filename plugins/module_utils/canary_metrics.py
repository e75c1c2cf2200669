# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What AWS says of a canary's target groups: the states of their targets, and how their requests fared.

Metrics are those of the Elastic Load Balancing user guide, "CloudWatch metrics for your Application Load Balancer".
What a load balancer answers itself (502, 503, 504) it does not count per target group: a connection that failed is seen
in `TargetConnectionErrorCount`, and one that was silent too long only as a request without an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property

from ansible_collections.hokusai.platform.plugins.module_utils import canary_routes, cloudwatch, elb
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.canary_gates import Counts
from ansible_collections.hokusai.platform.plugins.module_utils.cloudwatch import Metric
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, calling

NAMESPACE = "AWS/ApplicationELB"
REQUESTS, REFUSED = "RequestCount", "TargetConnectionErrorCount"
ANSWERED = tuple(f"HTTPCode_Target_{digit}XX_Count" for digit in (2, 3, 4))
FAILED = "HTTPCode_Target_5XX_Count"
NAMES = (REQUESTS, REFUSED, FAILED, *ANSWERED)


class Reader:
    """Reads the groups of a canary; `pairs` are names of stable and canary groups. Raises `AwsError`."""

    def __init__(self, aws: Aws, pairs: Sequence[tuple[str, str]]) -> None:
        self._aws = aws
        self.stable, self.canary = [each[0] for each in pairs], [each[1] for each in pairs]
        self.sides = (self.canary, self.stable)

    def target_states(self, group: str) -> list[str]:
        arn = self._arn(group)
        with calling(f"describe the health of the targets of {group}"):
            listed = self._aws.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return [each["TargetHealth"]["State"] for each in listed]

    def counts(self, groups: Sequence[str], since: datetime, until: datetime) -> Counts:
        """Of all the groups together, between the two moments."""
        metrics = {name: [Metric(NAMESPACE, name, each) for each in self._dimensions(groups)] for name in NAMES}
        wanted = [metric for some in metrics.values() for metric in some]
        found = cloudwatch.sums(self._aws, wanted, since, max(until, since + cloudwatch.PERIOD))
        total = {name: int(sum(found[metric] for metric in some)) for name, some in metrics.items()}
        errors = total[FAILED] + total[REFUSED]
        answered = sum(total[name] for name in ANSWERED)
        return Counts(total[REQUESTS], errors, max(0, total[REQUESTS] - errors - answered))

    @cached_property
    def _groups(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """ARN and load balancers' ARNs by name; read once, they do not change under way."""
        found = canary_routes.groups(self._aws, [*self.stable, *self.canary])
        return {name: (each["TargetGroupArn"], tuple(each.get("LoadBalancerArns", ()))) for name, each in found.items()}

    def _arn(self, group: str) -> str:
        if group not in self._groups:
            raise AwsError(f"There is no target group {group}", "TargetGroupNotFound", "correct target_groups")
        return self._groups[group][0]

    def _dimensions(self, groups: Sequence[str]) -> Iterator[tuple[tuple[str, str], ...]]:
        for group in groups:
            arn = self._arn(group)
            for balancer in self._groups[group][1]:
                yield (("TargetGroup", elb.dimension(arn)), ("LoadBalancer", elb.dimension(balancer)))
