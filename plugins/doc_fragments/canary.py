# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the options that the modules of a canary share."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared through `module_utils/canary_options.py`."""

    DOCUMENTATION = r"""
options:
  target_groups:
    description: The stable service's target groups and the canary's, in pairs.
    type: list
    elements: dict
    required: true
    suboptions:
      stable:
        description: Name of the target group of the stable service.
        type: str
        required: true
      canary:
        description: Name of the canary's target group that takes its part.
        type: str
        required: true
"""

    SERVICES = r"""
options:
  cluster:
    description: Name of the ECS cluster.
    type: str
    required: true
  service:
    description: Name of the stable service.
    type: str
    required: true
  name:
    description: Name of the canary, which is that of its service.
    type: str
    required: true
  environment:
    description: Environment variables that are to be tried; the others are as the stable service has them.
    type: dict
    default: {}
notes:
  - A stable service whose deployments CodeDeploy or a blue-green or canary strategy runs is refused.
"""
