"""The time that AWS tells, which a fault may set apart from the machine's: the client's clock is wrong, then."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

TOLERANCE: Final = 300.0
"""Seconds by which a request's signature may be off (AWS General Reference, "Signature Version 4")."""


class Clock:
    """Machine time plus `offset` seconds."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return time.time() + self.offset

    def datetime(self) -> datetime:
        """Naive UTC, which is what moto keeps."""
        return datetime.fromtimestamp(self.now(), UTC).replace(tzinfo=None)

    def refuses(self, signed_at: str) -> bool:
        """Whether a signature of this time (`X-Amz-Date`) is too old or too new; one without a time is not judged."""
        if not self.offset or not signed_at:
            return False
        signed = datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return abs(signed.timestamp() - self.now()) > TOLERANCE


CLOCK: Final = Clock()
"""One, as there is one control plane per process."""
