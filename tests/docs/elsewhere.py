"""Commands of the documents that another test runs, since it needs what the documents' own sandbox is not.

A new one has to be added here, together with what runs it.
"""

from __future__ import annotations

SITE, ROLLBACK = (f"ansible-playbook playbooks/{name}.yml -i inventories/development" for name in ("site", "rollback"))
CANARY = "ansible-playbook playbooks/canary.yml -i inventories/development"
RUN_ID = "20261121T150000Z-1a2b3c"

REPAIR = "tests/integration/test_b_repair.py"
BREAKAGE = "tests/integration/test_d_breakage.py"
INSTALLED = "tests/integration/test_e_installed.py"
RUNS = "tests/integration/test_h_runs.py"
TAKEN_BACK = "tests/integration/test_i_rollback.py"
MONITORED = "tests/integration/test_h_monitoring.py"
CANARIES = "tests/integration/test_h_canary.py"
RECOVERED = "tests/unit/test_record_recovery.py"

COMMANDS = {
    "make demo": "tests/integration/test_g_demo.py",
    "make test": "tests/stages.py",
    "make release": "tests/release.py",
    "make iam": "tests/iam/__main__.py",
    f"{SITE} --check --diff": REPAIR,
    f"{SITE} --check -e hokusai_plan_out=plan.json": REPAIR,
    f"{SITE} -e hokusai_plan=plan.json": REPAIR,
    SITE: BREAKAGE,
    "ansible-playbook playbooks/verify.yml -i inventories/development": BREAKAGE,
    "ansible-playbook playbooks/verify.yml -i inventories/development -e hokusai_publish_metrics=true": MONITORED,
    "ansible-playbook playbooks/history.yml -i inventories/development": RUNS,
    f"{SITE} -e hokusai_break_lock={RUN_ID}": RUNS,
    f"{ROLLBACK} --check --diff": TAKEN_BACK,
    ROLLBACK: TAKEN_BACK,
    f"{ROLLBACK} -e run_id={RUN_ID}": TAKEN_BACK,
    f"{ROLLBACK} -e run_id={RUN_ID} -e hokusai_allow_bypass=yes": "molecule/rollback/converge.yml",
    "aws s3api list-object-versions --bucket hokusai-runs --prefix development/RUN/": RECOVERED,
    "aws s3api copy-object --bucket hokusai-runs --key development/RUN/run.json "
    '--copy-source "hokusai-runs/development/RUN/run.json?versionId=VERSION"': RECOVERED,
    "ansible-galaxy collection build": INSTALLED,
    "ansible-galaxy collection install hokusai-platform-*.tar.gz": INSTALLED,
    "ansible-playbook hokusai.platform.site -i inventories/development": INSTALLED,
    f"{CANARY} -e canary_image=IMAGE": CANARIES,
    CANARY: CANARIES,
    f"{CANARY} -e canary_action=abort": CANARIES,
    f"{CANARY} --check": CANARIES,
    f"{CANARY} -e hokusai_break_lock={RUN_ID}": CANARIES,
    "MLFLOW_SERVER_URL=http://mlflow.hokusai-development.local:5000 "
    "HOKUSAI_AUTH_SERVICE_URL=http://auth.hokusai-development.local:8000 python -m gateway": "gateway/tests/process.py",
}
"""What runs a command, here or on the inventory `sandbox`."""
