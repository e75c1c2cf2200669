# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the verification scripts share: requests along the path, the hop behind an answer, the report, the exit code.

Exit codes: 0 passed, 1 failed, 2 could not run. The API key is read from HOKUSAI_API_KEY or a file, never from an
argument, which any user of the machine could read; and whatever is printed is freed of it first.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import string
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

try:
    import requests
except ImportError:
    MISSING = "could not run: the package requests is missing. Remedy: python -m pip install requests"
    REPORT = {"script": Path(sys.argv[0]).name, "passed": False, "checks": [], "diagnosis": MISSING}
    sys.stdout.write((json.dumps(REPORT) if "--json" in sys.argv else MISSING) + "\n")
    raise SystemExit(2) from None

PASSED, FAILED, COULD_NOT_RUN = 0, 1, 2
KEY_VARIABLE = "HOKUSAI_API_KEY"
KEY_FORM = re.compile(r"hk_(live|test|dev)_[A-Za-z0-9]{32}")
KEY_TRACE = re.compile(r"hk_(?:live|test|dev)_[A-Za-z0-9]+")
MASK = "********"
SEARCH = "/api/2.0/mlflow/experiments/search"
LARGEST_BODY = 512 * 1024
KEY_HEADERS: dict[str, Callable[[str], dict[str, str]]] = {
    "Bearer": lambda key: {"Authorization": f"Bearer {key}"},
    "bearer": lambda key: {"Authorization": f"bearer {key}"},
    "ApiKey": lambda key: {"Authorization": f"ApiKey {key}"},
    "X-API-Key": lambda key: {"X-API-Key": key},
}


class CannotRunError(Exception):
    """The script cannot say whether the platform works; the message holds the remedy."""


@dataclass(frozen=True)
class Check:
    """A line of the report. `hop` is the part of the path that decided: dns, tls, alb, api, auth or mlflow."""

    name: str
    passed: bool
    hop: str
    detail: str


@dataclass(frozen=True)
class Answer:
    """A status, or the name of what failed: resolve, connect, tls, timeout or http. Header names are lower case."""

    url: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    error: str = ""
    seconds: float = 0.0

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def message(self) -> str:
        """The words of a JSON error: MLflow's and the API's `message`, a health page's `reason`, others' `detail`."""
        body = self.json if isinstance(self.json, dict) else {}
        return str(body.get("message") or body.get("reason") or body.get("detail") or "")[:300]

    @property
    def emitter(self) -> str:
        """Who wrote the answer: the ALB signs itself, the API writes MLflow's JSON errors with a request id."""
        fields = self.json.keys() if isinstance(self.json, dict) else set()
        if self.headers.get("server", "").startswith("awselb/"):
            return "alb"
        if {"error_code", "request_id"} <= fields or {"hop", "upstream"} <= fields:
            return "api"
        if self.status == 403 and "invalid host" in self.body.lower():
            return "mlflow"
        if self.status == 404 and "<html" in self.body.lower():
            return "mlflow"
        if "detail" in fields:
            return "old api"
        return "unsigned"


class Client:
    """Requests without cookies, redirects and `~/.netrc`; proxy and CA variables of the environment are respected."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self.answers: list[Answer] = []

    def get(self, url: str, key: str = "") -> Answer:
        return self._send("GET", url, KEY_HEADERS["Bearer"](key) if key else {})

    def search(self, base: str, headers: dict[str, str] | None = None) -> Answer:
        """Search experiments below a tracking URI."""
        return self._send("POST", base + SEARCH, headers or {}, {"max_results": 1})

    def validate(self, auth: str, key: str, service: str) -> Answer:
        """Ask the auth service about the key itself, as the API does."""
        return self._send("POST", f"{auth}/api/v1/keys/validate", KEY_HEADERS["Bearer"](key), {"service_id": service})

    def _send(self, method: str, url: str, headers: dict[str, str], body: object = None) -> Answer:
        self.answers.append(self._ask(method, url, headers, body))
        return self.answers[-1]

    def _ask(self, method: str, url: str, headers: dict[str, str], body: object) -> Answer:
        started = time.monotonic()
        try:
            # An `auth` that does nothing keeps requests from putting a ~/.netrc entry over our Authorization.
            with requests.request(
                method,
                url,
                json=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
                auth=lambda prepared: prepared,
            ) as response:
                text = response.raw.read(LARGEST_BODY, decode_content=True).decode(errors="replace")
                kept = {name.lower(): value for name, value in response.headers.items()}
                return Answer(url, response.status_code, kept, text, seconds=time.monotonic() - started)
        except (requests.RequestException, OSError) as error:
            return Answer(url, error=classify(error), seconds=time.monotonic() - started)


def classify(error: Exception) -> str:
    """The name of what failed. The texts are urllib3's, and those of a proxy that could not resolve the name."""
    text = str(error).lower()
    if re.search(r"nameresolution|failed to resolve|not resolve|nxdomain|no such host|unknown host", text):
        return "resolve"
    if isinstance(error, requests.exceptions.SSLError) or "certificate verify" in text:
        return "tls"
    if isinstance(error, (requests.exceptions.Timeout, TimeoutError)) or "timed out" in text:
        return "timeout"
    if isinstance(error, requests.exceptions.ConnectionError) and "connection aborted" not in text:
        return "connect"
    return "http"


def diagnose(answer: Answer) -> tuple[str, str]:
    """The hop an answer that was not wanted points at, and what is wrong there."""
    parts = urlsplit(answer.url)
    if answer.error:
        hop, text = UNANSWERED[answer.error]
        return hop, text.format(host=parts.hostname, seconds=f"{answer.seconds:.0f}")
    if answer.emitter == "alb":
        return "alb", f"ALB answered {answer.status} itself (Server: {answer.headers['server']}): " + ALB_SAYS.get(
            answer.status, "not an answer of the platform"
        ).format(path=parts.path, host=parts.hostname, location=answer.headers.get("location", ""))
    if answer.emitter == "mlflow":
        return MLFLOW_SAYS[answer.status]
    if answer.emitter == "api":
        return api_says(answer)
    if answer.emitter == "old api":
        return (
            "api",
            f"the API answered {answer.status} ({answer.message}), not in the gateway's shape: an old program runs",
        )
    return "api", f"{parts.hostname}{parts.path} answered {answer.status}, which is not what a working platform answers"


def api_says(answer: Answer) -> tuple[str, str]:
    """What an error of the gateway means; its message names the cause."""
    hop, text = API_SAYS.get(answer.status, ("api", "it cannot serve this request"))
    if answer.status == 503 and "auth service" in answer.message.lower():
        hop, text = "auth", "the auth service cannot answer"
    elif answer.status == 503 and "upstream" in answer.json:
        text = f"MLflow unreachable at {answer.json['upstream']}"
    return hop, f"gateway {answer.status}: {text}: {answer.message or 'no message'}"


UNANSWERED = {
    "resolve": ("dns", "{host} does not resolve: its Route 53 record is missing, or the resolver is wrong"),
    "connect": ("alb", "no connection to {host}: no listener, a security group, or a name the proxy does not know"),
    "tls": (
        "tls",
        "the TLS handshake with {host} failed: no certificate of the listener covers it, or SSL_CERT_FILE lacks its CA",
    ),
    "timeout": ("alb", "{host} did not answer within {seconds} s: packets are dropped, or the target is too slow"),
    "http": ("alb", "{host} closed the connection or answered something that is not HTTP"),
}
ALB_SAYS = {
    301: "a redirect to {location}",
    302: "a redirect to {location}",
    403: "the web application firewall refused the request",
    404: "no listener rule matches {host}{path}, and the default action is a fixed response",
    502: "the target refused or closed the connection, or no healthy target runs",
    503: "no registered targets: the ECS service runs no task in this target group",
    504: "the target did not accept the connection or answer in time: security group, or slower than the idle timeout",
}
MLFLOW_SAYS = {
    403: (
        "mlflow",
        "MLflow refuses the Host it is called by: MLFLOW_SERVER_ALLOWED_HOSTS lacks the API's name for it, with port",
    ),
    404: (
        "alb",
        "MLflow's HTML 404 came instead of the API's answer: the listener rule forwards /api/mlflow straight to MLflow",
    ),
}
API_SAYS = {
    401: ("auth", "the key is missing or refused"),
    402: ("auth", "the key's account has not enough balance"),
    403: ("auth", "the key lacks a scope"),
    404: ("api", "the API does not serve this path"),
    429: ("auth", "the key is over its rate limit"),
    502: ("mlflow", "MLflow unreachable"),
    503: ("mlflow", "the circuit breaker to MLflow is open"),
    504: ("mlflow", "MLflow did not answer in time"),
}


def expect(name: str, hop: str, answer: Answer, passed: bool, otherwise: str = "") -> Check:
    """A check of an answer; `otherwise` replaces the general diagnosis where the check knows better."""
    if passed:
        return Check(name, True, hop, f"{answer.status} in {answer.seconds * 1000:.0f} ms")
    where, text = diagnose(answer)
    return Check(name, False, where if not otherwise else hop, otherwise or text)


def lists_experiments(answer: Answer) -> bool:
    body = answer.json
    return answer.status == 200 and isinstance(body, dict) and isinstance(body.get("experiments"), list)


def refuses_as_api(answer: Answer) -> bool:
    return answer.status == 401 and answer.emitter == "api"


def expect_refusal(name: str, answer: Answer) -> Check:
    """The API's own 401; a 200 means that nobody checked the key."""
    bypassed = "answered 200 without a good key: authentication is bypassed, the request did not go through the API"
    return expect(name, "auth", answer, refuses_as_api(answer), bypassed if answer.status == 200 else "")


def refused_key() -> str:
    """A key of the right form that nobody was given."""
    return "hk_test_" + "".join(secrets.choice(string.ascii_letters + string.digits) for _position in range(32))


def read_key(file: str | None) -> str:
    """The key, from the file if one is named. Raises `CannotRunError`, which never holds what was read."""
    where = f"the file {file}" if file else f"the environment variable {KEY_VARIABLE}"
    try:
        text = Path(file).read_text(encoding="utf-8").strip() if file else os.environ.get(KEY_VARIABLE, "").strip()
    except (OSError, UnicodeDecodeError):
        raise CannotRunError(f"{where} cannot be read. Remedy: check path and permissions") from None
    if not text:
        raise CannotRunError(f"{where} holds no key. Remedy: export {KEY_VARIABLE}, or pass --api-key-file")
    if not KEY_FORM.fullmatch(text):
        raise CannotRunError(
            f"what {where} holds is not a platform key. "
            "Remedy: give hk_live_, hk_test_ or hk_dev_ and 32 letters or digits"
        )
    return text


def scrub(text: str, key: str = "") -> str:
    """The text without the key, any six characters in a row of it, and anything that looks like a key."""
    text = KEY_TRACE.sub(MASK, text)
    parts = {key[start : start + 6] for start in range(8, len(key) - 5)}
    for part in sorted(parts):
        text = text.replace(part, MASK)
    return text


def parser(script: str, description: str) -> argparse.ArgumentParser:
    """The options every script has. Defaults come from the environment, so that a role and a person say it once."""
    made = argparse.ArgumentParser(
        prog=script,
        description=description,
        epilog=f"The API key is read from {KEY_VARIABLE} or --api-key-file. Exit: 0 passed, 1 failed, 2 could not run.",
    )
    for name in ("registry", "api", "auth"):
        variable, default = f"HOKUSAI_{name.upper()}_URL", f"https://{name}.hokus.ai"
        value = os.environ.get(variable) or default
        made.add_argument(f"--{name}-url", type=url, default=value, help=f"default: {variable}, or {default}")
    made.add_argument("--api-key-file", metavar="FILE", help=f"file that holds the key; default: {KEY_VARIABLE}")
    made.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="for each answer; default: 10")
    made.add_argument("--json", action="store_true", help="print the report as one JSON object")
    return made


def url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise argparse.ArgumentTypeError("expected https://host")
    return text.rstrip("/")


Checks = Callable[[argparse.Namespace, str], Iterable[Check]]


def main(options: argparse.Namespace, script: str, checks: Checks, *, needs_key: bool) -> int:
    """Run the checks, print the report, and return the exit code."""
    key = ""
    try:
        key = read_key(options.api_key_file) if needs_key else ""
        done = list(checks(options, key))
    except CannotRunError as error:
        report: dict[str, Any] = {"passed": False, "checks": [], "diagnosis": f"could not run: {error}"}
        code = COULD_NOT_RUN
    else:
        passed = bool(done) and all(check.passed for check in done)
        report = {"passed": passed, "checks": [vars(check) for check in done], "diagnosis": summary(done)}
        code = PASSED if passed else FAILED
    text = json.dumps({"script": script, **report}, indent=2) if options.json else as_text(script, report)
    sys.stdout.write(scrub(text, key) + "\n")
    return code


def summary(checks: Sequence[Check]) -> str:
    """The first failure on the path is the diagnosis; the others may be its consequences."""
    failed = [check for check in checks if not check.passed]
    if not failed:
        return f"all {len(checks)} checks passed"
    others = f" (also failing: {', '.join(check.name for check in failed[1:])})" if failed[1:] else ""
    return f"{failed[0].hop}: {failed[0].detail}{others}"


def as_text(script: str, report: dict[str, Any]) -> str:
    lines = [
        f"{'PASS' if check['passed'] else 'FAIL'}  {check['name']:<28} {check['hop']:<7} {check['detail']}"
        for check in report["checks"]
    ]
    return "\n".join([*lines, f"{script}: {'PASSED' if report['passed'] else 'NOT PASSED'}: {report['diagnosis']}"])
