"""An answer's framing, whatever the application says: the last guard behind the client to MLflow, which says less."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import BrokenResponseError, UpstreamError
from gateway.headers import Headers
from gateway.turn import Turn


class FakeLink:
    """Keeps what is written, and how it ended."""

    date = b"date: now\r\n"
    choked = False
    unsent = 0
    least_rate = 1000

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.written = b""
        self.aborted = self.done = False

    def write(self, *data: bytes) -> None:
        self.written += b"".join(data)

    def resume_reading(self) -> None:
        """Nothing to read."""

    def pause_reading(self) -> None:
        """Nothing to read."""

    async def room_to_write(self) -> None:
        """There always is."""

    def abort(self) -> None:
        self.aborted = True

    def answered(self) -> None:
        self.done = True


async def answer(headers: Headers, *parts: bytes, method: str = "GET", minor: int = 1, status: int = 200) -> FakeLink:
    link = FakeLink()
    turn = Turn(link, method, minor, [])
    turn.end()
    await turn.send({"type": "http.response.start", "status": status, "headers": headers})
    await say(turn, parts)
    return link


async def say(turn: Turn, parts: tuple[bytes, ...]) -> None:
    for at, part in enumerate(parts, start=1):
        await turn.send({"type": "http.response.body", "body": part, "more_body": at < len(parts)})


@pytest.mark.parametrize("parts", [(b"hello!",), (b"hell", b"")])
async def test_an_answer_that_has_not_its_length_is_aborted(parts: tuple[bytes, ...]) -> None:
    link = FakeLink()
    turn = Turn(link, "GET", 1, [])
    await turn.send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})

    with pytest.raises(BrokenResponseError):
        await say(turn, parts)

    assert (link.aborted, link.done, b"!" in link.written) == (True, False, False)


@pytest.mark.parametrize(
    "field",
    [
        (b"x-a", b"1\r\nset-cookie: evil=1"),
        (b"x-a", b"1\nset-cookie: evil=1"),
        (b"x-a", b"\0"),
        (b"x a", b"1"),
        (b"", b"1"),
        (b"content-length", b"+5"),
        (b"content-length", b"5, 5"),
    ],
)
async def test_a_header_that_would_become_another_is_a_502_before_anything_is_written(
    field: tuple[bytes, bytes],
) -> None:
    link = FakeLink()
    turn = Turn(link, "GET", 1, [])

    with pytest.raises(UpstreamError):
        await turn.send({"type": "http.response.start", "status": 200, "headers": [field]})
    assert link.written == b""

    await turn.send({"type": "http.response.start", "status": 502, "headers": [(b"content-length", b"0")]})
    await say(turn, (b"",))
    assert link.written.startswith(b"HTTP/1.1 502 ")


async def test_two_lengths_are_a_502() -> None:
    with pytest.raises(UpstreamError):
        await answer([(b"content-length", b"5"), (b"content-length", b"5")])


async def test_framing_is_ours_alone() -> None:
    link = await answer(
        [(b"transfer-encoding", b"gzip"), (b"connection", b"keep-alive"), (b"date", b"then")], b"a", b""
    )

    assert link.written == (b"HTTP/1.1 200 OK\r\ndate: now\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
    assert link.done


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("HEAD", 404)])
async def test_head_gets_a_length_and_no_body(method: str, status: int) -> None:
    link = await answer([(b"content-length", b"5")], b"hello", method=method, status=status)

    assert link.written.endswith(b"content-length: 5\r\n\r\n")
    assert link.done


async def test_a_status_without_a_body_has_none() -> None:
    with pytest.raises(BrokenResponseError):
        await answer([], b"hello", status=204)

    assert (await answer([], b"", status=304)).written.endswith(b"date: now\r\n\r\n")


async def test_a_status_nobody_knows_passes() -> None:
    assert (await answer([], b"", status=299)).written.startswith(b"HTTP/1.1 299 \r\n")


class DrainingLink(FakeLink):
    """Of 1000 bytes its client has taken some more at every look; there is room once it has them all."""

    choked = True

    def __init__(self, taken: int) -> None:
        super().__init__()
        self._taken = taken
        self._left = 1000

    @property
    def unsent(self) -> int:  # type: ignore[override]
        self._left -= self._taken
        return self._left

    async def room_to_write(self) -> None:
        if self._left > 0:
            await asyncio.Event().wait()


@pytest.mark.parametrize(("taken", "aborted"), [(100, False), (10, True)])
async def test_a_client_that_takes_an_answer_too_slowly_is_cut_off(
    taken: int, aborted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes enough of it goes on, though there is no room for more in all that time."""
    monkeypatch.setattr("gateway.turn._STALL", 0.05)
    link = DrainingLink(taken)
    await Turn(link, "GET", 1, []).send({"type": "http.response.start", "status": 200, "headers": []})

    assert link.aborted is aborted
