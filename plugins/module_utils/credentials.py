# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Platform API keys: where they are read from and kept, and the care that they are shown nowhere.

A key is `hk_live_`, `hk_test_` or `hk_dev_` and 32 alphanumerics. Once read it only exists as a `Key`, whose text is
had by `reveal()` alone, and every text that came from outside passes `Credentials.scrub` before it goes anywhere.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.aws import HAS_BOTO3, Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, BadInput, NotFound, calling
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.redaction import MISPLACED_KEY
from ansible_collections.hokusai.platform.plugins.module_utils.tags import owned, to_aws

SOURCES = ("environment", "file", "value", "ssm_parameter", "secret")
STORES = ("file", "ssm_parameter", "secret")
SECRET_LENGTH = 32
KEY_FORM = re.compile(r"hk_(live|test|dev)_[A-Za-z0-9]{32}")
KEY_TRACE = re.compile(r"hk_(?:live|test|dev)_[A-Za-z0-9]+")
MASK = "********"
FRAGMENT = 6
"""Characters of a key in a row that already count as a part of it; by chance they do not occur (1 in 57 billion)."""
ABSENT = frozenset({"ParameterNotFound", "ResourceNotFoundException"})
OTHERS = 0o007
SHORTEST_HIDDEN = 6

_OPTIONS: dict[str, dict[str, Any]] = {
    "environment": {"type": "str"},
    "file": {"type": "path"},
    "value": {"type": "str", "no_log": True},
    "ssm_parameter": {"type": "str"},
    "secret": {"type": "str", "no_log": False},
}


def _exactly_one(names: tuple[str, ...], **extra: Any) -> dict[str, Any]:
    return {
        "type": "dict",
        "options": {name: _OPTIONS[name] for name in names},
        "mutually_exclusive": [list(names)],
        "required_one_of": [list(names)],
        **extra,
    }


def source_option(**extra: Any) -> dict[str, Any]:
    """The argument spec of an option that says where a key is read: exactly one of `SOURCES`."""
    return _exactly_one(SOURCES, no_log=False, **extra)


def store_option(**extra: Any) -> dict[str, Any]:
    """The argument spec of an option that says where a key is kept: exactly one of `STORES`."""
    return _exactly_one(STORES, no_log=False, **extra)


class Key:
    """A platform key. Its text is given by `reveal()` only, so that no repr, format or traceback can show it."""

    __slots__ = ("_text", "source")

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self.source = source

    def reveal(self) -> str:
        return self._text

    @property
    def environment(self) -> str:
        return self._text.split("_", 2)[1]

    def __repr__(self) -> str:
        return f"<key from {self.source}>"


def refused_key() -> Key:
    """A key of the right form that nobody was given, to see that the platform refuses it."""
    alphabet = string.ascii_letters + string.digits
    return Key("hk_test_" + "".join(secrets.choice(alphabet) for _position in range(SECRET_LENGTH)), "chance")


class Credentials:
    """Reads and keeps the keys of one module run; hides each from the module's output as soon as it is read.

    `hide` gets every secret text read (`AnsibleModule.no_log_values.add`). AWS is only reached, and boto3 only
    needed, when a source or store is there.
    """

    def __init__(self, params: Params, hide: Callable[[str], None]) -> None:
        self._params = params
        self._hide = hide
        self._aws: Aws | None = None
        self._keys: dict[str, Key] = {}
        self._fragments: frozenset[str] = frozenset()

    @property
    def aws(self) -> Aws:
        if self._aws is None:
            if not HAS_BOTO3:
                raise BadInput("SSM and Secrets Manager need boto3", "install boto3, or name another source")
            self._aws = Aws(self._params)
        return self._aws

    def read(self, source: Mapping[str, Any]) -> Key:
        """The key of a source option. Raises `BadInput` naming the source, never the value."""
        kind, where = self._place(source)
        name = described(kind, where)
        if kind == "value" or name not in self._keys:
            self._keys[name] = self.adopt(self._fetch(kind, where), name)
        return self._keys[name]

    def stored(self, store: Mapping[str, Any]) -> Key | None:
        """The key a store holds; None when it holds nothing yet. What is there and is no key is an error."""
        kind, where = self._place(store)
        try:
            text = self._fetch(kind, where)
        except NotFound:
            return None
        return self.adopt(text, described(kind, where))

    def adopt(self, text: str, source: str) -> Key:
        """Hide a text that just became known, and take it as a key if it is one."""
        text = text.strip()
        if len(text) >= SHORTEST_HIDDEN:
            self._hide(text)
        if not KEY_FORM.fullmatch(text):
            raise BadInput(
                f"What {source} holds is not a platform key",
                "give a platform key: hk_live_, hk_test_ or hk_dev_ and 32 letters or digits, and nothing else",
            )
        self._hide(text[-SECRET_LENGTH:])
        self._fragments |= fragments(text)
        return Key(text, source)

    def keep(self, store: Mapping[str, Any], key: Key, again: Callable[[], None] = lambda: None) -> None:
        """Write the key to the store, over what is there. Raises `PlatformError`.

        `again` is called before a second write, which a store needs that is there already, or is not: it may raise.
        """
        kind, where = self._place(store)
        put: dict[str, Callable[[str, str, Callable[[], None]], None]] = {
            "file": lambda name, text, _again: write_file(name, text),
            "ssm_parameter": self._put_parameter,
            "secret": self._put_secret,
        }
        put[kind](where, key.reveal(), again)

    def check_writable(self, store: Mapping[str, Any]) -> None:
        """Raise `BadInput` where a key could not be kept, as far as that can be known: one minted then is lost."""
        kind, where = self._place(store)
        if kind == "file":
            check_directory(where)
        elif kind == "ssm_parameter":
            self._encryption(where)

    def scrub(self, text: str) -> str:
        """The text without any key read so far, whole or in part, plain or in base64, and without anything like one."""
        return scrub(text, self._fragments)

    def _place(self, option: Mapping[str, Any]) -> tuple[str, str]:
        """The chosen source or store. A key that stands where its name should is hidden at once."""
        kind, where = chosen(option)
        if kind != "value" and MISPLACED_KEY.search(where):
            self._hide(where)
            remedy = "put it in `value`" if "value" in option else "name the place, and leave the key out"
            raise BadInput(f"The key itself stands in `{kind}`, where the name of a place belongs", remedy)
        return kind, where

    def _fetch(self, kind: str, where: str) -> str:
        fetch: dict[str, Callable[[str], str]] = {
            "environment": read_environment,
            "file": read_file,
            "value": str,
            "ssm_parameter": self._get_parameter,
            "secret": self._get_secret,
        }
        return fetch[kind](where)

    def _get_parameter(self, name: str) -> str:
        with absent_is_not_found(described("ssm_parameter", name)), calling(f"read the SSM parameter {name}"):
            answer = self.aws.ssm.get_parameter(Name=name, WithDecryption=True)
        return str(answer["Parameter"]["Value"])

    def _get_secret(self, name: str) -> str:
        with absent_is_not_found(described("secret", name)), calling(f"read the secret {name}"):
            answer = self.aws.secretsmanager.get_secret_value(SecretId=name)
        return str(answer.get("SecretString", ""))

    def _put_parameter(self, name: str, text: str, again: Callable[[], None]) -> None:
        parameter = {"Name": name, "Value": text, "Type": "SecureString"}
        try:
            with calling(f"create the SSM parameter {name}"):
                self.aws.ssm.put_parameter(**parameter, Tags=to_aws(owned({})))
        except AwsError as error:
            if error.code != "ParameterAlreadyExists":
                raise
            encryption = self._encryption(name)
            again()
            with calling(f"write the SSM parameter {name}"):
                self.aws.ssm.put_parameter(**parameter, **encryption, Overwrite=True)

    def _encryption(self, name: str) -> dict[str, str]:
        """The `KeyId` a parameter is encrypted with: overwritten without it, it changes over to AWS's own key.

        Raises `BadInput` for a parameter of a readable type. {} is a parameter that is not there.
        """
        asked = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
        with calling(f"describe the SSM parameter {name}"):
            listed = self.aws.ssm.get_paginator("describe_parameters").paginate(ParameterFilters=asked)
            found = listed.build_full_result()["Parameters"]
        if not found:
            return {}
        if found[0]["Type"] != "SecureString":
            raise BadInput(
                f"The SSM parameter {name} is a {found[0]['Type']}, in which a key would be readable",
                "delete it, so that it is created as SecureString, or name another store",
            )
        return {"KeyId": found[0]["KeyId"]} if found[0].get("KeyId") else {}

    def _put_secret(self, name: str, text: str, again: Callable[[], None]) -> None:
        try:
            with calling(f"write the secret {name}"):
                self.aws.secretsmanager.put_secret_value(SecretId=name, SecretString=text)
        except AwsError as error:
            if error.code not in ABSENT:
                raise
            again()
            with calling(f"create the secret {name}"):
                self.aws.secretsmanager.create_secret(Name=name, SecretString=text, Tags=to_aws(owned({})))


class absent_is_not_found:  # noqa: N801 - a context manager, named as it reads
    """Turn AWS's "there is no such thing" into `NotFound`; every other error stays what it is."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, AwsError) and error.code in ABSENT:
            text = f"There is no key: {self.what} does not exist"
            raise NotFound(text, "create it, or name another source") from error


def chosen(option: Mapping[str, Any]) -> tuple[str, str]:
    """The one source or store that is given. The argument spec lets one through that is given as null."""
    given = [(kind, str(where)) for kind, where in option.items() if where]
    if len(given) != 1:
        raise BadInput("No place of the key is given", f"give exactly one of {', '.join(option)}, and not an empty one")
    return given[0]


def described(kind: str, where: str) -> str:
    return {
        "environment": f"the environment variable {where}",
        "file": f"the file {where}",
        "value": "the option value",
        "ssm_parameter": f"the SSM parameter {where}",
        "secret": f"the secret {where}",
    }[kind]


def read_environment(name: str) -> str:
    if not os.environ.get(name):
        raise NotFound(f"The environment variable {name} is not set", f"export {name}, or name another source")
    return os.environ[name]


def read_file(name: str) -> str:
    """The content of a key file. One that any user of the machine can open is refused, as ssh refuses it."""
    path = Path(name)
    try:
        with path.open(encoding="utf-8", errors="replace") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            text = handle.read(4096)
    except FileNotFoundError as error:
        raise NotFound(f"The key file {name} does not exist", "create it, or name another source") from error
    except OSError as error:
        raise BadInput(f"The key file {name} cannot be read: {error.strerror}", "check path and permissions") from error
    if mode & OTHERS:
        raise BadInput(
            f"The key file {name} is open to every user of this machine (mode {mode & 0o777:04o})",
            f"chmod 600 {name}, and mint another key if others may have read this one",
        )
    return text


def check_directory(where: str) -> None:
    """Raise `BadInput` where a file could not be written."""
    directory = Path(where).absolute().parent
    if Path(where).is_dir() or not directory.is_dir() or not os.access(directory, os.W_OK | os.X_OK):
        raise BadInput(
            f"The key file {where} cannot be written: {directory} must be a directory this user may write to",
            "create the directory or choose another file",
        )


def write_file(name: str, text: str) -> None:
    """Write 0600 from its first byte on, and in one piece: a reader sees the old file or the new one."""
    path = Path(name).absolute()
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
                handle.write(text + "\n")
                handle.flush()
                os.fsync(handle.fileno())
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        problem = f"The key file {name} cannot be written: {error.strerror}"
        raise BadInput(problem, "check path and free space") from error


def fragments(text: str) -> frozenset[str]:
    """Every run of `FRAGMENT` characters of a key's secret part, and of its base64 at each alignment."""
    forms = [text[-SECRET_LENGTH:], *encodings(text)]
    return frozenset(form[start : start + FRAGMENT] for form in forms for start in range(len(form) - FRAGMENT + 1))


def encodings(text: str) -> Iterator[str]:
    """The part of the base64 of any text around the key that depends on the secret alone; the same for URLs, because
    letters and digits never yield the two characters in which the alphabets differ."""
    for alignment in range(3):
        encoded = base64.b64encode(b"\0" * alignment + text[-SECRET_LENGTH:].encode()).decode()
        yield encoded[-(-alignment * 8 // 6) : -4]


def scrub(text: str, known: Iterable[str]) -> str:
    """The text with every known fragment, and everything that looks like a key, masked."""
    text = KEY_TRACE.sub(MASK, text)
    windows = frozenset(known)
    hits = [start for start in range(len(text) - FRAGMENT + 1) if text[start : start + FRAGMENT] in windows]
    pieces, end = [], 0
    for start in hits:
        if start >= end:
            pieces += [text[end:start], MASK]
        end = start + FRAGMENT
    return "".join([*pieces, text[end:]])
