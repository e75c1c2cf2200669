#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Log groups: how long they keep events, and which lines become metrics."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_groups
short_description: Manage retention and metric filters of log groups
version_added: 0.2.0
description:
  - Brings CloudWatch log groups to the retention and the metric filters that are listed. A group that does not exist is
    created, with the tag C(hokusai:managed-by).
  - Metric filters that are not listed stay, and so does what a group holds. Nothing is deleted.
options:
  groups:
    description: The log groups.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the log group.
        type: str
        required: true
      retention_days:
        description: How many days events are kept, V(0) for ever. Omitted it is unmanaged.
        type: int
      metric_filters:
        description: The metric filters, known by their names within the group.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the filter.
            type: str
            required: true
          pattern:
            description: Filter pattern, for instance V({ $.status = 401 }).
            type: str
            required: true
          namespace:
            description: Namespace of the metric.
            type: str
            required: true
          metric:
            description: Name of the metric.
            type: str
            required: true
          value:
            description: What a line that matches counts, a number or a property of the line as V($.ms).
            type: str
            default: "1"
          default_value:
            description: What is reported when lines came and none matched. Omitted, nothing is.
            type: float
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
author:
  - Hokusai Platform contributors (@hokusai)
"""

EXAMPLES = r"""
- name: Count refused keys
  hokusai.platform.log_groups:
    groups:
      - name: /ecs/hokusai-api-development
        retention_days: 30
        metric_filters:
          - name: authentication-failures
            pattern: '{ ($.status = 401) && ($.emitter = "auth") }'
            namespace: Hokusai/development
            metric: AuthenticationFailures
            default_value: 0
"""

RETURN = r"""
resource:
  description: The log groups by name, as they are, or in check mode as they would be.
  returned: success
  type: dict
  sample:
    /ecs/hokusai-api-development:
      retention_days: 30
      metric_filters:
        authentication-failures:
          name: authentication-failures
          pattern: '{ ($.status = 401) && ($.emitter = "auth") }'
          namespace: Hokusai/development
          metric: AuthenticationFailures
          value: "1"
          default: 0.0
          more: {}
steps:
  description: The writes taken, or in check mode those that would be, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - {verb: put_retention_policy, why: "log group /ecs/hokusai-api-development: keep events for 30 days"}
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
    - {verb: put_retention_policy, why: "log group /ecs/hokusai-api-development: keep events for 30 days"}
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample: {verb: put_retention_policy, why: "log group /ecs/hokusai-api-development: keep events for 30 days"}
"""

from collections.abc import Iterator
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import log_group
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.log_group import LogGroups
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.runner import run

FILTER = {
    "name": {"type": "str", "required": True},
    "pattern": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "metric": {"type": "str", "required": True},
    "value": {"type": "str", "default": "1"},
    "default_value": {"type": "float"},
}
GROUP = {
    "name": {"type": "str", "required": True},
    "retention_days": {"type": "int"},
    "metric_filters": {"type": "list", "elements": "dict", "default": [], "options": FILTER},
}
SPEC: dict[str, Any] = {"groups": {"type": "list", "elements": "dict", "required": True, "options": GROUP}}


def desire(params: Params) -> LogGroups:
    return log_group.from_options(params["groups"])


def observe(aws: Aws, params: Params) -> Observed[LogGroups]:
    return Observed(log_group.observe(aws, (each["name"] for each in params["groups"])))


def plan(observed: Observed[LogGroups], desired: LogGroups | None) -> Iterator[Step]:
    if observed.resource is not None and desired is not None:
        yield from log_group.steps(observed.resource, desired)


def main() -> None:
    run(service="logs", spec=SPEC, desire=desire, observe=observe, plan=plan)


if __name__ == "__main__":
    main()
