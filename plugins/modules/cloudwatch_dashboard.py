#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One CloudWatch dashboard."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudwatch_dashboard
short_description: Manage a CloudWatch dashboard
version_added: 0.2.0
description:
  - Brings a dashboard to the widgets that are listed. All others on it go, for AWS replaces the whole body.
  - A widget that does not fit the grid, lies over another, or shows what is not defined is refused before the first
    write.
  - Bodies are compared by what they mean. The order of keys, the place of a widget in the list, the shorthand of the
    console and defaults make no difference.
  - What AWS says of a body that it accepts, such as that a widget will not be drawn, is warned of when it is written.
options:
  name:
    description: Name of the dashboard.
    type: str
    required: true
  state:
    description: Whether there is to be such a dashboard.
    type: str
    choices: [present, absent]
    default: present
  start:
    description: From when it shows data, as an ISO 8601 duration before now or a time.
    type: str
    default: -PT3H
  widgets:
    description: The widgets. Those without a place follow one another, from left to right and from top to bottom.
    type: list
    elements: dict
    default: []
    suboptions:
      title:
        description: Title of the widget.
        type: str
        default: ""
      type:
        description: What it is; V(alarms) shows the states of alarms, V(text) shows Markdown.
        type: str
        choices: [time_series, single_value, bar, alarms, text]
        default: time_series
      x:
        description: Its first column, of 24.
        type: int
      y:
        description: Its first row.
        type: int
      width:
        description: Its width in columns.
        type: int
        default: 12
      height:
        description: Its height in rows.
        type: int
        default: 6
      metrics:
        description: Ids of the metrics that it shows.
        type: list
        elements: str
        default: []
      expressions:
        description: Metric maths that it shows, over metrics by their ids.
        type: list
        elements: dict
        default: []
        suboptions:
          expression:
            description: The expression.
            type: str
            required: true
          label:
            description: What its result is called.
            type: str
            required: true
      alarms:
        description: Names of the alarms that it shows. They must exist.
        type: list
        elements: str
        default: []
      markdown:
        description: Text that it shows.
        type: str
      minimum:
        description: Where the axis begins. Omitted, CloudWatch decides.
        type: float
      maximum:
        description: Where the axis ends. Omitted, CloudWatch decides.
        type: float
      stacked:
        description: Whether the lines stand on one another.
        type: bool
        default: false
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
  - hokusai.platform.metrics
author:
  - Hokusai Platform contributors (@hokusai)
"""

EXAMPLES = r"""
- name: Show who answers with errors
  hokusai.platform.cloudwatch_dashboard:
    name: hokusai-development
    metrics:
      - {id: elb_5xx, name: HTTPCode_ELB_5XX_Count, load_balancer: hokusai-registry-development, label: load balancer}
      - {id: target_5xx, name: HTTPCode_Target_5XX_Count, load_balancer: hokusai-registry-development, label: target}
    widgets:
      - {title: 5xx by emitter, metrics: [elb_5xx, target_5xx], stacked: true}
      - title: All of them
        type: single_value
        expressions: [{expression: "SUM([elb_5xx, target_5xx])", label: 5xx}]
"""

RETURN = r"""
resource:
  description: The dashboard as it is, or in check mode as it would be. Null when there is none.
  returned: success
  type: dict
  sample:
    name: hokusai-development
    start: -PT3H
    widgets:
      - title: 5xx by emitter
        type: metric
        x: 0
        y: 0
        width: 12
        height: 6
        shows: [AWS/ApplicationELB HTTPCode_ELB_5XX_Count, AWS/ApplicationELB HTTPCode_Target_5XX_Count]
steps:
  description: The writes taken, or in check mode those that would be, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - {verb: put_dashboard, why: "dashboard hokusai-development: create"}
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
    - {verb: put_dashboard, why: "dashboard hokusai-development: create"}
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample: {verb: put_dashboard, why: "dashboard hokusai-development: create"}
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import dashboard, metric
from ansible_collections.hokusai.platform.plugins.module_utils.alarm_observation import alarm_arns
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.dashboard import Dashboard
from ansible_collections.hokusai.platform.plugins.module_utils.dashboard_observation import live_body
from ansible_collections.hokusai.platform.plugins.module_utils.metric import METRICS_OPTION
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Response, run

EXPRESSION = {"expression": {"type": "str", "required": True}, "label": {"type": "str", "required": True}}
WIDGET = {
    "title": {"type": "str", "default": ""},
    "type": {"type": "str", "choices": [*dashboard.VIEWS, dashboard.ALARMS, dashboard.TEXT], "default": "time_series"},
    "x": {"type": "int"},
    "y": {"type": "int"},
    "width": {"type": "int", "default": 12},
    "height": {"type": "int", "default": 6},
    "metrics": {"type": "list", "elements": "str", "default": []},
    "expressions": {"type": "list", "elements": "dict", "default": [], "options": EXPRESSION},
    "alarms": {"type": "list", "elements": "str", "default": []},
    "markdown": {"type": "str"},
    "minimum": {"type": "float"},
    "maximum": {"type": "float"},
    "stacked": {"type": "bool", "default": False},
}
SPEC: dict[str, Any] = {
    **METRICS_OPTION,
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "start": {"type": "str", "default": "-PT3H"},
    "widgets": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": WIDGET,
        "required_together": [("x", "y")],
    },
}
REGION = "region"
"""The words by which a plan finds the region that its widgets read."""


def desire(params: Params) -> Dashboard | None:
    wanted = dashboard.from_options(params)
    return wanted if params["state"] == "present" else None


def observe(aws: Aws, params: Params) -> Observed[Dashboard]:
    body = live_body(aws, params["name"])
    found = None if body is None else Dashboard(params["name"], body=body)
    if params["state"] == "absent":
        return Observed(found)
    names = {name for each in params["widgets"] for name in each["alarms"]}
    ids = {**metric.observed_ids(aws, params["metrics"]), **alarm_arns(aws, names), REGION: aws.region}
    return Observed(found, ids)


def plan(observed: Observed[Dashboard], desired: Dashboard | None) -> Iterator[Step]:
    current = observed.resource
    if desired is None:
        if current is not None:
            yield Step("delete_dashboards", {"DashboardNames": [current.name]}, f"dashboard {current.name}: delete")
        return
    body = desired.bound(observed.ids[REGION], observed.id)
    if current is not None and current.body is not None and dashboard.same(current.body, body):
        return
    text: Any = dashboard.missing(body) or json.dumps(body)
    why = "create" if current is None else "set its widgets"
    arguments = {"DashboardName": desired.name, "DashboardBody": text}
    yield Step("put_dashboard", arguments, f"dashboard {desired.name}: {why}", over=current is not None)


def settle(_aws: Aws, params: Params, responses: Sequence[Response]) -> Iterator[str]:
    """What AWS says of a body that it accepts. A write whose answer was lost says nothing."""
    for _step, response in responses:
        for each in (response or {}).get("DashboardValidationMessages", ()):
            yield f"AWS says of the dashboard {params['name']}: {each.get('Message')} ({each.get('DataPath')})"


def main() -> None:
    run(service="cloudwatch", spec=SPEC, desire=desire, observe=observe, plan=plan, settle=settle)


if __name__ == "__main__":
    main()
