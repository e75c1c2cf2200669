"""Tables as Markdown has them."""

from __future__ import annotations

from collections.abc import Iterable


def rows(head: Iterable[str], body: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *map(list, body)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
