#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All CloudWatch alarms of one owner, as one declarative set."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudwatch_alarms
short_description: Manage a set of CloudWatch alarms
version_added: 0.2.0
description:
  - Brings the alarms of one owner to what is listed, alarms on one metric, on metric maths, and composite ones.
  - An alarm is known by its name, and as this collection's by the tag C(hokusai:managed-by). Nobody else's alarm is
    changed or deleted. One that has a wanted name is refused.
  - AWS replaces all settings of an alarm at each write. So all settings are compared, and an alarm that has those it
    should have is not written.
options:
  alarms:
    description: The alarms, in any order.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the alarm, unique in the region.
        type: str
        required: true
      description:
        description: What it means that the alarm sounds, and what to do then.
        type: str
      metric:
        description: Id of the one metric that is watched.
        type: str
      expression:
        description: Metric maths over metrics by their ids, for instance V(desired - running); its result is watched.
        type: str
      label:
        description: What the result of O(alarms[].expression) is called.
        type: str
      rule:
        description:
          - Rule of a composite alarm over other alarms, for instance V(ALARM("one"\) OR ALARM("two"\)).
          - The alarms it names must be in O(alarms) or exist.
        type: str
      comparison:
        description: How the value is compared with the threshold.
        type: str
        choices: [">", ">=", "<", "<="]
        default: ">="
      threshold:
        description: The value from which the alarm sounds. Required for all but composite alarms.
        type: float
      evaluation_periods:
        description: How many periods are looked at.
        type: int
        default: 1
      datapoints_to_alarm:
        description: In how many of them the condition must hold. Omitted, in all.
        type: int
      treat_missing_data:
        description:
          - What a period without data means.
          - Omitted it follows from the kind of metric. It is V(breaching) where one of the metrics is a heartbeat, that
            is C(HealthyHostCount), C(RunningTaskCount) or C(DaysToExpiry). It is V(ignore) where one is what a
            validation found, that is C(HealthScore) or C(CheckPassed), which holds until the next one. Else it is
            V(not_breaching), for then nothing happened.
          - Where Container Insights is off nobody reports C(RunningTaskCount), and V(breaching) sounds for ever. Give
            V(not_breaching) where that may be so.
        type: str
        choices: [missing, ignore, breaching, not_breaching]
      actions_enabled:
        description: Whether the actions are taken.
        type: bool
        default: true
      alarm_actions:
        description: Actions when it sounds. Omitted, those of O(alarm_actions).
        type: list
        elements: str
      ok_actions:
        description: Actions when it ends. Omitted, those of O(ok_actions).
        type: list
        elements: str
      insufficient_data_actions:
        description: Actions when it has no data. Omitted, those of O(insufficient_data_actions).
        type: list
        elements: str
  alarm_actions:
    description:
      - Actions of each alarm that sounds, unless it has its own, by ARN, or an SNS topic by its name.
      - A topic that is named must exist.
      - An alarm without any is warned of.
    type: list
    elements: str
    default: []
  ok_actions:
    description: Actions of each alarm that ends, unless it has its own.
    type: list
    elements: str
    default: []
  insufficient_data_actions:
    description: Actions of each alarm that has no data, unless it has its own.
    type: list
    elements: str
    default: []
  tags:
    description: Tags of the alarms. Others on them stay.
    type: dict
  purge:
    description:
      - V(owned) deletes alarms of O(owner) that are not in O(alarms).
      - V(none) leaves them.
    type: str
    choices: [owned, none]
    default: owned
  owner:
    description:
      - Value of the tag C(hokusai:managed-by) on the alarms made here; only alarms with it are ever changed or deleted.
      - Give each environment that shares an account and region its own, or they delete each other's alarms.
    type: str
    default: hokusai.platform
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
  - hokusai.platform.metrics
author:
  - Hokusai Platform contributors (@hokusai)
"""

EXAMPLES = r"""
- name: Watch the registry
  hokusai.platform.cloudwatch_alarms:
    owner: hokusai.platform/development
    alarm_actions: [hokusai-development]
    metrics:
      - {id: elb_5xx, name: HTTPCode_ELB_5XX_Count, load_balancer: hokusai-registry-development}
      - {id: desired, name: DesiredTaskCount, statistic: Maximum, cluster: hokusai-development, service: hokusai-api}
      - {id: running, name: RunningTaskCount, statistic: Maximum, cluster: hokusai-development, service: hokusai-api}
    alarms:
      - name: hokusai-development-registry-elb-5xx
        description: The load balancer answers 5xx of its own; see the targets of the registry.
        metric: elb_5xx
        threshold: 5
      - name: hokusai-development-api-tasks
        expression: desired - running
        comparison: ">"
        threshold: 0
        evaluation_periods: 3
      - name: hokusai-development
        rule: ALARM("hokusai-development-registry-elb-5xx") OR ALARM("hokusai-development-api-tasks")
"""

RETURN = r"""
resource:
  description:
    - The alarms by name with their settings as AWS calls them, as they are, or in check mode as they would be.
    - Dimensions are left out.
  returned: success
  type: dict
  sample:
    hokusai-development-registry-elb-5xx:
      name: hokusai-development-registry-elb-5xx
      ActionsEnabled: true
      AlarmActions: ["arn:aws:sns:us-east-1:123456789012:hokusai-development"]
      ComparisonOperator: GreaterThanOrEqualToThreshold
      DatapointsToAlarm: 1
      EvaluationPeriods: 1
      MetricName: HTTPCode_ELB_5XX_Count
      Namespace: AWS/ApplicationELB
      Period: 60
      Statistic: Sum
      Threshold: 5.0
      TreatMissingData: notBreaching
      tags: {"hokusai:managed-by": hokusai.platform/development}
steps:
  description: The writes taken, or in check mode those that would be, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - {verb: put_metric_alarm, why: "alarm hokusai-development-registry-elb-5xx: set Threshold"}
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: grant the calling identity this action on this resource (docs/iam.md has the policies), then run again
error:
  description: Kind of the failure, such as V(BadInput), V(NotFound), V(AwsError), V(NotConverged) or V(GaveUp).
  returned: failure
  type: str
  sample: AwsError
steps_done:
  description: The writes that were made before the failure, as in RV(steps). They stay made; the next run goes on.
  returned: failure after the first write was begun
  type: list
  elements: dict
  sample:
    - {verb: put_metric_alarm, why: "alarm hokusai-development-registry-elb-5xx: set Threshold"}
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample: {verb: put_metric_alarm, why: "alarm hokusai-development-api-tasks: create"}
"""

from collections.abc import Iterator
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import alarm, metric, tags
from ansible_collections.hokusai.platform.plugins.module_utils.alarm import AlarmSet
from ansible_collections.hokusai.platform.plugins.module_utils.alarm_observation import alarms, topic_arns
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.metric import METRICS_OPTION
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.runner import run

ARNS: dict[str, Any] = {"type": "list", "elements": "str"}
ALARM: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "description": {"type": "str"},
    "metric": {"type": "str"},
    "expression": {"type": "str"},
    "label": {"type": "str"},
    "rule": {"type": "str"},
    "comparison": {"type": "str", "choices": list(alarm.COMPARISONS), "default": ">="},
    "threshold": {"type": "float"},
    "evaluation_periods": {"type": "int", "default": 1},
    "datapoints_to_alarm": {"type": "int"},
    "treat_missing_data": {"type": "str", "choices": list(alarm.TREATMENTS)},
    "actions_enabled": {"type": "bool", "default": True},
    **dict.fromkeys(alarm.ACTIONS, ARNS),
}
SPEC: dict[str, Any] = {
    **METRICS_OPTION,
    "alarms": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": ALARM,
        "mutually_exclusive": [("metric", "expression", "rule")],
        "required_one_of": [("metric", "expression", "rule")],
    },
    **{key: {**ARNS, "default": []} for key in alarm.ACTIONS},
    "tags": {"type": "dict"},
    "purge": {"type": "str", "choices": ["owned", "none"], "default": "owned"},
    "owner": {"type": "str", "default": tags.OWNER},
}


def desire(params: Params) -> AlarmSet:
    wanted = alarm.wanted(params["alarms"], metric.from_options(params["metrics"]), params)
    return AlarmSet(wanted, params["owner"], params["purge"] == "owned")


def observe(aws: Aws, params: Params) -> Observed[AlarmSet]:
    wanted = alarm.wanted(params["alarms"], metric.from_options(params["metrics"]), params)
    names = {each.name for each in wanted}
    asked = {name for each in wanted for name in alarm.referred(each)}
    live = alarms(aws, names | asked, params["owner"])
    ids = {f"alarm {each.name}": each.arn for each in live} | metric.observed_ids(aws, params["metrics"])
    if any(alarm.names_topic(each) for each in wanted):
        ids |= topic_arns(aws)
    shown = (each for each in live if each.name in names or tags.is_owned(each.tags, params["owner"]))
    return Observed(AlarmSet(tuple(shown), params["owner"]), ids)


def plan(observed: Observed[AlarmSet], desired: AlarmSet | None) -> Iterator[Step]:
    if observed.resource is not None and desired is not None:
        yield from alarm.steps(observed.resource, desired, observed.id)


def main() -> None:
    run(service="cloudwatch", spec=SPEC, desire=desire, observe=observe, plan=plan)


if __name__ == "__main__":
    main()
