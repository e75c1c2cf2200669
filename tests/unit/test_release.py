"""What a release is called, what stops it, and that the work tree is as it was when there is none."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import release, stages
from tests.sanity import ROOT, tool, tracked


@pytest.mark.parametrize(
    ("current", "told", "wanted"),
    [
        ((0, 1, 0), {"bugfixes"}, (0, 1, 1)),
        ((0, 1, 3), {"bugfixes", "minor_changes"}, (0, 2, 0)),
        ((0, 1, 3), {"breaking_changes"}, (0, 2, 0)),
        ((1, 4, 2), {"security_fixes"}, (1, 4, 3)),
        ((1, 4, 2), {"major_changes"}, (1, 5, 0)),
        ((1, 4, 2), {"removed_features", "bugfixes"}, (2, 0, 0)),
    ],
)
def test_the_next_version_follows_from_the_kinds_of_changes(
    current: release.Version, told: set[str], wanted: release.Version
) -> None:
    assert release.following(current, told) == wanted


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A collection of which 0.3.0 is released, with one fragment."""
    (tmp_path / "galaxy.yml").write_text("namespace: hokusai\nversion: 0.3.0\nname: platform\n")
    (tmp_path / "changelogs" / "fragments").mkdir(parents=True)
    (tmp_path / "changelogs" / "fragments" / "fix.yml").write_text("bugfixes:\n  - something\n")
    return tmp_path


def test_without_a_wish_it_is_the_next_version(tree: Path) -> None:
    assert release.choose(tree, None) == "0.3.1"


@pytest.mark.parametrize("wanted", ["0.3.0", "0.2.9", "0.4", "next"])
def test_a_version_that_is_none_or_not_newer_is_refused(tree: Path, wanted: str) -> None:
    with pytest.raises(release.ReleaseError, match=wanted):
        release.choose(tree, wanted)


def test_without_a_fragment_there_is_nothing_to_release(tree: Path) -> None:
    (tree / "changelogs" / "fragments" / "fix.yml").unlink()
    with pytest.raises(release.ReleaseError, match="nothing to release"):
        release.choose(tree, "0.4.0")


def test_the_version_is_the_only_line_of_the_description_that_changes(tree: Path) -> None:
    release.write_version(tree, "0.4.0")
    assert (tree / "galaxy.yml").read_text() == "namespace: hokusai\nversion: 0.4.0\nname: platform\n"


def test_a_warning_of_the_importer_is_a_complaint() -> None:
    printed = "Importing with galaxy-importer 1\nLoading role x\nWARNING: no tag\nERROR: no readme\nerrors: none\n"
    assert release.complaints(printed) == ["WARNING: no tag", "ERROR: no readme"]


def test_what_an_importer_complains_of_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(release.ReleaseError, match="galaxy_importer"):
        release.import_collection(tmp_path / "hokusai-platform-0.1.0.tar.gz")


@pytest.fixture
def work_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed copy of this one, with a fragment of its own."""
    tracked(ROOT, tmp_path)
    (tmp_path / "changelogs" / "fragments" / "of-the-test.yml").write_text("bugfixes:\n  - something\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "--message", "m")
    monkeypatch.setattr(release, "ROOT", tmp_path)
    monkeypatch.setattr(release, "BUILD", tmp_path / "build" / "release")
    return tmp_path


def git(tree: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=tree, check=True, capture_output=True, text=True).stdout


def test_a_release_brings_version_and_changelog_into_the_work_tree_once_the_importer_is_content(
    work_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_tarball: Path) -> None:
        raise release.ReleaseError("not content")

    monkeypatch.setattr(release, "import_collection", refuse)
    with pytest.raises(release.ReleaseError, match="not content"):
        release.release(None, dry=False)
    assert git(work_tree, "status", "--porcelain") == ""
    monkeypatch.setattr(release, "import_collection", lambda _tarball: None)
    version = release.release(None, dry=True)["version"]
    assert git(work_tree, "status", "--porcelain") == ""
    changed = release.release(None, dry=False)["changed"]
    assert {line[3:] for line in git(work_tree, "status", "--porcelain").splitlines()} == set(changed)
    assert release.fragments(work_tree) == []
    assert yaml.safe_load((work_tree / "galaxy.yml").read_text())["version"] == version
    assert f"v{version}" in (work_tree / "CHANGELOG.md").read_text().replace("\\", "")
    with pytest.raises(release.ReleaseError, match="not committed"):
        release.release(None, dry=False)


def test_what_was_released_is_what_the_changelog_ends_with() -> None:
    released = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    told = yaml.safe_load((ROOT / "changelogs" / "changelog.yaml").read_text())["releases"]
    assert max(map(release.parse, told)) == release.parse(released)


@pytest.mark.parametrize("path", sorted((ROOT / "plugins" / "modules").glob("*.py")), ids=lambda path: path.stem)
def test_a_module_was_added_by_the_release_that_lists_it_or_comes_with_the_next_one(path: Path) -> None:
    releases = yaml.safe_load((ROOT / "changelogs" / "changelog.yaml").read_text())["releases"]
    listed = {each["name"]: version for version, told in releases.items() for each in told.get("modules", ())}
    following = release.following(max(map(release.parse, releases)), release.sections(release.fragments(ROOT)))
    added = re.search(r"^version_added: (.*)$", path.read_text(), re.MULTILINE)
    assert added
    if path.stem in listed:
        assert added[1] == listed[path.stem]
    else:
        assert release.parse(added[1]) >= following


def test_what_the_changelogs_tool_leaves_behind_is_not_shipped() -> None:
    assert "changelogs/.plugin-cache.yaml" in yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]


def test_every_requirement_of_development_is_pinned() -> None:
    for name in ("requirements-dev.txt", "requirements-bench.txt", "gateway/requirements.txt"):
        lines = [line.partition("#")[0].partition(";")[0].strip() for line in (ROOT / name).read_text().splitlines()]
        assert [line for line in lines if line and "==" not in line and not line.startswith("--hash")] == []


def test_the_execution_environment_holds_the_tarball_and_what_the_collection_requires(tmp_path: Path) -> None:
    """The context only: no container engine is needed, and no network."""
    tracked(ROOT, tmp_path / "tree")
    tarball = tmp_path / "tree" / release.BUILD.relative_to(ROOT) / release.STABLE_NAME
    tarball.parent.mkdir(parents=True)
    tarball.write_bytes(b"the collection")
    context = tmp_path / "context"
    command = [tool("ansible-builder"), "create", "--context", str(context)]
    subprocess.run(command, cwd=tmp_path / "tree", check=True, capture_output=True)
    collections = yaml.safe_load((context / "_build" / "requirements.yml").read_text())["collections"]
    assert [(context / "_build" / each["name"]).read_bytes() for each in collections] == [b"the collection"]
    wanted = (ROOT / "requirements-verification.txt").read_text()
    assert (context / "_build" / "requirements.txt").read_text().split() == wanted.split()
    core = next(line for line in (ROOT / "requirements-dev.txt").read_text().split() if line.startswith("ansible-core"))
    assert core in (context / "Dockerfile").read_text()


def test_ansible_builder_finds_what_the_collection_itself_requires() -> None:
    command = [tool("ansible-builder"), "introspect", str(ROOT / ".collections")]
    told = yaml.safe_load(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert {line.partition(">")[0] for line in told["python"]} == {"boto3", "botocore"}


def test_each_hook_runs_a_stage_of_the_checks() -> None:
    settings = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in settings["repos"]] == ["local"]
    hooks = settings["repos"][0]["hooks"]
    assert {hook["entry"] for hook in hooks} == {
        f".venv/bin/python tests/stages.py {name}" for name in ("lint", "types", "ansible-lint")
    }
    assert {hook["id"] for hook in hooks} <= {stage.name for stage in stages.STAGES}


def test_a_commit_that_the_linter_refuses_is_refused(tmp_path: Path) -> None:
    tracked(ROOT, tmp_path)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "tests" / "unit" / "test_release.py").write_text("import os\n")
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    home = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "build" / "pre-commit")}
    command = [tool("pre-commit"), "run", "lint"]
    ended = subprocess.run(command, cwd=tmp_path, env=home, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "F401" in ended.stdout
