"""The cookies by which a load balancer keeps a client with a target group (AWSALBTG) and with a target (AWSALB).

Source: ELB user guide, "Sticky sessions for your Application Load Balancer". What AWS encrypts is a digest here. Each
cookie has a twin for requests from other origins. AWS does not say what a weight of 0 does to a client that has a
cookie; here it stays with its group, which is the worse of the two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from email.utils import formatdate
from http.cookies import CookieError, SimpleCookie
from time import time

from sandbox.dataplane.relay import Message, Send
from sandbox.model import Target, TargetGroup

GROUP, TARGET = "AWSALBTG", "AWSALB"
TWIN = "CORS"
SECONDS_BY_DEFAULT = "86400"


class Stickiness:
    """What the cookies of one request hold, and those that its answer is to set."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._held = _cookies(headers)
        self._set: list[tuple[bytes, bytes]] = []

    def held(self, cookie: str, among: Iterable[str]) -> str | None:
        """The one of these that the client's cookie names."""
        values = {self._held.get(cookie), self._held.get(cookie + TWIN)}
        return next((name for name in among if _digest(name) in values), None)

    def keep(self, cookie: str, name: str, seconds: int) -> None:
        """Let the answer set the cookie anew, for so many seconds from now on."""
        text = f"={_digest(name)}; Expires={formatdate(time() + seconds, usegmt=True)}; Path=/"
        for given in (cookie + text, f"{cookie}{TWIN}{text}; SameSite=None; Secure"):
            self._set.append((b"set-cookie", given.encode()))

    def adding(self, send: Send) -> Send:
        """`send` with the cookies among the headers of the answer."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self._set]}
            await send(message)

        return sending


def seconds(group: TargetGroup) -> int:
    """For how long the group keeps a client with a target; 0 if it does not, or by the application's own cookie."""
    attributes = group.attributes
    if attributes.get("stickiness.enabled") != "true" or attributes.get("stickiness.type", "lb_cookie") != "lb_cookie":
        return 0
    return int(attributes.get("stickiness.lb_cookie.duration_seconds", SECONDS_BY_DEFAULT))


def identity(group: TargetGroup, target: Target) -> str:
    return f"{group.arn} {target.address}:{target.port}"


def _cookies(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    jar: SimpleCookie = SimpleCookie()
    for name, value in headers:
        if name == b"cookie":
            try:
                jar.load(value.decode("latin-1"))
            except CookieError:
                continue
    return {name: morsel.value for name, morsel in jar.items()}


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
