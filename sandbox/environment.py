"""The sandbox's state directory and the environment that its users need."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sandbox.platform.description import API_IMAGE

HOME_VARIABLE = "HOKUSAI_SANDBOX_HOME"
OWN_AGENT = "sandbox-faults"
"""In the user agent of AWS calls that are the sandbox's own, to break or heal something."""
NOT_PROXIED = "127.0.0.1,localhost"
SHELL_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
TRACKING_URI = "https://registry.hokus.ai/api/mlflow"


@dataclass(frozen=True)
class Home:
    """Where everything of one sandbox is kept."""

    path: Path

    @property
    def environment(self) -> Path:
        """Written last: it exists when the sandbox is ready."""
        return self.path / "env.json"

    @property
    def key(self) -> Path:
        """The platform key by itself, for Ansible: what it is to set in an environment stands on command lines."""
        return self.path / "api-key"

    @property
    def credentials(self) -> Path:
        """Those for AWS, in the form of AWS's own shared file, for Ansible too."""
        return self.path / "aws-credentials"

    @property
    def pid(self) -> Path:
        return self.path / "daemon.pid"

    @property
    def marker(self) -> Path:
        """Says that the directory is a sandbox's, to be emptied at will; never deleted.

        Locked by the daemon for as long as it lives. Its content is the owner: the mark in the environment of every
        process of this sandbox; empty when there is none.
        """
        return self.path / ".hokusai-sandbox"

    @property
    def faults(self) -> Path:
        """What `break` has broken, and the way back."""
        return self.path / "faults.json"

    @property
    def trust(self) -> Path:
        return self.path / "ca.pem"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def data(self) -> Path:
        """Stands for RDS, S3 and the auth service's database: it outlives tasks."""
        return self.path / "data"

    @property
    def tasks(self) -> Path:
        """Working directories of tasks: gone with the sandbox."""
        return self.path / "tasks"


def home() -> Home:
    return Home(Path(os.environ.get(HOME_VARIABLE) or ".sandbox").resolve())


def variables(place: Home, endpoint: str, proxy: str, api_key: str, admin_key: str) -> dict[str, str]:
    """All that an unmodified client needs to take the sandbox for AWS and the internet."""
    trust = str(place.trust)
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy,
        "http_proxy": proxy,
        "https_proxy": proxy,
        "NO_PROXY": NOT_PROXIED,
        "no_proxy": NOT_PROXIED,
        "SSL_CERT_FILE": trust,
        "REQUESTS_CA_BUNDLE": trust,
        "CURL_CA_BUNDLE": trust,
        "HOKUSAI_API_KEY": api_key,
        "HOKUSAI_AUTH_ADMIN_KEY": admin_key,
        "MLFLOW_TRACKING_URI": TRACKING_URI,
        "MLFLOW_TRACKING_TOKEN": api_key,
        "HOKUSAI_API_IMAGE": API_IMAGE,
        HOME_VARIABLE: str(place.path),
    }


def write(place: Home, values: dict[str, str]) -> None:
    """The files of the keys and, last, of the environment: all hold keys, so only their owner may read them."""
    keep(place.key, values["HOKUSAI_API_KEY"] + "\n")
    pair = [f"{name.lower()} = {values[name]}\n" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    keep(place.credentials, "".join(["[default]\n", *pair]))
    keep(place.environment, json.dumps(values, indent=2))


def keep(file: Path, content: str) -> None:
    """Whole or not there at all."""
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(content)
    unfinished.replace(file)


def read(place: Home) -> dict[str, str]:
    """Raises FileNotFoundError when no sandbox is ready here."""
    values: dict[str, str] = json.loads(place.environment.read_text())
    return values


def foreign(name: str) -> bool:
    """The user's own AWS account, proxies, MLflow and trust (an earlier sandbox's, it may be) have no business here."""
    named = name in {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} or name.lower().endswith("_proxy")
    return named or name.startswith(("AWS_", "MLFLOW_", "HOKUSAI_"))


def script(values: dict[str, str], present: Iterable[str]) -> str:
    """Lines for `eval "$(python -m sandbox env)"`; of the variables `present` there, foreign ones are unset.

    One left over (AWS_ENDPOINT_URL_ECS, AWS_PROFILE) would lead a client past the sandbox to the user's own account.
    """
    left_over = sorted(name for name in present if foreign(name) and name not in values and SHELL_NAME.fullmatch(name))
    exports = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join([*(f"unset {name}" for name in left_over), *exports])
