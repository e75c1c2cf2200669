"""One of each kind of resource in the sandbox's AWS: what the tests of snapshot and restore work on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import snapshot
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot import Document, Scope

from tests.unit.alb_edge import BALANCER, Edge
from tests.unit.ecs_model import CLUSTER, NAME, NAMESPACE


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
            }
        )

    def read(self) -> Document:
        return snapshot.read(self.aws, self.scope)

    def entry(self, kind: str, identity: str) -> dict[str, Any]:
        """The resource as it is now."""
        (found,) = [each for each in self.read()["resources"] if (each["kind"], each["id"]) == (kind, identity)]
        return dict(found)
