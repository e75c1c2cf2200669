"""The blocks of the documents, run as they stand, page by page, against one sandbox; and they print what is written.

Pages come in the order in which a reader meets them: the first starts the sandbox, the README ends it, and that of the
sandbox has one of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import awscli
from tests.docsite import blocks
from tests.harness import BIN, ROOT, Run, run
from tests.sanity import tracked

FIRST = "docs/getting-started.md"
PAGES = (
    FIRST,
    "docs/service-discovery.md",
    "docs/incident.md",
    "docs/troubleshooting.md",
    "docs/runbook.md",
    "docs/contributing.md",
    "docs/iam.md",
    "docs/faults.md",
    *(page for page in blocks.documents() if page.startswith("roles/")),
    "README.md",
    "sandbox/README.md",
)
USE = 'eval "$(.venv/bin/python -m sandbox env)"\n'
"""What the first page leaves its reader's shell with, and each page after it begins with."""
ALONE = (FIRST, "sandbox/README.md")
BARE = (FIRST, "docs/contributing.md", "README.md")
"""Pages that a reader may begin with: they say themselves that `.venv/bin` comes in front of the path."""

OLD_KEY = {
    "action": "mint",
    "auth_url": "https://auth.hokus.ai",
    "admin_source": {"environment": "HOKUSAI_AUTH_ADMIN_KEY"},
    "name": "old",
    "scopes": ["read", "write"],
    "environment": "live",
    "store": {"ssm_parameter": "/hokusai/development/verification/api-key-1"},
}
API_KEY = "ansible hokusai_platforms -i inventories/development -m hokusai.platform.api_key -a"
BEFORE = {"docs/runbook.md": f"{API_KEY} '{json.dumps(OLD_KEY)}' || exit\n"}
"""What is done before a page: there is a key to rotate, which no reader is to mint by following the page."""

RUNNABLE = {blocks.RUN, blocks.FAILS}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout of its own, for some pages write into it; its sandbox is ended whatever happens."""
    directory = tmp_path_factory.mktemp("checkout")
    tracked(ROOT, directory)
    (directory / ".venv").symlink_to(ROOT / ".venv")
    link = directory / ".collections" / "ansible_collections" / "hokusai" / "platform"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../..")
    yield directory
    run(["python", "-m", "sandbox", "down"], cwd=directory)


def follow(page: str, checkout: Path) -> tuple[list[blocks.Block], Run]:
    """The blocks of a page, and what became of them in one shell."""
    found = blocks.read(page)
    begin = ("" if page in ALONE else USE) + BEFORE.get(page, "")
    path = f'PATH="{path_without_ours() if page in BARE else "$PATH"}:{awscli.directory()}"\n'
    return found, run(["bash", "-c", path + begin + blocks.script(found)], cwd=checkout)


def path_without_ours() -> str:
    return os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if Path(each) != BIN)


def test_every_page_with_blocks_to_run_is_run() -> None:
    wanted = {page for page in blocks.documents() if RUNNABLE & {block.kind for block in blocks.read(page)}}
    assert set(PAGES) == wanted


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, checkout: Path) -> None:
    found, ended = follow(page, checkout)
    print(ended.output)  # pytest shows it when something is lacking
    printed = blocks.outputs(ended.wanted().output)
    lacking = {block.where: blocks.missing(block, printed[n]) for n, block in enumerate(found) if n in printed}
    assert not {where: lines for where, lines in lacking.items() if lines}
