"""The shell blocks of the documents: which there are, what becomes of each, and what it printed.

docs/contributing.md says how a block is marked. Blocks of one document run in one shell, in order, in a checkout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.sanity import ROOT

RUN = "run"
FAILS = "fails"
ELSEWHERE = "elsewhere"
KINDS = (RUN, FAILS, ELSEWHERE)
SHELL = "sh"
OUTPUT = "text"
DRAWING = "│"
"""What a block without a language may be: the README's drawing."""

LANGUAGES = (SHELL, OUTPUT, "output", "{toctree}")
"""What a block with a language may be. Another one, bash say, would be run and compared by nobody."""

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANY_FENCE = re.compile(r"^[ \t>*+.\d-]*(```|~~~)", re.MULTILINE)
"""Whatever Markdown may take for a fence, in a list, in a quotation, of tildes or never closed."""
MARKER = "@@@ block"
GAP = "..."
"""In an output: a line of its own stands for any number of lines, within a line for any text."""

VOLATILE = re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{6,}\b|\b\d+(\.\d+)?(?= ?(s|ms|seconds)\b)")
"""Ids and times of day (hexadecimal, six digits or more), and how long something took."""


class BadBlockError(Exception):
    """A block that nobody knows what to do with."""


@dataclass(frozen=True)
class Block:
    """A shell block, and the lines that its document says it prints."""

    document: str
    line: int
    kind: str
    text: str
    printed: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Its commands one by one, without comments; a line that ends in a backslash goes on."""
        joined = self.text.replace("\\\n", " ")
        bare = (re.sub(r"(^|\s)#\s.*", "", line).strip() for line in joined.splitlines())
        return [" ".join(line.split()) for line in bare if line]


def documents() -> list[str]:
    """Every document whose blocks are held to something, by its path in the repository."""
    return [
        "README.md",
        "gateway/README.md",
        "sandbox/README.md",
        *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md"))),
        *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "roles").glob("*/README.md"))),
    ]


def read(document: str) -> list[Block]:
    """The shell blocks of a document in order. Raises BadBlockError for a fence that says neither shell nor output."""
    found: list[Block] = []
    for line, language, more, text in fences(document, (ROOT / document).read_text()):
        if language == SHELL:
            kind = more or RUN
            if kind not in KINDS:
                raise BadBlockError(f"{document}:{line}: {kind} is none of {', '.join(KINDS)}")
            found.append(Block(document, line, kind, text))
        elif language == OUTPUT:
            if not found:
                raise BadBlockError(f"{document}:{line}: no block is before this one that could have printed it")
            last = found[-1]
            found[-1] = Block(last.document, last.line, last.kind, last.text, tuple(text.splitlines()))
    return found


def fences(document: str, source: str) -> Iterator[tuple[int, str, str, str]]:
    """Each with its line, language, what is said after that, and text. Raises BadBlockError for any other kind."""
    found = list(FENCE.finditer(source))
    edges = {place for fence in found for place in (fence.start(), fence.end() - len("```"))}
    for other in ANY_FENCE.finditer(source):
        if other.start() not in edges:
            line = source.count("\n", 0, other.start()) + 1
            raise BadBlockError(f"{document}:{line}: begin and end a block with ``` at the beginning of a line")
    for fence in found:
        line = source.count("\n", 0, fence.start()) + 1
        language, _, more = fence[1].strip().partition(" ")
        if language not in LANGUAGES and not (language == "" and DRAWING in fence[2]):
            raise BadBlockError(f"{document}:{line}: say of which kind the block is (docs/contributing.md)")
        yield line, language, more.strip(), fence[2]


def script(blocks: Sequence[Block]) -> str:
    """A program for bash that runs a document's blocks in order and marks where the output of each begins."""
    lines = ["set -euo pipefail"]
    for number, block in enumerate(blocks):
        if block.kind == RUN:
            lines += [f"echo '{MARKER} {number}'", block.text]
        elif block.kind == FAILS:
            lines += [f"echo '{MARKER} {number}'", f"if (\n{block.text}); then echo 'went well'; exit 70; fi"]
    return "\n".join(lines) + "\n"


def outputs(printed: str) -> dict[int, str]:
    """What each block printed, by its number in the script."""
    parts = re.split(rf"^{MARKER} (\d+)\n", printed, flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def missing(block: Block, output: str) -> list[str]:
    """The lines that the document says the block prints, and that it did not print, or not in this order.

    Ids and durations differ from run to run: any is as good as any other.
    """
    lines = iter([comparable(line) for line in output.splitlines()])
    wanted = [comparable(line) for line in block.printed if line.strip() not in {"", GAP}]
    return [line for line in wanted if not any(fits(line, printed) for printed in lines)]


def comparable(line: str) -> str:
    without = VOLATILE.sub("#", line)
    return " ".join(without.split())


def fits(wanted: str, line: str) -> bool:
    parts = (re.escape(part.strip()) for part in wanted.split(GAP))
    return re.fullmatch(".*".join(parts), line) is not None
