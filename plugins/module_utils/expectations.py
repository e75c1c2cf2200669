# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the answers to a request are expected to be, and in which ways they are not: no network here."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.http_client import Answer, percentile

STATUS_FORM = re.compile(r"[1-5](\d\d|xx)")
PERCENTILES = (50, 95, 99)
MISSING = object()


@dataclass(frozen=True)
class Expectation:
    """`statuses` are codes or classes (`2xx`); `json` maps dotted paths to values; `max_p95_ms` bounds all answers."""

    statuses: tuple[str, ...] = ("2xx",)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Any] = field(default_factory=dict)
    max_p95_ms: float | None = None

    def __post_init__(self) -> None:
        for status in self.statuses:
            if not STATUS_FORM.fullmatch(status):
                raise BadInput(f"{status} is not a status", "give codes such as 200, or classes such as 2xx")


@dataclass(frozen=True)
class Findings:
    """What a number of answers to the same request amount to."""

    mismatches: tuple[str, ...]
    outcomes: Mapping[str, int]
    latency_ms: Mapping[str, float]

    @property
    def ok(self) -> bool:
        return not self.mismatches


def judge(expected: Expectation, answers: Sequence[Answer]) -> Findings:
    """Every way in which the answers differ from what is expected, each once; no answer at all is a mismatch."""
    latency = {f"p{each}": round(percentile([a.seconds for a in answers], each) * 1000, 1) for each in PERCENTILES}
    found = [mismatch for answer in answers for mismatch in mismatches(expected, answer)] if answers else ["no answer"]
    if expected.max_p95_ms is not None and latency["p95"] > expected.max_p95_ms:
        found.append(f"latency p95 is {latency['p95']} ms, over {expected.max_p95_ms:g} ms")
    return Findings(tuple(dict.fromkeys(found)), Counter(answer.outcome for answer in answers), latency)


def mismatches(expected: Expectation, answer: Answer) -> Iterator[str]:
    if answer.error:
        yield f"no answer: {answer.error}: {answer.detail}"
        return
    if not {answer.outcome, f"{answer.outcome[0]}xx"} & set(expected.statuses):
        yield f"status is {answer.outcome}, not {' or '.join(expected.statuses)}"
    for name, value in expected.headers.items():
        if answer.headers.get(name.lower()) != value:
            yield f"header {name} is {answer.headers.get(name.lower(), 'absent')}, not {value}"
    for path, value in expected.json.items():
        found = at(answer.json, path)
        if found is MISSING:
            yield f"JSON field {path} is absent"
        elif found != value:
            yield f"JSON field {path} is {json.dumps(found)[:100]}, not {json.dumps(value)[:100]}"


def at(document: Any, path: str) -> Any:
    """The value at a dotted path, numbers being positions of a list; `MISSING` when there is none."""
    for part in path.split("."):
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            return MISSING
    return document
