# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rule of a composite alarm: the alarms that it asks about.

Source: CloudWatch user guide, "Composite alarms": `ALARM(name)`, `OK(name)`, `INSUFFICIENT_DATA(name)`, and
`AT_LEAST(2, NOT OK, (name, name))` with a number or a percentage. A name or ARN stands in quotes, within which a
backslash escapes, or has no blanks, commas, quotes and parentheses.
"""

from __future__ import annotations

import re

from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput

_NAME = r'(?:"(?:[^"\\]|\\.)+"|[^\s"(),]+)'
_STATE = r"(?:ALARM|OK|INSUFFICIENT_DATA)"
_FUNCTION = (
    rf"\b(?:{_STATE}\s*\(\s*({_NAME})\s*\)|"
    rf"AT_LEAST\s*\(\s*\d+%?\s*,\s*(?:NOT\s+)?{_STATE}\s*,\s*\(\s*({_NAME}(?:\s*,\s*{_NAME})*)\s*\)\s*\))"
)
_ASKED = re.compile(_FUNCTION)
_NAMES = re.compile(_NAME)
_READABLE = re.compile(rf"(?:\s+|[()]|\b(?:AND|OR|NOT|TRUE|FALSE)\b|{_FUNCTION})*")


def named(rule: str) -> list[str]:
    """The names of the alarms in a rule, which may give their ARNs. What cannot be read is passed over."""
    given = (name for one, some in _ASKED.findall(rule) for name in _NAMES.findall(one or some))
    return list(dict.fromkeys(_plain(name).rpartition(":alarm:")[2] for name in given))


def _plain(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name.startswith('"') else name


def check(alarm: str, rule: str) -> None:
    """Raises `BadInput` for a rule of which not all alarms can be told."""
    read = _READABLE.match(rule)
    if left := rule[read.end() if read else 0 :]:
        remedy = 'write ALARM("name") or AT_LEAST(2, ALARM, ("name", "name")), with unusual names in quotes'
        raise BadInput(f"The rule of {alarm} cannot be read from {left[:40]}", remedy)
