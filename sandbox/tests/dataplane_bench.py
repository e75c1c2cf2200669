"""What the data plane's tests run against: a world of plain dictionaries, and targets that are real sockets."""

from __future__ import annotations

import itertools
import json
import os
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from sandbox.dataplane import CertificateAuthority, DataPlane
from sandbox.model import (
    Answer,
    Certificate,
    HealthCheck,
    Listener,
    LoadBalancer,
    MetricPoint,
    NetworkInterface,
    Rule,
    Target,
    TargetGroup,
)

CHECK = HealthCheck("/health", "traffic-port", "HTTP", "200", 1.0, 1.0, 2, 2)
HOSTS = ("registry.hokus.ai", "api.hokus.ai")


class FakeWorld:
    """The same questions as `sandbox.world.World`, answered from what a test put in."""

    def __init__(self) -> None:
        self.balancers: tuple[LoadBalancer, ...] = ()
        self.groups: dict[str, TargetGroup] = {}
        self.certificates: dict[str, Certificate] = {}
        self.public: dict[str, Answer] = {}
        self.private: dict[tuple[str, str], Answer] = {}
        self.faces: dict[str, NetworkInterface] = {}
        self.denied: set[tuple[str, int]] = set()
        self.asked: list[tuple[tuple[str, ...], str, tuple[str, ...], str, int]] = []
        self.told: list[tuple[str, str, str]] = []
        self.points: list[MetricPoint] = []

    def load_balancers(self) -> tuple[LoadBalancer, ...]:
        return self.balancers

    def target_groups(self) -> tuple[TargetGroup, ...]:
        return tuple(self.groups.values())

    def target_group(self, arn: str) -> TargetGroup:
        return self.groups[arn]

    def set_target_health(
        self, arn: str, address: str, port: int, state: str, reason: str = "", description: str = ""
    ) -> None:
        self.told.append((state, reason, description))
        group = self.groups[arn]
        self.groups[arn] = replace(
            group,
            targets=tuple(
                Target(address, port, state, reason, description)
                if (item.address, item.port) == (address, port)
                else item
                for item in group.targets
            ),
        )

    def publish_metrics(self, _namespace: str, points: tuple[MetricPoint, ...]) -> None:
        self.points += points

    def certificate(self, arn: str) -> Certificate:
        return self.certificates[arn]

    def resolve_public(self, name: str) -> Answer:
        return self.public.get(name, Answer())

    def resolve_private(self, name: str, vpc_id: str) -> Answer:
        return self.private.get((vpc_id, name), Answer())

    def interface(self, address: str) -> NetworkInterface | None:
        return self.faces.get(address)

    def allows(
        self,
        source_groups: tuple[str, ...],
        source_address: str,
        destination_groups: tuple[str, ...],
        destination_address: str,
        port: int,
    ) -> bool:
        self.asked.append((source_groups, source_address, destination_groups, destination_address, port))
        return (destination_address, port) not in self.denied


class Handler(BaseHTTPRequestHandler):
    """Answers with the server's function: (handler) -> (status, headers, body)."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Backend

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else b""
        self.server.seen.append((self.command, self.path, dict(self.headers.items())))
        status, headers, body = self.server.answer(self)
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return


Reply = tuple[int, dict[str, str], bytes]


class Backend(ThreadingHTTPServer):
    """A target: an HTTP server on a loopback address of its own."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[Any], Reply]) -> None:
        self.answer = answer
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        super().__init__((_loopback(), 0), Handler)
        self.loopback, self.port = str(self.server_address[0]), int(self.server_address[1])
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        return

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.seen]


class RawTarget:
    """A target that speaks bytes: `converse` gets each accepted socket, in a thread of its own."""

    def __init__(self, converse: Callable[[socket.socket], None], port: int = 0) -> None:
        self._converse = converse
        self._socket = socket.create_server((_loopback(), port))
        self.loopback, self.port = self._socket.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._converse(connection)

    def server_close(self) -> None:
        self._socket.close()

    def shutdown(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


class Bench(ExitStack):
    """One world, one data plane, and the targets a test asks for."""

    def __init__(self, home: Path, pace: float = 10.0) -> None:
        super().__init__()
        self.home = home
        self.world = FakeWorld()
        self.authority = CertificateAuthority()
        self.bundle = self.authority.write_bundle(home / "ca.pem")
        self.plane = DataPlane(self.world, pace, home)
        self._addresses = itertools.count(10)
        self.certificate("cert", "*.hokus.ai", "hokus.ai")

    def start(self) -> Bench:
        self.plane.start()
        self.callback(self.plane.stop)
        return self

    def certificate(self, arn: str, *names: str) -> None:
        issued = self.authority.issue(*names)
        self.world.certificates[arn] = Certificate(arn, names, issued.body, issued.chain, issued.private_key)

    def face(self, loopback: str = "127.0.0.9", groups: tuple[str, ...] = ("sg-task",), vpc_id: str = "vpc-1") -> str:
        """A network interface with this loopback twin; returns its address."""
        address = f"10.0.1.{next(self._addresses)}"
        self.world.faces[address] = NetworkInterface(address, groups, vpc_id, "subnet-1", loopback)
        return address

    def backend(self, answer: Callable[[Any], Reply] | None = None, name: str = "ok") -> tuple[Backend, Target]:
        """An HTTP target that answers `name` unless told otherwise, and its healthy registration."""
        backend = Backend(answer or (lambda _: (200, {}, name.encode())))
        self.callback(backend.server_close)
        self.callback(backend.shutdown)
        return backend, Target(self.face(backend.loopback), backend.port, "healthy")

    def raw(self, converse: Callable[[socket.socket], None], port: int = 0) -> Target:
        target = RawTarget(converse, port)
        self.callback(target.server_close)
        self.callback(target.shutdown)
        return Target(self.face(target.loopback), target.port, "healthy")

    def nobody(self) -> Target:
        """A registered target on whose port nothing listens."""
        with socket.create_server((_loopback(), 0)) as unused:
            host, port = unused.getsockname()
        return Target(self.face(host), port, "healthy")

    def group(self, name: str, *targets: Target, check: HealthCheck | None = None) -> str:
        """A target group; unless a test gives a health check, nobody listens at its port and nobody judges."""
        arn = f"tg/{name}"
        idle = replace(CHECK, port="1", interval=10_000.0, unhealthy_threshold=1_000)
        self.world.groups[arn] = TargetGroup(arn, name, "HTTP", 80, check or idle, targets)
        return arn

    def balancer(self, *listeners: Listener, idle: float = 60.0, hosts: tuple[str, ...] = HOSTS) -> None:
        """The one load balancer, known under `hosts`."""
        self.world.balancers = (
            LoadBalancer("lb/main", "main", "main.elb.amazonaws.com", ("sg-alb",), listeners, idle, ("10.0.101.7",)),
        )
        self.world.public = {host: Answer(load_balancer="main.elb.amazonaws.com") for host in hosts}

    def serve(self, *rules: Rule, idle: float = 60.0) -> None:
        """The load balancer with these rules on 443, and the usual redirect on 80."""
        self.balancer(https(*rules), http(default(redirect(Protocol="HTTPS", Port="443"))), idle=idle)

    def one_target(self, target: Target, idle: float = 60.0) -> None:
        """Start with this target behind every path."""
        self.serve(default(forward(self.group("only", target))), idle=idle)
        self.start()

    def session(self) -> requests.Session:
        """A client with nothing but the proxy and the trust bundle."""
        session = self.enter_context(requests.Session())
        session.trust_env = False
        session.proxies = {"http": self.plane.proxy_url, "https": self.plane.proxy_url}
        session.verify = str(self.bundle)
        return session

    def tunnel(self, authority: str, server_name: str = "registry.hokus.ai") -> ssl.SSLSocket:
        """A TLS connection through the proxy, by hand."""
        proxy = urlsplit(self.plane.proxy_url)
        raw = socket.create_connection((proxy.hostname or "", proxy.port or 0), timeout=10)
        raw.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        assert b" 200 " in raw.recv(4096)
        return ssl.create_default_context(cafile=str(self.bundle)).wrap_socket(raw, server_hostname=server_name)

    def log(self, count: int = 1) -> list[dict[str, Any]]:
        """The access log, once it has `count` lines: they are written after the answer."""
        path = self.home / "logs" / "alb.jsonl"
        eventually(lambda: len(path.read_text().splitlines()) >= count)
        return [json.loads(line) for line in path.read_text().splitlines()]

    def environment(self) -> dict[str, str]:
        """For clients that are processes."""
        proxy, bundle = self.plane.proxy_url, str(self.bundle)
        known = {"PATH": os.environ["PATH"], "HTTPS_PROXY": proxy, "http_proxy": proxy}
        return {**known, "CURL_CA_BUNDLE": bundle, "SSL_CERT_FILE": bundle}


def https(*rules: Rule, certificates: tuple[str, ...] = ("cert",), port: int = 443) -> Listener:
    return Listener(f"listener/{port}", port, "HTTPS", certificates, rules)


def http(*rules: Rule, port: int = 80) -> Listener:
    return Listener(f"listener/{port}", port, "HTTP", (), rules)


def rule(priority: int, conditions: dict[str, Any], *actions: dict[str, Any], **more: Any) -> Rule:
    """`conditions` by field; a value that is a list is the legacy form, anything else the config's own."""
    return Rule(f"rule/{priority}", priority, tuple(_condition(*item) for item in conditions.items()), actions, **more)


def default(*actions: dict[str, Any]) -> Rule:
    return Rule("rule/default", None, (), actions)


def forward(*weighted: str | tuple[str, int]) -> dict[str, Any]:
    groups = [item if isinstance(item, tuple) else (item, 1) for item in weighted]
    config = {"TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in groups]}
    return {"Type": "forward", "Order": 1, "ForwardConfig": config}


def redirect(status: str = "HTTP_301", **config: str) -> dict[str, Any]:
    return {"Type": "redirect", "RedirectConfig": {"StatusCode": status, **config}}


def fixed(status: int, body: str = "", content_type: str = "text/plain") -> dict[str, Any]:
    config = {"StatusCode": str(status), "MessageBody": body, "ContentType": content_type}
    return {"Type": "fixed-response", "FixedResponseConfig": config}


def talk(answer: bytes) -> Callable[[socket.socket], None]:
    """A target that reads a request's head and sends these bytes, then closes."""

    def converse(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (data := connection.recv(65536)):
                return
            head += data
        connection.sendall(answer)

    return converse


def eventually(holds: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until `holds()` is true; fail when it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def _condition(field: str, value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"Field": field, "Values": value}
    config = "".join(part.capitalize() for part in field.split("-")) + "Config"
    return {"Field": field, config: value}


def _loopback() -> str:
    chosen = random.SystemRandom()
    return f"127.{chosen.randint(64, 127)}.{chosen.randint(0, 255)}.{chosen.randint(1, 254)}"
