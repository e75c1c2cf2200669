"""What every callback plugin gets to see, one JSON line per event: all that a log shipper or a dashboard would keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: recorder
type: notification
short_description: Records what every callback plugin gets to see
description:
  - Writes each event with its whole result to a file.
options:
  file:
    description: The file that is appended to.
    type: path
    required: true
    env:
      - name: RECORDER_FILE
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "recorder"
    CALLBACK_NEEDS_ENABLED = True

    def v2_on_any(self, *args: Any, **_kwargs: Any) -> None:
        for result in args:
            if hasattr(result, "_result"):
                event = {"task": result._task.get_name(), "result": result._result}
                with Path(self.get_option("file")).open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(event, default=str) + "\n")
