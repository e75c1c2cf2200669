# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The key of a run's MACs: a master secret from one of four places, and from it one key for each run.

A KMS key never leaves AWS: the run's key is the MAC that KMS makes of the run id (`GenerateMac`), one call per use.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.credentials import read_environment, read_file
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, NotFound, calling
from ansible_collections.hokusai.platform.plugins.module_utils.run_store import drafted

FILE = "hmac.key"
SHORTEST = 32
PURPOSE = b"hokusai.platform run record:"

KEY_OPTION: dict[str, Any] = {
    "type": "dict",
    "no_log": False,
    "options": {
        "file": {"type": "path"},
        "environment": {"type": "str"},
        "secret": {"type": "str", "no_log": False},
        "kms": {"type": "str"},
    },
    "mutually_exclusive": [["file", "environment", "secret", "kms"]],
}
"""Where the master secret is; none of them is the file `hmac.key` in the directory of the runs."""


def chosen_source(option: Mapping[str, Any] | None, directory: str) -> dict[str, str]:
    """The one source that the option gives, {kind: where}; the default is a file beside the runs."""
    given = {kind: str(where) for kind, where in (option or {}).items() if where}
    return given or {"file": str(Path(directory) / FILE)}


def run_key(source: Mapping[str, str], run_id: str, aws: Aws) -> bytes:
    """The key of one run. Raises `BadInput` naming the source, never what it holds."""
    ((kind, where),) = source.items()
    message = PURPOSE + run_id.encode()
    if kind == "kms":
        with calling(f"make a MAC with the KMS key {where}"):
            answer = aws.kms.generate_mac(KeyId=where, Message=message, MacAlgorithm="HMAC_SHA_256")
        return bytes(answer["Mac"])
    return hmac.new(master(kind, where, aws), message, hashlib.sha256).digest()


def master(kind: str, where: str, aws: Aws) -> bytes:
    text = {"file": read_file, "environment": read_environment}[kind](where) if kind != "secret" else secret(where, aws)
    text = text.strip()
    if len(text) < SHORTEST:
        raise BadInput(
            f"The key of the run records ({kind} {where}) has {len(text)} characters",
            f"give {SHORTEST} or more that nobody can guess, for instance those of: openssl rand -hex 32",
        )
    return text.encode()


def secret(name: str, aws: Aws) -> str:
    with calling(f"read the secret {name}"):
        answer = aws.secretsmanager.get_secret_value(SecretId=name)
    return str(answer.get("SecretString") or base64.b64encode(answer.get("SecretBinary", b"")).decode())


def make_file(source: Mapping[str, str]) -> None:
    """Make the default key file, on the first run only: a key that is made anew verifies nothing of what is there."""
    where = source.get("file")
    if not where or Path(where).exists():
        return
    path = Path(where)
    if path.name != FILE:
        raise NotFound(f"The key file {where} does not exist", "create it, or leave the option out to have one made")
    if any(path.parent.glob("*/*/run.json")):
        raise NotFound(
            f"The key file {where} does not exist, but records made with one are beside it",
            "restore the key; or move the old records away, and a new key is made",
        )
    try:
        # another run may be quicker: its key is the key
        with drafted(path, f"{secrets.token_hex(32)}\n".encode()) as draft, contextlib.suppress(FileExistsError):
            os.link(draft, path)
    except OSError as error:
        problem = f"The key file {where} cannot be written: {error.strerror}"
        raise BadInput(problem, "make its directory writable, or name another key") from error
