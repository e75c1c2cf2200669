# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An environment as AWS describes it: one document, in AWS's own shapes, that two moments can be compared by.

    {"scope": {...}, "resources": [{"kind", "id", "name", "where": {...}, "fields": {...}}, ...]}

`fields` are what can be compared and, where the API allows it, written back; tags and attributes are mappings there.
`where` says what the resource belongs to and what uses it, by id. A read that AWS denies or does not answer raises:
unknown is never absent. No secret and no environment value is read: ECS is known by the ARNs of its revisions alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import (
    snapshot_cloudwatch,
    snapshot_ecs,
    snapshot_elb,
    snapshot_network,
    snapshot_route53,
)
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry

Document = dict[str, Any]

SCOPE_OPTIONS: dict[str, Any] = {
    "vpc": {"type": "str"},
    "load_balancers": {"type": "list", "elements": "str", "default": []},
    "target_groups": {"type": "list", "elements": "str", "default": []},
    "security_groups": {"type": "list", "elements": "str", "default": []},
    "namespace": {"type": "str"},
    "cluster": {"type": "str"},
    "services": {"type": "list", "elements": "str", "default": []},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "alarms": {"type": "list", "elements": "str", "default": []},
    "alarm_owner": {"type": "str"},
    "dashboards": {"type": "list", "elements": "str", "default": []},
    "log_groups": {"type": "list", "elements": "str", "default": []},
}
"""The suboptions of a module's option `scope`."""


TEXTS = tuple(name for name, option in SCOPE_OPTIONS.items() if option["type"] == "str")
LISTS = tuple(name for name, option in SCOPE_OPTIONS.items() if option["type"] == "list")


@dataclass(frozen=True)
class Scope:
    """The names that an inventory has for what belongs to the environment.

    `vpc` (id or Name tag) tells security groups and namespaces of one name apart; `services` are those of ECS. With a
    load balancer come its listeners and their rules, with a security group its rules, with the namespace its services,
    with an ECS service the newest revision of its family, with a log group its metric filters. Alarms are those named
    and those whose tag says that they are of `alarm_owner`. `hosts` are public names.
    """

    vpc: str = ""
    load_balancers: tuple[str, ...] = ()
    target_groups: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    namespace: str = ""
    cluster: str = ""
    services: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    alarm_owner: str = ""
    dashboards: tuple[str, ...] = ()
    log_groups: tuple[str, ...] = ()

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Scope:
        """From the option `scope`, or from the scope that a document carries."""
        given: dict[str, Any] = {name: str(params.get(name) or "") for name in TEXTS}
        for name in LISTS:
            given[name] = tuple(sorted(set(params.get(name) or ())))
        return cls(**given)

    def as_data(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


VOLATILE: Mapping[str, Mapping[str, str]] = {
    "load_balancer": snapshot_elb.BALANCER_VOLATILE,
    "listener": snapshot_elb.LISTENER_VOLATILE,
    "load_balancer_rule": snapshot_elb.RULE_VOLATILE,
    "target_group": snapshot_elb.GROUP_VOLATILE,
    "security_group": snapshot_network.GROUP_VOLATILE,
    "security_group_rule": snapshot_network.RULE_VOLATILE,
    "namespace": snapshot_network.NAMESPACE_VOLATILE,
    "discovery_service": snapshot_network.SERVICE_VOLATILE,
    "ecs_service": snapshot_ecs.SERVICE_VOLATILE,
    "task_definition_family": snapshot_ecs.FAMILY_VOLATILE,
    "record_set": snapshot_route53.RECORD_VOLATILE,
    "alarm": snapshot_cloudwatch.ALARM_VOLATILE,
    "dashboard": snapshot_cloudwatch.DASHBOARD_VOLATILE,
    "log_group": snapshot_cloudwatch.LOG_GROUP_VOLATILE,
    "metric_filter": snapshot_cloudwatch.METRIC_FILTER_VOLATILE,
}
"""By kind of resource what AWS answers and a snapshot leaves out, with the reason. Everything else is in it.

What is left out changes without anybody's doing (states, counts, times, events), follows from other fields (derived
names and counts), or is read as a resource of its own. `docs/rollback.md` publishes the list.
"""


def read(aws: Aws, scope: Scope) -> Document:
    """The document of what is in the scope now. What does not exist has no entry. Raises `AwsError`."""
    entries = sorted(_entries(aws, scope), key=lambda entry: (entry.kind, entry.id))
    return {"scope": scope.as_data(), "resources": [entry.as_data() for entry in entries]}


def _entries(aws: Aws, scope: Scope) -> Iterator[Entry]:
    yield from snapshot_elb.edge(aws, scope.load_balancers)
    yield from snapshot_elb.target_groups(aws, scope.target_groups)
    yield from snapshot_network.security_groups(aws, scope.security_groups, scope.vpc)
    yield from snapshot_network.discovery(aws, scope.namespace, scope.vpc)
    yield from snapshot_ecs.services(aws, scope.cluster, scope.services)
    yield from snapshot_route53.records(aws, scope.hosts)
    yield from snapshot_cloudwatch.alarms(aws, scope.alarms, scope.alarm_owner)
    yield from snapshot_cloudwatch.dashboards(aws, scope.dashboards)
    yield from snapshot_cloudwatch.log_groups(aws, scope.log_groups)
