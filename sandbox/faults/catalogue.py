"""Every fault that the sandbox can make, and those of the catalogue that it cannot, with the reason."""

from __future__ import annotations

from sandbox.faults import auth, causes, compute, discovery, edge, network, operations, targets
from sandbox.faults.registry import FAULTS, Entry

LAYERS = (edge, targets, compute, discovery, network, auth, operations, causes)
"""Importing a layer puts its faults into the list."""

NOT_MADE = {
    "A08": "the gateway remembers an answer for 60 s at most, whatever it is told",
    "A09": "the gateway does not do it: gateway/tests/test_auth_cache.py",
    "A10": "the gateway does not do it: gateway/tests/test_status.py",
    "C09": "AWS alone has capacity to run out of, and the subnets have 750 addresses",
    "D12": "the sandbox's resolver forwards nothing",
    "D13": "nothing here remembers that there was no such name",
    "E18": "there is no WAF",
    "M01": "MLflow's artifacts lie on this machine's disk: no role is asked",
    "M02": "MLflow's artifacts lie on this machine's disk: clients have no store to go to",
    "M03": "MLflow's store is a file of sqlite here, and outlives its tasks",
    "M04": "MLflow's store is a file: it has neither connections nor a security group",
    "M05": "there is one version of MLflow, which made its schema",
    "M07": "tasks share this machine's disk",
    "N13": "the platform has no VPC endpoints",
    "O07": "a record lies with the client: the tests damage it",
    "O09": "drift is whatever a test changes between a run and its rollback",
    "O10": "there is no Terraform; its next apply is E07, E08 or E10 broken anew",
    "O14": "the directory lies with the client",
    "O16": "an old boto3 lies with the client",
    "P01": "is E19",
    "P03": "the gateway does not do it: gateway/tests/test_failures.py",
    "P04": "the gateway strips its prefix whatever its configuration",
    "P05": "the gateway does not do it: gateway/tests/test_static_prefix.py",
    "P07": "the gateway answers for the origin itself: gateway/tests/test_forwarding.py",
    "P08": "the gateway does not do it: gateway/tests/test_forwarding.py",
    "P09": "the gateway does not do it: gateway/tests/test_smuggling.py",
    "P10": "the gateway does not do it: gateway/tests/test_streaming.py",
    "P11": "the gateway does not do it: gateway/tests/test_forwarding.py",
    "P12": "the gateway does not do it: gateway/tests/test_forwarding.py",
    "P13": "the gateway does not do it: gateway/tests/test_hops.py",
    "P14": "the gateway does not do it: gateway/tests/test_forwarding.py",
    "P15": "the gateway does not do it: gateway/tests/test_forwarding.py",
    "T06": "the sandbox's load balancer speaks HTTP/1.1 to every target group",
    "T15": "there is no zonal shift",
    "W01": "a run makes the alarms, the sandbox none: tests/unit/test_inventory_alarms.py",
    "W02": "a run makes the alarms, the sandbox none: tests/unit/test_cloudwatch_alarms.py",
    "W04": "a run makes the alarms, the sandbox none: tests/unit/test_cloudwatch_alarms.py",
    "W05": "a run makes the alarms, the sandbox none: tests/integration/test_h_monitoring.py",
    "W08": "a run makes the alarms, the sandbox none: tests/integration/test_h_canary.py",
    "W10": "is what a sandbox has that nobody asks: tests/integration/test_h_canary.py",
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
