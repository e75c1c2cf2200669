"""The gateway's configuration: read once from the environment, checked, and never changed."""

from __future__ import annotations

import dataclasses
import difflib
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from gateway.errors import ConfigError
from gateway.routes import Rule, parse_extra, parse_families
from gateway.static_prefix import parse_prefix
from gateway.timeouts import check_order

Value = TypeVar("Value")

MAX_AUTH_CACHE_TTL = 60.0
"""Seconds within which a revoked key must be refused."""

OURS = "GATEWAY_"
"""Variables of this prefix are read here and nowhere else, so that one that nobody reads is a mistake."""

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?|[0-9A-Fa-f:.]+")
"""A name, an IPv4 address, or (without its brackets) an IPv6 address."""

_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*")


@dataclass(frozen=True)
class SocksProxy:
    """Where every outbound connection goes through; it resolves the names too."""

    host: str
    port: int
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)

    def __str__(self) -> str:
        user = f"{self.username}:***@" if self.username else ""
        return f"socks5h://{user}{self.host}:{self.port}"


@dataclass(frozen=True)
class Config:
    """Times are seconds; urls have no trailing slash. README.md has the table of variables."""

    mlflow_url: str
    auth_url: str
    service_id: str = "platform"
    host: str = "0.0.0.0"  # noqa: S104 - a task listens on its only interface
    port: int = 8001
    proxy_timeout: float = 55.0
    connect_timeout: float = 5.0
    max_connections: int = 1024
    auth_timeout: float = 5.0
    auth_cache_ttl: float = 30.0
    auth_refusal_ttl: float = 5.0
    breaker_failures: int = 5
    breaker_recovery: float = 60.0
    breaker_attempts: int = 5
    keep_alive: float = 75.0
    drain_timeout: float = 20.0
    trusted_proxies: int = 1
    serve_artifacts: bool = True
    local_artifacts: bool = False
    debug: bool = False
    outbound_proxy: SocksProxy | None = None
    auth_breaker_failures: int = 5
    auth_breaker_recovery: float = 5.0
    mlflow_ca: str = ""
    mlflow_certificate: str = ""
    mlflow_credential: str = dataclasses.field(default="", repr=False)
    alb_idle_timeout: float = 60.0
    stop_timeout: float = 30.0
    head_timeout: float = 10.0
    max_clients: int = 4000
    enabled_families: frozenset[str] = frozenset()
    extra_routes: tuple[Rule, ...] = ()
    static_prefix: str = ""
    total_timeout: float = 300.0
    min_rate: int = 1000
    key_connections: int = 512

    def describe(self) -> dict[str, object]:
        """Every setting, fit to be printed: the proxy hides its password, and of MLflow's credential only the scheme
        is shown."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["outbound_proxy"] = str(self.outbound_proxy) if self.outbound_proxy else None
        values["mlflow_credential"] = self.mlflow_credential.partition(" ")[0] or None
        values["enabled_families"] = sorted(self.enabled_families)
        values["extra_routes"] = [f"{rule.method} {rule.template} {rule.route.scope}" for rule in self.extra_routes]
        return values


class Environment:
    """Typed reads of environment variables; a bad value names its variable and is not repeated (it may be secret)."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._read: set[str] = set()

    def refuse_unread(self) -> None:
        """Raises ConfigError for a variable of ours that nothing has asked for by now."""
        for name in sorted(self._variables):
            if name.startswith(OURS) and name not in self._read:
                near = difflib.get_close_matches(name, self._read, 1, 0)
                raise ConfigError(f"{name} is not known here; the nearest name that is: {near[0]}")

    def text(self, *names: str) -> tuple[str, str]:
        """The first of ``names`` that is set and not empty, with its value; else the first name and ``""``."""
        self._read.update(names)
        for name in names:
            if value := self._variables.get(name, "").strip():
                return name, value
        return names[0], ""

    def number(self, name: str, default: float, low: float, high: float) -> float:
        _, value = self.text(name)
        try:
            number = float(value) if value else default
        except ValueError:
            raise ConfigError(f"{name} is not a number") from None
        if not low <= number <= high:
            raise ConfigError(f"{name} is not between {low:g} and {high:g}")
        return number

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        _, value = self.text(name)
        if value and not (value.isascii() and value.isdigit()):
            raise ConfigError(f"{name} is not a whole number")
        return int(self.number(name, default, low, high))

    def flag(self, name: str, default: bool) -> bool:
        _, value = self.text(name)
        if not value:
            return default
        if value.lower() in {"1", "true", "yes", "on"}:
            return True
        if value.lower() in {"0", "false", "no", "off"}:
            return False
        raise ConfigError(f"{name} is neither true nor false")

    def parsed(self, name: str, parse: Callable[[str], Value]) -> Value:
        """What ``parse`` makes of the value; its ValueError goes on after the variable's name."""
        try:
            return parse(self.text(name)[1])
        except ValueError as error:
            raise ConfigError(f"{name} {error}") from None

    def url(self, *names: str, path: bool) -> str:
        """An http(s) URL without credentials, query or (unless ``path``) path."""
        name, value = self.text(*names)
        if not value:
            raise ConfigError(f"{name} is not set")
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"{name} is not an http:// or https:// URL")
        _port(name, parts.netloc)
        if parts.username is not None or parts.query or parts.fragment:
            raise ConfigError(f"{name} must not carry credentials, a query or a fragment")
        if not _HOST.fullmatch(parts.hostname):
            raise ConfigError(f"{name} has a host that is neither a name nor an address")
        if not _PATH.fullmatch(parts.path):
            raise ConfigError(f"{name} has a path with characters that must be encoded")
        if parts.path.strip("/") and not path:
            raise ConfigError(f"{name} must not carry a path: MLflow's routes are appended to its root")
        return value.rstrip("/")

    def credential(self) -> str:
        """The ``Authorization`` this service presents to MLflow, from the variables of MLflow's own client."""
        _, token = self.text("MLFLOW_TRACKING_TOKEN")
        _, user = self.text("MLFLOW_TRACKING_USERNAME")
        _, password = self.text("MLFLOW_TRACKING_PASSWORD")
        if token and user:
            raise ConfigError("MLFLOW_TRACKING_TOKEN and MLFLOW_TRACKING_USERNAME are both set; MLflow takes one")
        if bool(user) != bool(password):
            raise ConfigError("MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD must be set together")
        if user:
            return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        if not token:
            return ""
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigError("MLFLOW_TRACKING_TOKEN is not a token")
        return f"Bearer {token}"

    def socks_proxy(self, *names: str) -> SocksProxy | None:
        name, value = self.text(*names)
        if not value:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"socks5", "socks5h"} or not parts.hostname:
            raise ConfigError(f"{name} is not a socks5h:// URL")
        port = _port(name, parts.netloc) or 1080
        return SocksProxy(parts.hostname, port, unquote(parts.username or ""), unquote(parts.password or ""))


def _port(name: str, netloc: str) -> int | None:
    try:
        return urlsplit(f"//{netloc}").port
    except ValueError:
        raise ConfigError(f"{name} has a port that is not a number below 65536") from None


def load(variables: Mapping[str, str]) -> Config:
    """Read the configuration. Raises ConfigError."""
    env = Environment(variables)
    most = env.integer("GATEWAY_MAX_CONNECTIONS", Config.max_connections, 1, 10_000)
    config = Config(
        mlflow_url=env.url("MLFLOW_SERVER_URL", "MLFLOW_TRACKING_URI", path=False),
        auth_url=env.url("HOKUSAI_AUTH_SERVICE_URL", "AUTH_SERVICE_URL", path=True),
        service_id=env.text("AUTH_SERVICE_ID")[1] or Config.service_id,
        host=env.text("GATEWAY_HOST")[1] or Config.host,
        port=env.integer("GATEWAY_PORT", Config.port, 0, 65535),
        proxy_timeout=env.number("MLFLOW_PROXY_TIMEOUT", Config.proxy_timeout, 0.1, 3600),
        connect_timeout=env.number("GATEWAY_CONNECT_TIMEOUT", Config.connect_timeout, 0.1, 60),
        max_connections=most,
        key_connections=env.integer("GATEWAY_KEY_CONNECTIONS", max(1, most // 2), 1, most),
        auth_timeout=env.number("GATEWAY_AUTH_TIMEOUT", Config.auth_timeout, 0.1, 60),
        auth_cache_ttl=env.number("GATEWAY_AUTH_CACHE_TTL", Config.auth_cache_ttl, 0, MAX_AUTH_CACHE_TTL),
        auth_refusal_ttl=env.number("GATEWAY_AUTH_REFUSAL_TTL", Config.auth_refusal_ttl, 0, MAX_AUTH_CACHE_TTL),
        breaker_failures=env.integer("MLFLOW_CB_FAILURE_THRESHOLD", Config.breaker_failures, 1, 10_000),
        breaker_recovery=env.number("MLFLOW_CB_RECOVERY_TIMEOUT", Config.breaker_recovery, 0.1, 3600),
        breaker_attempts=env.integer("MLFLOW_CB_MAX_RECOVERY_ATTEMPTS", Config.breaker_attempts, 1, 10_000),
        keep_alive=env.number("GATEWAY_KEEP_ALIVE", Config.keep_alive, 1, 3600),
        drain_timeout=env.number("GATEWAY_DRAIN_TIMEOUT", Config.drain_timeout, 0, 600),
        trusted_proxies=env.integer("GATEWAY_TRUSTED_PROXIES", Config.trusted_proxies, 0, 10),
        serve_artifacts=env.flag("MLFLOW_SERVE_ARTIFACTS", Config.serve_artifacts),
        local_artifacts=env.flag("GATEWAY_LOCAL_ARTIFACTS", Config.local_artifacts),
        debug=env.flag("MLFLOW_PROXY_DEBUG", Config.debug),
        outbound_proxy=env.socks_proxy("ALL_PROXY", "all_proxy"),
        auth_breaker_failures=env.integer("GATEWAY_AUTH_CB_FAILURE_THRESHOLD", Config.auth_breaker_failures, 1, 10_000),
        auth_breaker_recovery=env.number("GATEWAY_AUTH_CB_RECOVERY_TIMEOUT", Config.auth_breaker_recovery, 0.1, 3600),
        mlflow_ca=env.text("MLFLOW_TRACKING_SERVER_CERT_PATH")[1],
        mlflow_certificate=env.text("MLFLOW_TRACKING_CLIENT_CERT_PATH")[1],
        mlflow_credential=env.credential(),
        alb_idle_timeout=env.number("GATEWAY_ALB_IDLE_TIMEOUT", Config.alb_idle_timeout, 1, 4000),
        stop_timeout=env.number("GATEWAY_STOP_TIMEOUT", Config.stop_timeout, 1, 600),
        head_timeout=env.number("GATEWAY_HEAD_TIMEOUT", Config.head_timeout, 0.1, 60),
        max_clients=env.integer("GATEWAY_MAX_CLIENTS", Config.max_clients, 1, 100_000),
        enabled_families=env.parsed("GATEWAY_ENABLED_FAMILIES", parse_families),
        extra_routes=env.parsed("GATEWAY_EXTRA_ROUTES", parse_extra),
        static_prefix=env.parsed("MLFLOW_STATIC_PREFIX", parse_prefix),
        total_timeout=env.number("GATEWAY_TOTAL_TIMEOUT", Config.total_timeout, 0.1, 86_400),
        min_rate=env.integer("GATEWAY_MIN_RATE", Config.min_rate, 0, 1_000_000),
    )
    env.refuse_unread()
    check_order(config)
    return config
