"""ECS services that remember what they were told, and the deployments an agent drives.

What an agent finds in `control_plane.backend("ecs")`, under the lock:

`backend.services` maps `"cluster:service"` to a service. Its `status` is ACTIVE, or INACTIVE once deleted (its tasks
are then the agent's to stop). It has `desired_count`, `running_count`, `pending_count`, `events`, `task_definition`
(full ARN), `load_balancers`, `service_registries`, `network_configuration`, `deployment_configuration`,
`health_check_grace_period_seconds`. Creating or updating starts no task and changes no count: that is the agent's.

`service.deployments` is a list of dicts in the shape of DescribeServices, newest first:

    {"id": "ecs-svc/<19 digits>", "status": "PRIMARY" | "ACTIVE", "taskDefinition": <full ARN>,
     "desiredCount": n, "pendingCount": 0, "runningCount": 0, "failedTasks": 0,
     "createdAt": datetime, "updatedAt": datetime, "launchType": "FARGATE", "platformVersion": "1.4.0",
     "platformFamily": "Linux", "networkConfiguration": {...},
     "rolloutState": "IN_PROGRESS" | "COMPLETED" | "FAILED", "rolloutStateReason": "...",
     # not shown by the API, what this deployment's tasks need:
     "loadBalancers": [...], "serviceRegistries": [...], "capacityProviderStrategy": [...],
     "serviceRevisionArn": ..., "serviceDeploymentArn": ...}

A change that needs new tasks puts a new PRIMARY in front (IN_PROGRESS) and makes the former one ACTIVE. The agent
changes these dicts in place (counts, `failedTasks`, `rolloutState`, `updatedAt`) and takes an ACTIVE one out of the
list when its last task is gone; `service.deployment_history` keeps them for the ServiceDeployments API.
`service.roll_back(to)` makes a former deployment's settings the service's again, as the circuit breaker does.

`backend.tasks[cluster][arn]` holds tasks, stopped ones included. A task whose `desired_status` is STOPPED while it
runs was stopped by StopTask.
"""

from __future__ import annotations

from moto.ecs import models

from sandbox.controlplane.fidelity.ecs.backend import EC2ContainerServiceBackend
from sandbox.controlplane.fidelity.ecs.definitions import TaskDefinition
from sandbox.controlplane.fidelity.ecs.responses import EC2ContainerServiceResponse
from sandbox.controlplane.fidelity.ecs.service import Service
from sandbox.controlplane.fidelity.replace import use_backend, use_response


def install() -> None:
    """Replace moto's ecs."""
    models.Service = Service
    models.TaskDefinition = TaskDefinition
    use_backend(models.ecs_backends, EC2ContainerServiceBackend)
    use_response("moto.ecs", EC2ContainerServiceResponse)
