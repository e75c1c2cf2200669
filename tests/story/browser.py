"""Debian's Chromium without a window, driven by the DevTools protocol: enough to look at one page as a user sees it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import os
import shutil
import signal
import socket
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CHROMIUM = shutil.which("chromium")
START_SECONDS = 30.0
PAGE_SECONDS = 40.0
STOP_SECONDS = 5.0
GLANCE_SECONDS = 0.2
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-crash-reporter",
    "--remote-debugging-port=0",
    "--window-size=1400,900",
)


@dataclass(frozen=True)
class Page:
    """What a page came to show: its text, a picture (PNG), and every request's URL with its status or error."""

    text: str
    picture: bytes
    loaded: tuple[tuple[str, str], ...]


class DevTools:
    """Commands and events of one page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._urls: dict[str, str] = {}
        self.loaded: list[tuple[str, str]] = []
        self._reader = asyncio.create_task(self._read())

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        return await self._waiting[number]

    async def _read(self) -> None:
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                waiting = self._waiting.pop(said["id"])
                if "error" in said:
                    waiting.set_exception(RuntimeError(said["error"]["message"]))
                else:
                    waiting.set_result(said["result"])
            else:
                self._note(said["method"], said["params"])

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self._urls[params["requestId"]] = params["request"]["url"]
        elif event == "Network.responseReceived":
            self.loaded.append((params["response"]["url"], str(params["response"]["status"])))
        elif event == "Network.loadingFailed":
            self.loaded.append((self._urls.get(params["requestId"], "?"), params["errorText"]))

    async def text(self) -> str:
        said = await self.call("Runtime.evaluate", expression="document.body ? document.body.innerText : ''")
        return str(said["result"]["value"])


async def look(url: str, expected: str, headers: Mapping[str, str], environment: Mapping[str, str]) -> Page:
    """Open the page and wait until it shows `expected`; after PAGE_SECONDS it is returned as it is."""
    proxy, pin = environment["HTTPS_PROXY"], await asyncio.to_thread(public_key, url, environment)
    async with browser(proxy, pin) as tools:
        await tools.call("Network.enable")
        await tools.call("Network.setExtraHTTPHeaders", headers=dict(headers))
        await tools.call("Page.enable")
        await tools.call("Page.navigate", url=url)
        text, deadline = "", time.monotonic() + PAGE_SECONDS
        while expected not in text and time.monotonic() < deadline:
            await asyncio.sleep(GLANCE_SECONDS)
            text = await tools.text()
        picture = await tools.call("Page.captureScreenshot", format="png")
        return Page(text, base64.b64decode(picture["data"]), tuple(tools.loaded))


def public_key(url: str, environment: Mapping[str, str]) -> str:
    """The hash of the server's public key, once its certificate has proved to be the sandbox's authority's.

    Chromium does not read SSL_CERT_FILE; it is told to trust this key, and no other that its own store does not know.
    """
    proxy, host = urlsplit(environment["HTTPS_PROXY"]), str(urlsplit(url).hostname)
    context = ssl.create_default_context(cafile=environment["SSL_CERT_FILE"])
    with socket.create_connection((str(proxy.hostname), proxy.port or 80), timeout=START_SECONDS) as connection:
        connection.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        while b"\r\n\r\n" not in connection.recv(4096):
            continue
        with context.wrap_socket(connection, server_hostname=host) as secured:
            certificate = secured.getpeercert(binary_form=True)
    assert certificate is not None
    key = x509.load_der_x509_certificate(certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


@contextlib.asynccontextmanager
async def browser(proxy: str, pin: str) -> AsyncIterator[DevTools]:
    with tempfile.TemporaryDirectory(prefix="hokusai-chromium-", ignore_cleanup_errors=True) as profile:
        options = (
            f"--user-data-dir={profile}",
            f"--proxy-server={proxy}",
            f"--ignore-certificate-errors-spki-list={pin}",
        )
        process = await asyncio.create_subprocess_exec(
            str(CHROMIUM),
            *FLAGS,
            *options,
            "about:blank",
            env={"HOME": profile, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            port = await asyncio.to_thread(listening, Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession(trust_env=False) as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    page = next(each for each in await answer.json() if each["type"] == "page")
                async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as opened:
                    yield DevTools(opened)
        finally:
            await end(process)


def listening(file: Path) -> int:
    """Chromium writes its port into its profile once it listens."""
    deadline = time.monotonic() + START_SECONDS
    while not file.exists() or not file.read_text():
        assert time.monotonic() < deadline, "Chromium does not start"
        time.sleep(GLANCE_SECONDS)
    return int(file.read_text().splitlines()[0])


async def end(process: asyncio.subprocess.Process) -> None:
    """The whole group: Chromium is a dozen processes, and the first does not wait for the others."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
