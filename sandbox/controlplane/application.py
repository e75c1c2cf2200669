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

from sandbox.controlplane.calls import CallCounter
from sandbox.controlplane.control import PREFIX, ControlEndpoints
from sandbox.controlplane.errors import Response, render_error
from sandbox.controlplane.faults import Fault, Faults
from sandbox.controlplane.request import Call, parse_call

_log = logging.getLogger(__name__)
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class ResponseLostError(ConnectionError):
    """Raised into the server, which takes a ConnectionError for a client gone and closes without an answer."""


class Application:
    """WSGI callable.

    `lock` serialises moto, whose models take none. `on_write` is called under it after every call that may have
    changed something, before the client gets its answer.
    """

    def __init__(
        self,
        lock: threading.RLock,
        calls: CallCounter,
        faults: Faults,
        endpoints: ControlEndpoints,
        on_write: Callable[[], None],
    ) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = lock
        self._calls = calls
        self._faults = faults
        self._endpoints = endpoints
        self._on_write = on_write

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(PREFIX):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            response = self._endpoints.serve(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
        else:
            call = parse_call(environ)
            self._calls.add(call)
            response = self._serve(call, environ)
        headers = [item for item in response.headers if item[0].lower() != "content-length"]
        start_response(
            f"{response.status} {_REASONS.get(response.status, 'Unknown')}",
            [*headers, ("Content-Length", str(len(response.body)))],
        )
        return [response.body]

    def _serve(self, call: Call, environ: dict[str, Any]) -> Response:
        hit = self._faults.take(call)
        for fault in hit:
            time.sleep(fault.delay)
        failing = next((fault for fault in hit if fault.code or fault.after), None)
        if failing:
            return self._fail(failing, call, environ)
        if call.is_read:
            stale = self._faults.stale_answer(call)
            if stale:
                return stale
        response = self._run(call, environ)
        if call.is_read:
            self._faults.remember(call, response)
        for fault in hit:
            if fault.lag:
                self._faults.begin_lag(call, fault.lag)
        return response

    def _fail(self, fault: Fault, call: Call, environ: dict[str, Any]) -> Response:
        if fault.after:
            self._run(call, environ)
        if not fault.code:
            raise ResponseLostError(call.name)
        return render_error(call.protocol, fault.code, fault.message, fault.status)

    def _run(self, call: Call, environ: dict[str, Any]) -> Response:
        with self._lock:
            try:
                body, status, headers = run_wsgi_app(self._moto, environ, buffered=True)
                response = Response(int(status.split()[0]), list(headers), b"".join(body))
            except NotImplementedError as error:
                return _unsupported(call, f"moto does not implement it ({error})")
            except Exception as error:  # noqa: BLE001 - whatever moto raises is a gap to report, not to retry
                _log.warning("moto failed on %s", call.name, exc_info=True)
                return _unsupported(call, f"moto failed on it: {error!r}")
            finally:
                if not call.is_read:
                    self._on_write()
        if response.status >= 400 and b"<!doctype html" in response.body[:40].lower():
            return _unsupported(call, f"moto answered {response.status}")
        return response


def _unsupported(call: Call, why: str) -> Response:
    """A 400, so that no SDK retries what cannot succeed (an HTML 500 would be retried and then misread)."""
    return render_error(call.protocol, "SandboxUnsupported", f"the sandbox cannot answer {call.name}: {why}", 400)
