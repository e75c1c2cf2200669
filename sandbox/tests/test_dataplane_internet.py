"""The sandbox's internet: one HTTP proxy that knows the public names."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from sandbox.dataplane import streams
from sandbox.dataplane.internet import UnreachableError, split_authority
from sandbox.model import Answer
from sandbox.tests.dataplane_bench import Bench, default, fixed, http


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as made:
        made.serve(default(fixed(200, "welcome")))
        yield made.start()


def raw(bench: Bench, request: bytes, seconds: float = 5.0) -> bytes:
    """What the proxy sends back until it closes or says nothing for `seconds`."""
    proxy = urlsplit(bench.plane.proxy_url)
    with socket.create_connection((proxy.hostname or "", proxy.port or 0), timeout=seconds) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def connect(authority: str) -> bytes:
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()


def test_an_unmodified_client_reaches_the_load_balancer_by_its_public_name(bench: Bench) -> None:
    assert bench.session().get("https://registry.hokus.ai/x").text == "welcome"


def test_the_load_balancers_own_dns_name_is_public_too(bench: Bench) -> None:
    answer = bench.session().get("http://MAIN.elb.amazonaws.com/", allow_redirects=False)
    assert answer.status_code == 301


def test_trust_is_required(bench: Bench) -> None:
    client = bench.session()
    client.verify = True
    with pytest.raises(requests.exceptions.SSLError):
        client.get("https://registry.hokus.ai/")


@pytest.mark.parametrize("url", ["https://nowhere.hokus.ai/", "http://nowhere.hokus.ai/", "https://pypi.org/"])
def test_an_unknown_name_is_502_and_says_so(bench: Bench, url: str) -> None:
    done = subprocess.run(
        ["curl", "-sv", "--max-time", "5", url], env=bench.environment(), capture_output=True, text=True, check=False
    )
    assert "502" in done.stderr
    host = urlsplit(url).hostname or ""
    text = raw(bench, connect(f"{host}:443")).decode()
    assert "the sandbox has no such public name" in text
    assert host in text


def test_a_private_discovery_name_is_unknown_to_the_internet(bench: Bench) -> None:
    bench.world.private["", "mlflow.hokusai-development.local"] = Answer(("10.0.1.10",))
    assert b"no such public name" in raw(bench, connect("mlflow.hokusai-development.local:5000"))


@pytest.mark.parametrize("authority", ["127.0.0.1:22", "localhost:80", "10.0.1.10:5000", "[::1]:80", "8.8.8.8:53"])
def test_addresses_are_refused(bench: Bench, authority: str) -> None:
    bench.face()
    answer = raw(bench, connect(authority))
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"public names only" in answer


def test_plain_requests_for_addresses_are_refused(bench: Bench) -> None:
    answer = bench.session().get("http://127.0.0.1:1/", proxies={"http": bench.plane.proxy_url})
    assert (answer.status_code, "public names only" in answer.text) == (502, True)


def test_a_port_without_a_listener_is_502_connection_refused(bench: Bench) -> None:
    answer = raw(bench, connect("registry.hokus.ai:8443"))
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"connection refused" in answer


def test_a_load_balancer_closed_to_the_internet_is_silent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.world.denied |= {("10.0.101.7", 443), ("10.0.101.7", 80)}
    with pytest.raises(TimeoutError):
        raw(bench, connect("registry.hokus.ai:443"), seconds=0.4)
    assert ((), "203.0.113.10", ("sg-alb",), "10.0.101.7", 443) in bench.world.asked
    monkeypatch.setattr(streams, "SILENCE_SECONDS", 0.2)
    assert raw(bench, connect("registry.hokus.ai:443")).startswith(b"HTTP/1.1 504 ")
    assert bench.session().get("http://registry.hokus.ai/", allow_redirects=False).status_code == 504


def test_one_proxy_connection_serves_several_hosts_in_plain_http(bench: Bench) -> None:
    bench.balancer(http(default(fixed(200, "here"))))
    request = b"GET http://%b/ HTTP/1.1\r\nHost: %b\r\n%b\r\n"
    answers = raw(
        bench,
        request % (b"registry.hokus.ai", b"registry.hokus.ai", b"")
        + request % (b"nowhere.hokus.ai", b"nowhere.hokus.ai", b"Connection: close\r\n"),
    )
    assert answers.count(b"HTTP/1.1 ") == 2
    assert b"here" in answers
    assert b"no such public name" in answers


def test_bytes_sent_together_with_connect_are_not_lost(bench: Bench) -> None:
    bench.balancer(http(default(fixed(200, "early"))))
    early = b"GET / HTTP/1.1\r\nHost: registry.hokus.ai\r\nConnection: close\r\n\r\n"
    assert raw(bench, connect("registry.hokus.ai:80") + early).endswith(b"early")


def test_a_request_that_comes_in_pieces_is_understood(bench: Bench) -> None:
    proxy = urlsplit(bench.plane.proxy_url)
    with socket.create_connection((proxy.hostname or "", proxy.port or 0), timeout=5) as connection:
        for byte in connect("registry.hokus.ai:443"):
            connection.sendall(bytes((byte,)))
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "noise",
    [b"CONNECT \x00\x01\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"CONNECT x HTTP/1.1\r\n" + b"X: y\r\n" * 20_000],
)
def test_noise_ends_the_connection_and_nothing_else(bench: Bench, noise: bytes) -> None:
    try:
        answer = raw(bench, noise)
    except ConnectionError:
        answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert bench.session().get("https://registry.hokus.ai/").status_code == 200


@pytest.mark.parametrize(
    ("authority", "found"),
    [("a.b:443", ("a.b", 443)), ("A.B", ("a.b", 80)), ("[::1]:8", ("::1", 8)), ("[::1]", ("::1", 80))],
)
def test_an_authority_is_split(authority: str, found: tuple[str, int]) -> None:
    assert split_authority(authority, 80) == found


@pytest.mark.parametrize("authority", ["", "a:b", "a:1:2", ":80", "a:999999"])
def test_what_is_no_authority_is_said_to_be_none(authority: str) -> None:
    with pytest.raises(UnreachableError):
        split_authority(authority, 80)
