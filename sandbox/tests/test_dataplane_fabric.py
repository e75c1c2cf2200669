"""The VPC as a task has it: a SOCKS5 server that resolves, judges, connects, refuses or stays silent."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from python_socks import ProxyError, ProxyTimeoutError
from python_socks.sync import Proxy

from sandbox.dataplane import socks, streams
from sandbox.model import Answer, Target
from sandbox.tests.dataplane_bench import Bench, default, eventually, fixed, http, https, rule

MLFLOW = "mlflow.hokusai-development.local"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as made:
        yield made.start()


def dial(bench: Bench, host: str, port: int, source: str, seconds: float = 5.0) -> socket.socket:
    """Connect from the task at `source`."""
    url = bench.plane.fabric_url(source).replace("socks5h://", "socks5://")
    return bench.enter_context(Proxy.from_url(url, rdns=True).connect(host, port, timeout=seconds))


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.sendall(b"the end")


def refusal(bench: Bench, host: str, port: int, source: str) -> int | None:
    with pytest.raises(ProxyError) as raised:
        dial(bench, host, port, source)
    return raised.value.error_code


def test_a_task_reaches_another_by_address_and_by_discovery_name(bench: Bench) -> None:
    target, source = bench.raw(echo), bench.face(groups=("sg-api",))
    bench.world.private["vpc-1", MLFLOW] = Answer((target.address,))
    for host in (target.address, MLFLOW, MLFLOW.upper() + "."):
        connection = dial(bench, host, target.port, source)
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"
    assert bench.world.asked[0] == (("sg-api",), source, ("sg-task",), target.address, target.port)


def test_half_a_connection_may_end_first(bench: Bench) -> None:
    target = bench.raw(echo)
    connection = dial(bench, target.address, target.port, bench.face())
    connection.sendall(b"x")
    connection.shutdown(socket.SHUT_WR)
    assert b"".join(iter(lambda: connection.recv(100), b"")) == b"xthe end"


def test_a_name_nobody_knows_is_answered_host_unreachable(bench: Bench) -> None:
    assert refusal(bench, MLFLOW, 5000, bench.face()) == socks.HOST_UNREACHABLE


def test_a_private_name_of_another_vpc_is_a_name_nobody_knows(bench: Bench) -> None:
    target = bench.raw(echo)
    bench.world.private["vpc-1", MLFLOW] = Answer((target.address,))
    stranger = bench.face(vpc_id="vpc-2")
    assert refusal(bench, MLFLOW, target.port, stranger) == socks.HOST_UNREACHABLE


def test_an_internal_load_balancer_serves_the_vpc_and_is_silent_to_the_internet(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SILENCE_SECONDS", 0.2)
    bench.serve(default(fixed(200, "inside")))
    (balancer,) = bench.world.balancers
    bench.world.balancers = (replace(balancer, scheme="internal"),)
    source = bench.face()
    eventually(lambda: accepted(bench, "registry.hokus.ai", 443, source))
    with pytest.raises(requests.exceptions.ProxyError, match="504"):
        bench.session().get("https://registry.hokus.ai/")


def test_a_port_where_nothing_listens_is_refused(bench: Bench) -> None:
    target = bench.nobody()
    assert refusal(bench, target.address, target.port, bench.face()) == socks.REFUSED


def silent(bench: Bench, target: Target, source: str) -> None:
    with pytest.raises(ProxyTimeoutError):
        dial(bench, target.address, target.port, source, seconds=0.4)


def test_a_flow_that_the_groups_deny_is_met_with_silence(bench: Bench) -> None:
    target = bench.raw(echo)
    bench.world.denied.add((target.address, target.port))
    silent(bench, target, bench.face())


def test_an_address_that_nobody_has_is_met_with_silence(bench: Bench) -> None:
    silent(bench, Target("10.0.1.173", 5000, "healthy"), bench.face())


def test_a_source_whose_interface_is_gone_is_met_with_silence(bench: Bench) -> None:
    silent(bench, bench.raw(echo), "10.0.3.219")


def test_silence_ends_when_the_kernel_of_a_client_would_have_given_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SILENCE_SECONDS", 0.2)
    assert refusal(bench, "10.0.1.173", 5000, bench.face()) == socks.TTL_EXPIRED


def test_the_token_is_required(bench: Bench) -> None:
    proxy = urlsplit(bench.plane.fabric_url("10.0.1.10"))
    for credentials in ("10.0.1.10:guess@", ""):
        forged = Proxy.from_url(f"socks5://{credentials}{proxy.hostname}:{proxy.port}")
        with pytest.raises(ProxyError):
            forged.connect("10.0.1.11", 80, timeout=5)


@pytest.mark.parametrize(
    ("request_", "code"), [(b"\x05\x02\x00\x01\x0a\x00\x01\x0a\x00\x50", 7), (b"\x05\x01\x00\x04" + bytes(18), 8)]
)
def test_only_connect_to_ipv4_addresses_and_names_is_served(bench: Bench, request_: bytes, code: int) -> None:
    proxy = urlsplit(bench.plane.fabric_url("10.0.1.10"))
    user, password = (proxy.username or "").encode(), (proxy.password or "").encode()
    with socket.create_connection((proxy.hostname or "", proxy.port or 0), timeout=5) as connection:
        login = bytes((1, len(user))) + user + bytes((len(password),)) + password
        connection.sendall(b"\x05\x01\x02" + login + request_)
        with connection.makefile("rb") as answers:
            assert answers.read(4)[-1] == 0
            assert answers.read(2)[1] == code


def test_a_client_of_another_protocol_is_turned_away(bench: Bench) -> None:
    proxy = urlsplit(bench.plane.fabric_url("10.0.1.10"))
    with socket.create_connection((proxy.hostname or "", proxy.port or 0), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(300))
        connection.settimeout(5)
        assert connection.recv(100) in (b"", b"\x05\xff")


def test_a_task_reaches_itself_as_localhost(bench: Bench) -> None:
    target = bench.raw(echo)
    bench.world.denied.add((target.address, target.port))
    connection = dial(bench, "127.0.0.1", target.port, target.address)
    connection.sendall(b"me")
    assert connection.recv(10) == b"me"


def test_a_discovery_name_spreads_connections_over_its_instances(bench: Bench) -> None:
    first = bench.raw(lambda connection: connection.sendall(b"1"))
    second = bench.raw(lambda connection: connection.sendall(b"2"), first.port)
    bench.world.private["vpc-1", MLFLOW] = Answer((first.address, second.address))
    source = bench.face()
    assert {dial(bench, MLFLOW, first.port, source).recv(1) for _ in range(60)} == {b"1", b"2"}


def test_a_public_name_leads_to_the_load_balancers_listener_and_the_source_is_the_tasks(bench: Bench) -> None:
    only = {"source-ip": {"Values": ["10.0.1.0/24"]}}
    bench.balancer(https(rule(1, only, fixed(200, "from a task")), default(fixed(403))))
    source = bench.face(groups=("sg-api",))
    eventually(lambda: accepted(bench, "registry.hokus.ai", 443, source))
    context = ssl.create_default_context(cafile=str(bench.bundle))
    plain = dial(bench, "registry.hokus.ai", 443, source)
    with context.wrap_socket(plain, server_hostname="registry.hokus.ai") as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: registry.hokus.ai\r\nConnection: close\r\n\r\n")
        assert b"".join(iter(lambda: connection.recv(4096), b"")).endswith(b"from a task")
    assert (("sg-api",), source, ("sg-alb",), "10.0.101.7", 443) in bench.world.asked


def accepted(bench: Bench, host: str, port: int, source: str) -> bool:
    try:
        dial(bench, host, port, source)
    except ProxyError:
        return False
    return True


def test_a_load_balancer_that_the_groups_keep_away_is_silent_and_a_missing_listener_refuses(bench: Bench) -> None:
    bench.balancer(http(default(fixed(200))))
    bench.world.denied.add(("10.0.101.7", 80))
    source = bench.face()
    with pytest.raises(ProxyTimeoutError):
        dial(bench, "registry.hokus.ai", 80, source, seconds=0.4)
    assert refusal(bench, "registry.hokus.ai", 8080, source) == socks.REFUSED


def test_a_flow_that_loses_its_permission_is_cut_at_its_first_pause(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socks, "QUIET_SECONDS", 0.3)
    target = bench.raw(echo)
    connection = dial(bench, target.address, target.port, bench.face())
    connection.sendall(b"x")
    assert connection.recv(10) == b"x"
    time.sleep(0.8)
    connection.sendall(b"still there")
    assert connection.recv(100) == b"still there"
    bench.world.denied.add((target.address, target.port))
    connection.settimeout(5)
    with pytest.raises(ConnectionResetError):
        connection.recv(10)


def test_a_reset_passes_through(bench: Bench) -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    target = bench.raw(reset)
    connection = dial(bench, target.address, target.port, bench.face())
    connection.sendall(b"x")
    with pytest.raises(ConnectionResetError):
        connection.recv(10)


def test_many_megabytes_pass_with_back_pressure(bench: Bench) -> None:
    target = bench.raw(echo)
    connection = dial(bench, target.address, target.port, bench.face(), seconds=20)
    block, count = b"x" * 1_000_000, 50
    sender = threading.Thread(target=connection.sendall, args=(block * count,))
    sender.start()
    time.sleep(0.3)
    assert sender.is_alive()
    left = count * len(block)
    while left:
        left -= len(connection.recv(min(left, 1_000_000)))
    sender.join(10)
