# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which environment values and command arguments may be shown. In doubt a value is hidden.

Of the variables of a container only those are shown that the task itself names: nobody can tell by name and form alone
what somebody else keeps in the others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

HIDDEN = "********"
UNMANAGED = "(unmanaged)"
SHORTEST = 6
SECRET_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|DSN|PRIVATE|SIGNATURE|SALT|COOKIE|CONNECTION_?STRING|BEARER|WEBHOOK"
    r"|(AUTH|PAT)$",  # AUTH_SERVICE_ID and HOKUSAI_AUTH_SERVICE_URL are names of another kind
    re.IGNORECASE,
)
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
