"""Whose key it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """What the auth service vouches for. ``rate_limit_per_hour`` None means no limit."""

    user_id: str
    key_id: str
    service_id: str
    scopes: frozenset[str]
    rate_limit_per_hour: int | None = None
