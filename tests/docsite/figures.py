"""The tables of the page of what was measured, from the files that the benchmarks wrote.

    python -m tests.docsite.figures

It writes them into `docs/figures.md`, between the marks; a test compares that page with the files in `docs/figures/`,
which are `build/bench/*.json` of one run each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from tests.bench.report import Bar
from tests.docsite.tables import rows
from tests.sanity import ROOT

PAGE = ROOT / "docs" / "figures.md"
FILES = ROOT / "docs" / "figures"
Told = dict[str, Any]

OPERATIONS = ("create", "no-op", "change-one", "reorder", "replace")
PEERS = {
    "gateway": "gateway",
    "nginx": "nginx, without authentication",
    "haproxy": "haproxy, without authentication",
    "naive": "naive proxy",
}


def read(name: str) -> Told:
    told: Told = json.loads((FILES / f"{name}.json").read_text())
    return told


def machine(told: Told) -> str:
    before, after = told["before"], told["after"]
    loads = f"with a load of {before['load']} before and {after['load']} after"
    return f"Seen on {before['day']} on {before['cores']} cores, {loads}.\n"


def bars(told: Told) -> str:
    given = ({key: value for key, value in each.items() if key != "met"} for each in told["bars"])
    return "".join(f"- {bar.verdict}: {bar.told()}\n" for bar in (Bar(**each) for each in given))


def cell(figure: Told) -> str:
    parts = [f"{figure['seconds']:.2f} s", f"{figure['calls']} calls"]
    parts += [f"{figure[name]} {name}" for name in ("lost", "misrouted") if figure[name]]
    parts += ["failed"] if figure["error"] else [] if figure["right"] else ["other rules than asked for"]
    return ", ".join(parts)


def of_rules(told: Told) -> str:
    def case(figure: Told) -> tuple[int, float, str]:
        return figure["rules"], figure["delay"], figure["way"]

    body = []
    for (count, delay, way), figures in groupby(told["figures"], key=case):
        seen = {each["operation"]: cell(each) for each in figures}
        body.append([str(count), f"{delay * 1000:.0f}", f"`{way}`", *(seen[each] for each in OPERATIONS)])
    return rows(("rules", "ms a call", "by", *OPERATIONS), body)


def of_gateway(told: Told) -> str:
    head = ("", "requests/s", "p50, p99 ms", "CPU us", "p50 of one connection, ms", "RSS MB", "1 GB up, down MB/s")
    return rows(head, (proxy(PEERS[name], figures) for name, figures in told["figures"].items()))


def proxy(name: str, told: Told) -> Iterable[str]:
    yield name
    yield f"{told['rps']:,.0f}"
    yield f"{told['p50_ms']:.2f}, {told['p99_ms']:.2f}"
    yield f"{told['cpu_us']:,.0f}"
    yield f"{told['p50_1_ms']:.3f}"
    yield f"{told['rss_mb']:.0f}"
    yield f"{told['upload_mb_s']:,.0f}, {told['download_mb_s']:,.0f}"


TABLES = {"rules": of_rules, "gateway": of_gateway}


def with_tables(page: str) -> str:
    """The page with what the files say between its marks."""
    for name, table in TABLES.items():
        told = read(name)
        parts = "\n".join([machine(told), table(told), bars(told)])
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{parts}\n{end}{rest.partition(end)[2]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")
