"""A client's connection: bytes in, one request at a time, and its end.

Bytes go through the gate of framing.py and then through llhttp, which must see the same request end at the same byte.
The next request of a pipeline is not looked at before the answer to this one is complete, and nothing at all after one
that was refused.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import sys
import termios
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.server import ServerState

from gateway.body import Message
from gateway.errors import BadRequestError, BusyError, ClientStalledError, GatewayError
from gateway.framing import CHUNKED, MAX_HEAD, Chunks, body_length, check_head, check_partial_head, split_fields
from gateway.headers import Headers
from gateway.turn import EXTENSION, Application, Turn

ALWAYS_SERVED = frozenset({b"/health", b"/live", b"/metrics"})
"""Pages that are answered although there are too many connections: a full task is not a sick one."""

_LINGER, _LINGER_IN_ALL = 5.0, 30.0
_MAX_AHEAD = 64 * 1024
_AHEAD_FOR = 0.5
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_RETRY_AFTER = 5.0


@dataclass
class Clients:
    """What the server allows its clients (seconds), and how many there are.

    ``most`` connections are served; as many again get a 503 for whatever they ask, and the rest are dropped.
    """

    keep_alive: float = 75.0
    head_timeout: float = 10.0
    most: int = 4000
    least_rate: int = 1000
    opened: int = 0
    turned_away: int = 0
    date: bytes = b""
    open: set[ClientConnection] = field(default_factory=set)

    @property
    def now_open(self) -> int:
        return len(self.open)


class Settings(uvicorn.Config):
    """uvicorn's, with what its protocols are not told otherwise."""

    def __init__(self, app: Application, clients: Clients, **options: Any) -> None:
        super().__init__(app, http=ClientConnection, **options)
        self.clients = clients


class ClientConnection(asyncio.Protocol):
    """The constructor and ``shutdown`` are what uvicorn's Server expects of a protocol."""

    def __init__(
        self,
        config: Settings,
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002 - uvicorn passes it by name
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._application: Application = config.loaded_app
        self._clients = config.clients
        self._connections: set[Any] = server_state.connections
        self._tasks = server_state.tasks
        self.loop = _loop or asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._turn: Turn | None = None
        self._fields: Headers = []
        self._rest = b""
        self._seen = 0
        self._left = 0
        self._chunks: Chunks | None = None
        self._message_complete = False
        self._deaf = self._crowded = self._reading_paused = False
        self._writable: asyncio.Event | None = None
        self._deadline = math.inf
        self._linger_until = 0.0

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        peer = transport.get_extra_info("peername")
        self._client = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        self._scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        clients = self._clients
        self._connections.add(self)
        clients.open.add(self)
        clients.opened += 1
        self._crowded = len(clients.open) > clients.most
        clients.turned_away += self._crowded
        if len(clients.open) > 2 * clients.most:
            self.abort()
        self._wait_at_most(clients.keep_alive)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._connections.discard(self)
        self._clients.open.discard(self)
        self._deaf = True
        self._rest = b""
        if self._turn is not None:
            self._turn.leave()
        self.resume_writing()

    def eof_received(self) -> bool:
        return False

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            if self._linger_until:
                self._wait_at_most(min(_LINGER, self._linger_until - self.loop.time()))
            return
        self._rest = self._rest + data if self._rest else data
        self._advance()

    def pause_writing(self) -> None:
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    # what the server calls

    def shutdown(self) -> None:
        """Let a request finish; close at once what waits for one."""
        if self._turn is None or self._turn.complete:
            self._transport.close()
        else:
            self._turn.keep_alive = False

    def sweep(self, now: float) -> None:
        """End what has waited long enough."""
        if now < self._deadline:
            return
        if self._reading_paused and self._is_ahead():
            self._refuse(BadRequestError(f"More than {_MAX_AHEAD} bytes came before the answer to this request."))
            self._wait_at_most(_LINGER_IN_ALL)
        elif self._turn is not None or self._deaf:
            self.abort()
        elif self._rest:
            self._refuse(ClientStalledError(f"The request's head did not arrive in {self._clients.head_timeout:g} s."))
        else:
            self._transport.close()

    # what a turn calls

    @property
    def date(self) -> bytes:
        return self._clients.date

    @property
    def choked(self) -> bool:
        return self._writable is not None

    @property
    def unsent(self) -> int:
        """Bytes in this process and in the kernel (tcp(7), SIOCOUTQ) that the client's system has not acknowledged."""
        if self._transport.is_closing():
            return 0
        queued = fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        return self._transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)

    @property
    def least_rate(self) -> int:
        return self._clients.least_rate

    def write(self, *data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.writelines(data)

    async def room_to_write(self) -> None:
        if self._writable is not None:
            await self._writable.wait()

    def pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused and not self._is_ahead() and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        self._deaf = True
        self._transport.abort()

    def answered(self) -> None:
        turn = self._turn
        if turn is None or self._transport.is_closing():
            return
        if not turn.keep_alive:
            self._finish(turn)
        elif turn.more_body:  # read and dropped: many clients send all of it before they look for an answer
            self._wait_at_most(_LINGER_IN_ALL)
            self.resume_reading()
        else:
            self._next()
            self._advance()

    # the parts of a request

    def _advance(self) -> None:
        """Take of the bytes at hand what may be taken now."""
        try:
            while self._rest and not self._deaf and self._take():
                pass
        except BadRequestError as error:
            self._refuse(error)
        if self._is_ahead():
            self.pause_reading()
            self._wait_at_most(_AHEAD_FOR)

    def _is_ahead(self) -> bool:
        """True when too much has come before the answer that is due. It is waited for a moment, and then given up:
        nobody who does not read hears that the client has left."""
        return len(self._rest) > _MAX_AHEAD and self._turn is not None and not self._turn.more_body

    def _take(self) -> bool:
        """False when more bytes, or an answer, must come first."""
        if self._turn is None:
            return self._take_head()
        return self._turn.more_body and self._take_body(self._turn)

    def _take_head(self) -> bool:
        data = self._rest
        end = data.find(b"\r\n\r\n", max(0, self._seen - 3), MAX_HEAD) + 4
        if end < 4:
            check_partial_head(data, self._seen)
            if not self._seen:
                self._wait_at_most(self._clients.head_timeout)
            self._seen = len(data)
            return False
        head, self._rest, self._seen = data[:end], data[end:], 0
        match = check_head(head)
        method, target, minor = match[1].decode(), match[2], int(match[3])
        self._fields = []
        self._message_complete = False
        try:
            self._feed(head)
        except BadRequestError:
            body_length(minor, split_fields(match[4]))  # its words are better than llhttp's
            raise
        length = body_length(minor, self._fields)
        self._begin(method, target, minor)
        self._expect(length)
        return True

    def _begin(self, method: str, target: bytes, minor: int) -> None:
        path, _, query = target.partition(b"?")
        turn = Turn(self, method, minor, self._fields)
        if self._crowded and path not in ALWAYS_SERVED:
            self._deaf = True
            turn.refuse(BusyError("This service has as many connections as it may.", _RETRY_AFTER))
        self._run(turn, path, query, f"1.{minor}")

    def _run(self, turn: Turn, path: bytes, query: bytes, version: str) -> None:
        text = path.decode("ascii")
        scope: Message = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": turn.method,
            "scheme": self._scheme,
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": self._fields,
            "client": self._client,
            "extensions": {EXTENSION: turn},
        }
        self._turn = turn
        self._deadline = math.inf
        task = self.loop.create_task(turn.run(self._application, scope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _expect(self, length: int) -> None:
        self._chunks = Chunks() if length == CHUNKED else None
        self._left = length
        if length == 0:
            self._end(self._turn)

    def _take_body(self, turn: Turn) -> bool:
        data = self._rest
        if self._chunks is not None:
            taken = self._chunks.take(data)
            done = self._chunks.done
        else:
            taken = min(self._left, len(data))
            self._left -= taken
            done = not self._left
        if not taken:
            return False
        self._rest = data[taken:]
        self._feed(data[:taken])
        if done:
            self._end(turn)
        elif self._message_complete:
            raise _disagreement()
        return True

    def _end(self, turn: Turn | None) -> None:
        if turn is None or not self._message_complete:
            raise _disagreement()
        turn.end()
        if turn.complete:
            self._next()

    def _next(self) -> None:
        self._turn = None
        self._wait_at_most(self._clients.head_timeout if self._rest else self._clients.keep_alive)
        self.resume_reading()

    # how it ends

    def _refuse(self, error: GatewayError) -> None:
        """Answer with the error, by way of the application, which logs and counts it; then listen no more."""
        self._deaf = True
        self._rest = b""
        if self._turn is None:
            self._fields = []
            turn = Turn(self, "-", 1, [])
            turn.refuse(error)
            self._run(turn, b"/", b"", "1.1")
        elif self._turn.complete:
            self._finish(self._turn)
        else:
            self._turn.refuse(error)

    def _finish(self, turn: Turn) -> None:
        """Close. While the client may still be sending, read on for a while: a reset would take its answer away."""
        self._deaf = True
        self._wait_at_most(_LINGER_IN_ALL)
        if not turn.more_body and not self._rest:
            self._transport.close()
            return
        self._rest = b""
        self._linger_until = self._deadline
        self.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _wait_at_most(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds

    # what llhttp calls

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise BadRequestError("This service speaks HTTP/1.1 and upgrades to nothing else.") from None
        except httptools.HttpParserError as error:
            raise BadRequestError(f"The request is not valid HTTP/1.1: {error}") from None

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._turn is None:  # else it is a trailer
            self._fields.append((name.lower(), value))

    def on_body(self, data: bytes) -> None:
        if self._turn is not None:
            self._turn.body(data)

    def on_message_complete(self) -> None:
        self._message_complete = True


def _disagreement() -> BadRequestError:
    return BadRequestError("The request's end cannot be told for certain.")
