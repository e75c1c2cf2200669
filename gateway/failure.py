"""Why a server behind us gave no answer, in words that name the likely cause."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """``timed_out`` is a 504, anything else a 502. ``sent`` tells that the server may have got the request, and
    ``passing`` that the next try may go well."""

    reason: str
    timed_out: bool = False
    sent: bool = False
    passing: bool = False


class HopError(Exception):
    """There is no answer, or not the whole of it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


CLOSED = Failure("the connection was closed before an answer came", sent=True, passing=True)
UNSENT = Failure("the connection was closed before the request was sent", passing=True)
INVALID = Failure("the answer was not valid HTTP", sent=True)
REFUSED = Failure("connection refused", passing=True)
UNRESOLVED = Failure("cannot resolve or reach the host name", passing=True)
HANDSHAKE = Failure("the TLS handshake failed")
PROXY_GONE = Failure("the outbound proxy (ALL_PROXY) cannot be reached")
PROXY_FORBIDS = Failure("the outbound proxy does not allow the connection")


def dropped(seconds: float) -> Failure:
    reason = f"no connection within {seconds:g} s: packets are dropped (security group, or a dead address)"
    return Failure(reason, timed_out=True)
