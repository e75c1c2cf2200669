#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An existing ECS service: containers, registries, network, load balancers and deployment settings in one rollout."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_service
short_description: Change an existing ECS service in one revision and one deployment
version_added: 0.1.0
description:
  - Changes what a service runs and how it is deployed, as one new task-definition revision and one C(UpdateService).
  - The new revision is the one that the service's PRIMARY deployment runs, with the containers changed and nothing
    else, so secrets and settings that this module does not know are never lost. The newest revision of the family is
    not a base, as nothing may ever have run it. It is used when it is exactly the revision wanted.
  - Waits until this very deployment is PRIMARY and COMPLETED, all desired tasks run and as many targets are healthy in
    every target group that a load balancer uses. Fails with ECS's own events and stop reasons when it was rolled back.
  - When nothing is to be changed, a rollout still in progress is waited for all the same.
  - Never creates or deletes a service, and refuses one whose deployments another controller runs.
options:
  cluster:
    description: Cluster, by name or ARN.
    type: str
    required: true
  service:
    description: Service. It must exist and be active.
    type: str
    required: true
  containers:
    description: Changes to containers of the task definition. Containers not named stay as they are.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the container in the task definition.
        type: str
        required: true
      image:
        description: Image. Omitted it is unmanaged.
        type: str
      command:
        description: Command. Omitted it is unmanaged; an empty list means the image's own.
        type: list
        elements: str
      environment:
        description:
          - Environment variables. Omitted they are unmanaged. Numbers and booleans become V(1) and V(true).
          - Values are stored readable in the task definition. What must stay secret belongs into
            O(containers[].secrets).
          - A value of six characters or more the name or form of which looks secret is hidden in the result, in the
            invocation that C(-vvv) shows, and in the system log of the machine that the module runs on.
        type: dict
      environment_mode:
        description: Whether O(containers[].environment) is added to the variables there are, or is all of them.
        type: str
        choices: [merge, replace]
        default: merge
      remove_environment:
        description: Environment variables to remove.
        type: list
        elements: str
        default: []
      secrets:
        description: Environment variables filled by ECS, as names or ARNs of SSM parameters or secrets. Merged.
        type: dict
      remove_secrets:
        description: Secrets to remove.
        type: list
        elements: str
        default: []
  service_registries:
    description:
      - All Cloud Map services in which tasks are registered; ECS takes one at most. An empty list means none.
      - Omitted they are unmanaged. A change starts a deployment.
    type: list
    elements: dict
    suboptions:
      namespace:
        description: Private DNS namespace in the VPC of the service, by name or id.
        type: str
        required: true
      service:
        description: Service of the namespace.
        type: str
        required: true
      container_name:
        description: Container, needed for SRV records.
        type: str
      container_port:
        description: Port of the container, needed for SRV records.
        type: int
  network:
    description: Network of the tasks. Omitted, or what is omitted of it, is unmanaged.
    type: dict
    suboptions:
      subnets:
        description: All subnets, by id or Name tag.
        type: list
        elements: str
      security_groups:
        description: All security groups, by id or name.
        type: list
        elements: str
      assign_public_ip:
        description: Whether tasks get a public address.
        type: bool
  load_balancers:
    description: All target groups in which tasks are registered. An empty list means none. Omitted they are unmanaged.
    type: list
    elements: dict
    suboptions:
      target_group:
        description: Target group, by name or ARN.
        type: str
        required: true
      container_name:
        description: Container that receives the traffic.
        type: str
        required: true
      container_port:
        description: Port of the container.
        type: int
        required: true
  circuit_breaker:
    description: What happens to a deployment whose tasks keep failing. Omitted, or what is omitted of it, is unmanaged.
    type: dict
    suboptions:
      enable:
        description: Whether ECS gives such a deployment up.
        type: bool
      rollback:
        description: Whether ECS then goes back to the last deployment that completed.
        type: bool
  health_check_grace_period:
    description: Seconds for which failing load balancer checks of a new task are ignored. Omitted it is unmanaged.
    type: int
  desired_count:
    description:
      - Number of tasks. Omitted it is unmanaged, as it has to be when it is scaled automatically.
      - Mutually exclusive with O(minimum_count).
    type: int
  minimum_count:
    description:
      - Number of tasks that shall be desired at least. A lower count is raised to it, a higher one stays, so automatic
        scaling is left to itself. Mutually exclusive with O(desired_count).
    type: int
  replace_unregistered:
    description:
      - Whether a new deployment is started when a running task is not among the instances of the Cloud Map service that
        O(service_registries) names. ECS registers a task once, so an instance that was lost, by hand or with its
        service, never comes back while the task runs.
      - Only a service at rest is judged, one whose only deployment is COMPLETED and runs as many tasks as desired. A
        task that is starting or stopping does not count, nor does one that a second look three seconds later finds.
      - Where Cloud Map or ECS refuses to list them, nothing is started, and a warning says so. Needs the permissions
        C(ecs:ListTasks), C(ecs:DescribeTasks) and C(servicediscovery:ListInstances).
      - Without O(service_registries) nothing is looked for.
    type: bool
    default: true
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
  - hokusai.platform.ecs.wait
seealso:
  - module: hokusai.platform.cloudmap_service
author:
  - Hokusai Platform contributors (@hokusai)
"""

EXAMPLES = r"""
- name: Point the API at MLflow's private name and register its tasks, in one deployment
  hokusai.platform.ecs_service:
    cluster: hokusai-development
    service: hokusai-api-development
    containers:
      - name: hokusai-api
        environment:
          MLFLOW_SERVER_URL: http://mlflow.hokusai-development.local:5000
          AUTH_SERVICE_ID: platform
        remove_environment: [MLFLOW_TRACKING_URI]
    service_registries:
      - namespace: hokusai-development.local
        service: api
    circuit_breaker: {enable: true, rollback: true}
    health_check_grace_period: 300

- name: Replace a readable variable by a secret
  hokusai.platform.ecs_service:
    cluster: hokusai-development
    service: hokusai-api-development
    containers:
      - name: hokusai-api
        remove_environment: [SESSION_SECRET]
        secrets:
          SESSION_SECRET: /hokusai/development/api/session-secret
"""

RETURN = r"""
resource:
  description:
    - The service as it is, or in check mode as it would be.
    - Environment variables that the task does not name in C(environment) are listed as unmanaged, without their values.
    - Values whose name or form looks secret are hidden.
    - C(unregistered) are addresses of running tasks that Cloud Map does not list, see O(replace_unregistered).
  returned: success
  type: dict
  sample:
    cluster: hokusai-development
    name: hokusai-api-development
    task_definition: hokusai-api-development:7
    containers:
      hokusai-api:
        image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/hokusai-api:2026.11.0
        command: []
        environment: {AUTH_SERVICE_ID: platform, MLFLOW_PROXY_TIMEOUT: (unmanaged)}
        secrets: {SESSION_SECRET: /hokusai/development/api/session-secret}
    registries:
      - {service: hokusai-development.local/api, container_name: null, container_port: null, port: null}
    desired_count: 1
    unregistered: []
steps:
  description: The writes taken, or in check mode those that would be, in order. They name variables, never values.
  returned: success
  type: list
  elements: dict
  sample:
    - verb: register_task_definition
      why: "family hokusai-api-development: container hokusai-api: environment AUTH_SERVICE_ID"
    - verb: update_service
      why: "service hokusai-api-development: new revision, service registries"
events:
  description: What ECS said of the deployment, newest first.
  returned: when the deployment failed or took too long
  type: list
  elements: str
  sample: ["(service hokusai-api-development) (deployment ecs-svc/1) deployment failed: tasks failed to start."]
stopped_tasks:
  description: Why tasks of the deployment stopped.
  returned: when the deployment failed or took too long
  type: list
  elements: str
  sample: ["2 x Essential container in task exited - container hokusai-api exited with 137: OutOfMemoryError"]
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: check the options service and cluster
error:
  description: Kind of the failure, such as V(BadInput), V(NotFound), V(AwsError), V(NotConverged) or V(GaveUp).
  returned: failure
  type: str
  sample: NotFound
steps_done:
  description: The writes that were made before the failure, as in RV(steps). They stay made; the next run goes on.
  returned: failure after the first write was begun
  type: list
  elements: dict
  sample:
    - {verb: register_task_definition, why: "family hokusai-api-development: container hokusai-api: image"}
step_failed:
  description: The write that failed.
  returned: failure of a write
  type: dict
  sample: {verb: update_service, why: "service hokusai-api-development: new revision"}
"""

from collections.abc import Iterator
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import ecs_deployment, ecs_observation, ecs_options
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_service import Service, steps
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed, Step
from ansible_collections.hokusai.platform.plugins.module_utils.runner import run

CONTAINER: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "image": {"type": "str"},
    "command": {"type": "list", "elements": "str"},
    "environment": {"type": "dict"},
    "environment_mode": {"type": "str", "choices": ["merge", "replace"], "default": "merge"},
    "remove_environment": {"type": "list", "elements": "str", "default": []},
    "secrets": {"type": "dict", "no_log": False},
    "remove_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
}
REGISTRY = {
    "namespace": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    "container_name": {"type": "str"},
    "container_port": {"type": "int"},
}
NETWORK = {
    "subnets": {"type": "list", "elements": "str"},
    "security_groups": {"type": "list", "elements": "str"},
    "assign_public_ip": {"type": "bool"},
}
LOAD_BALANCER = {
    "target_group": {"type": "str", "required": True},
    "container_name": {"type": "str", "required": True},
    "container_port": {"type": "int", "required": True},
}
SPEC: dict[str, Any] = {
    "cluster": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    "containers": {"type": "list", "elements": "dict", "options": CONTAINER},
    "service_registries": {"type": "list", "elements": "dict", "options": REGISTRY},
    "network": {"type": "dict", "options": NETWORK},
    "load_balancers": {"type": "list", "elements": "dict", "options": LOAD_BALANCER},
    "circuit_breaker": {"type": "dict", "options": {"enable": {"type": "bool"}, "rollback": {"type": "bool"}}},
    "health_check_grace_period": {"type": "int"},
    "desired_count": {"type": "int"},
    "minimum_count": {"type": "int"},
    "replace_unregistered": {"type": "bool", "default": True},
    **ecs_options.WAIT,
}


def desire(params: Params) -> Service:
    return ecs_options.wish(params)


def observe(aws: Aws, params: Params) -> Observed[Service]:
    return ecs_observation.observe(aws, ecs_options.wish(params))


def plan(observed: Observed[Service], desired: Service | None) -> Iterator[Step]:
    if observed.resource is not None and desired is not None:
        yield from steps(observed.resource, desired, observed.id)


def main() -> None:
    run(
        service="ecs",
        spec=SPEC,
        desire=desire,
        observe=observe,
        plan=plan,
        settle=ecs_deployment.settle,
        mutually_exclusive=[("desired_count", "minimum_count")],
    )


if __name__ == "__main__":
    main()
