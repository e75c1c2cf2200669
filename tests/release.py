"""Make a release: version, changelog and tarball, and Galaxy's importer has nothing to say about the tarball.

    python tests/release.py                    the next version, by what the changelog fragments hold
    python tests/release.py --version 1.0.0    this one
    python tests/release.py --dry-run          the same in a copy alone: the work tree stays as it is

Everything happens in a copy of the tracked files below `build/release`. Only when the importer is content are
galaxy.yml, the changelog and the used fragments taken over into the work tree, for somebody to look at and commit.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.sanity import ROOT, tool, tracked

BIN = Path(sys.executable).parent
BUILD = ROOT / "build" / "release"
IMPORTER_SETTINGS = ROOT / "tests" / "galaxy-importer.cfg"
STABLE_NAME = "hokusai-platform.tar.gz"
"""The tarball under the name by which execution-environment.yml knows it, whatever the version."""

BREAKING = {"breaking_changes", "removed_features"}
GROWING = {"major_changes", "minor_changes", "deprecated_features"}
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")

Version = tuple[int, int, int]


class ReleaseError(Exception):
    """Why there is no release; nothing of the work tree was changed."""


def parse(text: str) -> Version:
    found = VERSION.fullmatch(text)
    if found is None:
        raise ReleaseError(f"{text} is no version of the form 1.2.3")
    return int(found[1]), int(found[2]), int(found[3])


def following(current: Version, sections: Iterable[str]) -> Version:
    """The version after `current` by semantic versioning; before 1.0.0 what breaks raises the second number."""
    major, minor, patch = current
    told = set(sections)
    if told & BREAKING and major:
        return major + 1, 0, 0
    if told & (BREAKING | GROWING):
        return major, minor + 1, 0
    return major, minor, patch + 1


def fragments(tree: Path) -> list[Path]:
    return sorted((tree / "changelogs" / "fragments").glob("*.yml"))


def sections(files: Iterable[Path]) -> set[str]:
    """The kinds of changes that the fragments tell of."""
    return {section for file in files for section in yaml.safe_load(file.read_text())}


def choose(tree: Path, wanted: str | None) -> str:
    """The version to release, which must be newer than the last one."""
    released = parse(yaml.safe_load((tree / "galaxy.yml").read_text())["version"])
    told = sections(fragments(tree))
    if not told:
        raise ReleaseError("changelogs/fragments is empty: there is nothing to release")
    chosen = parse(wanted) if wanted else following(released, told)
    if chosen <= released:
        raise ReleaseError(f"version {wanted} is not newer than the last one, {'.'.join(map(str, released))}")
    return ".".join(map(str, chosen))


def run(command: Sequence[str], cwd: Path, extra: Mapping[str, str] | None = None) -> str:
    """What a program printed, standard error included; a failing one ends the release."""
    ended = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1", **(extra or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise ReleaseError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}")
    return ended.stdout


def write_version(tree: Path, version: str) -> None:
    """Into galaxy.yml, whose comments and order stay."""
    file = tree / "galaxy.yml"
    text, count = re.subn(r"(?m)^version: .*$", f"version: {version}", file.read_text())
    if count != 1:
        raise ReleaseError("galaxy.yml has not exactly one line that begins with version:")
    file.write_text(text)


def write_changelog(tree: Path, version: str) -> None:
    """From the fragments, which are used up by it; the release's date is today's in UTC."""
    run(["git", "init", "--quiet"], tree)  # the tool looks for plugins among what git does not ignore
    run([tool("antsibull-changelog"), "lint"], tree)
    today = datetime.now(UTC).date().isoformat()
    run([tool("antsibull-changelog"), "release", "--version", version, "--date", today], tree)


def build(tree: Path, target: Path) -> Path:
    run([tool("ansible-galaxy"), "collection", "build", str(tree), "--output-path", str(target), "--force"], tree)
    tarball = next(target.glob("hokusai-platform-*.tar.gz"))
    shutil.copy2(tarball, target / STABLE_NAME)
    return tarball


def complaints(printed: str) -> list[str]:
    """The lines in which the importer is not content; a warning counts, since Galaxy shows it to everybody."""
    return [line for line in printed.splitlines() if re.match(r"(WARNING|ERROR|CRITICAL)\b", line)]


def import_collection(tarball: Path) -> None:
    """What Galaxy does with an upload, without the upload."""
    command = [sys.executable, "-m", "galaxy_importer.main", str(tarball)]
    printed = run(command, tarball.parent, {"GALAXY_IMPORTER_CONFIG": str(IMPORTER_SETTINGS)})
    found = complaints(printed)
    if found or "Importing with galaxy-importer" not in printed:
        raise ReleaseError("galaxy-importer is not content:\n" + "\n".join(found or [printed]))


def take_over(tree: Path, used: Iterable[Path]) -> list[str]:
    """Bring the version and the changelog into the work tree; the names of what has changed there."""
    written = ["galaxy.yml", "CHANGELOG.md", "changelogs/changelog.yaml"]
    for name in written:
        shutil.copy2(tree / name, ROOT / name)
    gone = [str(file.relative_to(tree)) for file in used if not file.exists()]
    for name in gone:
        (ROOT / name).unlink()
    return written + gone


def refuse_unclean() -> None:
    changed = run(["git", "status", "--porcelain", "--untracked-files=no"], ROOT)
    if changed:
        raise ReleaseError(f"the work tree has changes that are not committed:\n{changed}")


def release(wanted: str | None, *, dry: bool) -> dict[str, Any]:
    """What was made: version, tarball, and the changed files of the work tree."""
    if not dry:
        refuse_unclean()
    shutil.rmtree(BUILD, ignore_errors=True)
    tree = BUILD / "tree"
    tracked(ROOT, tree)
    version = choose(tree, wanted)
    used = fragments(tree)
    write_version(tree, version)
    write_changelog(tree, version)
    tarball = build(tree, BUILD)
    import_collection(tarball)
    return {"version": version, "tarball": tarball, "changed": [] if dry else take_over(tree, used)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", metavar="1.2.3", help="instead of the next one by the fragments")
    parser.add_argument("--dry-run", action="store_true", help="change nothing but build/release")
    given = parser.parse_args()
    try:
        made = release(given.version or None, dry=given.dry_run)
    except ReleaseError as error:
        print(f"No release: {error}", file=sys.stderr)
        return 1
    digest = hashlib.sha256(made["tarball"].read_bytes()).hexdigest()
    print(f"{made['version']}: {made['tarball'].relative_to(ROOT)} (sha256 {digest})")
    print("The work tree is as it was." if given.dry_run else "To look at and commit: " + ", ".join(made["changed"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
