"""What a request's path may not contain.

A path is judged decoded as often as it can be, because every server behind us decodes once more than we know of, and
it is forwarded exactly as it came.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from gateway.errors import BadRequestError, RequestTargetTooLongError

MAX_TARGET = 65_000
"""Bytes of path and query; MLflow's searches reach 14 kB. httptools itself gives up at 65,535 with a bare 400."""

_MAX_DECODINGS = 8


def check_target(raw_path: bytes, query: bytes) -> None:
    """Raises BadRequestError or RequestTargetTooLongError."""
    if len(raw_path) + len(query) > MAX_TARGET:
        raise RequestTargetTooLongError(f"The request's path and query are longer than {MAX_TARGET} bytes.")
    if not raw_path.startswith(b"/"):
        raise BadRequestError("The request's path does not start with a slash.")
    if b"%" not in raw_path and b".." not in raw_path and b"\\" not in raw_path:
        return
    path = _decoded(raw_path)
    if b"\\" in path or b"\0" in path:
        raise BadRequestError("The request's path contains a backslash or a NUL.")
    if b".." in path.split(b"/"):
        raise BadRequestError("The request's path contains '..'.")


def _decoded(path: bytes) -> bytes:
    for _ in range(_MAX_DECODINGS):
        once = unquote_to_bytes(path)
        if once == path:
            return path
        path = once
    raise BadRequestError("The request's path is percent-encoded too many times over.")
