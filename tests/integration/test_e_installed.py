"""The collection as a user gets it: built into a tarball, installed somewhere else, run by its name."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.harness import ROOT, Sandbox, play, run
from tests.sanity import build_collection


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_collection(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def elsewhere(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds nothing but the installed collection, under `collections`."""
    directory = tmp_path_factory.mktemp("elsewhere")
    command = [
        "ansible-galaxy",
        "collection",
        "install",
        str(tarball),
        "-p",
        str(directory / "collections"),
        "--offline",
    ]
    run(command, cwd=directory).wanted()
    return directory


def test_the_tarball_holds_the_collection_and_nothing_of_the_workshop(tarball: Path) -> None:
    with tarfile.open(tarball) as content:
        names = content.getnames()
    tops = {name.split("/")[0] for name in names}
    assert {"plugins", "roles", "playbooks", "meta", "README.md", "LICENSE", "CHANGELOG.md", "requirements.txt"} <= tops
    assert not tops & {"gateway", "sandbox", "tests", "molecule", "Makefile", "pyproject.toml", ".ci", ".gitignore"}


def test_the_installed_playbook_runs_from_an_empty_directory(repaired: Sandbox, elsewhere: Path) -> None:
    ended = play(
        "hokusai.platform.site",
        inventory=str(ROOT / "inventories" / "development"),
        extra=repaired.environment | {"ANSIBLE_COLLECTIONS_PATH": str(elsewhere / "collections")},
        cwd=elsewhere,
    )
    assert ended.wanted().changed == 0
    assert "failed=0" in ended.output


def test_the_modules_are_documented_where_ansible_looks(elsewhere: Path) -> None:
    extra = {"ANSIBLE_COLLECTIONS_PATH": str(elsewhere / "collections")}
    listed = run(["ansible-doc", "--list", "hokusai.platform"], extra, elsewhere).wanted().output
    written = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}
    assert written == {
        line.split()[0].rpartition(".")[2] for line in listed.splitlines() if line.startswith("hokusai.")
    }
