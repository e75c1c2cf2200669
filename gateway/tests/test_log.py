"""Lines on their way out, and what a request's line holds."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.log import DELAY, Lines, LinesHandler
from gateway.tests.auth import AuthStandIn
from gateway.tests.conftest import Keys, settings
from gateway.tests.process import GatewayProcess, running_gateway
from gateway.tests.upstream import RecordingUpstream

RUN = "/api/mlflow/api/2.0/mlflow/runs/get"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


async def test_lines_are_written_together_and_in_order() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    for number in range(3):
        lines.write(1763725508.25, "info", f'line "{number}"', {"number": number})
    assert stream.getvalue() == ""
    await asyncio.sleep(DELAY * 2)

    written = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["number"] for line in written] == [0, 1, 2]
    first = {"time": "2025-11-21T11:45:08.250+00:00", "level": "info", "message": 'line "0"', "number": 0}
    assert written[0] == first


async def test_a_warning_does_not_wait_and_takes_what_was_before_it_along() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.write(0.0, "info", "before", {})
    handler = LinesHandler(lines)
    handler.handle(logging.makeLogRecord({"msg": "now", "levelno": logging.WARNING, "levelname": "WARNING"}))

    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["before", "now"]


def test_without_a_loop_nothing_waits() -> None:
    stream = io.StringIO()
    Lines(stream).write(0.0, "info", "alone", {})

    assert json.loads(stream.getvalue())["message"] == "alone"


def test_no_line_is_lost_at_sigterm(auth: AuthStandIn, upstream: RecordingUpstream, keys: Keys) -> None:
    with running_gateway(**settings(auth, upstream.url)) as gateway:
        key = keys()
        with ThreadPoolExecutor(4) as pool:
            ids = [f"line-{number}" for number in range(200)]
            answers = list(pool.map(lambda name: gateway.ask("GET", RUN, key | {"X-Request-Id": name}), ids))
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(10) == 0
        logged = {gateway.access(name)["request_id"] for name in ids}

    assert (len(answers), logged) == (200, set(ids))
    assert '"stopped"' in gateway.lines[-1]


def test_a_requests_line_tells_bytes_both_ways_tries_and_trace(rested_gateway: GatewayProcess, keys: Keys) -> None:
    headers = keys(key_id='key-"1"\\') | {"X-Behave": "flaky", "X-Request-Id": "both-ways", "traceparent": PARENT}
    answer = rested_gateway.ask("GET", RUN, headers, b"hello")

    line = rested_gateway.access("both-ways")
    assert (line["bytes_in"], line["bytes_out"], line["tries"]) == (5, len(answer.body), 2)
    assert (line["trace_id"], line["key_id"]) == (TRACE, 'key-"1"\\')


def test_a_line_tells_how_often_mlflow_was_asked_in_vain(rested_gateway: GatewayProcess, keys: Keys) -> None:
    answer = rested_gateway.ask("GET", RUN, keys() | {"X-Behave": "die", "X-Request-Id": "in-vain"})

    line = rested_gateway.access("in-vain")
    assert (answer.status, line["hop"], line["tries"]) == (502, "mlflow", 3)


def test_what_could_not_be_read_as_a_request_is_logged_too(gateway: GatewayProcess) -> None:
    with gateway.connect() as client:
        client.sendall(b"GET / HTTP/3.0\r\n\r\n")
        answer = client.recv(65536)

    request_id = json.loads(answer.partition(b"\r\n\r\n")[2])["request_id"]
    line = gateway.access(request_id)
    assert (line["method"], line["family"], line["status"], line["emitter"]) == ("-", "refused", 400, "gateway")
    assert line["reason"].startswith("The request line is not")


@pytest.mark.parametrize("parent", [PARENT, f"01-{TRACE}-00f067aa0ba902b7-00-more"])
def test_a_trace_goes_on_as_it_came(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, parent: str
) -> None:
    state = [("tracestate", "a=1"), ("tracestate", "b=2")]
    gateway.ask("GET", RUN, [*keys().items(), ("traceparent", parent), *state])

    assert upstream.last.values("traceparent") == [parent]
    assert upstream.last.values("tracestate") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    "parents",
    [
        [],
        [PARENT, PARENT],
        ["hello"],
        [PARENT.upper()],
        [PARENT + "-more"],
        [PARENT.replace("00-", "ff-", 1)],
        [PARENT.replace(TRACE, "0" * 32)],
        [PARENT.replace("00f067aa0ba902b7", "0" * 16)],
        [PARENT[:-1]],
    ],
)
def test_what_is_no_trace_ends_here(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, parents: list[str]
) -> None:
    sent = [("traceparent", parent) for parent in parents]
    gateway.ask("GET", RUN, [*keys().items(), *sent, ("tracestate", "a=1"), ("X-Request-Id", "no-trace")])

    assert upstream.last.values("traceparent") == upstream.last.values("tracestate") == []
    assert "trace_id" not in gateway.access("no-trace")
