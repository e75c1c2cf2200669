"""What docs/troubleshooting.md says no role repairs as the inventory is, none does, on a control plane alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sandbox.controlplane import ControlPlane
from sandbox.faults.catalogue import all_faults
from sandbox.tests.fault_stage import Stage
from tests.harness import ROOT, run

ROLES = ("alb_routing", "service_discovery", "security_groups", "auth_config")
REGION = "us-east-1"
MADE_WITH_MORE = {"C02", "C03", "C04", "C08"}
"""To be seen at all they also switch off the circuit breaker, which `service_discovery` switches on again."""
REFUSED = {"E10"}
"""A role says so instead."""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    plane = ControlPlane()
    plane.start()
    plane.reset()
    yield Stage(plane, tmp_path)
    plane.stop()


def test_what_no_role_repairs_as_the_inventory_is_none_does(stage: Stage, tmp_path: Path) -> None:
    names = unrepaired() - MADE_WITH_MORE - REFUSED
    assert {"N03", "N04", "E09", "E20", "T13"} <= names
    stage.make(*sorted(names))
    playbook = tmp_path / "roles.yml"
    playbook.write_text(yaml.safe_dump([play()]))
    place = {"AWS_ENDPOINT_URL": stage.plane.url, "AWS_ACCESS_KEY_ID": "sandbox", "AWS_SECRET_ACCESS_KEY": "sandbox"}
    ended = run(["ansible-playbook", str(playbook), "-i", "inventories/development", "--check"], place)
    assert ended.wanted().changed == 0, ended.output


def unrepaired() -> set[str]:
    """The faults in rows whose last column is something else than the name of one role."""
    status = re.split(r"^## Timeout$", (ROOT / "docs" / "troubleshooting.md").read_text(), flags=re.MULTILINE)[0]
    rows = [line for line in status.splitlines() if line.startswith("| ")]
    named = {row: set(re.findall(r"\b[A-Z]\d\d\b", row)) for row in rows}
    return {
        name
        for row, names in named.items()
        for name in names & {fault.id for fault in all_faults()}
        if row.split("|")[-2].strip(" `") not in ROLES
    }


def play() -> dict[str, object]:
    return {
        "hosts": "hokusai_platforms",
        "gather_facts": False,
        "module_defaults": {"group/hokusai.platform.aws": {"region": REGION}},
        "tasks": [{"ansible.builtin.import_role": {"name": f"hokusai.platform.{name}"}} for name in ROLES],
    }
