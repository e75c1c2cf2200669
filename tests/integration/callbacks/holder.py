"""Holds a play before a task, until the test that runs it lets it go on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: holder
type: notification
short_description: Holds a play before a task
description:
  - When the task begins, makes the file C(reached) in a directory, and waits until the file C(go) is there too.
options:
  task:
    description: The end of the task's name.
    type: str
    required: true
    env:
      - name: HOLDER_TASK
  directory:
    description: The directory.
    type: path
    required: true
    env:
      - name: HOLDER_DIRECTORY
"""
PATIENCE = 120.0


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "holder"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        directory = Path(self.get_option("directory"))
        if not task.get_name().endswith(self.get_option("task")):
            return
        (directory / "reached").touch()
        deadline = time.monotonic() + PATIENCE
        while not (directory / "go").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
