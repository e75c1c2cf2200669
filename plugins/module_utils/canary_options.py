# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options that the modules of a canary share; documented in the fragment `canary`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.canary_routes import Pair

NAME: dict[str, Any] = {"type": "str", "required": True}
GROUPS: dict[str, Any] = {
    "target_groups": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"stable": NAME, "canary": NAME},
    }
}
SERVICES: dict[str, Any] = {
    "cluster": NAME,
    "service": NAME,
    "name": NAME,
    "environment": {"type": "dict", "default": {}},
}


def pairs(params: Mapping[str, Any]) -> tuple[Pair, ...]:
    return tuple(Pair(each["stable"], each["canary"]) for each in params["target_groups"])
