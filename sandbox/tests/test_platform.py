"""The whole sandbox, once in the state of the incident and once as it should be, seen as its users see it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from sandbox import environment
from sandbox.agent.process import owned_by
from sandbox.environment import Home
from sandbox.tests.conftest import running, sandbox

CLUSTER = "hokusai-development"
API, MLFLOW, AUTH = (f"hokusai-{name}-development" for name in ("api", "mlflow", "auth"))
SEARCH = "https://registry.hokus.ai/api/mlflow/api/2.0/mlflow/experiments/search"
_BOTO3: Any = boto3

pytestmark = pytest.mark.timeout(180)


class Sandbox:
    """A running sandbox with what a client of it needs, taken from env.json alone."""

    def __init__(self, home: Home) -> None:
        self.env = environment.read(home)
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.proxies = {"http": self.env["HTTP_PROXY"], "https": self.env["HTTPS_PROXY"]}
        self.http.verify = self.env["REQUESTS_CA_BUNDLE"]
        self.ecs, self.elbv2, self.ec2 = self.aws("ecs"), self.aws("elbv2"), self.aws("ec2")

    def aws(self, service: str) -> Any:
        return _BOTO3.client(
            service,
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            region_name=self.env["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
        )

    def get(self, url: str) -> int:
        return self.http.get(f"https://{url}", timeout=10, allow_redirects=False).status_code

    def search(self, headers: dict[str, str]) -> requests.Response:
        return self.http.post(SEARCH, json={"max_results": 1}, headers=headers, timeout=20)

    def mint(self) -> tuple[str, str]:
        wanted = {"name": "test", "service_id": "platform", "scopes": ["read"], "environment": "test"}
        response = self.http.post("https://auth.hokus.ai/api/v1/keys", json=wanted, headers=self.admin(), timeout=10)
        return response.json()["key_id"], response.json()["key"]

    def admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.env['HOKUSAI_AUTH_ADMIN_KEY']}"}

    def service(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_services(cluster=CLUSTER, services=[name])["services"][0]
        return found

    def update(self, name: str, **changes: Any) -> None:
        self.ecs.update_service(cluster=CLUSTER, service=name, **changes)

    def is_steady(self, name: str) -> bool:
        service = self.service(name)
        primary = service["deployments"][0]
        done = len(service["deployments"]) == 1 and primary["rolloutState"] == "COMPLETED"
        return done and service["runningCount"] == service["desiredCount"]

    def container(self, name: str) -> dict[str, Any]:
        arn = self.service(name)["taskDefinition"]
        found: dict[str, Any] = self.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        container: dict[str, Any] = found["containerDefinitions"][0]
        return container

    def variables(self, name: str) -> dict[str, str]:
        return {entry["name"]: entry["value"] for entry in self.container(name)["environment"]}

    def rules(self, load_balancer: str) -> list[dict[str, Any]]:
        found = self.elbv2.describe_load_balancers(Names=[f"hokusai-{load_balancer}-development"])
        held = self.elbv2.describe_listeners(LoadBalancerArn=found["LoadBalancers"][0]["LoadBalancerArn"])["Listeners"]
        secure = next(listener["ListenerArn"] for listener in held if listener["Port"] == 443)
        rules: list[dict[str, Any]] = self.elbv2.describe_rules(ListenerArn=secure)["Rules"]
        return rules

    def target_states(self, group: str) -> list[str]:
        arn = self.elbv2.describe_target_groups(Names=[f"hokusai-{group}-development"])["TargetGroups"][0][
            "TargetGroupArn"
        ]
        found = self.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return [one["TargetHealth"]["State"] for one in found]


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def incident_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    yield from running("incident", tmp_path_factory.mktemp("incident"))


@pytest.fixture(scope="module")
def incident(incident_home: Home) -> Sandbox:
    return Sandbox(incident_home)


@pytest.fixture(scope="module")
def healthy(healthy_home: Home) -> Sandbox:
    return Sandbox(healthy_home)


class TestIncident:
    """Every cause of the incident is present, and the old script measures what it measured then."""

    def test_the_old_script_scores_6_of_11(self, incident: Sandbox) -> None:
        expected = {
            1: ("auth.hokus.ai/", 404),
            2: ("auth.hokus.ai/health", 200),
            3: ("registry.hokus.ai/", 404),
            4: ("registry.hokus.ai/health", 503),
            5: ("api.hokus.ai/health", 200),
            9: ("registry.hokus.ai/api/mlflow/health", 404),
            10: ("registry.hokus.ai/api/mlflow/version", 404),
            11: ("registry.hokus.ai/api/mlflow/api/2.0/mlflow/experiments/search", 401),
        }
        passed = {number for number, (url, status) in expected.items() if incident.get(url) == status}
        services = {6: API, 7: MLFLOW, 8: AUTH}
        passed |= {number for number, name in services.items() if incident.service(name)["runningCount"] > 0}
        assert passed == {2, 6, 7, 8, 9, 10}

    def test_1_the_proxys_route_bypasses_the_api(self, incident: Sandbox) -> None:
        rule = next(rule for rule in incident.rules("registry") if rule["Priority"] == "105")
        assert "hokusai-reg-mlflow-development" in rule["Actions"][0]["TargetGroupArn"]

    def test_2_the_main_listener_has_only_a_fixed_404(self, incident: Sandbox) -> None:
        (default,) = incident.rules("main")
        assert default["Actions"][0]["FixedResponseConfig"]["StatusCode"] == "404"
        assert incident.get("api.hokus.ai/health") == 404

    def test_3_the_api_is_unhealthy_and_yet_answers_for_the_load_balancer_fails_open(self, incident: Sandbox) -> None:
        states = until(lambda: "unhealthy" in (found := incident.target_states("reg-api")) and found)
        assert "healthy" not in states
        assert incident.get("registry.hokus.ai/health") == 200

    def test_4_the_api_calls_an_address_that_nobody_has(self, incident: Sandbox) -> None:
        assert incident.variables(API)["MLFLOW_SERVER_URL"] == "http://10.0.1.173:5000"
        interfaces = incident.ec2.describe_network_interfaces()["NetworkInterfaces"]
        assert "10.0.1.173" not in {one["PrivateIpAddress"] for one in interfaces}

    def test_5_no_service_is_registered_with_cloud_map(self, incident: Sandbox) -> None:
        assert [incident.service(name)["serviceRegistries"] for name in (API, MLFLOW, AUTH)] == [[], [], []]
        services = incident.aws("servicediscovery").list_services()["Services"]
        assert [service["Name"] for service in services] == ["mlflow"]

    def test_5_mlflow_does_not_expect_its_dns_name(self, incident: Sandbox) -> None:
        assert "mlflow.hokusai-development.local" not in incident.variables(MLFLOW)["MLFLOW_SERVER_ALLOWED_HOSTS"]

    def test_6_mlflow_shuts_the_api_out(self, incident: Sandbox) -> None:
        groups = incident.ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [MLFLOW]}])
        (permission,) = groups["SecurityGroups"][0]["IpPermissions"]
        assert len(permission["UserIdGroupPairs"]) == 1

    def test_7_the_auth_service_is_asked_for_the_wrong_service(self, incident: Sandbox) -> None:
        assert incident.variables(API)["AUTH_SERVICE_ID"] == "ml-platform"
        key = {"Authorization": f"Bearer {incident.env['HOKUSAI_API_KEY']}"}
        url = "https://registry.hokus.ai/api/v1/models"
        assert incident.http.get(url, headers=key, timeout=20).status_code == 401

    def test_8_the_api_runs_the_old_image(self, incident: Sandbox) -> None:
        assert incident.container(API)["image"].endswith("/hokusai-api:incident")

    def test_9_the_proxy_outwaits_the_load_balancer(self, incident: Sandbox) -> None:
        assert float(incident.variables(API)["MLFLOW_PROXY_TIMEOUT"]) > 60

    def test_10_a_newer_revision_is_not_the_one_that_runs(self, incident: Sandbox) -> None:
        arns = incident.ecs.list_task_definitions(familyPrefix=API, sort="DESC")["taskDefinitionArns"]
        assert incident.service(API)["taskDefinition"] == arns[1]
        newest = incident.ecs.describe_task_definition(taskDefinition=arns[0])["taskDefinition"]
        assert newest["containerDefinitions"][0]["secrets"] == incident.container(API)["secrets"]

    def test_services_are_steady_on_paper(self, incident: Sandbox) -> None:
        for name in (API, MLFLOW, AUTH):
            assert incident.service(name)["deployments"][0]["rolloutState"] == "COMPLETED"

    def test_building_the_platform_is_not_counted_as_the_users_calls(self, incident: Sandbox) -> None:
        response = incident.http.get(
            f"{incident.env['AWS_ENDPOINT_URL']}/_sandbox/calls", proxies={"http": ""}, timeout=10
        )
        assert response.json()["writes"] == 0

    def test_then_its_daemon_is_killed_and_down_ends_what_that_left(self, incident_home: Home) -> None:
        owner, path = incident_home.marker.read_text(), incident_home.path
        daemon = int(incident_home.pid.read_text())
        os.kill(daemon, signal.SIGKILL)
        until(lambda: daemon not in owned_by(owner))
        assert list(owned_by(owner))
        assert sandbox(path, "status").returncode == 2
        assert sandbox(path, "down").stdout == "The sandbox is down.\n"
        assert list(owned_by(owner)) == []
        assert sandbox(path, "down").stdout == "No sandbox was up.\n"


class TestHealthy:
    """What a client gets from the platform as it should be, with nothing but env.json."""

    @pytest.mark.parametrize(
        "header",
        ["Authorization: Bearer {}", "Authorization: ApiKey {}", "X-API-Key: {}"],
        ids=["bearer", "apikey", "x"],
    )
    def test_a_key_opens_mlflow_however_it_is_presented(self, healthy: Sandbox, header: str) -> None:
        name, _, value = header.format(healthy.env["HOKUSAI_API_KEY"]).partition(": ")
        response = healthy.search({name: value})
        assert response.status_code == 200
        assert response.json()["experiments"][0]["name"] == "Default"

    def test_without_a_key_it_is_401(self, healthy: Sandbox) -> None:
        assert healthy.search({}).status_code == 401

    def test_with_a_revoked_key_it_is_401(self, healthy: Sandbox) -> None:
        key_id, key = healthy.mint()
        healthy.http.delete(f"https://auth.hokus.ai/api/v1/keys/{key_id}", headers=healthy.admin(), timeout=10)
        assert healthy.search({"X-API-Key": key}).status_code == 401

    @pytest.mark.parametrize("host", ["registry", "api", "auth"])
    def test_every_host_is_healthy_over_tls_and_redirects_plain_http(self, healthy: Sandbox, host: str) -> None:
        assert healthy.get(f"{host}.hokus.ai/health") == 200
        plain = healthy.http.get(f"http://{host}.hokus.ai/health", timeout=10, allow_redirects=False)
        assert (plain.status_code, plain.headers["Location"]) == (301, f"https://{host}.hokus.ai:443/health")

    def test_every_task_is_found_by_name_and_healthy(self, healthy: Sandbox) -> None:
        discovery = healthy.aws("servicediscovery")
        for service in discovery.list_services()["Services"]:
            assert len(discovery.list_instances(ServiceId=service["Id"])["Instances"]) == 1
        for group in ("reg-api", "reg-mlflow", "api-tg", "auth-tg"):
            assert healthy.target_states(group) == ["healthy"]

    def test_the_environment_names_the_apis_image(self, healthy: Sandbox) -> None:
        assert healthy.env["HOKUSAI_API_IMAGE"] == healthy.container(API)["image"]

    def test_the_unmodified_mlflow_client_logs_a_run_with_an_artifact(self, healthy: Sandbox, tmp_path: Path) -> None:
        script = (
            "import mlflow\n"
            "mlflow.set_experiment('sandbox-test')\n"
            "with mlflow.start_run() as run:\n"
            "    mlflow.log_param('depth', 3)\n"
            "    mlflow.log_text('through the proxy', 'note.txt')\n"
            "print(mlflow.artifacts.load_text(f'runs:/{run.info.run_id}/note.txt'))\n"
        )
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "true", **healthy.env}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert "through the proxy" in done.stdout, done.stderr

    def test_with_the_auth_service_stopped_it_is_503_and_200_once_it_is_back(self, healthy: Sandbox) -> None:
        _, key = healthy.mint()
        healthy.update(AUTH, desiredCount=0)
        until(lambda: healthy.search({"X-API-Key": key + "x"}).status_code == 503)
        response = healthy.search({"X-API-Key": key})
        assert response.status_code == 503
        assert "Retry-After" in response.headers
        healthy.update(AUTH, desiredCount=1)
        until(lambda: healthy.search({"X-API-Key": key}).status_code == 200)
        until(lambda: healthy.is_steady(AUTH))

    def test_a_deployment_of_the_api_is_not_noticed_by_its_clients(self, healthy: Sandbox) -> None:
        key = {"X-API-Key": healthy.env["HOKUSAI_API_KEY"]}
        healthy.update(API, forceNewDeployment=True)

        def is_steady_and_served() -> bool:
            assert healthy.search(key).status_code == 200
            return healthy.is_steady(API)

        until(is_steady_and_served)

    def test_what_mlflow_knows_outlives_its_task(self, healthy: Sandbox) -> None:
        key = {"X-API-Key": healthy.env["HOKUSAI_API_KEY"]}
        base = "https://registry.hokus.ai/api/mlflow/api/2.0/mlflow/experiments"
        made = healthy.http.post(f"{base}/create", json={"name": "kept"}, headers=key, timeout=20).json()
        healthy.update(MLFLOW, forceNewDeployment=True)
        until(lambda: healthy.is_steady(MLFLOW))
        found = healthy.http.get(f"{base}/get", params=made, headers=key, timeout=20).json()
        assert found["experiment"]["name"] == "kept"

    def test_a_revision_whose_image_is_missing_is_rolled_back_while_the_api_serves(self, healthy: Sandbox) -> None:
        good = healthy.service(API)["taskDefinition"]
        definition = healthy.ecs.describe_task_definition(taskDefinition=good)["taskDefinition"]
        container = definition["containerDefinitions"][0]
        bad = healthy.ecs.register_task_definition(
            family=API,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu=definition["cpu"],
            memory=definition["memory"],
            executionRoleArn=definition["executionRoleArn"],
            containerDefinitions=[{**container, "image": container["image"].replace(":2026.11.0", ":missing")}],
        )["taskDefinition"]["taskDefinitionArn"]
        healthy.update(API, taskDefinition=bad)
        until(lambda: healthy.service(API)["taskDefinition"] == good)
        until(lambda: healthy.is_steady(API))
        assert any("rolling back" in event["message"] for event in healthy.service(API)["events"])
        assert healthy.get("registry.hokus.ai/health") == 200
