"""The service that the tests of ecs_service change in the sandbox's AWS, and a stand-in for the agent that runs it."""

from __future__ import annotations

import threading
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import cloudmap, ecs_deployment
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.ecs_service import Service
from ansible_collections.hokusai.platform.plugins.module_utils.runner import Outcome, Resource, converge
from ansible_collections.hokusai.platform.plugins.modules import ecs_service as module

from sandbox.controlplane import ControlPlane
from sandbox.world import World
from tests.unit.ecs_model import CLUSTER, CONTAINER, DEFINITION, NAME, NAMESPACE, Options

RESOURCE = Resource("ecs", module.desire, module.observe, module.plan, ecs_deployment.settle)


class Agent:
    """A stand-in for the ECS agent: completes a deployment in progress; the next one after `failing` is rolled back."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane, self.failing, self.idle, self.over = plane, False, False, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self.over.wait(0.03):
            with self.plane.lock:
                for service in list(self.plane.backend("ecs").services.values()):
                    self._move(service)

    def _move(self, service: Any) -> None:
        if self.idle:
            return
        first, *former = service.deployments
        if self.failing and first["rolloutState"] == "IN_PROGRESS" and former:
            self.failing, first["rolloutState"] = False, "FAILED"
            service.events.insert(0, event("deployment failed: tasks failed to start."))
            service.roll_back(former[0], "ECS deployment circuit breaker: rolling back")
            return
        first.update(rolloutState="COMPLETED", runningCount=service.desired_count)
        service.running_count = service.desired_count
        service.deployments[1:] = [each for each in former if each["rolloutState"] == "FAILED"]


def event(message: str) -> Any:
    return {"id": "1", "createdAt": 4102444800.0, "message": message}


def build(aws: Aws, plane: ControlPlane) -> dict[str, str]:
    """A service that runs revision 1 behind one of two target groups, in no registry; ids by words."""
    vpc = str(aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])
    subnets = [make_subnet(aws, vpc, number) for number in (1, 2)]
    groups = {
        name: aws.ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
        for name in ("api", "extra")
    }
    targets = make_target_groups(aws, vpc, subnets, plane)
    aws.ecs.create_cluster(clusterName=CLUSTER)
    aws.ecs.register_task_definition(**DEFINITION)
    awsvpc = {"subnets": subnets[:1], "securityGroups": [groups["api"]], "assignPublicIp": "DISABLED"}
    aws.ecs.create_service(
        cluster=CLUSTER,
        serviceName=NAME,
        taskDefinition=NAME,
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": awsvpc},
        loadBalancers=[{"targetGroupArn": targets["reg-api"], "containerName": CONTAINER, "containerPort": 8001}],
        deploymentConfiguration={"maximumPercent": 150, "minimumHealthyPercent": 50},
    )
    answer = aws.servicediscovery.create_private_dns_namespace(Name=NAMESPACE, Vpc=vpc)
    namespace = cloudmap.wait_end(aws, answer["OperationId"])["Targets"]["NAMESPACE"]
    records = {"DnsRecords": [{"Type": "A", "TTL": 10}]}
    made = aws.servicediscovery.create_service(Name="api", NamespaceId=namespace, DnsConfig=records)["Service"]
    return {**groups, **targets, "registry": made["Arn"], "namespace": namespace}


def make_subnet(aws: Aws, vpc: str, number: int) -> str:
    tagged = [{"ResourceType": "subnet", "Tags": [{"Key": "Name", "Value": f"private-{number}"}]}]
    zone = f"us-east-1{'ab'[number - 1]}"
    answer = aws.ec2.create_subnet(
        VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone, TagSpecifications=tagged
    )
    return str(answer["Subnet"]["SubnetId"])


def make_target_groups(aws: Aws, vpc: str, subnets: list[str], plane: ControlPlane) -> dict[str, str]:
    """Two groups behind one load balancer, each with two healthy targets."""
    world, arns = World(plane), {}
    for name in ("reg-api", "api-tg"):
        group = aws.elbv2.create_target_group(Name=name, Protocol="HTTP", Port=8001, VpcId=vpc, TargetType="ip")
        arns[name] = group["TargetGroups"][0]["TargetGroupArn"]
    balancer = aws.elbv2.create_load_balancer(Name="lb", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    both = {"TargetGroups": [{"TargetGroupArn": arn, "Weight": 1} for arn in arns.values()]}
    forward = [{"Type": "forward", "ForwardConfig": both}]
    aws.elbv2.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=forward)
    for arn in arns.values():
        for address in ("10.0.1.7", "10.0.1.8"):
            world.register_target(arn, address, 8001)
            world.set_target_health(arn, address, 8001, "healthy")
    return arns


def described(aws: Aws) -> dict[str, Any]:
    return dict(aws.ecs.describe_services(cluster=CLUSTER, services=[NAME])["services"][0])


def revisions(aws: Aws) -> list[str]:
    arns = aws.ecs.list_task_definitions(familyPrefix=NAME)["taskDefinitionArns"]
    return [each.rpartition(":")[2] for each in arns]


def running(aws: Aws) -> dict[str, Any]:
    """The container definition that the PRIMARY deployment runs."""
    (primary,) = [each for each in described(aws)["deployments"] if each["status"] == "PRIMARY"]
    answer = aws.ecs.describe_task_definition(taskDefinition=primary["taskDefinition"])
    return dict(answer["taskDefinition"]["containerDefinitions"][0])


def environment(definition: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in definition["environment"]}


def apply(aws: Aws, options: Options) -> Outcome[Service]:
    return converge(RESOURCE, aws, options, dry=False)
