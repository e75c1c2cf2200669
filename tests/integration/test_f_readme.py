"""Every command in the README is run somewhere; a new one has to be added here, together with what runs it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.harness import ROOT, Sandbox, run

RUN_HERE = {
    'eval "$(.venv/bin/python -m sandbox env)"',
    "curl -s https://registry.hokus.ai/api/health/mlflow",
    ".venv/bin/python -m sandbox status",
    "ansible-doc hokusai.platform.alb_rules",
}
RUN_ELSEWHERE = {
    "make demo": "test_g_demo.py",
    "make test": "what runs this test",
    ".venv/bin/python -m sandbox down": "conftest.py",
    "ansible-playbook playbooks/site.yml -i inventories/development --check --diff": "test_b_repair.py",
    "ansible-playbook playbooks/site.yml -i inventories/development": "test_d_breakage.py",
    "ansible-playbook playbooks/verify.yml -i inventories/development": "test_d_breakage.py",
    "ansible-playbook playbooks/history.yml -i inventories/development": "test_h_runs.py",
    "ansible-playbook playbooks/rollback.yml -i inventories/development --check --diff": "test_i_rollback.py, on the "
    "inventory sandbox",
    "ansible-galaxy collection build": "test_e_installed.py",
    "ansible-galaxy collection install hokusai-platform-*.tar.gz": "test_e_installed.py",
    "ansible-playbook hokusai.platform.site -i inventories/development": "test_e_installed.py",
}

RUNS = {
    "ansible-playbook playbooks/site.yml -i inventories/development --check "
    "-e hokusai_plan_out=plan.json": "test_b_repair.py, on the inventory sandbox",
    "ansible-playbook playbooks/site.yml -i inventories/development "
    "-e hokusai_plan=plan.json": "test_b_repair.py, on the inventory sandbox",
    "ansible-playbook playbooks/history.yml -i inventories/development": "test_h_runs.py",
    "ansible-playbook playbooks/site.yml -i inventories/development "
    "-e hokusai_break_lock=20261121T150000Z-1a2b3c": "test_h_runs.py, on the inventory sandbox",
}
"""The commands of docs/runs.md."""

ROLLBACK = {
    "ansible-playbook playbooks/rollback.yml -i inventories/development --check --diff": "test_i_rollback.py",
    "ansible-playbook playbooks/rollback.yml -i inventories/development": "test_i_rollback.py",
    "ansible-playbook playbooks/rollback.yml -i inventories/development "
    "-e run_id=20261121T150000Z-1a2b3c": "test_i_rollback.py",
    "ansible-playbook playbooks/rollback.yml -i inventories/development "
    "-e run_id=20261121T150000Z-1a2b3c -e hokusai_allow_bypass=yes": "molecule/rollback",
}
"""The commands of docs/rollback.md, all run on the inventory sandbox."""

CANARY = {
    "ansible-playbook playbooks/canary.yml -i inventories/development -e canary_image=IMAGE",
    "ansible-playbook playbooks/canary.yml -i inventories/development",
    "ansible-playbook playbooks/canary.yml -i inventories/development -e canary_action=abort",
    "ansible-playbook playbooks/canary.yml -i inventories/development --check",
    "ansible-playbook playbooks/canary.yml -i inventories/development -e hokusai_break_lock=20261121T150000Z-1a2b3c",
}
"""The commands of docs/canary.md, all run by test_h_canary.py on the inventory sandbox."""


MONITORING = {
    "ansible-playbook playbooks/verify.yml -i inventories/development "
    "-e hokusai_publish_metrics=true": "test_h_monitoring.py, on the inventory sandbox",
}
"""The command of docs/monitoring.md."""


def commands(document: Path) -> list[str]:
    """The lines of the fenced blocks that are not output (```text) and not the drawing."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    shell = [block for language, block in blocks if language in ("", "sh", "bash") and "│" not in block]
    return [line for block in shell for line in block.splitlines() if line.strip()]


def test_every_command_of_the_readme_is_run_somewhere() -> None:
    found = set(commands(ROOT / "README.md"))
    assert found == RUN_HERE | set(RUN_ELSEWHERE)


def test_every_command_about_runs_is_run_somewhere() -> None:
    assert set(commands(ROOT / "docs" / "runs.md")) == set(RUNS)


def test_every_command_about_taking_back_is_run_somewhere() -> None:
    listed = commands(ROOT / "docs" / "rollback.md")
    assert {line.partition("#")[0].strip() for line in listed} == set(ROLLBACK)


def test_every_command_about_canaries_is_run_somewhere() -> None:
    listed = commands(ROOT / "docs" / "canary.md")
    assert {line.partition("#")[0].strip() for line in listed} == CANARY


def test_every_command_about_monitoring_is_run_somewhere() -> None:
    assert set(commands(ROOT / "docs" / "monitoring.md")) == set(MONITORING)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_for_looking_around_work_as_they_stand(repaired: Sandbox) -> None:
    wanted = [command for command in commands(ROOT / "README.md") if command in RUN_HERE]
    script = "set -euo pipefail\n" + "\n".join(wanted)
    output = run(["bash", "-c", script], {"HOKUSAI_SANDBOX_HOME": str(repaired.home)}).wanted().output
    assert "hokusai-mlflow-development" in output
    assert "hokusai.platform.alb_rules" in output


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)\)", (ROOT / "README.md").read_text())
    assert not [target for target in targets if not (ROOT / target).exists()]
