# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which environment values and command arguments may be shown. In doubt a value is hidden."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

HIDDEN = "********"
SECRET_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|PWD|CREDENTIAL|DSN|PRIVATE|SIGNATURE|SALT|COOKIE|CONNECTION_?STRING",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(
    r"://[^\s]*@"  # a URL's user and password
    r"|\bhk_(live|test|dev)_"  # a platform key
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}"  # an AWS access key id
    r"|-----BEGIN "  # PEM
    r"|\beyJ[\w-]{8,}\.eyJ"  # a JSON web token
)


def environment(values: Mapping[str, str]) -> dict[str, str]:
    """The values, those hidden that a name or their own form gives away as secret."""
    return {name: value(name, text) for name, text in values.items()}


def value(name: str, text: str) -> str:
    secret = SECRET_NAME.search(name) or SECRET_VALUE.search(text) or SECRET_NAME.search(_query(text))
    return HIDDEN if secret else text


def _query(text: str) -> str:
    """The parameter names of a URL's query, which can carry a password too."""
    return " ".join(re.findall(r"[?&]([^=&\s]+)=", text))


def command(arguments: Iterable[str]) -> Iterator[str]:
    """The arguments; of `--password=x` and `--password x` only the option stays, and a secret URL is hidden whole."""
    hide_next = False
    for argument in arguments:
        option, equals, text = argument.partition("=")
        if hide_next:
            yield HIDDEN
        elif equals and value(option, text) == HIDDEN:
            yield f"{option}={HIDDEN}"
        else:
            yield HIDDEN if SECRET_VALUE.search(argument) else argument
        hide_next = not hide_next and not equals and argument.startswith("-") and bool(SECRET_NAME.search(option))
