# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading a dashboard."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, calling

ABSENT = ("ResourceNotFound", "DashboardNotFoundError")
"""Error codes of GetDashboard for one that does not exist."""


def live_body(aws: Aws, name: str) -> dict[str, Any] | None:
    """The body of a dashboard, None for none."""
    try:
        with calling(f"get the dashboard {name}"):
            body: dict[str, Any] = json.loads(
                aws.client("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"]
            )
    except AwsError as error:
        if error.code in ABSENT:
            return None
        raise
    return body
