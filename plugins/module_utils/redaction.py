# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which environment values, command arguments and module options may be shown. In doubt a value is hidden.

Of the variables of a container only those are shown that the task itself names: nobody can tell by name and form alone
what somebody else keeps in the others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

HIDDEN = "********"
UNMANAGED = "(unmanaged)"
SHORTEST = 6
SECRET_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|DSN|PRIVATE|SIGNATURE|SALT|COOKIE|CONNECTION_?STRING|BEARER|WEBHOOK"
    r"|(AUTH|PAT)$",  # AUTH_SERVICE_ID and HOKUSAI_AUTH_SERVICE_URL are names of another kind
    re.IGNORECASE,
)
PASSWORD_IN_ADDRESS = re.compile(r"://[^\s/:]*:([^\s@]+)@")
SECRET_VALUE = re.compile(
    r"://[^\s]*@"  # a URL's user and password
    r"|\bhk_(live|test|dev)_"  # a platform key
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}"  # an AWS access key id
    r"|\bgh[pousr]_|\bgithub_pat_"  # a GitHub token
    r"|\bxox[a-z]-|\bhooks\.slack\.com/"  # a Slack token, or a webhook, the address of which is the secret
    r"|\b[Bb]earer\s"
    r"|-----BEGIN "  # PEM
    r"|\beyJ[\w-]{8,}\.eyJ"  # a JSON web token
)
MISPLACED_KEY = re.compile(r"hk_(?:live|test|dev)_[A-Za-z0-9]{16,}")
"""A platform key, also one cut short, where a name is wanted; a secret may well be named hk_test_key."""
NAMELESS_SECRET = re.compile(
    r"(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=[^0-9]*[0-9])[A-Za-z0-9/+]{40}"  # an AWS secret access key
    r"|[0-9A-Fa-f]{64}|[A-Za-z0-9/+]{43}="  # 32 bytes of chance, as openssl prints them
)
"""The whole of a text that can be nothing but a secret, whatever it is called; a digest has a prefix or 40 digits."""
INTERNAL = "_ansible_"
"""What the names begin with that Ansible itself gives to a module."""
COMMAND = "command"


def environment(values: Mapping[str, str], named: Collection[str]) -> dict[str, str]:
    """The values of those variables that are `named`, hidden where a name or their own form gives them away as secret;
    of all others that they are there."""
    return {name: value(name, text) if name in named else UNMANAGED for name, text in values.items()}


def value(name: str, text: str) -> str:
    secret = SECRET_VALUE.search(text) or any(SECRET_NAME.search(each) for each in (name, *_query(text)))
    return HIDDEN if secret else text


def secrets(values: Mapping[str, str], arguments: Iterable[str]) -> Iterator[str]:
    """The texts of variables and arguments that are hidden above, for Ansible to hide wherever else they occur.

    Ansible masks a text inside any other, so one that is too short to be told from a word or number stays out.
    """
    found = [text for name, text in values.items() if value(name, text) == HIDDEN]
    arguments = list(arguments)
    for given, shown in zip(arguments, command(arguments), strict=True):
        if shown != given:
            found.append(given if shown == HIDDEN else given.partition("=")[2])
    yield from (text for text in found if len(text) >= SHORTEST)


def _query(text: str) -> list[str]:
    """The parameter names of a URL's query, which can carry a password too."""
    return re.findall(r"[?&]([^=&\s]+)=", text)


def command(arguments: Iterable[str]) -> Iterator[str]:
    """The arguments; of `--password=x` and `--password x` only the option stays, and a secret URL is hidden whole, as
    is a line for a shell in which any word looks secret."""
    hide_next = False
    for argument in arguments:
        option, equals, text = argument.partition("=")
        if hide_next or _is_secret_line(argument.split()):
            yield HIDDEN
        elif equals and value(option, text) == HIDDEN:
            yield f"{option}={HIDDEN}"
        else:
            yield HIDDEN if SECRET_VALUE.search(argument) else argument
        hide_next = not hide_next and not equals and argument.startswith("-") and bool(SECRET_NAME.search(option))


def _is_secret_line(words: list[str]) -> bool:
    return len(words) > 1 and any(SECRET_NAME.search(each.partition("=")[0]) for each in words)


def among(options: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[str]:
    """The texts among a module's options, as they came and before anybody checked them, that no output may show.

    Ansible hides what it took for the value of a `no_log` option. It does not hide what stands in an option that it
    refuses, nor any other once one is of the wrong type.
    """
    yield from (text for text in _among(options, spec) if len(text) >= SHORTEST)


def _among(options: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[str]:
    holds_secrets = any(option.get("no_log") for option in spec.values())
    for name, given in options.items():
        option = spec.get(name)
        if str(name).startswith(INTERNAL):
            continue
        if option is None:  # misspelt, it may be that of a secret
            yield from texts(given) if holds_secrets else looking_secret(name, given)
        elif option.get("no_log"):
            yield from texts(given)
        elif "options" in option:
            yield from _suboptions(given, option["options"])
        else:
            yield from looking_secret(name, given, are_values=option.get("no_log") is None)


def _suboptions(given: Any, spec: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(given, Mapping):
        yield from _among(given, spec)
    elif isinstance(given, list):
        for each in given:
            yield from _suboptions(each, spec)
    elif isinstance(given, str):  # in place of the dictionary
        yield from texts(given) if any(option.get("no_log") for option in spec.values()) else looking_secret("", given)


def texts(given: Any) -> Iterator[str]:
    """Every text in a value of any shape."""
    if isinstance(given, Mapping):
        for inner in given.values():
            yield from texts(inner)
    elif isinstance(given, list):
        for inner in given:
            yield from texts(inner)
    elif isinstance(given, str):
        yield given


def looking_secret(name: str, given: Any, *, are_values: bool = True) -> Iterator[str]:
    """The texts in the value of an option that look secret. The names in a dictionary count where its texts
    `are_values`, and are not the names of places in which the secrets are kept."""
    if isinstance(given, Mapping):
        if are_values:
            yield from secrets({str(inner): str(text) for inner, text in given.items() if isinstance(text, str)}, ())
        for inner, text in given.items():
            yield from looking_secret(str(inner), text)
    elif isinstance(given, list):
        if name == COMMAND:
            yield from secrets({}, [str(each) for each in given])
        for each in given:
            yield from looking_secret(name, each)
    elif isinstance(given, str):
        yield from MISPLACED_KEY.findall(given)
        if NAMELESS_SECRET.fullmatch(given):
            yield given
        for password in PASSWORD_IN_ADDRESS.findall(given):
            yield from (password, *password.split("/"))  # with a slash in it, what is before that is taken for a port


def renamed(given: Any) -> Any:
    """A value of any shape without a platform key among the names in it: Ansible hides values and no names."""
    if isinstance(given, Mapping):
        return {MISPLACED_KEY.sub(HIDDEN, str(name)): renamed(inner) for name, inner in given.items()}
    return [renamed(inner) for inner in given] if isinstance(given, list) else given
