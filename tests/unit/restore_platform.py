"""One of each kind of resource in the sandbox's AWS: what the tests of snapshot and restore work on."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import (
    cloudmap,
    ecs_deployment,
    recordable,
    restore,
    snapshot,
)
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step
from ansible_collections.hokusai.platform.plugins.module_utils.restore import Restored
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Resource, converge
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot import Document, Scope
from ansible_collections.hokusai.platform.plugins.module_utils.tags import OWNER
from ansible_collections.hokusai.platform.plugins.module_utils.three_way import Judgement
from ansible_collections.hokusai.platform.plugins.module_utils.transaction import Outside, Write
from ansible_collections.hokusai.platform.plugins.modules import (
    alb_listener,
    alb_rules,
    alb_target_group,
    cloudmap_namespace,
    cloudmap_service,
    cloudwatch_alarms,
    cloudwatch_dashboard,
    ecs_service,
    log_groups,
    route53_alias,
    security_group_rules,
)

from tests.unit.alb_edge import BALANCER, Edge
from tests.unit.ecs_model import CLUSTER, NAME, NAMESPACE

Task = tuple[ModuleType, Mapping[str, Any]]


WATCHED = {"alarms": ["alarm"], "alarm_owner": OWNER, "dashboards": ["board"], "log_groups": ["/ecs/api", "/ecs/new"]}
HOSTS = ["registry.hokus.ai", "api.hokus.ai"]


def watch(aws: Any, *kinds: str) -> None:
    """Somebody's alarm, dashboard, and log group with a metric filter; or those of these kinds."""
    cloudwatch, logs = aws.client("cloudwatch"), aws.client("logs")
    kinds = kinds or ("alarm", "dashboard", "metric_filter")
    if "alarm" in kinds:
        cloudwatch.put_metric_alarm(**ALARM)
    if "dashboard" in kinds:
        cloudwatch.put_dashboard(DashboardName="board", DashboardBody=json.dumps({"widgets": []}))
    if "metric_filter" in kinds:
        logs.create_log_group(logGroupName="/ecs/api")
        change = {"metricName": "Errors", "metricNamespace": "Test", "metricValue": "1"}
        logs.put_metric_filter(
            logGroupName="/ecs/api", filterName="errors", filterPattern="ERROR", metricTransformations=[change]
        )


ALARM: dict[str, Any] = {
    "AlarmName": "alarm",
    "AlarmDescription": "theirs",
    "Namespace": "Test",
    "MetricName": "Errors",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "Tags": [{"Key": "hokusai:managed-by", "Value": OWNER}],
}


@dataclass(frozen=True)
class Platform:
    """The edge of the ELBv2 tests and the service of the ECS tests, read as one environment."""

    aws: Any
    edge: Edge
    ids: Mapping[str, str]

    @property
    def scope(self) -> Scope:
        return Scope.from_params(
            {
                "load_balancers": [BALANCER],
                "target_groups": [*self.edge.groups, "reg-api", "api-tg"],
                "security_groups": ["api", "extra"],
                "namespace": NAMESPACE,
                "cluster": CLUSTER,
                "services": [NAME],
                "hosts": HOSTS,
                **WATCHED,
            }
        )

    def read(self) -> Document:
        return snapshot.read(self.aws, self.scope)

    def entry(self, kind: str, identity: str) -> dict[str, Any]:
        """The resource as it is now."""
        (found,) = [each for each in self.read()["resources"] if (each["kind"], each["id"]) == (kind, identity)]
        return dict(found)

    def write(self, client: str, verb: str, /, **arguments: Any) -> Any:
        """A write of somebody else, to its end: it is in no journal."""
        answer = getattr(self.aws.client(client), verb)(**arguments)
        if "OperationId" in answer:
            cloudmap.wait_end(self.aws, answer["OperationId"])
        return answer

    def run(self, *tasks: Task, params: Mapping[str, Any] | None = None, notes: Notes | None = None) -> Notes:
        """Run modules as the tasks of one run; what that run's journal then holds, in `notes` also when one fails."""
        notes = notes or Notes()
        for module, given in tasks:
            resource = Resource(SERVICES[module], *(getattr(module, name) for name in ("desire", "observe", "plan")))
            settle = SETTLES.get(module)
            options = {**filled(module.SPEC, given), **(params or {})}
            converge(replace(resource, settle=settle), self.aws, options, dry=False, transaction=notes)
        return notes

    def judge(self, before: Document, notes: Notes, after: Document | None = None) -> Judgement:
        return restore.judge(self.aws, before, notes.entries, after)

    def take_back(
        self,
        before: Document,
        notes: Notes,
        after: Document | None = None,
        *,
        dry: bool = False,
        within: Notes | None = None,
    ) -> Restored:
        """`within` is the journal of the rollback."""
        judgement = self.judge(before, notes, after)
        return restore.apply(self.aws, judgement, before, WAITING, dry=dry, within=within or Notes())


class Notes(Outside):
    """A journal in memory, as the runner writes it. `lost` are verbs whose answers never arrive."""

    def __init__(self, *lost: str) -> None:
        self.entries: list[dict[str, Any]] = []
        self.lost = lost
        self._lock = threading.Lock()

    def intend(self, service: str, steps: Sequence[Step]) -> list[Write]:
        return [self._intent(service, step) for step in steps]

    def _intent(self, service: str, step: Step) -> Write:
        with self._lock:
            seq = len(self.entries) + 1
            self.entries.append({"seq": seq, **recordable.intent(service, step)})
        return Write(step, service, self, seq)  # type: ignore[arg-type]

    def outcome(self, write: Write, result: str, error: Exception | None = None) -> None:
        if write.step.verb in self.lost:
            return
        response = recordable.answer(write.service, write.step.verb, write.response)
        told = {"error": getattr(error, "code", type(error).__name__)} if error else {}
        with self._lock:
            seq = len(self.entries) + 1
            entry = {"seq": seq, "kind": "outcome", "of": write.seq, "result": result, "response": response, **told}
            self.entries.append(json.loads(json.dumps(entry)))


def filled(spec: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Options as Ansible hands them to a module: what is left out has its default, or is None."""
    return {name: _filled(option, given.get(name)) for name, option in spec.items()}


def _filled(option: Mapping[str, Any], value: Any) -> Any:
    if value is None:
        return option.get("default")
    inner = option.get("options")
    if inner and option["type"] == "dict":
        return filled(inner, value)
    if inner:
        return [filled(inner, each) for each in value]
    return value


WAITING = {"wait": True, "wait_timeout": 10, "wait_delay": 0.05}
SERVICES = {
    alb_listener: "elbv2",
    alb_rules: "elbv2",
    alb_target_group: "elbv2",
    cloudmap_namespace: "servicediscovery",
    cloudmap_service: "servicediscovery",
    cloudwatch_alarms: "cloudwatch",
    cloudwatch_dashboard: "cloudwatch",
    ecs_service: "ecs",
    log_groups: "logs",
    route53_alias: "route53",
    security_group_rules: "ec2",
}
SETTLES = {
    cloudmap_namespace: cloudmap.settle,
    cloudmap_service: cloudmap.settle,
    ecs_service: ecs_deployment.settle,
}
