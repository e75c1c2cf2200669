# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the options by which a module waits for ECS."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared through `module_utils/ecs_options.py`."""

    WAIT = r"""
options:
  wait:
    description: Whether to wait until each deployment that was started has completed, with healthy targets.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait for each at most.
    type: int
    default: 600
  wait_delay:
    description: Seconds between two looks.
    type: float
    default: 5
"""
