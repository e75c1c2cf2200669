# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests as a stranger would make them, and what came of each: an answer, or the name of what failed.

Proxy and CA variables of the environment are respected (`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`,
`REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`); `~/.netrc` and cookies are not, they would make two probes differ.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import time
import urllib.error
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

from ansible.module_utils import urls
from ansible_collections.hokusai.platform.plugins.module_utils.credentials import Key
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput

ERRORS = ("resolve", "connect", "tls", "timeout", "http")
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
TELLING_HEADERS = ("server", "content-type", "location", "retry-after", "x-request-id")
LARGEST_BODY = 512 * 1024
CHUNK = 64 * 1024
EXCERPT = 300
UNNAMED = re.compile(r"nxdomain|not resolve|no such host|name or service|unknown host|getaddrinfo", re.IGNORECASE)
EXPIRED = re.compile(r"timed? ?out|tunnel connection failed: 504", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """One request. A `key` is sent as `Authorization: Bearer` and never to where a redirect leads."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    key: Key | None = None


@dataclass(frozen=True)
class Answer:
    """What came of a request: a status, or `error`, one of `ERRORS`, with its detail. `seconds` includes the body.

    Header names are lower case; body and detail are free of keys, and the body ends after `LARGEST_BODY` bytes.
    """

    url: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = field(default="", repr=False)
    error: str = ""
    detail: str = ""
    seconds: float = 0.0

    @property
    def outcome(self) -> str:
        """The status, or the name of the error."""
        return str(self.status) if self.status is not None else self.error

    @property
    def json(self) -> Any:
        """The body as JSON; None when it is not."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def evidence(self) -> dict[str, Any]:
        shown = {name: self.headers[name] for name in TELLING_HEADERS if name in self.headers}
        return {
            "url": self.url,
            "outcome": self.outcome,
            "detail": self.detail,
            "headers": shown,
            "body": self.body[:EXCERPT],
            "ms": round(self.seconds * 1000, 1),
        }


class Prober:
    """Sends requests. `timeout` (seconds) bounds connecting, each wait for data, and the whole of reading the body."""

    def __init__(self, scrub: Callable[[str], str], *, timeout: float, follow_redirects: bool = False) -> None:
        self._scrub = scrub
        self._timeout = timeout
        self._redirects = "all" if follow_redirects else "none"
        self._context = urls.make_context(cafile=ca_file())

    def send(self, request: Request) -> Answer:
        """Never raises for what the network or the server does."""
        started = time.monotonic()
        try:
            with self._open(request) as response:
                status, headers, body = self._read(response, started)
        except (OSError, http.client.HTTPException) as error:
            name, detail = classify(error)
            return Answer(request.url, error=name, detail=self._scrub(detail), seconds=time.monotonic() - started)
        seconds = time.monotonic() - started
        shown = {name.lower(): self._scrub(value) for name, value in headers.items()}
        return Answer(request.url, status, shown, self._scrub(body.decode(errors="replace")), seconds=seconds)

    def send_all(self, requests: Sequence[Request], concurrency: int) -> list[Answer]:
        """The answers in the order of the requests."""
        with ThreadPoolExecutor(max(1, concurrency)) as pool:
            return list(pool.map(self.send, requests))

    def _open(self, request: Request) -> Any:
        headers = dict(request.headers)
        if request.key:
            headers["Authorization"] = f"Bearer {request.key.reveal()}"
        try:
            return urls.Request(context=self._context, use_netrc=False).open(
                request.method,
                request.url,
                data=request.body,
                headers=headers,
                timeout=self._timeout,
                follow_redirects=self._redirects,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                unredirected_headers=["Authorization"],
            )
        except urllib.error.HTTPError as answer:
            return answer

    def _read(self, response: Any, started: float) -> tuple[int, Mapping[str, str], bytes]:
        pieces, size = [], 0
        while size < LARGEST_BODY and (piece := response.read1(CHUNK)):
            pieces.append(piece)
            size += len(piece)
            if time.monotonic() - started > 2 * self._timeout:
                raise TimeoutError("timed out reading the body")
        return response.getcode(), response.headers, b"".join(pieces)


def ca_file() -> str | None:
    """The CA bundle the environment names; `SSL_CERT_FILE` wins. None leaves the choice to OpenSSL."""
    named = (os.environ.get(name, "") for name in CA_VARIABLES)
    return next((name for name in named if name and Path(name).is_file()), None)


def classify(error: BaseException) -> tuple[str, str]:
    """The name of what failed, one of `ERRORS`, and the text of the error. A proxy's refusal to tunnel is `connect`,
    unless the proxy says that it could not resolve the name."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return classify(error.reason)
    text = str(error) or type(error).__name__
    if isinstance(error, socket.gaierror) or UNNAMED.search(text):
        return "resolve", text
    if isinstance(error, TimeoutError) or EXPIRED.search(text):
        return "timeout", text
    if isinstance(error, ssl.SSLError):
        return "tls", text
    if isinstance(error, http.client.HTTPException):
        return "http", text
    return "connect", text


def check_url(url: str, what: str) -> str:
    """The URL, if it can be requested. Raises `BadInput`; user names and passwords in a URL are refused."""
    parts = urls.urlparse(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadInput(f"{what} is not an http or https URL: {url}", "give it as https://host/path")
    if parts.username or parts.password:
        raise BadInput(f"{what} carries a user name or password", "name a key source in the option for credentials")
    return url


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile; 0 of nothing."""
    ranked = sorted(values)
    rank = max(1, -(-len(ranked) * percent // 100))
    return ranked[int(rank) - 1] if ranked else 0.0
