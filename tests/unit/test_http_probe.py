"""Probes report what came of each request, and name what kept an answer from coming."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.expectations import Expectation, judge
from ansible_collections.hokusai.platform.plugins.module_utils.http_client import Answer, percentile
from ansible_collections.hokusai.platform.plugins.modules import http_probe

from tests.unit.web import Reply, Seen, Web, make_key, serving, traces

Run = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no CA bundle of the machine that runs the tests."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def web() -> Iterator[Web]:
    def respond(seen: Seen) -> Reply:
        pages = {
            "/": Reply(200, {"experiments": [{"name": "Default"}], "count": 1}, {"Server": "uvicorn", "X-Part": "a"}),
            "/echo": Reply(200, f"you sent {seen.headers.get('authorization')} and {seen.headers.get('cookie')}"),
            "/moved": Reply(302, "", {"Location": "/", "Set-Cookie": "AWSALBTG=sticky"}),
        }
        return pages.get(seen.path, Reply(404, {"detail": "Not Found"}))

    with serving(respond) as running:
        yield running


@pytest.fixture
def probe(run_module: Run) -> Run:
    def run(*requests: dict[str, Any], **options: Any) -> dict[str, Any]:
        return run_module(http_probe.main, requests=[{"name": "it", **each} for each in requests], **options)

    return run


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that treats its one connection as it likes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_an_answer_as_expected_is_ok(probe: Run, web: Web) -> None:
    result = probe(
        {
            "url": web.url,
            "status": [200],
            "expect_headers": {"x-part": "a"},
            "json": {"experiments.0.name": "Default", "count": 1},
        }
    )
    assert (result["ok"], result["mismatches"], result["changed"]) == (True, [], False)
    assert result["requests"][0]["outcomes"] == {"200": 1}
    assert result["requests"][0]["evidence"]["headers"]["server"] == "uvicorn"


@pytest.mark.parametrize(
    ("expected", "mismatch"),
    [
        ({"status": [401, "5xx"]}, "status is 200, not 401 or 5xx"),
        ({"expect_headers": {"X-Part": "b"}}, "header X-Part is a, not b"),
        ({"expect_headers": {"X-None": "b"}}, "header X-None is absent, not b"),
        ({"json": {"experiments.0.name": "Other"}}, 'JSON field experiments.0.name is "Default", not "Other"'),
        ({"json": {"experiments.1.name": "Other"}}, "JSON field experiments.1.name is absent"),
        ({"json": {"count": "1"}}, 'JSON field count is 1, not "1"'),
        ({"max_p95_ms": 0.001}, "over 0.001 ms"),
    ],
)
def test_an_answer_that_is_not_as_expected_says_in_which_way(
    probe: Run, web: Web, expected: dict[str, Any], mismatch: str
) -> None:
    result = probe({"url": web.url, **expected})
    assert not result["ok"]
    assert not result.get("failed")
    assert mismatch in result["mismatches"][0]
    assert result["mismatches"][0].startswith("it: ")


def test_a_request_is_made_as_often_as_asked_and_its_outcomes_are_counted(probe: Run) -> None:
    turns = iter([200, 200, 503, 200, 502])
    lock = threading.Lock()

    def respond(_seen: Seen) -> Reply:
        with lock:
            return Reply(next(turns))

    with serving(respond) as web:
        report = probe({"url": web.url, "count": 5})["requests"][0]
    assert report["outcomes"] == {"200": 3, "502": 1, "503": 1}
    assert sorted(report["mismatches"]) == ["status is 502, not 2xx", "status is 503, not 2xx"]
    assert report["evidence"]["outcome"] in {"502", "503"}


def test_many_requests_are_under_way_at_once(probe: Run) -> None:
    together = threading.Barrier(6, timeout=5)

    def respond(_seen: Seen) -> Reply:
        together.wait()
        return Reply(200)

    with serving(respond) as web:
        assert probe({"url": web.url, "count": 4}, {"url": web.url, "count": 2}, concurrency=6)["ok"]


def test_no_more_than_concurrency_are_under_way_at_once(probe: Run) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def respond(_seen: Seen) -> Reply:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return Reply(200)

    with serving(respond) as web:
        assert probe({"url": web.url, "count": 8}, concurrency=2)["ok"]
    assert most == 2


def test_a_redirect_is_the_answer_unless_it_is_to_be_followed(probe: Run, web: Web) -> None:
    moved = {"url": f"{web.url}/moved"}
    assert probe(moved)["requests"][0]["outcomes"] == {"302": 1}
    assert probe(moved, follow_redirects=True)["requests"][0]["outcomes"] == {"200": 1}


def test_a_key_is_sent_as_bearer_but_not_to_where_a_redirect_leads(probe: Run, web: Web) -> None:
    key = make_key()
    assert probe({"url": f"{web.url}/moved", "credential": {"value": key}}, follow_redirects=True)["ok"]
    assert [seen.headers.get("authorization") for seen in web.seen] == [f"Bearer {key}", None]


def test_neither_cookies_nor_netrc_make_a_difference(
    probe: Run, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    probe({"url": f"{web.url}/moved", "count": 3}, {"url": f"{web.url}/moved"}, follow_redirects=True, concurrency=1)
    assert {seen.headers.get("cookie") for seen in web.seen} == {None}
    assert {seen.headers.get("authorization") for seen in web.seen} == {None}


def test_a_mapping_is_sent_as_json(probe: Run, web: Web) -> None:
    probe({"url": web.url, "method": "POST", "body": {"max_results": 1}})
    assert (web.seen[0].method, web.seen[0].headers["content-type"]) == ("POST", "application/json")
    assert json.loads(web.seen[0].body) == {"max_results": 1}


def test_an_echo_of_the_key_is_not_in_the_evidence(probe: Run, web: Web) -> None:
    key = make_key()
    result = probe({"url": f"{web.url}/echo", "credential": {"value": key}, "json": {"a": 1}})
    assert "you sent Bearer ********" in result["requests"][0]["evidence"]["body"]
    assert not traces(json.dumps(result), key)


@pytest.mark.parametrize(
    "given",
    [
        {"headers": {"Authorization": "Bearer {key}"}},
        {"headers": {"authorization": "Basic c29tZWJvZHk6c2VjcmV0"}},
        {"headers": {"x-api-key": "{key}"}},
        {"headers": {"X-Other": "{key}"}},
        {"url": "http://127.0.0.1:9/?key={key}"},
        {"body": {"key": "{key}"}},
        {"url": "http://somebody:secret@127.0.0.1:9/"},
    ],
    ids=["authorization", "basic", "x-api-key", "another header", "url", "body", "user in url"],
)
def test_a_credential_where_it_would_be_shown_is_refused(probe: Run, web: Web, given: dict[str, Any]) -> None:
    key = make_key()
    result = probe({"url": web.url, **json.loads(json.dumps(given).replace("{key}", key))})
    assert (result["failed"], result["error"], web.seen) == (True, "BadInput", [])
    assert not traces(json.dumps(result), key)
    assert "credential" in result["remedy"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"url": "registry.hokus.ai/health"}, "registry.hokus.ai/health"),
        ({"url": "http://127.0.0.1/", "status": ["2x"]}, "2x is not a status"),
        ({"url": "http://127.0.0.1/", "count": 0}, "count 0"),
    ],
)
def test_what_cannot_be_asked_is_an_error(probe: Run, given: dict[str, Any], named: str) -> None:
    result = probe(given)
    assert result["error"] == "BadInput"
    assert named in result["msg"]


def test_no_request_at_all_is_an_error_and_not_ok(probe: Run) -> None:
    assert probe()["error"] == "BadInput"


def failure(result: dict[str, Any]) -> str:
    assert not result["ok"]
    assert not result.get("failed")
    (outcome,) = result["requests"][0]["outcomes"]
    return str(outcome)


def test_a_name_that_does_not_exist_is_resolve(probe: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    known = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **named: Any) -> Any:
        if host == "registry.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert failure(probe({"url": "http://registry.invalid/"})) == "resolve"


def test_a_port_nobody_listens_on_is_connect(probe: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert failure(probe({"url": f"http://127.0.0.1:{port}/"})) == "connect"


def test_a_server_that_does_not_answer_is_timeout(probe: Run) -> None:
    with listening(lambda connection: time.sleep(0.6)) as port:
        assert failure(probe({"url": f"http://127.0.0.1:{port}/"}, timeout=0.2)) == "timeout"


def test_a_body_that_never_ends_is_timeout(probe: Run) -> None:
    def drip(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(20):
            time.sleep(0.1)
            try:
                connection.sendall(b".")
            except OSError:
                return

    started = time.monotonic()
    with listening(drip) as port:
        assert failure(probe({"url": f"http://127.0.0.1:{port}/"}, timeout=0.3)) == "timeout"
        assert time.monotonic() - started < 1.5


def test_something_that_is_not_http_is_http(probe: Run) -> None:
    def mumble(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")

    with listening(mumble) as port:
        assert failure(probe({"url": f"http://127.0.0.1:{port}/"})) == "http"


@contextmanager
def tls_server(name: str) -> Iterator[tuple[str, trustme.CA]]:
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)

    def answer(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(4096)
                secure.sendall(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
        except OSError:
            return

    with listening(answer) as port:
        yield f"https://127.0.0.1:{port}/", ca


def test_a_certificate_nobody_vouches_for_is_tls(probe: Run) -> None:
    with tls_server("127.0.0.1") as (url, _ca):
        assert failure(probe({"url": url})) == "tls"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_certificate_of_the_named_ca_is_accepted(
    probe: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with tls_server("127.0.0.1") as (url, ca):
        ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
        assert probe({"url": url})["requests"][0]["outcomes"] == {"204": 1}


def test_a_certificate_for_another_name_is_tls(probe: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tls_server("other.hokus.ai") as (url, ca):
        ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert failure(probe({"url": url})) == "tls"


def test_the_proxy_of_the_environment_is_used(probe: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda seen: Reply(200, seen.path)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        result = probe({"url": "http://registry.hokus.ai/health"})
    assert result["requests"][0]["evidence"]["body"] == "http://registry.hokus.ai/health"


@pytest.mark.parametrize(
    ("refusal", "name"),
    [
        (b"HTTP/1.1 502 registry.hokus.ai does not resolve: NXDOMAIN", "resolve"),
        (b"HTTP/1.1 502 Bad Gateway", "connect"),
        (b"HTTP/1.1 504 Gateway Timeout", "timeout"),
        (b"HTTP/1.1 407 Proxy Authentication Required", "connect"),
    ],
)
def test_a_proxy_that_cannot_connect_is_told_by_what_it_says(
    probe: Run, monkeypatch: pytest.MonkeyPatch, refusal: bytes, name: str
) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(refusal + b"\r\nContent-Length: 0\r\n\r\n")

    with listening(refuse) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        assert failure(probe({"url": "https://registry.hokus.ai/health"})) == name


def test_percentiles_are_by_nearest_rank() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [percentile(values, each) for each in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert (percentile([7.0], 99), percentile([1.0, 2.0], 50), percentile([], 50)) == (7.0, 1.0, 0.0)


def test_no_answer_is_never_as_expected() -> None:
    assert not judge(Expectation(), []).ok
    assert judge(Expectation(), [Answer("http://a/", error="timeout")]).mismatches == ("no answer: timeout: ",)


def test_an_expectation_of_something_that_is_no_status_is_refused() -> None:
    with pytest.raises(BadInput, match="600 is not a status"):
        Expectation(("600",))
