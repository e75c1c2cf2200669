# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The clock of AWS, by which machines agree that do not agree about the time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, calling


@dataclass(frozen=True)
class Clock:
    """What AWS said, and `time.monotonic()` then. It is slow by up to a second, and never fast."""

    said: datetime
    at: float

    @classmethod
    def read(cls, aws: Aws) -> Clock:
        """By one call. Raises `AwsError`."""
        with calling("ask AWS for the time"):
            answer = aws.elbv2.describe_load_balancers(PageSize=1)
        return cls(server_time(answer), time.monotonic())

    def now(self) -> datetime:
        return self.said + timedelta(seconds=time.monotonic() - self.at)


def server_time(answer: Mapping[str, Any]) -> datetime:
    """When AWS answered, from the header of its response. Raises `AwsError` where that does not say so."""
    try:
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError) as error:
        told, remedy = "AWS's answer does not say what time it is", "let the proxies on the way to AWS pass its Date"
        raise AwsError(told, "NoDate", remedy) from error
