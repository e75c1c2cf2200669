"""A load balancer's listeners: what a client gets, over real TLS through the internet proxy."""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from sandbox.dataplane import front
from sandbox.model import Target
from sandbox.tests.dataplane_bench import Bench, default, eventually, fixed, forward, http, https, redirect, rule, talk

BASE = "https://registry.hokus.ai"
MEGABYTE = 1024 * 1024


# rules and actions


def test_each_path_reaches_the_group_of_its_rule(bench: Bench) -> None:
    api, mlflow = bench.backend(name="api")[1], bench.backend(name="mlflow")[1]
    bench.serve(
        rule(
            50, {"host-header": ["registry.hokus.ai"], "path-pattern": ["/mlflow/*"]}, forward(bench.group("m", mlflow))
        ),
        rule(105, {"host-header": ["registry.hokus.ai"], "path-pattern": ["/api/*"]}, forward(bench.group("a", api))),
        default(fixed(404, "nothing here", "text/html")),
    )
    client = bench.start().session()
    assert client.get(f"{BASE}/mlflow/x").text == "mlflow"
    assert client.get(f"{BASE}/api/x").text == "api"
    missing = client.get("https://api.hokus.ai/api/x")
    assert (missing.status_code, missing.text) == (404, "nothing here")
    assert missing.headers["Server"] == "awselb/2.0"
    assert missing.headers["Content-Type"].startswith("text/html")


def test_a_rule_changed_in_the_control_plane_holds_for_the_next_request(bench: Bench) -> None:
    api, mlflow = bench.group("a", bench.backend(name="api")[1]), bench.group("m", bench.backend(name="mlflow")[1])
    elsewhere = rule(1, {"path-pattern": ["/elsewhere"]}, forward(api))
    bench.serve(elsewhere, default(forward(mlflow)))
    client = bench.start().session()
    assert client.get(BASE).text == "mlflow"
    bench.serve(elsewhere, default(forward(api)))
    assert client.get(BASE).text == "api"


def test_port_80_redirects_to_https_with_host_path_and_query(bench: Bench) -> None:
    bench.serve(default(fixed(200, "secure")))
    client = bench.start().session()
    answer = client.get("http://registry.hokus.ai/a%20b?c=d", allow_redirects=False)
    assert answer.status_code == 301
    assert answer.headers["Location"] == "https://registry.hokus.ai:443/a%20b?c=d"
    assert answer.headers["Server"] == "awselb/2.0"
    assert client.get("http://registry.hokus.ai/a").text == "secure"


def test_weights_divide_the_requests(bench: Bench) -> None:
    old, new = bench.backend(), bench.backend()
    bench.serve(default(forward((bench.group("old", old[1]), 3), (bench.group("new", new[1]), 1))))
    client = bench.start().session()
    for _ in range(20):
        client.get(BASE)
    assert (len(old[0].seen), len(new[0].seen)) == (15, 5)


def test_a_weighted_group_without_targets_costs_its_share_of_requests(bench: Bench) -> None:
    bench.serve(default(forward((bench.group("full", bench.backend()[1]), 1), (bench.group("empty"), 1))))
    client = bench.start().session()
    assert sorted(client.get(BASE).status_code for _ in range(6)) == [200, 200, 200, 503, 503, 503]


# what the target sees


def test_the_target_sees_the_request_as_it_was_sent(bench: Bench) -> None:
    backend, target = bench.backend(lambda handler: (201, {"X-Mark": "a,b"}, handler.body))
    bench.one_target(target)
    body = b"\x1f\x8b not really gzip"
    answer = bench.session().post(
        f"{BASE}/a%2Fb//%C3%A9?x=1&x=2&y=%26", data=body, headers={"Content-Encoding": "gzip", "X-API-Key": "k"}
    )
    assert (answer.status_code, answer.content, answer.headers["X-Mark"]) == (201, body, "a,b")
    method, path, headers = backend.seen[0]
    assert (method, path) == ("POST", "/a%2Fb//%C3%A9?x=1&x=2&y=%26")
    lowered = {name.lower(): value for name, value in headers.items()}
    assert lowered["host"] == "registry.hokus.ai"
    assert lowered["x-api-key"] == "k"
    assert lowered["content-encoding"] == "gzip"
    assert lowered["x-forwarded-for"] == "203.0.113.10"
    assert (lowered["x-forwarded-proto"], lowered["x-forwarded-port"]) == ("https", "443")
    assert lowered["x-amzn-trace-id"].startswith("Root=1-")


def test_forwarding_headers_of_the_client_are_appended_to_and_hop_by_hop_headers_end_here(bench: Bench) -> None:
    backend, target = bench.backend()
    bench.one_target(target)
    sent = {
        "X-Forwarded-For": "198.51.100.1",
        "X-Forwarded-Proto": "gopher",
        "X-Amzn-Trace-Id": "Root=1-a-b",
        "Connection": "keep-alive, X-Private",
        "X-Private": "1",
        "TE": "trailers",
    }
    bench.session().get(BASE, headers=sent)
    headers = {name.lower(): value for name, value in backend.seen[0][2].items()}
    assert headers["x-forwarded-for"] == "198.51.100.1, 203.0.113.10"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-amzn-trace-id"].endswith(";Root=1-a-b")
    assert not {"te", "x-private"} & headers.keys()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_passes(bench: Bench, method: str) -> None:
    backend, target = bench.backend()
    bench.one_target(target)
    answer = bench.session().request(method, BASE)
    assert (answer.status_code, answer.content) == (200, b"" if method == "HEAD" else b"ok")
    assert answer.headers["Content-Length"] == "2"
    assert backend.seen[0][0] == method


def test_a_304_with_a_length_leaves_the_connection_usable(bench: Bench) -> None:
    bench.one_target(bench.raw(talk(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n")))
    with bench.tunnel("registry.hokus.ai:443") as connection:
        for _ in range(2):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: registry.hokus.ai\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 304 ")


def test_a_compressed_answer_arrives_as_it_was_sent(bench: Bench) -> None:
    packed = gzip.compress(b"hello")
    bench.one_target(bench.backend(lambda _: (200, {"Content-Encoding": "gzip"}, packed))[1])
    answer = bench.session().get(BASE, stream=True)
    assert (answer.raw.read(decode_content=False), answer.headers["Content-Encoding"]) == (packed, "gzip")


@pytest.mark.parametrize("path", ["/%7Ea/%e9%2f%252e", "/a/../b/./c", "/a;b='c'?q=[1]&r=%7e"])
def test_the_request_target_is_not_rewritten(bench: Bench, path: str) -> None:
    backend, target = bench.backend()
    bench.one_target(target)
    with bench.tunnel("registry.hokus.ai:443") as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: registry.hokus.ai\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert backend.paths() == [path]


def test_a_transform_rewrites_what_the_target_gets(bench: Bench) -> None:
    backend, target = bench.backend()
    rewrite = {"Rewrites": [{"Regex": "^/api/mlflow(/.*)$", "Replace": "$1"}]}
    bench.serve(
        rule(
            1,
            {"path-pattern": ["/api/mlflow/*"]},
            forward(bench.group("a", target)),
            transforms=({"Type": "url-rewrite", "UrlRewriteConfig": rewrite},),
        ),
        default(fixed(404)),
    )
    bench.start().session().get(f"{BASE}/api/mlflow/version?x=1")
    assert backend.paths() == ["/version?x=1"]


# targets and health


def test_healthy_targets_take_turns(bench: Bench) -> None:
    first, second = bench.backend(), bench.backend()
    bench.serve(default(forward(bench.group("a", first[1], second[1]))))
    client = bench.start().session()
    for _ in range(6):
        client.get(BASE)
    assert (len(first[0].seen), len(second[0].seen)) == (3, 3)


def test_an_unhealthy_target_gets_nothing_while_another_is_healthy(bench: Bench) -> None:
    good, bad = bench.backend(name="good")[1], bench.backend(name="bad")[1]
    bench.serve(default(forward(bench.group("a", good, replace(bad, state="unhealthy")))))
    client = bench.start().session()
    assert {client.get(BASE).text for _ in range(4)} == {"good"}


def test_when_all_targets_are_unhealthy_the_load_balancer_fails_open(bench: Bench) -> None:
    targets = [replace(bench.backend(name=name)[1], state="unhealthy") for name in "ab"]
    bench.serve(default(forward(bench.group("a", *targets))))
    client = bench.start().session()
    assert {client.get(BASE).text for _ in range(4)} == {"a", "b"}


def test_a_draining_target_gets_no_new_requests_but_finishes_the_one_it_has(bench: Bench) -> None:
    release = threading.Event()
    backend, target = bench.backend(lambda _: (release.wait(10), (200, {}, b"finished"))[1])
    group = bench.group("a", target)
    bench.serve(default(forward(group)))
    client, answers = bench.start().session(), []
    running = threading.Thread(target=lambda: answers.append(client.get(BASE).text))
    running.start()
    eventually(lambda: backend.seen)
    bench.group("a", replace(target, state="draining"))
    assert bench.session().get(BASE).status_code == 503
    release.set()
    running.join(10)
    assert answers == ["finished"]


# the load balancer's own statuses


def own(answer: requests.Response) -> int:
    """The status, which must be the load balancer's own."""
    assert answer.headers["Server"] == "awselb/2.0"
    assert answer.headers["Content-Type"] == "text/html"
    return answer.status_code


def test_no_registered_target_is_503(bench: Bench) -> None:
    bench.serve(default(forward(bench.group("empty"))))
    assert own(bench.start().session().get(BASE)) == 503
    assert (bench.log()[0]["emitter"], bench.log()[0]["target_status"]) == ("load_balancer", None)


def test_a_target_on_whose_port_nothing_listens_is_502(bench: Bench) -> None:
    bench.one_target(bench.nobody())
    assert own(bench.session().get(BASE)) == 502


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"I do not speak HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 40_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["closes", "not http", "header over 32 K", "length and chunked"],
)
def test_a_target_that_answers_badly_is_502(bench: Bench, answer: bytes) -> None:
    bench.one_target(bench.raw(talk(answer)))
    assert own(bench.session().get(BASE)) == 502


def test_a_target_that_the_groups_keep_away_is_504_after_the_connect_timeout(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "CONNECT_SECONDS", 0.2)
    backend, target = bench.backend()
    bench.world.denied.add((target.address, target.port))
    bench.one_target(target)
    began = time.monotonic()
    assert own(bench.session().get(BASE)) == 504
    assert time.monotonic() - began >= 0.2
    assert not backend.seen
    assert (("sg-alb",), "10.0.101.7", ("sg-task",), target.address, target.port) in bench.world.asked


def test_a_registered_address_that_nobody_has_is_504(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "CONNECT_SECONDS", 0.1)
    bench.one_target(Target("10.0.1.173", 5000, "healthy"))
    assert own(bench.session().get(BASE)) == 504


def test_a_target_slower_than_the_idle_timeout_is_504(bench: Bench) -> None:
    release = threading.Event()
    bench.callback(release.set)
    _, target = bench.backend(lambda _: (release.wait(10), (200, {}, b""))[1])
    bench.one_target(target, idle=0.4)
    began = time.monotonic()
    assert own(bench.session().get(BASE)) == 504
    assert 0.4 <= time.monotonic() - began < 5


def test_a_slow_stream_that_keeps_moving_outlives_the_idle_timeout(bench: Bench) -> None:
    def trickle(connection: socket.socket) -> None:
        talk(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")(connection)
        for _ in range(6):
            time.sleep(0.25)
            connection.sendall(b".")

    bench.one_target(bench.raw(trickle), idle=1.0)
    assert bench.session().get(BASE).text == "......"


def test_a_target_that_dies_in_mid_answer_breaks_the_answer_off(bench: Bench) -> None:
    bench.one_target(bench.raw(talk(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")))
    with pytest.raises((requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        _ = bench.session().get(BASE).content
    assert bench.log()[0]["reason"]


def test_an_early_refusal_of_an_upload_reaches_the_client(bench: Bench) -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"

    def refuse(connection: socket.socket) -> None:
        talk(refusal)(connection)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    bench.one_target(bench.raw(refuse))
    answer = bench.session().put(BASE, data=b"x" * 100_000)
    assert (answer.status_code, answer.text) == (413, "no")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/" + "x" * 17_000, {}, 414),
        ("/", {"X-Big": "x" * 17_000}, 400),
        ("/", {f"X-{number}": "x" * 10_000 for number in range(7)}, 400),
        ("/", {"X-Forwarded-For": ", ".join(["198.51.100.1"] * 31)}, 463),
    ],
)
def test_a_request_beyond_the_limits_is_refused(bench: Bench, path: str, headers: dict[str, str], status: int) -> None:
    backend, target = bench.backend()
    bench.one_target(target)
    assert own(bench.session().get(BASE + path, headers=headers)) == status
    assert not backend.seen


def test_a_request_line_of_14_kilobytes_passes(bench: Bench) -> None:
    backend, target = bench.backend()
    bench.one_target(target)
    path = "/search?" + "x" * 14_000
    assert bench.session().get(BASE + path).status_code == 200
    assert backend.paths() == [path]


# listeners and certificates


def test_the_certificate_is_chosen_by_server_name_and_the_first_is_the_default(bench: Bench) -> None:
    bench.certificate("other", "shop.example")
    bench.balancer(
        https(default(fixed(200)), certificates=("cert", "other")), hosts=("registry.hokus.ai", "shop.example")
    )
    bench.start()
    for name in ("registry.hokus.ai", "shop.example"):
        with bench.tunnel(f"{name}:443", name) as connection:
            assert name in str(connection.getpeercert()) or "*.hokus.ai" in str(connection.getpeercert())
            assert ("shop.example" in str(connection.getpeercert())) == (name == "shop.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        bench.tunnel("registry.hokus.ai:443", "a.b.hokus.ai")


def test_listeners_that_share_their_default_certificate_do_not_share_the_others(bench: Bench) -> None:
    bench.certificate("shop", "shop.example")
    bench.certificate("club", "club.example")
    bench.balancer(
        https(default(fixed(200)), certificates=("cert", "shop"), port=443),
        https(default(fixed(200)), certificates=("cert", "club"), port=8443),
        hosts=("shop.example", "club.example"),
    )
    bench.start()
    for name, own, other in (("shop.example", 443, 8443), ("club.example", 8443, 443)):
        with bench.tunnel(f"{name}:{own}", name) as connection:
            assert name in str(connection.getpeercert())
        with pytest.raises(ssl.SSLCertVerificationError):
            bench.tunnel(f"{name}:{other}", name)


def test_a_private_key_is_never_in_the_systems_temporary_directory(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    bench.certificate("fresh", "fresh.example")
    bench.balancer(https(default(fixed(200)), certificates=("fresh",)), hosts=("fresh.example",))
    bench.start()
    with bench.tunnel("fresh.example:443", "fresh.example") as connection:
        assert "fresh.example" in str(connection.getpeercert())


def test_a_certificate_replaced_in_acm_is_served_at_the_next_handshake(bench: Bench) -> None:
    bench.serve(default(fixed(200)))
    bench.start()

    def serial() -> object:
        with bench.tunnel("registry.hokus.ai:443") as connection:
            return (connection.getpeercert() or {})["serialNumber"]

    first = serial()
    bench.certificate("cert", "*.hokus.ai")
    eventually(lambda: serial() != first)


def test_listeners_come_and_go_with_the_control_plane(bench: Bench) -> None:
    bench.balancer(https(default(fixed(200, "a"))))
    client = bench.start().session()
    assert client.get(BASE).text == "a"
    with pytest.raises(requests.exceptions.ProxyError):
        client.get(f"{BASE}:8443")
    old = bench.enter_context(bench.tunnel("registry.hokus.ai:443"))
    bench.balancer(https(default(fixed(200, "b")), port=8443))
    assert ended(old)
    fresh = bench.session()
    eventually(lambda: status(fresh, f"{BASE}:8443") == 200)
    eventually(lambda: status(bench.session(), BASE) == 0)


def ended(connection: socket.socket) -> bool:
    """Whether the other side ends the connection, one way or another."""
    try:
        return connection.recv(100) == b""
    except (ConnectionError, ssl.SSLEOFError):
        return True


def status(client: requests.Session, url: str) -> int:
    """The status, 0 when there is no connection."""
    try:
        return client.get(url).status_code
    except requests.exceptions.ConnectionError:
        return 0


def test_an_https_listener_without_a_certificate_does_not_listen(bench: Bench) -> None:
    bench.balancer(https(default(fixed(200)), certificates=("unknown",)), http(default(fixed(200))))
    client = bench.start().session()
    assert status(client, BASE) == 0
    assert client.get("http://registry.hokus.ai").status_code == 200


# the log, and unmodified clients


def test_the_access_log_says_which_rule_and_target_answered_and_whose_the_status_is(bench: Bench) -> None:
    _, target = bench.backend(lambda _: (404, {}, b"no"))
    api = bench.group("api", target)
    bench.serve(rule(105, {"path-pattern": ["/api/*"]}, forward(api)), default(fixed(404)))
    client = bench.start().session()
    client.get(f"{BASE}/api/x?key=secret")
    client.get(f"{BASE}/else")
    second, first = sorted(bench.log(2), key=lambda entry: int(entry["rule_priority"]))
    assert {"rule_priority": 105, "target_group": "api", "emitter": "target", "status": 404}.items() <= first.items()
    assert {
        "target": f"{target.address}:{target.port}",
        "target_status": 404,
        "path": "/api/x",
    }.items() <= first.items()
    assert {"rule_priority": 0, "action": "fixedresponse", "emitter": "load_balancer"}.items() <= second.items()
    assert "secret" not in (bench.home / "logs" / "alb.jsonl").read_text()


def test_curl_reaches_the_target_with_nothing_but_environment_variables(bench: Bench) -> None:
    bench.one_target(bench.backend(name="hello")[1])
    command = ["curl", "-sS", "--max-time", "10", "-L", "http://registry.hokus.ai/x"]
    done = subprocess.run(command, env=bench.environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "hello"), done.stderr


def test_a_hundred_clients_at_once_are_all_served(bench: Bench) -> None:
    bench.one_target(bench.backend()[1])
    statuses: list[int] = []

    def visit() -> None:
        with requests.Session() as client:
            client.trust_env, client.verify = False, str(bench.bundle)
            client.proxies = {"https": bench.plane.proxy_url}
            statuses.extend(client.get(f"{BASE}/{number}").status_code for number in range(3))

    threads = [threading.Thread(target=visit) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert statuses == [200] * 300


def test_the_default_action_may_be_a_redirect_to_another_host(bench: Bench) -> None:
    bench.serve(default(redirect("HTTP_302", Host="www.hokus.ai", Path="/")))
    answer = bench.start().session().get(f"{BASE}/x", allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://www.hokus.ai:443/")
