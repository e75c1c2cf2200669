"""A steady stream of requests through the sandbox's load balancers, and what became of each."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections import Counter
from types import TracebackType
from urllib.parse import urlsplit

from tests.harness import Sandbox

HOST = "registry.hokus.ai"
PATHS = ("/health", "/api/health/mlflow")
WORKERS = 5
TIMEOUT_SECONDS = 60.0


class Traffic:
    """`rate` requests a second while the context lasts. `outcomes` counts statuses, and what failed by its name."""

    def __init__(self, sandbox: Sandbox, rate: float = 50.0, paths: tuple[str, ...] = PATHS, host: str = HOST) -> None:
        self._proxy = urlsplit(sandbox.environment["HTTPS_PROXY"])
        self._trust = ssl.create_default_context(cafile=sandbox.environment["SSL_CERT_FILE"])
        self._pause, self._paths, self._host = WORKERS / rate, paths, host
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._workers = [threading.Thread(target=self._work, args=(number,)) for number in range(WORKERS)]
        self.outcomes: Counter[str] = Counter()

    def __enter__(self) -> Traffic:
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for worker in self._workers:
            worker.join()

    @property
    def lost(self) -> dict[str, int]:
        """All that was not answered as a healthy platform answers."""
        return {outcome: count for outcome, count in self.outcomes.items() if outcome != "200"}

    def _work(self, number: int) -> None:
        connection = self._connect()
        due = time.monotonic() + number * self._pause / WORKERS
        for turn in range(number, 10**9):
            if self._over.wait(max(0.0, due - time.monotonic())):
                break
            due = max(due + self._pause, time.monotonic())
            outcome = self._ask(connection, self._paths[turn % len(self._paths)])
            if not outcome.isdigit():
                connection.close()
                connection = self._connect()
            with self._lock:
                self.outcomes[outcome] += 1
        connection.close()

    def _connect(self) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(
            self._proxy.hostname or "", self._proxy.port, timeout=TIMEOUT_SECONDS, context=self._trust
        )
        connection.set_tunnel(self._host, 443)
        return connection

    def _ask(self, connection: http.client.HTTPSConnection, path: str) -> str:
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        return str(response.status)
