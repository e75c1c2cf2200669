"""Commands of the documents that something else runs: another document's page, or a test, since it needs what the
documents' own sandbox is not.

A new one has to be added here, together with what runs it.
"""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """A file, and the pieces of its text that run the command; a document's page has the command itself, and runs it.

    What is run besides is the inventory `sandbox` for `development`, or variables that come on top.
    """

    file: str
    lines: tuple[str, ...] = ()


SITE, ROLLBACK = (f"ansible-playbook playbooks/{name}.yml -i inventories/development" for name in ("site", "rollback"))
CANARY = "ansible-playbook playbooks/canary.yml -i inventories/development"
RUN_ID = "20261121T150000Z-1a2b3c"

FIRST = Place("docs/getting-started.md")
RUNBOOK = Place("docs/runbook.md")
CANARIES = "tests/integration/test_h_canary.py"
CANARY_PLAYBOOK = 'PLAYBOOK = "playbooks/canary.yml"'
PLAN = "saved = f\"hokusai_plan_out={sandbox.home / 'plan.json'}\""
PERMITTED = '"rollback", run_id=stage.newest(), hokusai_allow_bypass=True)'
INSTALLED = "tests/integration/test_e_installed.py"
INSTALLATION = (
    "ansible-galaxy collection build --output-path ~/hokusai",
    "cp -R inventories ~/hokusai",
    "cd ~/hokusai",
    "ansible-galaxy collection install hokusai-platform-*.tar.gz",
    "ansible-playbook hokusai.platform.site -i inventories/development",
)

COMMANDS = {
    "make demo": Place("tests/integration/test_g_demo.py", ('run([sys.executable, "tests/demo.py"], here)',)),
    "make test": Place(".ci/run", ("exec make test",)),
    # In a copy of the tree alone.
    "make release": Place("tests/stages.py", ('("python", "tests/release.py", "--dry-run")',)),
    f"{SITE} --check --diff": FIRST,
    f"{SITE} --check -e hokusai_plan_out=plan.json": Place(
        "tests/integration/conftest.py", (PLAN, '"playbooks/site.yml", "--check", "--diff", "-e", saved')
    ),
    f"{SITE} -e hokusai_plan=plan.json": Place(
        "tests/integration/conftest.py", ('"playbooks/site.yml", "-e", f"hokusai_plan={sandbox.home',)
    ),
    SITE: FIRST,
    "ansible-playbook playbooks/verify.yml -i inventories/development": Place(
        "tests/integration/test_d_breakage.py", ('counted(repaired, "playbooks/verify.yml", extra=at)',)
    ),
    "ansible-playbook playbooks/verify.yml -i inventories/development -e hokusai_publish_metrics=true": Place(
        "tests/integration/test_h_monitoring.py",
        ('PUBLISHING = ("-e", "hokusai_publish_metrics=true")', 'play("playbooks/verify.yml", *PUBLISHING, extra=at)'),
    ),
    "ansible-playbook playbooks/history.yml -i inventories/development": RUNBOOK,
    f"{SITE} -e hokusai_break_lock={RUN_ID}": Place(
        "tests/integration/test_h_runs.py",
        ('given = {"hokusai_break_lock": DEAD', '"playbooks/site.yml", "-e", json.dumps(given)'),
    ),
    f"{ROLLBACK} --check --diff": RUNBOOK,
    ROLLBACK: RUNBOOK,
    f"{ROLLBACK} -e run_id={RUN_ID}": Place(CANARIES, ('platform.play("playbooks/rollback.yml", run_id=',)),
    f"{ROLLBACK} -e run_id={RUN_ID} -e hokusai_allow_bypass=yes": Place(
        "tests/integration/test_j_permissions.py", (PERMITTED,)
    ),
    "aws s3api list-object-versions --bucket hokusai-runs --prefix development/RUN/": Place(
        "tests/unit/test_record_recovery.py", ("list_object_versions(Bucket=BUCKET, Prefix=",)
    ),
    "aws s3api copy-object --bucket hokusai-runs --key development/RUN/run.json "
    '--copy-source "hokusai-runs/development/RUN/run.json?versionId=VERSION"': Place(
        "tests/unit/test_record_recovery.py",
        ('copy_object(Bucket=BUCKET, Key=key, CopySource=f"{BUCKET}/{key}?versionId={version}")',),
    ),
    **{command: Place(INSTALLED, (command, '["bash", "-ec", INSTALLATION]')) for command in INSTALLATION},
    f"{CANARY} -e canary_image=IMAGE": Place(CANARIES, (CANARY_PLAYBOOK, "run = platform.play(canary_image=")),
    # Both with the lock of the one that was cut off broken; without that it is refused.
    CANARY: Place(CANARIES, (CANARY_PLAYBOOK, "run = platform.play(**given)", '2026.14.0", PLAYBOOK, bake=3)')),
    f"{CANARY} -e canary_action=abort": Place(
        CANARIES, (CANARY_PLAYBOOK, "run = platform.play(**given)", 'bake=600, canary_action="abort", ')
    ),
    f"{CANARY} --check": Place(CANARIES, (CANARY_PLAYBOOK, 'play(PLAYBOOK, "--check", "-e"', "platform.predict(**")),
    f"{CANARY} -e hokusai_break_lock={RUN_ID}": Place(
        CANARIES, (CANARY_PLAYBOOK, '"hokusai_break_lock": killed["run_id"]', "run = platform.play(**given)")
    ),
    "MLFLOW_SERVER_URL=http://mlflow.hokusai-development.local:5000 "
    "HOKUSAI_AUTH_SERVICE_URL=http://auth.hokusai-development.local:8000 python -m gateway": Place(
        "gateway/tests/conftest.py",
        ('"MLFLOW_SERVER_URL": mlflow_url', '"HOKUSAI_AUTH_SERVICE_URL": auth.url', "running_gateway("),
    ),
}
"""What runs a command, here or on the inventory `sandbox`."""

COMPARED = {
    ("make demo",): "tests/integration/test_g_demo.py",
    ("ansible-playbook playbooks/history.yml -i inventories/development",): "tests/integration/test_h_runs.py",
}
"""By a block that is run elsewhere, and of which the document says what it prints, the test that compares that."""
