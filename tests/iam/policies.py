"""The policies, made from the record of what each group of playbooks asked for.

Everybody gets `diagnose`, which reads and has the denials; `site` and `rollback` are what more is needed to write.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.controlplane.authorization.policy import Policy, Request, refusal
from tests.harness import ROOT
from tests.iam.grants import GRANTS, NEVER, NEVER_BUT, Grant

RECORD = Path(__file__).with_name("record.json")
DIRECTORY = ROOT / "docs" / "iam"
NAMES = ("diagnose", "site", "rollback")
LONGEST = 6144
"""Characters of a managed policy, without white space (IAM user guide, "IAM and AWS STS quotas")."""

Record = dict[str, dict[str, list[str]]]
"""By policy and action the operations that asked for it."""


@dataclass(frozen=True)
class Asked:
    """A permission that an operation of AWS asked for in a play, which is to run under a policy."""

    policy: str
    operation: str
    request: Request

    @classmethod
    def of(cls, policy: str, told: Mapping[str, Any]) -> Asked:
        """From what `python -m sandbox enforce --json` has in `asked`."""
        context = {key: tuple(values) for key, values in told["context"].items()}
        return cls(policy, told["operation"], Request(told["action"], told["resource"], context))

    @property
    def held(self) -> tuple[str, ...]:
        """The policies that it is asked for under."""
        return tuple(dict.fromkeys(("diagnose", self.policy)))


class UngrantedError(Exception):
    """An action that was asked for has no place in `grants.py`."""


def read() -> Record:
    found: Record = json.loads(RECORD.read_text())
    return found


def recorded(asked: Iterable[Asked]) -> Record:
    found: dict[str, dict[str, set[str]]] = {name: {} for name in NAMES}
    for each in asked:
        found[each.policy].setdefault(each.request.action, set()).add(each.operation)
    return {
        name: {action: sorted(operations) for action, operations in sorted(actions.items())}
        for name, actions in found.items()
    }


def refused(record: Record, asked: Iterable[Asked]) -> list[str]:
    """What was asked for, and the policies that this record makes refuse: by resource, by condition or by a denial."""
    made = {name: Policy.parse(policy(record, name)) for name in NAMES}
    return [
        f"{each.policy}: {each.request.action} on {each.request.resource} {why}"
        for each in asked
        if (why := refusal([made[name] for name in each.held], each.request))
    ]


def asked(record: Record, name: str) -> set[str]:
    """The actions that its playbooks asked for. A run of site.yml that fails also takes itself back."""
    return {*record[name], *(record["rollback"] if name == "site" else ())}


def actions(record: Record, name: str) -> set[str]:
    """The actions that a policy allows."""
    return asked(record, name) - ({*record["diagnose"]} if name != "diagnose" else set())


def policy(record: Record, name: str) -> dict[str, Any]:
    allowed = list(allowing(actions(record, name)))
    denials = [*map(denied, NEVER), *map(denied_but, NEVER_BUT)] if name == "diagnose" else []
    return {"Version": "2012-10-17", "Statement": [*allowed, *denials]}


def allowing(wanted: set[str]) -> Iterator[dict[str, Any]]:
    """The statements of `grants.py`, each with what is wanted of it."""
    if ungranted := wanted - {action for grant in GRANTS for action in grant.actions}:
        raise UngrantedError(f"say in tests/iam/grants.py where these may be done: {sorted(ungranted)}")
    for grant in GRANTS:
        if grant.actions & wanted:
            yield grant.statement(grant.actions & wanted)


def denied(grant: Grant) -> dict[str, Any]:
    return {**grant.statement(grant.actions), "Effect": "Deny"}


def denied_but(grant: Grant) -> dict[str, Any]:
    return {("NotResource" if key == "Resource" else key): value for key, value in denied(grant).items()}


def text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"


def write(record: Record) -> None:
    DIRECTORY.mkdir(exist_ok=True)
    for name in NAMES:
        (DIRECTORY / f"{name}.json").write_text(text(policy(record, name)))
