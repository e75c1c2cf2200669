"""The W3C trace context of a request (https://www.w3.org/TR/trace-context/).

A valid ``traceparent`` goes on to MLflow as it came, with its ``tracestate``. An invalid one says nothing and is left
out, and so is a state without a parent. None is made here: this service records no spans that could be one's parent.
"""

from __future__ import annotations

import re

from gateway.headers import Headers

_TRACE = frozenset({b"traceparent", b"tracestate"})
_PARENT = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-.*)?"
)


def trace_context(headers: Headers) -> tuple[str, Headers]:
    """The trace's id, ``""`` without a valid one, and the headers that may go on."""
    if _TRACE.isdisjoint(dict(headers)):
        return "", headers
    parents = [value for name, value in headers if name == b"traceparent"]
    match = _PARENT.fullmatch(parents[0]) if len(parents) == 1 else None
    if match is None or (match["version"] == b"00" and match["more"]):
        return "", [field for field in headers if field[0] not in _TRACE]
    return match["trace"].decode(), headers
