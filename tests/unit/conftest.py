"""What the unit tests of the modules share: an AWS endpoint per test, a counting client, and a way to run a module."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import botocore.session
import pytest
from ansible.module_utils import basic
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.modules import alb_rules
from botocore.loaders import create_loader
from moto.core.base_backend import BackendDict

from sandbox.controlplane import ControlPlane
from tests.unit import security_group_model
from tests.unit.alb_edge import BALANCER, PORT, Edge, as_options
from tests.unit.ecs_platform import Agent, build

REGION = "us-east-1"
RunModule = Callable[..., dict[str, Any]]


class CountingAws(Aws):
    """`Aws` that counts the calls made through it, in `calls` as {"elbv2:CreateRule": 3}."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.calls: Counter[str] = Counter()
        self._counting = threading.Lock()
        super().__init__(params)

    def _make_client(self, session: Any, service: str) -> Any:
        client = super()._make_client(session, service)
        client.meta.events.register("before-call", self._count)
        return client

    def _count(self, model: Any, **_: Any) -> None:
        with self._counting:
            self.calls[f"{model.service_model.service_name}:{model.name}"] += 1

    @property
    def writes(self) -> Counter[str]:
        reads = ("Describe", "List", "Get", "Discover", "Search")
        return Counter({key: n for key, n in self.calls.items() if not key.split(":")[1].startswith(reads)})


@pytest.fixture(scope="session", autouse=True)
def _service_models_once() -> Iterator[None]:
    """Every client a test makes would parse the service's model again; let them share one loader, to save the time."""
    loader = create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda *_: loader)
        yield


@pytest.fixture(scope="session")
def running_control_plane() -> Iterator[ControlPlane]:
    """One control plane for the whole run; use `control_plane`, which empties it for each test."""
    plane = ControlPlane(pace=1000)
    plane.start()
    yield plane
    plane.stop()


@pytest.fixture
def control_plane(running_control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The sandbox's AWS with an empty account and no faults; `faults` and `calls` are its own."""
    plane = running_control_plane
    with plane.lock:
        BackendDict.reset()
        plane.touch()
    plane.calls.reset()
    yield plane
    plane.faults.replace([])


@pytest.fixture
def aws_endpoint(control_plane: ControlPlane) -> str:
    """The URL of an AWS that holds nothing yet."""
    return control_plane.url


def options_for(endpoint: str) -> dict[str, str]:
    return {"endpoint_url": endpoint, "region": REGION, "access_key": "testing", "secret_key": "testing"}


@pytest.fixture
def aws_options(aws_endpoint: str) -> dict[str, str]:
    """The AWS options a task would pass."""
    return options_for(aws_endpoint)


@pytest.fixture(scope="session")
def shared_aws(running_control_plane: ControlPlane) -> CountingAws:
    """One set of clients for the whole run: making them takes longer than the tests do."""
    return CountingAws(options_for(running_control_plane.url))


@pytest.fixture
def aws(control_plane: ControlPlane, shared_aws: CountingAws) -> CountingAws:
    """The shared clients before an empty account, with no calls counted."""
    shared_aws.calls.clear()
    return shared_aws


@pytest.fixture
def edge(aws: CountingAws) -> Edge:
    """A load balancer with a listener and target groups, for the modules of ELBv2."""
    return Edge(aws).build()


@pytest.fixture
def groups(aws: CountingAws) -> dict[str, str]:
    return security_group_model.make_groups(aws)


@pytest.fixture
def agent(control_plane: ControlPlane) -> Iterator[Agent]:
    """What completes the deployments of the platform below."""
    stand_in = Agent(control_plane)
    stand_in.thread.start()
    yield stand_in
    stand_in.over.set()
    stand_in.thread.join()


@pytest.fixture
def platform(aws: CountingAws, agent: Agent, control_plane: ControlPlane) -> dict[str, str]:
    """An ECS service in no registry, a namespace it could be found in, and the ids of all that by words."""
    return build(aws, control_plane)


class _Ended(Exception):  # noqa: N818 - not an error: how a module ends
    """The module has said its last word, which is `args[0]`."""


@pytest.fixture
def run_module(monkeypatch: pytest.MonkeyPatch, aws_options: dict[str, str]) -> RunModule:
    """Run a module's `main` as ansible would and return its result, `failed` included: `run_module(main, name=...)`.

    `_check` is check mode; `warned` in the result lists the warnings. Options are
    validated by the module's own argument spec.
    """

    warned: list[str] = []

    def end(module: Any, **result: Any) -> None:
        raise _Ended({**result, "warned": list(warned)})

    def fail(module: Any, msg: str, **result: Any) -> None:
        raise _Ended({"failed": True, "msg": msg, **result})

    def run(main: Callable[[], None], *, _check: bool = False, **options: Any) -> dict[str, Any]:
        warned.clear()
        name = f"hokusai.platform.{main.__module__.rpartition('.')[2]}"
        told = {"_ansible_check_mode": _check, "_ansible_diff": True, "_ansible_module_name": name}
        arguments = {**aws_options, **options, **told}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(_Ended) as ended:
            main()
        return dict(ended.value.args[0])

    monkeypatch.setattr(basic.AnsibleModule, "exit_json", end)
    monkeypatch.setattr(basic.AnsibleModule, "fail_json", fail)
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _module, warning, **_: warned.append(warning))
    return run


@pytest.fixture
def rules(run_module: RunModule, edge: Edge, control_plane: ControlPlane) -> Callable[..., dict[str, Any]]:
    """Run alb_rules on the edge's listener; what it called is in `control_plane.calls` afterwards."""

    def run(*wanted: Any, **options: Any) -> dict[str, Any]:
        control_plane.calls.reset()
        listed = as_options([each for each in wanted if not isinstance(each, dict)])
        listed += [each for each in wanted if isinstance(each, dict)]
        options = {"load_balancer": BALANCER, "port": PORT, **options}
        return dict(run_module(alb_rules.main, rules=listed, **options))

    return run
