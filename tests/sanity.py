"""Run `ansible-test sanity` on exactly what `ansible-galaxy collection build` makes of the tracked files.

ansible-test wants a real directory `ansible_collections/hokusai/platform`, makes a virtualenv per check, and fetches
pip for them from a host of its own. Here the directory is the unpacked build, pip comes from `ensurepip`, and the
packages were fetched at set-up (`--fetch DIRECTORY`): the check needs no network and leaves the user's home alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WHEELS = ROOT / ".venv" / ".sanity-wheels"
HOME = ROOT / ".venv" / ".sanity-home"
BUILD = ROOT / "build" / "sanity"

GET_PIP = """\
import subprocess, sys

subprocess.check_call([sys.executable, "-m", "ensurepip"])
wanted = [argument for argument in sys.argv[1:] if not argument.startswith("--no-")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *wanted]))
"""
"""In place of get-pip.py, whose options `--no-setuptools` and `--no-wheel` pip itself does not know."""


def tool(name: str) -> str:
    """A program of the same virtualenv as this Python, which need not be active."""
    return str(Path(sys.executable).with_name(name))


def ansible_test() -> Path:
    """Where the package is installed; it has no public interface to ask for what is needed below."""
    found = importlib.util.find_spec("ansible_test")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("ansible-test is not installed here: run `make install`")
    return Path(next(iter(found.submodule_search_locations)))


def pip_version() -> str:
    source = (ansible_test() / "_internal" / "python_requirements.py").read_text()
    found = re.search(r"pip='([0-9.]+)'", source)
    if found is None:
        raise SystemExit("This ansible-test no longer says which pip it wants: adapt tests/sanity.py")
    return found[1]


def fetch(directory: Path) -> None:
    """Put every wheel that the checks' virtualenvs need into `directory`; the one step that needs the network."""
    lists = sorted((ansible_test() / "_data" / "requirements").glob("sanity.*.txt"))
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory)]
    directory.mkdir(parents=True, exist_ok=True)
    for wanted in lists:
        subprocess.run([*pip, "--requirement", str(wanted)], check=True)
    subprocess.run([*pip, f"pip=={pip_version()}"], check=True)


NEW = ("--others", "--exclude-standard")


def tracked(source: Path, target: Path, *more: str) -> None:
    """Copy the files that git tracks, as they are in the working tree; with `NEW` those too that nobody added yet."""
    command = ["git", "ls-files", "-z", "--cached", *more]
    listed = subprocess.run(command, cwd=source, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name, follow_symlinks=False)


def build_collection(work: Path) -> Path:
    """The tarball that a user would install, built in `work` from the working tree."""
    tracked(ROOT, work / "tree", *NEW)
    command = [tool("ansible-galaxy"), "collection", "build", str(work / "tree"), "--output-path", str(work)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(work.glob("hokusai-platform-*.tar.gz"))


def lay_out(work: Path) -> Path:
    """The built collection as ansible-test wants to see it, with two files more of the checkout that it reads."""
    command = [
        tool("ansible-galaxy"),
        "collection",
        "install",
        str(build_collection(work)),
        "--collections-path",
        str(work),
    ]
    subprocess.run([*command, "--no-deps", "--offline", "--force"], check=True, stdout=subprocess.DEVNULL)
    collection = work / "ansible_collections" / "hokusai" / "platform"
    (collection / "tests").mkdir(exist_ok=True)
    shutil.copy2(ROOT / "tests" / "config.yml", collection / "tests")
    shutil.copy2(ROOT / "galaxy.yml", collection)
    # Without a repository of its own ansible-test asks the checkout's git for the files, and `build` is ignored there.
    subprocess.run(["git", "init", "--quiet", str(collection)], check=True)
    return collection


def private_home() -> Path:
    """A home for ansible-test, which hands on HOME and PATH alone: pip's settings must come from here.

    It outlives the run, so that the virtualenvs of the checks are made once.
    """
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / f"get_pip_{pip_version().replace('.', '_')}.py").write_text(GET_PIP)
    settings = HOME / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(f"[global]\nno-index = true\nfind-links = {WHEELS}\nquiet = 1\n")
    return HOME


def check(arguments: list[str]) -> int:
    shutil.rmtree(BUILD, ignore_errors=True)
    collection = lay_out(BUILD)
    environment = {**os.environ, "HOME": str(private_home()), "LC_ALL": "C.UTF-8"}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [tool("ansible-test"), "sanity", "--color", "no", "--python", python, *arguments]
    return subprocess.run(command, cwd=collection, env=environment, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fetch", type=Path, metavar="DIRECTORY", help="only fetch the wheels that the checks need")
    known, arguments = parser.parse_known_args()
    if known.fetch:
        fetch(known.fetch)
        return 0
    return check(arguments)


if __name__ == "__main__":
    sys.exit(main())
