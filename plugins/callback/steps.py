# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shows, after the recap, the steps that each role took (or, in check mode, would take)."""

from __future__ import annotations

DOCUMENTATION = r"""
name: steps
type: aggregate
short_description: The steps that each role took
version_added: 0.1.0
author: Hokusai Platform contributors (@hokusai)
description:
  - Prints, role by role, the steps that the resource modules of this collection report, with the reason for each.
  - Steps that a task planned in check mode while the play itself was not in check mode are left out.
options:
  file:
    description: Writes the steps there too, as a JSON list of C(host), C(role), C(task), C(verb) and C(why).
    type: path
    env:
      - name: HOKUSAI_STEPS_FILE
    ini:
      - section: callback_steps
        key: file
requirements:
  - enable in the configuration (C(callbacks_enabled))
"""

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "hokusai.platform.steps"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[dict[str, str]] = []

    def v2_runner_on_ok(self, result: Any, **_kwargs: Any) -> None:
        task = result._task
        steps = list(steps_in(result._result))
        if not steps or (task.check_mode and not context.CLIARGS.get("check")):
            return
        role = task._role.get_name(include_role_fqcn=False) if task._role else "-"
        origin = {"host": result._host.get_name(), "role": role, "task": task.get_name(include_role_fqcn=False)}
        self.steps += [{**origin, **step} for step in steps]

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ARG002 - the hook's signature
        file = self.get_option("file")
        if file:
            Path(file).write_text(json.dumps(self.steps, indent=2) + "\n", encoding="utf-8")
        verb = "would take" if context.CLIARGS.get("check") else "took"
        self._display.banner(f"STEPS that each role {verb}: {len(self.steps)} in all")
        for role, steps in groupby(self.steps, key=lambda step: step["role"]):
            self._display.display(f"{role}")
            for step in steps:
                self._display.display(f"  {step['verb']:<38} {step['why']}")


def steps_in(result: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The steps of one task's result, or of its items; one that the task does not call a change took none."""
    for item in result.get("results", [result]):
        if isinstance(item, Mapping) and item.get("changed"):
            yield from ({"verb": step["verb"], "why": step["why"]} for step in item.get("steps", []))
