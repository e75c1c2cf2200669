"""Build the site of the documents into `build/docs/site`; whatever Sphinx or antsibull-docs warns of is an error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from tests.docsite import gateway_reference, pages
from tests.sanity import ROOT, tool

BUILD = ROOT / "build" / "docs"
SOURCE = BUILD / "source"
SITE = BUILD / "site"
COLLECTION = "hokusai.platform"


def run(*command: str) -> None:
    """Run a tool that finds the checkout as the collection; a failing one ends the build."""
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "LC_ALL": "C.UTF-8"}
    subprocess.run([tool(command[0]), *command[1:]], cwd=ROOT, env=environment, check=True)


def reference() -> None:
    """The pages of modules and roles, by antsibull-docs from what ansible-doc says."""
    target = SOURCE / pages.GENERATED
    target.mkdir(parents=True)
    where = ("--use-current", "--squash-hierarchy", "--dest-dir", str(target), COLLECTION)
    run("antsibull-docs", "collection", "--fail-on-error", *where)


def sphinx(*options: str) -> None:
    shutil.rmtree(SITE, ignore_errors=True)
    doctrees = str(BUILD / "doctrees")
    run(
        "sphinx-build", "--quiet", "--fail-on-warning", "--keep-going", "-d", doctrees, *options, str(SOURCE), str(SITE)
    )


def main(options: Sequence[str]) -> int:
    try:
        pages.write(SOURCE)
        (SOURCE / "gateway-reference.md").write_text(gateway_reference.text())
        reference()
        sphinx(*options)
    except (pages.MissingTargetError, subprocess.CalledProcessError) as error:
        print(f"No site: {error}", file=sys.stderr)
        return 1
    print(f"The site is in {SITE.relative_to(ROOT)}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
