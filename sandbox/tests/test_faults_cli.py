"""`faults`, `break`, `heal`, `inject` and `writes` as a user meets them, and what clients of the platform get."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox import cli, environment
from sandbox.environment import Home
from sandbox.faults import commands, verbs
from sandbox.faults.registry import FAULTS

_BOTO3: Any = boto3
API_HEALTH = "https://api.hokus.ai/health"
VERSION = "https://registry.hokus.ai/api/mlflow/version"
REST = "https://registry.hokus.ai/api/mlflow/api/2.0/mlflow/experiments/get?experiment_id=0"

pytestmark = pytest.mark.timeout(300)


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process: `run(home, "break", "T01")`."""

    def work(home: Path, *arguments: str) -> Done:
        monkeypatch.setenv("HOKUSAI_SANDBOX_HOME", str(home))
        capsys.readouterr()
        return Done(cli.main(arguments), *capsys.readouterr())

    return work


@pytest.fixture
def home(healthy_home: Home, run: Run) -> Iterator[Path]:
    """The shared sandbox, in which nothing is broken before and after."""
    yield healthy_home.path
    run(healthy_home.path, "heal")


def client(home: Path, service: str) -> Any:
    env = environment.read(Home(home))
    return _BOTO3.client(
        service,
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name=env["AWS_DEFAULT_REGION"],
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def listed(run: Run, home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(home, "faults", "--json").stdout)
    return found


def test_faults_are_listed_broken_and_healed(run: Run, home: Path) -> None:
    assert {one["id"] for one in listed(run, home)["faults"]} == set(FAULTS)
    assert run(home, "break", "t13", "O01").stdout.startswith("T13 broken: targets are deregistered")
    assert {one["id"] for one in listed(run, home)["faults"] if one["broken"]} == {"T13", "O01"}
    assert "BROKEN T13" in run(home, "faults").stdout
    assert run(home, "heal", "T13").stdout == "T13 healed\n"
    assert run(home, "heal").stdout == "O01 healed\n0 injections ended\n"
    assert not any(one["broken"] for one in listed(run, home)["faults"])


def test_what_cannot_be_broken_or_healed_is_a_users_error(run: Run, home: Path) -> None:
    run(home, "break", "T13")
    for arguments, text in (
        (("break", "T13"), "T13: broken already"),
        (("break", "T99"), "no fault is called T99; near it: "),
        (("heal", "T01"), "T01: not broken"),
    ):
        done = run(home, *arguments)
        assert (done.returncode, text in done.stderr) == (2, True)


@pytest.mark.parametrize("arguments", [("faults",), ("break", "T01"), ("heal",), ("inject", "throttle"), ("writes",)])
def test_without_a_sandbox_the_verbs_say_how_to_get_one(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path / "none", *arguments)
    assert done.returncode == 2
    assert "start one with `python -m sandbox up`" in done.stderr


def test_injections_hit_the_named_apis_until_heal(run: Run, home: Path) -> None:
    run(home, "inject", "throttle", "--api", "elbv2:.*")
    run(home, "inject", "latency", "--api", "ecs:ListClusters", "--seconds", "0.3")
    assert [fault["match"] for fault in listed(run, home)["injected"]] == ["elbv2:.*", "ecs:ListClusters"]
    with pytest.raises(ClientError, match="Throttling"):
        client(home, "elbv2").describe_load_balancers()
    begun = time.monotonic()
    client(home, "ecs").list_clusters()
    assert time.monotonic() - begun >= 0.3
    assert run(home, "heal").stdout == "2 injections ended\n"
    client(home, "elbv2").describe_load_balancers()


def test_every_kind_of_injection_is_one_the_control_plane_takes(run: Run, home: Path) -> None:
    assert tuple(commands.KINDS) == verbs.KINDS
    for kind in verbs.KINDS:
        done = run(home, "inject", kind, "--api", "none:.*", "--probability", "0.5", "--seed", "1", "--times", "3")
        assert done.returncode == 0, done.stderr
    assert len(listed(run, home)["injected"]) == len(verbs.KINDS)
    refused = run(home, "inject", "throttle", "--probability", "2")
    assert (refused.returncode, "probability must be between 0 and 1" in refused.stderr) == (2, True)


def test_writes_are_shown_in_order_and_those_of_break_are_not_among_them(run: Run, home: Path) -> None:
    run(home, "calls", "--reset")
    ssm = client(home, "ssm")
    run(home, "break", "T13")
    ssm.put_parameter(Name="/test/a", Value="v", Type="String")
    ssm.delete_parameter(Name="/test/a")
    found = json.loads(run(home, "writes", "--json").stdout)
    assert [(one["service"], one["action"], one["landed"]) for one in found] == [
        ("ssm", "PutParameter", True),
        ("ssm", "DeleteParameter", True),
    ]
    assert "ssm:DeleteParameter  landed" in run(home, "writes").stdout


def status_and_server(home: Path, url: str) -> tuple[int, str]:
    env = environment.read(Home(home))
    with requests.Session() as session:
        session.trust_env = False
        response = session.get(
            url,
            headers={"X-API-Key": env["HOKUSAI_API_KEY"]},
            proxies={"https": env["HTTPS_PROXY"]},
            verify=env["REQUESTS_CA_BUNDLE"],
            timeout=20,
        )
        return response.status_code, response.headers["Server"]


def refused(home: Path, url: str) -> str:
    """How the connection failed."""
    with pytest.raises(requests.ConnectionError) as caught:
        status_and_server(home, url)
    return type(caught.value).__name__


API, OLD_API, MLFLOW, ALB = "hokusai-gateway", "Python/", "uvicorn", "awselb/2.0"
"""Who answered, by the beginning of the header `Server`."""


def answers(url: str, status: int, server: str) -> Callable[[Path], bool]:
    def check(home: Path) -> bool:
        got, by = status_and_server(home, url)
        return got == status and by.startswith(server)

    return check


def is_gone_behind_healthy_targets(home: Path) -> bool:
    return answers(VERSION, 502, API)(home) and answers(API_HEALTH, 200, API)(home)


SYMPTOMS: dict[str, Callable[[Path], bool]] = {
    "A01": answers(VERSION, 401, API),
    "A02": answers(VERSION, 401, OLD_API),
    "A04": answers(VERSION, 401, API),
    "A05": answers(VERSION, 403, API),
    "A06": answers(VERSION, 503, API),
    "A07": answers(VERSION, 503, API),
    "C01": answers(API_HEALTH, 503, ALB),
    "C02": answers(API_HEALTH, 503, ALB),
    "C03": answers(API_HEALTH, 503, ALB),
    "C04": answers(API_HEALTH, 503, ALB),
    "C07": answers(VERSION, 504, API),
    "C08": answers(API_HEALTH, 503, ALB),
    "D01": answers(VERSION, 503, API),
    "D04": answers(VERSION, 502, API),
    "D05": answers(VERSION, 502, API),
    "D08": answers(VERSION, 503, API),
    "E01": lambda home: refused(home, VERSION) == "ProxyError",
    "E04": lambda home: refused(home, VERSION) == "SSLError",
    "E06": lambda home: refused(home, VERSION) == "ProxyError",
    "E07": answers(API_HEALTH, 404, ALB),
    "E08": answers(VERSION, 404, MLFLOW),
    "E09": answers(VERSION.replace("/mlflow", "/2.0/mlflow"), 404, MLFLOW),
    "E10": answers(VERSION.replace("registry", "api"), 404, ALB),
    "E13": lambda home: sorted(status_and_server(home, VERSION)[0] for _ in range(4)) == [200, 200, 503, 503],
    "E16": answers(REST, 401, API),
    "E17": lambda home: status_and_server(home, REST)[0] == 404,
    "N01": answers(VERSION, 504, API),
    "N03": answers(VERSION, 504, API),
    "N04": answers(API_HEALTH, 504, ALB),
    "N05": answers(API_HEALTH, 504, ALB),
    "P06": answers(REST, 403, MLFLOW),
    "T07": answers(VERSION, 503, ALB),
    "T09": answers(API_HEALTH, 503, ALB),
    "T12": answers(API_HEALTH, 404, ALB),
    "T14": is_gone_behind_healthy_targets,
}
NOT_IN_ONE_REQUEST = {
    "C11": "the old revision serves",
    "D11": "nobody asks the other namespace",
    "D14": "every other new connection, and those that are open go on",
    "E14": "clients that have the cookie",
    "E19": "a request of a minute",
    "E20": "a connection that the API closes in the very instant",
    "I10": "the old revision serves",
    "P02": "only under load",
    "T01": "load balancers fail open; ECS replaces the tasks",
    "T02": "load balancers fail open; ECS replaces the tasks",
    "T03": "load balancers fail open; ECS replaces the tasks",
    "T13": "a long upload while the API is deployed",
}
"""What these show as: sandbox/tests/test_faults.py looks at it in the API."""


def is_well(home: Path) -> bool:
    return [status_and_server(home, url)[0] for url in (VERSION, API_HEALTH)] == [200, 200]


def until(condition: Callable[[Path], bool], home: Path) -> None:
    """The data plane follows the control plane within a moment, and the API remembers a key's rights for a minute."""
    deadline = time.monotonic() + 90
    while not holds(condition, home):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def holds(condition: Callable[[Path], bool], home: Path) -> bool:
    try:
        return condition(home)
    except (requests.RequestException, pytest.fail.Exception):
        return False


def test_every_fault_that_traffic_shows_has_a_symptom_or_a_reason() -> None:
    shown = {name for name, entry in FAULTS.items() if not entry.api_only}
    assert sorted([*SYMPTOMS, *NOT_IN_ONE_REQUEST]) == sorted(shown)


@pytest.mark.parametrize("name", sorted(SYMPTOMS))
def test_a_fault_shows_in_the_traffic_and_heal_ends_it(run: Run, home: Path, name: str) -> None:
    until(is_well, home)
    assert run(home, "break", name).returncode == 0
    until(SYMPTOMS[name], home)
    assert run(home, "heal", name).returncode == 0
    until(is_well, home)
