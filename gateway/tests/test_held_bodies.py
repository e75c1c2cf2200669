"""Bodies that are judged are held: not too many at a time, and none keeps everybody else waiting."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from gateway.errors import BadRequestError
from gateway.graphql_query import check_query
from gateway.inspection import KINDS, MEGABYTE, MOST_HELD, MOST_OF_A_KEY
from gateway.json_body import MAX_PATHS, MAX_VALUES, judge, parse
from gateway.paths import MAX_PATH, MAX_TARGET, check_artifact_target, check_target
from gateway.tests.conftest import Keys
from gateway.tests.process import GatewayProcess
from gateway.tests.upstream import RecordingUpstream

END = "/api/mlflow/api/2.0/mlflow-artifacts/mpu/complete/1/a"
SEARCH = "/api/mlflow/api/2.0/mlflow/experiments/search"
LONGEST_STEP = 0.05
"""Seconds of this process's own time in which nothing else may be served."""

LARGE, SMALL = KINDS["multipart-end"].cap, KINDS["graphql"].cap


def filled(start: str, part: str, end: str, cap: int = LARGE, values: int = MAX_VALUES - 9) -> bytes:
    """JSON of as many parts as fit into ``cap`` bytes and ``values`` commas and brackets."""
    each = part.count(",") + part.count("[") + part.count("{")
    times = min((cap - len(start) - len(end)) // len(part), values // each if each else cap)
    return (start + part * times + end).encode()


WORST = {
    "objects": filled('{"a":[', "{},", "0]}"),
    "lists": filled('{"a":[', "[],", "0]}"),
    "texts": filled('{"a":[', '"",', "0]}"),
    "floats": filled('{"a":[', "1.7976931348623157e308,", "0]}"),
    "paths": filled('{"path":[', '"a/b",', '"c"]}'),
    "a path": filled('{"path":"', "%25", '"}'),
    "paths of all lengths": filled('{"path":[', f'"{"%25" * (MAX_PATH // 3)}",', '"c"]}'),
    "an escaped text": filled('{"a":"', "\\n", '"}'),
    "keys": ("{" + ",".join(f'"{number:06}":0' for number in range(MAX_VALUES - 9)) + "}").encode(),
    "tags": filled('{"tags":[', '{"key":"ä","value":""},', "{}]}"),
    "nested": filled("", '{"a":', "") + b"0" + b"}" * 99,
    "a number": filled('{"a":', "1", ".0}"),
}


async def longest_step(work: Any) -> float:
    """The process's time between two turns of an idle task's beside ``work``, at most."""
    longest, running = 0.0, True

    async def idle() -> None:
        nonlocal longest
        last = time.process_time()
        while running:
            await asyncio.sleep(0)
            now = time.process_time()
            longest, last = max(longest, now - last), now

    task = asyncio.create_task(idle())
    await asyncio.sleep(0)
    with contextlib.suppress(BadRequestError):
        await work
    running = False
    await task
    return longest


@pytest.mark.parametrize("name", WORST)
def test_no_body_keeps_the_others_waiting(name: str) -> None:
    body = WORST[name]

    async def work() -> None:
        await judge(parse(body), KINDS["trace-tags"].rules)

    assert len(body) <= LARGE
    assert min(asyncio.run(longest_step(work())) for _ in range(3)) < LONGEST_STEP


@pytest.mark.parametrize(
    "query",
    [
        "{ " + "a " * 1190 + "}",
        "{ " + "a(b:1) " * 190 + "}",
        "#\n" * 1190 + "{a}",
        "," * (SMALL - 99) + "{a}",
        '{a(b:"""' + "x\n" * (SMALL // 3) + '""")}',
        '{a(b:"' + "\\u0041" * 10_000 + '")}',
        "{" + " ".join(f'a(path:"{"%25" * 1300}")' for _ in range(15)) + "}",
        "{...F0} " + " ".join(f"fragment F{n} on T{{...F{n + 1} ...F{n + 1}}}" for n in range(90)),
    ],
)
def test_no_query_keeps_the_others_waiting(query: str) -> None:
    took = []
    for _ in range(3):
        began = time.process_time()
        with contextlib.suppress(BadRequestError):
            check_query({"query": query})
        took.append(time.process_time() - began)

    assert min(took) < LONGEST_STEP


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/" + "%" * (MAX_TARGET - 9), ""),
        ("/" + "%25" * (MAX_TARGET // 3 - 9), ""),
        ("/" + "%25" * (MAX_PATH - 1), ""),
        ("/x", "a=b&" * (MAX_TARGET // 4 - 9)),
        ("/x", "a=" + "%25" * (MAX_TARGET // 3 - 9)),
        ("/x", "&".join(["a=" + "%25" * 200] * 99)),
    ],
)
def test_no_target_keeps_the_others_waiting(path: str, query: str) -> None:
    took = []
    for _ in range(3):
        began = time.process_time()
        with contextlib.suppress(BadRequestError):
            check_target(path.encode(), query.encode())
            check_artifact_target(path.encode(), query.encode())
        took.append(time.process_time() - began)

    assert min(took) < LONGEST_STEP


@pytest.mark.parametrize(
    "body",
    [
        filled('{"path":[', '"a",', '"c"]}', values=MAX_VALUES + 9),
        filled('{"path":[', '"a",', '"c"]}', values=MAX_PATHS + 9),
        filled('{"path":"', "a", '"}', cap=MAX_PATH + 99),
    ],
)
def test_what_no_client_of_mlflow_sends_is_refused(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, body: bytes
) -> None:
    assert gateway.ask("POST", END, keys(), body).status == 400
    assert upstream.requests == []


def test_an_upload_ends_with_the_urls_of_10000_parts(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys
) -> None:
    part = '{"part_number":1234,"etag":"0123456789abcdef0123456789abcdef","url":"' + quote("x" * 290) + '"}'
    body = ('{"path":"/home/me/a","upload_id":"u","parts":[' + ",".join([part] * 10_000) + "]}").encode()

    assert gateway.ask("POST", END, keys(), body).status == 200
    assert upstream.last.length == len(body)


@contextlib.contextmanager
def uploading(gateway: GatewayProcess, key: dict[str, str], times: int) -> Iterator[list[socket.socket]]:
    """Requests that are held, all but their last byte."""
    size = 4 * MEGABYTE - 9
    head = f"POST {END} HTTP/1.1\r\nHost: x\r\nAuthorization: {key['Authorization']}\r\nContent-Length: {size}\r\n\r\n"
    with contextlib.ExitStack() as opened:
        found = []
        for _ in range(times):
            client = opened.enter_context(gateway.connect(20))
            client.sendall(head.encode() + b"{" + b" " * (size - 2))
            found.append(client)
        yield found


def ends(client: socket.socket) -> bytes:
    client.sendall(b"}")
    return client.recv(12)


def test_a_key_holds_its_share_and_no_more(gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys) -> None:
    key, other = keys(), keys()
    fitting = MOST_OF_A_KEY // (4 * MEGABYTE - 9)
    with uploading(gateway, key, fitting) as held:
        time.sleep(0.5)
        beyond = gateway.ask("POST", END, key, b"{" + b" " * MEGABYTE + b"}")

        assert (beyond.status, beyond.value("retry-after")) == (503, "1")
        assert gateway.ask("POST", END, other, b"{" + b" " * MEGABYTE + b"}").status == 200
        assert gateway.ask("GET", SEARCH, key).status == 200
        assert {ends(client) for client in held} == {b"HTTP/1.1 200"}
    assert gateway.ask("POST", END, key, b"{" + b" " * MEGABYTE + b"}").status == 200


def test_all_keys_together_hold_no_more_than_the_task_can_bear(gateway: GatewayProcess, keys: Keys) -> None:
    many = [keys() for _ in range(MOST_HELD // MOST_OF_A_KEY)]
    with contextlib.ExitStack() as opened:
        for key in many:
            opened.enter_context(uploading(gateway, key, MOST_OF_A_KEY // (4 * MEGABYTE - 9)))
        time.sleep(0.5)

        assert gateway.ask("POST", END, keys(), b"{" + b" " * MEGABYTE + b"}").status == 503
    deadline = time.monotonic() + 5
    while gateway.ask("POST", END, many[0], b"{" + b" " * MEGABYTE + b"}").status != 200:
        assert time.monotonic() < deadline
