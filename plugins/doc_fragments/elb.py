# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of a listener's default action, which two modules take."""

from __future__ import annotations


class ModuleDocFragment:
    """The option of `elb_action.ACTION_SPEC`; each module says for itself what it is for."""

    DOCUMENTATION = r"""
options:
  default_action:
    type: dict
    suboptions:
      type:
        description: Kind of action.
        type: str
        choices: [forward, redirect, fixed_response]
        default: forward
      target_group:
        description: Name or ARN of the one target group to forward to.
        type: str
      target_groups:
        description: Several target groups to forward to, five at most.
        type: list
        elements: dict
        suboptions:
          name:
            description: Name or ARN of the target group.
            type: str
            required: true
          weight:
            description: Share of the requests, from 0 to 999.
            type: int
            default: 1
      stickiness_seconds:
        description: How long a client stays with its target group. 0 is not at all.
        type: int
        default: 0
      redirect:
        description: Where to redirect to. An omitted part stays as the request has it.
        type: dict
        suboptions:
          protocol:
            description: Protocol.
            type: str
            choices: [HTTP, HTTPS, "#{protocol}"]
          port:
            description: Port.
            type: str
          host:
            description: Host name.
            type: str
          path:
            description: Path, with a leading slash.
            type: str
          query:
            description: Query, without the question mark.
            type: str
          status_code:
            description: Permanent or temporary.
            type: str
            choices: [HTTP_301, HTTP_302]
            default: HTTP_301
      fixed_response:
        description: What to answer with.
        type: dict
        suboptions:
          status_code:
            description: A 2xx, 4xx or 5xx status.
            type: int
            required: true
          content_type:
            description: Content type. Omitted, C(text/plain).
            type: str
          message_body:
            description: Body, 1024 characters at most. Omitted, empty.
            type: str
"""
