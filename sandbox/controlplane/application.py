"""The WSGI application round moto: one call at a time, counted, faulted, and answered as AWS would."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import run_wsgi_app

from sandbox.controlplane.authorization.gate import Gate
from sandbox.controlplane.calls import CallCounter
from sandbox.controlplane.clock import CLOCK
from sandbox.controlplane.codes import Code, code_of
from sandbox.controlplane.control import PREFIX, ControlEndpoints
from sandbox.controlplane.errors import Response, render_error
from sandbox.controlplane.faults import Fault, Faults
from sandbox.controlplane.holds import Holds
from sandbox.controlplane.pages import shrink
from sandbox.controlplane.request import Call, parse_call
from sandbox.controlplane.writes import Write, WriteLog

_log = logging.getLogger(__name__)
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class ResponseLostError(ConnectionError):
    """Raised into the server, which takes a ConnectionError for a client gone and closes without an answer."""


class Application:
    """WSGI callable.

    `lock` serialises moto, whose models take none. `on_write` is called under it after every call that may have
    changed something, before the client gets its answer. The sandbox's own calls are neither counted nor faulted, and
    need no permission.
    """

    def __init__(
        self,
        lock: threading.RLock,
        calls: CallCounter,
        writes: WriteLog,
        faults: Faults,
        holds: Holds,
        endpoints: ControlEndpoints,
        gate: Gate,
        on_write: Callable[[], None],
    ) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = lock
        self._calls = calls
        self._writes = writes
        self._faults = faults
        self._holds = holds
        self._endpoints = endpoints
        self._gate = gate
        self._on_write = on_write

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(PREFIX):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            response = self._endpoints.serve(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
        else:
            response = self._answer(parse_call(environ), environ)
        headers = [item for item in response.headers if item[0].lower() not in {"content-length", "date"}]
        start_response(
            f"{response.status} {_REASONS.get(response.status, 'Unknown')}",
            [*headers, ("Content-Length", str(len(response.body)))],
        )
        return [response.body]

    def _answer(self, call: Call, environ: dict[str, Any]) -> Response:
        if call.is_own:
            return self._run(call, environ)[0]
        self._calls.add(call)
        if CLOCK.refuses(environ.get("HTTP_X_AMZ_DATE", "")):
            return self._refuse(call, code_of("skewed", call))
        if "/" in call.credential:
            refused = code_of("malformed", call)
            return self._refuse(call, refused._replace(message=f"{refused.message}, got '{call.credential}'"))
        denied = self._denied(call, environ)
        return self._refuse(call, denied) if denied else self._serve(call, environ)

    def _denied(self, call: Call, environ: dict[str, Any]) -> Code | None:
        """What the gate says; while it is open no call waits for moto's lock a second time."""
        if self._gate.is_open:
            return None
        with self._lock:
            return self._gate.refuses(call, environ)

    def _serve(self, call: Call, environ: dict[str, Any]) -> Response:
        """With every fault that hits the call: answered late, with an error, stale, in small pages, or not at all."""
        hit = self._faults.take(call)
        client = environ.get("werkzeug.socket")
        for fault in hit:
            time.sleep(fault.delay)
            if fault.page:
                call = shrink(call, environ, fault.page)
        if any(fault.hold and not fault.after for fault in hit) and not self._holds.wait(call, client, landed=False):
            raise self._lost(call, None if call.is_read else self._writes.add(call, Response(0), landed=False))
        failing = next((fault for fault in hit if fault.error(call) or fault.loses), None)
        if failing:
            return self._fail(failing, call, environ)
        response, write = self._read(call, environ) if call.is_read else self._write(call, environ, hit)
        if any(fault.hold and fault.after for fault in hit) and not self._holds.wait(call, client, landed=True):
            raise self._lost(call, write)
        return response

    def _read(self, call: Call, environ: dict[str, Any]) -> tuple[Response, None]:
        """As it was before the last write, while the service lags."""
        stale = self._faults.stale_answer(call)
        if stale:
            return stale, None
        response, _ = self._run(call, environ)
        self._faults.remember(call, response)
        return response, None

    def _write(self, call: Call, environ: dict[str, Any], hit: list[Fault]) -> tuple[Response, Write | None]:
        done = self._run(call, environ)
        for fault in hit:
            if fault.lag:
                self._faults.begin_lag(call, fault.lag)
        return done

    def _fail(self, fault: Fault, call: Call, environ: dict[str, Any]) -> Response:
        error = fault.error(call)
        if not fault.loses and error:
            return self._refuse(call, error)
        _, write = self._run(call, environ)
        if error is None:
            raise self._lost(call, write)
        if write:
            write.answered = False
        return render_error(call.protocol, error.code, error.message, error.status)

    def _refuse(self, call: Call, error: Code) -> Response:
        """Answer an error in place of the call, which changes nothing."""
        response = render_error(call.protocol, error.code, error.message, error.status)
        if not call.is_read:
            self._writes.add(call, response, landed=False)
        return response

    def _lost(self, call: Call, write: Write | None) -> ResponseLostError:
        if write:
            write.answered = False
        return ResponseLostError(call.name)

    def _run(self, call: Call, environ: dict[str, Any]) -> tuple[Response, Write | None]:
        """Let the call take effect, and note it if it is a write."""
        with self._lock:
            response = self._ask_moto(call, environ)
            if call.is_read:
                return response, None
            self._on_write()
            return response, None if call.is_own else self._writes.add(call, response, landed=True)

    def _ask_moto(self, call: Call, environ: dict[str, Any]) -> Response:
        try:
            body, status, headers = run_wsgi_app(self._moto, environ, buffered=True)
            response = Response(int(status.split()[0]), list(headers), b"".join(body))
        except NotImplementedError as error:
            return _unsupported(call, f"moto does not implement it ({error})")
        except Exception as error:  # noqa: BLE001 - whatever moto raises is a gap to report, not to retry
            _log.warning("moto failed on %s", call.name, exc_info=True)
            return _unsupported(call, f"moto failed on it: {error!r}")
        if response.status >= 400 and b"<!doctype html" in response.body[:40].lower():
            return _unsupported(call, f"moto answered {response.status}")
        return response


def _unsupported(call: Call, why: str) -> Response:
    """A 400, so that no SDK retries what cannot succeed (an HTML 500 would be retried and then misread)."""
    return render_error(call.protocol, "SandboxUnsupported", f"the sandbox cannot answer {call.name}: {why}", 400)
