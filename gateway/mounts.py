"""Where MLflow is mounted.

``/api/mlflow`` is removed whole; below the bare root MLflow's own paths are forwarded as they are, so that
``https://registry.hokus.ai`` is a tracking URI too: all but those of pages this service has itself, and the UI's, which
is at ``/api/mlflow/``. The prefix is compared with the raw path: what is encoded differently is a different path, and
unknown.
"""

from __future__ import annotations

from typing import NamedTuple

PREFIX = b"/api/mlflow"
_NOWHERE = frozenset({b"/", PREFIX})


class Target(NamedTuple):
    """A path on MLflow, raw, and the mount's prefix that was taken off it (``b""`` at the root).

    ``below`` is the static prefix MLflow itself runs with, which no client knows of.
    """

    path: bytes
    prefix: bytes = b""
    below: bytes = b""


def find_target(raw_path: bytes) -> Target | None:
    """Of a path that is no page of this service's; whether MLflow has it is for the table of routes to say."""
    if raw_path.startswith(PREFIX + b"/"):
        return Target(raw_path[len(PREFIX) :], PREFIX)
    return None if raw_path in _NOWHERE else Target(raw_path)


def rewrite_location(location: bytes, target: Target, upstream: bytes) -> bytes:
    """A redirect as the client may follow it: no internal host name, and below the mount it used.

    ``upstream`` is the scheme and authority of MLflow, such as ``b"http://mlflow.internal:5000"``.
    """
    if location == upstream or location.startswith((upstream + b"/", upstream + b"?")):
        location = location[len(upstream) :] or b"/"
        location = location if location.startswith(b"/") else b"/" + location
    elif not location.startswith(b"/") or location.startswith(b"//"):
        return location
    if target.below and location.startswith(target.below + b"/"):
        location = location[len(target.below) :]
    return target.prefix + location
