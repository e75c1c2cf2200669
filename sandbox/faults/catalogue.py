"""Every fault that the sandbox can make, and those of the catalogue that it cannot, with the reason."""

from __future__ import annotations

from sandbox.faults import auth, causes, compute, discovery, edge, network, operations, targets
from sandbox.faults.registry import FAULTS, Entry

LAYERS = (edge, targets, compute, discovery, network, auth, operations, causes)
"""Importing a layer puts its faults into the list."""

NOT_MADE = {
    "D01": "a namespace can only be deleted empty, and comes back with another id",
    "E03": "zones of the same name are not told apart by the sandbox's resolver",
    "E05": "an imported certificate is neither pending nor renewed",
    "E18": "there is no WAF",
    "E21": "routes and subnets are not evaluated",
    "M07": "tasks share this machine's disk",
    "O07": "a record lies with the client: the tests damage it",
    "O09": "drift is whatever a test changes between a run and its rollback",
    "O10": "there is no Terraform; its next apply is E07, E08 or E10 broken anew",
    "O14": "the directory lies with the client",
    "O16": "an old boto3 lies with the client",
    "P04": "the gateway strips its prefix whatever its configuration",
}


def table() -> list[str]:
    """The rows of docs/faults.md."""
    rows = []
    for entry in all_faults():
        notes = [f"cause {entry.cause} of the incident"] if entry.cause else []
        notes += ["only AWS's API shows it"] if entry.api_only else []
        notes += [f"`heal` makes {entry.recreates} anew"] if entry.recreates else []
        summary = entry.summary.replace("*", r"\*")
        rows.append(f"| {entry.id} | {summary} | {entry.symptom} | {'; '.join(notes)} |")
    return rows


def all_faults() -> list[Entry]:
    """In the order of their IDs."""
    return [FAULTS[name] for name in sorted(FAULTS)]
