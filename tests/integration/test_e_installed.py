"""The collection as a user gets it: built into a tarball, installed somewhere else, run by its name."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.harness import ROOT, Run, Sandbox, run
from tests.sanity import build_collection, tracked

INSTALLATION = """
ansible-galaxy collection build --output-path ~/hokusai
cp -R inventories ~/hokusai
cd ~/hokusai
ansible-galaxy collection install hokusai-platform-*.tar.gz
ansible-playbook hokusai.platform.site -i inventories/development
"""


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_collection(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def installed(repaired: Sandbox, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What came of the README's commands, in a checkout that `make install` has linked to its own `.collections`."""
    checkout = tmp_path_factory.mktemp("checkout")
    tracked(ROOT, checkout)
    link = checkout / ".collections" / "ansible_collections" / "hokusai" / "platform"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../..")
    return run(["bash", "-ec", INSTALLATION], repaired.environment | {"HOME": str(home)}, checkout).wanted()


def test_the_tarball_holds_the_collection_and_nothing_of_the_workshop(tarball: Path) -> None:
    with tarfile.open(tarball) as content:
        names = content.getnames()
    tops = {name.split("/")[0] for name in names}
    assert {"plugins", "roles", "playbooks", "meta", "README.md", "LICENSE", "CHANGELOG.md", "requirements.txt"} <= tops
    assert not tops & {"gateway", "sandbox", "tests", "molecule", "Makefile", "pyproject.toml", ".ci", ".gitignore"}


def test_the_installed_playbook_runs_outside_the_checkout(installed: Run, home: Path) -> None:
    assert installed.changed == 0
    assert "failed=0" in installed.output


def test_the_modules_are_documented_where_ansible_looks(installed: Run, home: Path) -> None:
    listed = run(["ansible-doc", "--list", "hokusai.platform"], {"HOME": str(home)}, home).wanted().output
    written = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}
    assert written == {
        line.split()[0].rpartition(".")[2] for line in listed.splitlines() if line.startswith("hokusai.")
    }
