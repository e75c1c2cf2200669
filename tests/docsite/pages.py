"""The pages of the site as Sphinx wants them: copies of the documents, whose links lead to each other's copies."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath

import yaml

from tests.sanity import ROOT

STATIC = ("conf.py", "ansible.rst")
"""Sphinx's settings, and the terms that pages of antsibull-docs refer to."""

GENERATED = "collection"
"""The folder of the pages that antsibull-docs writes."""

ELSEWHERE = {"gateway/README.md": "gateway.md", "sandbox/README.md": "sandbox.md"}
"""Documents that live beside what they describe, and their places on the site."""

LINK = re.compile(r"(!?\[[^\]]*\]\()(?!https?://|#|mailto:)([^)#\s]+)(#[^)\s]*)?(\))")


def documents() -> dict[str, str]:
    """Where each page of the site comes from: its path in the repository, and its path on the site."""
    own = {f"docs/{name}": name for name in _below(ROOT / "docs", "*.md")}
    return own | ELSEWHERE


def _below(folder: Path, pattern: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(pattern))


def repository() -> str:
    """The address of the sources, for what is no page of the site."""
    told = yaml.safe_load((ROOT / "galaxy.yml").read_text())["repository"]
    return f"{told}/blob/main"


class MissingTargetError(Exception):
    """A link of a document leads to nothing."""


def relinked(text: str, source: str, places: dict[str, str]) -> str:
    """A document's text with its links as they have to be on the site.

    One to another page leads to that page, one to another file of the repository to the repository's address.
    """
    here = PurePosixPath(places[source]).parent

    def lead(found: re.Match[str]) -> str:
        opening, target, anchor, closing = found[1], found[2], found[3] or "", found[4]
        path = _normal(PurePosixPath(source).parent / target)
        if path in places:
            return f"{opening}{_relative(places[path], here)}{anchor}{closing}"
        if path.startswith("docs/") and opening.startswith("!"):
            return found[0]
        if not (ROOT / path).exists():
            raise MissingTargetError(f"{source}: {target} does not exist")
        return f"{opening}{repository()}/{path}{anchor}{closing}"

    return LINK.sub(lead, text)


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _relative(target: str, here: PurePosixPath) -> str:
    return "/".join([".."] * len(here.parts) + [target]) if here.parts else target


def write(target: Path) -> None:
    """Every page, picture and setting into `target`, which is made anew."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    places = documents()
    for source, place in places.items():
        page = target / place
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(relinked((ROOT / source).read_text(), source, places))
    for picture in _below(ROOT / "docs", "*.svg"):
        shutil.copy2(ROOT / "docs" / picture, target / picture)
    for name in STATIC:
        shutil.copy2(Path(__file__).with_name(name), target / name)
