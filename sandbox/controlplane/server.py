"""The control plane as a thing to start and stop."""

from __future__ import annotations

import importlib
import os
import threading
from email.utils import formatdate
from typing import Any, Final

# Read by moto when a backend is made: thousands of AMIs that nobody here asks for.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from sandbox.controlplane import fidelity
from sandbox.controlplane.application import Application
from sandbox.controlplane.authorization.gate import Gate
from sandbox.controlplane.authorization.present import roles, tags
from sandbox.controlplane.calls import CallCounter
from sandbox.controlplane.clock import CLOCK
from sandbox.controlplane.control import ControlEndpoints, ControlError
from sandbox.controlplane.faults import Fault, Faults
from sandbox.controlplane.holds import Holds
from sandbox.controlplane.writes import WriteLog

ACCOUNT: Final = "123456789012"
REGION: Final = "us-east-1"

_GLOBAL_SERVICES = frozenset({"route53", "iam", "s3", "sts", "cloudfront"})
_SERVICES = (
    "acm",
    "cloudwatch",
    "ec2",
    "ecs",
    "elbv2",
    "iam",
    "kms",
    "logs",
    "resourcegroupstaggingapi",
    "route53",
    "s3",
    "secretsmanager",
    "servicediscovery",
    "sns",
    "ssm",
    "sts",
)


class _RequestHandler(MotoRequestHandler):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    disable_nagle_algorithm = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The `Date` of every answer is AWS's time, now."""
        return formatdate(timestamp or CLOCK.now(), usegmt=True)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's own signature
        """Say nothing per request: the call counter is the record."""

    def connection_dropped(self, *_: Any) -> None:
        """End a connection whose client went away, or whose response a fault lost."""
        self.close_connection = True


class ControlPlane:
    """moto's AWS behind `url`, with the fidelity layer installed.

    moto keeps its state in module globals, so there is one control plane per process at a time; starting one begins
    with an empty account. `lock` guards moto's models: hold it to read or change what `backend` returns, then call
    `touch`. `generation` grows with every change. `pace` divides the periods AWS would take (draining, operations).
    """

    def __init__(self, port: int = 0, pace: float = 30.0) -> None:
        self.lock = threading.RLock()
        self.calls = CallCounter()
        self.writes = WriteLog()
        self.faults = Faults()
        self.holds = Holds()
        self.endpoints = ControlEndpoints()
        self.gate = Gate(ACCOUNT, lambda arn: tags(arn, self.backend), lambda revision: roles(revision, self.backend))
        self._port = port
        self._pace = pace
        self._generation = 0
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._add_endpoints()

    @property
    def generation(self) -> int:
        return self._generation

    def touch(self) -> None:
        """Say that the state changed, so that nobody answers from a cache."""
        with self.lock:
            self._generation += 1

    @property
    def url(self) -> str:
        """The endpoint: AWS_ENDPOINT_URL."""
        if self._server is None:
            raise RuntimeError("the control plane is not started")
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Listen on loopback with an empty account; returns when calls are answered."""
        for service in _SERVICES:
            importlib.import_module(f"moto.{service}.models")
            importlib.import_module(f"moto.{service}.responses")
        fidelity.install(self._pace)
        self.reset()
        application = Application(
            self.lock, self.calls, self.writes, self.faults, self.holds, self.endpoints, self.gate, self.touch
        )
        self._server = make_server("127.0.0.1", self._port, application, threaded=True, request_handler=_RequestHandler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="control-plane", daemon=True
        )
        self._thread.start()

    def reset(self) -> None:
        """An empty account again, with nothing counted and no fault set; whoever reads the old one keeps it."""
        with self.lock:
            for backends in list(BackendDict._instances):
                backends.clear()
            reset_model_data()
            get_backend("s3").bucket_accounts.clear()  # moto looks a bucket that is gone up here for ever
            self.forget_calls()
            self.faults.replace([])
            self.gate.open()
            self.holds.release("drop")
            CLOCK.offset = 0.0
            self.touch()

    def forget_calls(self) -> None:
        """Count anew, and begin a new log of writes."""
        self.calls.reset()
        self.writes.reset()

    def stop(self) -> None:
        """Stop listening; harmless when not started."""
        if self._server is None or self._thread is None:
            return
        self.holds.release("drop")
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = self._thread = None

    def backend(self, service: str, region: str = REGION, account: str = ACCOUNT) -> Any:
        """moto's model of one service; use under `lock`, and `touch` after a change."""
        return get_backend(service)[account]["aws" if service in _GLOBAL_SERVICES else region]

    def _add_endpoints(self) -> None:
        self.endpoints.add("GET", "health", lambda _: {"status": "ok", "generation": self.generation})
        self.endpoints.add("GET", "calls", lambda _: self.calls.as_dict())
        self.endpoints.add("POST", "calls/reset", self._reset_calls)
        self.endpoints.add("GET", "writes", lambda _: {"writes": self.writes.as_list()})
        self.endpoints.add("GET", "faults", lambda _: {"faults": self.faults.as_list()})
        self.endpoints.add("POST", "faults", self._set_faults)
        self.endpoints.add("POST", "faults/add", self._add_faults)
        self.endpoints.add("POST", "faults/remove", lambda body: {"removed": self.faults.remove(body["owner"])})
        self.endpoints.add("GET", "held", lambda _: {"held": self.holds.as_list()})
        self.endpoints.add("POST", "held/release", self._release)
        self.endpoints.add("GET", "policy", lambda _: self._ask_gate())
        self.endpoints.add("POST", "policy", self._set_policy)
        self.endpoints.add("GET", "clock", lambda _: {"offset": CLOCK.offset})
        self.endpoints.add("POST", "clock", self._set_clock)

    def _reset_calls(self, _: Any) -> dict[str, Any]:
        before = self.calls.as_dict()
        self.forget_calls()
        return before

    def _set_faults(self, body: Any) -> dict[str, Any]:
        """Replace all faults by `{"faults": [...]}`."""
        self.faults.replace(_parsed(body))
        return {"faults": self.faults.as_list()}

    def _add_faults(self, body: Any) -> dict[str, Any]:
        for fault in _parsed(body):
            self.faults.add(fault)
        return {"faults": self.faults.as_list()}

    def _release(self, body: Any) -> dict[str, Any]:
        """`{"outcome": "proceed" | "drop"}`; without a body every held call proceeds."""
        return {"released": self.holds.release((body or {}).get("outcome", "proceed"))}

    def _ask_gate(self) -> dict[str, Any]:
        with self.lock:
            return self.gate.as_dict()

    def _set_policy(self, body: Any) -> dict[str, Any]:
        """`{"policies": [document]}` are enforced; `{"record": true}` notes what is asked for; `{}` is neither."""
        with self.lock:
            if body.get("policies"):
                self.gate.enforce(body["policies"])
            elif body.get("record"):
                self.gate.record()
            else:
                self.gate.open()
            return self.gate.as_dict()

    def _set_clock(self, body: Any) -> dict[str, Any]:
        """`{"offset": seconds}` that AWS's clock is ahead of the clients'."""
        CLOCK.offset = float(body["offset"])
        return {"offset": CLOCK.offset}


def _parsed(body: Any) -> list[Fault]:
    if not isinstance(body, dict) or not isinstance(body.get("faults"), list):
        raise ControlError('expected {"faults": [{"match": "elbv2:CreateRule", "code": "Throttling"}]}')
    return [Fault.parse(raw) for raw in body["faults"]]
