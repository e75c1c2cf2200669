"""The score of each profile, check by check: every rule has something it lets pass and something it does not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import credentials
from ansible_collections.hokusai.platform.plugins.module_utils.errors import NotFound
from ansible_collections.hokusai.platform.plugins.module_utils.health_checks import (
    Check,
    connectivity,
    decide,
    has_healthy_targets,
    is_registered,
    is_running,
    is_settled,
    legacy,
    lists_experiments,
    problem,
    reaches_mlflow,
    refused_by_the_api,
    status_is,
    total,
)
from ansible_collections.hokusai.platform.plugins.module_utils.http_client import Answer
from ansible_collections.hokusai.platform.plugins.module_utils.platform_state import (
    Discovery,
    EcsService,
    PlatformReader,
    Target,
    TargetGroup,
    Unknown,
)
from ansible_collections.hokusai.platform.plugins.modules import health_score
from botocore.exceptions import ClientError

from tests.unit.web import Reply, Seen, Web, make_key, serving, traces

Run = Callable[..., dict[str, Any]]
URL = "https://registry.hokus.ai/"
REFUSAL = '{"error_code": "UNAUTHENTICATED", "message": "no key", "request_id": "r"}'
SERVICE = EcsService("hokusai-api-development", 1, 1, "COMPLETED")
FOUND = Discovery(("api.example.local",), frozenset({"10.0.1.5"}), frozenset({"10.0.1.5"}))
GROUP = TargetGroup("reg-api", True, ("api",), (Target("10.0.1.5:8001", "healthy"),))
DRAINING = Target("10.0.1.7:8001", "draining", "Target deregistration is in progress")


def answer(status: int | None = 200, body: str = "", server: str = "", error: str = "") -> Answer:
    return Answer(URL, status, {"server": server} if server else {}, body, error)


@pytest.mark.parametrize(
    ("rule", "passing", "failing"),
    [
        (status_is(200), answer(200), answer(503)),
        (status_is(200), answer(200), answer(None, error="timeout")),
        (reaches_mlflow, answer(200, '{"status": "healthy"}'), answer(503, "<html>", "awselb/2.0")),
        (reaches_mlflow, answer(200, '{"status": "healthy"}'), answer(404, '{"detail": "Not Found"}')),
        (reaches_mlflow, answer(200, '{"reason": "resolve"}'), answer(503, '{"reason": "cannot resolve"}')),
        (refused_by_the_api, answer(401, REFUSAL), answer(401, '{"detail": "API key required"}')),
        (refused_by_the_api, answer(401, REFUSAL), answer(401, "<html>401</html>")),
        (refused_by_the_api, answer(401, REFUSAL), answer(404, "<html>404</html>")),
        (refused_by_the_api, answer(401, REFUSAL), answer(200, '{"experiments": []}')),
        (refused_by_the_api, answer(401, REFUSAL), answer(503, REFUSAL)),
        (lists_experiments, answer(200, '{"experiments": [{}]}'), answer(200, "<html>login</html>")),
        (lists_experiments, answer(200, '{"experiments": []}'), answer(200, '{"error_code": "X"}')),
        (lists_experiments, answer(200, '{"experiments": []}'), answer(500, '{"experiments": []}')),
        (is_running, SERVICE, replace(SERVICE, running=0)),
        (is_running, replace(SERVICE, rollout="FAILED"), None),
        (is_settled, SERVICE, replace(SERVICE, running=0)),
        (is_settled, replace(SERVICE, running=2, desired=2), replace(SERVICE, desired=2)),
        (is_settled, SERVICE, replace(SERVICE, running=0, desired=0)),
        (is_settled, SERVICE, replace(SERVICE, rollout="IN_PROGRESS")),
        (is_settled, SERVICE, None),
        (is_registered("api.example.local"), FOUND, replace(FOUND, registered=frozenset())),
        (is_registered("api.example.local"), FOUND, replace(FOUND, registered=FOUND.tasks | {"10.0.9.9"})),
        (is_registered("api.example.local"), FOUND, replace(FOUND, tasks=frozenset(), registered=frozenset())),
        (is_registered("api.example.local"), FOUND, replace(FOUND, names=("old-api.example.local",))),
        (is_registered("api.example.local"), FOUND, replace(FOUND, names=())),
        (is_registered("api.example.local"), FOUND, None),
        (has_healthy_targets, GROUP, replace(GROUP, targets=())),
        (has_healthy_targets, replace(GROUP, targets=(*GROUP.targets, DRAINING)), replace(GROUP, targets=(DRAINING,))),
        (has_healthy_targets, GROUP, replace(GROUP, targets=(*GROUP.targets, Target("10.0.1.6:8001", "unhealthy")))),
        (has_healthy_targets, GROUP, replace(GROUP, targets=(Target("10.0.1.5:8001", "initial"),))),
        (has_healthy_targets, GROUP, replace(GROUP, attached=False)),
        (has_healthy_targets, GROUP, None),
    ],
)
def test_a_rule_lets_the_good_pass_and_says_who_or_what_repairs_the_bad(rule: Any, passing: Any, failing: Any) -> None:
    check = Check("id", "name", "expected", ("http",), rule)
    good, bad = decide(check, passing), decide(check, failing)
    assert (good["passed"], good["role"]) == (True, "")
    assert (bad["passed"], bool(bad["role"] or bad["remedy"]), bool(bad["observed"])) == (False, True, True)
    assert good["rule"] == bad["rule"] != ""


@pytest.mark.parametrize("rule", [status_is(404), refused_by_the_api, lists_experiments, is_running, is_settled])
def test_what_is_unknown_has_not_passed_and_says_why(rule: Any) -> None:
    line = decide(Check("id", "name", "expected", ("http",), rule), Unknown("AccessDenied"))
    assert (line["passed"], line["observed"], line["role"]) == (False, "unknown: AccessDenied", "")


def test_the_score_is_unweighted_percent_with_one_decimal() -> None:
    lines = [
        decide(Check(str(n), "n", "e", ("http",), status_is(200)), answer(200 if n < 6 else 500)) for n in range(11)
    ]
    result = total(lines)
    assert (result["score"], result["passed"], result["total"]) == (54.5, 6, 11)
    assert result["failing"] == ["6", "7", "8", "9", "10"]
    assert result["problems"][0] == "n: expected e, observed 500 (repaired by the role alb_routing)"


def test_nothing_checked_is_no_score() -> None:
    assert total([])["score"] == 0.0


def test_the_legacy_profile_is_the_old_list_word_for_word() -> None:
    assert [(check.name, check.expected) for check in legacy()] == [
        ("GET auth/", "404"),
        ("GET auth/health", "200"),
        ("GET registry/", "404"),
        ("GET registry/health", "503"),
        ("GET api/health", "200"),
        ("ECS service api", "running tasks > 0"),
        ("ECS service mlflow", "running tasks > 0"),
        ("ECS service auth", "running tasks > 0"),
        ("GET registry/api/mlflow/health", "404"),
        ("GET registry/api/mlflow/version", "404"),
        ("GET registry/api/mlflow/api/2.0/mlflow/experiments/search", "401"),
    ]


def test_the_ids_of_a_profile_are_unique() -> None:
    for checks in (list(legacy()), list(connectivity("example.local", ["a", "b"]))):
        assert len({check.id for check in checks}) == len(checks)


def denied(action: str) -> ClientError:
    return ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not allowed"}}, action)


@dataclass
class FakeAws:
    """AWS with the platform as it should be; `data` is the API's own shapes, `refused` the calls it denies."""

    data: dict[str, Any] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    region: str = "us-east-1"

    def __getattr__(self, service: str) -> FakeClient:
        if service.startswith("_"):
            raise AttributeError(service)
        return FakeClient(self)


@dataclass
class FakeClient:
    aws: FakeAws

    def __getattr__(self, action: str) -> Callable[..., Any]:
        if action.startswith("_"):
            raise AttributeError(action)

        def call(**arguments: Any) -> Any:
            if action in self.aws.refused:
                raise denied(action)
            found = self.aws.data[action]
            return copy.deepcopy(found(**arguments) if callable(found) else found)

        return call

    def get_paginator(self, action: str) -> FakePages:
        return FakePages(getattr(self, action))


@dataclass
class FakePages:
    call: Callable[..., Any]

    def paginate(self, **arguments: Any) -> Pages:
        """One item a page: who does not turn the page sees a part."""
        return Pages({name: [item]} for name, items in self.call(**arguments).items() for item in items)


class Pages(list[dict[str, list[Any]]]):
    def build_full_result(self) -> dict[str, list[Any]]:
        whole: dict[str, list[Any]] = {}
        for page in self:
            for name, items in page.items():
                whole.setdefault(name, []).extend(items)
        return whole


NOUNS = {"api": "10.0.1.5", "mlflow": "10.0.2.5", "auth": "10.0.3.5"}
PORTS = {"api": 8001, "mlflow": 5000, "auth": 8000}


def group_arn(noun: str) -> str:
    return f"arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/tg-{noun}/1"


def ecs_service(noun: str) -> dict[str, Any]:
    return {
        "serviceName": f"svc-{noun}",
        "status": "ACTIVE",
        "runningCount": 1,
        "desiredCount": 1,
        "deployments": [{"status": "PRIMARY", "rolloutState": "COMPLETED"}],
        "serviceRegistries": [{"registryArn": f"arn:aws:servicediscovery:us-east-1:123456789012:service/srv-{noun}"}],
        "loadBalancers": [{"targetGroupArn": group_arn(noun)}],
    }


def task(arn: str) -> dict[str, Any]:
    address = NOUNS[arn.removeprefix("task-")]
    details = [{"name": "subnetId", "value": "subnet-1"}, {"name": "privateIPv4Address", "value": address}]
    return {"lastStatus": "RUNNING", "attachments": [{"details": details}]}


def healthy() -> FakeAws:
    groups = [
        {"TargetGroupName": f"tg-{noun}", "TargetGroupArn": group_arn(noun), "LoadBalancerArns": ["lb"]}
        for noun in NOUNS
    ]
    spare = {"TargetGroupName": "spare", "TargetGroupArn": "spare", "LoadBalancerArns": []}
    return FakeAws(
        {
            "describe_services": lambda services, **_: {
                "services": [ecs_service(name.removeprefix("svc-")) for name in services]
            },
            "list_tasks": lambda serviceName, **_: {"taskArns": [serviceName.replace("svc-", "task-")]},  # noqa: N803 - the API's name
            "describe_tasks": lambda tasks, **_: {"tasks": [task(arn) for arn in tasks]},
            "get_service": lambda Id: {"Service": {"Name": Id.removeprefix("srv-"), "NamespaceId": "ns"}},  # noqa: N803
            "get_namespace": {"Namespace": {"Name": "example.local"}},
            "list_instances": lambda ServiceId: {  # noqa: N803
                "Instances": [{"Id": "i-1", "Attributes": {"AWS_INSTANCE_IPV4": NOUNS[ServiceId.removeprefix("srv-")]}}]
            },
            "describe_target_groups": {"TargetGroups": [*groups, spare]},
            "describe_target_health": lambda TargetGroupArn: {  # noqa: N803
                "TargetHealthDescriptions": [
                    {"Target": {"Id": "10.0.1.5", "Port": 80}, "TargetHealth": {"State": "healthy"}}
                ]
            },
        }
    )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    aws = healthy()
    monkeypatch.setattr(credentials, "Aws", lambda _params: aws)
    return aws


@pytest.fixture
def key() -> str:
    return make_key()


@pytest.fixture
def web(key: str) -> Iterator[Web]:
    """The platform as it should be, behind one address."""

    def respond(seen: Seen) -> Reply:
        if seen.path in {"/health", "/api/health/mlflow", "/"}:
            return Reply(200, {"status": "healthy"})
        if seen.key != key:
            return Reply(401, {"error_code": "UNAUTHENTICATED", "message": f"refused {seen.key}", "request_id": "r"})
        return Reply(200, {"experiments": []} if seen.path.endswith("search") else "3.17.2")

    with serving(respond) as running:
        yield running


@pytest.fixture
def score(run_module: Run, web: Web, fake: FakeAws, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("NO_PROXY", "*")
    services = {noun: f"svc-{noun}" for noun in NOUNS}

    def run(**options: Any) -> dict[str, Any]:
        hosts = {"registry": web.url, "api": web.url, "auth": web.url}
        given = {"cluster": "c", "services": services, "hosts": hosts, "namespace": "example.local", **options}
        return run_module(health_score.main, **given)

    return run


def test_a_healthy_platform_scores_100_in_connectivity(score: Run, key: str) -> None:
    result = score(api_key={"value": key})
    assert (result["score"], result["failing"], result["changed"]) == (100.0, [], False)
    assert [line["id"] for line in result["checks"]] == [
        "auth_health",
        "registry_health",
        "api_health",
        "api_to_mlflow",
        "proxy_health",
        "proxy_version",
        "search_without_key",
        "search_with_refused_key",
        "search",
        "search_by_api_host",
        "ecs_api",
        "ecs_mlflow",
        "ecs_auth",
        "discovery_api",
        "discovery_mlflow",
        "discovery_auth",
        "targets_tg-api",
        "targets_tg-auth",
        "targets_tg-mlflow",
    ]


def test_a_healthy_platform_scores_as_little_as_a_broken_one_in_legacy(score: Run, web: Web) -> None:
    """The old checks expect failures: this is what the profile is kept for."""
    result = score(health_profile="legacy")
    assert result["total"] == 11
    assert result["failing"] == [
        "auth/",
        "registry/",
        "registry/health",
        "registry/api/mlflow/health",
        "registry/api/mlflow/version",
    ]
    assert result["score"] == 54.5
    assert {seen.headers.get("authorization") for seen in web.seen} == {None}


def test_without_a_key_what_needs_one_has_not_passed(score: Run) -> None:
    result = score()
    assert result["failing"] == ["proxy_health", "proxy_version", "search", "search_by_api_host"]
    assert "unknown: no api_key is given" in {line["observed"] for line in result["checks"]}


@pytest.mark.parametrize(
    ("standing", "repair"),
    [
        (Reply(200, {"is_valid": False, "reason": "revoked"}), "the auth service refuses the key: mint another one"),
        (Reply(401, {"detail": "no such key"}), "the auth service refuses the key: mint another one"),
        (Reply(200, {"is_valid": False, "reason": "wrong_service"}), "repaired by the role auth_config"),
        (Reply(200, {"is_valid": True, "service_id": "platform"}), "repaired by the role auth_config"),
        (Reply(503, "away"), "repaired by the role auth_config"),
    ],
)
def test_a_refused_key_is_for_a_role_only_if_the_auth_service_does_not_refuse_it_too(
    score: Run, standing: Reply, repair: str
) -> None:
    def respond(seen: Seen) -> Reply:
        return standing if seen.path == "/api/v1/keys/validate" else Reply(401, json.loads(REFUSAL))

    with serving(respond) as web:
        hosts = dict.fromkeys(("registry", "api", "auth"), web.url)
        result = score(api_key={"value": make_key()}, hosts=hosts)
    said = {line["id"]: problem(line) for line in result["checks"]}
    for check in ("proxy_health", "search", "search_by_api_host"):
        assert said[check].endswith(f"observed 401 ({repair})")
    assert said["auth_health"].endswith("observed 401 (repaired by the role auth_config)")
    assert len([seen for seen in web.seen if seen.path == "/api/v1/keys/validate"]) == 1


def test_an_instance_that_is_lost_explains_what_the_api_says_of_its_hop(score: Run, fake: FakeAws) -> None:
    fake.data["list_instances"] = {"Instances": []}
    with serving(lambda _seen: Reply(503, {**json.loads(REFUSAL), "hop": "auth"})) as web:
        result = score(api_key={"value": make_key()}, hosts=dict.fromkeys(("registry", "api", "auth"), web.url))
    roles = {line["id"]: line["role"] for line in result["checks"]}
    assert roles["search"] == roles["discovery_auth"] == "service_discovery"


def test_the_auth_service_is_not_asked_about_a_key_that_nothing_refuses(score: Run, web: Web, key: str) -> None:
    score(api_key={"value": key})
    assert "/api/v1/keys/validate" not in {seen.path for seen in web.seen}


def test_the_refused_key_is_another_than_the_given_one(score: Run, web: Web, key: str) -> None:
    score(api_key={"value": key})
    sent = {seen.key for seen in web.seen} - {"", key}
    assert len(sent) == 1


def test_the_key_is_nowhere_in_the_result(score: Run, key: str) -> None:
    assert not traces(json.dumps(score(api_key={"value": key})), key)
    assert not traces(json.dumps(score(api_key={"value": make_key()})), key)


@pytest.mark.parametrize(
    ("action", "failing"),
    [
        (
            "describe_services",
            {"ecs_api", "ecs_mlflow", "ecs_auth", "discovery_api", "discovery_mlflow", "discovery_auth", "targets"},
        ),
        ("list_tasks", {"discovery_api", "discovery_mlflow", "discovery_auth"}),
        ("list_instances", {"discovery_api", "discovery_mlflow", "discovery_auth"}),
        ("describe_target_groups", {"targets"}),
        ("describe_target_health", {"targets_tg-api", "targets_tg-auth", "targets_tg-mlflow"}),
    ],
)
def test_a_read_that_aws_denies_is_unknown_and_the_rest_is_still_judged(
    score: Run, fake: FakeAws, key: str, action: str, failing: set[str]
) -> None:
    fake.refused = {action}
    result = score(api_key={"value": key})
    assert set(result["failing"]) == failing
    assert all("AccessDenied" in problem or "unknown" in problem for problem in result["problems"])


def reader(aws: Any) -> PlatformReader:
    return PlatformReader(aws, "c", {noun: f"svc-{noun}" for noun in NOUNS})


def test_only_running_tasks_count_as_such() -> None:
    aws = healthy()
    aws.data["describe_tasks"] = lambda tasks, **_: {"tasks": [{**task(arn), "lastStatus": "PENDING"} for arn in tasks]}
    found = reader(aws).discovery("api")
    assert isinstance(found, Discovery)
    assert found.tasks == frozenset()


def test_every_page_of_instances_and_tasks_is_read() -> None:
    aws = healthy()
    aws.data["list_tasks"] = {"taskArns": ["task-api", "task-mlflow", "task-auth"]}
    aws.data["list_instances"] = {
        "Instances": [{"Id": address, "Attributes": {"AWS_INSTANCE_IPV4": address}} for address in NOUNS.values()]
    }
    assert reader(aws).discovery("api") == Discovery(
        ("api.example.local",), frozenset(NOUNS.values()), frozenset(NOUNS.values())
    )


def test_an_inactive_or_missing_service_is_none() -> None:
    aws = healthy()
    aws.data["describe_services"] = {"services": [{**ecs_service("api"), "status": "INACTIVE"}]}
    assert reader(aws).service("api") is reader(aws).service("mlflow") is None


def test_an_unknown_cluster_is_an_error_with_a_remedy() -> None:
    aws = healthy()

    def missing(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ClusterNotFoundException", "Message": "no"}}, "DescribeServices")

    aws.data["describe_services"] = missing
    with pytest.raises(NotFound, match=r"no ECS cluster c in us-east-1\. Remedy: check the option cluster"):
        reader(aws)


def test_a_group_that_takes_no_part_is_left_out_and_one_that_lost_its_rule_is_not() -> None:
    aws = healthy()
    assert reader(aws).group_names(["tg-api", "spare"]) == ("tg-api",)
    aws.data["describe_target_groups"]["TargetGroups"][0]["LoadBalancerArns"] = []
    assert reader(aws).group_names(["tg-api", "spare"]) == ("tg-api",)
    line = decide(Check("t", "t", "e", ("group",), has_healthy_targets), reader(aws).group("tg-api"))
    assert (line["passed"], line["observed"]) == (False, "no load balancer forwards to it")


def test_a_named_group_that_does_not_exist_has_not_passed() -> None:
    assert reader(healthy()).group_names(["tg-typo"]) == ("tg-typo",)
    assert reader(healthy()).group("tg-typo") is None


@pytest.mark.parametrize("namespace", [None, ""])
def test_connectivity_needs_the_namespace(score: Run, web: Web, namespace: str | None) -> None:
    assert "namespace" in score(namespace=namespace)["msg"]
    assert web.seen == []


def test_an_address_that_is_none_is_an_error_before_anything_is_asked(score: Run, web: Web) -> None:
    result = score(hosts={"registry": "ftp://registry", "api": web.url, "auth": web.url})
    assert result["error"] == "BadInput"
    assert "The host registry" in result["msg"]
    assert web.seen == []
